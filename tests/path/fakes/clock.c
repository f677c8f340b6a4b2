/* clock.c - both clocks stand where the world's time is. The linker puts these in the place of
 * clock_mono_ns() and clock_utc_us() (--wrap), so that clock.c's calendar stays the real one. */
#include "base/clock.h"
#include "world.h"

#define EPOCH_US INT64_C(1795000000000000) /* in November 2026, early in a UTC day */

uint64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_utc_us(void);

static const struct world *now; /* allowed: the real clocks are global too */

void fake_clock_set(const struct world *w)
{
    now = w;
}

uint64_t __wrap_clock_mono_ns(void)
{
    return (now != NULL ? now->now_ms : 0) * UINT64_C(1000000);
}

int64_t __wrap_clock_utc_us(void)
{
    return EPOCH_US + (int64_t)((now != NULL ? now->now_ms : 0) * 1000);
}
