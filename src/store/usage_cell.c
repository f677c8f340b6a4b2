/* usage_cell.c - adds, takes out and (de)serialises cells. No SQL and no time: whoever calls says
 * which rows belong together. */
#include "store/usage_cell.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/db_internal.h"

#define STATUSES_MAX 1000u /* that bytes may name */

struct usage_fact usage_fact_of(const struct record *r)
{
    return (struct usage_fact){.at_ms = id_time_us(&r->id) / 1000,
                               .key = r->key_id,
                               .provider = r->provider,
                               .model = r->model,
                               .tags = r->tags,
                               .status = r->status,
                               .cache = r->cache,
                               .prompt_tokens = r->prompt_tokens,
                               .completion_tokens = r->completion_tokens,
                               .cost = r->cost,
                               .cache_saved = r->cache_saved,
                               .routing_saved = r->routing_saved,
                               .ttft_ms = r->ttft_ms,
                               .latency_ms = r->latency_ms};
}

static bool is_hit(enum cache_kind kind)
{
    return kind <= CACHE_SHARED;
}

/* One that would not fit stays at the most there is. */
static void add(int64_t *sum, int64_t amount)
{
    if (__builtin_add_overflow(*sum, amount, sum)) {
        *sum = amount > 0 ? INT64_MAX : INT64_MIN + 1;
    }
}

static void count_status(struct usage_cell *c, int status, int64_t requests)
{
    for (unsigned i = 0; i < c->status_count; i++) {
        if (c->statuses[i].status == status) {
            add(&c->statuses[i].requests, requests);
            return;
        }
    }
    if (c->status_count == c->status_cap) {
        c->status_cap = c->status_cap == 0 ? 2 : c->status_cap * 2;
        c->statuses = xrealloc(c->statuses, c->status_cap * sizeof *c->statuses);
    }
    c->statuses[c->status_count++] = (struct status_count){status, requests};
}

void usage_cell_deinit(struct usage_cell *c)
{
    free(c->statuses);
    for (unsigned i = 0; i < USAGE_SPEEDS; i++) {
        sketch_deinit(&c->ttft[i]);
        sketch_deinit(&c->latency[i]);
    }
    *c = (struct usage_cell){0};
}

void usage_cell_add(struct usage_cell *c, const struct usage_fact *f, int sign)
{
    unsigned speed = is_hit(f->cache)   ? USAGE_HIT
                     : f->status == 200 ? USAGE_ANSWERED
                                        : USAGE_FAILED;
    c->caches[f->cache] += sign;
    count_status(c, f->status, sign);
    add(&c->prompt_tokens, f->prompt_tokens > 0 ? sign * f->prompt_tokens : 0);
    add(&c->completion_tokens, f->completion_tokens > 0 ? sign * f->completion_tokens : 0);
    if (pusd_known(f->cost)) {
        add(&c->cost, sign * f->cost);
    } else {
        c->cost_unknown += sign;
    }
    add(&c->cache_saved, pusd_known(f->cache_saved) ? sign * f->cache_saved : 0);
    add(&c->routing_saved, pusd_known(f->routing_saved) ? sign * f->routing_saved : 0);
    sketch_add(&c->ttft[speed], f->ttft_ms, sign);
    sketch_add(&c->latency[speed], f->latency_ms, sign);
}

void usage_cell_merge(struct usage_cell *c, const struct usage_cell *other)
{
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        add(&c->caches[i], other->caches[i]);
    }
    for (unsigned i = 0; i < other->status_count; i++) {
        count_status(c, other->statuses[i].status, other->statuses[i].requests);
    }
    add(&c->cost_unknown, other->cost_unknown);
    add(&c->prompt_tokens, other->prompt_tokens);
    add(&c->completion_tokens, other->completion_tokens);
    add(&c->cost, other->cost);
    add(&c->cache_saved, other->cache_saved);
    add(&c->routing_saved, other->routing_saved);
    for (unsigned i = 0; i < USAGE_SPEEDS; i++) {
        sketch_merge(&c->ttft[i], &other->ttft[i]);
        sketch_merge(&c->latency[i], &other->latency[i]);
    }
}

int64_t usage_cell_requests(const struct usage_cell *c)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        add(&sum, c->caches[i]);
    }
    return sum;
}

int64_t usage_cell_errors(const struct usage_cell *c)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < c->status_count; i++) {
        add(&sum, c->statuses[i].status >= 400 ? c->statuses[i].requests : 0);
    }
    return sum;
}

int64_t usage_cell_hits(const struct usage_cell *c)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        add(&sum, is_hit((enum cache_kind)i) ? c->caches[i] : 0);
    }
    return sum;
}

bool usage_cell_may_fit(const struct usage_cell *c, const struct log_filter *f)
{
    bool status = f->status_to == 0, cache = f->caches == 0;
    for (unsigned i = 0; i < c->status_count; i++) {
        const struct status_count *s = &c->statuses[i];
        status =
            status || (s->requests > 0 && s->status >= f->status_from && s->status <= f->status_to);
    }
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        cache = cache || (c->caches[i] > 0 && (f->caches >> i & 1u) != 0);
    }
    return status && cache;
}

/* ---- bytes ---- */

void usage_cell_write(const struct usage_cell *c, struct buf *out)
{
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        varint_add_signed(out, c->caches[i]);
    }
    varint_add(out, c->status_count);
    for (unsigned i = 0; i < c->status_count; i++) {
        varint_add_signed(out, c->statuses[i].status);
        varint_add_signed(out, c->statuses[i].requests);
    }
    varint_add_signed(out, c->cost_unknown);
    varint_add_signed(out, c->prompt_tokens);
    varint_add_signed(out, c->completion_tokens);
    varint_add_signed(out, c->cost);
    varint_add_signed(out, c->cache_saved);
    varint_add_signed(out, c->routing_saved);
    for (unsigned i = 0; i < USAGE_SPEEDS; i++) {
        sketch_write(&c->ttft[i], out);
        sketch_write(&c->latency[i], out);
    }
}

/* The least there is has no opposite; no sum is ever it. */
static int64_t take(struct varint_reader *r, int sign)
{
    int64_t value = varint_take_signed(r);
    r->bad = r->bad || value == INT64_MIN;
    return r->bad ? 0 : sign * value;
}

bool usage_cell_read(struct usage_cell *c, str bytes, int sign)
{
    struct varint_reader r = varint_reader_of(bytes);
    for (unsigned i = 0; i < CACHE_KINDS; i++) {
        add(&c->caches[i], take(&r, sign));
    }
    uint64_t statuses = varint_take(&r);
    r.bad = r.bad || statuses > STATUSES_MAX;
    for (uint64_t i = 0; i < statuses && !r.bad; i++) {
        int64_t status = varint_take_signed(&r), requests = take(&r, sign);
        r.bad = r.bad || status < INT32_MIN || status > INT32_MAX;
        if (!r.bad) {
            count_status(c, (int)status, requests);
        }
    }
    int64_t *const sums[] = {&c->cost_unknown, &c->prompt_tokens, &c->completion_tokens,
                             &c->cost,         &c->cache_saved,   &c->routing_saved};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        add(sums[i], take(&r, sign));
    }
    for (unsigned i = 0; i < USAGE_SPEEDS; i++) {
        sketch_read(&c->ttft[i], &r, sign);
        sketch_read(&c->latency[i], &r, sign);
    }
    return !r.bad && r.at == r.end;
}

void usage_entry_begin(const struct usage_entry *e, unsigned with, struct buf *out)
{
    if ((with & USAGE_WITH_KEY) != 0) {
        buf_add(out, str_of((const char *)e->key.b, sizeof e->key.b));
    }
    if ((with & USAGE_WITH_MODEL) != 0) {
        varint_add_text(out, e->provider);
        varint_add_text(out, e->model);
    }
}

bool usage_entry_next(struct varint_reader *r, unsigned with, struct usage_entry *out)
{
    if (r->bad || r->at == r->end) {
        return false;
    }
    if ((with & USAGE_WITH_KEY) != 0) {
        str key = varint_take_bytes(r, sizeof out->key.b);
        if (r->bad) {
            return false;
        }
        memcpy(out->key.b, key.p, sizeof out->key.b);
    }
    if ((with & USAGE_WITH_MODEL) != 0) {
        out->provider = varint_take_text(r);
        out->model = varint_take_text(r);
    }
    out->cell = varint_take_text(r);
    return !r->bad;
}

bool usage_entry_fits(const struct usage_entry *e, const struct log_filter *f)
{
    return (f->key == NULL || memcmp(f->key, &e->key, sizeof e->key) == 0) &&
           (f->provider.len == 0 || str_eq(f->provider, e->provider)) &&
           (f->model.len == 0 || str_eq(f->model, e->model));
}
