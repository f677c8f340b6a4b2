/* store_url.h - what a store's URL says before anybody opens it. */
#ifndef RELAY_CONFIG_STORE_URL_H
#define RELAY_CONFIG_STORE_URL_H

#include <stdbool.h>

#include "base/arena.h"

/* True for what begins with postgresql:// or postgres://. */
bool store_url_is_postgres(str url);

/* NULL, or what such a URL must be; the text does not quote it. What libpq would read another way
 * than it was meant, and would then quote in its messages, is found here: a password with an @ in
 * it, and one among the parameters. */
const char *store_url_fault(str url);

/* The path of a "sqlite:" URL. */
str store_url_path(str url);

#endif
