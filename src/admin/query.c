/* query.c - takes a query string apart: names, values, percent signs. Which parameters a call knows
 * is its row in routes.c. */
#include "admin/query.h"

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool percent_decode(struct arena *a, str text, bool plus, str *out)
{
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.p[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return false;
        to[len++] = c;
    }
    *out = str_of(to, len);
    return str_is_utf8(*out);
}

bool query_parse(struct arena *a, str text, struct query *out)
{
    str rest = text, pair, name, value;
    out->count = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, '&', &pair, &rest);
        if (pair.len == 0)
            continue;
        (void)str_cut(pair, '=', &name, &value);
        if (out->count == QUERY_PARAMS_MAX)
            return false;
        struct query_param *p = &out->v[out->count];
        if (!percent_decode(a, name, true, &p->name) || !percent_decode(a, value, true, &p->value))
            return false;
        for (unsigned i = 0; i < out->count; i++) {
            if (str_eq(out->v[i].name, p->name))
                return false;
        }
        out->count++;
    }
    return true;
}

str query_get(const struct query *q, const char *name)
{
    for (unsigned i = 0; i < q->count; i++) {
        if (str_eq(q->v[i].name, str_of_c(name)))
            return q->v[i].value;
    }
    return (str){NULL, 0};
}
