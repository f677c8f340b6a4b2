/* money.h - exact money: an integer of 10^-12 US dollars ("pusd"), never a double.
 *
 * A price of one dollar per million tokens is exactly 1,000,000 pusd per token, so prices with up
 * to six decimals per million are exact per token. int64 holds plus or minus 9.2 million dollars;
 * arithmetic that would leave it saturates and is counted by the caller as unknown. */
#ifndef RELAY_BASE_MONEY_H
#define RELAY_BASE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

typedef int64_t pusd;

#define PUSD_PER_USD INT64_C(1000000000000)
#define PUSD_UNKNOWN INT64_MIN /* no price, no cost: NULL in the store, never 0 */

static inline bool pusd_known(pusd m)
{
    return m != PUSD_UNKNOWN;
}

/* Reads a plain or exponent decimal ("1.25", "0.0000002", "2e-7", "-3") as dollars, from text.
 * More than 12 decimals: rounded half to even in the last digit, *exact (may be NULL) says whether
 * it was exact. False: not a number or out of range. */
bool pusd_parse(str decimal, pusd *out, bool *exact);

/* A price per million tokens from its decimal text to pusd per token. False when it is not a
 * number, negative, or has more than six decimals (it would not be exact). */
bool pusd_parse_price(str usd_per_million, pusd *out);

/* a + b and tokens * price; PUSD_UNKNOWN when either is unknown or the result does not fit. */
static inline pusd pusd_add(pusd a, pusd b)
{
    pusd sum;
    if (!pusd_known(a) || !pusd_known(b) || __builtin_add_overflow(a, b, &sum))
        return PUSD_UNKNOWN;
    return sum;
}

static inline pusd pusd_times(pusd price_per_token, int64_t tokens)
{
    pusd product;
    if (!pusd_known(price_per_token) || __builtin_mul_overflow(price_per_token, tokens, &product))
        return PUSD_UNKNOWN;
    return product;
}

/* Exact decimal without an exponent and without trailing zeros ("0.000123", "0", "-1.5"). Unknown
 * appends "null". */
bool pusd_print(struct buf *b, pusd m);
str pusd_text(struct arena *a, pusd m);

/* For people: "$1.37" from a dollar up, below that four significant digits ("$0.8978"), "$0",
 * "unknown". */
str pusd_for_people(struct arena *a, pusd m);

#endif
