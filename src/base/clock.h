/* clock.h - time as plain numbers, and the two clocks behind them.
 *
 * Durations and deadlines use the monotonic clock; what is written down uses UTC. Code that decides
 * by time takes it as a parameter, so that tests own it. */
#ifndef RELAY_BASE_CLOCK_H
#define RELAY_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Monotonic nanoseconds and UTC microseconds since 1970. */
uint64_t clock_mono_ns(void);
int64_t clock_utc_us(void);

#define CLOCK_TEXT_BYTES 28

/* "2026-11-23T04:53:00.123456Z" with its NUL; returns the text as str over `out`. */
str clock_utc_text(int64_t utc_us, char out[CLOCK_TEXT_BYTES]);

/* The same form back (fraction of 0 to 6 digits, `T` or blank, a final Z optional). */
bool clock_utc_parse(str text, int64_t *utc_us);

/* Start of the UTC day or month that holds utc_us, and of the one after it. */
int64_t clock_day_start(int64_t utc_us);
int64_t clock_next_day_start(int64_t utc_us);
int64_t clock_month_start(int64_t utc_us);
int64_t clock_next_month_start(int64_t utc_us);

/* An RFC 9110 HTTP-date (IMF-fixdate) as UTC seconds. */
bool clock_parse_http_date(str text, int64_t *utc_s);

#endif
