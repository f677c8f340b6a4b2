/* peers.c - measurements as bytes, and what came from others.
 *
 * A page: the mark with its version, the number of slots, then per slot its id, answers and tokens,
 * and of each kind its buckets in ascending order, each with four weights (memory and recent, exact
 * and at least), in 64ths; empty buckets and slots are left
 * out. The reader wants every byte to have a meaning: a page that was cut or changed is none. */
#include "catalog/peers.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/live_inner.h"
#include "catalog/peers_codec.h"

#define WEIGHT_UNIT  64.0
#define WEIGHT_MAX   (UINT64_C(1) << 34)
#define TOKENS_MAX   (UINT64_C(1) << 48)
#define ID_BYTES_MAX 256u
#define WEIGHTS      4u

static const str mark = STR_INIT("relay-live-1\n");

/* ---- writing ---- */

static uint64_t units(double weight, uint64_t most)
{
    double u = weight * WEIGHT_UNIT + 0.5;
    return u >= (double)most ? most : u > 0 ? (uint64_t)u : 0;
}

static bool weights_of(const struct live_counts *c, unsigned kind, unsigned bucket,
                       uint64_t out[WEIGHTS])
{
    const struct decayed *memory = &c->memory[kind], *recent = &c->recent[kind];
    const float all[WEIGHTS] = {memory->exact[bucket], memory->at_least[bucket],
                                recent->exact[bucket], recent->at_least[bucket]};
    bool any = false;
    for (unsigned i = 0; i < WEIGHTS; i++) {
        out[i] = units((double)all[i], WEIGHT_MAX);
        any = any || out[i] > 0;
    }
    return any;
}

static void put_kind(struct buf *out, const struct live_counts *c, unsigned kind)
{
    uint64_t weights[WEIGHTS];
    unsigned count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += weights_of(c, kind, i, weights);
    peers_put_number(out, count);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!weights_of(c, kind, i, weights))
            continue;
        peers_put_number(out, i);
        for (unsigned w = 0; w < WEIGHTS; w++)
            peers_put_number(out, weights[w]);
    }
}

static bool is_told(const struct live *l, unsigned slot)
{
    const struct live_memory *m = l->memories[slot];
    if (m == NULL || slot == LIVE_SLOTS_MAX - 1 || strlen(l->slot_ids[slot]) > ID_BYTES_MAX)
        return false;
    bool any = m->own.answers > 0;
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++)
        any = any || m->own.memory[kind].sum > 0;
    return any;
}

void live_export(struct live *l, unsigned page, struct buf *out)
{
    unsigned first = page * LIVE_PAGE_SLOTS, count = 0;
    for (unsigned slot = first; slot < first + LIVE_PAGE_SLOTS; slot++)
        count += is_told(l, slot);
    (void)buf_add(out, mark);
    peers_put_number(out, count);
    for (unsigned slot = first; slot < first + LIVE_PAGE_SLOTS; slot++) {
        if (!is_told(l, slot))
            continue;
        const struct live_counts *own = &l->memories[slot]->own;
        str id = str_of_c(l->slot_ids[slot]);
        peers_put_text(out, id);
        peers_put_number(out, units(own->answers, WEIGHT_MAX));
        peers_put_number(out, units(own->tokens, TOKENS_MAX));
        for (unsigned kind = 0; kind < MEASURED_COUNT; kind++)
            put_kind(out, own, kind);
    }
    l->page_changed[page] = false;
}

unsigned live_export_next(const struct live *l, unsigned from)
{
    while (from < LIVE_PAGES && !l->page_changed[from])
        from++;
    return from;
}

void live_export_again(struct live *l, unsigned page)
{
    if (page < LIVE_PAGES)
        l->page_changed[page] = true;
}

void live_export_all_again(struct live *l)
{
    for (unsigned slot = 0; slot < LIVE_SLOTS_MAX; slot++)
        if (is_told(l, slot))
            l->page_changed[slot / LIVE_PAGE_SLOTS] = true;
}

/* ---- reading ---- */

static float take_weight(struct peers_reader *r)
{
    return (float)((double)peers_take_number(r, WEIGHT_MAX) / WEIGHT_UNIT);
}

static void take_kind(struct peers_reader *r, struct decayed *memory, struct decayed *recent)
{
    uint64_t count = peers_take_number(r, HISTOGRAM_BUCKETS);
    uint64_t next = 0; /* the lowest bucket that may follow */
    for (uint64_t i = 0; r->ok && i < count; i++) {
        uint64_t bucket = peers_take_number(r, HISTOGRAM_BUCKETS - 1);
        if (!r->ok || bucket < next) {
            r->ok = false;
            return;
        }
        next = bucket + 1;
        memory->exact[bucket] = take_weight(r);
        memory->at_least[bucket] = take_weight(r);
        recent->exact[bucket] = take_weight(r);
        recent->at_least[bucket] = take_weight(r);
        float in_memory = memory->exact[bucket] + memory->at_least[bucket];
        float in_recent = recent->exact[bucket] + recent->at_least[bucket];
        memory->sum += in_memory;
        recent->sum += in_recent;
        r->ok = r->ok && in_memory + in_recent > 0;
    }
}

/* Calls `take` with each slot of a page; false: it is none, and what came before must be dropped.
 */
typedef void take_slot_fn(void *ctx, str id, const struct live_counts *counts);
static bool read_page(str bytes, take_slot_fn *take, void *ctx)
{
    struct peers_reader r = peers_read(bytes, mark);
    uint64_t slots = peers_take_number(&r, LIVE_PAGE_SLOTS);
    for (uint64_t i = 0; r.ok && i < slots; i++) {
        struct live_counts counts = {0};
        str id = peers_take_text(&r, ID_BYTES_MAX);
        counts.answers = (double)peers_take_number(&r, WEIGHT_MAX) / WEIGHT_UNIT;
        counts.tokens = (double)peers_take_number(&r, TOKENS_MAX) / WEIGHT_UNIT;
        for (unsigned kind = 0; kind < MEASURED_COUNT; kind++)
            take_kind(&r, &counts.memory[kind], &counts.recent[kind]);
        if (r.ok && take != NULL)
            take(ctx, id, &counts);
    }
    return r.ok && r.rest.len == 0;
}

/* ---- what was imported ---- */

struct import {
    struct uuid peer;
    unsigned page;
    char *bytes;
    size_t len;
    int64_t at_ms; /* when its weights held, by this process's monotonic clock */
};

struct live_imports {
    struct import *all;
    unsigned count;
    size_t bytes;
    bool changed;
    unsigned slot_count; /* how many slots there were when they were applied */
};

struct live_imports *live_imports_new(void)
{
    return xcalloc(1, sizeof(struct live_imports));
}

void live_imports_free(struct live_imports *i)
{
    for (unsigned n = 0; n < i->count; n++)
        free(i->all[n].bytes);
    free(i->all);
    free(i);
}

static void drop(struct live_imports *i, unsigned n)
{
    i->bytes -= i->all[n].len;
    free(i->all[n].bytes);
    i->all[n] = i->all[--i->count];
    i->all[i->count].bytes = NULL;
    i->changed = true;
}

static void drop_oldest(struct live_imports *i)
{
    unsigned oldest = 0;
    for (unsigned n = 1; n < i->count; n++)
        if (i->all[n].at_ms < i->all[oldest].at_ms)
            oldest = n;
    drop(i, oldest);
}

bool live_import(struct live *l, const struct uuid *peer, unsigned page, str bytes, uint64_t age_ms,
                 uint64_t now_ms)
{
    struct live_imports *i = l->imports;
    if (bytes.len > LIVE_PAGE_BYTES_MAX || page >= LIVE_PAGES || !read_page(bytes, NULL, NULL))
        return false;
    for (unsigned n = 0; n < i->count; n++) {
        if (i->all[n].page == page && memcmp(&i->all[n].peer, peer, sizeof *peer) == 0) {
            drop(i, n);
            break;
        }
    }
    if (age_ms > LIVE_IMPORT_AGE_MAX_MS)
        return true;
    while (i->count > 0 &&
           (i->count == LIVE_IMPORTS_MAX || i->bytes + bytes.len > LIVE_IMPORTS_BYTES_MAX))
        drop_oldest(i);
    if (i->all == NULL)
        i->all = xcalloc(LIVE_IMPORTS_MAX, sizeof *i->all);
    i->all[i->count++] = (struct import){
        .peer = *peer,
        .page = page,
        .bytes = xmemdup0(bytes.p, bytes.len),
        .len = bytes.len,
        .at_ms = (int64_t)now_ms - (int64_t)age_ms,
    };
    i->bytes += bytes.len;
    i->changed = true;
    return true;
}

/* ---- putting it where routing finds it ---- */

struct application {
    struct live *live;
    struct live_factors factors;
};

static void add_scaled(struct decayed *to, const struct decayed *from, float factor)
{
    to->sum += from->sum * factor;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->exact[i] += from->exact[i] * factor;
        to->at_least[i] += from->at_least[i] * factor;
    }
}

static void apply_slot(void *ctx, str id, const struct live_counts *counts)
{
    struct application *a = ctx;
    struct live *l = a->live;
    unsigned slot = live_slot_find(l, id);
    if (slot == LIVE_SLOTS_MAX)
        return;
    if (l->memories[slot] == NULL)
        l->memories[slot] = xcalloc(1, sizeof *l->memories[slot]);
    struct live_memory *m = l->memories[slot];
    if (m->others == NULL)
        m->others = xcalloc(1, sizeof *m->others);
    for (unsigned kind = 0; kind < MEASURED_COUNT; kind++) {
        add_scaled(&m->others->recent[kind], &counts->recent[kind], a->factors.recent);
        add_scaled(&m->others->memory[kind], &counts->memory[kind], a->factors.memory);
    }
    m->others->tokens += counts->tokens * (double)a->factors.memory;
    m->others->answers += counts->answers * (double)a->factors.memory;
}

void live_imports_apply(struct live *l, uint64_t as_of_ms)
{
    struct live_imports *i = l->imports;
    unsigned slot_count = atomic_load_explicit(&l->slot_count, memory_order_acquire);
    if (!i->changed && (i->count == 0 || i->slot_count == slot_count))
        return;
    i->slot_count = slot_count;
    for (unsigned slot = 0; slot < slot_count; slot++)
        if (l->memories[slot] != NULL && l->memories[slot]->others != NULL)
            *l->memories[slot]->others = (struct live_counts){.tokens = 0};
    for (unsigned n = i->count; n-- > 0;) {
        const struct import *import = &i->all[n];
        double age_ms = (double)((int64_t)as_of_ms - import->at_ms);
        if (age_ms > LIVE_IMPORT_AGE_MAX_MS) {
            drop(i, n);
            continue;
        }
        struct application a = {l, live_factors(age_ms)};
        (void)read_page(str_of(import->bytes, import->len), apply_slot, &a);
    }
    i->changed = false;
}
