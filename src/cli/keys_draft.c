/* keys_draft.c - the options of `relay keys create` and `update`, checked one by one. */
#include "cli/keys.h"

#include "admin/key_json.h"
#include "base/clock.h"
#include "base/json.h"
#include "config/settings.h"

static bool apply_limit(const char *option, const char *text, int64_t *out)
{
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "default") == 0) {
        *out = -1;
        return true;
    }
    if (str_to_i64(str_of_c(text), out) && *out <= KEY_LIMIT_MAX) {
        return true;
    }
    cli_error("--%s must be a whole number (0: no limit) or default, not \"%s\".", option, text);
    return false;
}

static bool apply_budget(const struct draft_options *o, struct key_draft *d)
{
    bool exact;
    if (o->budget != NULL && strcmp(o->budget, "none") == 0) {
        d->budget = PUSD_UNKNOWN;
        d->period = BUDGET_NONE;
    } else if (o->budget != NULL &&
               (!pusd_parse(str_of_c(o->budget), &d->budget, &exact) || !exact || d->budget < 0)) {
        cli_error(
            "--budget-usd must be an amount of US dollars such as 12.50, or none, not \"%s\".",
            o->budget);
        return false;
    }
    if (o->period != NULL) {
        static const char *const words[] = {
            [BUDGET_DAY] = "day", [BUDGET_MONTH] = "month", [BUDGET_TOTAL] = "total"};
        enum budget_period found = BUDGET_NONE;
        for (int i = BUDGET_DAY; i <= BUDGET_TOTAL; i++) {
            if (strcmp(o->period, words[i]) == 0) {
                found = (enum budget_period)i;
            }
        }
        if (found == BUDGET_NONE) {
            cli_error("--budget-period must be day, month or total, not \"%s\".", o->period);
            return false;
        }
        d->period = found;
    }
    if (pusd_known(d->budget) != (d->period != BUDGET_NONE)) {
        cli_error("a budget needs both: --budget-usd X --budget-period day|month|total.");
        return false;
    }
    return true;
}

static bool apply_models(const char *text, struct key_draft *d, struct arena *a)
{
    if (text == NULL) {
        return true;
    }
    d->models = arena_new(a, str, KEY_MODELS_MAX);
    d->model_count = 0;
    str rest = str_of_c(text), item;
    while (rest.len > 0) {
        str_cut(rest, ',', &item, &rest);
        item = str_trim(item);
        if (item.len == 0) {
            continue;
        }
        if (!key_label_is_fine(item) || d->model_count == KEY_MODELS_MAX) {
            cli_error("--models must be at most %u names separated by commas.", KEY_MODELS_MAX);
            return false;
        }
        d->models[d->model_count++] = item;
    }
    return true;
}

static bool apply_tags(const char *text, struct key_draft *d, struct arena *a)
{
    if (text == NULL) {
        return true;
    }
    struct buf b;
    buf_init(&b, 4096);
    buf_add_char(&b, '{');
    str rest = str_of_c(text), item, name, value, seen[KEY_TAGS_MAX];
    unsigned count = 0;
    bool ok = true;
    while (rest.len > 0 && ok) {
        str_cut(rest, ',', &item, &rest);
        if (str_trim(item).len == 0) {
            continue;
        }
        ok = str_cut(item, '=', &name, &value) && count < KEY_TAGS_MAX;
        name = str_trim(name);
        value = str_trim(value);
        ok = ok && key_label_is_fine(name) && (value.len == 0 || key_label_is_fine(value));
        for (unsigned i = 0; i < count && ok; i++) {
            ok = !str_eq(seen[i], name);
        }
        if (ok) {
            seen[count++] = name;
            json_key(&b, arena_copy(a, name).p);
            json_add_str(&b, value);
        }
    }
    buf_add_char(&b, '}');
    ok = ok && !b.full && b.len <= KEY_TAGS_BYTES_MAX;
    if (ok) {
        d->tags = count > 0 ? arena_copy(a, buf_str(&b)) : (str){NULL, 0};
    } else {
        cli_error(
            "--tags must be name=value pairs separated by commas, each name once, 2 kB at most.");
    }
    buf_deinit(&b);
    return ok;
}

static bool apply_expiry(const char *text, struct key_draft *d, int64_t now_us)
{
    int64_t ms;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "never") == 0) {
        d->expires_us = 0;
        return true;
    }
    str s = str_of_c(text);
    if (config_parse_time_ms(s, &ms) && ms > 0 && ms < INT64_C(3650000) * 86400) {
        d->expires_us = now_us + ms * 1000;
        return true;
    }
    if (s.len >= 19 && clock_utc_parse(s, &d->expires_us) && d->expires_us > now_us) {
        return true;
    }
    cli_error("--expires must be a duration such as 30d, a UTC time to come such as "
              "2030-01-31T00:00:00Z, or never, not \"%s\".",
              text);
    return false;
}

bool draft_apply(const struct draft_options *o, struct key_draft *d, int64_t now_us,
                 struct arena *a)
{
    if (o->name != NULL) {
        d->name = str_trim(str_of_c(o->name));
        if (!key_label_is_fine(d->name)) {
            cli_error("--name must be 1 to %u characters of text.", KEY_NAME_BYTES_MAX);
            return false;
        }
    }
    if (o->group != NULL) {
        d->cache_group = str_trim(str_of_c(o->group));
        if (d->cache_group.len > 0 && !key_label_is_fine(d->cache_group)) {
            cli_error("--cache-group must be at most %u characters of text.", KEY_NAME_BYTES_MAX);
            return false;
        }
    }
    return apply_limit("rpm", o->rpm, &d->rpm) && apply_limit("tpm", o->tpm, &d->tpm) &&
           apply_budget(o, d) && apply_models(o->models, d, a) && apply_tags(o->tags, d, a) &&
           apply_expiry(o->expires, d, now_us);
}
