/* Calls and connections over time: reuse, idle ones, pauses, cancels. */
#include "net/client_internal.h"
#include "upstream.h"

#define OK_200  "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_200 "Transfer-Encoding: chunked\r\n\r\n"

TEST(a_reused_connection_that_closes_is_replaced_once)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got g = {0};
    struct origin *o = upstream_origin(&r, &u, "");
    got_start_at(&r, &g, o, "POST", "/a", STR("one"));
    struct raw w = upstream_request(&r, &u);
    raw_send(&r, &w, OK_200 "Content-Length: 0\r\n\r\n");
    rig_until(&r, got_done(&g));
    got_close(&g);
    got_start_at(&r, &g, o, "POST", "/b", STR("two"));
    rig_until(&r, raw_has(&w, "two"));
    raw_close(&w);
    w = upstream_request(&r, &u);
    rig_until(&r, raw_has(&w, "two"));
    CHECK(raw_has(&w, "POST /b HTTP/1.1\r\n"));
    CHECK_INT(g.fails, 0);
    raw_send(&r, &w, OK_200 "Content-Length: 2\r\n\r\nok");
    rig_until(&r, got_done(&g));
    CHECK_CSTR(g.body, "ok");
    CHECK(!g.reused);
    got_close(&g);
    /* Once an answer has begun it is not sent again; nor is it a second time. */
    got_start_at(&r, &g, o, "POST", "/c", STR("three"));
    rig_until(&r, raw_has(&w, "three"));
    raw_send(&r, &w, "HTTP/1.1 2");
    raw_close(&w);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_RESET);
    got_close(&g);
    upstream_close(&u);
    rig_close(&r);
}

TEST(an_idle_connection_that_speaks_is_dropped)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    for (int i = 0; i < 2; i++) {
        struct got g = {0};
        got_start_at(&r, &g, upstream_origin(&r, &u, ""), "POST", "/", STR(""));
        struct raw w = upstream_request(&r, &u);
        raw_send(&r, &w, OK_200 "Content-Length: 0\r\n\r\n");
        rig_until(&r, client_stats(r.client).idle == 1);
        if (i == 0) {
            raw_send(&r, &w, "HTTP/1.1 408 Request Timeout\r\n\r\n");
        } else {
            raw_close(&w);
        }
        rig_until(&r, client_stats(r.client).idle == 0);
        rig_until(&r, client_stats(r.client).active == 0);
        raw_close(&w);
        got_close(&g);
    }
    upstream_close(&u);
    rig_close(&r);
}

TEST(the_newest_idle_connection_is_used_first)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got a = {0}, b = {0}, c = {0};
    got_start_at(&r, &a, upstream_origin(&r, &u, ""), "POST", "/a", STR(""));
    struct raw first = upstream_request(&r, &u);
    got_start_at(&r, &b, upstream_origin(&r, &u, ""), "POST", "/b", STR(""));
    struct raw second = upstream_request(&r, &u);
    raw_send(&r, &second, OK_200 "Content-Length: 0\r\n\r\n");
    rig_until(&r, got_done(&b));
    raw_send(&r, &first, OK_200 "Content-Length: 0\r\n\r\n");
    rig_until(&r, got_done(&a));
    CHECK_INT(client_stats(r.client).idle, 2);
    got_start_at(&r, &c, upstream_origin(&r, &u, ""), "POST", "/c", STR(""));
    rig_until(&r, raw_has(&first, "/c"));
    CHECK(!raw_has(&second, "/c"));
    raw_send(&r, &first, OK_200 "Content-Length: 0\r\n\r\n");
    rig_until(&r, got_done(&c));
    got_close(&a);
    got_close(&b);
    got_close(&c);
    raw_close(&first);
    raw_close(&second);
    upstream_close(&u);
    rig_close(&r);
}

TEST(pausing_stops_reading)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    for (int i = 0; i < 3; i++) {
        struct got g = {.pause_on_head = i == 0, .pause_on_body = i > 0};
        got_start_at(&r, &g, upstream_origin(&r, &u, ""), "POST", "/", STR(""));
        struct raw w = upstream_request(&r, &u);
        raw_send(&r, &w,
                 i < 2 ? CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" : CHUNKED "2\r\nhe\r\n");
        rig_until(&r, g.heads == 1);
        if (i == 2) {
            raw_send(&r, &w, "3\r\nllo\r\n0\r\n\r\n");
        }
        for (int turn = 0; turn < 100; turn++) {
            rig_turn(&r);
        }
        CHECK_INT(g.ends, 0);
        CHECK_INT(g.pieces, i == 0 ? 0 : 1);
        g.pause_on_body = false;
        call_resume(g.call);
        CHECK_INT(g.ends, 0);
        rig_until(&r, got_done(&g));
        CHECK_CSTR(g.body, "hello");
        got_close(&g);
        raw_close(&w);
        rig_until(&r, client_stats(r.client).idle == 0);
    }
    upstream_close(&u);
    rig_close(&r);
}

TEST(a_paused_call_holds_the_upstream_back)
{
    struct rig r;
    rig_open(&r);
    struct got g = {.pause_on_body = true};
    got_start(&r, &g, "GET", "/hold", STR(""));
    rig_until(&r, r.held != NULL);
    exchange_stream_begin(r.held, 200, STR(""), str_of(r.big, BIG_BYTES));
    rig_until(&r, g.pieces == 1);
    for (int turn = 0; turn < 100; turn++) {
        rig_turn(&r);
    }
    CHECK_INT(g.pieces, 1);
    CHECK(exchange_queued(r.held) > BIG_BYTES / 2 - 1000000);
    exchange_stream_end(r.held, STR(""));
    g.pause_on_body = false;
    call_resume(g.call);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.len, BIG_BYTES);
    got_close(&g);
    rig_close(&r);
}

TEST(cancelling_at_every_point)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    for (int i = 0; i < 6; i++) {
        struct got g = {
            .cancel_on_head = i == 3, .cancel_on_body = i == 4, .pause_on_body = i == 5};
        got_start_at(&r, &g, upstream_origin(&r, &u, ""), "POST", "/", STR("body"));
        if (i == 0) {
            call_cancel(g.call); /* before the connection is there */
            rig_turn(&r);
            struct raw lost = upstream_accept(&r, &u);
            raw_close(&lost);
        } else {
            struct raw w = upstream_request(&r, &u);
            if (i == 2) {
                raw_send(&r, &w, OK_200 "Content-Le");
            } else if (i > 2) {
                raw_send(&r, &w, OK_200 "Content-Length: 5\r\n\r\nhello");
            }
            rig_turn(&r);
            if (g.call != NULL) {
                rig_until(&r, i < 5 || g.pieces == 1);
                call_cancel(g.call);
            }
            rig_until(&r, raw_ended(&w));
            raw_close(&w);
        }
        CHECK_INT(g.ends + g.fails, 0);
        CHECK_INT(g.heads, i >= 3);
        rig_until(&r, client_stats(r.client).active == 0);
        CHECK_INT(client_stats(r.client).idle, 0);
        got_close(&g);
    }
    upstream_close(&u);
    rig_close(&r);
}

TEST(an_idle_connection_is_dropped_in_time)
{
    struct rig r;
    rig_open(&r);
    struct got g = {0};
    struct origin *o = rig_origin(&r);
    got_start(&r, &g, "GET", "/hello", STR(""));
    rig_until(&r, got_done(&g));
    CHECK_INT(client_stats(r.client).idle, 1);
    CHECK(o->idle_timer.due_ms >= loop_now_ms(r.loop) + CLIENT_IDLE_MS - 1000);
    loop_timer_start(&o->idle_timer, 0); /* too early: it looks, and waits again */
    rig_until(&r, o->idle_timer.due_ms > loop_now_ms(r.loop) + CLIENT_IDLE_MS / 2);
    CHECK_INT(client_stats(r.client).idle, 1);
    LIST_ITEM(o->idle.next, struct upstream_conn, node)->idle_since_ms -= CLIENT_IDLE_MS;
    loop_timer_start(&o->idle_timer, 0);
    rig_until(&r, client_stats(r.client).idle == 0);
    got_close(&g);
    rig_close(&r);
}

TEST(idle_connections_have_a_maximum)
{
    struct rig r;
    rig_open(&r);
    struct origin *o = rig_origin(&r);
    struct got *g = xcalloc(8, sizeof *g);
    for (int i = 0; i < 8; i++) {
        got_start(&r, &g[i], "GET", "/hello", STR(""));
    }
    o->idle_count += CLIENT_IDLE_PER_ORIGIN_MAX - 4;
    for (int i = 0; i < 8; i++) {
        rig_until(&r, got_done(&g[i]));
        CHECK_INT(g[i].ends, 1);
        got_close(&g[i]);
    }
    CHECK_INT(client_stats(r.client).idle, 4);
    o->idle_count -= CLIENT_IDLE_PER_ORIGIN_MAX - 4;
    free(g);
    rig_close(&r);
}

TEST(connections_of_an_origin_have_a_maximum)
{
    struct rig r;
    rig_open(&r);
    struct origin *o = rig_origin(&r);
    struct got g = {0};
    o->connections += CLIENT_CONNECTIONS_PER_ORIGIN_MAX;
    got_start(&r, &g, "GET", "/hello", STR(""));
    CHECK_INT(g.fails, 0);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_OVERLOADED);
    o->connections -= CLIENT_CONNECTIONS_PER_ORIGIN_MAX;
    got_close(&g);
    rig_close(&r);
}

CHECK_MAIN
