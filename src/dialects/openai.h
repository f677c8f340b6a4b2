/* openai.h - what the files of the OpenAI dialect share, and nobody else needs. */
#ifndef RELAY_DIALECTS_OPENAI_H
#define RELAY_DIALECTS_OPENAI_H

#include "config/builtin.h"
#include "dialects/dialect.h"

/* n may be at most this, and a stream may number its choices and tool calls up to it. */
#define OPENAI_CHOICES_MAX 128
#define OPENAI_CALLS_MAX   256

/* openai_request.c, openai_body.c */
enum err openai_request_in(struct arena *a, const struct json_doc *body, struct chat *out, str *why,
                           str *param);
enum err openai_request_out(struct arena *a, const struct chat *chat, const struct target *target,
                            struct outgoing *out, str *why, str *param);

/* An id of a tool call as the provider takes it: the same one always gives the same. */
str openai_call_id(struct arena *a, const struct flavour *flavour, str id);

/* openai_write.c: the whole body, for a client of another dialect. */
enum err openai_write(struct arena *a, const struct chat *chat, const struct target *target,
                      struct outgoing *out, str *why, str *param);

/* Credential, Content-Type and Accept: the same for every provider with a Bearer key. */
void openai_headers(struct arena *a, const struct target *target, str accept, struct outgoing *out);

/* openai_answer.c */
enum err openai_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why);
bool openai_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                       pusd cost, struct buf *out);

/* openai_stream.c */
struct stream_in *openai_stream_in_new(struct arena *a, const struct target *target);
enum err openai_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out);

/* openai_chunks.c */
struct stream_out *openai_stream_out_new(struct arena *a, const struct chat *chat,
                                         const struct answer_head *head, bool native);
bool openai_event_out(struct stream_out *s, const struct sse_event *event,
                      const struct deltas *deltas, struct buf *out);
bool openai_stream_end(struct stream_out *s, const struct usage *usage, pusd cost, struct buf *out);
bool openai_stream_error(struct stream_out *s, const struct client_error *error, struct buf *out);

/* openai_replay.c */
/* Bytes of the first piece of a text that is replayed as a stream, cut between characters. */
size_t openai_replay_piece(str text);
str openai_text(struct arena *a, yyjson_val *root);
bool openai_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                   const struct answer_head *head, struct buf *out);

/* openai_error.c */
void openai_error_in(struct arena *a, const struct target *target, int status, str body,
                     struct provider_error *out);
bool openai_error_out(const struct client_error *error, struct buf *out);

/* openai_usage.c: `object` is the usage object, `object_text` its text (for exact money). False: it
 * does not tell how many tokens were used, *out is untouched. */
bool openai_usage_in(const struct flavour *flavour, yyjson_val *object, str object_text,
                     struct usage *out);
/* A usage object from the normal form, with `cost` when it is known. */
bool openai_usage_out(const struct usage *usage, pusd cost, struct buf *out);
/* The usage object as it came, with `cost` put in when it is known. The first is for an object that
 * has none yet. */
bool openai_usage_add_cost(str object_text, pusd cost, struct buf *out);
bool openai_usage_with_cost(str object_text, pusd cost, struct buf *out);

/* openai_message.c: the message of a choice and the delta of a chunk have the same members. */
enum finish openai_finish_in(str word);
/* The message of an error value, which providers write as an object or as a string; empty when
 * `root` has none. An array around the object (Google) is looked through. */
bool openai_error_message(yyjson_val *root, str *message);
/* Content that is an array of chunks (Mistral) taken apart: texts to *text, thinking to *reasoning.
 */
void openai_content_in(struct arena *a, yyjson_val *content, str *text, str *reasoning);
/* Arguments as text, whether they came as a string or as an object. */
str openai_arguments_of(struct arena *a, yyjson_val *function);
/* The text of choices[choice] in proper form: `finish` (raw JSON) and the message under `key`
 * ("message" or "delta") replaced where they are not empty. */
struct openai_fix {
    str finish;             /* raw JSON, or empty */
    bool content;           /* content is an array: becomes text and reasoning_content */
    bool calls;             /* tool_calls: arguments become strings, indexes get their value */
    unsigned *call_indexes; /* of delta.tool_calls in their order; NULL in a message */
};
str openai_amend(struct arena *a, str root_text, size_t choice, const char *key,
                 yyjson_val *message, const struct openai_fix *fix);

#endif
