/* loader.h - what the stages of config_load() share: the snapshot that is being filled, and the
 * first error. */
#ifndef RELAY_CONFIG_LOADER_H
#define RELAY_CONFIG_LOADER_H

#include "config/config.h"
#include "config/env.h"
#include "config/settings.h"
#include "config/tree.h"

struct loader {
    struct config *config;
    const struct config_source *source;
    struct arena *scratch;         /* tree and texts that the snapshot does not keep */
    str file;                      /* for people; empty without a file */
    str error;                     /* the first one; empty while all is well */
    bool set[CONFIG_SETTINGS_MAX]; /* by row of config_settings: some source named it */
};

/* Records "FILE:LINE:COLUMN: PATH sentence" unless there is an error already; `at` may be NULL.
 * Always false. */
bool loader_fail(struct loader *l, const struct node *at, str path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- apply.c ---- */

/* A key that `table` does not know, under `path`; returns true when this function has taken it. */
typedef bool loader_other_fn(struct loader *l, str path, struct node *item, bool *ok, void *ctx);

/* Walks the mapping along the table into `base`. `other` (may be NULL) is asked first. `set` (may
 * be NULL) gets true per row. */
bool apply_mapping(struct loader *l, const struct node *map, str path, const struct setting *table,
                   void *base, bool *set, loader_other_fn *other, void *ctx);

/* One value; `path` is the full path for messages. */
bool apply_value(struct loader *l, const struct setting *s, void *base, const struct node *value,
                 str path);

/* A scalar with its variables put in; an unset variable is an error. */
bool apply_scalar(struct loader *l, const struct node *value, str path, struct expansion *out);

/* Gives every row with a fallback its default. */
void apply_defaults(const struct setting *table, void *base, struct arena *a);

/* ---- the sections that are not settings ---- */

/* `providers` (NULL: the file has none) and those of the environment. */
bool providers_load(struct loader *l, const struct node *map);
/* Afterwards: one more, unless there is one of that name. */
bool providers_add(struct loader *l, const struct node *name, const struct node *item);
bool models_load(struct loader *l, const struct node *list);
bool aliases_load(struct loader *l, const struct node *map);

/* A provider's api_key: a scalar or a list. */
bool provider_read_keys(struct loader *l, struct provider_config *p, const struct node *value,
                        str path);

/* Fills p->proxy from its own setting or the environment. */
bool provider_find_proxy(struct loader *l, struct provider_config *p, const struct node *at);

/* The provider of this name, on or off, or NULL. */
struct provider_config *loader_provider(struct loader *l, str name);

/* Checks across settings, and what follows from several (data_dir, journal.dir). */
bool loader_finish(struct loader *l, const struct node *root);

#endif
