/* model_json.h - models of the catalogue as JSON, with the latency that the request log tells. */
#ifndef RELAY_ADMIN_MODEL_JSON_H
#define RELAY_ADMIN_MODEL_JSON_H

#include "base/json_members.h"
#include "catalog/catalog.h"
#include "store/store.h"

#define MODEL_LATENCY_WINDOW_US (INT64_C(24) * 3600 * 1000000)

/* The model's row, or NULL. */
const struct latency_row *model_latency(const struct latency_row *rows, size_t count,
                                        const struct model *m);

/* The names of capability bits, with `separator` between and `quote` around them, in the arena. */
str model_capabilities(struct arena *a, unsigned bits, const char *separator, const char *quote);

/* One model, without its last brace. `latency` may be NULL. */
void model_json(struct buf *b, struct arena *a, const struct model *m,
                const struct latency_row *latency);

/* "key":{"p50":…,"p95":…}; NAN: null. */
void spread_json(struct buf *b, const char *key, double p50, double p95);

#endif
