/* log.c - relay-log: fills a store with a request log like that of a gateway that served for weeks,
 * through the ledger and with its summaries, as a gateway writes it.
 *
 *     relay-log STORE-URL ROWS [DAYS] [SEED]      the last 30 days by default
 *
 * A thousand keys, a few of which ask for most; 20 models of 6 providers; more by day than by
 * night; 2 % errors, hits of all kinds, some unknown costs, and three rows with status 507. The
 * same seed and day give the same rows but for the keys' ids. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/db_internal.h"
#include "store/usage_internal.h"

#define KEYS       1000
#define MODELS     20
#define BATCH_ROWS 8192
#define DAY_US     INT64_C(86400000000)
#define PI         3.14159265358979323846

struct world {
    struct db *db;
    struct arena arena;
    struct uuid keys[KEYS];
    double upto[KEYS]; /* share of the requests of this key and those before it */
    uint64_t state;
    uint64_t rows;
    int64_t from_us, span_us;
    struct uuid_state ids;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    w->state ^= w->state << 17;
    return w->state % below;
}

static double share(struct world *w)
{
    return (double)draw(w, UINT64_C(1) << 53) / 9007199254740992.0;
}

static bool make_keys(struct world *w)
{
    double sum = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        sum += 1.0 / (i + 1);
    }
    double upto = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        char text[KEY_TEXT_BYTES], name[32];
        str why;
        struct key_draft draft = {.rpm = -1, .tpm = -1, .budget = PUSD_UNKNOWN};
        snprintf(name, sizeof name, "application %u", i + 1);
        draft.name = str_of_c(name);
        if (!db_key_create(w->db, &draft, key_generate("glw_", text), w->from_us, &w->arena,
                           &w->keys[i], &why)) {
            fprintf(stderr, "relay-log: " STR_FMT "\n", STR_ARG(why));
            return false;
        }
        upto += 1.0 / (i + 1) / sum;
        w->upto[i] = upto;
        arena_reset(&w->arena);
    }
    return true;
}

static const struct uuid *key_at(const struct world *w, double at)
{
    unsigned low = 0, high = KEYS - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (w->upto[middle] < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return &w->keys[low];
}

/* Twice as many at noon as at night. */
static int64_t time_at(const struct world *w, uint64_t number)
{
    double at = (double)number / (double)w->rows * (double)w->span_us / (double)DAY_US;
    double day = floor(at), part = at - day;
    part -= 0.1 * sin(2 * PI * part) / (2 * PI);
    return w->from_us + (int64_t)((day + part) * (double)DAY_US);
}

static void choose_model(struct record *r, unsigned number)
{
    static const char *const providers[] = {"openai", "anthropic", "gemini",
                                            "groq",   "mistral",   "local"};
    static const char *const models[MODELS] = {"gpt-5-mini",
                                               "claude-haiku",
                                               "gemini-2.5-flash",
                                               "llama-3.1-8b-instant",
                                               "mistral-small",
                                               "qwen3-8b",
                                               "gpt-5",
                                               "claude-sonnet",
                                               "gemini-2.5-pro",
                                               "llama-3.3-70b",
                                               "mistral-large",
                                               "qwen3-32b",
                                               "gpt-5-nano",
                                               "claude-opus",
                                               "gemini-2.5-lite",
                                               "kimi-k2",
                                               "codestral",
                                               "gemma-3-12b",
                                               "o4-mini",
                                               "gpt-oss-120b"};
    r->provider = str_of_c(providers[number % 6]);
    r->model = str_of_c(models[number]);
}

static void choose_outcome(struct world *w, struct record *r, unsigned model, uint64_t number)
{
    static const int failures[] = {429, 429, 500, 502, 503, 504, 400, 400};
    static const char *const codes[] = {
        "rate_limited",         "rate_limited",     "upstream_error",  "upstream_error",
        "upstream_unavailable", "upstream_timeout", "invalid_request", "invalid_request"};
    uint64_t kind = draw(w, 100);
    r->status = 200;
    r->cache = kind < 8    ? CACHE_EXACT
               : kind < 11 ? CACHE_SEMANTIC
               : kind < 12 ? CACHE_SHARED
               : kind < 17 ? CACHE_BYPASS
                           : CACHE_MISS;
    bool hit = r->cache <= CACHE_SHARED;
    double speed = exp(2 * sqrt(-log(1 - share(w))) * cos(2 * PI * share(w)) * 0.4);
    r->ttft_ms = hit ? 0.3 + share(w) : (60 + 25 * model) * speed;
    r->latency_ms = r->ttft_ms + (hit ? 0.1 : (double)r->completion_tokens * (4 + model) * speed);
    r->route = hit ? ROUTE_CACHED : ROUTE_CHOSEN;
    r->cost =
        hit ? 0 : (r->prompt_tokens * 150000 + r->completion_tokens * 600000) * (pusd)(model + 1);
    r->cache_saved = hit ? 300000000 * (pusd)(model + 1) : 0;
    r->routing_saved = hit ? 0 : (pusd)draw(w, 200000000) - 20000000;
    r->cost = draw(w, 500) == 0 ? PUSD_UNKNOWN : r->cost;
    if (draw(w, 50) == 0 && !hit) {
        uint64_t which = draw(w, sizeof failures / sizeof *failures);
        r->status = failures[which];
        r->error_code = str_of_c(codes[which]);
        r->completion_tokens = -1;
        r->cost = 0;
        r->ttft_ms = (double)NAN;
    }
    if (number % (w->rows / 3 + 1) == w->rows / 7) {
        r->status = 507;
    }
}

static struct record row_at(struct world *w, uint64_t number)
{
    unsigned model = (unsigned)(draw(w, MODELS) * draw(w, MODELS) / MODELS);
    struct record r = {
        .at_us = time_at(w, number),
        .key_id = *key_at(w, share(w)),
        .endpoint = STR("/v1/chat/completions"),
        .model_asked = STR("auto"),
        .stream = draw(w, 3) > 0,
        .prompt_tokens = 20 + (int64_t)draw(w, 3000),
        .cached_tokens = 0,
        .cache_write_tokens = -1,
        .completion_tokens = 1 + (int64_t)draw(w, 700),
        .reasoning_tokens = -1,
        .usage_source = USAGE_PROVIDER,
        .cost_source = COST_CATALOG,
        .similarity = (double)NAN,
        .overhead_us = 150 + (int64_t)draw(w, 200),
        .attempts = 1,
        .finish_reason = STR("stop"),
        .max_latency_ms = (double)NAN,
        .min_quality = 30,
        .target_met = 1,
        .tags = STR("{\"team\":\"search\",\"env\":\"production\"}"),
        .decision = STR("{\"bars\":{\"min_quality\":30},\"chosen\":{\"model\":\"x\",\"cost_usd\":"
                        "0.0001,\"chance\":0.98},\"refused\":{\"quality\":3}}"),
    };
    r.id = uuid_new(&w->ids, r.at_us);
    choose_model(&r, model);
    choose_outcome(w, &r, model, number);
    return r;
}

static bool tend(struct world *w)
{
    bool more = true, done = true, ok = true;
    while (ok && more && done) {
        ok = usage_tend(w->db, clock_utc_us(), 0, &more, &done);
    }
    return ok;
}

static bool fill(struct world *w)
{
    struct record *group = xcalloc(LEDGER_GROUP, sizeof *group);
    struct ledger_sum sum = {0};
    bool ok = true;
    for (uint64_t i = 0; ok && i < w->rows;) {
        uint64_t end = w->rows - i < BATCH_ROWS ? w->rows : i + BATCH_ROWS;
        ok = ledger_begin(w->db);
        while (ok && i < end) {
            unsigned some = end - i < LEDGER_GROUP ? (unsigned)(end - i) : LEDGER_GROUP;
            for (unsigned k = 0; k < some; k++) {
                group[k] = row_at(w, i + k);
            }
            ok = ledger_add_rows(w->db, group, some, &sum);
            i += some;
        }
        ok = ok && ledger_commit(w->db, &sum) && (i / BATCH_ROWS % 8 != 0 || tend(w));
    }
    free(group);
    return ok && tend(w) && sum.refused == 0;
}

int main(int argc, char **argv)
{
    char *why = NULL;
    uint64_t days = 30, seed = 1;
    struct world *w = xcalloc(1, sizeof *w);
    if (argc < 3 || !str_to_u64(str_of_c(argv[2]), &w->rows) || w->rows == 0 ||
        (argc > 3 && (!str_to_u64(str_of_c(argv[3]), &days) || days == 0 || days > 10000)) ||
        (argc > 4 && !str_to_u64(str_of_c(argv[4]), &seed))) {
        fprintf(stderr, "usage: relay-log STORE-URL ROWS [DAYS] [SEED]\n");
        return 2;
    }
    w->state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->span_us = (int64_t)days * DAY_US;
    w->from_us = clock_utc_us() - w->span_us;
    arena_init(&w->arena, 0);
    w->db = db_open_as(str_of_c(argv[1]), DB_WRITER, true, NULL, &why);
    if (w->db == NULL) {
        fprintf(stderr, "relay-log: %s\n", why);
        return 1;
    }
    bool ok = make_keys(w) && fill(w);
    if (!ok) {
        fprintf(stderr, "relay-log: %s\n", db_problem(w->db));
    }
    db_close(w->db);
    arena_deinit(&w->arena);
    free(w);
    return ok ? 0 : 1;
}
