/* plan.h - everything that decides how one request is answered, as one flat value.
 *
 * The same names are used wherever a setting can be given: in the configuration document, in a
 * rule's `then`, in a header (x-sim-retry-after) and in a directive in the user's text
 * ([[sim:retry_after=7]]). One table in plan.c knows the names, kinds and limits. Later sources win
 * over earlier ones. All slices and JSON values are borrowed from the document or request that set
 * them; a plan lives only while one answer is being built. */
#ifndef RELAY_SIM_PLAN_H
#define RELAY_SIM_PLAN_H

#include <yyjson.h>

#include "bytes.h"

enum { PLAN_UNSET = -1, PLAN_DOCS_MAX = 8, PLAN_JSON_DEPTH_MAX = 64 };

/* A distribution of milliseconds. fixed: a; uniform: a..b; lognormal: median a, 95th percentile b.
 */
struct spread {
    enum { SPREAD_FIXED, SPREAD_UNIFORM, SPREAD_LOGNORMAL } shape;
    double a;
    double b;
};

enum usage_at { USAGE_ASKED, USAGE_NEVER, USAGE_FINISH, USAGE_LAST, USAGE_EVERY };
enum eol { EOL_DEFAULT, EOL_LF, EOL_CRLF, EOL_CR };
enum framing_kind { FRAMING_AUTO, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };
enum flavour {
    FLAVOUR_OPENAI,
    FLAVOUR_GROQ,
    FLAVOUR_OPENROUTER,
    FLAVOUR_XAI,
    FLAVOUR_DEEPSEEK,
    FLAVOUR_MISTRAL,
};

/* What a simulated failure is; each dialect has its own body for it. */
enum failure {
    FAILURE_NONE,
    FAILURE_INVALID,
    FAILURE_CONTEXT,
    FAILURE_AUTH,
    FAILURE_BILLING,
    FAILURE_PERMISSION,
    FAILURE_NOT_FOUND,
    FAILURE_RATE,
    FAILURE_QUOTA,
    FAILURE_SERVER,
    FAILURE_UNAVAILABLE,
    FAILURE_OVERLOADED,
    FAILURE_TIMEOUT,
};

struct plan {
    /* when */
    struct spread ttft;
    double tps;    /* tokens per second, 0 = all at once */
    double gap_ms; /* between events, instead of tps */
    int64_t end_delay_ms;
    /* what */
    bool bench;
    struct slice text;
    int64_t tokens;
    int64_t events;
    int64_t piece_chars;
    struct slice reasoning;
    int64_t flavour;
    struct slice model;
    struct slice id;
    struct slice finish;
    struct slice tool;
    yyjson_val *tool_calls;
    int64_t tool_count;
    bool ping;
    /* usage */
    yyjson_val *usage;
    int64_t usage_at;
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t reasoning_tokens;
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    struct slice cost;
    /* failures and limits */
    int64_t status;
    int64_t error;
    struct slice error_type;
    struct slice error_code;
    struct slice error_message;
    int64_t error_event;
    bool error_wrapped;
    struct slice retry_after;
    bool ratelimit;
    int64_t limit_requests;
    int64_t limit_window_ms;
    /* the bytes on the wire */
    yyjson_val *headers;
    struct slice content_type;
    struct slice body;
    struct slice body_base64;
    struct slice raw;
    int64_t framing;
    int64_t content_length;
    bool connection_close;
    bool close_unsaid;
    int64_t interim;
    /* faults */
    bool at_body; /* the *_at offsets count from the first byte of the body */
    int64_t reset_at, close_at, stall_at;
    int64_t reset_event, close_event, stall_event;
    int64_t stall_ms;
    int64_t split;
    int64_t split_gap_ms;
    int64_t malformed_event;
    int64_t oversize_event;
    int64_t oversize_bytes;
    /* shape of an event stream */
    int64_t eol;
    bool data_space;
    int64_t comment_every;
    struct slice comment;
    struct slice lead;
    bool bom;
    bool last_blank;
    bool done;
    /* documents parsed from text values of this plan, freed with it */
    yyjson_doc *docs[PLAN_DOCS_MAX];
    size_t doc_count;
};

void plan_init(struct plan *p);
void plan_deinit(struct plan *p); /* frees what plan_set parsed */

/* Sets one field. false: `why` has one sentence. A value given as text is converted by the field's
 * kind; JSON null puts the default back. Numbers in documents must have been read as raw text. */
bool plan_set(struct plan *p, struct slice name, struct slice value, struct bytes *why);
bool plan_set_json(struct plan *p, struct slice name, yyjson_val *value, struct bytes *why);
/* Sets every member of an object. Members for which `skip` says true are left to the caller. */
bool plan_set_all(struct plan *p, yyjson_val *object, bool (*skip)(struct slice name),
                  struct bytes *why);
/* Directives [[sim:name=value;name=value]] anywhere in text. A name alone means true. */
bool plan_set_directives(struct plan *p, struct slice text, struct bytes *why);

/* One line per field: name, kind, default, what it does. For --fields and the guide. */
void plan_describe(struct bytes *out);

/* Merging and writing recurse, so what is given to be merged may not be nested deeply. */
bool json_is_shallow(struct slice text);

/* The text of a JSON scalar as the settings understand it. */
bool plan_scalar_text(yyjson_val *value, struct slice *out);

#endif
