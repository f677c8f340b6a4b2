/* servers.h - what is known about providers as such, not about their models. */
#ifndef RELAY_CATALOG_SERVERS_H
#define RELAY_CATALOG_SERVERS_H

#include "config/config.h"

enum takes { TAKES_UNKNOWN, TAKES_NO, TAKES_YES };

/* May an image be given as an address that the provider itself fetches? */
enum takes server_takes_image_urls(const struct provider_config *p);

/* How fast a class of servers answers, before anything was measured: half of the first tokens come
 * within first_token_ms, and then tokens at this rate. first_token_ms == 0: nobody publishes it. */
struct speed {
    double first_token_ms, tokens_per_s;
};
struct speed server_speed(str provider_name);

#endif
