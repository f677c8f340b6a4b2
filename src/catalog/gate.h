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
 * apply, and a capability that nobody states is taken to be there. */
bool asked_by_name(const struct ask *ask);

/* Allow-list, `only`, `ignore`. */
enum refusal_reason gate_lists(const struct catalog *c, const struct ask *ask, struct subject s);

/* Capabilities. `unknown_is_there`: see above. */
enum refusal_reason gate_capabilities(const struct ask *ask, const struct model *m,
                                      bool unknown_is_there);

/* Context and answer length, as far as they are known. */
enum refusal_reason gate_size(const struct ask *ask, const struct model *m);

#endif
