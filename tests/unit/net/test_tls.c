/* TLS on both sides: verified, resumed, reloaded, through a proxy; and what must not be believed.
 */
#include "certs.h"
#include "net/client_internal.h"
#include "upstream.h"

static void open_tls(struct rig *r, struct certs *c)
{
    char *why = NULL;
    certs_open(c);
    rig_open_limits(r, (struct server_limits){.connections_max = 100, .request_timeout_ms = 20000});
    r->tls_server = tls_server_new(str_of_c(c->cert), str_of_c(c->key), &why);
    REQUIRE(r->tls_server != NULL);
    server_listen(r->server, &r->listener, 0, r->tls_server);
}

static void close_tls(struct rig *r, struct certs *c)
{
    rig_close(r);
    certs_close(c);
}

static struct origin *secure(struct rig *r, const char *host, const char *ca, const char *proxy)
{
    char url[128];
    snprintf(url, sizeof url, "https://%s:%u", host, rig_port(r->listener.address));
    return client_origin(r->client, str_of_c(url), str_of_c(proxy), str_of_c(ca));
}

/* The failure of a GET /hello, or CALL_OK. */
static enum call_failure try_hello(struct rig *r, struct origin *o)
{
    struct got g = {0};
    got_start_at(r, &g, o, "GET", "/hello", STR(""));
    rig_until(r, got_done(&g));
    enum call_failure failure = g.fails > 0 ? g.failure : CALL_OK;
    CHECK(failure != CALL_OK || (g.body != NULL && strcmp(g.body, "hello") == 0));
    CHECK(failure == CALL_OK || g.detail[0] != '\0');
    got_close(&g);
    return failure;
}

TEST(names_and_addresses_are_verified)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    CHECK_INT(try_hello(&r, secure(&r, "127.0.0.1", c.ca, "")), CALL_OK);
    CHECK_INT(try_hello(&r, secure(&r, "localhost", c.ca, "")), CALL_OK);
    CHECK_INT(client_stats(r.client).idle, 2);
    CHECK_INT(try_hello(&r, secure(&r, "127.0.0.1", "", "")), CALL_TLS);
    close_tls(&r, &c);
}

TEST(sessions_are_reused)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    struct origin *o = secure(&r, "127.0.0.1", c.ca, "");
    for (int i = 0; i < 3; i++) {
        struct got g = {.pause_on_head = true};
        got_start_at(&r, &g, o, "GET", "/stream", STR(""));
        rig_until(&r, g.heads == 1);
        CHECK_INT(tls_stream_was_resumed(g.call->conn->io.tls), i > 0);
        call_resume(g.call);
        rig_until(&r, got_done(&g));
        CHECK_CSTR(g.body, "onetwoend");
        got_close(&g);
        pool_close(o);
        rig_until(&r, client_stats(r.client).active == 0);
    }
    close_tls(&r, &c);
}

TEST(large_bodies_pass_both_ways)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    struct origin *o = secure(&r, "localhost", c.ca, "");
    struct got g = {0};
    got_start_at(&r, &g, o, "POST", "/echo", str_of(r.big, 1u << 20));
    rig_until(&r, got_done(&g));
    CHECK_INT(g.len, 1u << 20);
    got_close(&g);
    got_start_at(&r, &g, o, "GET", "/big", STR(""));
    rig_until(&r, got_done(&g));
    CHECK_INT(g.len, BIG_BYTES);
    CHECK(g.reused);
    got_close(&g);
    close_tls(&r, &c);
}

TEST(pausing_keeps_what_was_received)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    struct got g = {.pause_on_body = true};
    got_start_at(&r, &g, secure(&r, "localhost", c.ca, ""), "GET", "/big", STR(""));
    int pieces = 0;
    while (g.ends == 0) {
        rig_until(&r, g.pieces == pieces + 1 || g.ends == 1);
        rig_turn(&r);
        pieces = g.pieces;
        if (g.call != NULL) {
            call_resume(g.call);
        }
    }
    CHECK_INT(g.len, BIG_BYTES);
    got_close(&g);
    close_tls(&r, &c);
}

TEST(a_client_that_leaves_is_noticed_under_tls)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    struct got g = {0};
    got_start_at(&r, &g, secure(&r, "localhost", c.ca, ""), "GET", "/hold", STR(""));
    rig_until(&r, r.held != NULL);
    call_cancel(g.call);
    rig_until(&r, r.gone == 1);
    exchange_reply(r.held, 200, STR(""), STR("late"));
    rig_until(&r, server_is_idle(r.server));
    got_close(&g);
    close_tls(&r, &c);
}

TEST(certificates_are_reloaded)
{
    struct rig r;
    struct certs c;
    char *why = NULL;
    open_tls(&r, &c);
    struct got g = {0};
    got_start_at(&r, &g, secure(&r, "localhost", c.ca, ""), "GET", "/hold", STR(""));
    rig_until(&r, r.held != NULL);
    CHECK(!tls_server_reload(r.tls_server, str_of_c(c.cert), str_of_c(c.other_key), &why));
    CHECK(why != NULL && strstr(why, c.folder) != NULL);
    free(why);
    CHECK(!tls_server_reload(r.tls_server, STR("/no/such/file"), str_of_c(c.key), &why));
    free(why);
    CHECK_INT(try_hello(&r, secure(&r, "127.0.0.1", c.ca, "")), CALL_OK);
    pool_close(secure(&r, "127.0.0.1", c.ca, ""));
    CHECK(tls_server_reload(r.tls_server, str_of_c(c.other_cert), str_of_c(c.other_key), &why));
    exchange_reply(r.held, 200, STR(""), STR("old"));
    rig_until(&r, got_done(&g));
    CHECK_CSTR(g.body, "old");
    got_close(&g);
    CHECK_INT(try_hello(&r, secure(&r, "127.0.0.1", c.ca, "")), CALL_TLS);
    pool_close(secure(&r, "localhost", c.ca, ""));
    CHECK_INT(try_hello(&r, secure(&r, "localhost", c.ca, "")), CALL_TLS);
    close_tls(&r, &c);
}

TEST(what_does_not_speak_tls)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_until(&r, raw_ended(&w));
    CHECK(!raw_has(&w, "HTTP/1.1"));
    CHECK_INT(r.heads, 0);
    raw_close(&w);
    struct upstream u = upstream_open();
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u", u.port);
    struct got g = {0};
    got_start_at(&r, &g, client_origin(r.client, str_of_c(url), STR(""), str_of_c(c.ca)), "GET",
                 "/", STR(""));
    w = upstream_accept(&r, &u);
    rig_until(&r, raw_poll(&w));
    raw_send(&r, &w, "HTTP/1.1 400 Bad Request\r\n\r\n");
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_TLS);
    got_close(&g);
    raw_close(&w);
    got_start_at(&r, &g, client_origin(r.client, str_of_c(url), STR(""), str_of_c(c.ca)), "GET",
                 "/", STR(""));
    w = upstream_accept(&r, &u);
    raw_close(&w);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_TLS);
    got_close(&g);
    upstream_close(&u);
    close_tls(&r, &c);
}

TEST(a_handshake_has_a_deadline)
{
    struct rig r;
    struct certs c;
    open_tls(&r, &c);
    server_set_limits(r.server,
                      (struct server_limits){.connections_max = 9, .request_timeout_ms = 40});
    struct raw w = raw_open(&r);
    raw_send(&r, &w, "\x16\x03\x01");
    rig_until(&r, raw_ended(&w));
    CHECK_INT(w.len, 0);
    raw_close(&w);
    close_tls(&r, &c);
}

/* ---- a proxy, played by the test ---- */

/* Carries bytes between two raw sockets; `limit` bytes towards `to` at most. */
static void carry(struct raw *from, struct raw *to, size_t limit)
{
    raw_poll(from);
    if (from->len > limit) {
        from->len = limit;
    }
    if (from->len > 0) {
        ssize_t n = send(to->fd, from->got, from->len, MSG_NOSIGNAL);
        if (n > 0) {
            memmove(from->got, from->got + n, from->len - (size_t)n);
            from->len -= (size_t)n;
        }
    }
}

TEST(connect_through_a_proxy)
{
    struct rig r;
    struct certs c;
    char proxy[96], want[128];
    open_tls(&r, &c);
    struct upstream u = upstream_open();
    snprintf(proxy, sizeof proxy, "http://user:pass@127.0.0.1:%u", u.port);
    struct origin *o = secure(&r, "localhost", c.ca, proxy);
    struct got g = {0};
    got_start_at(&r, &g, o, "GET", "/hello", STR(""));
    struct raw w = upstream_request(&r, &u);
    snprintf(want, sizeof want,
             "CONNECT localhost:%u HTTP/1.1\r\nhost: localhost:%u\r\nproxy-authorization: Basic "
             "dXNlcjpwYXNz\r\n\r\n",
             rig_port(r.listener.address), rig_port(r.listener.address));
    CHECK_CSTR(w.got, want);
    raw_forget(&w);
    raw_send(&r, &w, "HTTP/1.1 200 Connection established\r\n\r\n");
    struct raw far = raw_open(&r);
    rig_until(&r, (carry(&w, &far, SIZE_MAX), carry(&far, &w, SIZE_MAX), got_done(&g)));
    CHECK_CSTR(g.body, "hello");
    got_close(&g);
    raw_close(&w);
    raw_close(&far);
    rig_until(&r, client_stats(r.client).idle == 0);
    static const char *const refusals[] = {
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\n\r\n", "rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nearly", ""};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        got_start_at(&r, &g, o, "GET", "/hello", STR(""));
        w = upstream_request(&r, &u);
        raw_send(&r, &w, refusals[i]);
        if (refusals[i][0] == '\0') {
            raw_close(&w);
        }
        rig_until(&r, got_done(&g));
        CHECK_INT(g.failure, CALL_PROXY);
        got_close(&g);
        raw_close(&w);
    }
    upstream_close(&u);
    close_tls(&r, &c);
}

TEST(plain_calls_through_a_proxy_name_the_whole_address)
{
    struct rig r;
    char proxy[96];
    rig_open(&r);
    struct upstream u = upstream_open();
    snprintf(proxy, sizeof proxy, "http://user:p@ss@127.0.0.1:%u/", u.port);
    struct got g = {0};
    got_start_at(&r, &g,
                 client_origin(r.client, STR("http://far.example:81/v1"), str_of_c(proxy), STR("")),
                 "GET", "/models", STR(""));
    struct raw w = upstream_request(&r, &u);
    CHECK_CSTR(w.got, "GET http://far.example:81/v1/models HTTP/1.1\r\nhost: "
                      "far.example:81\r\naccept: text/plain\r\n"
                      "proxy-authorization: Basic dXNlcjpwQHNz\r\n\r\n");
    raw_send(&r, &w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_until(&r, got_done(&g));
    CHECK_CSTR(g.body, "ok");
    got_close(&g);
    raw_close(&w);
    upstream_close(&u);
    rig_close(&r);
}

TEST(a_stream_cut_in_the_middle_never_looks_whole)
{
    struct rig r;
    struct certs c;
    char proxy[96];
    open_tls(&r, &c);
    struct upstream u = upstream_open();
    /* A middle man that cuts the connection can end a stream, but not make it look whole. */
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", u.port);
    struct got g = {0};
    got_start_at(&r, &g, secure(&r, "localhost", c.ca, proxy), "GET", "/hold", STR(""));
    struct raw w = upstream_request(&r, &u);
    raw_forget(&w);
    raw_send(&r, &w, "HTTP/1.1 200 OK\r\n\r\n");
    struct raw far = raw_open(&r);
    rig_until(&r, (carry(&w, &far, SIZE_MAX), carry(&far, &w, SIZE_MAX), r.held != NULL));
    exchange_stream_begin(r.held, 200, STR(""), STR("part"));
    rig_until(&r, (carry(&far, &w, SIZE_MAX), g.pieces == 1));
    raw_close(&w);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_RESET);
    exchange_stream_end(r.held, STR(""));
    got_close(&g);
    raw_close(&far);
    upstream_close(&u);
    close_tls(&r, &c);
}

CHECK_MAIN
