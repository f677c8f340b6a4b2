/* journal.c - relay-journal: fills a journal with rows like those of a gateway that served for a
 * while, for tests/bench/postgres_drain.py.
 *
 *     relay-journal FOLDER ROWS [HOURS]     rows spread evenly over the last hours, 24 by default
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/journal.h"

#define KEYS 50

static struct record row_at(struct uuid_state *ids, int64_t at_us, uint64_t number)
{
    static const char *const models[] = {"llama-3.1-8b-instant", "gemini-2.5-flash", "gpt-5-mini"};
    static const char *const providers[] = {"groq", "gemini", "openai"};
    uint64_t kind = number % 3;
    struct record r = {
        .id = uuid_new(ids, at_us),
        .at_us = at_us,
        .endpoint = STR("/v1/chat/completions"),
        .model_asked = STR("auto"),
        .provider = str_of_c(providers[kind]),
        .model = str_of_c(models[kind]),
        .route = ROUTE_CHOSEN,
        .stream = number % 2 == 0,
        .status = number % 50 == 0 ? 502 : 200,
        .prompt_tokens = 100 + (int64_t)(number % 900),
        .cached_tokens = 0,
        .cache_write_tokens = -1,
        .completion_tokens = 50 + (int64_t)(number % 300),
        .reasoning_tokens = -1,
        .usage_source = USAGE_PROVIDER,
        .cost = 1000000 + (pusd)(number % 997) * 1000,
        .cost_source = COST_CATALOG,
        .routing_saved = 5000,
        .cache = CACHE_MISS,
        .similarity = (double)NAN,
        .ttft_ms = 100 + (double)(number % 400),
        .latency_ms = 500 + (double)(number % 2000),
        .overhead_us = 180,
        .attempts = 1,
        .finish_reason = STR("stop"),
        .max_latency_ms = (double)NAN,
        .min_quality = 30,
        .target_met = 1,
        .tags = STR("{\"team\":\"search\",\"env\":\"production\"}"),
        .decision = STR("{\"bars\":{\"min_quality\":30},\"chosen\":{\"model\":\"x\",\"cost_usd\":"
                        "0.0001,\"chance\":0.98},\"refused\":{\"quality\":3}}"),
    };
    r.key_id.b[0] = 1;
    r.key_id.b[15] = (uint8_t)(number % KEYS);
    return r;
}

static bool fill(struct journal *j, uint64_t rows, int64_t span_us)
{
    struct journal_writer *w = journal_writer_get(j, 0);
    struct uuid_state ids = {0};
    int64_t now = clock_utc_us();
    for (uint64_t i = 0; i < rows; i++) {
        struct record r = row_at(&ids, now - span_us + (int64_t)(i * (uint64_t)span_us / rows), i);
        if (journal_batch_is_full(w)) {
            journal_flush(w, NULL, NULL);
        }
        if (journal_append(w, &r) != OK) {
            return false;
        }
    }
    journal_flush(w, NULL, NULL);
    return journal_stats(j).rows_appended == (int64_t)rows;
}

int main(int argc, char **argv)
{
    char *why = NULL;
    uint64_t rows = 0, hours = 24;
    if (argc < 3 || !str_to_u64(str_of_c(argv[2]), &rows) || rows == 0 ||
        (argc > 3 && (!str_to_u64(str_of_c(argv[3]), &hours) || hours == 0 || hours > 10000))) {
        fprintf(stderr, "usage: relay-journal FOLDER ROWS [HOURS]\n");
        return 2;
    }
    struct journal_options options = {.dir = str_of_c(argv[1]),
                                      .sync_ms = 1000,
                                      .bytes_max = INT64_C(1) << 40,
                                      .refuse_when_full = true,
                                      .writers = 1};
    struct journal *j = journal_open(&options, &why);
    if (j == NULL) {
        fprintf(stderr, "relay-journal: %s\n", why);
        free(why);
        return 1;
    }
    bool ok = fill(j, rows, (int64_t)hours * INT64_C(3600000000));
    printf("%" PRId64 "\n", journal_stats(j).bytes);
    journal_close(j);
    return ok ? 0 : 1;
}
