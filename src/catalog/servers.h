/* servers.h - what is known about providers as such, not about their models. The facts are the rows
 * of config/builtin.c. */
#ifndef RELAY_CATALOG_SERVERS_H
#define RELAY_CATALOG_SERVERS_H

#include "config/builtin.h"
#include "config/config.h"

/* May an image be given as an address that the provider itself fetches? */
enum takes server_takes_image_urls(const struct provider_config *p);

/* Before anything was measured; {0, 0}: nobody publishes it. */
struct speed server_speed(str provider_name);

#endif
