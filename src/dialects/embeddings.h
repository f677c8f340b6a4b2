/* embeddings.h - what the two files of the embeddings dialect share with dialect.c. */
#ifndef RELAY_DIALECTS_EMBEDDINGS_H
#define RELAY_DIALECTS_EMBEDDINGS_H

#include "dialects/dialect.h"

/* embeddings_provider.c: OpenAI's POST /embeddings, and Ollama's POST /api/embed. */
enum err embeddings_openai_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param);
enum err embeddings_openai_in(struct arena *a, const struct chat *chat, const struct target *target,
                              str body, struct answer *out, str *why);
enum err embeddings_ollama_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param);
enum err embeddings_ollama_in(struct arena *a, const struct chat *chat, const struct target *target,
                              str body, struct answer *out, str *why);

/* A list of vectors (numbers, or objects whose `values` they are), one for each input, becomes
 * OpenAI's in the encoding asked for; out->model and out->usage are there already. */
enum err embeddings_list_in(struct arena *a, const struct chat *chat, yyjson_val *vectors,
                            struct answer *out, str *why);

#endif
