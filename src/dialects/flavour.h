/* flavour.h - how one OpenAI-compatible provider differs from OpenAI: the row of the table in
 * flavour.c. */
#ifndef RELAY_DIALECTS_FLAVOUR_H
#define RELAY_DIALECTS_FLAVOUR_H

#include <stdbool.h>

#define FLAVOUR_DROPS_MAX 8

struct flavour {
    const char *provider;   /* its name in the configuration; NULL: any other */
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

#endif
