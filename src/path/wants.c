/* wants.c - Relay's own fields of a request: `routing`, `cache`, `metadata`, and the headers that
 * say the same (reference 3).
 *
 * A header counts where the body is silent. Wrong types and impossible numbers are refused by name.
 */
#include <math.h>

#include "path/request.h"

struct reader {
    struct request *r;
    str *why, *param;
};

static bool refuse(struct reader *rd, const char *field, const char *what)
{
    *rd->param = str_of_c(field);
    *rd->why = arena_printf(&rd->r->arena, "'%s' must be %s.", field, what);
    return false;
}

/* A number >= 0 (or null) into *out. */
static bool read_num(struct reader *rd, yyjson_val *object, const char *key, const char *field,
                     double max, double *out)
{
    bool wrong = false;
    double value;
    if (json_get_num(object, key, &value, &wrong)) {
        if (!isfinite(value) || value < 0 || value > max)
            return refuse(rd, field, "a number that is not negative and not absurdly large");
        *out = value;
    }
    return wrong ? refuse(rd, field, "a number") : true;
}

static bool read_bool(struct reader *rd, yyjson_val *object, const char *key, const char *field,
                      bool *out)
{
    bool wrong = false;
    (void)json_get_bool(object, key, out, &wrong);
    return wrong ? refuse(rd, field, "true or false") : true;
}

static bool read_names(struct reader *rd, yyjson_val *object, const char *key, const char *field,
                       str **out, unsigned *count)
{
    yyjson_val *list = json_get(object, key);
    if (list == NULL)
        return true;
    size_t n = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || n > NAMES_MAX)
        return refuse(rd, field, "a list of at most 64 names");
    str *names = arena_new(&rd->r->arena, str, n > 0 ? n : 1);
    yyjson_val *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (size_t i = 0; (item = yyjson_arr_iter_next(&it)) != NULL; i++) {
        if (!yyjson_is_str(item))
            return refuse(rd, field, "a list of names");
        names[i] = json_str(item);
    }
    *out = names;
    *count = (unsigned)n;
    return true;
}

/* A decimal number of dollars, read from its text so that it stays exact. */
static bool read_money(struct reader *rd, str object_raw, const char *key, const char *field,
                       pusd *out)
{
    str raw = json_member_raw(object_raw, str_of_c(key));
    if (raw.len == 0 || str_eq(raw, STR("null")))
        return true;
    if (!pusd_parse(raw, out, NULL) || *out < 0)
        return refuse(rd, field, "an amount of US dollars that is not negative");
    return true;
}

static bool read_routing(struct reader *rd, yyjson_val *root)
{
    struct wants *w = &rd->r->wants;
    yyjson_val *routing = json_get(root, "routing");
    if (routing == NULL)
        return true;
    if (!yyjson_is_obj(routing))
        return refuse(rd, "routing", "an object");
    double deadline = 0;
    str raw = json_member_raw(rd->r->x->body, STR("routing"));
    bool ok = read_num(rd, routing, "max_latency_ms", "routing.max_latency_ms", 1e9,
                       &w->max_latency_ms) &&
              read_num(rd, routing, "min_quality", "routing.min_quality", 100, &w->min_quality) &&
              read_num(rd, routing, "deadline_ms", "routing.deadline_ms", 1e9, &deadline) &&
              read_money(rd, raw, "max_cost_usd", "routing.max_cost_usd", &w->max_cost) &&
              read_names(rd, routing, "only", "routing.only", &w->only, &w->only_count) &&
              read_names(rd, routing, "ignore", "routing.ignore", &w->ignore, &w->ignore_count) &&
              read_names(rd, routing, "models", "routing.models", &w->models, &w->model_count) &&
              read_bool(rd, routing, "fallbacks", "routing.fallbacks", &w->fallbacks) &&
              read_bool(rd, routing, "strict", "routing.strict", &w->strict);
    w->deadline_ms = (int64_t)ceil(deadline);
    return ok;
}

static bool cache_mode(struct wants *w, str mode)
{
    if (str_eq(mode, STR("semantic")))
        return true;
    if (str_eq(mode, STR("exact"))) {
        w->cache_semantic = false;
        return true;
    }
    if (str_eq(mode, STR("refresh"))) {
        w->cache_read = false;
        w->cache_replace = true;
        return true;
    }
    if (!str_eq(mode, STR("off")))
        return false;
    w->cache_read = w->cache_write = false;
    return true;
}

static bool read_cache(struct reader *rd, yyjson_val *root)
{
    struct wants *w = &rd->r->wants;
    yyjson_val *cache = json_get(root, "cache");
    if (cache == NULL)
        return true;
    if (!yyjson_is_obj(cache))
        return refuse(rd, "cache", "an object");
    bool wrong = false;
    str mode = STR("semantic");
    (void)json_get_str(cache, "mode", &mode, &wrong);
    if (wrong || !cache_mode(w, mode))
        return refuse(rd, "cache.mode", "one of semantic, exact, off, refresh");
    (void)json_get_str(cache, "namespace", &w->cache_namespace, &wrong);
    if (wrong || w->cache_namespace.len > 256)
        return refuse(rd, "cache.namespace", "a text of at most 256 bytes");
    double ttl_s = -1;
    if (!read_num(rd, cache, "ttl_s", "cache.ttl_s", 1e9, &ttl_s) ||
        !read_num(rd, cache, "threshold", "cache.threshold", 1, &w->cache_threshold))
        return false;
    if (ttl_s >= 0)
        w->cache_ttl_ms = (int64_t)(ttl_s * 1000);
    return true;
}

static bool read_metadata(struct reader *rd, yyjson_val *root)
{
    struct wants *w = &rd->r->wants;
    yyjson_val *metadata = json_get(root, "metadata");
    bool store = false;
    if (!read_bool(rd, root, "store", "store", &store))
        return false;
    w->store_metadata = store;
    if (metadata == NULL)
        return true;
    if (!yyjson_is_obj(metadata))
        return refuse(rd, "metadata", "an object");
    str raw = json_member_raw(rd->r->x->body, STR("metadata"));
    if (raw.len > RECORD_TAGS_MAX)
        return refuse(rd, "metadata", "at most 2048 bytes long");
    w->tags = raw;
    return true;
}

/* "team=x,env=prod" as a JSON object. */
static bool read_tags_header(struct reader *rd, str header)
{
    if (header.len == 0)
        return true;
    struct buf out;
    buf_init(&out, RECORD_TAGS_MAX);
    (void)buf_add_char(&out, '{');
    while (header.len > 0) {
        str pair, name, value;
        (void)str_cut(header, ',', &pair, &header);
        (void)str_cut(pair, '=', &name, &value);
        name = str_trim(name);
        if (name.len == 0)
            continue;
        if (out.len > 1)
            (void)buf_add_char(&out, ',');
        (void)json_add_str(&out, name);
        (void)buf_add_char(&out, ':');
        (void)json_add_str(&out, str_trim(value));
    }
    (void)buf_add_char(&out, '}');
    bool ok = !out.full;
    if (ok && rd->r->wants.tags.len == 0 && out.len > 2)
        rd->r->wants.tags = arena_copy(&rd->r->arena, buf_str(&out));
    buf_deinit(&out);
    return ok ? true : refuse(rd, "x-relay-tags", "at most 2048 bytes long");
}

static bool header_num(struct reader *rd, enum http_header name, double max, double *out)
{
    str text = exchange_header(rd->r->x, name);
    double value;
    if (text.len == 0 || *out != NO_TARGET)
        return true;
    if (!str_to_double(text, &value) || value < 0 || value > max)
        return refuse(rd, http_header_text(name),
                      "a number that is not negative and not absurdly large");
    *out = value;
    return true;
}

static bool read_cache_control(struct reader *rd, str header)
{
    struct wants *w = &rd->r->wants;
    while (header.len > 0) {
        str item, name, value;
        uint64_t seconds;
        (void)str_cut(header, ',', &item, &header);
        (void)str_cut(str_trim(item), '=', &name, &value);
        if (str_eq_nocase(name, STR("no-store"))) {
            w->cache_read = w->cache_write = false;
        } else if (str_eq_nocase(name, STR("no-cache"))) {
            w->cache_read = false;
            w->cache_replace = true;
        } else if (str_eq_nocase(name, STR("max-age")) && str_to_u64(str_trim(value), &seconds) &&
                   seconds < 1u << 30) {
            w->cache_max_age_ms = (int64_t)seconds * 1000;
        }
    }
    return true;
}

static bool read_headers(struct reader *rd)
{
    struct wants *w = &rd->r->wants;
    str mode = exchange_header(rd->r->x, HEADER_X_RELAY_CACHE);
    if (mode.len > 0 && w->cache_read && w->cache_write && !cache_mode(w, mode))
        return refuse(rd, "x-relay-cache", "one of semantic, exact, off, refresh");
    str ttl = exchange_header(rd->r->x, HEADER_X_RELAY_CACHE_TTL);
    uint64_t seconds = 0;
    if (ttl.len > 0 && (!str_to_u64(ttl, &seconds) || seconds > 1000000000))
        return refuse(rd, "x-relay-cache-ttl", "a whole number of seconds");
    if (ttl.len > 0 && w->cache_ttl_ms < 0)
        w->cache_ttl_ms = (int64_t)seconds * 1000;
    return header_num(rd, HEADER_X_RELAY_MAX_LATENCY_MS, 1e9, &w->max_latency_ms) &&
           header_num(rd, HEADER_X_RELAY_MIN_QUALITY, 100, &w->min_quality) &&
           read_tags_header(rd, exchange_header(rd->r->x, HEADER_X_RELAY_TAGS)) &&
           read_cache_control(rd, exchange_header(rd->r->x, HEADER_CACHE_CONTROL));
}

enum err wants_read(struct request *r, yyjson_val *root, str *why, str *param)
{
    r->wants = (struct wants){
        .max_latency_ms = NO_TARGET,
        .min_quality = NO_TARGET,
        .max_cost = PUSD_UNKNOWN,
        .fallbacks = true,
        .cache_read = true,
        .cache_write = true,
        .cache_semantic = true,
        .cache_ttl_ms = -1,
        .cache_max_age_ms = -1,
    };
    struct reader rd = {r, why, param};
    bool ok = read_routing(&rd, root) && read_cache(&rd, root) && read_metadata(&rd, root) &&
              read_headers(&rd);
    return ok ? OK : ERR_INVALID_REQUEST;
}
