/* answer.c - the strict reader of answers behind the load generator. It keeps counters only. */
#include "answer.h"

#include <string.h>
#include <strings.h>

#include "meaning.h"

#define CHUNK_DIGITS_MAX 8u
#define END_BYTES        2u  /* the braces behind usage */
#define COST_BYTES_MAX   32u /* of the member in front of them */
#define BODY_BYTES_MAX   (1u << 20)

void answer_init(struct answer *a)
{
    answer_begin(a);
    buf_init(&a->body, BODY_BYTES_MAX);
}

void answer_deinit(struct answer *a)
{
    buf_deinit(&a->body);
}

void answer_begin(struct answer *a)
{
    /* Not the head's bytes: there are four thousand of them. */
    memset(a, 0, offsetof(struct answer, head));
    a->body.len = 0;
}

static bool wrong(struct answer *a, const char *why)
{
    a->at = ANSWER_WRONG;
    a->why = why;
    return false;
}

/* The value of a header in the head, or NULL. The head ends with a NUL. */
static const char *find_header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return NULL;
}

static bool read_length(const char *text, uint64_t *out)
{
    uint64_t n = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9)
        return false;
    for (size_t i = 0; i < digits; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    *out = n;
    return true;
}

static bool head_is_here(struct answer *a, const struct answer_wanted *wanted)
{
    a->head[a->head_bytes] = '\0';
    if (strncmp(a->head, "HTTP/1.1 200 ", 13) != 0)
        return wrong(a, "status");
    const char *encoding = find_header(a->head, "transfer-encoding");
    const char *length = find_header(a->head, "content-length");
    if (wanted->meaning != NULL) {
        a->at = encoding != NULL ? ANSWER_CHUNK_SIZE : ANSWER_BODY;
        return encoding != NULL
                   ? strncasecmp(encoding, "chunked\r", 8) == 0 || wrong(a, "encoding")
                   : (length != NULL && read_length(length, &a->left) && a->left > 0) ||
                         wrong(a, "length");
    }
    if (wanted->body == NULL) {
        if (encoding == NULL || strncasecmp(encoding, "chunked\r", 8) != 0 || length != NULL)
            return wrong(a, "not chunked");
        a->at = ANSWER_CHUNK_SIZE;
        return true;
    }
    size_t more = wanted->cost ? COST_BYTES_MAX : 0;
    if (encoding != NULL || length == NULL || !read_length(length, &a->left) ||
        a->left < wanted->body_bytes || a->left > wanted->body_bytes + more)
        return wrong(a, "length");
    a->at = ANSWER_BODY;
    return true;
}

static bool take_head(struct answer *a, const struct answer_wanted *wanted, const char **p,
                      const char *end)
{
    while (*p < end) {
        if (a->head_bytes + 1 >= sizeof a->head)
            return wrong(a, "long head");
        a->head[a->head_bytes++] = *(*p)++;
        if (a->head_bytes >= 4 && memcmp(a->head + a->head_bytes - 4, "\r\n\r\n", 4) == 0)
            return head_is_here(a, wanted);
    }
    return true;
}

/* Events end in an empty line; the newline before may be of an earlier piece. */
static void count_events(struct answer *a, const char *p, size_t len)
{
    const char *end = p + len;
    char before = a->tail[sizeof a->tail - 1];
    for (const char *at = p; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        if ((at == p ? before : at[-1]) == '\n')
            a->event_count++;
    }
}

/* Byte for byte up to where the cost may begin; behind that, only what a cost is written with. */
static bool is_plain_body(const struct answer *a, const struct answer_wanted *wanted, const char *p,
                          size_t len)
{
    if (wanted->own_id)
        return true;
    size_t same = wanted->body_bytes - (wanted->cost ? END_BYTES : 0);
    size_t left = a->body_bytes < same ? same - (size_t)a->body_bytes : 0;
    size_t head = len < left ? len : left;
    for (size_t i = head; i < len; i++) {
        if (strchr(",\"cost:0123456789.e-}", p[i]) == NULL)
            return false;
    }
    return head == 0 || memcmp(wanted->body + a->body_bytes, p, head) == 0;
}

static bool means_the_same(struct answer *a, const struct answer_wanted *wanted)
{
    if (!meaning_read(wanted->read, buf_str(&a->body)))
        return wrong(a, wanted->read->why);
    const char *why = meaning_difference(wanted->read, wanted->meaning);
    return why == NULL || wrong(a, why);
}

/* A stream of a known number of events: counts them and keeps the last bytes. */
static void take_events(struct answer *a, const char *p, size_t len)
{
    count_events(a, p, len);
    size_t keep = len < sizeof a->tail ? len : sizeof a->tail;
    memmove(a->tail, a->tail + keep, sizeof a->tail - keep);
    memcpy(a->tail + sizeof a->tail - keep, p + len - keep, keep);
}

static bool take_body(struct answer *a, const struct answer_wanted *wanted, const char **p,
                      const char *end)
{
    size_t len = (size_t)(end - *p) < a->left ? (size_t)(end - *p) : (size_t)a->left;
    if (wanted->body != NULL && !is_plain_body(a, wanted, *p, len))
        return wrong(a, "body");
    if (wanted->meaning != NULL && !buf_add(&a->body, str_of(*p, len)))
        return wrong(a, "long body");
    if (wanted->meaning == NULL && wanted->body == NULL)
        take_events(a, *p, len);
    a->body_bytes += len;
    a->left -= len;
    *p += len;
    if (a->left > 0)
        return true;
    a->at = a->at == ANSWER_BODY ? ANSWER_WHOLE : ANSWER_CHUNK_END;
    return a->at != ANSWER_WHOLE || wanted->meaning == NULL || means_the_same(a, wanted);
}

static bool take_line_end(struct answer *a, char c, enum answer_at next)
{
    if (c != "\r\n"[a->crlf])
        return wrong(a, "chunk framing");
    a->crlf = (a->crlf + 1) % 2;
    if (a->crlf == 0)
        a->at = next;
    return true;
}

static bool take_chunk_size(struct answer *a, char c)
{
    const char *hex = "0123456789abcdef";
    const char *digit = c == '\0' ? NULL : strchr(hex, c >= 'A' && c <= 'F' ? c + 32 : c);
    if (digit != NULL && a->crlf == 0) {
        if (++a->digits > CHUNK_DIGITS_MAX)
            return wrong(a, "chunk size");
        a->left = a->left * 16 + (uint64_t)(digit - hex);
        return true;
    }
    if (a->digits == 0)
        return wrong(a, "chunk size");
    if (!take_line_end(a, c, a->left == 0 ? ANSWER_LAST_LINE : ANSWER_CHUNK))
        return false;
    if (a->at != ANSWER_CHUNK_SIZE)
        a->digits = 0;
    return true;
}

static bool is_whole_stream(struct answer *a, const struct answer_wanted *wanted)
{
    if (wanted->meaning != NULL)
        return means_the_same(a, wanted);
    size_t len = strlen(wanted->end);
    if (a->event_count != wanted->event_count)
        return wrong(a, "events");
    if (memcmp(a->tail + sizeof a->tail - len - 2, wanted->end, len) != 0)
        return wrong(a, "the last event");
    return true;
}

bool answer_take(struct answer *a, const struct answer_wanted *wanted, const char *p, size_t len)
{
    const char *end = p + len;
    bool ok = a->at != ANSWER_WRONG;
    while (ok && p < end) {
        switch (a->at) {
        case ANSWER_HEAD:
            ok = take_head(a, wanted, &p, end);
            break;
        case ANSWER_BODY:
        case ANSWER_CHUNK:
            ok = take_body(a, wanted, &p, end);
            break;
        case ANSWER_CHUNK_SIZE:
            ok = take_chunk_size(a, *p++);
            break;
        case ANSWER_CHUNK_END:
            ok = take_line_end(a, *p++, ANSWER_CHUNK_SIZE);
            break;
        case ANSWER_LAST_LINE:
            ok = take_line_end(a, *p++, ANSWER_WHOLE) &&
                 (a->at != ANSWER_WHOLE || is_whole_stream(a, wanted));
            break;
        case ANSWER_WHOLE:
        case ANSWER_WRONG:
            return wrong(a, "bytes behind the answer");
        }
    }
    return ok;
}
