/* choose.h - the routing decision: pure, from an ask and the catalogue to an ordered list of
 * candidates (reference 4.3).
 *
 * 1. who can do the job (gate), 2. whose chance of meeting the latency target and whose quality
 * clear the bars, 3. the cheapest by expected cost. Randomness and time are parameters. */
#ifndef RELAY_CATALOG_CHOOSE_H
#define RELAY_CATALOG_CHOOSE_H

#include "catalog/catalog.h"
#include "catalog/live.h"

#define CANDIDATES_MAX 64u

enum refusal_reason { /* words for people in choose.c: "tools", "vision", "context", … */
                      REFUSED_NONE,
                      REFUSED_TOOLS,
                      REFUSED_VISION,
                      REFUSED_IMAGE_URLS,
                      REFUSED_JSON,
                      REFUSED_AUDIO,
                      REFUSED_FILES,
                      REFUSED_CONTEXT,
                      REFUSED_MAX_OUTPUT,
                      REFUSED_NOT_ALLOWED,
                      REFUSED_ONLY,
                      REFUSED_IGNORED,
                      REFUSED_UNHEALTHY,
                      REFUSED_KEY_RESTS,
                      REFUSED_MODEL_OUT,
                      REFUSED_BUDGET,
                      REFUSED_MAX_COST,
                      REFUSED_UNPRICED,
                      REFUSED_NO_QUALITY,
                      REFUSED_QUALITY,
                      REFUSED_LATENCY,
                      REFUSED_NOT_ENABLED,
                      REFUSED_REASONING,
                      REFUSED_EMBEDDINGS,
                      REFUSED_CHAT,
                      REFUSED_REASON_COUNT
};
const char *refusal_reason_text(enum refusal_reason r);

#define NO_TARGET (-1.0)

struct ask {
    const struct resolution *among; /* AUTO, GROUP, PINNED or PASS */
    const struct model **ordered;   /* routing.models: replaces the choice; NULL: none */
    unsigned ordered_count;
    bool streamed;
    unsigned needs;         /* capability bits */
    int64_t prompt_tokens;  /* estimate */
    int64_t max_tokens;     /* the request's own limit, -1 */
    double expected_answer; /* of this key, tokens; NAN unknown */
    double max_latency_ms;  /* NO_TARGET: none. Streams: first token, else the whole */
    double min_quality;
    pusd max_cost;    /* PUSD_UNKNOWN: none */
    pusd budget_left; /* PUSD_UNKNOWN: none */
    bool strict, fallbacks;
    unsigned keep; /* candidates wanted at most; 0: CANDIDATES_MAX */
    const str *only;
    unsigned only_count; /* providers and provider/model */
    const str *ignore;
    unsigned ignore_count;
    const str *allow;
    unsigned allow_count; /* the key's list; 0: all */
    const uint64_t *prefixes;
    unsigned prefix_count;      /* hashes of the conversation's prefixes, longest first */
    uint64_t question;          /* class of the request, for the incumbent: same hash, same class */
    double explore, confidence; /* routing.* */
    str baseline;               /* targets.baseline or empty */
    bool unpriced_allow;
    double dice;     /* uniform [0,1): exploration when dice < explore */
    double dice2;    /* which one is explored */
    uint64_t now_ms; /* monotonic */
    int64_t at_us;   /* UTC */
};

struct candidate {
    const struct model *model;  /* NULL for PASS */
    unsigned provider, live;    /* index in config.providers; slot in struct live */
    pusd expected_cost;         /* PUSD_UNKNOWN when unpriced */
    double chance;              /* of meeting max_latency_ms; 1 without target */
    double expected_answer;     /* tokens */
    int64_t expected_cached;    /* tokens */
    enum refusal_reason missed; /* REFUSED_NONE when it clears the bars; else which it misses */
    bool unhealthy;             /* kept only because nothing else is left */
};

struct decision {
    struct candidate list[CANDIDATES_MAX]; /* in the order to try */
    unsigned count;
    unsigned refused[REFUSED_REASON_COUNT]; /* counted by reason */
    bool explored;                          /* the first is an exploration */
    bool target_missed;                     /* none cleared the bars: the nearest miss serves */
    const struct model *baseline;           /* for routing_saved; NULL: none */
};

/* One thread's: its scratch, and what its decisions have in common between two merges of what is
 * measured. Whatever it remembers, it decides as a new one would. */
struct chooser;
struct chooser *chooser_new(void);
void chooser_free(struct chooser *ch); /* NULL is fine */

/* The order of the candidates, best first. count == 0: nobody can do it (see refused[]). With
 * `strict` and no one clearing the bars count is 0 too. A chooser that was used with one `l` stays
 * with it. */
void choose(struct chooser *ch, const struct catalog *c, struct live *l, const struct ask *ask,
            struct decision *out);

/* May this model (or provider, name for PASS) serve an ask at all, latency, health and money apart?
 * For cache hits (reference 4.4). */
enum refusal_reason admissible(const struct catalog *c, const struct ask *ask,
                               const struct model *m);

/* The decision as the log keeps it: JSON of at most `bytes_max` (512): the bars, the chosen and up
 * to four others with expected cost and chance, refusals by reason. */
str decision_json(struct arena *a, const struct ask *ask, const struct decision *d,
                  size_t bytes_max);

#endif
