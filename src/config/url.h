/* url.h - the parts of an http(s) URL, strictly: for base URLs, proxies and origins of the
 * configuration. */
#ifndef RELAY_CONFIG_URL_H
#define RELAY_CONFIG_URL_H

#include <stdbool.h>

#include "base/str.h"

struct url {
    bool https;
    str user;  /* user:password before the @, raw, or empty */
    str host;  /* without brackets */
    bool ipv6; /* the host stood in brackets */
    int port;  /* the scheme's where none is given */
    bool has_port;
    str path;  /* from its slash, or empty */
    str extra; /* from ? or #, or empty */
};

/* NULL, or what is wrong: "it has no host". All parts borrow the text. */
const char *url_parse(str text, struct url *out);

/* host:port with host possibly in brackets or empty; false when it is something else. */
bool url_parse_authority(str text, struct url *out);

/* 127.0.0.0/8, ::1, localhost and its subdomains. */
bool url_host_is_loopback(str host);

#endif
