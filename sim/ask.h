/* ask.h - what a request asks for, whatever its dialect; and the answer to it, before it is written
 * in a dialect. Four readers fill the first, answer.c makes the second, four writers render it. */
#ifndef RELAY_SIM_ASK_H
#define RELAY_SIM_ASK_H

#include "http.h"
#include "plan.h"
#include "wire.h"

enum {
    ASK_TOOLS_MAX = 64,
    ASK_STOPS_MAX = 16,
    ASK_CHOICES_MAX = 8,
    ANSWER_CALLS_MAX = 32,
    ANSWER_BYTES_MAX = 8 * 1024 * 1024,
    ASK_INPUTS_MAX = 2048,
};

enum dialect_id { DIALECT_OPENAI, DIALECT_ANTHROPIC, DIALECT_GEMINI, DIALECT_OLLAMA };

enum task {
    TASK_CHAT,
    TASK_MODELS,
    TASK_EMBED,
    TASK_COUNT,
    TASK_SHOW,
    TASK_VERSION,
};

enum tool_choice { TOOL_AUTO, TOOL_NONE, TOOL_REQUIRED, TOOL_NAMED };

struct tool {
    struct slice name;
    yyjson_val *schema;
};

struct ask {
    enum dialect_id dialect;
    enum task task;
    yyjson_doc *doc;
    yyjson_val *root;
    struct slice model;
    struct slice key;  /* the credential, without its scheme */
    struct bytes text; /* of the last user message */
    bool after_tool;   /* the last message is a tool's result */
    bool stream;
    bool sse; /* Gemini: alt=sse */
    bool include_usage;
    bool has_images;
    size_t prompt_chars;
    size_t messages;
    int64_t max_tokens; /* PLAN_UNSET: no limit */
    size_t choices;
    struct slice stops[ASK_STOPS_MAX];
    size_t stop_count;
    struct tool tools[ASK_TOOLS_MAX];
    size_t tool_count;
    enum tool_choice tool_choice;
    struct slice tool_choice_name;
    bool parallel;
    yyjson_val *schema; /* the answer must be JSON of this schema */
    bool json;          /* the answer must be a JSON object */
    bool reasoning;     /* reasoning was asked for */
};

/* Reads a body. false: `why` has one sentence, and the answer is 400. */
bool ask_read(struct ask *a, const struct http_request *req, struct bytes *why);
void ask_init(struct ask *a, enum dialect_id dialect, enum task task);
void ask_deinit(struct ask *a);

/* The readers, one per dialect; the body is a JSON object. */
bool openai_read(struct ask *a, struct bytes *why);
bool anthropic_read(struct ask *a, struct bytes *why);
bool gemini_read(struct ask *a, struct bytes *why);
bool ollama_read(struct ask *a, struct bytes *why);

/* For the readers. */
struct slice json_text(yyjson_val *object, const char *name); /* empty if it is no string */
bool json_true(yyjson_val *object, const char *name);
int64_t json_int(yyjson_val *object, const char *name, int64_t fallback);
void ask_add_content(struct ask *a, bool is_user, yyjson_val *content);
void ask_add_tool(struct ask *a, struct slice name, yyjson_val *schema);
void ask_add_stops(struct ask *a, yyjson_val *stops);
bool ask_fail(struct bytes *why, const char *sentence);

struct call {
    struct slice name;
    struct bytes arguments; /* a JSON object */
    char id[48];
};

struct counts {
    int64_t prompt; /* with cached and cache_write */
    int64_t cached;
    int64_t cache_write;
    int64_t completion; /* with reasoning */
    int64_t reasoning;
};

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_TOOL, FINISH_STOP_SEQUENCE };

struct answer {
    char id[48];
    int64_t created; /* seconds */
    struct slice model;
    struct bytes text;
    struct bytes reasoning;
    struct call calls[ANSWER_CALLS_MAX];
    size_t call_count;
    enum finish finish;
    struct slice stop; /* the sequence that was hit */
    struct counts counts;
};

/* number: of the exchange, the source of the ids. */
void answer_make(struct answer *r, const struct ask *a, const struct plan *p, uint64_t number);
void answer_deinit(struct answer *r);
/* Tokens of a text: a token is four characters, rounded up. */
size_t count_tokens(struct slice text);

/* Walks a text in deltas. */
struct pieces {
    struct slice rest;
    size_t chars;  /* characters left */
    size_t pieces; /* deltas left; 0: by size */
    size_t size;   /* characters per delta */
};
struct pieces pieces_of(const struct plan *p, struct slice text);
bool pieces_next(struct pieces *it, struct slice *piece, size_t *tokens);

/* A JSON value that fits the schema; text stands where a string is free. */
void schema_fill(struct bytes *out, yyjson_val *schema, struct slice text);

/* usage merged with the plan's patch, written to out. */
void usage_write(struct bytes *out, struct slice usage, const struct plan *p);

/* One dialect as a provider speaks it. */
struct dialect {
    const char *stream_type;
    enum style stream_style;
    enum eol eol;
    void (*plain)(struct bytes *out, const struct ask *a, const struct plan *p,
                  const struct answer *r);
    void (*stream)(struct frames *f, const struct ask *a, const struct plan *p,
                   const struct answer *r);
    /* The error body (in_stream: the event that says it in a running stream). */
    void (*error)(struct bytes *out, const struct plan *p, int status, bool in_stream);
    void (*headers)(struct bytes *out, const struct plan *p, int status, const char *id);
    const char *const *finishes; /* by enum finish */
};

extern const struct dialect openai_dialect, anthropic_dialect, gemini_dialect, ollama_dialect;
const struct dialect *dialect_get(enum dialect_id id);

#endif
