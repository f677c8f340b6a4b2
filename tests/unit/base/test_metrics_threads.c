/* Metrics: the page's text to the byte, series, limits, and adding from several threads. */
#include <pthread.h>
#include <stdlib.h>

#include "base/metrics_inside.h"
#include "check.h"

enum { REQUESTS, INFLIGHT, SECONDS, COST, UPSTREAM, PLAIN, METRICS };

static const double bounds[] = {0.005, 0.1, 1, 2.5, 0};

static const struct metric_desc descs[METRICS] = {
    [REQUESTS] = {"relay_requests_total",
                  "Requests \\ by\nendpoint.",
                  METRIC_COUNTER,
                  {"endpoint", "status"},
                  NULL,
                  1},
    [INFLIGHT] = {"relay_inflight", "Now.", METRIC_GAUGE, {NULL}, NULL, 1},
    [SECONDS] = {"relay_request_seconds", "Time.", METRIC_HISTOGRAM, {NULL}, bounds, 1e-9},
    [COST] = {"relay_cost_usd_total", "Dollars.", METRIC_COUNTER, {"provider"}, NULL, 1e-12},
    [UPSTREAM] = {"relay_upstream_seconds",
                  "Upstream.",
                  METRIC_HISTOGRAM,
                  {"provider", "model", "x"},
                  bounds,
                  1e-9},
    [PLAIN] = {"relay_empty_total", "Nothing yet.", METRIC_COUNTER, {"a"}, NULL, 1},
};

TEST(page)
{
    struct metrics *m = metrics_new(descs, METRICS, 3);
    str ok[] = {STR("chat"), STR("200")}, odd[] = {STR("a\"b\\c\nd"), STR("")};
    unsigned first = metrics_series(m, REQUESTS, ok), second = metrics_series(m, REQUESTS, odd);
    unsigned gauge = metrics_series(m, INFLIGHT, NULL), time = metrics_series(m, SECONDS, NULL);
    unsigned cost = metrics_series(m, COST, (str[]){STR("groq")});
    unsigned up = metrics_series(m, UPSTREAM, (str[]){STR("p"), STR("m"), STR("y")});
    CHECK(first != second);
    CHECK_INT(metrics_series(m, REQUESTS, ok), first);
    metrics_add(m, 0, first, 1);
    metrics_add(m, 1, first, 2);
    metrics_add(m, 2, first, 39);
    metrics_set(m, gauge, 7);
    metrics_set(m, gauge, -3);
    metrics_add(m, 1, cost, 1234567);
    metrics_observe(m, 0, time, 5000000); /* 5 ms: on the bound, belongs below it */
    metrics_observe(m, 1, time, 5000001);
    metrics_observe_many(m, 2, time, 0, 2);
    metrics_observe_many(m, 2, time, 77, 0);
    metrics_observe(m, 2, time, 3000000000); /* beyond the last */
    metrics_observe(m, 0, up, 1000000000);
    CHECK_INT(metrics_read(m, first), 42);
    CHECK_INT(metrics_read(m, gauge), -3);
    CHECK_INT(metrics_read(m, time), 5);
    struct buf b;
    buf_init(&b, 100000);
    CHECK(metrics_print(m, &b));
    CHECK_STR(buf_str(&b),
              "# HELP relay_requests_total Requests \\\\ by\\nendpoint.\n"
              "# TYPE relay_requests_total counter\n"
              "relay_requests_total{endpoint=\"chat\",status=\"200\"} 42\n"
              "relay_requests_total{endpoint=\"a\\\"b\\\\c\\nd\",status=\"\"} 0\n"
              "# HELP relay_inflight Now.\n"
              "# TYPE relay_inflight gauge\n"
              "relay_inflight -3\n"
              "# HELP relay_request_seconds Time.\n"
              "# TYPE relay_request_seconds histogram\n"
              "relay_request_seconds_bucket{le=\"0.005\"} 3\n"
              "relay_request_seconds_bucket{le=\"0.1\"} 4\n"
              "relay_request_seconds_bucket{le=\"1\"} 4\n"
              "relay_request_seconds_bucket{le=\"2.5\"} 4\n"
              "relay_request_seconds_bucket{le=\"+Inf\"} 5\n"
              "relay_request_seconds_sum 3.010000001\n"
              "relay_request_seconds_count 5\n"
              "# HELP relay_cost_usd_total Dollars.\n"
              "# TYPE relay_cost_usd_total counter\n"
              "relay_cost_usd_total{provider=\"groq\"} 0.000001234567\n"
              "# HELP relay_upstream_seconds Upstream.\n"
              "# TYPE relay_upstream_seconds histogram\n"
              "relay_upstream_seconds_bucket{provider=\"p\",model=\"m\",x=\"y\",le=\"0.005\"} 0\n"
              "relay_upstream_seconds_bucket{provider=\"p\",model=\"m\",x=\"y\",le=\"0.1\"} 0\n"
              "relay_upstream_seconds_bucket{provider=\"p\",model=\"m\",x=\"y\",le=\"1\"} 1\n"
              "relay_upstream_seconds_bucket{provider=\"p\",model=\"m\",x=\"y\",le=\"2.5\"} 1\n"
              "relay_upstream_seconds_bucket{provider=\"p\",model=\"m\",x=\"y\",le=\"+Inf\"} 1\n"
              "relay_upstream_seconds_sum{provider=\"p\",model=\"m\",x=\"y\"} 1\n"
              "relay_upstream_seconds_count{provider=\"p\",model=\"m\",x=\"y\"} 1\n"
              "# HELP relay_empty_total Nothing yet.\n"
              "# TYPE relay_empty_total counter\n");
    buf_deinit(&b);
    buf_init(&b, 500);
    CHECK(!metrics_print(m, &b));
    buf_deinit(&b);
    metrics_free(m);
    metrics_free(NULL);
}

TEST(values_of_labels_do_not_run_together)
{
    struct metrics *m = metrics_new(descs, METRICS, 1);
    unsigned x = metrics_series(m, REQUESTS, (str[]){STR("ab"), STR("c")});
    unsigned y = metrics_series(m, REQUESTS, (str[]){STR("a"), STR("bc")});
    unsigned z = metrics_series(m, PLAIN, (str[]){STR("ab")});
    CHECK(x != y && y != z && x != z);
    metrics_free(m);
}

TEST(too_many_series_become_other)
{
    struct metrics *m = metrics_new(descs, METRICS, 1);
    unsigned last = 0, same = 0;
    for (int i = 0; i < METRICS_SERIES_MAX + 100; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%d", i);
        unsigned series = metrics_series(m, COST, (str[]){str_of(text, (size_t)len)});
        metrics_add(m, 0, series, 1000000000000);
        same += i != 0 && series == last;
        last = series;
    }
    CHECK_INT(same, 100 + METRICS - 1);
    /* The others still have a place each. */
    unsigned other = metrics_series(m, PLAIN, (str[]){STR("new")});
    unsigned gauge = metrics_series(m, INFLIGHT, NULL);
    CHECK(other != last && gauge != last && gauge != other);
    CHECK(gauge < METRICS_SERIES_MAX);
    CHECK_INT(metrics_read(m, last), INT64_C(1000000000000) * (100 + METRICS));
    struct buf b;
    buf_init(&b, 4 << 20);
    CHECK(metrics_print(m, &b));
    CHECK(str_find(buf_str(&b), STR("relay_cost_usd_total{provider=\"other\"} 106\n"), 0) !=
          SIZE_MAX);
    CHECK(str_find(buf_str(&b), STR("relay_empty_total{a=\"other\"} 0\n"), 0) != SIZE_MAX);
    buf_deinit(&b);
    metrics_free(m);
}

/* Around every bound and every power of two, against a walk over the bounds. */
TEST(values_fall_into_their_buckets)
{
    struct metrics *m = metrics_new(descs, METRICS, 1);
    unsigned series = metrics_series(m, SECONDS, NULL);
    const struct metric *metric = &m->metrics[SECONDS];
    int64_t values[512];
    size_t count = 0;
    for (size_t i = 0; i < metric->bound_count; i++) {
        for (int64_t near = -1; near <= 1; near++)
            values[count++] = metric->bounds[i] + near;
    }
    for (unsigned bits = 0; bits < 58; bits++) {
        for (int64_t near = -1; near <= 1; near++)
            values[count++] = (INT64_C(1) << bits) + near;
    }
    values[count++] = -5;
    for (size_t i = 0; i < count; i++) {
        size_t bucket = 0;
        while (bucket < metric->bound_count && values[i] > metric->bounds[bucket])
            bucket++;
        int64_t before = metrics_cell(m, m->series[series].cell + bucket);
        metrics_observe(m, 0, series, values[i]);
        CHECK_INT(metrics_cell(m, m->series[series].cell + bucket), before + 1);
    }
    metrics_free(m);
}

#define THREADS 4
#define ROUNDS  20000

struct work {
    struct metrics *m;
    unsigned shard;
};

static void *add_much(void *ctx)
{
    const struct work *w = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned series = metrics_series(w->m, COST, (str[]){str_of("abcdefgh" + i % 8, 1)});
        metrics_add(w->m, w->shard, series, 1);
        metrics_observe(w->m, w->shard, metrics_series(w->m, SECONDS, NULL), i);
    }
    return NULL;
}

TEST(threads_add_while_it_is_printed)
{
    struct metrics *m = metrics_new(descs, METRICS, THREADS);
    struct work work[THREADS];
    pthread_t threads[THREADS];
    struct buf b;
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < THREADS; i++) {
        work[i] = (struct work){m, i};
        CHECK_INT(pthread_create(&threads[i], NULL, add_much, &work[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        buf_clear(&b);
        CHECK(metrics_print(m, &b));
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += metrics_read(m, metrics_series(m, COST, (str[]){str_of("abcdefgh" + i, 1)}));
    CHECK_INT(sum, THREADS * ROUNDS);
    CHECK_INT(metrics_read(m, metrics_series(m, SECONDS, NULL)), THREADS * ROUNDS);
    buf_deinit(&b);
    metrics_free(m);
}

CHECK_MAIN
