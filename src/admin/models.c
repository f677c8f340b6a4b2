/* models.c - the catalogue, what the log tells of its models' speed, and what is known of health.
 */
#include <math.h>

#include "admin/handlers.h"
#include "admin/model_json.h"

struct models_found {
    struct latency_row *rows;
    size_t count;
};

bool models_work(struct admin_call *c, struct db *d)
{
    struct models_found *f = arena_new(&c->arena, struct models_found, 1);
    str why;
    c->data = f;
    return db_latencies(d, c->now_us - MODEL_LATENCY_WINDOW_US, &c->arena, &f->rows, &f->count,
                        &why);
}

struct state {
    const char *word;
    uint64_t until_ms; /* monotonic; 0: nobody can say */
};

static struct state provider_state(const struct worker *w, unsigned provider, uint64_t now_ms)
{
    const struct upstream *u = &w->view->upstreams[provider];
    struct live *live = w->gateway->live;
    uint64_t first = UINT64_MAX;
    if (health_of(live, u->config->name, now_ms) != HEALTH_UP)
        return (struct state){"down", 0};
    for (unsigned i = 0; i < u->config->api_key_count; i++) {
        uint64_t until = key_resting_until(live, u->config->name, &u->key_digests[i], now_ms, NULL);
        first = until < first ? until : first;
    }
    if (u->config->api_key_count > 0 && first > now_ms)
        return (struct state){"resting", first};
    return (struct state){"up", 0};
}

static bool is_measured(const struct worker *w, const struct model *m)
{
    const struct live *live = w->gateway->live;
    return live_latency(live, m->live, true).samples > 0 ||
           live_latency(live, m->live, false).samples > 0;
}

static struct state model_state(const struct worker *w, const struct model *m, bool seen,
                                uint64_t now_ms)
{
    struct state s = provider_state(w, m->provider, now_ms);
    uint64_t out = model_out_until(w->gateway->live, m->live, now_ms);
    if (s.word[0] == 'u' && out > now_ms)
        return (struct state){"out", out};
    if (s.word[0] == 'u' && !seen && !is_measured(w, m))
        return (struct state){"unknown", 0};
    return s;
}

static void add_state(struct admin_call *c, struct state s, uint64_t now_ms)
{
    json_member_str(&c->out, "health", str_of_c(s.word));
    json_member_time(&c->out, "health_until",
                     s.until_ms > now_ms ? c->now_us + (int64_t)(s.until_ms - now_ms) * 1000 : 0);
}

static void add_providers(struct admin_call *c, uint64_t now_ms)
{
    const struct worker *w = c->worker;
    const struct catalog *catalog = w->view->catalog;
    for (unsigned i = 0; i < catalog->config->provider_count; i++) {
        const struct provider_config *p = &catalog->config->providers[i];
        unsigned models = 0, measured = 0;
        if (p->state != PROVIDER_ON || w->view->upstreams[i].origin == NULL)
            continue;
        for (unsigned m = 0; m < catalog->model_count; m++) {
            bool own = catalog->models[m].provider == i;
            models += own;
            measured += own && is_measured(w, &catalog->models[m]);
        }
        struct state s = provider_state(w, i, now_ms);
        json_next(&c->out);
        buf_add_char(&c->out, '{');
        json_member_str(&c->out, "name", p->name);
        json_member_str(&c->out, "kind", p->kind);
        add_state(c, s.word[0] == 'u' && measured == 0 ? (struct state){"unknown", 0} : s, now_ms);
        json_member_int(&c->out, "models", models);
        buf_add_char(&c->out, '}');
    }
}

void models_answer(struct admin_call *c)
{
    const struct models_found *f = c->data;
    const struct worker *w = c->worker;
    const struct catalog *catalog = w->view->catalog;
    uint64_t now_ms = loop_now_ms(w->loop);
    bool local = w->gateway->encoder != NULL;
    buf_add_char(&c->out, '{');
    json_member_str(&c->out, "date", catalog->data_date);
    json_begin_list(&c->out, "models");
    for (unsigned i = 0; i < catalog->model_count + local; i++) {
        bool own = i == catalog->model_count;
        const struct model *m = own ? &catalog_local_model : &catalog->models[i];
        const struct latency_row *latency = model_latency(f->rows, f->count, m);
        json_next(&c->out);
        model_json(&c->out, &c->arena, m, latency);
        add_state(c, own ? (struct state){"up", 0} : model_state(w, m, latency != NULL, now_ms),
                  now_ms);
        buf_add_char(&c->out, '}');
    }
    buf_add_char(&c->out, ']');
    json_begin_list(&c->out, "providers");
    add_providers(c, now_ms);
    buf_add(&c->out, STR("]}"));
}
