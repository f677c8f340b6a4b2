/* url.c - RFC 3986's http(s) form, without anything a base URL cannot need. */
#include "config/url.h"

#include <arpa/inet.h>

static bool is_host(str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!alnum && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return host.len <= 253;
}

static bool is_ipv6(str host)
{
    char text[64];
    unsigned char address[16];
    if (host.len == 0 || host.len >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, address) == 1;
}

bool url_parse_authority(str text, struct url *out)
{
    size_t colon;
    if (text.len > 0 && text.p[0] == '[') {
        size_t close = str_find_char(text, ']', 0);
        if (close == SIZE_MAX || !is_ipv6(str_sub(text, 1, close))) {
            return false;
        }
        out->host = str_sub(text, 1, close);
        out->ipv6 = true;
        if (close + 1 == text.len) {
            return true;
        }
        colon = close + 1;
        if (text.p[colon] != ':') {
            return false;
        }
    } else {
        colon = str_find_char(text, ':', 0);
        out->host = str_sub(text, 0, colon);
        if (!is_host(out->host)) {
            return false;
        }
        if (colon == SIZE_MAX) {
            return true;
        }
    }
    uint64_t port;
    if (!str_to_u64(str_sub(text, colon + 1, text.len), &port) || port > 65535) {
        return false;
    }
    out->port = (int)port;
    out->has_port = true;
    return true;
}

const char *url_parse(str text, struct url *out)
{
    *out = (struct url){0};
    size_t from;
    if (str_starts_nocase(text, STR("https://"))) {
        out->https = true;
        from = 8;
    } else if (str_starts_nocase(text, STR("http://"))) {
        from = 7;
    } else {
        return "it must begin with http:// or https://";
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
            return "it holds a blank or a character that must be percent-encoded";
        }
    }
    size_t end = from;
    while (end < text.len && strchr("/?#", text.p[end]) == NULL) {
        end++;
    }
    size_t extra = end;
    while (extra < text.len && text.p[extra] != '?' && text.p[extra] != '#') {
        extra++;
    }
    out->path = str_sub(text, end, extra);
    out->extra = str_sub(text, extra, text.len);
    str authority = str_sub(text, from, end);
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.p[i] == '@') {
            out->user = str_sub(authority, 0, i);
            authority = str_sub(authority, i + 1, authority.len);
            break;
        }
    }
    if (!url_parse_authority(authority, out) || (out->has_port && out->port == 0)) {
        return "its host or port is not valid";
    }
    if (out->host.len == 0) {
        return "it has no host";
    }
    if (!out->has_port) {
        out->port = out->https ? 443 : 80;
    }
    return NULL;
}

/* 127.0.0.0/8, written as four numbers: a name such as 127.0.0.1.example.org is anybody's. */
static bool is_loopback_v4(str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (!str_starts(host, STR("127.")) || host.len >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

bool url_host_is_loopback(str host)
{
    return str_eq_nocase(host, STR("localhost")) || is_loopback_v4(host) ||
           str_eq(host, STR("::1")) ||
           (host.len > 10 &&
            str_eq_nocase(str_sub(host, host.len - 10, host.len), STR(".localhost")));
}
