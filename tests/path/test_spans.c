/* The spans that a request leaves for a collector: whose trace they belong to, what hangs below
 * what, and what each says. */
#include "check.h"
#include "scenario.h"

#define TRACED  "telemetry: {otlp: \"http://collector.test\"}\n"
#define CALLER  "traceparent: 00-0123456789abcdef0123456789abcdef-00f067aa0ba902b7-01\n"
#define ASKED   "How do I reset the password of my account?"
#define ALIKE   "How can I reset the password of my account?"
#define SAY(t)  "{\"model\":\"one/small\",\"messages\":[{\"role\":\"user\",\"content\":\"" t "\"}]}"
#define HEXA_ID 16u

static const struct reply end_of_replies = {NULL, CALL_OK, 0, NULL, NULL, 0};

static void open_traced(struct world *w, const char *config, const struct reply *replies)
{
    world_open(w, config);
    atomic_store(&w->gateway.traces, trace_queue_new());
    worker_use(&w->worker, w->catalog); /* a view looks for the queue once, when it is made */
    world_replies(w, replies);
}

static void close_traced(struct world *w)
{
    struct trace_queue *q = atomic_load(&w->gateway.traces);
    world_close(w);
    trace_queue_free(q);
}

/* ---- spans as lines ---- */

/* Milliseconds since the world began. */
static double ms_of(yyjson_val *span, const char *key)
{
    double world_ns = 1795000001e9;
    return (strtod(yyjson_get_str(yyjson_obj_get(span, key)), NULL) - world_ns) / 1e6;
}

/* Empty where there is none. */
static const char *text_of(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text != NULL ? text : "";
}

static void add_value(struct buf *b, yyjson_val *value)
{
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(value, "arrayValue"), "values");
    if (list != NULL)
        value = yyjson_arr_get_first(list);
    yyjson_val *v = yyjson_obj_get(value, "stringValue");
    if (v == NULL)
        v = yyjson_obj_get(value, "intValue");
    if (v != NULL)
        (void)buf_add(b, str_of_c(yyjson_get_str(v)));
    else if ((v = yyjson_obj_get(value, "doubleValue")) != NULL)
        (void)buf_printf(b, "%.10g", yyjson_get_num(v));
    else
        (void)buf_add(b,
                      yyjson_is_true(yyjson_obj_get(value, "boolValue")) ? STR("yes") : STR("?"));
}

/* A span as a line: "POST /v1/chat/completions kind=2 below=- from=0 to=3 flags=257 state=
 * status=0 relay.id=… ". Below: its parent's id, or "request" for the request's own span. */
static void add_line(struct buf *b, yyjson_val *span, const char *request_id)
{
    const char *parent = yyjson_get_str(yyjson_obj_get(span, "parentSpanId"));
    const char *state = yyjson_get_str(yyjson_obj_get(span, "traceState"));
    bool below = parent != NULL && strcmp(parent, request_id) == 0;
    (void)buf_printf(b, "%s kind=%d below=%s from=%.0f to=%.0f flags=%d state=%s status=%d ",
                     text_of(span, "name"), yyjson_get_int(yyjson_obj_get(span, "kind")),
                     below            ? "request"
                     : parent != NULL ? parent
                                      : "-",
                     ms_of(span, "startTimeUnixNano"), ms_of(span, "endTimeUnixNano"),
                     yyjson_get_int(yyjson_obj_get(span, "flags")), state != NULL ? state : "",
                     yyjson_get_int(yyjson_obj_get(yyjson_obj_get(span, "status"), "code")));
    size_t i, count;
    yyjson_val *attribute;
    yyjson_arr_foreach(yyjson_obj_get(span, "attributes"), i, count, attribute)
    {
        (void)buf_printf(b, "%s=", text_of(attribute, "key"));
        add_value(b, yyjson_obj_get(attribute, "value"));
        (void)buf_add_char(b, ' ');
    }
    (void)buf_add_char(b, '\n');
}

static void check_ids(yyjson_val *spans, const char *trace_id)
{
    size_t i, count;
    yyjson_val *span;
    yyjson_arr_foreach(spans, i, count, span)
    {
        const char *own = yyjson_get_str(yyjson_obj_get(span, "spanId"));
        const char *trace = yyjson_get_str(yyjson_obj_get(span, "traceId"));
        CHECK(own != NULL && strlen(own) == HEXA_ID && strcmp(own, "0000000000000000") != 0);
        CHECK(trace != NULL && strcmp(trace, trace_id) == 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(own, yyjson_get_str(yyjson_obj_get(yyjson_arr_get(spans, j), "spanId"))) !=
                  0);
    }
}

/* All spans that wait, as lines; how many the queue says they are. The request's is the first. */
static unsigned take(struct world *w, struct buf *lines, char trace_id[33])
{
    struct buf json;
    bool more = false;
    buf_clear(lines);
    buf_init(&json, SIZE_MAX);
    (void)buf_add_char(&json, '[');
    unsigned count = trace_queue_take(atomic_load(&w->gateway.traces), &json, &more);
    (void)buf_add_char(&json, ']');
    yyjson_doc *doc = yyjson_read(json.p, json.len, 0);
    CHECK(doc != NULL);
    yyjson_val *spans = yyjson_doc_get_root(doc), *first = yyjson_arr_get_first(spans);
    CHECK_INT(yyjson_arr_size(spans), count);
    const char *trace = yyjson_get_str(yyjson_obj_get(first, "traceId"));
    const char *request_id = yyjson_get_str(yyjson_obj_get(first, "spanId"));
    snprintf(trace_id, 33, "%s", trace != NULL ? trace : "");
    check_ids(spans, trace_id);
    size_t i, n;
    yyjson_val *span;
    yyjson_arr_foreach(spans, i, n, span)
        add_line(lines, span, request_id != NULL ? request_id : "");
    yyjson_doc_free(doc);
    buf_deinit(&json);
    return count;
}

/* The line of the n-th span whose name is this. */
static str line_of(struct buf *lines, const char *name, unsigned n)
{
    str rest = buf_str(lines), line;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, str_of_c(name)) && n-- == 0)
            return line;
    }
    return (str){0};
}

static void expect(struct buf *lines, const char *name, unsigned n, const char *want)
{
    CHECK(text_has(line_of(lines, name, n), want, name, "span"));
}

/* ---- what they say ---- */

TEST(a_fallback_in_the_callers_trace)
{
    const struct reply replies[] = {{"one", CALL_OK, 500, NULL, "", 0},
                                    {"two", CALL_OK, 200, NULL, PLAIN("Hello"), 20},
                                    end_of_replies};
    struct world w;
    struct buf lines;
    char trace_id[33];
    buf_init(&lines, SIZE_MAX);
    open_traced(&w, TRACED, replies);
    (void)world_visit(&w, NULL, "alice", CALLER "tracestate: vendor=1\n", ASK("trio"));
    world_run(&w);
    CHECK(take(&w, &lines, trace_id) >= 3);
    CHECK_STR(str_of_c(trace_id), "0123456789abcdef0123456789abcdef");
    expect(
        &lines, "POST /v1/chat/completions", 0,
        " kind=2 below=00f067aa0ba902b7 from=0 | flags=769 state=vendor=1 status=0 |"
        " http.request.method=POST http.route=/v1/chat/completions http.response.status_code=200 |"
        " relay.key=glw_| gen_ai.operation.name=chat gen_ai.request.model=trio |"
        " gen_ai.response.model=mid gen_ai.provider.name=two relay.provider=two |"
        " relay.route=fallback relay.cache=miss relay.attempts=2 relay.cost_usd=4e-05 |"
        "!gen_ai.request.stream|!error|!relay.similarity|!tokens");
    expect(&lines, "chat small", 0,
           " kind=3 below=request | flags=257 state=vendor=1 status=2 |"
           " gen_ai.operation.name=chat gen_ai.provider.name=one relay.provider=one"
           " gen_ai.request.model=small server.address=one.test server.port=80"
           " http.response.status_code=500 relay.cost_usd=0 error.type=upstream_error |"
           "!resend|!tokens|!request.stream|!first_chunk|!finish");
    expect(
        &lines, "chat mid", 0,
        " kind=3 below=request | status=0 | gen_ai.operation.name=chat|"
        " http.response.status_code=200 http.request.resend_count=1"
        " gen_ai.response.finish_reasons=stop gen_ai.usage.input_tokens=10"
        " gen_ai.usage.output_tokens=5 relay.cost_usd=4e-05 |!error|!request.stream|!first_chunk");
    expect(&lines, "call", 0, " kind=1 below=request | flags=257 | status=0 |!gen_ai|!error");
    CHECK_INT(line_of(&lines, "route", 0).len, 0); /* it took no time */
    /* What goes upstream names the attempt, not the caller. */
    CHECK(text_has(buf_str(&w.sent),
                   "traceparent: 00-0123456789abcdef0123456789abcdef-|!00f067aa0ba902b7", "traced",
                   "sent"));
    buf_deinit(&lines);
    close_traced(&w);
}

TEST(a_stream_says_when_its_first_content_came)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL,
                                     ROLE WAIT(250) CHUNK("Hi") THEN FINISH("stop") THEN USAGE DONE,
                                     0},
                                    end_of_replies};
    struct world w;
    struct buf lines;
    char trace_id[33];
    buf_init(&lines, SIZE_MAX);
    open_traced(&w, TRACED, replies);
    (void)world_visit(&w, NULL, "alice", NULL, ASK_STREAM("one/small"));
    world_run(&w);
    (void)take(&w, &lines, trace_id);
    expect(&lines, "POST", 0, " below=- | flags=259 state= | gen_ai.request.stream=yes ");
    expect(&lines, "chat small", 0,
           " below=request | gen_ai.request.stream=yes"
           " gen_ai.response.time_to_first_chunk=0.25|!error");
    buf_deinit(&lines);
    close_traced(&w);
}

TEST(a_hit_of_the_cache_has_a_similarity_and_no_attempt)
{
    const struct reply replies[] = {ANSWERS("one", "kept"), end_of_replies};
    static const struct {
        const char *body, *want;
    } asks[] = {
        {SAY(ASKED), " relay.cache=miss |!relay.similarity"},
        {SAY(ASKED), " relay.cache=exact relay.similarity=1 |!relay.cost_usd=4"},
        {SAY(ALIKE), " relay.cache=semantic relay.similarity=0.9"},
    };
    struct world w;
    struct buf lines;
    char trace_id[33];
    buf_init(&lines, SIZE_MAX);
    open_traced(&w, TRACED, replies);
    world_encoder(&w, 1);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        (void)world_visit(&w, NULL, "rich", NULL, asks[i].body);
        world_run_ms(&w, 200);
        (void)take(&w, &lines, trace_id);
        expect(&lines, "POST", 0, asks[i].want);
        expect(&lines, "POST", 0, " gen_ai.provider.name=one | gen_ai.response.model=small ");
        CHECK_INT(line_of(&lines, "chat", 0).len > 0, i == 0);
    }
    buf_deinit(&lines);
    close_traced(&w);
}

TEST(a_step_that_failed_has_a_span_though_it_took_no_time)
{
    struct world w;
    struct buf lines;
    char trace_id[33];
    buf_init(&lines, SIZE_MAX);
    open_traced(&w, TRACED, NULL);
    (void)world_visit(&w, NULL, "alice", NULL, ASK("nothing"));
    world_run(&w);
    CHECK_INT(take(&w, &lines, trace_id), 2);
    expect(&lines, "POST", 0,
           " status=0 | http.response.status_code=404 | relay.error.code=model_not_found"
           " relay.error.step=route |!error.type");
    expect(&lines, "route", 0, " kind=1 below=request | status=2 error.type=model_not_found ");
    buf_deinit(&lines);
    close_traced(&w);
}

TEST(who_is_not_sampled_or_has_no_key_leaves_none)
{
    static const struct {
        const char *config, *key, *headers;
    } cases[] = {
        {TRACED, NULL, NULL},
        {TRACED, "alice", "traceparent: 00-0123456789abcdef0123456789abcdef-00f067aa0ba902b7-00\n"},
        {"telemetry: {otlp: \"http://collector.test\", sample: 0}\n", "alice", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct buf lines;
        char trace_id[33];
        buf_init(&lines, SIZE_MAX);
        open_traced(&w, cases[i].config, NULL);
        (void)world_visit(&w, NULL, cases[i].key, cases[i].headers, ASK("nothing"));
        world_run(&w);
        CHECK_INT(take(&w, &lines, trace_id), 0);
        buf_deinit(&lines);
        close_traced(&w);
    }
}

/* Spans are counted by what became of them; without tracing the page does not have them. */
TEST(spans_are_counted)
{
    struct world w;
    struct buf page;
    buf_init(&page, SIZE_MAX);
    open_traced(&w, TRACED, NULL);
    trace_queue_count(atomic_load(&w.gateway.traces), TRACE_SENT, 3);
    trace_queue_count(atomic_load(&w.gateway.traces), TRACE_REFUSED, 2);
    CHECK(meters_page(&w.gateway, w.catalog, w.now_ms, &page));
    CHECK(text_has(buf_str(&page),
                   "relay_trace_spans_total{result=\"sent\"} 3|"
                   "relay_trace_spans_total{result=\"dropped\"} 0|"
                   "relay_trace_spans_total{result=\"refused\"} 2",
                   "spans", "page"));
    buf_deinit(&page);
    close_traced(&w);
}

/* Vigna's xorshift64*, whose values are known: ids of spans and the dice of sampling are of it. */
TEST(random_numbers_are_those_of_the_generator)
{
    static const uint64_t want[] = {UINT64_C(0x7016343d3c81661c), UINT64_C(0x5edf8d85dcc5b771),
                                    UINT64_C(0xe5b49f9f1e19b449)};
    struct world w;
    world_open(&w, NULL);
    w.worker.dice = UINT64_C(0x123456789abcdef1);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK(worker_random(&w.worker) == want[i]);
    world_close(&w);
}

CHECK_MAIN
