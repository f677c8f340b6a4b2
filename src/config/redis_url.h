/* redis_url.h - the address of a Redis server as one writes it:
 * redis://[user[:password]@]host[:port][/database], rediss:// with TLS, and ?ca_file=PATH for
 * certificates that the system does not know. */
#ifndef RELAY_CONFIG_REDIS_URL_H
#define RELAY_CONFIG_REDIS_URL_H

#include <stdbool.h>

#include "base/arena.h"

#define REDIS_PORT          6379
#define REDIS_DATABASES_MAX 65535

struct redis_url {
    bool tls;
    str user, password; /* decoded; empty: none */
    str host;           /* without brackets */
    int port;
    unsigned database;
    str ca_file; /* empty: the system's certificates */
    str address; /* host:port, for people: nothing secret is in it */
};

/* False: it is not such an address. Texts are in the arena. */
bool redis_url_parse(struct arena *a, str text, struct redis_url *out);

/* True for what begins with redis:// or rediss://. */
bool redis_url_is(str text);

#endif
