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

/* anthropic_count.c: /messages/count_tokens, on both sides. */
enum err anthropic_count_out(struct arena *a, const struct chat *chat, const struct target *target,
                             struct outgoing *out, str *why, str *param);
enum err anthropic_count_read(struct arena *a, str body, struct answer *out, str *why);
bool anthropic_count_answer(const struct answer *answer, const struct answer_head *head, str native,
                            pusd cost, struct buf *out);
void anthropic_headers(const struct chat *chat, const struct target *target, struct outgoing *out);

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

/* anthropic_in.c: as door */
enum err anthropic_request_in(struct arena *a, const struct json_doc *body, struct chat *out,
                              str *why, str *param);
/* /v1/messages/count_tokens: the same question, of which no answer is wanted. */
enum err anthropic_count_in(struct arena *a, const struct json_doc *body, struct chat *out,
                            str *why, str *param);

/* The writers' name for a field, as this door has it. */
str anthropic_field_name(struct arena *a, str name);

/* anthropic_out.c */
bool anthropic_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                          pusd cost, struct buf *out);
bool anthropic_error_out(const struct client_error *error, struct buf *out);
/* A usage object; without known usage its counts are 0, since the format demands numbers. */
void anthropic_usage_out(const struct usage *usage, pusd cost, struct buf *out);
/* The usage object as it came, with `cost` put in when it is known. */
bool anthropic_usage_with_cost(str object_text, pusd cost, struct buf *out);
/* `refused`: what was said is a refusal, which other dialects end like any other text. */
const char *anthropic_stop_reason(enum finish finish, bool refused);

/* anthropic_events.c */
struct stream_out *anthropic_stream_out_new(struct arena *a, const struct chat *chat,
                                            const struct answer_head *head, bool native);
bool anthropic_event_out(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out);
bool anthropic_stream_end(struct stream_out *s, const struct usage *usage, pusd cost,
                          struct buf *out);
bool anthropic_stream_error(struct stream_out *s, const struct client_error *error,
                            struct buf *out);
/* A whole event. Line ends in `data` become blanks. */
void anthropic_event_write(str name, str data, struct buf *out);

/* anthropic_replay.c */
str anthropic_text(struct arena *a, yyjson_val *root);
bool anthropic_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                      const struct answer_head *head, struct buf *out);

#endif
