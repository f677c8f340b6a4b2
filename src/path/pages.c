/* pages.c - liveness, readiness, metrics (reference 3 and 8).
 *
 * /metrics is open on a loopback address or on admin.listen, elsewhere it needs the admin key; on a
 * loopback address it answers only to a loopback Host, so that no web page can read it through a
 * rebound name. */
#include "path/pages.h"

#include "base/clock.h"
#include "base/json.h"
#include "config/url.h"
#include "path/request.h"

#define PAGE_BYTES_MAX (8u << 20)

static void page(struct worker *w, struct exchange *x, int status, const char *type, str body)
{
    struct buf *head = &w->scratch;
    buf_clear(head);
    (void)buf_printf(head, "content-type: %s\r\ncache-control: no-store\r\n", type);
    exchange_reply(x, status, buf_str(head), body);
}

static void health(struct worker *w, struct exchange *x)
{
    page(w, x, 200, "application/json", STR("{\"status\":\"ok\"}"));
}

/* Who counts the limits at this moment, and what comes of it. */
static const char *limits_text(const struct worker *w)
{
    bool alone = atomic_load_explicit(&w->gateway->limits_alone, memory_order_relaxed);
    return redis_is_up(w->redis) && !alone           ? "shared"
           : w->view->config->limits.share_when_away ? "share"
                                                     : "refuse";
}

static void add_since(struct buf *b, const char *name, int64_t utc_us)
{
    char text[CLOCK_TEXT_BYTES];
    (void)buf_printf(b, ",\"%s\":\"" STR_FMT "\"", name, STR_ARG(clock_utc_text(utc_us, text)));
}

static void add_trouble(struct buf *b, const char *name, str trouble)
{
    if (trouble.len == 0)
        return;
    (void)buf_printf(b, ",\"%s\":", name);
    json_add_str(b, trouble);
}

static void add_shared(struct buf *b, const struct worker *w)
{
    bool up = w->shared != NULL && redis_is_up(w->redis);
    (void)buf_printf(b, ",\"shared\":\"%s\"",
                     w->shared == NULL ? "memory"
                     : up              ? "reachable"
                                       : "away");
    if (w->shared == NULL)
        return;
    add_since(b, "shared_since", redis_since_us(w->redis));
    (void)buf_printf(b, ",\"gateways\":%u", gateway_peers(w->gateway));
    str trouble = redis_answers_trouble(w->shared);
    if (w->shared_limits != NULL)
        (void)buf_printf(b, ",\"limits\":\"%s\"", limits_text(w));
    if (trouble.len == 0 && w->shared_limits != NULL)
        trouble = redis_limits_trouble(w->shared_limits);
    add_trouble(b, "trouble", trouble);
}

/* Ready: the configuration and the keys are loaded, and the store is reachable or the journal takes
 * rows: keys that are known work without the store. Without the shared server requests are served
 * all the same. */
static void ready(struct worker *w, struct exchange *x)
{
    struct gateway *g = w->gateway;
    struct store_state store = store_look(g->store);
    bool journal = !journal_is_refusing(g->journal);
    bool draining = atomic_load_explicit(&g->draining, memory_order_relaxed);
    bool ok = store.loaded && (store.reachable || journal) && !draining;
    struct buf body;
    buf_init(&body, 4096);
    (void)buf_printf(&body, "{\"status\":\"%s\",\"models\":%u,\"store\":\"%s\"",
                     draining ? "draining"
                     : ok     ? "ready"
                              : "not ready",
                     w->view->catalog->model_count, store.reachable ? "reachable" : "away");
    add_since(&body, "store_since", store.since_us);
    add_trouble(&body, "store_trouble", str_of_c(store.trouble));
    (void)buf_printf(&body, ",\"journal\":\"%s\",\"journal_bytes\":%lld",
                     journal ? "writing" : "refusing", (long long)journal_stats(g->journal).bytes);
    add_shared(&body, w);
    (void)buf_add_char(&body, '}');
    page(w, x, ok ? 200 : 503, "application/json", buf_str(&body));
    buf_deinit(&body);
}

bool page_host_may_ask(const struct exchange *x)
{
    str name, port, host = x->host;
    if (!x->listener_is_loopback)
        return true;
    if (str_starts(host, STR("["))) {
        size_t end = str_find_char(host, ']', 0);
        name = end == SIZE_MAX ? host : str_sub(host, 1, end);
    } else {
        (void)str_cut(host, ':', &name, &port);
    }
    return url_host_is_loopback(name);
}

enum admin_key page_admin_key(const struct gateway *g, const struct exchange *x)
{
    str scheme, key;
    (void)str_cut(exchange_header(x, HEADER_AUTHORIZATION), ' ', &scheme, &key);
    if (key.len == 0 || !str_eq_nocase(scheme, STR("bearer")))
        return ADMIN_KEY_NONE;
    return page_is_admin_key(g, str_trim(key)) ? ADMIN_KEY_RIGHT : ADMIN_KEY_WRONG;
}

bool page_is_admin_key(const struct gateway *g, str key)
{
    struct digest d = digest_of(key);
    return bytes_equal_secret(&d, &g->admin_hash, sizeof d) && g->has_admin_key;
}

static void metrics(struct worker *w, struct exchange *x)
{
    struct gateway *g = w->gateway;
    bool open = x->listener == 1 || x->listener_is_loopback;
    if (!page_host_may_ask(x)) {
        page(w, x, 403, "text/plain", STR("This page answers only to a loopback Host.\n"));
        return;
    }
    if (!open && page_admin_key(g, x) != ADMIN_KEY_RIGHT) {
        page(w, x, 401, "text/plain",
             STR("Send the admin key as 'Authorization: Bearer gla_...'.\n"));
        return;
    }
    struct buf body;
    buf_init(&body, PAGE_BYTES_MAX);
    (void)meters_page(g, w->view->catalog, loop_now_ms(w->loop), &body);
    page(w, x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&body));
    buf_deinit(&body);
}

enum err page_serve(struct worker *w, struct exchange *x, bool admin_side)
{
    static const struct {
        const char *path;
        bool admin;
        void (*serve)(struct worker *, struct exchange *);
    } pages[] = {
        {"/healthz", false, health}, {"/readyz", false, ready}, {"/metrics", true, metrics}};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (!str_eq(x->path, str_of_c(pages[i].path)) || (pages[i].admin && !admin_side))
            continue;
        if (!str_eq(x->method, STR("GET")) && !str_eq(x->method, STR("HEAD")))
            return ERR_METHOD_NOT_ALLOWED;
        pages[i].serve(w, x);
        return OK;
    }
    return ERR_NOT_FOUND;
}
