/* store_url.c - scheme and credentials; all else of a PostgreSQL URL is read by libpq. */
#include "config/store_url.h"

#define SCHEMES_COUNT 2u

static const str schemes[SCHEMES_COUNT] = {STR_INIT("postgresql://"), STR_INIT("postgres://")};

static size_t scheme_length(str url)
{
    for (unsigned i = 0; i < SCHEMES_COUNT; i++) {
        if (str_starts(url, schemes[i])) {
            return schemes[i].len;
        }
    }
    return 0;
}

bool store_url_is_postgres(str url)
{
    return scheme_length(url) > 0;
}

static bool has_secret_parameter(str extra)
{
    str parameter;
    while (extra.len > 0) {
        str_cut(extra, '&', &parameter, &extra);
        if (str_starts_nocase(parameter, STR("password=")) ||
            str_starts_nocase(parameter, STR("sslpassword="))) {
            return true;
        }
    }
    return false;
}

const char *store_url_fault(str url)
{
    str rest = str_sub(url, scheme_length(url), url.len), path, extra, authority, tail;
    size_t ats = 0;
    str_cut(rest, '/', &authority, &tail);
    for (size_t i = 0; i < authority.len; i++) {
        ats += authority.p[i] == '@';
    }
    str_cut(tail, '?', &path, &extra);
    if (ats > 1 || str_find_char(path, '@', 0) != SIZE_MAX || str_has_control(url) ||
        str_find_char(url, ' ', 0) != SIZE_MAX) {
        return "a PostgreSQL URL whose password has its special characters percent-encoded (@ as "
               "%40, / as %2F)";
    }
    if (has_secret_parameter(extra) || (path.len == 0 && has_secret_parameter(authority))) {
        return "a PostgreSQL URL with its password before the @, or none (then PGPASSWORD or a "
               "password file has it), but not among its parameters";
    }
    return NULL;
}

str store_url_path(str url)
{
    return str_sub(url, sizeof "sqlite:" - 1, url.len);
}
