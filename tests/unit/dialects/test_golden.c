/* Exchanges with providers as files: tests/golden/<provider>/<case>/, and for doors besides
 * OpenAI's tests/golden/<door>+<provider>/<case>/. Providers without a dialect of their name speak
 * OpenAI's.
 *
 *   request.json            what the client asks
 *   sent.json               what the provider is sent, byte for byte
 *   answer.{json,sse,ndjson} what the provider answers
 *   client.{json,sse}       what the client is given, byte for byte
 *   facts.txt               finish, usage and text as Relay understood them
 *
 * Streams are cut at every byte, and are read with every kind of line end besides. The folder is
 * RELAY_GOLDEN_DIR or tests/golden; with RELAY_GOLDEN_UPDATE set, sent, client and facts are
 * written instead of compared, to be read before they are committed. */
#include <dirent.h>
#include <sys/stat.h>

#include "harness.h"

#define FILE_BYTES_MAX (1u << 20)
#define COST           INT64_C(1500000)

struct golden {
    const char *provider; /* the folder's name */
    char dir[512];
    struct harness h;
    const struct dialect *dialect;
    struct target target;
};

static bool file_read(struct golden *g, const char *name, str *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", g->dir, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    char *bytes = arena_alloc(&g->h.a, FILE_BYTES_MAX);
    *out = str_of(bytes, fread(bytes, 1, FILE_BYTES_MAX, file));
    fclose(file);
    return true;
}

static void file_check(struct golden *g, const char *name, str got)
{
    char path[1024];
    str want = {0};
    snprintf(path, sizeof path, "%s/%s", g->dir, name);
    if (getenv("RELAY_GOLDEN_UPDATE") != NULL) {
        FILE *file = fopen(path, "wb");
        REQUIRE(file != NULL);
        fwrite(got.p, 1, got.len, file);
        fclose(file);
        return;
    }
    bool read = file_read(g, name, &want);
    check_that(read, path, 0, "the file can be read");
    check_bytes(got.p, got.len, want.p, want.len, path, 0, "what came out");
}

static void facts_check(struct golden *g, enum finish finish, const struct usage *u,
                        const struct answer *answer)
{
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    buf_printf(&b, "finish %s\nusage %s\n",
               finish_text(finish) != NULL ? finish_text(finish) : "none",
               u->known ? "known" : "unknown");
    buf_printf(&b, "prompt %lld cached %lld written %lld audio %lld\n", (long long)u->prompt,
               (long long)u->cached, (long long)u->cache_write, (long long)u->audio_prompt);
    buf_printf(&b, "completion %lld reasoning %lld audio %lld\nstated cost ",
               (long long)u->completion, (long long)u->reasoning, (long long)u->audio_completion);
    pusd_print(&b, u->stated_cost);
    buf_add_char(&b, '\n');
    if (answer != NULL) {
        buf_printf(&b, "text \"" STR_FMT "\"\nreasoning \"" STR_FMT "\"\n", STR_ARG(answer->text),
                   STR_ARG(answer->reasoning));
        for (unsigned i = 0; i < answer->tool_call_count; i++)
            buf_printf(&b, "call " STR_FMT " " STR_FMT " " STR_FMT "\n",
                       STR_ARG(answer->tool_calls[i].id), STR_ARG(answer->tool_calls[i].name),
                       STR_ARG(answer->tool_calls[i].arguments));
    }
    file_check(g, "facts.txt", buf_str(&b));
    buf_deinit(&b);
}

static pusd cost_of(const struct usage *u)
{
    if (!u->known)
        return PUSD_UNKNOWN;
    return pusd_known(u->stated_cost) ? u->stated_cost : COST;
}

static void check_plain(struct golden *g, str body)
{
    struct answer answer;
    struct answer_head head = {.created_s = 7, .model = g->target.model, .chat = &g->h.chat};
    head.id = arena_printf(&g->h.a, "%sx", g->h.door->id_prefix);
    str why = {0};
    enum err err = g->dialect->answer_in(&g->h.a, &g->target, body, &answer, &why);
    if (!CHECK_INT(err, OK))
        return;
    struct buf out;
    buf_init(&out, FILE_BYTES_MAX);
    bool native = g->dialect == g->h.door;
    CHECK(g->h.door->answer_out(&answer, &head, native ? body : (str){0}, cost_of(&answer.usage),
                                &out));
    file_check(g, "client.json", buf_str(&out));
    CHECK(json_parse(&g->h.a, buf_str(&out), NULL) != NULL);
    facts_check(g, answer.finish, &answer.usage, &answer);
    buf_deinit(&out);
}

/* The stream as it is, or with other line ends and no blank behind `data:`. */
static str variant(struct golden *g, str stream, const char *end, bool tight)
{
    struct buf b;
    buf_init(&b, 4 * FILE_BYTES_MAX);
    for (size_t i = 0; i < stream.len; i++) {
        if (stream.p[i] == '\n')
            buf_add(&b, s(end));
        else if (!tight || stream.p[i] != ' ' || i < 5 ||
                 !str_ends(str_sub(stream, 0, i), s("data:")))
            buf_add_char(&b, stream.p[i]);
    }
    str out = arena_copy(&g->h.a, buf_str(&b));
    buf_deinit(&b);
    return out;
}

static pusd stream_cost(struct golden *g, str stream)
{
    struct run r;
    run_stream(&r, &g->h, g->dialect, &g->target, stream, 0, 0);
    pusd cost = cost_of(&r.usage);
    struct answer answer;
    bool whole = gather_answer(r.gather, &g->h.a, &answer);
    CHECK_INT(r.err, OK);
    CHECK(r.ended && !r.failed);
    facts_check(g, r.finish, &r.usage, whole ? &answer : NULL);
    run_deinit(&r);
    return cost;
}

static void check_stream(struct golden *g, str stream)
{
    pusd cost = stream_cost(g, stream);
    struct run first;
    run_stream(&first, &g->h, g->dialect, &g->target, stream, 0, cost);
    file_check(g, "client.sse", buf_str(&first.text));
    for (size_t cut = 1; cut <= stream.len; cut++) {
        struct run r;
        run_stream(&r, &g->h, g->dialect, &g->target, stream, cut, cost);
        bool same = str_eq(buf_str(&r.text), buf_str(&first.text));
        run_deinit(&r);
        if (!check_that(same, g->dir, (int)cut, "cut at this byte, the client gets the same"))
            break;
    }
    static const char *const ends[] = {"\r\n", "\r", "\n"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct run r;
        if (g->dialect->framing == SSE_LINES && ends[i][1] == '\0' && ends[i][0] == '\r')
            continue;
        str other = variant(g, stream, ends[i], true);
        run_stream(&r, &g->h, g->dialect, &g->target, other, other.len / 2, cost);
        check_that(str_eq(buf_str(&r.text), buf_str(&first.text)), g->dir, (int)i,
                   "other line ends, the client gets the same");
        run_deinit(&r);
    }
    run_deinit(&first);
}

static const struct dialect *door_find(str name)
{
    static const struct dialect *const doors[] = {&dialect_openai, &dialect_anthropic,
                                                  &dialect_responses};
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        if (str_eq(name, s(doors[i]->name)))
            return doors[i];
    return NULL;
}

static void check_case(struct golden *g)
{
    str request, answer;
    harness_init(&g->h);
    str door, provider;
    if (!str_cut(s(g->provider), '+', &door, &provider)) {
        provider = door;
        door = s("openai");
    }
    g->h.door = door_find(door);
    REQUIRE(g->h.door != NULL);
    g->dialect = dialect_find(provider);
    if (g->dialect == NULL)
        g->dialect = &dialect_openai;
    g->target = (struct target){
        .flavour = flavour_find(provider, s(g->dialect->name)),
        .model = s("upstream-model"),
        .api_key = s("sk-upstream"),
        .max_output = -1,
    };
    if (file_read(g, "request.json", &request)) {
        struct outgoing out = {0};
        harness_ask(&g->h, request);
        if (CHECK_INT(g->h.err, OK)) {
            enum err err = g->dialect->request_out(&g->h.a, &g->h.chat, &g->target, &out, &g->h.why,
                                                   &g->h.param);
            CHECK_INT(err, OK);
            file_check(g, "sent.json", out.body);
            CHECK(json_parse(&g->h.a, out.body, NULL) != NULL);
        }
    } else {
        check_that(false, g->dir, 0, "there is a request.json");
    }
    if (file_read(g, "answer.json", &answer))
        check_plain(g, answer);
    if (file_read(g, "answer.sse", &answer) || file_read(g, "answer.ndjson", &answer))
        check_stream(g, answer);
    harness_deinit(&g->h);
}

static unsigned check_provider(const char *root, const char *provider)
{
    char path[256];
    unsigned cases = 0;
    snprintf(path, sizeof path, "%s/%s", root, provider);
    DIR *directory = opendir(path);
    for (struct dirent *e; directory != NULL && (e = readdir(directory)) != NULL;) {
        struct golden g = {.provider = provider};
        struct stat info;
        snprintf(g.dir, sizeof g.dir, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || stat(g.dir, &info) != 0 || !S_ISDIR(info.st_mode))
            continue;
        check_case(&g);
        cases++;
    }
    if (directory != NULL)
        closedir(directory);
    return cases;
}

TEST(golden)
{
    const char *root = getenv("RELAY_GOLDEN_DIR");
    root = root != NULL ? root : "tests/golden";
    DIR *directory = opendir(root);
    REQUIRE(directory != NULL);
    unsigned cases = 0;
    for (struct dirent *e; (e = readdir(directory)) != NULL;)
        if (e->d_name[0] != '.')
            cases += check_provider(root, e->d_name);
    closedir(directory);
    CHECK(cases >= 20);
}

CHECK_MAIN
