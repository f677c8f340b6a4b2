/* key_columns.c - what a key's columns mean, for every kind of store. */
#include "store/key_columns.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define KEY_MODELS_MAX 256u
#define DAY_US         INT64_C(86400000000)

str budget_period_text(enum budget_period period)
{
    static const char *const words[] = {[BUDGET_NONE] = "",
                                        [BUDGET_DAY] = "day",
                                        [BUDGET_MONTH] = "month",
                                        [BUDGET_TOTAL] = "total"};
    return str_of_c(words[period]);
}

enum budget_period budget_period_of(str text)
{
    for (unsigned p = BUDGET_DAY; p <= BUDGET_TOTAL; p++) {
        if (str_eq(text, budget_period_text((enum budget_period)p))) {
            return (enum budget_period)p;
        }
    }
    return BUDGET_NONE;
}

int64_t budget_period_first_day(enum budget_period period, int64_t now_us)
{
    switch (period) {
    case BUDGET_DAY:
        return now_us / DAY_US;
    case BUDGET_MONTH:
        return clock_month_start(now_us) / DAY_US;
    default:
        return 0;
    }
}

static void read_models(str json, struct arena *a, struct key *out)
{
    static const str nothing = {"", 0};
    yyjson_val *list = json_parse(a, json, NULL);
    if (!yyjson_is_arr(list)) {
        out->models = arena_new(a, str, 1);
        out->models[0] = nothing;
        out->model_count = 1;
        return;
    }
    out->models = arena_new(a, str, yyjson_arr_size(list) + 1);
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(list, index, count, value)
    {
        if (out->model_count < KEY_MODELS_MAX) {
            out->models[out->model_count++] = json_str(value);
        }
    }
}

struct key *key_from_columns(struct key *values, str models_json, str tags_json)
{
    struct arena a;
    arena_init(&a, 0);
    values->tags = str_eq(tags_json, STR("{}")) ? (str){0} : tags_json;
    read_models(models_json, &a, values);
    struct key *out = key_copy(values);
    arena_deinit(&a);
    return out;
}

str key_models_json(const struct key_draft *draft, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_add_char(&b, '[');
    for (unsigned i = 0; i < draft->model_count; i++) {
        if (i > 0) {
            buf_add_char(&b, ',');
        }
        json_add_str(&b, draft->models[i]);
    }
    buf_add_char(&b, ']');
    str out = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

struct uuid key_id_new(int64_t now_us)
{
    struct uuid_state state;
    memset(&state, 0, sizeof state);
    return uuid_new(&state, now_us);
}

bool key_not_found(str wanted, bool twice, struct arena *a, str *why)
{
    *why = arena_printf(a,
                        twice ? "more than one key is called '" STR_FMT "': give its id"
                              : "there is no key '" STR_FMT "': 'relay keys list' shows them",
                        STR_ARG(wanted));
    return false;
}
