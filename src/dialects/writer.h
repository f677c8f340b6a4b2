/* writer.h - writing a request for a provider that does not speak the client's dialect.
 *
 * Appends never fail by themselves: the buf's `full` is looked at once, by writer_take(). What the
 * provider's dialect cannot say is refused with the client's own name for it. */
#ifndef RELAY_DIALECTS_WRITER_H
#define RELAY_DIALECTS_WRITER_H

#include "dialects/dialect.h"

#define WRITER_BODY_BYTES_MAX (256u << 20)

struct writer {
    struct arena *a;
    const struct chat *chat;
    const struct target *target;
    const char *who; /* the provider's dialect, for people: "Anthropic" */
    struct buf b;
    str *why, *param;
};

void writer_init(struct writer *w, struct arena *a, const struct chat *chat,
                 const struct target *target, const char *who, str *why, str *param);
/* The body, in the arena, when `good`; ERR_INVALID_REQUEST when not, or when it is too long. */
enum err writer_take(struct writer *w, bool good, str *body);

/* Notes "'<param>': <who> <what>." Always false. */
bool writer_refuse(struct writer *w, str param, const char *what);
/* The same for a part of a message, named by its place in the client's list. */
bool writer_refuse_part(struct writer *w, const struct chat_message *m, const struct chat_part *p,
                        const char *what);

void writer_add(struct writer *w, const char *raw);
void writer_add_str(struct writer *w, const char *before, str value); /* quoted */
void writer_add_int(struct writer *w, const char *before, int64_t value);
void writer_add_num(struct writer *w, const char *before, double value);
void writer_add_val(struct writer *w, const char *before, yyjson_val *value);

/* What no dialect but the client's own can say, whoever the provider is. False: refused. */
bool writer_is_sayable(struct writer *w);

/* Adds a header to the request; there is always room for those that Relay sets. */
void outgoing_header(struct outgoing *out, str name, str value);

#endif
