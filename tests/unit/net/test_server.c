/* Requests as they should be: plain, with bodies, pipelined, streamed, kept alive, and clients that
 * leave. */
#include "net/server_internal.h"
#include "rig.h"

TEST(answers_a_plain_request)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "GET /hello?a=1&b HTTP/1.1\r\nHost: Example.org:80\r\nX-Odd:  two words \r\n\r\n");
    rig_until(&r, raw_has(&w, "hello"));
    CHECK(raw_has(&w, "HTTP/1.1 200 OK\r\n"));
    CHECK(raw_has(&w, "content-length: 5\r\n"));
    CHECK(raw_has(&w, "content-type: text/plain\r\n"));
    CHECK(raw_has(&w, "\r\ndate: "));
    CHECK(raw_has(&w, " GMT\r\n"));
    CHECK(!raw_has(&w, "connection:"));
    CHECK_CSTR(r.method, "GET");
    CHECK_CSTR(r.path, "/hello");
    CHECK_CSTR(r.query, "a=1&b");
    CHECK_CSTR(r.host, "Example.org:80");
    raw_close(&w);
    rig_close(&r);
}

TEST(call_and_server_meet)
{
    struct rig r;
    rig_open(&r);
    for (int i = 0; i < 3; i++) {
        struct got g = {0};
        got_start(&r, &g, "POST", "/echo", STR("a body"));
        rig_until(&r, got_done(&g));
        CHECK_INT(g.ends, 1);
        CHECK_INT(g.status, 200);
        CHECK_CSTR(g.body, "a body");
        CHECK_CSTR(g.type, "text/plain");
        CHECK_INT(g.reused, i > 0);
        got_close(&g);
    }
    CHECK_INT(client_stats(r.client).idle, 1);
    CHECK_INT(server_connections(r.server), 1);
    rig_close(&r);
}

TEST(reads_bodies_split_at_every_byte)
{
    static const char request[] =
        "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef"
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nghi\r\n3;x=y\r\njkl\r\n0\r\n\r\n";
    struct rig r;
    rig_open(&r);
    for (size_t at = 1; at < sizeof request - 1; at++) {
        struct raw w = raw_open(&r);
        raw_send_bytes(&r, &w, request, at);
        rig_turn(&r);
        raw_send_bytes(&r, &w, request + at, sizeof request - 1 - at);
        rig_until(&r, raw_has(&w, "ghijkl"));
        CHECK(raw_has(&w, "abcdef"));
        CHECK_INT(raw_count(&w, "HTTP/1.1 200 OK"), 2);
        raw_close(&w);
    }
    rig_close(&r);
}

TEST(streams_in_chunks)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&w, "0\r\n\r\n"));
    CHECK(raw_has(
        &w, "transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n3\r\nend\r\n0\r\n\r\n"));
    raw_close(&w);
    struct got g = {0};
    got_start(&r, &g, "GET", "/stream", STR(""));
    rig_until(&r, got_done(&g));
    CHECK_CSTR(g.body, "onetwoend");
    CHECK_INT(client_stats(r.client).idle, 1);
    got_close(&g);
    rig_close(&r);
}

TEST(a_stream_that_is_whole_is_framed_like_one_in_pieces)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "GET /whole HTTP/1.1\r\nHost: a\r\n\r\nHEAD /whole HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_count(&w, "HTTP/1.1 200 OK") == 2 || raw_ended(&w));
    CHECK(raw_has(&w, "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\nHTTP/1.1"));
    CHECK_INT(raw_count(&w, "whole"), 1);
    raw_close(&w);
    w = raw_open(&r);
    raw_send(&r, &w, "GET /whole HTTP/1.0\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "connection: close\r\n\r\nwhole"));
    CHECK(!raw_has(&w, "chunked"));
    CHECK(!w.reset);
    raw_close(&w);
    rig_close(&r);
}

TEST(an_aborted_stream_never_looks_whole)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "3\r\ntwo\r\n"));
    CHECK(!raw_has(&w, "0\r\n\r\n"));
    raw_close(&w);
    struct got g = {0};
    got_start(&r, &g, "GET", "/abort", STR(""));
    rig_until(&r, got_done(&g));
    CHECK_INT(g.fails, 1);
    CHECK_INT(g.failure, CALL_RESET);
    got_close(&g);
    rig_close(&r);
}

TEST(http_1_0_gets_a_body_that_ends_with_the_connection)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /stream HTTP/1.0\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "connection: close\r\n\r\nonetwoend"));
    CHECK(!w.reset);
    raw_close(&w);
    w = raw_open(&r);
    raw_send(&r, &w, "GET /abort HTTP/1.0\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(w.reset);
    raw_close(&w);
    rig_close(&r);
}

TEST(pipelined_requests_wait_their_turn)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
             "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    rig_until(&r, r.held != NULL);
    rig_turn(&r);
    CHECK_INT(r.heads, 1);
    exchange_reply(r.held, 200, STR(""), STR("first"));
    r.held = NULL;
    CHECK_INT(r.heads, 1);
    rig_until(&r, raw_has(&w, "abc"));
    CHECK_INT(raw_count(&w, "HTTP/1.1 200 OK"), 3);
    raw_close(&w);
    rig_close(&r);
}

TEST(a_client_that_leaves_is_noticed)
{
    struct rig r;
    rig_open(&r);
    for (int i = 0; i < 3; i++) {
        r.gone = 0;
        r.held = NULL;
        struct raw w = raw_open(&r);
        raw_send(&r, &w, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        rig_until(&r, r.held != NULL);
        if (i == 0) {
            raw_close(&w);
        } else if (i == 1) {
            struct linger hard = {1, 0};
            setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            raw_close(&w);
        } else {
            shutdown(w.fd, SHUT_WR);
        }
        rig_until(&r, r.gone == 1);
        exchange_stream_begin(r.held, 200, STR(""), STR("nobody reads this"));
        exchange_stream_data(r.held, STR("nor this"));
        exchange_stream_end(r.held, STR(""));
        rig_until(&r, server_is_idle(r.server));
        raw_close(&w);
    }
    rig_close(&r);
}

TEST(an_unread_body_is_drained_or_closes_the_connection)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    rig_until(&r, raw_has(&w, "hello"));
    CHECK(!raw_has(&w, "connection: close"));
    raw_send(&r, &w, "0123456789GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_count(&w, "HTTP/1.1 200 OK") == 2 || raw_ended(&w));
    CHECK_INT(raw_count(&w, "HTTP/1.1 200 OK"), 2);
    raw_close(&w);
    w = raw_open(&r);
    raw_send(&r, &w, "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    raw_send_bytes(&r, &w, r.big, 1000000);
    rig_until(&r, raw_ended(&w));
    CHECK(raw_has(&w, "connection: close\r\n"));
    CHECK(raw_has(&w, "hello"));
    CHECK(!w.reset);
    raw_close(&w);
    rig_close(&r);
}

TEST(a_slow_reader_is_seen_and_drained)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, r.held != NULL);
    exchange_stream_begin(r.held, 200, STR(""), STR(""));
    size_t sent = 0;
    while (exchange_queued(r.held) < EXCHANGE_QUEUE_HIGH) {
        exchange_stream_data(r.held, str_of(r.big, 100000));
        sent += 100000;
    }
    CHECK_INT(r.drains, 0);
    rig_until(&r, (raw_poll(&w), r.drains == 1));
    CHECK(exchange_queued(r.held) < EXCHANGE_QUEUE_HIGH / 2);
    exchange_stream_end(r.held, STR(""));
    rig_until(&r, raw_has(&w, "\r\n0\r\n\r\n"));
    size_t xs = 0;
    for (size_t i = 0; i < w.len; i++) {
        xs += w.got[i] == 'x';
    }
    CHECK_INT(xs, sent);
    raw_close(&w);
    rig_close(&r);
}

TEST(a_whole_big_answer_arrives)
{
    struct rig r;
    rig_open(&r);
    struct got g = {0};
    got_start(&r, &g, "GET", "/big", STR(""));
    rig_until(&r, got_done(&g));
    CHECK_INT(g.len, BIG_BYTES);
    CHECK_INT(client_stats(r.client).idle, 1);
    got_close(&g);
    rig_close(&r);
}

TEST(draining_lets_exchanges_end)
{
    struct rig r;
    rig_open(&r);
    struct raw idle = raw_open(&r), busy = raw_open(&r);
    raw_send(&r, &idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&idle, "hello"));
    raw_send(&r, &busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, r.held != NULL);
    server_drain(r.server);
    rig_until(&r, raw_ended(&idle));
    CHECK(!server_is_idle(r.server));
    exchange_reply(r.held, 200, STR(""), STR("last"));
    rig_until(&r, raw_ended(&busy));
    CHECK(raw_has(&busy, "connection: close\r\n"));
    CHECK(raw_has(&busy, "last"));
    raw_close(&idle);
    raw_close(&busy);
    rig_until(&r, server_is_idle(r.server));
    rig_close(&r);
}

TEST(head_requests_get_no_body)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w,
             "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"
             "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&w, "hello"));
    CHECK_INT(raw_count(&w, "content-length: 5\r\n"), 2);
    CHECK_INT(raw_count(&w, "hello"), 1);
    CHECK(!raw_has(&w, "one"));
    raw_close(&w);
    rig_close(&r);
}

TEST(whoever_asks_without_reading_waits)
{
    static const char request[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    for (int i = 0; i < 20; i++) {
        raw_send(&r, &w, request);
    }
    for (int turn = 0; turn < 200; turn++) {
        rig_turn(&r);
    }
    CHECK(r.heads < 5);
    size_t want = (size_t)20 * BIG_BYTES;
    size_t bytes = 0;
    rig_until(&r, (raw_poll(&w), bytes += w.len, w.len = 0, bytes > want));
    CHECK_INT(r.heads, 20);
    raw_close(&w);
    rig_close(&r);
}

TEST(an_idle_connection_is_closed_in_time)
{
    struct rig r;
    rig_open(&r);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_has(&w, "hello"));
    struct server_conn *sc = LIST_ITEM(r.server->connections.next, struct server_conn, node);
    CHECK(sc->timer.due_ms >= loop_now_ms(r.loop) + SERVER_IDLE_MS_MIN - 1000);
    CHECK(sc->held == NULL && sc->block == NULL);
    loop_timer_start(&sc->timer, 0);
    rig_until(&r, raw_ended(&w));
    CHECK(!w.reset);
    raw_close(&w);
    rig_close(&r);
}

TEST(a_drained_listener_refuses)
{
    struct rig r;
    rig_open(&r);
    server_drain(r.server);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)rig_port(r.listener.address)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) != 0);
    close(fd);
    rig_close(&r);
}

CHECK_MAIN
