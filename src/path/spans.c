/* spans.c - the spans of a request that has ended, as OTLP's JSON objects.
 *
 * Times are the request's UTC and what the monotonic clock says since, so a clock that is set
 * meanwhile bends nothing. Tokens stand at attempts only: whoever adds them up counts none twice,
 * and a hit of the cache has used none. Prompts and answers are in no span. */
#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "config/url.h"
#include "path/record.h"
#include "path/span_names.h"
#include "path/trace.h"

/* OTLP's numbers. */
enum span_kind { KIND_INTERNAL = 1, KIND_SERVER = 2, KIND_CLIENT = 3 };
#define STATUS_ERROR   2
#define FLAG_KNOWN     0x100u /* whether the parent is another process's is known */
#define FLAG_IS_REMOTE 0x200u /* and it is */

#define NAME_BYTES_MAX 256u

/* What stands before an attribute's value. */
#define SPAN_NAME_KEY(id, text) [SPAN_##id] = STR_INIT("{\"key\":\"" text "\",\"value\":{"),
static const str keys[SPAN_NAME_COUNT] = {SPAN_NAMES(SPAN_NAME_KEY)};

/* The names that the conventions have for providers; any other goes by its own. */
static const struct {
    str name, known_as;
} providers[] = {
    {STR_INIT("gemini"), STR_INIT("gcp.gemini")},
    {STR_INIT("mistral"), STR_INIT("mistral_ai")},
    {STR_INIT("xai"), STR_INIT("x_ai")},
};

struct writer {
    const struct request *r;
    struct buf *b;
    unsigned spans;
    unsigned attributes; /* of the span being written */
    char trace_id[32];   /* as text, from the first span on */
};

struct interval {
    uint64_t from_ns, to_ns; /* monotonic */
};

/* ---- attributes ---- */

static void add_key(struct writer *w, enum span_name name)
{
    if (w->attributes++ > 0)
        (void)buf_add_char(w->b, ',');
    (void)buf_add(w->b, keys[name]);
}

static void add_text(struct writer *w, enum span_name name, str value)
{
    if (value.len == 0)
        return;
    add_key(w, name);
    (void)buf_add(w->b, STR("\"stringValue\":"));
    (void)json_add_str(w->b, str_head(value, NAME_BYTES_MAX));
    (void)buf_add(w->b, STR("}}"));
}

static void add_int(struct writer *w, enum span_name name, int64_t value)
{
    add_key(w, name);
    (void)buf_add(w->b, STR("\"intValue\":\""));
    (void)buf_add_i64(w->b, value);
    (void)buf_add(w->b, STR("\"}}"));
}

static void add_number(struct writer *w, enum span_name name, double value)
{
    if (!isfinite(value))
        return;
    add_key(w, name);
    (void)buf_add(w->b, STR("\"doubleValue\":"));
    (void)json_add_double(w->b, value);
    (void)buf_add(w->b, STR("}}"));
}

/* Exact, as the decimal that it is. */
static void add_cost(struct writer *w, pusd cost)
{
    if (!pusd_known(cost))
        return;
    add_key(w, SPAN_RELAY_COST);
    (void)buf_add(w->b, STR("\"doubleValue\":"));
    (void)pusd_print(w->b, cost);
    (void)buf_add(w->b, STR("}}"));
}

static void add_true(struct writer *w, enum span_name name)
{
    add_key(w, name);
    (void)buf_add(w->b, STR("\"boolValue\":true}}"));
}

static void add_list_of_one(struct writer *w, enum span_name name, const char *value)
{
    if (value == NULL)
        return;
    add_key(w, name);
    (void)buf_add(w->b, STR("\"arrayValue\":{\"values\":[{\"stringValue\":"));
    (void)json_add_str(w->b, str_of_c(value));
    (void)buf_add(w->b, STR("}]}}}"));
}

static void add_provider(struct writer *w, str name)
{
    str known_as = name;
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        if (str_eq(name, providers[i].name))
            known_as = providers[i].known_as;
    }
    add_text(w, SPAN_PROVIDER, known_as);
    add_text(w, SPAN_RELAY_PROVIDER, name);
}

static str operation_of(const struct request *r)
{
    return r->chat.asked == ASKED_EMBEDDINGS ? STR("embeddings")
           : r->chat.asked == ASKED_COUNT    ? STR("count_tokens")
                                             : STR("chat");
}

/* ---- the frame of a span ---- */

static void add_time(struct writer *w, uint64_t mono_ns)
{
    const struct request *r = w->r;
    int64_t since_ns = (int64_t)(mono_ns - r->trace->began_ns);
    (void)buf_add_i64(w->b, r->at_us * 1000 + since_ns);
}

static void begin_ids(struct writer *w, uint64_t id, uint64_t parent, bool remote)
{
    const struct trace *t = w->r->trace;
    struct buf *b = w->b;
    (void)buf_add(b, w->spans++ > 0 ? STR(",{\"traceId\":\"") : STR("{\"traceId\":\""));
    if (w->spans > 1)
        (void)buf_add(b, str_of(w->trace_id, sizeof w->trace_id));
    else if (trace_id_add(b, t->context.trace_id))
        memcpy(w->trace_id, b->p + b->len - sizeof w->trace_id, sizeof w->trace_id);
    (void)buf_add(b, STR("\",\"spanId\":\""));
    (void)span_id_add(b, id);
    if (parent != 0) {
        (void)buf_add(b, STR("\",\"parentSpanId\":\""));
        (void)span_id_add(b, parent);
    }
    (void)buf_add(b, STR("\",\"flags\":"));
    (void)buf_add_i64(b, t->context.flags | FLAG_KNOWN | (remote ? FLAG_IS_REMOTE : 0));
    if (t->state.len > 0) {
        (void)buf_add(b, STR(",\"traceState\":"));
        (void)json_add_str(b, t->state);
    }
    (void)buf_add(b, STR(",\"name\":\""));
}

/* After the name, of which every part stands for itself or is escaped. */
static void begin_rest(struct writer *w, enum span_kind kind, struct interval at)
{
    struct buf *b = w->b;
    (void)buf_add(b, STR("\",\"kind\":"));
    (void)buf_add_i64(b, kind);
    (void)buf_add(b, STR(",\"startTimeUnixNano\":\""));
    add_time(w, at.from_ns);
    (void)buf_add(b, STR("\",\"endTimeUnixNano\":\""));
    add_time(w, at.to_ns > at.from_ns ? at.to_ns : at.from_ns);
    (void)buf_add(b, STR("\",\"attributes\":["));
    w->attributes = 0;
}

static void end_span(struct writer *w, bool is_error)
{
    (void)buf_add(w->b, STR("]"));
    if (is_error)
        (void)buf_printf(w->b, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    (void)buf_add_char(w->b, '}');
}

/* ---- the three sorts of spans ---- */

static void add_outcome(struct writer *w, bool is_error)
{
    const struct request *r = w->r;
    if (r->fault == OK)
        return;
    const struct err_info *info = err_info(r->fault);
    if (is_error)
        add_text(w, SPAN_ERROR_TYPE, str_of_c(info->code));
    add_text(w, SPAN_RELAY_ERROR, str_of_c(info->code));
    add_text(w, SPAN_RELAY_STEP, str_of_c(step_text(r->fault_at)));
}

static void add_answer(struct writer *w)
{
    const struct request *r = w->r;
    const struct attempt *t = r->try_count > 0 ? r->tries[r->try_count - 1] : NULL;
    if (r->endpoint->kind == ENDPOINT_MODELS)
        return;
    add_text(w, SPAN_OPERATION, operation_of(r));
    add_text(w, SPAN_REQUEST_MODEL, r->chat.model);
    if (r->chat.stream)
        add_true(w, SPAN_REQUEST_STREAM);
    if (r->hit != NULL || t != NULL) {
        add_text(w, SPAN_RESPONSE_MODEL, r->hit != NULL ? r->hit->model : t->model);
        add_provider(w, r->hit != NULL ? r->hit->provider : t->upstream->config->name);
    }
    add_text(w, SPAN_RELAY_ROUTE, str_of_c(route_kind_text(route_kind_of(r))));
    add_text(w, SPAN_RELAY_CACHE, str_of_c(cache_kind_text(r->cache)));
    if (r->hit != NULL)
        add_number(w, SPAN_RELAY_SIMILARITY, r->similarity);
    add_int(w, SPAN_RELAY_ATTEMPTS, r->try_count);
    add_cost(w, r->cost);
}

static void write_request(struct writer *w, uint64_t now_ns)
{
    const struct request *r = w->r;
    const struct trace *t = r->trace;
    bool is_audit = r->endpoint->index == ENDPOINT_INDEX_AUDIT;
    /* What was sent: the head of a stream that then broke said 200. */
    bool sent_head = r->answer_state != ANSWER_NONE;
    int status = r->fault == OK || sent_head ? 200
                 : r->fault_status != 0      ? r->fault_status
                                             : err_info(r->fault)->status;
    bool is_closed = r->fault == ERR_CLIENT_CLOSED;
    bool is_error = r->fault != OK && !is_closed && (sent_head || status >= 500);
    begin_ids(w, t->context.span_id, t->parent_id, t->parent_id != 0);
    if (!is_audit) {
        (void)buf_add(w->b, str_of_c(r->endpoint->method));
        (void)buf_add_char(w->b, ' ');
    }
    (void)buf_add(w->b, str_of_c(r->endpoint->path));
    begin_rest(w, is_audit ? KIND_INTERNAL : KIND_SERVER, (struct interval){r->started_ns, now_ns});
    if (!is_audit) {
        add_text(w, SPAN_METHOD, str_of_c(r->endpoint->method));
        add_text(w, SPAN_HTTP_ROUTE, str_of_c(r->endpoint->path));
        if (!is_closed || sent_head)
            add_int(w, SPAN_STATUS_CODE, status);
        add_text(w, SPAN_RELAY_KEY, r->key->tag);
    }
    add_text(w, SPAN_RELAY_ID, str_of(r->id_text, UUID_TEXT_BYTES - 1));
    add_answer(w);
    add_int(w, SPAN_RELAY_OVERHEAD, r->overhead_us);
    add_outcome(w, is_error);
    end_span(w, is_error);
}

/* A step that took less than a microsecond has no span, unless it is the one that failed. */
static void write_step(struct writer *w, enum step_name step, struct interval at)
{
    const struct request *r = w->r;
    bool failed = r->fault != OK && r->fault != ERR_CLIENT_CLOSED && r->fault_at == step;
    if (at.to_ns < at.from_ns + 1000 && !failed)
        return;
    begin_ids(w, worker_random(r->worker), r->trace->context.span_id, false);
    (void)buf_add(w->b, str_of_c(step_text(step)));
    begin_rest(w, KIND_INTERNAL, at);
    if (failed)
        add_text(w, SPAN_ERROR_TYPE, str_of_c(err_info(r->fault)->code));
    end_span(w, failed);
}

/* One after the other, since that is how they ran. */
static void write_steps(struct writer *w, uint64_t now_ns)
{
    const struct request *r = w->r;
    uint64_t at_ns = r->trace->began_ns;
    for (unsigned i = 0; i < STEP_ACCOUNT; i++) {
        uint64_t end_ns = at_ns + (uint64_t)r->step_us[i] * 1000;
        write_step(w, (enum step_name)i, (struct interval){at_ns, end_ns});
        at_ns = end_ns;
    }
    write_step(w, STEP_ACCOUNT, (struct interval){r->step_ns, r->trace->reply_ns});
    write_step(w, STEP_REPLY, (struct interval){r->trace->reply_ns, now_ns});
}

static void add_usage(struct writer *w, const struct attempt *t)
{
    const struct usage *u = &t->usage;
    if (t->usage_source == USAGE_NONE)
        return;
    add_int(w, SPAN_INPUT_TOKENS, u->prompt);
    if (u->cached > 0)
        add_int(w, SPAN_CACHE_READ_TOKENS, u->cached);
    if (u->cache_write + u->cache_write_1h > 0)
        add_int(w, SPAN_CACHE_WRITE_TOKENS, u->cache_write + u->cache_write_1h);
    add_int(w, SPAN_OUTPUT_TOKENS, u->completion);
    if (u->reasoning > 0)
        add_int(w, SPAN_REASONING_TOKENS, u->reasoning);
}

static void add_server(struct writer *w, const struct provider_config *p)
{
    struct url u;
    if (p->base_url.len == 0 || url_parse(p->base_url, &u) != NULL)
        return;
    add_text(w, SPAN_SERVER_ADDRESS, u.host);
    add_int(w, SPAN_SERVER_PORT, u.port);
}

static void write_attempt(struct writer *w, unsigned n)
{
    const struct request *r = w->r;
    const struct attempt *t = r->tries[n];
    bool failed = t->err != OK && t->err != ERR_CLIENT_CLOSED;
    str operation = operation_of(r);
    begin_ids(w, t->span_id, r->trace->context.span_id, false);
    (void)buf_add(w->b, operation);
    (void)buf_add_char(w->b, ' ');
    (void)json_add_str_part(w->b, str_head(t->model, NAME_BYTES_MAX));
    begin_rest(w, r->is_local ? KIND_INTERNAL : KIND_CLIENT,
               (struct interval){t->started_ns, t->ended_ns});
    add_text(w, SPAN_OPERATION, operation);
    add_provider(w, t->upstream->config->name);
    add_text(w, SPAN_REQUEST_MODEL, t->model);
    if (r->chat.stream) {
        add_true(w, SPAN_REQUEST_STREAM);
        if (t->first_ns != 0)
            add_number(w, SPAN_FIRST_CHUNK, (double)(t->first_ns - t->started_ns) / 1e9);
    }
    add_server(w, t->upstream->config);
    if (t->status != 0 && !r->is_local)
        add_int(w, SPAN_STATUS_CODE, t->status);
    if (n > 0)
        add_int(w, SPAN_RESEND_COUNT, n);
    if (t->err == OK && r->chat.asked == ASKED_CHAT)
        add_list_of_one(w, SPAN_FINISH_REASONS, finish_text(r->finish));
    add_usage(w, t);
    add_cost(w, t->cost);
    if (failed)
        add_text(w, SPAN_ERROR_TYPE, str_of_c(err_info(t->err)->code));
    end_span(w, failed);
}

unsigned spans_write(const struct request *r, uint64_t now_ns, struct buf *out)
{
    struct writer w = {.r = r, .b = out};
    write_request(&w, now_ns);
    write_steps(&w, now_ns);
    for (unsigned i = 0; i < r->try_count; i++)
        write_attempt(&w, i);
    return w.spans;
}
