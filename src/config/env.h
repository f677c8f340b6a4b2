/* env.h - variables inside scalars: ${NAME} and ${NAME:-default}; $${ is a plain ${. */
#ifndef RELAY_CONFIG_ENV_H
#define RELAY_CONFIG_ENV_H

#include "config/config.h"

#define ENV_EXPANDED_BYTES_MAX 65536u

struct expansion {
    str text;    /* with the variables put in; unset ones as nothing */
    str missing; /* "A and B": variables without a default that are not set or empty */
    bool unset;  /* one of them is not set at all */
    bool used;   /* there was a variable: the text may be a secret and is not shown */
};

/* NULL: fine. Else what is wrong with the text, one sentence without a full stop. A default is
 * taken for an empty variable too, as in a shell. What comes out of a variable is not looked at
 * again. */
const char *env_expand(struct arena *a, str text, const struct config_source *source,
                       struct expansion *out);

#endif
