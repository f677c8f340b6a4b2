/* checks.c - what the texts of single settings may be. Each check answers a text without a meaning
 * ("\n") with what is allowed, which is how the reference gets its sentences. */
#include "config/settings.h"

#include "config/redis_url.h"
#include "config/store_url.h"
#include "config/url.h"

const char *check_listen(struct arena *a, str *text)
{
    (void)a;
    struct url parts = {0};
    bool bracketed = text->len > 0 && text->p[0] == '[';
    if (!url_parse_authority(*text, &parts) || !parts.has_port || (bracketed && !parts.ipv6)) {
        return "an address with a port: 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080";
    }
    return NULL;
}

const char *check_listen_or_empty(struct arena *a, str *text)
{
    return text->len == 0 || check_listen(a, text) == NULL
               ? NULL
               : "an address with a port such as 127.0.0.1:8081, or empty";
}

const char *check_admin_key(struct arena *a, str *text)
{
    (void)a;
    bool ok = text->len == 0 || (text->len >= 16 && text->len <= 256);
    for (size_t i = 0; i < text->len; i++) {
        ok = ok && text->p[i] > ' ' && text->p[i] < 0x7f;
    }
    return ok ? NULL : "16 to 256 characters without blanks, or empty";
}

const char *check_store(struct arena *a, str *text)
{
    static const char allowed[] = "sqlite:PATH, the path of a file, or "
                                  "postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
    if (store_url_is_postgres(*text)) {
        return store_url_fault(*text);
    }
    str path = *text;
    if (str_starts(path, STR("sqlite:"))) {
        path = str_sub(path, 7, path.len);
        if (str_starts(path, STR("//"))) {
            path = str_sub(path, 2, path.len);
        }
    } else if (str_find(path, STR("://"), 0) != SIZE_MAX) {
        return allowed;
    }
    if (path.len == 0 || path.len > 1024 || path.p[path.len - 1] == '/' || path.p[0] == '\n' ||
        str_starts(path, STR(":memory:"))) {
        return allowed;
    }
    *text = arena_printf(a, "sqlite:" STR_FMT, STR_ARG(path));
    return NULL;
}

const char *check_shared(struct arena *a, str *text)
{
    struct redis_url parts;
    return str_eq(*text, STR("memory")) || redis_url_parse(a, *text, &parts)
               ? NULL
               : "memory, or redis://[user:password@]host[:port][/database] (rediss:// with TLS, "
                 "and "
                 "?ca_file=PATH there)";
}

/* What lets Relay in there goes into telemetry.headers, where it is known to be a secret. */
const char *check_collector(struct arena *a, str *text)
{
    (void)a;
    struct url parts;
    if (text->len > 0 &&
        (url_parse(*text, &parts) != NULL || parts.user.len > 0 || parts.extra.len > 0)) {
        return "an http:// or https:// URL without a name, a password and a query, or empty";
    }
    return NULL;
}

const char *check_origin(struct arena *a, str *text)
{
    (void)a;
    struct url parts;
    if (str_eq(*text, STR("*"))) {
        return NULL;
    }
    if (url_parse(*text, &parts) != NULL || parts.path.len > 0 || parts.extra.len > 0 ||
        parts.user.len > 0) {
        return "an origin such as https://app.example.com (no path), or \"*\"";
    }
    return NULL;
}

bool config_is_model_id(str id, str *provider)
{
    str model;
    if (id.len > 256 || !str_cut(id, '/', provider, &model) || provider->len == 0 ||
        model.len == 0) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        if ((unsigned char)id.p[i] <= ' ' || id.p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

const char *check_model(struct arena *a, str *text)
{
    (void)a;
    str provider;
    return config_is_model_id(*text, &provider)
               ? NULL
               : "provider/model, such as groq/llama-3.1-8b-instant";
}

const char *check_model_or_empty(struct arena *a, str *text)
{
    return text->len > 0 && check_model(a, text) != NULL ? "provider/model, or empty" : NULL;
}

const char *check_kind(struct arena *a, str *text)
{
    (void)a;
    static const char *const kinds[] = {"openai", "anthropic", "gemini", "ollama"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (str_eq(*text, str_of_c(kinds[i]))) {
            return NULL;
        }
    }
    return "one of openai, anthropic, gemini, ollama";
}

const char *check_proxy(struct arena *a, str *text)
{
    struct url parts;
    if (text->len == 0 || str_eq(*text, STR("none"))) {
        return NULL;
    }
    str url = *text;
    if (str_find(url, STR("://"), 0) == SIZE_MAX) {
        url = arena_printf(a, "http://" STR_FMT, STR_ARG(url));
    }
    if (url_parse(url, &parts) != NULL || parts.https || parts.extra.len > 0 ||
        (parts.path.len > 0 && !str_eq(parts.path, STR("/")))) {
        return "http://[user:password@]host:port, none, or empty";
    }
    *text = str_sub(url, 0, url.len - parts.path.len);
    return NULL;
}
