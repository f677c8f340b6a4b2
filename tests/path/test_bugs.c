/* Two bugs that other gateways had, of the thirty whose tests are called bug_<number>: those that
 * only a whole request can have. The others are in tests/unit/dialects. */
#include "check.h"
#include "scenario.h"

#define MESSAGES(model)                                                                            \
    "{\"model\":\"" model "\",\"max_tokens\":99,\"stream\":true,\"messages\":[{\"role\":\"user\"," \
    "\"content\":\"hi\"}]}"
#define RESPONSES(model) "{\"model\":\"" model "\",\"stream\":true,\"input\":\"hi\"}"

#define ANTHROPIC_BEGIN                                                                            \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\","          \
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{"       \
    "\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":"   \
    "\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define ANTHROPIC_TEXT(text)                                                                       \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"  \
    "\"type\":\"text_delta\",\"text\":\"" text "\"}}\n\n"
#define GEMINI_TEXT(text)                                                                          \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text "\"}]}}]}\r\n\r\n"
#define OLLAMA_TEXT(text)                                                                          \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"" text                     \
    "\"},\"done\":false}\n"

#define LONG "forty bytes of an answer, more or less.."

static const struct {
    const char *line, *body;
} doors[] = {
    {NULL, ASK_STREAM("one/small")},
    {"POST /v1/messages", MESSAGES("one/small")},
    {"POST /v1/responses", RESPONSES("one/small")},
};

static const struct {
    const char *from, *body, *script;
    int64_t prompt, completion;
} providers[] = {
    {"one", ASK_STREAM("one/small"), CHUNK(LONG) STALL, 5, 10},
    {"ant", ASK_STREAM("ant/claude"), ANTHROPIC_BEGIN ANTHROPIC_TEXT(LONG) STALL, 10, 11},
    {"gem", ASK_STREAM("gem/gemini-3-pro"), GEMINI_TEXT(LONG) STALL, 5, 10},
    {"lama", ASK_STREAM("lama/native"), OLLAMA_TEXT(LONG) STALL, 5, 10},
};

#define DOORS     (sizeof doors / sizeof *doors)
#define PROVIDERS (sizeof providers / sizeof *providers)

/* A client that has got what a provider gives and leaves. */
static void left(struct world *w, const char *line, const char *body, const char *from,
                 const char *script)
{
    const struct reply replies[] = {REFUSES(from, 200, script), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    world_open(w, NULL);
    world_replies(w, replies);
    struct visit *v = world_visit(w, line, "alice", NULL, body);
    world_run_ms(w, 100);
    CHECK(!v->ended);
    CHECK(text_has(buf_str(&v->body), "forty bytes", from, "what the client has got"));
    CHECK_INT(w->calls_open, 1);
    visit_leave(v);
    world_run_ms(w, 1000);
}

TEST(bug_26_who_leaves_early_has_used_what_was_seen)
{
    for (size_t i = 0; i < DOORS; i++) {
        struct world w;
        left(&w, doors[i].line, doors[i].body, "one", CHUNK(LONG) STALL);
        CHECK_INT(w.row_count, 1);
        CHECK_INT(w.rows[0].status, 499);
        CHECK_INT(w.rows[0].usage_source, USAGE_ESTIMATED);
        CHECK_INT(w.rows[0].completion_tokens, 10);
        CHECK(w.rows[0].cost > 0);
        CHECK_INT(w.rows[0].cost_source, COST_ESTIMATED);
        CHECK(world_balances(&w, "left", "alice"));
        world_close(&w);
    }
    for (size_t i = 0; i < PROVIDERS; i++) {
        struct world w;
        left(&w, NULL, providers[i].body, providers[i].from, providers[i].script);
        CHECK_INT(w.rows[0].usage_source, USAGE_ESTIMATED);
        CHECK_INT(w.rows[0].prompt_tokens, providers[i].prompt);
        CHECK_INT(w.rows[0].completion_tokens, providers[i].completion);
        world_close(&w);
    }
}

TEST(bug_27_a_client_that_leaves_stops_its_provider)
{
    for (size_t i = 0; i < DOORS + PROVIDERS; i++) {
        struct world w;
        bool door = i < DOORS;
        left(&w, door ? doors[i].line : NULL, door ? doors[i].body : providers[i - DOORS].body,
             door ? "one" : providers[i - DOORS].from,
             door ? CHUNK(LONG) STALL : providers[i - DOORS].script);
        CHECK_INT(w.calls_open, 0);
        CHECK_INT(w.calls_cancelled, 1);
        world_close(&w);
    }
    /* Nor does a plain answer go on that nobody waits for, before its head or within it. */
    static const char *const scripts[] = {STALL, "{\"id\":" STALL};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const struct reply replies[] = {REFUSES("one", 200, scripts[i]),
                                        {NULL, CALL_OK, 0, NULL, NULL, 0}};
        struct world w;
        world_open(&w, NULL);
        world_replies(&w, replies);
        struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
        world_run_ms(&w, 100);
        CHECK_INT(w.calls_open, 1);
        visit_leave(v);
        world_run_ms(&w, 1000);
        CHECK_INT(w.calls_open, 0);
        CHECK_INT(w.calls_cancelled, 1);
        CHECK_INT(w.rows[0].status, 499);
        world_close(&w);
    }
}

CHECK_MAIN
