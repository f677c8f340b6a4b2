/* script.c - rules. A rule says which requests it is for, how often, and which settings they get:
 * {"match":{"model":"gpt-*","contains":"hi"},"times":2,"then":{"status":503}}. Rules are tried in
 * order; the first that fits and has times left is used, and no other. */
#include <string.h>

#include "sim.h"

enum match_kind { MATCH_PATH, MATCH_MODEL, MATCH_KEY, MATCH_CONTAINS, MATCH_STREAM, MATCH_CHANCE };

static const char *const match_names[] = {"path", "model", "key", "contains", "stream", "chance"};

enum { MATCH_COUNT = sizeof match_names / sizeof match_names[0] };

/* A star at the end of a pattern stands for anything. */
static bool fits_pattern(struct slice pattern, struct slice text)
{
    if (pattern.size && pattern.at[pattern.size - 1] == '*') {
        pattern.size--;
        if (text.size < pattern.size)
            return false;
        text.size = pattern.size;
    }
    return slice_same(pattern, text);
}

static bool fits_one(struct sim *s, enum match_kind kind, struct slice wanted, const struct ask *a,
                     struct slice path)
{
    double chance;
    switch (kind) {
    case MATCH_PATH:
        return fits_pattern(wanted, path);
    case MATCH_MODEL:
        return fits_pattern(wanted, a->model);
    case MATCH_KEY:
        return fits_pattern(wanted, a->key);
    case MATCH_CONTAINS:
        return slice_has(bytes_slice(&a->text), wanted);
    case MATCH_STREAM:
        return slice_is(wanted, "true") == a->stream;
    case MATCH_CHANCE:
        return slice_real(wanted, &chance) && random_unit(&s->random) < chance;
    }
    return false;
}

static bool fits(struct sim *s, yyjson_val *match, const struct ask *a, struct slice path)
{
    for (unsigned i = 0; i < MATCH_COUNT; i++) {
        yyjson_val *value = yyjson_obj_get(match, match_names[i]);
        struct slice wanted;
        if (value && (!plan_scalar_text(value, &wanted) || !fits_one(s, i, wanted, a, path)))
            return false;
    }
    return true;
}

bool script_apply(struct sim *s, const struct ask *a, struct slice path, struct plan *p,
                  int64_t *rule, struct bytes *why)
{
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(s->config.rules, i, count, item)
    {
        int64_t *left = &s->config.times_left[i];
        if (*left == 0 || !fits(s, yyjson_obj_get(item, "match"), a, path))
            continue;
        if (*left > 0)
            --*left;
        s->config.hits[i]++;
        *rule = (int64_t)i;
        return plan_set_all(p, yyjson_obj_get(item, "then"), NULL, why);
    }
    return true;
}

static bool match_is_known(yyjson_val *match)
{
    size_t i, count;
    yyjson_val *key, *value;
    struct slice text;
    yyjson_obj_foreach(match, i, count, key, value)
    {
        bool known = false;
        for (size_t k = 0; k < MATCH_COUNT; k++)
            known |= yyjson_equals_str(key, match_names[k]);
        if (!known || !plan_scalar_text(value, &text))
            return false;
    }
    return true;
}

bool script_check(yyjson_val *rules, struct bytes *why)
{
    size_t i, count;
    yyjson_val *item;
    if (rules && !yyjson_is_arr(rules))
        return ask_fail(why, "relay-sim: rules must be an array");
    if (yyjson_arr_size(rules) > RULES_MAX)
        return ask_fail(why, "relay-sim: too many rules");
    yyjson_arr_foreach(rules, i, count, item)
    {
        yyjson_val *match = yyjson_obj_get(item, "match"), *then = yyjson_obj_get(item, "then");
        if ((match && !yyjson_is_obj(match)) || !match_is_known(match))
            return ask_fail(why, "relay-sim: match knows path, model, key, contains, stream, "
                                 "chance");
        if (!yyjson_is_obj(then))
            return ask_fail(why, "relay-sim: a rule needs an object named then");
        struct plan scratch;
        plan_init(&scratch);
        bool good = plan_set_all(&scratch, then, NULL, why);
        plan_deinit(&scratch);
        if (!good)
            return false;
    }
    return true;
}
