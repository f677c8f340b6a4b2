/* responses.h - what the files of OpenAI's Responses share. It is a door only: whoever asks in it
 * is answered from providers of other dialects. Source of the format: OpenAI's reference and the
 * types of openai-node 7.57, as of November 2026. */
#ifndef RELAY_DIALECTS_RESPONSES_H
#define RELAY_DIALECTS_RESPONSES_H

#include "dialects/dialect.h"
#include "dialects/reader.h"

#define RESPONSES_ITEMS_MAX 1024

/* responses_request.c, responses_items.c */
enum err responses_request_in(struct arena *a, const struct json_doc *body, struct chat *out,
                              str *why, str *param);
str responses_field_name(struct arena *a, str name);
/* The reader stands at the field; `instructions` is the first message, where it is not empty.
 * False: a fault is noted. */
bool responses_read_input(struct reader *r, yyjson_val *v, str instructions);
bool responses_read_tools(struct reader *r, yyjson_val *v);

/* One element of a response's `output`. */
enum responses_item_kind { ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL };

/* Text that grows in the arena. */
struct responses_text {
    char *p;
    size_t len, cap;
};

struct responses_item {
    enum responses_item_kind kind;
    unsigned output_index;
    unsigned call_index;        /* as the deltas number it */
    struct responses_text text; /* the message's, the reasoning's, or the call's arguments */
    struct responses_text refusal;
    int text_at, refusal_at; /* their place in the message's content, or -1 */
    str call_id, name;
    str secret; /* of reasoning: what only its provider can read (responses_object.c) */
    bool open;
};

/* responses_object.c */
struct responses_object {
    const struct answer_head *head;
    str echo;           /* of responses_echo() */
    const char *status; /* "completed", "incomplete", "in_progress", "failed" */
    const char *reason; /* of an incomplete one, or NULL */
    str error_code, error_message;
    struct responses_item *const *items;
    unsigned item_count;
    const struct usage *usage; /* NULL or not known: null */
    pusd cost;
};

/* What a response repeats of its request, as members with a comma before each. */
str responses_echo(struct arena *a, const struct chat *chat);
bool responses_object_write(const struct responses_object *o, struct buf *out);
/* `status` NULL: reasoning has none, and others are as far as `open` says. */
void responses_item_write(const struct answer_head *head, const struct responses_item *item,
                          const char *status, struct buf *out);
void responses_item_id(const struct answer_head *head, const struct responses_item *item,
                       struct buf *out);
/* The status and reason that an end stands for. */
void responses_end(enum finish finish, const char **status, const char **reason);
/* Hidden reasoning and signatures as encrypted_content, and back. */
str responses_secret(struct arena *a, str text, bool redacted);
void responses_secret_in(str secret, struct chat_part *part);

/* responses_answer.c */
bool responses_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                          pusd cost, struct buf *out);
str responses_text(struct arena *a, yyjson_val *root);
bool responses_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                      const struct answer_head *head, struct buf *out);

/* responses_stream.c */
struct stream_out *responses_stream_out_new(struct arena *a, const struct chat *chat,
                                            const struct answer_head *head, bool native);
bool responses_event_out(struct stream_out *s, const struct sse_event *event,
                         const struct deltas *deltas, struct buf *out);
bool responses_stream_end(struct stream_out *s, const struct usage *usage, pusd cost,
                          struct buf *out);
bool responses_stream_error(struct stream_out *s, const struct client_error *error,
                            struct buf *out);

#endif
