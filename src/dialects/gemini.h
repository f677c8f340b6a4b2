/* gemini.h - what the files of Gemini's own dialect share. Source of the format: Google's reference
 * of the Gemini API (v1beta) and the types of its SDK, as of November 2026. */
#ifndef RELAY_DIALECTS_GEMINI_H
#define RELAY_DIALECTS_GEMINI_H

#include "dialects/writer.h"

#define GEMINI_CALLS_MAX 256

/* gemini_request.c */
enum err gemini_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param);

/* The model's name in the path: what is no plain character is escaped, so that a name cannot become
 * another path. */
str gemini_path(struct arena *a, str model, const char *verb);
/* Its name inside a body: with the collection before it. */
str gemini_model(struct arena *a, str model);
void gemini_headers(const struct target *target, bool stream, struct outgoing *out);

/* gemini_embeddings.c: :batchEmbedContents */
enum err gemini_embed_out(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param);
enum err gemini_embed_in(struct arena *a, const struct chat *chat, const struct target *target,
                         str body, struct answer *out, str *why);

/* :countTokens, which takes the whole request that would be sent. */
enum err gemini_count_out(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param);
enum err gemini_count_in(struct arena *a, str body, struct answer *out, str *why);

/* gemini_config.c: the members beside contents, each with a comma before it. False: refused. */
bool gemini_tools_write(struct writer *w);
bool gemini_config_write(struct writer *w);
/* From Gemini 3 on: thinking has levels instead of budgets, and calls must bring their signature.
 */
bool gemini_is_third(str model);

/* gemini_answer.c */
enum err gemini_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why);
struct stream_in *gemini_stream_in_new(struct arena *a, const struct target *target);
enum err gemini_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out);
void gemini_stream_in_end(struct stream_in *in, struct deltas *out);

/* gemini_error.c */
void gemini_error_in(struct arena *a, const struct target *target, int status, str body,
                     struct provider_error *out);

#endif
