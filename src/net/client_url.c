/* client_url.c - the few things a client needs of URLs: an http(s) base or proxy address, split. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/client_internal.h"

#define URL_BYTES_MAX 2048u

char *text_join(const str *parts, size_t count, size_t *len)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += parts[i].len;
    }
    char *text = xmalloc(bytes + 1);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(text + at, parts[i].p, parts[i].len);
            at += parts[i].len;
        }
    }
    text[at] = '\0';
    if (len != NULL) {
        *len = at;
    }
    return text;
}

static bool split_port(str authority, str *host, unsigned *port)
{
    str rest;
    if (authority.len > 0 && authority.p[0] == '[') {
        size_t end = str_find_char(authority, ']', 0);
        if (end == SIZE_MAX) {
            return false;
        }
        *host = str_sub(authority, 1, end);
        rest = str_sub(authority, end + 1, authority.len);
    } else {
        size_t colon = str_find_char(authority, ':', 0);
        *host = str_sub(authority, 0, colon);
        rest = colon == SIZE_MAX ? (str){NULL, 0} : str_sub(authority, colon, authority.len);
    }
    if (rest.len == 0) {
        return host->len > 0;
    }
    uint64_t number;
    if (rest.p[0] != ':' || !str_to_u64(str_sub(rest, 1, rest.len), &number) || number == 0 ||
        number > 65535) {
        return false;
    }
    *port = (unsigned)number;
    return host->len > 0;
}

static bool is_plain(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

bool url_parse(str text, struct url *out)
{
    str rest, authority, path = {NULL, 0}, user = {NULL, 0}, host;
    memset(out, 0, sizeof *out);
    out->tls = str_starts_nocase(text, STR("https://"));
    if (text.len > URL_BYTES_MAX || !is_plain(text) ||
        (!out->tls && !str_starts_nocase(text, STR("http://")))) {
        return false;
    }
    rest = str_sub(text, out->tls ? 8 : 7, text.len);
    size_t slash = str_find_char(rest, '/', 0);
    authority = str_sub(rest, 0, slash);
    if (slash != SIZE_MAX) {
        path = str_sub(rest, slash, rest.len);
    }
    while (path.len > 0 && path.p[path.len - 1] == '/') {
        path.len--;
    }
    for (size_t at; (at = str_find_char(authority, '@', 0)) != SIZE_MAX;) {
        user = str_of(rest.p, (size_t)(authority.p - rest.p) + at);
        authority = str_sub(authority, at + 1, authority.len);
    }
    unsigned usual = out->tls ? 443 : 80;
    out->port = usual;
    if (!split_port(authority, &host, &out->port) || str_find_char(path, '?', 0) != SIZE_MAX ||
        str_find_char(path, '#', 0) != SIZE_MAX || str_find_char(host, '?', 0) != SIZE_MAX) {
        return false;
    }
    char port[8];
    snprintf(port, sizeof port, ":%u", out->port);
    bool six = str_find_char(host, ':', 0) != SIZE_MAX;
    const str parts[] = {six ? STR("[") : STR(""), host, six ? STR("]") : STR(""),
                         out->port != usual ? str_of_c(port) : STR("")};
    out->authority = text_join(parts, 4, NULL);
    out->host = xmemdup0(host.p, host.len);
    out->path = path.len > 0 ? xmemdup0(path.p, path.len) : xmemdup0("", 0);
    out->user_info = user.p != NULL ? xmemdup0(user.p, user.len) : NULL;
    return true;
}

void url_deinit(struct url *u)
{
    free(u->host);
    free(u->authority);
    free(u->path);
    free(u->user_info);
    memset(u, 0, sizeof *u);
}

char *base64_of(str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = xcalloc((bytes.len + 2) / 3 * 4 + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < bytes.len ? (uint32_t)(unsigned char)bytes.p[i + k] : 0);
        }
        out[n++] = digits[v >> 18];
        out[n++] = digits[v >> 12 & 63];
        out[n++] = i + 1 < bytes.len ? digits[v >> 6 & 63] : '=';
        out[n++] = i + 2 < bytes.len ? digits[v & 63] : '=';
    }
    return out;
}
