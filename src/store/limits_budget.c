/* limits_budget.c - money per calendar day, month (UTC) and in all.
 *
 * All three are counted for every id, so a budget that is set later knows what was spent before. A
 * request belongs to the periods in which it was reserved: its cost and its reservation never count
 * in a later one, which is also how the request log dates it. */
#include "base/clock.h"
#include "store/limits_internal.h"

void budget_move(struct budget *b, int64_t now_us)
{
    int64_t day = clock_day_start(now_us);
    if (day <= b->day) {
        return; /* a month begins with a day */
    }
    b->day = day;
    b->spent[BUDGET_DAY] = b->reserved[BUDGET_DAY] = 0;
    int64_t month = clock_month_start(now_us);
    if (month > b->month) {
        b->month = month;
        b->spent[BUDGET_MONTH] = b->reserved[BUDGET_MONTH] = 0;
    }
}

pusd budget_left(const struct budget *b, enum budget_period period, pusd budget)
{
    return budget - b->spent[period] - b->reserved[period];
}

int64_t budget_period_end(enum budget_period period, int64_t now_us)
{
    switch (period) {
    case BUDGET_DAY:
        return clock_next_day_start(now_us);
    case BUDGET_MONTH:
        return clock_next_month_start(now_us);
    default:
        return 0;
    }
}

bool budget_is_current(const struct budget *b, enum budget_period period, int64_t us)
{
    return (period != BUDGET_DAY || us >= b->day) && (period != BUDGET_MONTH || us >= b->month);
}

static void add_to(const struct budget *b, pusd *sums, int64_t reserved_us, pusd amount)
{
    for (unsigned p = BUDGET_DAY; p <= BUDGET_TOTAL; p++) {
        pusd sum;
        if (budget_is_current(b, (enum budget_period)p, reserved_us)) {
            sums[p] = __builtin_add_overflow(sums[p], amount, &sum) ? INT64_MAX / 4 : sum;
        }
    }
}

void budget_reserve(struct budget *b, int64_t reserved_us, pusd amount)
{
    add_to(b, b->reserved, reserved_us, amount);
}

void budget_spend(struct budget *b, int64_t reserved_us, pusd amount)
{
    add_to(b, b->spent, reserved_us, amount);
}
