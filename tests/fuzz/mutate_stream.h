/* mutate_stream.h - changes streams as lines and events: those are swapped, doubled, deleted, put
 * together and cut, with every kind of line end, and come from what providers send; what a line of
 * data holds is changed as JSON. A fuzzer of HTTP heads and chunked bodies defines MUTATE_HTTP
 * first: its lines are header fields and chunks. */
#ifndef RELAY_TESTS_FUZZ_MUTATE_STREAM_H
#define RELAY_TESTS_FUZZ_MUTATE_STREAM_H

#define MUTATE_NOT_JSON
#include "mutate_json.h"

#ifdef MUTATE_HTTP
static const char *const mutate_lines[] = {
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, upgrade\r\n",
    "Upgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "Content-Type: text/event-stream\r\n",
    "X: y\r\n folded\r\n",
    "GET / HTTP/1.1\r\n",
    "POST http://a/v1/messages HTTP/1.0\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "5\r\nhello\r\n",
    "05;a=\"b\"\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "0\r\nX-Trailer: a\r\n\r\n",
};
#else
static const char *const mutate_lines[] = {
    "data: [DONE]\n\n",
    "data:\n",
    "data\n",
    "data: a\ndata: b\n\n",
    ": comment\n\n",
    "event: message_start\n",
    "event: content_block_delta\n",
    "event: error\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "id: 1\n",
    "retry: 10\n",
    "\xEF\xBB\xBF",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{"
    "\"content\":\"x\"},\"finish_reason\":null}]}\n\n",
    "data: "
    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":"
    "{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n",
    "data: "
    "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],"
    "\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "data: "
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":"
    "\"\"}}\n\n",
    "data: "
    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":"
    "\"c\",\"name\":\"f\",\"input\":{}}}\n\n",
    "data: "
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"x\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
    "\"partial_json\":\"{\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
    "\"thinking\":\"t\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"
    "\"output_tokens\":3}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}],\"role\":\"model\"},"
    "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":5}}\n\n",
    "{\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"done\":false}\n",
    "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":"
    "\"f\","
    "\"arguments\":{}}}]},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n",
    "data: {\"error\":{\"message\":\"m\",\"type\":\"overloaded_error\"}}\n\n",
};
#endif

/* The end of the line that begins at `at`, or of the event, with what ends it. */
static inline size_t mutate_line_end(const struct mutation *m, size_t at, bool event)
{
    while (at < m->len) {
        const char *end = memchr(m->text + at, '\n', m->len - at);
        at = end == NULL ? m->len : (size_t)(end - m->text) + 1;
        if (!event || at >= m->len || m->text[at] == '\n' || m->text[at] == '\r')
            break;
    }
    while (event && at < m->len && (m->text[at] == '\n' || m->text[at] == '\r'))
        at++;
    return at;
}

/* Some line or event. */
static inline void mutate_some(struct mutation *m, bool event, size_t *from, size_t *to)
{
    size_t ends = 1;
    for (size_t at = 0; at < m->len; at = mutate_line_end(m, at, event))
        ends++;
    *to = 0;
    size_t which = mutate_below(m, ends);
    do {
        *from = *to;
        *to = mutate_line_end(m, *from, event);
    } while (which-- > 0 && *to < m->len);
}

static inline void mutate_line_ends(struct mutation *m)
{
    static const char *const kinds[] = {"\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n\r"};
    bool all = mutate_below(m, 3) == 0;
    str kind = MUTATE_PICK(m, kinds);
    size_t from = mutate_below(m, m->len + 1);
    for (size_t at = all ? 0 : from; at < m->len; at++) {
        if (m->text[at] != '\n')
            continue;
        size_t before = m->len, begin = at > 0 && m->text[at - 1] == '\r' ? at - 1 : at;
        mutate_replace(m, begin, at + 1, kind);
        if (!all || m->len == before)
            break;
        at = begin + kind.len - 1;
    }
}

/* Where the JSON of a line begins, SIZE_MAX where it has none. */
static inline size_t mutate_payload(const struct mutation *m, size_t from, size_t to)
{
    const char *brace = memchr(m->text + from, '{', to - from);
    return brace == NULL ? SIZE_MAX : (size_t)(brace - m->text);
}

static inline void mutate_cut_line(struct mutation *m)
{
#ifdef MUTATE_HTTP
    static const char *const cuts[] = {"\r\n", "\n", "\r\n ", "\r", ": ", "\r\n0\r\n\r\n"};
#else
    static const char *const cuts[] = {"\ndata: ", "\r\ndata:", "\n\ndata: ", "\n:", "\r", "\n"};
#endif
    size_t at = mutate_below(m, m->len + 1);
    mutate_replace(m, at, at, MUTATE_PICK(m, cuts));
}

static inline void mutate_two(struct mutation *m, bool event)
{
    size_t a, a_end, b, b_end;
    mutate_some(m, event, &a, &a_end);
    mutate_some(m, event, &b, &b_end);
    if (a_end <= b)
        mutate_swap(m, a, a_end, b, b_end);
    else
        mutate_replace(m, a, a, mutate_copy(m, b, b_end));
}

static inline void mutate_once(struct mutation *m)
{
    size_t from, to, json;
    bool event = mutate_below(m, 2) == 0;
    mutate_some(m, event, &from, &to);
    switch (mutate_below(m, 10)) {
    case 0:
        mutate_replace(m, from, to, STR(""));
        break;
    case 1:
        mutate_replace(m, from, from, mutate_copy(m, from, to));
        break;
    case 2:
        mutate_two(m, event);
        break;
    case 3:
        mutate_line_ends(m);
        break;
    case 4:
        mutate_cut_line(m);
        break;
    case 5:
        m->len = mutate_below(m, 4) == 0 ? mutate_below(m, m->len + 1) : to;
        break;
    case 6:
    case 7:
        mutate_replace(m, from, from, MUTATE_PICK(m, mutate_lines));
        break;
    default:
        json = mutate_payload(m, from, to);
        if (json == SIZE_MAX || !mutate_json(m, json, to))
            mutate_span(m, from, to);
        break;
    }
}

/* Some line or event of another stream, or a value of one. */
static inline void mutate_with(struct mutation *m, str other)
{
    struct mutation theirs = {.chance = m->chance, .text = (char *)other.p, .len = other.len};
    size_t from, to, a, b;
    mutate_some(&theirs, mutate_below(m, 2) == 0, &from, &to);
    mutate_some(m, mutate_below(m, 2) == 0, &a, &b);
    size_t mine = mutate_payload(m, a, b), its = mutate_payload(&theirs, from, to);
    if (mine != SIZE_MAX && its != SIZE_MAX && mutate_below(m, 2) == 0)
        mutate_json_with(m, mine, b, str_sub(other, its, to));
    else
        mutate_replace(m, a, mutate_below(m, 2) == 0 ? a : b, str_sub(other, from, to));
}

#endif
