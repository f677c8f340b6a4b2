/* Calls against an upstream that the test plays: good answers and bad ones, requests, connecting.
 */
#include "upstream.h"

/* One call whose answer is `text`, sent in two parts cut at `at`, then perhaps closed. */
static void play(struct rig *r, struct upstream *u, struct got *g, const char *method,
                 const char *text, size_t at, bool close_after)
{
    struct origin *o = upstream_origin(r, u, "/v1/");
    got_start_at(r, g, o, method, "/chat", STR(""));
    struct raw w = upstream_request(r, u);
    raw_send_bytes(r, &w, text, at);
    rig_turn(r);
    raw_send(r, &w, text + at);
    if (close_after) {
        raw_close(&w);
    }
    rig_until(r, got_done(g));
    rig_turn(r);
    raw_close(&w);
    rig_until(r, client_stats(r->client).idle + client_stats(r->client).active == 0);
}

static void answers(const char *method, const char *text, bool close_after, const char *body,
                    bool reusable)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    for (size_t at = 0; at < strlen(text); at++) {
        struct got g = {0};
        struct origin *o = upstream_origin(&r, &u, "/v1");
        got_start_at(&r, &g, o, method, "/chat", STR(""));
        struct raw w = upstream_request(&r, &u);
        raw_send_bytes(&r, &w, text, at);
        rig_turn(&r);
        raw_send(&r, &w, text + at);
        if (close_after) {
            raw_close(&w);
        }
        rig_until(&r, got_done(&g));
        bool ok = CHECK_INT(g.ends, 1);
        ok &= CHECK_CSTR(g.body != NULL ? g.body : "", body);
        ok &= CHECK_INT(g.heads, 1);
        ok &= close_after || CHECK_INT(client_stats(r.client).idle, reusable);
        if (!ok) {
            fprintf(stderr, "cut at %zu: %s (%s)\n", at, text, g.detail);
        }
        raw_close(&w);
        rig_until(&r, client_stats(r.client).idle + client_stats(r.client).active == 0);
        got_close(&g);
        if (!ok) {
            break;
        }
    }
    upstream_close(&u);
    rig_close(&r);
}

static void fails(const char *text, bool close_after, enum call_failure failure)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got g = {0};
    play(&r, &u, &g, "POST", text, strlen(text) / 2, close_after);
    bool ok = CHECK_INT(g.fails, 1);
    ok &= CHECK_INT(g.failure, failure);
    ok &= CHECK(g.detail[0] != '\0');
    if (!ok) {
        fprintf(stderr, "for: %s (%s)\n", text, g.detail);
    }
    got_close(&g);
    upstream_close(&u);
    rig_close(&r);
}

#define OK_200  "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_200 "Transfer-Encoding: chunked\r\n\r\n"

TEST(good_answers)
{
    answers("POST", OK_200 "Content-Length: 5\r\n\r\nhello", false, "hello", true);
    answers("POST", OK_200 "Content-Length: 0\r\n\r\n", false, "", true);
    answers("POST", OK_200 "content-length:5\r\nConnection: close\r\n\r\nhello", false, "hello",
            false);
    answers("POST", CHUNKED "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nTrailer: x\r\n\r\n", false, "hello",
            true);
    answers("POST", CHUNKED "000005\r\nhello\r\n0\r\n\r\n", false, "hello", true);
    answers("POST", OK_200 "\r\nhello", true, "hello", false);
    answers("POST", "HTTP/1.0 200 OK\r\n\r\nhello", true, "hello", false);
    answers("POST", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, "hello", false);
    answers("POST", "HTTP/1.1 204 No Content\r\n\r\n", false, "", true);
    answers("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, "", true);
    answers("HEAD", OK_200 "Content-Length: 5\r\n\r\n", false, "", true);
    answers("POST",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" OK_200
            "Content-Length: 2\r\n\r\nok",
            false, "ok", true);
    answers("POST", "HTTP/1.1 500\r\nContent-Length: 2\r\n\r\nno", false, "no", true);
}

TEST(what_follows_an_answer_ends_the_connection)
{
    answers("POST", OK_200 "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", false, "ok",
            false);
    answers("POST", CHUNKED "2\r\nok\r\n0\r\n\r\nX", false, "ok", false);
}

TEST(answers_that_are_not_http)
{
    fails("hello\r\n\r\n", false, CALL_INVALID);
    fails("HTTP/1.1 200 OK\nContent-Length: 0\n\n", false, CALL_INVALID);
    fails("HTTP/2 200 OK\r\n\r\n", false, CALL_INVALID);
    fails("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", false, CALL_INVALID);
    fails("HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", false, CALL_INVALID);
    fails(OK_200 "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", false, CALL_INVALID);
    fails(OK_200 "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
          CALL_INVALID);
    fails(OK_200 "Transfer-Encoding: gzip\r\n\r\n", false, CALL_INVALID);
    fails(OK_200 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false, CALL_INVALID);
    fails("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, CALL_INVALID);
    fails(OK_200 "Content-Length: -1\r\n\r\n", false, CALL_INVALID);
    fails(OK_200 "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", false, CALL_INVALID);
    fails(OK_200 "X: a\x01\r\nContent-Length: 0\r\n\r\n", false, CALL_INVALID);
    fails("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false, CALL_INVALID);
    fails(CHUNKED "zz\r\n", false, CALL_INVALID);
    fails(CHUNKED "2\r\nabc\r\n0\r\n\r\n", false, CALL_INVALID);
    fails(CHUNKED "11111111111111111\r\n", false, CALL_INVALID);
}

TEST(answers_that_end_too_early)
{
    fails("", true, CALL_RESET);
    fails("HTTP/1.1 200 OK\r\nContent-Le", true, CALL_RESET);
    fails(OK_200 "Content-Length: 5\r\n\r\nhell", true, CALL_RESET);
    fails(CHUNKED "5\r\nhel", true, CALL_RESET);
    fails(CHUNKED "5\r\nhello\r\n", true, CALL_RESET);
    fails(CHUNKED "5\r\nhello\r\n0\r\n", true, CALL_RESET);
}

TEST(heads_and_interim_answers_are_bounded)
{
    char *text = xcalloc(1, 64000);
    memcpy(text, OK_200 "X: ", sizeof OK_200 + 2);
    memset(text + strlen(text), 'x', 40000);
    fails(text, false, CALL_INVALID);
    text[0] = '\0';
    for (int i = 0; i < 20; i++) {
        memcpy(text + strlen(text), "HTTP/1.1 103 Early Hints\r\n\r\n", 29);
    }
    fails(text, false, CALL_INVALID);
    free(text);
}

TEST(the_request_is_what_was_asked_for)
{
    struct rig r;
    char want[256];
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got g = {0};
    got_start_at(&r, &g, upstream_origin(&r, &u, "/v1"), "POST", "/chat?x=1", STR("{\"a\":1}"));
    struct raw w = upstream_request(&r, &u);
    rig_until(&r, raw_has(&w, "{\"a\":1}"));
    snprintf(want, sizeof want,
             "POST /v1/chat?x=1 HTTP/1.1\r\nhost: 127.0.0.1:%u\r\naccept: "
             "text/plain\r\ncontent-length: 7\r\n\r\n{\"a\":1}",
             u.port);
    CHECK_CSTR(w.got, want);
    raw_send(&r, &w, OK_200 "Content-Length: 0\r\nX-Two:  words here \r\n\r\n");
    rig_until(&r, got_done(&g));
    got_close(&g);
    got_start_at(&r, &g, upstream_origin(&r, &u, "/v1"), "GET", "/models", STR(""));
    rig_until(&r, raw_has(&w, "GET /v1/models HTTP/1.1\r\n"));
    CHECK(strstr(strstr(w.got, "GET"), "content-length") == NULL);
    call_cancel(g.call);
    rig_until(&r, raw_ended(&w));
    got_close(&g);
    raw_close(&w);
    upstream_close(&u);
    rig_close(&r);
}

TEST(nobody_listens)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct origin *o = upstream_origin(&r, &u, "");
    upstream_close(&u);
    struct got g = {0};
    got_start_at(&r, &g, o, "POST", "/", STR(""));
    CHECK_INT(g.fails, 0);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_REFUSED);
    got_close(&g);
    rig_close(&r);
}

TEST(connecting_has_a_deadline)
{
    struct rig r;
    rig_open(&r);
    /* A listener whose queue is full does not answer. */
    struct upstream u = upstream_open();
    listen(u.fd, 0);
    struct raw fill[8];
    for (int i = 0; i < 8; i++) {
        fill[i] = (struct raw){.fd = socket(AF_INET, SOCK_STREAM, 0)};
        fcntl(fill[i].fd, F_SETFL, O_NONBLOCK);
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)u.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        (void)connect(fill[i].fd, (struct sockaddr *)&to, sizeof to);
    }
    struct got g = {.rig = &r};
    struct call_request request = {
        .method = STR("GET"), .path = STR("/"), .connect_timeout_ms = 30};
    g.call = call_start(upstream_origin(&r, &u, ""), &request, &got_handler, &g);
    rig_until(&r, got_done(&g));
    CHECK_INT(g.failure, CALL_CONNECT_TIMEOUT);
    for (int i = 0; i < 8; i++) {
        raw_close(&fill[i]);
    }
    got_close(&g);
    upstream_close(&u);
    rig_close(&r);
}

TEST(the_other_family_is_tried)
{
    struct rig r;
    char url[64];
    rig_open(&r);
    snprintf(url, sizeof url, "http://localhost:%u", rig_port(r.listener.address));
    struct got g = {0};
    got_start_at(&r, &g, client_origin(r.client, str_of_c(url), STR(""), STR("")), "GET", "/hello",
                 STR(""));
    rig_until(&r, got_done(&g));
    CHECK_CSTR(g.body, "hello");
    got_close(&g);
    rig_close(&r);
}

TEST(a_large_request_body_goes_out_whole)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got g = {0};
    char *body = xmalloc(BIG_BYTES);
    memset(body, 'b', BIG_BYTES);
    got_start_at(&r, &g, upstream_origin(&r, &u, ""), "POST", "/", str_of(body, BIG_BYTES));
    struct raw w = upstream_request(&r, &u);
    /* The answer begins before the body is through; from its head on the body's memory may go. */
    raw_send(&r, &w, OK_200 "Content-Length: 2\r\n\r\n");
    rig_until(&r, g.heads == 1);
    memset(body, 'z', BIG_BYTES);
    free(body);
    size_t head = (size_t)(strstr(w.got, "\r\n\r\n") - w.got) + 4;
    rig_until(&r, (raw_poll(&w), w.len == head + BIG_BYTES));
    bool same = true;
    for (size_t i = head; i < w.len; i++) {
        same &= w.got[i] == 'b';
    }
    CHECK(same);
    raw_send(&r, &w, "ok");
    rig_until(&r, got_done(&g));
    CHECK_INT(g.ends, 1);
    got_close(&g);
    raw_close(&w);
    upstream_close(&u);
    rig_close(&r);
}

TEST(base_urls)
{
    static const char *const bad[] = {"",
                                      "groq.com",
                                      "ftp://a",
                                      "http://",
                                      "http://:80",
                                      "http://a:0",
                                      "http://a:65536",
                                      "http://a:x",
                                      "http://[::1",
                                      "http://a/b?c",
                                      "http://a/b#c",
                                      "http://a b/"};
    struct rig r;
    rig_open(&r);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!CHECK(client_origin(r.client, str_of_c(bad[i]), STR(""), STR("")) == NULL)) {
            fprintf(stderr, "for: %s\n", bad[i]);
        }
    }
    struct origin *o = client_origin(r.client, STR("http://[::1]:81/v1"), STR(""), STR(""));
    CHECK(o != NULL);
    CHECK(client_origin(r.client, STR("http://[::1]:81/v1"), STR(""), STR("")) == o);
    CHECK(client_origin(r.client, STR("http://[::1]:81/v2"), STR(""), STR("")) != o);
    CHECK(client_origin(r.client, STR("http://a"), STR("https://proxy"), STR("")) == NULL);
    CHECK(client_origin(r.client, STR("https://a"), STR(""), STR("/no/such/file")) == NULL);
    CHECK_INT(client_stats(r.client).origins, 2);
    rig_close(&r);
}

TEST(closing_the_client_fails_its_calls)
{
    struct rig r;
    rig_open(&r);
    struct upstream u = upstream_open();
    struct got a = {0}, b = {0};
    got_start_at(&r, &a, upstream_origin(&r, &u, ""), "POST", "/", STR(""));
    struct raw w = upstream_request(&r, &u);
    got_start_at(&r, &b, upstream_origin(&r, &u, ""), "POST", "/", STR(""));
    client_close(r.client);
    rig_until(&r, got_done(&a) && got_done(&b));
    CHECK_INT(a.failure, CALL_RESET);
    CHECK_INT(b.failure, CALL_RESET);
    raw_close(&w);
    got_close(&a);
    got_close(&b);
    upstream_close(&u);
    rig_close(&r);
}

CHECK_MAIN
