/* Spans between the workers and the exporter: batches, bounds, counts. */
#include "path/trace_queue.h"

#include <stdlib.h>

#include "base/mem.h"
#include "check.h"

static unsigned told;

static void on_batch(void *arg)
{
    CHECK(arg == &told);
    told++;
}

TEST(spans_come_out_as_they_went_in)
{
    struct trace_queue *q = trace_queue_new();
    struct buf b;
    bool more = true;
    buf_init(&b, SIZE_MAX);
    (void)buf_add(&b, STR("["));
    CHECK_INT(trace_queue_take(q, &b, &more), 0);
    CHECK(!more);
    trace_queue_add(q, STR("{1},{2}"), 2);
    trace_queue_add(q, STR("{3}"), 1);
    CHECK_INT(trace_queue_take(q, &b, &more), 3);
    CHECK_STR(buf_str(&b), "[{1},{2},{3}");
    CHECK(!more);
    CHECK_INT(trace_queue_take(q, &b, &more), 0);
    buf_deinit(&b);
    trace_queue_free(q);
}

TEST(a_batch_is_told_of_once)
{
    struct trace_queue *q = trace_queue_new();
    struct buf b;
    bool more = false;
    buf_init(&b, SIZE_MAX);
    told = 0;
    trace_queue_on_batch(q, on_batch, &told);
    for (unsigned i = 1; i <= 2 * TRACE_BATCH_SPANS; i++) {
        trace_queue_add(q, STR("{}"), 1);
        CHECK_INT(told, i >= TRACE_BATCH_SPANS);
    }
    CHECK_INT(trace_queue_take(q, &b, &more), TRACE_BATCH_SPANS);
    CHECK(more); /* so nobody needs to be told */
    CHECK_INT(trace_queue_take(q, &b, &more), TRACE_BATCH_SPANS);
    CHECK(!more);
    for (unsigned i = 0; i < TRACE_BATCH_SPANS; i++)
        trace_queue_add(q, STR("{}"), 1);
    CHECK_INT(told, 2);
    buf_deinit(&b);
    trace_queue_free(q); /* with what is in it */
}

TEST(the_spans_of_a_request_stay_together)
{
    struct trace_queue *q = trace_queue_new();
    struct buf b;
    bool more = false;
    buf_init(&b, SIZE_MAX);
    trace_queue_add(q, STR("{}"), 1);
    trace_queue_add(q, STR("{}"), TRACE_BATCH_SPANS);
    trace_queue_add(q, STR("{}"), TRACE_BATCH_SPANS + 1);
    CHECK_INT(trace_queue_take(q, &b, &more), 1);
    CHECK_INT(trace_queue_take(q, &b, &more), TRACE_BATCH_SPANS);
    CHECK_INT(trace_queue_take(q, &b, &more), TRACE_BATCH_SPANS + 1);
    CHECK(!more);
    buf_deinit(&b);
    trace_queue_free(q);
}

TEST(what_does_not_fit_is_dropped_and_counted)
{
    struct trace_queue *q = trace_queue_new();
    struct buf b;
    bool more = false;
    size_t len = 1u << 20, most = TRACE_QUEUE_BYTES_MAX / len;
    char *text = xcalloc(len, 1);
    buf_init(&b, SIZE_MAX);
    memset(text, ' ', len);
    for (size_t i = 0; i < most + 5; i++)
        trace_queue_add(q, str_of(text, len), 7);
    size_t dropped = (size_t)trace_queue_counted(q, TRACE_DROPPED), taken = 0;
    CHECK_INT(dropped, 7 * 6); /* the pieces' heads take the room of one */
    while (trace_queue_take(q, &b, &more) > 0) {
        CHECK(b.len <= TRACE_BATCH_BYTES);
        buf_clear(&b);
        taken++;
    }
    CHECK_INT(taken, most - 1);
    CHECK_INT(trace_queue_counted(q, TRACE_SENT), 0);
    trace_queue_count(q, TRACE_SENT, 3);
    CHECK_INT(trace_queue_counted(q, TRACE_SENT), 3);
    free(text);
    buf_deinit(&b);
    trace_queue_free(q);
}

/* What was taken makes room: any number goes through it in time. */
TEST(room_comes_back)
{
    struct trace_queue *q = trace_queue_new();
    struct buf b;
    bool more = false;
    size_t len = 1u << 20, most = TRACE_QUEUE_BYTES_MAX / len;
    char *text = xcalloc(len, 1);
    buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < 3 * most; i++) {
        trace_queue_add(q, str_of(text, len), 7);
        CHECK_INT(trace_queue_take(q, &b, &more), 7);
        buf_clear(&b);
    }
    CHECK_INT(trace_queue_counted(q, TRACE_DROPPED), 0);
    CHECK(!more);
    free(text);
    buf_deinit(&b);
    trace_queue_free(q);
}

CHECK_MAIN
