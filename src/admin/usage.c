/* usage.c - sums over the request log. */
#include <string.h>

#include "admin/handlers.h"
#include "admin/log_json.h"
#include "admin/log_query.h"

#define LIMIT_DEFAULT  100
#define LIMIT_MAX      1000
#define MINUTES_MAX_US (INT64_C(3) * 3600 * 1000000)

struct usage_asked {
    struct log_asked log;
    struct usage_query query;
    struct usage_sums sums;
};

static bool read_by(struct admin_call *c, enum usage_by *out)
{
    str text = query_get(&c->query, "by");
    if (text.p == NULL)
        return true;
    for (int by = 0; by < USAGE_BY_COUNT; by++) {
        if (str_eq(text, str_of_c(usage_by_text((enum usage_by)by)))) {
            *out = (enum usage_by)by;
            return true;
        }
    }
    return admin_fail(c, ERR_INVALID_REQUEST, "by",
                      "'by' must be minute, hour, day, provider, model, key or tag.");
}

bool usage_ask(struct admin_call *c)
{
    struct usage_asked *u = arena_new(&c->arena, struct usage_asked, 1);
    enum usage_by by = USAGE_BY_HOUR;
    int64_t limit = LIMIT_DEFAULT;
    c->data = u;
    if (!log_query_read(c, &u->log) || !read_by(c, &by) ||
        !admin_count(c, "limit", LIMIT_MAX, &limit))
        return false;
    u->query = (struct usage_query){.by = by,
                                    .from_us = u->log.from_us,
                                    .to_us = u->log.to_us,
                                    .filter = u->log.filter,
                                    .limit = (size_t)limit};
    return by != USAGE_BY_MINUTE || u->log.to_us - u->log.from_us <= MINUTES_MAX_US ||
           admin_fail(c, ERR_INVALID_REQUEST, "by",
                      "By the minute a range may have three hours; ask by hour.");
}

bool usage_work(struct admin_call *c, struct db *d)
{
    struct usage_asked *u = c->data;
    str why;
    return db_usage(d, &u->query, &c->arena, &u->sums, &why);
}

void usage_answer(struct admin_call *c)
{
    const struct usage_asked *u = c->data;
    usage_json(&c->out, &u->query, &u->sums);
}
