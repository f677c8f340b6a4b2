/* key_json.c - keys to JSON and drafts from it, for the admin API and the command line. A key's
 * secret is never here. */
#include "admin/key_json.h"

#include "base/clock.h"

static const char *const periods[] = {
    [BUDGET_NONE] = "", [BUDGET_DAY] = "day", [BUDGET_MONTH] = "month", [BUDGET_TOTAL] = "total"};

bool key_label_is_fine(str s)
{
    return s.len > 0 && s.len <= KEY_NAME_BYTES_MAX && str_is_utf8(s) && !str_has_control(s);
}

/* ---- out ---- */

void key_row_json(struct buf *b, const struct key_row *row)
{
    buf_add_char(b, '{');
    json_member_id(b, "id", &row->id);
    json_member_str(b, "tag", row->tag);
    json_member_str(b, "name", row->name);
    json_member_time(b, "created_at", row->created_us);
    json_member_time(b, "expires_at", row->expires_us);
    json_member_time(b, "revoked_at", row->revoked_us);
    json_member_time(b, "last_used_at", row->last_used_us);
    json_member_int(b, "rpm", row->rpm);
    json_member_int(b, "tpm", row->tpm);
    json_member_money(b, "budget_usd", row->budget);
    json_member_str_or_null(b, "budget_period", str_of_c(periods[row->period]));
    json_member_money(b, "budget_spent_usd", row->budget_spent);
    json_member_json(b, "models", row->models_json);
    json_member_str_or_null(b, "cache_group", row->cache_group);
    json_member_json(b, "tags", row->tags_json);
}

void key_page_json(struct buf *b, const struct key_row *rows, size_t count, const struct uuid *next,
                   const struct config *config)
{
    static const struct uuid none;
    buf_add(b, STR("{"));
    json_begin_list(b, "keys");
    for (size_t i = 0; i < count; i++) {
        json_next(b);
        key_row_json(b, &rows[i]);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
    json_member_id(b, "next", next != NULL ? next : &none);
    json_begin_object(b, "defaults");
    json_member_int(b, "rpm", config->limits.rpm);
    json_member_int(b, "tpm", config->limits.tpm);
    buf_add(b, STR("}}"));
}

/* ---- in ---- */

struct key_draft key_draft_new(void)
{
    return (struct key_draft){.rpm = -1, .tpm = -1, .budget = PUSD_UNKNOWN};
}

struct key_draft key_draft_of(const struct key_row *row, struct arena *a)
{
    struct key_draft d = {.name = row->name,
                          .cache_group = row->cache_group,
                          .rpm = row->rpm,
                          .tpm = row->tpm,
                          .budget = row->budget,
                          .period = row->period,
                          .expires_us = row->expires_us,
                          .tags =
                              str_eq(row->tags_json, STR("{}")) ? (str){NULL, 0} : row->tags_json};
    yyjson_val *models = json_parse(a, row->models_json, NULL);
    size_t index, max;
    yyjson_val *item;
    d.models = arena_new(a, str, yyjson_arr_size(models) + 1);
    yyjson_arr_foreach(models, index, max, item)
    {
        d.models[d.model_count++] = json_str(item);
    }
    return d;
}

/* What is being read. */
struct reading {
    struct key_draft *d;
    struct arena *a;
    int64_t now_us;
    str why;
};

static bool refuse(struct reading *r, str why)
{
    r->why = why;
    return false;
}

static bool read_name(struct reading *r, yyjson_val *v)
{
    r->d->name = str_trim(json_str(v));
    return key_label_is_fine(r->d->name) ||
           refuse(r, STR("'name' must be 1 to 128 characters of text."));
}

static bool read_limit(struct reading *r, yyjson_val *v, int64_t *out)
{
    if (yyjson_is_null(v)) {
        *out = -1;
        return true;
    }
    return (json_i64(v, out) && *out >= 0 && *out <= KEY_LIMIT_MAX) ||
           refuse(r, STR("A limit must be a whole number (0: none) or null for the default."));
}

static bool read_rpm(struct reading *r, yyjson_val *v)
{
    return read_limit(r, v, &r->d->rpm);
}

static bool read_tpm(struct reading *r, yyjson_val *v)
{
    return read_limit(r, v, &r->d->tpm);
}

static bool read_budget(struct reading *r, yyjson_val *v)
{
    bool exact = false;
    if (yyjson_is_null(v)) {
        r->d->budget = PUSD_UNKNOWN;
        r->d->period = BUDGET_NONE;
        return true;
    }
    return (yyjson_is_str(v) && pusd_parse(json_str(v), &r->d->budget, &exact) && exact &&
            r->d->budget >= 0) ||
           refuse(r, STR("'budget_usd' must be an amount of US dollars as text, such as \"12.50\", "
                         "or null."));
}

static bool read_period(struct reading *r, yyjson_val *v)
{
    for (int i = BUDGET_DAY; i <= BUDGET_TOTAL; i++) {
        if (yyjson_is_str(v) && str_eq(json_str(v), str_of_c(periods[i]))) {
            r->d->period = (enum budget_period)i;
            return true;
        }
    }
    if (yyjson_is_null(v)) {
        r->d->period = BUDGET_NONE;
        r->d->budget = PUSD_UNKNOWN;
        return true;
    }
    return refuse(r, STR("'budget_period' must be day, month, total or null."));
}

static bool read_models(struct reading *r, yyjson_val *v)
{
    size_t index, max;
    yyjson_val *item;
    bool ok = yyjson_is_arr(v) && yyjson_arr_size(v) <= KEY_MODELS_MAX;
    r->d->models = arena_new(r->a, str, yyjson_arr_size(v) + 1);
    r->d->model_count = 0;
    yyjson_arr_foreach(v, index, max, item)
    {
        str name = str_trim(json_str(item));
        ok = ok && key_label_is_fine(name);
        if (ok)
            r->d->models[r->d->model_count++] = name;
    }
    return ok || refuse(r, STR("'models' must be a list of at most 256 names; an empty one allows "
                               "all."));
}

static bool read_group(struct reading *r, yyjson_val *v)
{
    r->d->cache_group = str_trim(json_str(v));
    bool none = yyjson_is_null(v) || (yyjson_is_str(v) && r->d->cache_group.len == 0);
    return none || key_label_is_fine(r->d->cache_group) ||
           refuse(r, STR("'cache_group' must be at most 128 characters of text, or null."));
}

static bool read_tags(struct reading *r, yyjson_val *v)
{
    size_t index, max;
    yyjson_val *name, *value;
    bool ok = yyjson_is_obj(v) && yyjson_obj_size(v) <= KEY_TAGS_MAX;
    struct buf b;
    buf_init(&b, KEY_TAGS_BYTES_MAX);
    buf_add_char(&b, '{');
    yyjson_obj_foreach(v, index, max, name, value)
    {
        str text = json_str(value);
        ok = ok && key_label_is_fine(json_str(name)) && yyjson_is_str(value) &&
             (text.len == 0 || key_label_is_fine(text));
        if (ok)
            json_member_str(&b, arena_copy(r->a, json_str(name)).p, text);
    }
    buf_add_char(&b, '}');
    ok = ok && !b.full;
    if (ok)
        r->d->tags = b.len > 2 ? arena_copy(r->a, buf_str(&b)) : (str){NULL, 0};
    buf_deinit(&b);
    return ok || refuse(r, STR("'tags' must be an object of at most 32 texts, 2 kB in all."));
}

static bool read_expiry(struct reading *r, yyjson_val *v)
{
    int64_t at = 0, before = r->d->expires_us;
    str text = json_str(v);
    bool ok = yyjson_is_null(v) ||
              (text.len >= 19 && clock_utc_parse(text, &at) && (at > r->now_us || at == before));
    r->d->expires_us = at;
    return ok || refuse(r, STR("'expires_at' must be a UTC time to come, such as "
                               "2030-01-31T00:00:00Z, or null."));
}

static const struct {
    const char *name;
    bool (*read)(struct reading *r, yyjson_val *v);
} members[] = {{"name", read_name},
               {"rpm", read_rpm},
               {"tpm", read_tpm},
               {"budget_usd", read_budget},
               {"budget_period", read_period},
               {"models", read_models},
               {"cache_group", read_group},
               {"tags", read_tags},
               {"expires_at", read_expiry}};
#define MEMBERS (sizeof members / sizeof *members)

bool key_draft_read(yyjson_val *object, struct key_draft *d, int64_t now_us, struct arena *a,
                    const char **param, str *why)
{
    struct reading r = {.d = d, .a = a, .now_us = now_us};
    size_t index, max, i;
    yyjson_val *name, *value;
    yyjson_obj_foreach(object, index, max, name, value)
    {
        for (i = 0; i < MEMBERS && !str_eq(json_str(name), str_of_c(members[i].name)); i++) {
        }
        *param = i < MEMBERS ? members[i].name : arena_copy(a, str_head(json_str(name), 100)).p;
        if (i == MEMBERS) {
            *why = STR("A key has no such setting.");
            return false;
        }
        if (!members[i].read(&r, value)) {
            *why = r.why;
            return false;
        }
    }
    *param = "budget_period";
    *why = STR("A budget needs both 'budget_usd' and 'budget_period'.");
    return pusd_known(d->budget) == (d->period != BUDGET_NONE);
}
