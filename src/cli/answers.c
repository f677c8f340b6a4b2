/* answers.c - the cache of a running gateway, and the file that it survives a restart in. */
#include <stdlib.h>

#include "cli/runtime.h"
#include "guard/guard.h"
#include "store/answers_file.h"

static str features_of(struct arena *scratch, str text)
{
    return guard_features_bytes(guard_features_make(scratch, text));
}

void answers_start(struct runtime *rt)
{
    const struct config *c = rt->config;
    char *why = NULL;
    rt->gateway.answers = answers_new(c->cache.max_entries, c->cache.max_bytes);
    if (!c->cache.exact && !c->cache.semantic) {
        answers_file_remove(c->local_store);
        return;
    }
    struct answers_file_options options = {
        .store_url = c->local_store,
        .answers = rt->gateway.answers,
        .log = &rt->log,
        .encoder_version = rt->gateway.encoder_version,
        .features = features_of,
    };
    rt->answers_file = answers_file_open(&options, &why);
    if (rt->answers_file != NULL)
        store_set_answers_file(rt->gateway.store, rt->answers_file);
    else
        LOG(&rt->log, LOG_WARN, "cached answers are in memory only", LOG_S("why", str_of_c(why)));
    free(why);
}
