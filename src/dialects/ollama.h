/* ollama.h - what the files of Ollama's dialect share. Source of the format: ollama/ollama,
 * api/types.go (August 2026). */
#ifndef RELAY_DIALECTS_OLLAMA_H
#define RELAY_DIALECTS_OLLAMA_H

#include "dialects/dialect.h"

/* ollama_request.c */
enum err ollama_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param);

/* ollama_answer.c */
enum err ollama_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why);
struct stream_in *ollama_stream_in_new(struct arena *a, const struct target *target);
enum err ollama_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out);

#endif
