/* usage.h - what an answer used, in one normal form for every provider.
 *
 * Counts are tokens. `prompt` is everything that went in (uncached + cached + cache writes),
 * `completion` everything that came out (reasoning included), whatever the provider's own
 * convention. */
#ifndef RELAY_BASE_USAGE_H
#define RELAY_BASE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/money.h"

struct usage {
    bool known; /* the provider told it */
    int64_t prompt;
    int64_t cached; /* read from the provider's prompt cache; part of prompt */
    int64_t
        cache_write; /* written to it for 5 minutes (or without a stated time); part of prompt */
    int64_t cache_write_1h; /* written for an hour; part of prompt, not of cache_write */
    int64_t completion;
    int64_t reasoning; /* part of completion */
    int64_t
        audio_prompt; /* part of prompt, priced apart where the catalogue can, else cost unknown */
    int64_t audio_completion;
    pusd
        stated_cost; /* what the provider itself says it costs (OpenRouter, xAI), or PUSD_UNKNOWN */
};

static inline struct usage usage_none(void)
{
    return (struct usage){.stated_cost = PUSD_UNKNOWN};
}

/* Of a call that no provider bills. */
static inline struct usage usage_free(void)
{
    return (struct usage){.known = true};
}

#endif
