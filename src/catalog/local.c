/* local.c - the one model that Relay serves itself. */
#include <math.h>

#include "catalog/catalog.h"

const struct model catalog_local_model = {
    .capabilities = CAP_EMBEDDINGS,
    .context = 256,
    .max_output = -1,
    .quality = NAN,
    .prices = {0},
    .id = STR_INIT("relay/all-MiniLM-L6-v2"),
    .id_json = STR_INIT("\"relay/all-MiniLM-L6-v2\""),
    .name = STR_INIT("all-MiniLM-L6-v2"),
    .provider_name = STR_INIT("relay"),
    .quality_source = STR_INIT("embeddings have none"),
    .price_source = STR_INIT("free: it runs in Relay"),
    .installed = true,
};
