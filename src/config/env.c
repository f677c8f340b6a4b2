/* env.c - variables are put in after parsing, so no value of a variable can change the file's
 * structure. */
#include "config/env.h"

#include <stdlib.h>

const char *config_env_process(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static bool is_name(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.len > 0 && name.len <= 128;
}

static void add_missing(struct arena *a, str name, struct expansion *out)
{
    out->missing = out->missing.len == 0 ? arena_copy(a, name)
                                         : arena_printf(a, STR_FMT " and " STR_FMT,
                                                        STR_ARG(out->missing), STR_ARG(name));
}

/* What stands between ${ and }. */
static const char *expand_one(struct arena *a, str inside, const struct config_source *source,
                              struct expansion *out, struct buf *b)
{
    size_t dash = str_find(inside, STR(":-"), 0);
    str name = str_sub(inside, 0, dash);
    if (!is_name(name)) {
        return "a variable is written ${NAME} or ${NAME:-default}; write $${ for a plain ${";
    }
    const char *value =
        source->env != NULL ? source->env(source->env_ctx, arena_copy(a, name).p) : NULL;
    bool empty = value == NULL || *value == '\0';
    out->used = true;
    if (!empty) {
        buf_add(b, str_of_c(value));
    } else if (dash != SIZE_MAX) {
        str fallback = str_sub(inside, dash + 2, inside.len);
        if (str_find(fallback, STR("${"), 0) != SIZE_MAX) {
            return "a default may not hold another variable";
        }
        buf_add(b, fallback);
    } else {
        add_missing(a, name, out);
        out->unset = out->unset || value == NULL;
    }
    return NULL;
}

const char *env_expand(struct arena *a, str text, const struct config_source *source,
                       struct expansion *out)
{
    *out = (struct expansion){.text = text};
    if (str_find(text, STR("${"), 0) == SIZE_MAX) {
        return NULL;
    }
    struct buf b;
    buf_init(&b, ENV_EXPANDED_BYTES_MAX);
    const char *problem = NULL;
    size_t at = 0;
    while (at < text.len && problem == NULL) {
        size_t open = str_find(text, STR("${"), at);
        if (open == SIZE_MAX) {
            buf_add(&b, str_sub(text, at, text.len));
            break;
        }
        if (open > at && text.p[open - 1] == '$') {
            buf_add(&b, str_sub(text, at, open - 1));
            buf_add(&b, STR("${"));
            at = open + 2;
            continue;
        }
        buf_add(&b, str_sub(text, at, open));
        size_t close = str_find_char(text, '}', open);
        if (close == SIZE_MAX) {
            problem = "a ${ has no } after it";
            break;
        }
        problem = expand_one(a, str_sub(text, open + 2, close), source, out, &b);
        at = close + 1;
    }
    if (problem == NULL && b.full) {
        problem = "it is longer than 64 KiB once its variables are put in";
    }
    out->text = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return problem;
}
