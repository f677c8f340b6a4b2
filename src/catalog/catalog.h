/* catalog.h - models: who serves them, what they cost, what they can do, how good they are.
 *
 * A catalog is an immutable counted snapshot made from the built-in data file
 * (catalog/data/catalog.json, dated, with sources), the configuration (models, aliases, providers
 * that are on) and what servers said that they have installed. The built-in file holds facts only;
 * unknown is unknown (PUSD_UNKNOWN, -1), never 0. */
#ifndef RELAY_CATALOG_CATALOG_H
#define RELAY_CATALOG_CATALOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/money.h"
#include "base/str.h"
#include "base/usage.h"
#include "catalog/servers.h"
#include "config/config.h"

#define CATALOG_MODELS_MAX 8192u
#define TIERS_MAX          4u
#define WINDOWS_MAX        4u

/* pusd per token; PUSD_UNKNOWN where nobody says. A token kind that a price list does not bill
 * apart has the input price here already (docs/guides/billing.md). */
struct prices {
    pusd input, output, cached_input, cache_write, cache_write_1h;
};
struct price_tier {
    int64_t above_prompt_tokens; /* the whole request is priced so once its prompt is longer than
                                    this */
    struct prices prices;
};
struct price_window {
    int from_minute, to_minute; /* of the UTC day, to exclusive; past midnight when from > to */
    struct prices prices;
};
struct price_change { /* announced for a day: from then on these are the listed prices */
    int64_t from_us;  /* UTC; INT64_MAX: none */
    struct prices prices;
};

enum capability { /* bits; streaming is taken for granted */
                  CAP_TOOLS = 1,
                  CAP_VISION = 2,
                  CAP_JSON = 4,
                  CAP_REASONING = 8,
                  CAP_IMAGE_URLS = 16,
                  CAP_AUDIO = 32,
                  CAP_FILES = 64,
                  CAP_EMBEDDINGS = 128,
                  CAP_CHAT = 256, /* all but those that make embeddings only */
};

struct model {
    unsigned capabilities, capabilities_unknown; /* bits; unknown is absent for auto (gate.h) */
    int64_t context, max_output;                 /* tokens; -1 unknown */
    double quality;                              /* 0-100; NAN unknown */
    unsigned provider;                           /* index in config.providers */
    unsigned live;                               /* slot in struct live */
    unsigned tier_count, window_count;
    struct prices prices;
    struct price_change later;
    struct price_tier tiers[TIERS_MAX];
    struct price_window windows[WINDOWS_MAX];
    str id;      /* "provider/model" */
    str id_json; /* the same as a JSON string: every request's decision names a few */
    str name;    /* what goes upstream: the part after the provider */
    str provider_name;
    bool no_temperature;
    bool quality_estimated;
    str quality_source; /* one line for people */
    str price_source;
    bool configured, installed; /* from the configuration; told by the server */
};

/* What a server said it has. Strings borrowed. */
struct discovered_model {
    str provider, name;
    int64_t context; /* -1 unknown */
    unsigned capabilities, capabilities_unknown;
};

/* What a decision reads of every model, in one cache line: a decision looks at hundreds. */
struct brief {
    pusd input, output;          /* where `flat` */
    int64_t context, max_output; /* INT64_MAX unknown, so that one comparison is enough */
    double answer_most;          /* max_output too; INFINITY unknown */
    double quality;
    unsigned capabilities, provider, live;
    bool flat; /* these prices hold at any time and for prompts of any length */
};

struct live; /* live.h */

struct catalog {
    struct arena arena;
    _Atomic int refs;
    uint64_t edition;      /* no other catalogue with the same `live` has it */
    struct config *config; /* a reference */
    struct model *models;  /* of providers that are on, sorted by id */
    unsigned model_count;
    struct brief *briefs; /* of the models, in their order */
    struct speed *speeds; /* by provider */
    struct map by_id;     /* "provider/model" */
    str data_date;        /* of the built-in file */
};

/* `live` gives every model its slot (the same for the same id for the life of the process) and the
 * catalogue its edition.
 * discovered may be NULL. Models of an Ollama that did not answer are absent unless the
 * configuration names them. Never NULL: the built-in data is checked by a test, the configuration
 * was checked before. */
struct catalog *catalog_build(struct config *config, struct live *live,
                              const struct discovered_model *discovered, size_t discovered_count);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);

/* The encoder inside of Relay, as lists of models show it. In no catalogue: it is asked for by its
 * name alone, whether there is one depends on the machine, and no decision weighs it. */
extern const struct model catalog_local_model;

const struct model *catalog_find(const struct catalog *c, str id);

enum resolved {
    RESOLVED_AUTO,
    RESOLVED_GROUP /* alias or shared id */,
    RESOLVED_PINNED,
    RESOLVED_PASS /* provider/anything: sent as it is, unpriced */,
    RESOLVED_NOTHING
};
struct resolution {
    enum resolved kind;
    const struct model **models; /* GROUP: in the alias's order; PINNED: one; in the arena given */
    unsigned count;
    unsigned provider; /* PASS */
    str name;          /* PASS: what goes upstream */
    str nearest[3];    /* NOTHING: "did you mean" */
    unsigned nearest_count;
};
#define CATALOG_NAME_BYTES_MAX 256u /* longer names, and those with control characters: NOTHING */
/* The order of reference 3: auto, alias, provider/model, an id that providers serve,
 * provider/anything. */
struct resolution catalog_resolve(const struct catalog *c, struct arena *a, str asked);

/* ---- price.c ---- */

struct bill {
    pusd cost;      /* PUSD_UNKNOWN when a token kind that was used has no price */
    bool estimated; /* usage was not told */
};
/* Exact: tiers by the whole prompt, windows by the time, cached, cache-write (5 min, 1 h) and
 * reasoning tokens at their own prices. A missing cached price falls back to the input price only
 * where the catalogue says that the provider does not bill it apart (null in the data = unknown
 * price, but cached tokens at the full input price is what such a provider bills: documented in
 * docs/guides/billing.md). A stated cost wins. */
struct bill price_usage(const struct model *m, const struct usage *u, int64_t at_utc_us);
const struct prices *price_at(const struct model *m, int64_t prompt_tokens, int64_t at_utc_us);
/* Expected cost of a request not made yet. */
pusd price_expect(const struct model *m, int64_t prompt_tokens, int64_t cached_tokens,
                  int64_t completion_tokens, int64_t at_utc_us);

#endif
