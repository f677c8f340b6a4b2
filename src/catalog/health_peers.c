/* health_peers.c - what processes tell each other of providers and their keys.
 *
 * What another process says makes a provider half-open here, never more: the next request probes
 * it, and what that one finds decides. So a process whose own network is broken costs the others a
 * probe, and one that has just been started does not send a crowd to a provider that is down. And
 * it is believed only where it saw something later than this process did: that a provider is down,
 * where nothing good was seen here since; that it is up again, where it was found down before that.
 * Of each only once in HEARSAY_EVERY_MS, so that two who see different things do not keep each
 * other awake. What was only heard is not passed on.
 *
 * The page: the mark, the number of providers, then of each its name, state, and for how long it
 * has held; and its keys that rest after a 429, each with its digest and for how much longer.
 * Durations, because no two processes have the same clock. A refused credential is not told: the
 * operator who mends it reloads one gateway, and would have to wait for the others. */
#include "catalog/health_inner.h"
#include "catalog/peers_codec.h"

#define HEARSAY_EVERY_MS   30000u
#define RECOVERY_TOLD_MS   60000u
#define AGE_MAX_MS         120000u
#define REST_MAX_MS        300000u /* that is believed of another */
#define NAME_BYTES_MAX     256u
#define PROVIDERS_TOLD_MAX 512u
#define MS_MAX             (UINT64_C(1) << 48)

static const str mark = STR_INIT("relay-health-1\n");

enum state { STATE_SILENT, STATE_DOWN, STATE_UP_AGAIN, STATES };

uint64_t health_changes(const struct live *l)
{
    return atomic_load_explicit(&l->health->changes, memory_order_relaxed);
}

/* ---- writing ---- */

static uint64_t since(uint64_t ms, uint64_t now_ms)
{
    return now_ms > ms ? now_ms - ms : 0;
}

static bool is_told(const struct resting_key *k, uint64_t now_ms)
{
    return !k->credential && !k->heard && k->until_ms > now_ms;
}

/* Returns whether there was something to say. */
static bool put_provider(struct buf *out, const struct provider_health *p, uint64_t now_ms)
{
    enum state state = STATE_SILENT;
    uint64_t ms = 0;
    unsigned keys = 0;
    if (p->open && !p->hearsay) {
        state = STATE_DOWN;
        ms = since(p->opened_ms, now_ms);
    } else if (!p->open && p->closed_ms > 0 && since(p->closed_ms, now_ms) < RECOVERY_TOLD_MS) {
        state = STATE_UP_AGAIN;
        ms = since(p->closed_ms, now_ms);
    }
    for (unsigned i = 0; i < p->key_count; i++)
        keys += is_told(&p->keys[i], now_ms);
    str name = str_of_c(p->name);
    if ((state == STATE_SILENT && keys == 0) || name.len > NAME_BYTES_MAX)
        return false;
    peers_put_text(out, name);
    peers_put_number(out, state);
    peers_put_number(out, ms);
    peers_put_number(out, keys);
    for (unsigned i = 0; i < p->key_count; i++) {
        const struct resting_key *k = &p->keys[i];
        if (!is_told(k, now_ms))
            continue;
        (void)buf_add(out, str_of((const char *)k->key.b, sizeof k->key.b));
        peers_put_number(out, k->until_ms - now_ms);
    }
    return true;
}

bool health_export(struct live *l, uint64_t now_ms, struct buf *out)
{
    struct buf providers;
    unsigned count = 0;
    buf_init(&providers, HEALTH_PAGE_BYTES_MAX - 64);
    for (unsigned i = 0; i < HEALTH_STRIPES; i++) {
        struct stripe *s = &l->health->stripes[i];
        size_t at = 0;
        str name;
        void *value;
        pthread_mutex_lock(&s->lock);
        while (map_next(&s->providers, &at, &name, &value)) {
            size_t before = providers.len;
            if (count == PROVIDERS_TOLD_MAX || !put_provider(&providers, value, now_ms))
                continue;
            count++;
            if (providers.full) { /* half an entry is none; the others are told without it */
                providers.len = before;
                providers.full = false;
                count--;
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
    (void)buf_add(out, mark);
    peers_put_number(out, count);
    (void)buf_add(out, buf_str(&providers));
    buf_deinit(&providers);
    return count > 0;
}

/* ---- reading ---- */

struct told {
    str name;
    enum state state;
    uint64_t since_ms;
    unsigned key_count;
    struct {
        struct digest key;
        uint64_t left_ms;
    } keys[CONFIG_PROVIDER_KEYS_MAX];
};

static void take_provider(struct peers_reader *r, struct told *t)
{
    t->name = peers_take_text(r, NAME_BYTES_MAX);
    t->state = (enum state)peers_take_number(r, STATES - 1);
    t->since_ms = peers_take_number(r, MS_MAX);
    t->key_count = (unsigned)peers_take_number(r, CONFIG_PROVIDER_KEYS_MAX);
    for (unsigned i = 0; r->ok && i < t->key_count; i++) {
        str digest = peers_take(r, sizeof t->keys[i].key);
        if (r->ok)
            memcpy(&t->keys[i].key, digest.p, digest.len);
        t->keys[i].left_ms = peers_take_number(r, MS_MAX);
    }
}

static bool is_old(uint64_t ms, uint64_t now_ms)
{
    return ms == 0 || since(ms, now_ms) >= HEARSAY_EVERY_MS;
}

/* at_ms is when the other saw it, by this process's clock. Returns whether it is believed. */
static bool hear_down(struct health_table *t, struct provider_health *p, int64_t at_ms,
                      uint64_t now_ms)
{
    if (p->open || (int64_t)p->last_good_ms >= at_ms || (int64_t)p->heard_down_ms >= at_ms ||
        !is_old(p->heard_down_ms, now_ms))
        return false;
    p->open = true;
    p->hearsay = true;
    p->open_ms = HEALTH_OPEN_FIRST_MS / 2; /* the first failed probe doubles it */
    p->open_until_ms = now_ms;
    p->probe_until_ms = 0;
    p->heard_down_ms = now_ms;
    atomic_fetch_add_explicit(&t->open_count, 1, memory_order_relaxed);
    return true;
}

static bool hear_up(struct provider_health *p, int64_t at_ms, uint64_t now_ms)
{
    if (!p->open || p->hearsay || p->open_until_ms <= now_ms || at_ms <= (int64_t)p->opened_ms ||
        !is_old(p->heard_up_ms, now_ms))
        return false;
    p->open_until_ms = now_ms;
    p->heard_up_ms = now_ms;
    return true;
}

static void hear_keys(struct live *l, struct provider_health *p, const struct told *t,
                      const struct health_listener *to, uint64_t age_ms, uint64_t now_ms)
{
    for (unsigned i = 0; i < t->key_count; i++) {
        const struct digest *key = &t->keys[i].key;
        uint64_t left = t->keys[i].left_ms < REST_MAX_MS ? t->keys[i].left_ms : REST_MAX_MS;
        if (left <= age_ms || !to->knows(to->ctx, t->name, key))
            continue;
        const struct resting_key *known = health_find_key(p, key);
        struct resting_key heard = {*key, now_ms + left - age_ms, false, true};
        if (known == NULL || known->until_ms < heard.until_ms)
            health_rest(l->health, p, &heard);
    }
}

static void hear(struct live *l, const struct told *t, const struct health_listener *to,
                 uint64_t age_ms, uint64_t now_ms)
{
    int64_t at_ms = (int64_t)now_ms - (int64_t)age_ms - (int64_t)t->since_ms;
    bool believed = false;
    if (!to->knows(to->ctx, t->name, NULL))
        return;
    struct stripe *s = health_lock(l, t->name);
    struct provider_health *p = health_entry(s, t->name);
    if (p != NULL) {
        if (t->state == STATE_DOWN)
            believed = hear_down(l->health, p, at_ms, now_ms);
        if (t->state == STATE_UP_AGAIN)
            believed = hear_up(p, at_ms, now_ms);
        hear_keys(l, p, t, to, age_ms, now_ms);
    }
    pthread_mutex_unlock(&s->lock);
    if (believed)
        to->heard(to->ctx, t->name, t->state == STATE_UP_AGAIN);
}

/* Twice: the first time to see whether all of it can be read. */
static bool read_page(struct live *l, str bytes, const struct health_listener *to, uint64_t age_ms,
                      uint64_t now_ms)
{
    struct peers_reader r = peers_read(bytes, mark);
    uint64_t count = peers_take_number(&r, PROVIDERS_TOLD_MAX);
    for (uint64_t i = 0; r.ok && i < count; i++) {
        struct told told;
        take_provider(&r, &told);
        if (r.ok && to != NULL)
            hear(l, &told, to, age_ms, now_ms);
    }
    return r.ok && r.rest.len == 0;
}

bool health_import(struct live *l, const struct health_listener *to, str bytes, uint64_t age_ms,
                   uint64_t now_ms)
{
    if (bytes.len > HEALTH_PAGE_BYTES_MAX || !read_page(l, bytes, NULL, age_ms, now_ms))
        return false;
    if (age_ms <= AGE_MAX_MS)
        (void)read_page(l, bytes, to, age_ms, now_ms);
    return true;
}
