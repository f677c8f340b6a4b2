/* builtin.h - the providers that Relay knows by name. */
#ifndef RELAY_CONFIG_BUILTIN_H
#define RELAY_CONFIG_BUILTIN_H

#include "base/str.h"

struct builtin_provider {
    const char *name, *kind, *base_url;
    const char *key_variable; /* NULL: it needs no key */
    const char *url_variable; /* host or URL from the environment, or NULL */
};

/* Ended by a row with a NULL name. */
extern const struct builtin_provider builtin_providers[];

/* NULL when there is none of this name. */
const struct builtin_provider *builtin_find(str name);

#endif
