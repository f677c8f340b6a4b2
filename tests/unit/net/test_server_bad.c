/* Requests as they should not be: each gets its error and a closed connection, and nothing else
 * happens. */
#include "rig.h"

/* Sends `text`, expects `status` and an orderly end, and no exchange. */
static void refused(const char *text, int status)
{
    struct rig r;
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, text);
    rig_until(&r, raw_ended(&w));
    bool ok = CHECK(w.got != NULL && strncmp(w.got, line, strlen(line)) == 0);
    ok &= CHECK_INT(raw_count(&w, "HTTP/1.1 "), 1);
    ok &= CHECK(raw_has(&w, "connection: close\r\n"));
    ok &= CHECK(raw_has(&w, "{\"error\":\""));
    ok &= CHECK(!w.reset);
    ok &= CHECK_INT(r.heads, 0);
    ok &= CHECK_INT(r.refusals, 1);
    if (!ok) {
        fprintf(stderr, "for: %s\ngot: %s\n", text, w.got != NULL ? w.got : "nothing");
    }
    raw_close(&w);
    rig_close(&r);
}

#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"

TEST(framing_that_two_servers_could_read_differently)
{
    refused(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400);
    refused(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400);
    refused(POST "Content-Length: 3, 3\r\n\r\nabc", 400);
    refused(POST "Content-Length: +3\r\n\r\nabc", 400);
    refused(POST "Content-Length: -3\r\n\r\nabc", 400);
    refused(POST "Content-Length: 0x3\r\n\r\nabc", 400);
    refused(POST "Content-Length: 3 3\r\n\r\nabc", 400);
    refused(POST "Content-Length:\r\n\r\n", 400);
    refused(POST "Content-Length: 99999999999999999999\r\n\r\n", 400);
    refused(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: identity\r\n\r\n", 400);
    refused(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding:\r\n\r\n", 400);
    refused(POST "Transfer-Encoding:\x0b"
                 "chunked\r\n\r\n0\r\n\r\n",
            400);
    refused("POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400);
    refused(POST "Content-Length : 3\r\n\r\nabc", 400);
}

TEST(lines_that_do_not_end_as_they_should)
{
    refused("GET /hello HTTP/1.1\nHost: a\n\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\n\n", 400);
    refused("\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nX: a\x01"
            "b\r\n\r\n",
            400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nX: a\x7f"
            "b\r\n\r\n",
            400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nX\x80: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400);
}

TEST(hosts)
{
    refused("GET /hello HTTP/1.1\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a, b\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: u@b\r\n\r\n", 400);
    refused("GET http://other/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET http://u@a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

TEST(request_lines)
{
    refused("GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400);
    refused("GET /hello\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /h\xc3\xa4llo HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n", 400);
    refused("GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello there HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.2\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/0.9\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello\r\nHost: a\r\n\r\n", 400);
    refused("get /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused(" GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400);
    refused("\x16\x03\x01\x02", 400);
    refused("FLY /hello HTTP/1.1\r\nHost: a\r\n\r\n", 405);
}

TEST(absolute_form_is_accepted_where_the_host_agrees)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "GET http://A:80/hello?q HTTP/1.1\r\nHost: a:80\r\n\r\nGET http://a HTTP/1.1\r\nHost: "
             "a\r\n\r\n");
    rig_until(&r, raw_has(&w, "hello") && raw_count(&w, "HTTP/1.1 200 OK") == 2);
    CHECK_CSTR(r.path, "/");
    CHECK_CSTR(r.host, "a");
    raw_close(&w);
    rig_close(&r);
}

TEST(upgrade_is_an_ordinary_request)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
             "h2c\r\nContent-Length: 3\r\n\r\nabc"
             "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&w, "hello"));
    CHECK(raw_has(&w, "abc"));
    raw_close(&w);
    rig_close(&r);
}

TEST(heads_have_a_size)
{
    struct rig r;
    rig_open(&r);
    for (int i = 0; i < 2; i++) {
        struct raw w = raw_open(&r);
        raw_send(&r, &w, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
        raw_send_bytes(&r, &w, r.big, i == 0 ? 32000 : 40000);
        raw_send(&r, &w, "\r\n\r\n");
        rig_until(&r, raw_has(&w, i == 0 ? "hello" : "HTTP/1.1 431 "));
        rig_until(&r, i == 0 || raw_ended(&w));
        CHECK(!w.reset);
        raw_close(&w);
    }
    CHECK_INT(r.refused_err, ERR_HEADERS_TOO_LARGE);
    char many[101 * 6 + 64] = "GET /hello HTTP/1.1\r\nHost: a\r\n";
    for (unsigned i = 0; i < HEAD_FIELDS_MAX; i++) {
        memcpy(many + strlen(many), "X: 1\r\n", 7);
    }
    memcpy(many + strlen(many), "\r\n", 3);
    rig_close(&r);
    refused(many, 431);
}

TEST(bodies_have_a_size)
{
    struct rig r;
    rig_open(&r);
    for (int i = 0; i < 2; i++) {
        struct raw w = raw_open(&r);
        r.bodies = 0;
        raw_send(&r, &w,
                 i == 0 ? POST "Content-Length: 1048577\r\n\r\n"
                        : POST "Transfer-Encoding: chunked\r\n\r\n100001\r\n");
        raw_send_bytes(&r, &w, r.big, 1048577);
        rig_until(&r, raw_ended(&w));
        CHECK_INT(r.bodies, 1);
        CHECK_INT(r.body_err, ERR_BODY_TOO_LARGE);
        CHECK(raw_has(&w, "HTTP/1.1 413 "));
        CHECK(!w.reset);
        raw_close(&w);
    }
    rig_close(&r);
}

TEST(bad_chunks)
{
    static const char *const bodies[] = {
        "g\r\nabc\r\n0\r\n\r\n",     "3\nabc\r\n0\r\n\r\n",    "3\r\nabcd\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",    "3 \r\nabc\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",   "fffffffffffffffff\r\n",  "3\r\nabc\r\n0\r\nX: 1\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct rig r;
        rig_open(&r);
        struct raw w = raw_open(&r);
        raw_send(&r, &w, POST "Transfer-Encoding: chunked\r\n\r\n");
        raw_send(&r, &w, bodies[i]);
        rig_until(&r, raw_ended(&w));
        if (!CHECK_INT(r.body_err, ERR_BAD_FRAMING) || !CHECK(raw_has(&w, "HTTP/1.1 400 "))) {
            fprintf(stderr, "for: %s\n", bodies[i]);
        }
        raw_close(&w);
        rig_close(&r);
    }
}

TEST(chunks_may_not_cost_more_than_they_carry)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, POST "Transfer-Encoding: chunked\r\n\r\n1;");
    raw_send_bytes(&r, &w, r.big, 400000);
    rig_until(&r, raw_ended(&w));
    CHECK_INT(r.body_err, ERR_BAD_FRAMING);
    raw_close(&w);
    rig_close(&r);
}

TEST(expectations)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    rig_until(&r, raw_has(&w, "HTTP/1.1 100 Continue\r\n\r\n"));
    CHECK_INT(raw_count(&w, "HTTP/1.1 "), 1);
    raw_send(&r, &w, "abc");
    rig_until(&r, raw_has(&w, "abc"));
    CHECK(!raw_has(&w, "connection: close"));
    raw_close(&w);
    w = raw_open(&r);
    raw_send(
        &r, &w,
        "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "connection: close\r\n"));
    CHECK(!raw_has(&w, "100 Continue"));
    raw_close(&w);
    rig_close(&r);
    refused(POST "Expect: a-miracle\r\nContent-Length: 3\r\n\r\n", 417);
}

/* ---- time and numbers ---- */

/* Long enough for what is sent to be read first, also by a process that has to wait for its core.
 */
static void open_small(struct rig *r)
{
    rig_open_limits(r, (struct server_limits){.connections_max = 1, .request_timeout_ms = 1000});
    server_listen(r->server, &r->listener, 0, NULL);
}

TEST(a_head_or_body_that_does_not_come_times_out)
{
    struct rig r;
    open_small(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hello HTTP/1.1\r\nHost:");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "HTTP/1.1 408 "));
    CHECK_INT(r.refused_err, ERR_REQUEST_TIMEOUT);
    raw_close(&w);
    rig_until(&r, server_is_idle(r.server));
    w = raw_open(&r);
    raw_send(&r, &w, POST "Content-Length: 10\r\n\r\nabc");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "HTTP/1.1 408 "));
    CHECK_INT(r.body_err, ERR_REQUEST_TIMEOUT);
    raw_close(&w);
    rig_close(&r);
}

TEST(a_reader_that_does_not_read_is_cut)
{
    struct rig r;
    open_small(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, r.held != NULL);
    exchange_stream_begin(r.held, 200, STR(""), STR(""));
    exchange_stream_data(r.held, str_of(r.big, BIG_BYTES));
    rig_until(&r, r.gone == 1);
    exchange_abort(r.held, STR(""));
    raw_close(&w);
    rig_until(&r, server_is_idle(r.server)); /* there is room for one connection */
    w = raw_open(&r);
    raw_send(&r, &w, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, r.heads == 2 && server_is_idle(r.server));
    raw_close(&w);
    rig_close(&r);
}

TEST(one_connection_too_many_is_told_so)
{
    struct rig r;
    rig_open_limits(&r, (struct server_limits){.connections_max = 1, .request_timeout_ms = 20000});
    server_listen(r.server, &r.listener, 0, NULL);
    struct raw first = raw_open(&r);
    raw_send(&r, &first, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&first, "hello"));
    struct raw second = raw_open(&r);
    rig_until(&r, raw_ended(&second));
    CHECK(raw_has(&second, "HTTP/1.1 503 "));
    CHECK(raw_has(&second, "overloaded"));
    CHECK(raw_has(&second, "retry-after: 1\r\n"));
    CHECK_INT(r.refused_err, ERR_OVERLOADED);
    raw_close(&second);
    raw_close(&first);
    rig_until(&r, server_is_idle(r.server));
    second = raw_open(&r);
    raw_send(&r, &second, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&second, "hello"));
    raw_close(&second);
    rig_close(&r);
}

TEST(what_comes_too_early_is_bounded)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, r.held != NULL);
    /* The server stops reading, so the sockets' buffers fill and a send finds no room. */
    ssize_t n = 1;
    size_t sent = 0;
    for (int quiet = 0; quiet<50; quiet = n> 0 ? 0 : quiet + 1) {
        n = send(w.fd, r.big, BIG_BYTES, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        rig_turn(&r);
        if (!CHECK(sent < 8 * BIG_BYTES)) {
            break;
        }
    }
    exchange_reply(r.held, 200, STR(""), STR("late"));
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "late"));
    raw_close(&w);
    rig_close(&r);
}

CHECK_MAIN
