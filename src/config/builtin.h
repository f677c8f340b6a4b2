/* builtin.h - the providers that Relay knows by name: one row says all that the code knows of one.
 *
 * Facts only. What is done with them is the matter of who reads them: the configuration (address
 * and key), the catalogue (image addresses, speed), the dialects (the flavour). Models and prices
 * are data (catalog/data/catalog.json). */
#ifndef RELAY_CONFIG_BUILTIN_H
#define RELAY_CONFIG_BUILTIN_H

#include <stdbool.h>

#include "base/str.h"

#define FLAVOUR_DROPS_MAX 8

/* How an OpenAI-compatible provider differs from OpenAI. */
struct flavour {
    const char *max_tokens; /* the only name it takes for the answer's limit; NULL: as written */
    bool no_stream_options; /* refuses stream_options; usage comes unasked, or not at all */
    bool random_seed;       /* `seed` is called `random_seed` */
    bool required_is_any;   /* tool_choice "required" is called "any" */
    bool system_only;       /* knows no role "developer": "system" is sent */
    bool no_reasoning_back; /* refuses reasoning_content in the messages it is sent */
    bool reasoning_back;    /* takes reasoning_content in them, and may need it */
    bool short_call_ids;    /* takes ids of tool calls of 9 letters and digits only */
    bool reasoning_outside; /* completion_tokens leaves the reasoning out */
    bool takes_own_words;   /* verbosity and the like, which only OpenAI itself surely knows */
    bool states_cost;       /* usage.cost is US dollars */
    bool states_ticks;      /* usage.cost_in_usd_ticks: 10^10 to the dollar */
    const char *drops[FLAVOUR_DROPS_MAX]; /* refused, and no answer depends on them */
};

enum takes { TAKES_UNKNOWN, TAKES_NO, TAKES_YES };

/* How fast a class of servers answers, before anything was measured: half of the first tokens come
 * within first_token_ms, and then tokens at this rate. first_token_ms == 0: nobody publishes it. */
struct speed {
    double first_token_ms, tokens_per_s;
};

struct builtin_provider {
    const char *name, *kind, *base_url;
    const char *key_variable; /* NULL: it needs no key */
    const char *url_variable; /* host or URL from the environment, or NULL */
    enum takes image_urls;    /* fetches an image that is given as an address */
    struct speed speed;
    struct flavour flavour; /* of kind "openai" */
};

/* Ended by a row with a NULL name. */
extern const struct builtin_provider builtin_providers[];

/* NULL when there is none of this name. */
const struct builtin_provider *builtin_find(str name);

#endif
