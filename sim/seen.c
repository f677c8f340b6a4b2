/* seen.c - the last requests as they came, and how each exchange ended. Credentials are shown: this
 * is a simulator, and tests assert on what a gateway sends. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

double wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

struct seen *seen_find(struct sim *s, uint64_t number)
{
    struct seen *e = &s->seen[number % SEEN_MAX];
    return number && e->number == number ? e : NULL;
}

static void seen_free(struct seen *e)
{
    bytes_free(&e->head);
    bytes_free(&e->body);
    memset(e, 0, sizeof *e);
}

void seen_clear(struct sim *s)
{
    for (size_t i = 0; i < SEEN_MAX; i++)
        seen_free(&s->seen[i]);
}

struct seen *seen_add(struct sim *s, const struct http_request *req, uint64_t conn)
{
    if (s->config.record <= 0)
        return NULL;
    if (s->number > (uint64_t)s->config.record) {
        struct seen *old = seen_find(s, s->number - (uint64_t)s->config.record);
        if (old)
            seen_free(old);
    }
    struct seen *e = &s->seen[s->number % SEEN_MAX];
    seen_free(e);
    e->number = s->number;
    e->conn = conn;
    e->at_ms = wall_ms();
    e->rule = PLAN_UNSET;
    e->dialect = "";
    bytes_init(&e->head, HTTP_HEAD_BYTES_MAX);
    bytes_init(&e->body, SEEN_BODY_BYTES_MAX);
    bytes_add_slice(&e->head, req->head);
    e->body_bytes = req->body.size;
    size_t kept = req->body.size < SEEN_BODY_BYTES_MAX ? req->body.size : SEEN_BODY_BYTES_MAX;
    bytes_add(&e->body, req->body.at, kept);
    return e;
}

/* The head was checked when it came: every line has its CRLF and every header its colon. */
static void write_head(struct bytes *out, struct slice head)
{
    struct slice line = slice_cut(&head, '\n');
    struct slice method = slice_cut(&line, ' ');
    struct slice target = slice_cut(&line, ' ');
    struct slice path = target;
    path = slice_cut(&path, '?');
    bytes_add_text(out, ",\"method\":");
    bytes_add_json(out, method);
    bytes_add_text(out, ",\"target\":");
    bytes_add_json(out, target);
    bytes_add_text(out, ",\"path\":");
    bytes_add_json(out, path);
    bytes_add_text(out, ",\"headers\":[");
    for (bool first = true; head.size; first = false) {
        struct slice value = slice_cut(&head, '\n');
        if (value.size && value.at[value.size - 1] == '\r')
            value.size--;
        if (value.size == 0)
            break;
        struct slice name = slice_cut(&value, ':');
        bytes_add_text(out, first ? "[" : ",[");
        bytes_add_json(out, name);
        bytes_add_text(out, ",");
        bytes_add_json(out, slice_trim(value));
        bytes_add_text(out, "]");
    }
    bytes_add_text(out, "]");
}

static void write_one(struct bytes *out, const struct seen *e)
{
    static const char *const outcomes[] = {"open", "complete", "cut", "client_closed"};
    bytes_add_format(out, "{\"number\":%llu,\"connection\":%llu,\"at_ms\":%.3f",
                     (unsigned long long)e->number, (unsigned long long)e->conn, e->at_ms);
    write_head(out, bytes_slice(&e->head));
    bool text = utf8_valid(bytes_slice(&e->body));
    bytes_add_text(out, text ? ",\"body\":" : ",\"body_base64\":\"");
    if (text)
        bytes_add_json(out, bytes_slice(&e->body));
    else
        bytes_add_base64(out, e->body.at, e->body.size);
    bytes_add_text(out, text ? "" : "\"");
    bytes_add_format(out, ",\"body_bytes\":%zu,\"dialect\":\"%s\",\"model\":", e->body_bytes,
                     e->dialect);
    bytes_add_json(out, slice_of(e->model));
    bytes_add_format(out, ",\"stream\":%s,\"rule\":", e->stream ? "true" : "false");
    if (e->rule == PLAN_UNSET)
        bytes_add_text(out, "null");
    else
        bytes_add_format(out, "%lld", (long long)e->rule);
    bytes_add_format(out, ",\"status\":%d,\"outcome\":\"%s\",\"sent_bytes\":%zu", e->status,
                     outcomes[e->outcome], e->sent);
    if (e->outcome == OUTCOME_OPEN)
        bytes_add_text(out, ",\"duration_ms\":null}");
    else
        bytes_add_format(out, ",\"duration_ms\":%.3f}", e->ended_ms - e->at_ms);
}

void seen_write(struct sim *s, struct bytes *out, uint64_t limit)
{
    if (limit > SEEN_MAX)
        limit = SEEN_MAX;
    uint64_t first = s->number > limit ? s->number - limit + 1 : 1;
    bytes_add_text(out, "{\"requests\":[");
    bool any = false;
    for (uint64_t n = first; n <= s->number; n++) {
        const struct seen *e = seen_find(s, n);
        if (!e)
            continue;
        bytes_add_text(out, any ? "," : "");
        write_one(out, e);
        any = true;
    }
    bytes_add_text(out, "]}");
}
