/* sim.c - from a request to a wire value. Read this first.
 *
 * sim_on_request finds the door (path -> dialect and task), checks the key, reads the body, builds
 * the plan (configuration, then the first rule that fits, then x-sim-* headers, then directives in
 * the user's text) and renders one of: bytes given raw, an error, or the dialect's answer. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct door {
    const char *method;
    const char *prefix; /* or NULL */
    const char *suffix;
    enum dialect_id dialect;
    enum task task;
};

/* The first row that fits counts. Any prefix is taken where it is left out, so that every base URL
 * of an OpenAI-compatible provider works. */
static const struct door doors[] = {
    {"POST", NULL, "/chat/completions", DIALECT_OPENAI, TASK_CHAT},
    {"POST", NULL, "/embeddings", DIALECT_OPENAI, TASK_EMBED},
    {"POST", NULL, "/messages", DIALECT_ANTHROPIC, TASK_CHAT},
    {"POST", NULL, "/messages/count_tokens", DIALECT_ANTHROPIC, TASK_COUNT},
    {"POST", NULL, ":generateContent", DIALECT_GEMINI, TASK_CHAT},
    {"POST", NULL, ":streamGenerateContent", DIALECT_GEMINI, TASK_CHAT},
    {"POST", NULL, ":countTokens", DIALECT_GEMINI, TASK_COUNT},
    {"POST", NULL, ":embedContent", DIALECT_GEMINI, TASK_EMBED},
    {"POST", NULL, ":batchEmbedContents", DIALECT_GEMINI, TASK_EMBED},
    {"POST", NULL, "/api/chat", DIALECT_OLLAMA, TASK_CHAT},
    {"POST", NULL, "/api/embed", DIALECT_OLLAMA, TASK_EMBED},
    {"POST", NULL, "/api/show", DIALECT_OLLAMA, TASK_SHOW},
    {"GET", NULL, "/api/tags", DIALECT_OLLAMA, TASK_MODELS},
    {"GET", NULL, "/api/version", DIALECT_OLLAMA, TASK_VERSION},
    {"GET", "/v1beta/models", "", DIALECT_GEMINI, TASK_MODELS},
    {"GET", NULL, "/models", DIALECT_OPENAI, TASK_MODELS},
};

static const char *const dialect_names[] = {"openai", "anthropic", "gemini", "ollama"};

static const struct door *door_find(const struct http_request *req)
{
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
        const struct door *d = &doors[i];
        size_t size = strlen(d->suffix);
        if (!slice_is(req->method, d->method) || req->path.size < size)
            continue;
        if (d->prefix && !slice_starts(req->path, d->prefix))
            continue;
        if (memcmp(req->path.at + req->path.size - size, d->suffix, size) == 0)
            return d;
    }
    return NULL;
}

static struct slice key_of(const struct http_request *req)
{
    static const char *const names[] = {"x-api-key", "x-goog-api-key", "api-key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slice key = http_header_find(req, names[i]);
        if (key.size)
            return key;
    }
    struct slice bearer = http_header_find(req, "authorization");
    if (bearer.size > 7 && slice_is_nocase((struct slice){bearer.at, 7}, "bearer "))
        return slice_trim((struct slice){bearer.at + 7, bearer.size - 7});
    return http_query_find(req->query, "key");
}

static bool key_is_good(const struct sim *s, struct slice key)
{
    size_t i, count;
    yyjson_val *item;
    if (!s->config.keys)
        return true;
    yyjson_arr_foreach(s->config.keys, i, count, item)
    {
        if (slice_same(key, (struct slice){yyjson_get_str(item), yyjson_get_len(item)}))
            return true;
    }
    return false;
}

/* Everything about one exchange while its answer is built. */
struct job {
    struct sim *sim;
    struct conn *conn;
    const struct http_request *req;
    struct seen *seen;
    struct ask ask;
    struct plan plan;
    struct bytes why;
    int64_t rule;
    int status;
};

static void job_send(struct job *j, struct frames *f, const char *type, struct slice headers)
{
    struct wire_head head = {j->status, type, headers, j->req->keep_alive,
                             random_ms(&j->sim->random, j->plan.ttft)};
    struct wire *w = wire_new(f, &head);
    if (w && w->size + j->sim->conns.held_bytes > CONN_HELD_BYTES_MAX) {
        wire_unref(w);
        w = NULL;
    }
    if (!w) { /* over the limit: say so instead */
        struct frames small;
        frames_init(&small, &j->plan, STYLE_PLAIN);
        frames_add(&small, NULL, slice_of("{\"error\":\"relay-sim: the answer is too big\"}"), 0);
        head.status = j->status = 500;
        w = wire_new(&small, &head);
        frames_deinit(&small);
    }
    if (j->seen)
        j->seen->status = j->status;
    if (j->status >= 400)
        j->sim->stats.errors++;
    conn_answer(j->conn, w, j->sim->number);
}

static void job_send_body(struct job *j, struct slice body, const char *type, struct slice headers,
                          size_t tokens)
{
    struct frames f;
    frames_init(&f, &j->plan, STYLE_PLAIN);
    frames_add(&f, NULL, body, tokens);
    frames_end(&f);
    job_send(j, &f, type, headers);
    frames_deinit(&f);
}

static void job_error(struct job *j, int status)
{
    const struct dialect *d = dialect_get(j->ask.dialect);
    struct bytes body, headers;
    bytes_init(&body, ANSWER_BYTES_MAX);
    bytes_init(&headers, HTTP_HEAD_BYTES_MAX);
    char id[32];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)j->sim->number);
    d->headers(&headers, &j->plan, status, id);
    if (j->plan.body.at)
        bytes_add_slice(&body, j->plan.body);
    else
        d->error(&body, &j->plan, status, false);
    j->status = status;
    job_send_body(j, bytes_slice(&body), "application/json", bytes_slice(&headers), 0);
    bytes_free(&body);
    bytes_free(&headers);
}

/* A mistake of the client, or in a setting: the dialect's error with our sentence. */
static void job_refuse(struct job *j, int status)
{
    struct plan clean;
    plan_init(&clean);
    clean.flavour = j->plan.flavour;
    clean.error_message = bytes_slice(&j->why);
    plan_deinit(&j->plan);
    j->plan = clean;
    job_error(j, status);
}

static bool job_is_over_limit(struct job *j)
{
    const struct plan *p = &j->plan;
    if (p->limit_requests == 0)
        return false;
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < j->ask.key.size; i++)
        hash = (hash ^ (unsigned char)j->ask.key.at[i]) * 1099511628211u;
    struct limit_slot *slot = &j->sim->limits[hash % LIMIT_SLOTS];
    double now = wall_ms();
    double age = now - slot->since_ms;
    if (slot->key != hash || age >= (double)p->limit_window_ms || age < 0)
        *slot = (struct limit_slot){hash, now, 0};
    if (slot->count < p->limit_requests) {
        slot->count++;
        return false;
    }
    double left = slot->since_ms + (double)p->limit_window_ms - now;
    bytes_clear(&j->why);
    bytes_add_format(&j->why, "%d", (int)(left / 1000) + 1);
    if (j->plan.retry_after.size == 0)
        j->plan.retry_after = bytes_slice(&j->why);
    return true;
}

static bool is_wanted_400(enum task task)
{
    return task == TASK_CHAT || task == TASK_EMBED || task == TASK_COUNT || task == TASK_SHOW;
}

/* Reads the request and gathers the settings. 0, or the status of a refusal. */
static int job_prepare(struct job *j, const struct door *door)
{
    struct sim *s = j->sim;
    struct ask *a = &j->ask;
    a->key = key_of(j->req);
    bool readable = !is_wanted_400(door->task) || ask_read(a, j->req, &j->why);
    if (door->dialect == DIALECT_GEMINI && door->task != TASK_MODELS) {
        struct slice model = j->req->path;
        const char *at = memmem(model.at, model.size, "/models/", 8);
        model.size -= at ? (size_t)(at - model.at) + 8 : 0;
        model.at = at ? at + 8 : model.at;
        a->model = slice_cut(&model, ':');
        a->stream = slice_is(model, "streamGenerateContent");
    }
    if (!readable)
        return 400;
    if (!script_apply(s, a, j->req->path, &j->plan, &j->rule, &j->why))
        return 400;
    for (size_t i = 0; i < j->req->header_count; i++) {
        struct slice name = j->req->headers[i].name;
        char field[64];
        if (name.size < 7 || name.size - 6 >= sizeof field ||
            !slice_is_nocase((struct slice){name.at, 6}, "x-sim-"))
            continue;
        for (size_t k = 6; k < name.size; k++)
            field[k - 6] =
                name.at[k] == '-' ? '_' : (char)(name.at[k] | 0x20 * (name.at[k] != '_'));
        struct slice setting = {field, name.size - 6};
        if (!plan_set(&j->plan, setting, j->req->headers[i].value, &j->why))
            return 400;
    }
    if (!plan_set_directives(&j->plan, bytes_slice(&a->text), &j->why))
        return 400;
    if (!key_is_good(s, a->key)) {
        j->plan.error = FAILURE_AUTH;
        j->plan.status = 0;
    }
    return 0;
}

static int failure_status(enum failure failure)
{
    static const int statuses[] = {0, 400, 400, 401, 402, 403, 404, 429, 429, 500, 503, 529, 504};
    return statuses[failure];
}

static void job_raw(struct job *j)
{
    struct bytes raw;
    bytes_init(&raw, FRAMES_BYTES_MAX);
    if (!bytes_add_base64_decoded(&raw, j->plan.raw)) {
        (void)ask_fail(&j->why, "relay-sim: raw is no base64");
        job_refuse(j, 400);
    } else {
        double ttft = random_ms(&j->sim->random, j->plan.ttft);
        struct wire *w = wire_new_raw(&j->plan, bytes_slice(&raw), ttft);
        conn_answer(j->conn, w, j->sim->number);
    }
    bytes_free(&raw);
}

static void job_render(struct job *j, const struct answer *r, struct bytes *headers)
{
    const struct dialect *d = dialect_get(j->ask.dialect);
    const struct plan *p = &j->plan;
    d->headers(headers, p, j->status, r->id);
    struct frames f;
    bool array = j->ask.dialect == DIALECT_GEMINI && !j->ask.sse;
    frames_init(&f, p, j->ask.stream ? (array ? STYLE_ARRAY : d->stream_style) : STYLE_PLAIN);
    f.eol = d->eol;
    if (p->bench) {
        frames_deinit(&f);
        frames_init(&f, p, j->ask.stream ? STYLE_SSE : STYLE_PLAIN);
        bench_frames(&f, j->ask.stream);
    } else if (j->ask.stream) {
        f.error = d->error;
        f.error_name = j->ask.dialect == DIALECT_ANTHROPIC ? "error" : NULL;
        d->stream(&f, &j->ask, p, r);
        frames_end(&f);
    } else {
        struct bytes body;
        bytes_init(&body, FRAMES_BYTES_MAX);
        d->plain(&body, &j->ask, p, r);
        frames_add(&f, NULL, bytes_slice(&body), (size_t)r->counts.completion);
        f.body.full |= body.full;
        bytes_free(&body);
    }
    bool typed = j->ask.stream && !array;
    job_send(j, &f, typed ? d->stream_type : "application/json", bytes_slice(headers));
    frames_deinit(&f);
}

static void job_chat(struct job *j)
{
    struct sim *s = j->sim;
    s->stats.chats++;
    s->stats.streams += j->ask.stream;
    struct answer r;
    struct bytes headers;
    bytes_init(&headers, HTTP_HEAD_BYTES_MAX);
    answer_make(&r, &j->ask, &j->plan, s->number);
    job_render(j, &r, &headers);
    answer_deinit(&r);
    bytes_free(&headers);
}

static void job_given_body(struct job *j)
{
    struct bytes body;
    bytes_init(&body, FRAMES_BYTES_MAX);
    if (j->plan.body.at)
        bytes_add_slice(&body, j->plan.body);
    else if (!bytes_add_base64_decoded(&body, j->plan.body_base64))
        bytes_clear(&body);
    const char *type =
        j->ask.stream ? dialect_get(j->ask.dialect)->stream_type : "application/json";
    job_send_body(j, bytes_slice(&body), type, (struct slice){NULL, 0}, 0);
    bytes_free(&body);
}

static void job_extra(struct job *j)
{
    struct bytes body;
    bytes_init(&body, FRAMES_BYTES_MAX);
    extras_write(&body, &j->ask, &j->plan, j->sim->config.models);
    job_send_body(j, bytes_slice(&body), "application/json", (struct slice){NULL, 0}, 0);
    bytes_free(&body);
}

static void job_note(struct job *j)
{
    if (!j->seen)
        return;
    j->seen->dialect = dialect_names[j->ask.dialect];
    j->seen->stream = j->ask.stream;
    j->seen->rule = j->rule;
    size_t size = j->ask.model.size;
    if (size >= sizeof j->seen->model)
        size = sizeof j->seen->model - 1;
    if (size)
        memcpy(j->seen->model, j->ask.model.at, size);
}

static void job_run(struct job *j, const struct door *door)
{
    struct plan *p = &j->plan;
    int refused = job_prepare(j, door);
    job_note(j);
    if (refused) {
        job_refuse(j, refused);
        return;
    }
    if (p->error == FAILURE_NONE && job_is_over_limit(j))
        p->error = FAILURE_RATE;
    bool in_stream = p->error_event && j->ask.stream;
    int status = p->status ? (int)p->status : failure_status((enum failure)p->error);
    bool fails = status >= 400 && !in_stream;
    j->status = status && !in_stream ? status : 200;
    if (p->raw.size)
        job_raw(j);
    else if (fails && !p->body_base64.size)
        job_error(j, status);
    else if (p->body.at || p->body_base64.at)
        job_given_body(j);
    else if (door->task == TASK_CHAT)
        job_chat(j);
    else
        job_extra(j);
}

/* The fixed answers, with as little work as can be. */
static bool answer_cached(struct sim *s, struct conn *c, const struct http_request *req)
{
    static const char asks[] = "\"stream\"";
    if (!s->config.cached || !req->keep_alive || !slice_is(req->method, "POST") ||
        req->path.size < 5 || memcmp(req->path.at + req->path.size - 5, "tions", 5) != 0)
        return false;
    struct slice body = req->body;
    const char *at = body.size ? memmem(body.at, body.size, asks, sizeof asks - 1) : NULL;
    bool stream = false;
    if (at) {
        struct slice rest = {at + sizeof asks - 1, 0};
        rest.size = (size_t)(body.at + body.size - rest.at);
        (void)slice_cut(&rest, ':');
        stream = slice_starts(slice_trim(rest), "true");
    }
    s->stats.chats++;
    s->stats.streams += stream;
    conn_answer(c, wire_ref(stream ? s->config.cached_stream : s->config.cached_plain), s->number);
    return true;
}

static bool answer_control(struct job *j)
{
    if (!slice_starts(j->req->path, "/__sim/"))
        return false;
    struct bytes body;
    bytes_init(&body, CONTROL_BYTES_MAX);
    struct plan clean;
    plan_init(&clean);
    j->plan = clean;
    j->status = control_answer(j->sim, j->req, &body);
    struct wire_head head = {j->status, "application/json", {NULL, 0}, j->req->keep_alive, 0};
    struct frames f;
    frames_init(&f, &j->plan, STYLE_PLAIN);
    frames_add(&f, NULL, body.full ? slice_of("{\"error\":\"too much\"}") : bytes_slice(&body), 0);
    conn_answer(j->conn, wire_new(&f, &head), 0);
    frames_deinit(&f);
    bytes_free(&body);
    return true;
}

void sim_on_request(struct sim *s, struct conn *c, const struct http_request *req, const char *bad)
{
    struct http_request copy;
    struct job j = {.sim = s, .conn = c, .req = req, .plan = s->config.plan, .rule = PLAN_UNSET};
    j.plan.doc_count = 0; /* the documents stay the configuration's */
    if (bad) {
        s->stats.bad++;
        copy = *req;
        copy.keep_alive = false;
        j.req = &copy;
    } else if (slice_starts(req->path, "/__sim/")) {
        (void)answer_control(&j);
        return;
    } else {
        s->number++;
        s->stats.requests++;
        if (answer_cached(s, c, req))
            return;
        j.seen = seen_add(s, req, conn_id(c));
    }
    const struct door *door = bad ? NULL : door_find(req);
    bytes_init(&j.why, 4096);
    ask_init(&j.ask, door ? door->dialect : DIALECT_OPENAI, door ? door->task : TASK_CHAT);
    if (door && door->task == TASK_MODELS && http_header_find(req, "anthropic-version").size)
        j.ask.dialect = DIALECT_ANTHROPIC;
    if (door) {
        job_run(&j, door);
    } else {
        (void)ask_fail(&j.why, bad ? bad : "relay-sim: there is no such path and method");
        job_refuse(&j, bad ? 400 : 404);
    }
    plan_deinit(&j.plan);
    ask_deinit(&j.ask);
    bytes_free(&j.why);
}

void sim_on_end(struct sim *s, uint64_t tag, enum outcome outcome, size_t sent)
{
    s->stats.by_outcome[outcome]++;
    s->stats.bytes_sent += sent;
    struct seen *e = seen_find(s, tag);
    if (!e)
        return;
    e->outcome = outcome;
    e->sent = sent;
    e->ended_ms = wall_ms();
}

void sim_init(struct sim *s)
{
    memset(s, 0, sizeof *s);
    s->seen = mem_new(SEEN_MAX * sizeof *s->seen);
    s->conns.sim = s;
    s->conns.on_request = sim_on_request;
    s->conns.on_end = sim_on_end;
    s->conns.read_buffer = mem_new(CONN_READ_BYTES);
    s->conns.tls_buffer = mem_new(CONN_READ_BYTES);
    bytes_init(&s->start, CONTROL_BYTES_MAX);
}

void sim_deinit(struct sim *s)
{
    config_deinit(&s->config);
    seen_clear(s);
    free(s->seen);
    free(s->conns.read_buffer);
    free(s->conns.tls_buffer);
    SSL_CTX_free(s->conns.tls);
    bytes_free(&s->start);
}
