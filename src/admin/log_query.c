/* log_query.c - reads range and filters of a question about the log, the same way for every call.
 */
#include "admin/log_query.h"

#define DAY_US INT64_C(86400000000)

static bool read_status(struct admin_call *c, struct log_filter *f)
{
    str text = query_get(&c->query, "status");
    int64_t exact;
    if (text.p == NULL)
        return true;
    if (str_eq(text, STR("error"))) {
        f->status_from = 400;
        f->status_to = 999;
    } else if (text.len == 3 && str_ends(text, STR("xx")) && text.p[0] >= '1' && text.p[0] <= '5') {
        f->status_from = (text.p[0] - '0') * 100;
        f->status_to = f->status_from + 99;
    } else if (str_to_i64(text, &exact) && exact >= 100 && exact <= 599) {
        f->status_from = f->status_to = (int)exact;
    } else {
        return admin_fail(c, ERR_INVALID_REQUEST, "status",
                          "'status' must be a status such as 200, 2xx, 4xx, 5xx, or error.");
    }
    return true;
}

static bool read_cache(struct admin_call *c, struct log_filter *f)
{
    str text = query_get(&c->query, "cache");
    if (str_eq(text, STR("hit")))
        f->caches = 1u << CACHE_EXACT | 1u << CACHE_SEMANTIC | 1u << CACHE_SHARED;
    for (unsigned kind = 0; kind <= CACHE_BYPASS; kind++) {
        if (str_eq(text, str_of_c(cache_kind_text((enum cache_kind)kind))))
            f->caches = 1u << kind;
    }
    return text.p == NULL || f->caches != 0 ||
           admin_fail(c, ERR_INVALID_REQUEST, "cache",
                      "'cache' must be exact, semantic, shared, miss, bypass or hit.");
}

static bool read_model(struct admin_call *c, struct log_filter *f)
{
    str model = query_get(&c->query, "model"), provider = query_get(&c->query, "provider"), of;
    f->provider = provider;
    if (model.p == NULL)
        return true;
    if (!str_cut(model, '/', &of, &f->model) || of.len == 0 || f->model.len == 0)
        return admin_fail(c, ERR_INVALID_REQUEST, "model", "'model' must be provider/model.");
    if (provider.len > 0 && !str_eq(provider, of))
        return admin_fail(c, ERR_INVALID_REQUEST, "model",
                          "'model' is of another provider than 'provider'.");
    f->provider = of;
    return true;
}

bool log_query_read(struct admin_call *c, struct log_asked *out)
{
    bool has_key;
    out->to_us = c->now_us;
    if (!admin_time(c, "to", &out->to_us))
        return false;
    out->from_us = out->to_us - DAY_US;
    if (!admin_time(c, "from", &out->from_us) || !admin_id(c, "key", &out->key, &has_key) ||
        !read_model(c, &out->filter) || !read_status(c, &out->filter) ||
        !read_cache(c, &out->filter))
        return false;
    out->filter.key = has_key ? &out->key : NULL;
    return out->from_us <= out->to_us ||
           admin_fail(c, ERR_INVALID_REQUEST, "from", "'from' must not be after 'to'.");
}

/* ---- names ---- */

void key_names_init(struct key_names *n, struct arena *a)
{
    map_init(&n->by_id);
    n->arena = a;
}

void key_names_deinit(struct key_names *n)
{
    map_deinit(&n->by_id);
}

bool key_names_find(struct key_names *n, struct db *d, const struct uuid *id,
                    const struct key_row **out)
{
    static const struct key_row none;
    str name = str_of((const char *)id->b, sizeof id->b);
    const struct key_row *known = map_find(&n->by_id, name);
    if (known == NULL && !uuid_is_none(id)) {
        struct key_query one = {.id = id, .limit = 1};
        struct key_row *rows;
        size_t count;
        str why;
        if (!db_keys_list(d, &one, n->arena, &rows, &count, &why))
            return false;
        known = count > 0 ? rows : &none;
        map_put(&n->by_id, arena_copy(n->arena, name), (void *)(uintptr_t)known);
    }
    *out = known == &none ? NULL : known;
    return true;
}
