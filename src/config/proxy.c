/* proxy.c - which proxy a provider is reached through.
 *
 * A provider's own setting comes first. Else the variables that other programs read: https_proxy or
 * HTTPS_PROXY for https, http_proxy alone for http (HTTP_PROXY can be set by a request's header in
 * CGI), and no_proxy or NO_PROXY: a list of hosts and domains, with an optional port, IP networks
 * as 10.0.0.0/8, or `*`. Loopback addresses never use a proxy. */
#include "config/loader.h"
#include "config/url.h"

#include <arpa/inet.h>

static str env_first(const struct config_source *source, const char *name, const char *other)
{
    const char *value = NULL;
    if (source->env != NULL) {
        value = source->env(source->env_ctx, name);
        if ((value == NULL || *value == '\0') && other != NULL) {
            value = source->env(source->env_ctx, other);
        }
    }
    return str_trim(str_of_c(value));
}

/* An address as bytes: 4, 16, or 0 when the text is a name. */
static unsigned address_bytes(str text, unsigned char out[16])
{
    char c[64];
    if (text.len == 0 || text.len >= sizeof c) {
        return 0;
    }
    memcpy(c, text.p, text.len);
    c[text.len] = '\0';
    return inet_pton(AF_INET, c, out) == 1 ? 4 : inet_pton(AF_INET6, c, out) == 1 ? 16 : 0;
}

static bool in_network(str host, str network)
{
    unsigned char a[16], b[16];
    str base, bits_text;
    uint64_t bits;
    if (!str_cut(network, '/', &base, &bits_text) || !str_to_u64(bits_text, &bits)) {
        return false;
    }
    unsigned bytes = address_bytes(host, a);
    if (bytes == 0 || address_bytes(base, b) != bytes || bits > bytes * 8u) {
        return false;
    }
    unsigned whole = (unsigned)bits / 8, rest = (unsigned)bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool item_matches(str item, const struct url *u)
{
    struct url parts = {0};
    if (str_eq(item, STR("*")) || in_network(u->host, item)) {
        return true;
    }
    str name = item;
    if (str_find_char(item, ':', 0) != SIZE_MAX &&
        address_bytes(item, (unsigned char[16]){0}) != 16) {
        if (!url_parse_authority(item, &parts) || (parts.has_port && parts.port != u->port)) {
            return false;
        }
        name = parts.host;
    }
    if (str_starts(name, STR("*."))) {
        name = str_sub(name, 1, name.len);
    }
    str domain = name.len > 0 && name.p[0] == '.' ? str_sub(name, 1, name.len) : name;
    if (domain.len == 0 || u->host.len < domain.len) {
        return false;
    }
    size_t before = u->host.len - domain.len;
    return str_eq_nocase(str_sub(u->host, before, u->host.len), domain) &&
           (before == 0 || u->host.p[before - 1] == '.');
}

static bool is_excepted(const struct config_source *source, const struct url *u)
{
    if (url_host_is_loopback(u->host)) {
        return true;
    }
    str rest = env_first(source, "no_proxy", "NO_PROXY");
    while (rest.len > 0) {
        str item;
        str_cut(rest, ',', &item, &rest);
        if (item_matches(str_trim(item), u)) {
            return true;
        }
    }
    return false;
}

bool config_find_proxy(const struct config_source *source, struct arena *a, str url, str *proxy)
{
    struct url u;
    *proxy = (str){NULL, 0};
    if (url_parse(url, &u) != NULL || is_excepted(source, &u)) {
        return true;
    }
    str found = u.https ? env_first(source, "https_proxy", "HTTPS_PROXY")
                        : env_first(source, "http_proxy", NULL);
    if (found.len > 0 && check_proxy(a, &found) != NULL) {
        return false;
    }
    if (!str_eq(found, STR("none"))) {
        *proxy = arena_copy(a, found);
    }
    return true;
}

bool provider_find_proxy(struct loader *l, struct provider_config *p, const struct node *at)
{
    if (str_eq(p->proxy, STR("none"))) {
        p->proxy = (str){NULL, 0};
        return true;
    }
    if (p->proxy.len > 0 ||
        config_find_proxy(l->source, &l->config->arena, p->base_url, &p->proxy)) {
        return true;
    }
    str path = arena_printf(l->scratch, "providers." STR_FMT, STR_ARG(p->name));
    return loader_fail(l, at, path,
                       "cannot use the proxy of %s: only http://[user:password@]host:port is "
                       "possible; add its host to NO_PROXY, or set `proxy: none`.",
                       str_starts(p->base_url, STR("https:")) ? "HTTPS_PROXY" : "http_proxy");
}
