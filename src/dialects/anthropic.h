/* anthropic.h - what the files of Anthropic's dialect share, and nobody else needs. Source of the
 * format: @anthropic-ai/sdk 0.137 and 1.12 (resources/messages), API versions 2023-06-01 and
 * 2026-10-21. */
#ifndef RELAY_DIALECTS_ANTHROPIC_H
#define RELAY_DIALECTS_ANTHROPIC_H

#include "dialects/writer.h"

#define ANTHROPIC_CALLS_MAX    256
#define ANTHROPIC_THOUGHTS_MAX 256

/* anthropic_request.c: as provider */
enum err anthropic_request_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param);

/* anthropic_turns.c: "system" and "messages" of a chat that came in another dialect. */
bool anthropic_turns_write(struct writer *w);
/* Reasoning that this provider takes back: it signed or hid it. */
bool anthropic_is_own_thought(const struct chat_part *p);
/* An id of a tool call as Anthropic takes it: letters, digits, _ and -. */
str anthropic_call_id(struct arena *a, str id, str name);

/* anthropic_native.c: the client's own body, edited by spans. */
str anthropic_native_body(struct arena *a, const struct chat *chat, const struct target *target);

/* anthropic_answer.c */
enum err anthropic_answer_in(struct arena *a, const struct target *target, str body,
                             struct answer *out, str *why);
enum finish anthropic_finish_in(str word);
/* Usage is cumulative: what the object does not tell stays as it was in *u. False: it tells no
 * tokens at all. */
bool anthropic_usage_in(yyjson_val *object, struct usage *u);
/* What a refusal's stop_details say, or empty. */
str anthropic_refusal_of(yyjson_val *holder);

/* anthropic_stream.c */
struct stream_in *anthropic_stream_in_new(struct arena *a, const struct target *target);
enum err anthropic_event_in(struct stream_in *in, struct arena *scratch,
                            const struct sse_event *event, struct deltas *out);

/* anthropic_error.c */
void anthropic_error_in(struct arena *a, const struct target *target, int status, str body,
                        struct provider_error *out);

#endif
