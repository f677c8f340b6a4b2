/* server_write.c - answers: head, body and chunks in one vector each.
 *
 * The idea: no formatting on the way out. The status line comes from a table, numbers are written
 * by hand, the date is rendered once a second, and the handler's own header lines go out as they
 * are. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "net/server_internal.h"

#define ERROR_BODY_BYTES_MAX 8192u

static str reason_of(int status)
{
    static const struct {
        int status;
        str reason;
    } reasons[] = {
        {200, {"OK", 2}},
        {201, {"Created", 7}},
        {204, {"No Content", 10}},
        {304, {"Not Modified", 12}},
        {400, {"Bad Request", 11}},
        {401, {"Unauthorized", 12}},
        {402, {"Payment Required", 16}},
        {403, {"Forbidden", 9}},
        {404, {"Not Found", 9}},
        {405, {"Method Not Allowed", 18}},
        {408, {"Request Timeout", 15}},
        {409, {"Conflict", 8}},
        {413, {"Content Too Large", 17}},
        {415, {"Unsupported Media Type", 22}},
        {417, {"Expectation Failed", 18}},
        {422, {"Unprocessable Content", 21}},
        {429, {"Too Many Requests", 17}},
        {431, {"Request Header Fields Too Large", 31}},
        {500, {"Internal Server Error", 21}},
        {502, {"Bad Gateway", 11}},
        {503, {"Service Unavailable", 19}},
        {504, {"Gateway Timeout", 15}},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return STR("Status");
}

/* A few short pieces of text one after another; sizes are known to fit. */
struct text {
    char bytes[160];
    size_t len;
};

static void add(struct text *t, str s)
{
    assert(s.len <= sizeof t->bytes - t->len);
    memcpy(t->bytes + t->len, s.p, s.len);
    t->len += s.len;
}

static void add_number(struct text *t, uint64_t value, unsigned base)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    add(t, str_of(digits + n, sizeof digits - n));
}

static str text_str(const struct text *t)
{
    return str_of(t->bytes, t->len);
}

/* "date: Mon, 23 Nov 2026 05:52:41 GMT\r\n" (RFC 9110, 5.6.7). */
static str date_line(struct server *s)
{
    uint64_t now_s = loop_now_ms(s->loop) / 1000 + 1;
    if (s->date_s != now_s) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t utc = time(NULL);
        struct tm tm;
        gmtime_r(&utc, &tm);
        s->date_s = now_s;
        snprintf(s->date, sizeof s->date, "date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n",
                 days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
                 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    }
    return str_of_c(s->date);
}

/* The two parts of a head that are not the handler's. */
static void head_begin(struct text *t, int status)
{
    assert(status >= 100 && status <= 999);
    t->len = 0;
    add(t, STR("HTTP/1.1 "));
    add_number(t, (uint64_t)status, 10);
    add(t, STR(" "));
    add(t, reason_of(status));
    add(t, STR("\r\n"));
}

static void head_end(const struct server_conn *sc, struct text *t, str framing)
{
    t->len = 0;
    add(t, date_line(sc->server));
    add(t, framing);
    add(t, sc->keep_alive ? STR("\r\n") : STR("connection: close\r\n\r\n"));
}

static void head_end_length(const struct server_conn *sc, struct text *t, size_t body_len)
{
    struct text length = {.len = 0};
    add(&length, STR("content-length: "));
    add_number(&length, body_len, 10);
    add(&length, STR("\r\n"));
    head_end(sc, t, text_str(&length));
}

static struct server_conn *of_exchange(struct exchange *x)
{
    struct server_conn *sc = LIST_ITEM(x, struct server_conn, x);
    assert(sc->x_open);
    return sc;
}

static bool is_writable(const struct server_conn *sc)
{
    return sc->state == SC_EXCHANGE && !sc->gone_told && !sc->gone_pending && !sc->io.closing;
}

/* Keeping the connection costs reading the rest of the request; a large rest is not worth it. */
static void decide_keep_alive(struct server_conn *sc)
{
    if (sc->server->draining || sc->refused) {
        sc->keep_alive = false;
    }
    if (sc->body_state == REQUEST_BODY_DONE) {
        return;
    }
    bool large = sc->body.chunked == NULL && sc->body.left > (int64_t)SERVER_DRAIN_BYTES_MAX;
    if (large || sc->expect_continue) {
        sc->keep_alive = false; /* a client that waits for 100 may or may not send its body now */
    }
}

static void write_pieces(struct server_conn *sc, const str *pieces, unsigned count)
{
    conn_write(&sc->io, pieces, count);
    size_t unsent = conn_unsent(&sc->io);
    if (unsent > 0) {
        sc->was_high |= unsent >= EXCHANGE_QUEUE_HIGH;
        if (sc->body_state != REQUEST_BODY_READING) {
            server_watch_queue(sc);
        }
    }
}

void server_write_error(struct server_conn *sc, enum err err, int status)
{
    struct buf headers, body;
    struct text begin, end;
    buf_init(&headers, ERROR_BODY_BYTES_MAX);
    buf_init(&body, ERROR_BODY_BYTES_MAX);
    sc->server->handler->error_answer(sc->server->handler->ctx, err, &headers, &body);
    head_begin(&begin, status != 0 ? status : err_info(err)->status);
    head_end_length(sc, &end, body.len);
    const str pieces[] = {text_str(&begin), buf_str(&headers), text_str(&end), buf_str(&body)};
    conn_write(&sc->io, pieces, 4);
    buf_deinit(&headers);
    buf_deinit(&body);
}

void exchange_reply(struct exchange *x, int status, str headers, str body)
{
    struct server_conn *sc = of_exchange(x);
    assert(!sc->head_sent);
    if (is_writable(sc)) {
        struct text begin, end;
        decide_keep_alive(sc);
        head_begin(&begin, status);
        bool bare = status == 204 || status == 304;
        if (bare) {
            head_end(sc, &end, STR(""));
        } else {
            head_end_length(sc, &end, body.len);
        }
        str sent = bare || sc->is_head ? (str){NULL, 0} : body;
        const str pieces[] = {text_str(&begin), headers, text_str(&end), sent};
        write_pieces(sc, pieces, 4);
    }
    server_exchange_ended(sc);
}

/* Size line of a chunk, into t; nothing for a body that ends with the connection. */
static void chunk_size(const struct server_conn *sc, struct text *t, size_t bytes)
{
    t->len = 0;
    if (sc->chunked_out && bytes > 0) {
        add_number(t, bytes, 16);
        add(t, STR("\r\n"));
    }
}

static str last_chunk(const struct server_conn *sc, size_t bytes)
{
    return !sc->chunked_out ? STR("") : bytes > 0 ? STR("\r\n0\r\n\r\n") : STR("0\r\n\r\n");
}

/* The head and the first bytes; `whole`: the last ones too. */
static void stream_begin(struct server_conn *sc, int status, str headers, str data, bool whole)
{
    assert(!sc->head_sent);
    sc->head_sent = true;
    if (!is_writable(sc)) {
        return;
    }
    struct text begin, end, size;
    decide_keep_alive(sc);
    sc->chunked_out = !sc->http10 && !sc->is_head;
    head_begin(&begin, status);
    head_end(sc, &end, sc->http10 ? STR("") : STR("transfer-encoding: chunked\r\n"));
    data = sc->is_head ? (str){NULL, 0} : data;
    chunk_size(sc, &size, data.len);
    str after = whole ? last_chunk(sc, data.len) : size.len > 0 ? STR("\r\n") : STR("");
    const str pieces[] = {text_str(&begin), headers, text_str(&end), text_str(&size), data, after};
    write_pieces(sc, pieces, 6);
}

void exchange_stream_begin(struct exchange *x, int status, str headers, str data)
{
    stream_begin(of_exchange(x), status, headers, data, false);
}

void exchange_stream_whole(struct exchange *x, int status, str headers, str data)
{
    struct server_conn *sc = of_exchange(x);
    stream_begin(sc, status, headers, data, true);
    server_exchange_ended(sc);
}

void exchange_stream_data(struct exchange *x, str data)
{
    struct server_conn *sc = of_exchange(x);
    assert(sc->head_sent);
    if (!is_writable(sc) || sc->is_head || data.len == 0) {
        return;
    }
    struct text size;
    chunk_size(sc, &size, data.len);
    const str pieces[] = {text_str(&size), data, size.len > 0 ? STR("\r\n") : STR("")};
    write_pieces(sc, pieces, 3);
}

size_t exchange_queued(const struct exchange *x)
{
    return conn_unsent(&LIST_ITEM(x, const struct server_conn, x)->io);
}

void exchange_stream_end(struct exchange *x, str data)
{
    struct server_conn *sc = of_exchange(x);
    assert(sc->head_sent);
    if (is_writable(sc)) {
        struct text size;
        data = sc->is_head ? (str){NULL, 0} : data;
        chunk_size(sc, &size, data.len);
        const str pieces[] = {text_str(&size), data, last_chunk(sc, data.len)};
        write_pieces(sc, pieces, 3);
    }
    server_exchange_ended(sc);
}

void exchange_abort(struct exchange *x, str data)
{
    struct server_conn *sc = of_exchange(x);
    if (is_writable(sc)) {
        if (sc->head_sent && data.len > 0) {
            exchange_stream_data(x, data);
        }
        sc->keep_alive = false;
        if (sc->head_sent && !sc->chunked_out && conn_unsent(&sc->io) == 0) {
            conn_reset(&sc->io); /* a close would look like the end */
        }
    }
    server_exchange_ended(sc);
}
