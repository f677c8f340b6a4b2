/* audits.h - what the checks of served answers have found, and the level that follows from it.
 *
 * An audit asks a provider again what the cache has just answered, and judges the two answers to be
 * the same, to differ, or to be beyond judging. The trained level (guard_level()) was calibrated
 * on other data; the audits are about this gateway's own questions. Of the last AUDITS_KEPT judged
 * ones the share that differ, at or above a score, times the share of looks that were hits,
 * estimates the wrong answers per request at that level; the level is the smallest from the trained
 * one on at which the estimate is within max_error. Old audits leave, so that it comes down again.
 *
 * One for the process; every function may be called from any thread. */
#ifndef RELAY_GUARD_AUDITS_H
#define RELAY_GUARD_AUDITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/money.h"

#define AUDITS_KEPT 1000u

enum audit_result { AUDIT_SAME, AUDIT_DIFFERENT, AUDIT_UNDECIDED, AUDIT_FAILED };
#define AUDIT_RESULTS 4u
/* "same", "different", "undecided", "failed" */
const char *audit_result_text(enum audit_result result);

struct audits;
struct audits *audits_new(void);
void audits_free(struct audits *a);

/* A question was compared with stored ones; `hit`: one of their answers served it. */
void audits_look(struct audits *a, bool hit);

/* Takes `expected` from what the UTC day of `now_us` may still cost; false: it is not there, and
 * nothing was taken. An unknown cost is never taken. */
bool audits_reserve(struct audits *a, pusd expected, pusd per_day, int64_t now_us);
/* The same reservation's end: what it did cost; PUSD_UNKNOWN counts as what was expected. */
void audits_settle(struct audits *a, pusd expected, pusd cost, int64_t now_us);

/* What became of the audit of a hit with this score. */
void audits_note(struct audits *a, double score, enum audit_result result);

/* The level in force for this bound: guard_level(max_error) or more. Takes no lock as long as none
 * of what is kept differed. */
double audits_level(struct audits *a, double max_error);

struct audits_share {
    int64_t results[AUDIT_RESULTS]; /* since the start */
    unsigned judged, different;     /* of those that are kept */
    double share, low, high;        /* different / judged and its 95 % Wilson interval; NAN: none */
};
struct audits_share audits_share(struct audits *a);

#endif
