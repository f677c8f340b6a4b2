/* gate.h - may this model serve this ask at all? For catalog/ only. */
#ifndef RELAY_CATALOG_GATE_H
#define RELAY_CATALOG_GATE_H

#include "catalog/choose.h"

/* Who is looked at: a model of the catalogue, or (model NULL) a name that goes to a provider as it
 * is. */
struct subject {
    const struct model *model;
    str provider, name;
};
struct subject subject_of(const struct catalog *c, const struct ask *ask, const struct model *m);

/* Did the client name its models itself (pinned, ordered, passed)? Then the bars of routing do not
 * apply, and whether the model can do the job is between the two of them. */
bool asked_by_name(const struct ask *ask);

/* Allow-list, `only`, `ignore`. */
enum refusal_reason gate_lists(const struct catalog *c, const struct ask *ask, struct subject s);

enum unsure {
    UNKNOWN_IS_ABSENT,  /* auto: never a model that may not be able */
    UNKNOWN_IS_PRESENT, /* a group of which nobody is known to be able */
    ALL_IS_PRESENT, /* asked by name: all but image addresses, which Relay would have to fetch, and
                       the kind of answer, which no model changes */
};
enum refusal_reason gate_capabilities(const struct ask *ask, const struct model *m,
                                      enum unsure unsure);

#endif
