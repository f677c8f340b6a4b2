/* Every door with every provider's dialect, plain and streamed: tests/matrix/ask-<door>.json has
 * what a client asks in each situation, answer-<provider>.json what the provider answers to it,
 * both ways. What the provider is sent, what the client gets and what Relay understood stand in
 * tests/matrix/<door>+<provider>.txt and must be what comes out; with RELAY_GOLDEN_UPDATE set they
 * are written instead, to be read before they are committed.
 *
 * Besides, in every cell: the stream cut in two at every byte gives the client the same; ended at
 * any byte it never looks whole to the client; and the plain and the streamed answer are understood
 * alike. */
#include "harness.h"

#define FILE_BYTES_MAX (4u << 20)
#define COST           INT64_C(1500000)

static const struct dialect *const doors[] = {&dialect_openai, &dialect_anthropic,
                                              &dialect_responses};
static const char *const providers[] = {"openai", "anthropic", "gemini", "ollama"};
static const char *const situations[] = {"text",   "tool",    "parallel",  "results",
                                         "image",  "schema",  "reasoning", "stop",
                                         "length", "refusal", "usage",     "error"};

#define DOORS      (sizeof doors / sizeof *doors)
#define PROVIDERS  (sizeof providers / sizeof *providers)
#define SITUATIONS (sizeof situations / sizeof *situations)

struct cell {
    struct arena a; /* of the answers */
    const struct dialect *door, *from;
    struct target target;
    char name[64]; /* for people */
    yyjson_val *ask, *answer;
    bool fails; /* the provider does, in the stream */
    struct buf *out;
};

static yyjson_val *file_json(struct arena *a, const char *kind, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/matrix/%s-%s.json", kind, name);
    char *bytes = arena_alloc(a, FILE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    size_t len = file != NULL ? fread(bytes, 1, FILE_BYTES_MAX, file) : 0;
    if (file != NULL)
        fclose(file);
    yyjson_val *root = json_parse(a, str_of(bytes, len), NULL);
    check_that(root != NULL, path, 0, "can be read");
    return root;
}

static str text_of(struct arena *a, yyjson_val *v)
{
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    json_add_val(&b, v);
    str text = arena_copy(a, buf_str(&b));
    buf_deinit(&b);
    return text;
}

/* The events as they are framed on the wire. */
static str stream_of(struct cell *c)
{
    struct buf b;
    size_t i, n;
    yyjson_val *v;
    yyjson_val *events = json_get(c->answer, "stream");
    bool gemini = c->from == &dialect_gemini, lines = c->from == &dialect_ollama;
    buf_init(&b, FILE_BYTES_MAX);
    yyjson_arr_foreach(events, i, n, v)
    {
        if (c->from == &dialect_anthropic)
            buf_printf(&b, "event: " STR_FMT "\n", STR_ARG(json_str(json_get(v, "type"))));
        buf_add(&b, lines ? s("") : s("data: "));
        json_add_val(&b, v);
        buf_add(&b, lines ? s("\n") : gemini ? s("\r\n\r\n") : s("\n\n"));
    }
    if (c->from == &dialect_openai && !c->fails)
        buf_add(&b, s("data: [DONE]\n\n"));
    str text = arena_copy(&c->a, buf_str(&b));
    buf_deinit(&b);
    return text;
}

/* ---- asking ---- */

static void ask(struct cell *c, struct harness *h, bool stream)
{
    str body = text_of(&c->a, c->ask);
    harness_init(h);
    h->door = c->door;
    if (stream)
        body = arena_printf(&c->a, STR_FMT ",\"stream\":true}",
                            STR_ARG(str_sub(body, 0, body.len - 1)));
    harness_ask(h, body);
    check_that(h->err == OK, c->name, 0, "the request is read");
}

static void sent_write(struct cell *c, bool stream)
{
    struct harness h;
    struct outgoing sent = {0};
    ask(c, &h, stream);
    enum err err =
        provider_request_out(c->from, &h.a, &h.chat, &c->target, &sent, &h.why, &h.param);
    check_that(err == OK, c->name, 0, "the request is written");
    buf_printf(c->out, "%s " STR_FMT "\n" STR_FMT "\n",
               stream ? "sent, for a stream, to" : "sent to", STR_ARG(sent.path),
               STR_ARG(sent.body));
    harness_deinit(&h);
}

/* ---- what was understood ---- */

static void facts_write(struct cell *c, const struct answer *answer)
{
    const struct usage *u = &answer->usage;
    const char *finish = finish_text(answer->finish);
    buf_printf(c->out, "understood: finish %s, prompt %lld (cached %lld, written %lld + %lld),",
               finish != NULL ? finish : "none", (long long)u->prompt, (long long)u->cached,
               (long long)u->cache_write, (long long)u->cache_write_1h);
    buf_printf(c->out, " completion %lld (reasoning %lld)%s\n", (long long)u->completion,
               (long long)u->reasoning, u->known ? "" : ", not told");
    buf_printf(c->out, "text \"" STR_FMT "\" reasoning \"" STR_FMT "\" refusal \"" STR_FMT "\"\n",
               STR_ARG(answer->text), STR_ARG(answer->reasoning), STR_ARG(answer->refusal));
    for (unsigned i = 0; i < answer->tool_call_count; i++)
        buf_printf(c->out, "call " STR_FMT " " STR_FMT " " STR_FMT "\n",
                   STR_ARG(answer->tool_calls[i].id), STR_ARG(answer->tool_calls[i].name),
                   STR_ARG(answer->tool_calls[i].arguments));
}

static bool is_same_usage(const struct usage *a, const struct usage *b)
{
    return a->known == b->known && a->prompt == b->prompt && a->cached == b->cached &&
           a->cache_write == b->cache_write && a->cache_write_1h == b->cache_write_1h &&
           a->completion == b->completion && a->reasoning == b->reasoning &&
           a->audio_prompt == b->audio_prompt && a->audio_completion == b->audio_completion &&
           a->stated_cost == b->stated_cost;
}

static void agree(struct cell *c, const struct answer *plain, const struct answer *streamed)
{
    CHECK_INT(streamed->finish, plain->finish);
    check_that(str_eq(plain->text, streamed->text), c->name, 0, "the texts are the same");
    check_that(str_eq(plain->reasoning, streamed->reasoning), c->name, 0, "the reasoning is");
    check_that(str_eq(plain->refusal, streamed->refusal), c->name, 0, "the refusals are");
    check_that(is_same_usage(&plain->usage, &streamed->usage), c->name, 0, "the usage is");
    check_that(plain->thought_count == streamed->thought_count, c->name, 0, "the thoughts are");
    for (unsigned i = 0; i < plain->thought_count && i < streamed->thought_count; i++)
        check_that(str_eq(plain->thoughts[i].signature, streamed->thoughts[i].signature) &&
                       str_eq(plain->thoughts[i].data, streamed->thoughts[i].data),
                   c->name, (int)i, "the signatures are");
    if (!CHECK_INT(streamed->tool_call_count, plain->tool_call_count))
        return;
    for (unsigned i = 0; i < plain->tool_call_count; i++) {
        const struct chat_tool_call *a = &plain->tool_calls[i], *b = &streamed->tool_calls[i];
        yyjson_val *left = json_parse(&c->a, a->arguments, NULL);
        yyjson_val *right = json_parse(&c->a, b->arguments, NULL);
        check_that(str_eq(a->id, b->id) && str_eq(a->name, b->name), c->name, (int)i,
                   "the calls are");
        check_that(left != NULL && right != NULL && yyjson_equals(left, right), c->name, (int)i,
                   "the arguments are");
    }
}

/* ---- plain ---- */

static pusd cost_of(const struct usage *u)
{
    return u->known ? COST : PUSD_UNKNOWN;
}

static void plain_write(struct cell *c, struct harness *h, struct answer *answer)
{
    str body = text_of(&c->a, json_get(c->answer, "plain"));
    struct answer_head head = {.created_s = 7, .model = c->target.model, .chat = &h->chat};
    head.id = arena_printf(&h->a, "%sx", c->door->id_prefix);
    enum err err = c->from->answer_in(&h->a, &c->target, body, answer, &h->why);
    if (!check_that(err == OK, c->name, 0, "the answer is read"))
        return;
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    CHECK(c->door->answer_out(answer, &head, c->from == c->door ? body : (str){0},
                              cost_of(&answer->usage), &b));
    CHECK(json_parse(&h->a, buf_str(&b), NULL) != NULL);
    buf_printf(c->out, "client\n" STR_FMT "\n", STR_ARG(buf_str(&b)));
    buf_deinit(&b);
    facts_write(c, answer);
}

/* The provider's refusal, and how the client is told of one that is passed on. */
static void refusal_write(struct cell *c, struct harness *h)
{
    int status = (int)yyjson_get_int(yyjson_obj_get(c->answer, "status"));
    str body = text_of(&c->a, json_get(c->answer, "plain"));
    struct provider_error e = {.retry_after_ms = -1};
    provider_error_in(c->from, &h->a, &h->chat, &c->target, status, body, &e);
    struct client_error told = {.err = ERR_UPSTREAM_REJECTED,
                                .message = error_text_clean(&h->a, e.message),
                                .status = status,
                                .relay_id = s("id"),
                                .step = s("call"),
                                .provider = s("p")};
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    CHECK(c->door->error_out(&told, &b));
    CHECK(json_parse(&h->a, buf_str(&b), NULL) != NULL);
    buf_printf(c->out, "refused: kind %d, wait %lld ms\nclient\n" STR_FMT "\n", (int)e.kind,
               (long long)e.retry_after_ms, STR_ARG(buf_str(&b)));
    buf_deinit(&b);
}

/* ---- streamed ---- */

static bool looks_whole(str text)
{
    static const char *const ends[] = {"data: [DONE]", "\"type\":\"message_stop\"",
                                       "\"type\":\"response.completed\"",
                                       "\"type\":\"response.incomplete\""};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (str_find(text, s(ends[i]), 0) != SIZE_MAX)
            return true;
    return false;
}

static void run(struct cell *c, struct run *r, struct harness *h, str stream, size_t cut, pusd cost)
{
    arena_reset(&h->a); /* the chat is not in it */
    run_stream(r, h, c->from, &c->target, stream, cut, cost);
    if (r->ended && !r->failed)
        return;
    struct client_error e = {
        .err = ERR_UPSTREAM_TRUNCATED, .relay_id = s("id"), .step = s("stream")};
    c->door->stream_error(r->out, &e, &r->text);
}

/* The streamed answer, cut and ended anywhere. `whole` is what the client gets of all of it. */
static void torture(struct cell *c, struct harness *h, str stream, str whole, pusd cost)
{
    for (size_t cut = 0; cut < stream.len; cut++) {
        struct run r;
        run(c, &r, h, stream, cut, cost);
        bool same = str_eq(buf_str(&r.text), whole);
        run_deinit(&r);
        run(c, &r, h, str_sub(stream, 0, cut), cut, cost);
        bool ended = r.ended && !r.failed;
        bool good = ended ? str_eq(buf_str(&r.text), whole) : !looks_whole(buf_str(&r.text));
        run_deinit(&r);
        if (!check_that(same, c->name, (int)cut, "cut at this byte, the client gets the same") ||
            !check_that(good, c->name, (int)cut, "ended at this byte, it does not look whole"))
            return;
    }
}

static void stream_write(struct cell *c, const struct answer *plain)
{
    struct harness asked, h;
    struct run r;
    struct answer streamed;
    str stream = stream_of(c);
    ask(c, &asked, true);
    harness_init(&h);
    h.door = c->door;
    h.chat = asked.chat;
    pusd cost = c->fails ? PUSD_UNKNOWN : cost_of(&plain->usage);
    run(c, &r, &h, stream, 0, cost);
    CHECK_INT(r.err, OK);
    check_that(c->fails ? r.failed : r.ended && !r.failed, c->name, 0, "the stream's end is seen");
    check_that(looks_whole(buf_str(&r.text)) == !c->fails, c->name, 0, "and told");
    buf_printf(c->out, "client, streamed\n" STR_FMT, STR_ARG(buf_str(&r.text)));
    if (!c->fails &&
        check_that(gather_answer(r.gather, &c->a, &streamed), c->name, 0, "gathered")) {
        streamed.usage = r.usage;
        streamed.finish = r.finish;
        agree(c, plain, &streamed);
    }
    str whole = arena_copy(&c->a, buf_str(&r.text));
    run_deinit(&r);
    torture(c, &h, stream, whole, cost);
    harness_deinit(&h);
    harness_deinit(&asked);
}

/* ---- all ---- */

static void cell_write(struct cell *c, const char *situation)
{
    struct harness h;
    struct answer answer = {0};
    c->fails = json_get(c->answer, "status") != NULL;
    if (!check_that(c->ask != NULL && c->answer != NULL, c->name, 0,
                    "has a question and an answer"))
        return;
    buf_printf(c->out, "==== %s ====\n", situation);
    sent_write(c, false);
    sent_write(c, true);
    ask(c, &h, false);
    if (c->fails)
        refusal_write(c, &h);
    else
        plain_write(c, &h, &answer);
    stream_write(c, &answer);
    buf_add_char(c->out, '\n');
    harness_deinit(&h);
}

static void pair_check(const char *door, const char *provider, str got)
{
    char path[128];
    struct arena a;
    arena_init(&a, 0);
    snprintf(path, sizeof path, "tests/matrix/%s+%s.txt", door, provider);
    bool update = getenv("RELAY_GOLDEN_UPDATE") != NULL;
    FILE *file = fopen(path, update ? "wb" : "rb");
    if (check_that(file != NULL, path, 0, "can be opened") && update) {
        fwrite(got.p, 1, got.len, file);
    } else if (file != NULL) {
        char *bytes = arena_alloc(&a, FILE_BYTES_MAX);
        str want = str_of(bytes, fread(bytes, 1, FILE_BYTES_MAX, file));
        size_t at = 0, line = 1;
        for (; at < want.len && at < got.len && want.p[at] == got.p[at]; at++)
            line += want.p[at] == '\n';
        check_that(str_eq(got, want), path, (int)line, "the file is what comes out");
    }
    if (file != NULL)
        fclose(file);
    arena_deinit(&a);
}

static void pair(const struct dialect *door, const char *provider)
{
    struct arena a;
    struct buf out;
    arena_init(&a, 0);
    buf_init(&out, FILE_BYTES_MAX);
    yyjson_val *asks = file_json(&a, "ask", door->name);
    yyjson_val *answers = file_json(&a, "answer", provider);
    CHECK_INT(yyjson_obj_size(asks), SITUATIONS);
    CHECK_INT(yyjson_obj_size(answers), SITUATIONS);
    for (size_t i = 0; i < SITUATIONS; i++) {
        struct cell c = {.door = door,
                         .from = dialect_find(s(provider)),
                         .target = harness_target(provider, provider, "up"),
                         .ask = json_get(asks, situations[i]),
                         .answer = json_get(answers, situations[i]),
                         .out = &out};
        snprintf(c.name, sizeof c.name, "%s+%s %s", door->name, provider, situations[i]);
        arena_init(&c.a, 0);
        cell_write(&c, situations[i]);
        arena_deinit(&c.a);
    }
    pair_check(door->name, provider, buf_str(&out));
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(matrix)
{
    for (size_t d = 0; d < DOORS; d++)
        for (size_t p = 0; p < PROVIDERS; p++)
            pair(doors[d], providers[p]);
}

CHECK_MAIN
