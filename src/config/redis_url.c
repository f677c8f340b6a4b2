/* redis_url.c - taken apart with the parser of http URLs: the parts are the same. */
#include "config/redis_url.h"

#include "config/url.h"

bool redis_url_is(str text)
{
    return str_starts_nocase(text, STR("redis://")) || str_starts_nocase(text, STR("rediss://"));
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded; false at a sign that is not followed by two hex digits, or that stands for a
 * control character. */
static bool decode(struct arena *a, str text, str *out)
{
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.p[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.p[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;
            if (low < 0) {
                return false;
            }
            c = high * 16 + low;
            i += 2;
        }
        to[len++] = (char)c;
    }
    to[len] = '\0';
    *out = str_of(to, len);
    return !str_has_control(*out);
}

static bool parse_database(str path, unsigned *out)
{
    uint64_t number = 0;
    if (path.len > 1 &&
        (!str_to_u64(str_sub(path, 1, path.len), &number) || number > REDIS_DATABASES_MAX)) {
        return false;
    }
    *out = (unsigned)number;
    return true;
}

static bool parse_extra(struct arena *a, str extra, struct redis_url *out)
{
    static const str name = STR_INIT("?ca_file=");
    if (extra.len == 0) {
        return true;
    }
    return out->tls && extra.len > name.len && str_starts(extra, name) &&
           decode(a, str_sub(extra, name.len, extra.len), &out->ca_file);
}

bool redis_url_parse(struct arena *a, str text, struct redis_url *out)
{
    *out = (struct redis_url){0};
    if (!redis_url_is(text)) {
        return false;
    }
    out->tls = str_starts_nocase(text, STR("rediss:"));
    size_t from = str_find(text, STR("://"), 0);
    str rest = str_sub(text, from, text.len);
    str http = arena_printf(a, "http" STR_FMT, STR_ARG(rest));
    struct url parts;
    if (url_parse(http, &parts) != NULL) {
        return false;
    }
    str user, password;
    if (!str_cut(parts.user, ':', &user, &password)) {
        user = parts.user;
    }
    out->host = parts.host;
    out->port = parts.has_port ? parts.port : REDIS_PORT;
    out->address = arena_printf(a, parts.ipv6 ? "[" STR_FMT "]:%d" : STR_FMT ":%d",
                                STR_ARG(out->host), out->port);
    return decode(a, user, &out->user) && decode(a, password, &out->password) &&
           (out->user.len == 0 || out->password.len > 0) &&
           parse_database(parts.path, &out->database) && parse_extra(a, parts.extra, out);
}
