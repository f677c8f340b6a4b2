/* model.h - the embedding model that the configuration names (cache.model). */
#ifndef RELAY_CLI_MODEL_H
#define RELAY_CLI_MODEL_H

#include "config/config.h"
#include "embed/embed.h"

/* Of what is served: the same vectors as everybody else's, up to rounding. */
#define MODEL_OPTIONS ((struct embed_options){.precision = EMBED_F32})

/* The folder of the model's files, in the arena; empty: *why is a sentence. It is not opened. A
 * name is looked for in the data folder's models/, in models/ beside the program and in the
 * share/relay/models/ of where it is installed; what has a slash is a folder itself; of an https
 * address it is the folder that `serve` fetches the files into. */
str model_find(const struct config *c, struct arena *a, str *why);

/* Is it an https address that the files can be fetched from? */
bool model_is_fetched(const struct config *c);

/* The folder that they are fetched into, in the arena. */
str model_fetched_folder(const struct config *c, struct arena *a);

/* Finds it and checks its files, which takes some hundred milliseconds. Empty: *why says what is
 * missing or wrong. */
str model_check(const struct config *c, struct arena *a, str *why);

#endif
