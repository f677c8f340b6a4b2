/* client_url.c - the few things a client needs of URLs: an http(s) base or proxy address, split. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/url.h"
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

bool origin_url_parse(str text, struct origin_url *out)
{
    struct url parts;
    memset(out, 0, sizeof *out);
    if (text.len > URL_BYTES_MAX || url_parse(text, &parts) != NULL || parts.extra.len > 0) {
        return false;
    }
    while (parts.path.len > 0 && parts.path.p[parts.path.len - 1] == '/') {
        parts.path.len--;
    }
    char port[8] = "";
    if (parts.port != (parts.https ? 443 : 80)) {
        snprintf(port, sizeof port, ":%d", parts.port);
    }
    const str authority[] = {parts.ipv6 ? STR("[") : STR(""), parts.host,
                             parts.ipv6 ? STR("]") : STR(""), str_of_c(port)};
    out->tls = parts.https;
    out->port = (unsigned)parts.port;
    out->authority = text_join(authority, 4, NULL);
    out->host = xmemdup0(parts.host.p, parts.host.len);
    out->path = xmemdup0(parts.path.len > 0 ? parts.path.p : "", parts.path.len);
    out->user_info = parts.user.len > 0 ? xmemdup0(parts.user.p, parts.user.len) : NULL;
    return true;
}

void origin_url_deinit(struct origin_url *u)
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
