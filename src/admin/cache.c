/* cache.c - what is kept of answers, what became of them, and forgetting some. */
#include <math.h>
#include <string.h>

#include "admin/handlers.h"
#include "path/gateway.h"
#include "store/answers_file.h"
#include "store/redis_purge.h"

struct cache_found {
    struct answers_file_stats file;
    str store_url;
};

bool cache_ask(struct admin_call *c)
{
    struct cache_found *f = arena_new(&c->arena, struct cache_found, 1);
    c->data = f;
    f->store_url = arena_copy(&c->arena, c->worker->view->config->local_store);
    return true;
}

/* When the oldest and the newest answer came stands in the file alone. */
bool cache_work(struct admin_call *c, struct db *d)
{
    struct cache_found *f = c->data;
    str why;
    (void)d;
    if (!answers_file_stats(f->store_url, &f->file, &c->arena, &why))
        f->file = (struct answers_file_stats){0};
    return true;
}

static str trouble_of(const struct gateway *g, const struct config *config)
{
    return config->cache.semantic && g->encoder == NULL
               ? STR("There is no embedding model, so only the very same questions are answered; "
                     "`relay check` says why.")
               : (str){NULL, 0};
}

static void add_settings(struct buf *b, const struct gateway *g, const struct config *config)
{
    double level = audits_level(g->audits, config->cache.max_error);
    json_member_int(b, "ttl_s", config->cache.ttl_ms / 1000);
    json_member_num(b, "threshold", config->cache.threshold);
    json_member_num(b, "max_error", config->cache.max_error);
    json_member_num(b, "level", g->encoder != NULL ? level : (double)NAN);
}

static void add_counts(struct buf *b, const struct gateway *g)
{
    static const enum cache_kind kinds[] = {CACHE_EXACT, CACHE_SEMANTIC, CACHE_SHARED, CACHE_MISS,
                                            CACHE_BYPASS};
    struct metrics *m = g->meters.metrics;
    json_begin_object(b, "results");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        json_member_int(b, cache_kind_text(kinds[i]), metrics_read(m, g->meters.cache[kinds[i]]));
    buf_add_char(b, '}');
    json_begin_object(b, "vetoes");
    for (unsigned i = 0; i <= GUARD_RULES; i++) {
        int64_t count = metrics_read(m, g->meters.vetoes[i]);
        if (count > 0)
            json_member_int(b, i < GUARD_RULES ? guard_name((enum guard_rule)i) : "score", count);
    }
    buf_add_char(b, '}');
}

static void add_audits(struct buf *b, const struct gateway *g, const struct config *config)
{
    struct audits_share s = audits_share(g->audits);
    json_begin_object(b, "audits");
    json_member_num(b, "rate", config->cache.audit);
    json_member_int(b, "judged", s.judged);
    json_member_int(b, "different", s.different);
    json_member_num(b, "share", s.share);
    json_member_num(b, "low", s.low);
    json_member_num(b, "high", s.high);
    json_member_int(b, "same", s.results[AUDIT_SAME]);
    json_member_int(b, "undecided", s.results[AUDIT_UNDECIDED]);
    json_member_int(b, "failed", s.results[AUDIT_FAILED]);
    buf_add_char(b, '}');
}

void cache_answer(struct admin_call *c)
{
    const struct gateway *g = c->worker->gateway;
    const struct config *config = c->worker->view->config;
    const struct cache_found *f = c->data;
    struct answers_stats s = answers_stats(g->answers);
    struct buf *b = &c->out;
    buf_add_char(b, '{');
    json_member_bool(b, "exact", config->cache.exact);
    json_member_bool(b, "semantic", config->cache.semantic);
    json_member_str_or_null(b, "trouble", trouble_of(g, config));
    json_member_int(b, "answers", s.entries);
    json_member_int(b, "similar", s.like_entries);
    json_member_int(b, "bytes", s.bytes);
    json_member_int(b, "max_entries", config->cache.max_entries);
    json_member_int(b, "max_bytes", config->cache.max_bytes);
    json_member_time(b, "oldest", s.entries > 0 ? f->file.oldest_us : 0);
    json_member_time(b, "newest", s.entries > 0 ? f->file.newest_us : 0);
    add_settings(b, g, config);
    add_counts(b, g);
    add_audits(b, g, config);
    buf_add_char(b, '}');
}

/* ---- forgetting: here at once, and in the Redis server of `shared`, from which all others hear of
 * it ---- */

struct purging {
    struct admin_call *call;
    struct answers_purge what;
    struct uuid id;
    struct redis_purge *shared;
    size_t here;
};

static void add_purged(struct admin_call *c, int64_t count)
{
    buf_add_char(&c->out, '{');
    json_member_int(&c->out, "purged", count);
    buf_add_char(&c->out, '}');
}

static bool say_away(struct purging *p, str why)
{
    return admin_fail(
        p->call, ERR_OVERLOADED, NULL,
        "This gateway has forgotten %zu answers, but what others share of them may be "
        "left: " STR_FMT ".",
        p->here, STR_ARG(why));
}

static void shared_done(void *ctx, int64_t forgotten, str why)
{
    struct purging *p = ctx;
    struct admin_call *c = p->call;
    int64_t here = (int64_t)p->here;
    if (why.len > 0)
        (void)say_away(p, why);
    else
        add_purged(c, forgotten > here ? forgotten : here);
    admin_finish(c);
}

static void stop(struct admin_call *c)
{
    struct purging *p = c->data;
    redis_purge_stop(p->shared);
    admin_call_free(c);
}

static bool purge(struct purging *p)
{
    struct admin_call *c = p->call;
    struct worker *w = c->worker;
    p->here = answers_purge(w->gateway->answers, &p->what);
    if (w->redis == NULL) {
        add_purged(c, (int64_t)p->here);
        return true;
    }
    p->shared = redis_purge_start(w->redis, &p->what, shared_done, p);
    if (p->shared == NULL)
        return say_away(p, STR("the Redis server cannot be asked now"));
    c->waits = true;
    c->gone = stop;
    return true;
}

static struct purging *purging_new(struct admin_call *c)
{
    struct purging *p = arena_new(&c->arena, struct purging, 1);
    p->call = c;
    c->data = p;
    return p;
}

bool cache_delete_entry_ask(struct admin_call *c)
{
    struct purging *p = purging_new(c);
    p->what.source_id = &p->id;
    return admin_path_id(c, &p->id) && purge(p);
}

static bool read_scope(struct purging *p, str scope)
{
    str kind, name;
    bool named = str_cut(scope, ':', &kind, &name) && name.len > 0;
    if (str_eq(scope, STR("all")))
        return true;
    p->what.owner = &p->id;
    if (named && str_eq(kind, STR("key")) && uuid_parse(name, &p->id))
        return true;
    if (named && str_eq(kind, STR("group"))) {
        struct digest d = digest_of(name);
        memcpy(p->id.b, d.b, sizeof p->id.b);
        return true;
    }
    return admin_fail(p->call, ERR_INVALID_REQUEST, "scope",
                      "'scope' must be all, key:ID or group:NAME.");
}

bool cache_delete_ask(struct admin_call *c)
{
    str scope = query_get(&c->query, "scope"), tag = query_get(&c->query, "tag");
    struct purging *p = purging_new(c);
    if ((scope.p != NULL) == (tag.p != NULL))
        return admin_fail(c, ERR_INVALID_REQUEST, "scope", "Give either 'scope' or 'tag'.");
    if (scope.p != NULL)
        return read_scope(p, scope) && purge(p);
    if (!str_cut(tag, '=', &p->what.tag, &p->what.tag_value) || p->what.tag.len == 0)
        return admin_fail(c, ERR_INVALID_REQUEST, "tag", "'tag' must be NAME=VALUE.");
    return purge(p);
}
