/* query.h - the query of an address, taken apart. */
#ifndef RELAY_ADMIN_QUERY_H
#define RELAY_ADMIN_QUERY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define QUERY_PARAMS_MAX 32u

struct query {
    struct query_param {
        str name, value; /* decoded, UTF-8 */
    } v[QUERY_PARAMS_MAX];
    unsigned count;
};

/* False: it is not well-formed, has too many parameters or one of them twice. */
bool query_parse(struct arena *a, str text, struct query *out);

/* Empty with p == NULL where it is missing. */
str query_get(const struct query *q, const char *name);

/* %XX to bytes; `plus` is a blank. False: a % without two digits, a NUL, or not UTF-8. */
bool percent_decode(struct arena *a, str text, bool plus, str *out);

#endif
