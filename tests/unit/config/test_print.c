/* What is shown of a configuration, and what a reload cannot change. */
#include "load.h"

static char *printed(const struct config *c, bool all)
{
    struct buf b;
    size_t len;
    buf_init(&b, 1 << 20);
    config_print(c, &b, all);
    CHECK(!b.full);
    buf_add_char(&b, '\0');
    return buf_take(&b, &len);
}

TEST(what_differs_from_the_defaults)
{
    static const char *const env[] = {"GROQ_API_KEY=gsk-hunter2", NULL};
    struct config *c =
        load_text("server: {listen: \":80\", tls: {cert: a, key: b}, cors: [\"https://a.test\"]}\n"
                  "admin: {key: hunter2-hunter2-hunter2}\n"
                  "cache: {ttl: 90m, max_bytes: 1MiB, audit_usd_per_day: 0.5, model: \"a b\"}\n"
                  "telemetry: {otlp: \"http://o/\", headers: {k: hunter2}}\n"
                  "providers: {vllm: {kind: openai, base_url: http://v/v1, timeouts: {idle: 5s}, "
                  "api_key: hunter2, headers: {h: hunter2}, proxy: \"http://u:hunter2@p:1\"}}\n"
                  "models: [{id: vllm/m, input: 0.15, quality: 41.5, capabilities: [tools]}]\n"
                  "aliases: {fast: vllm/m}\n",
                  env);
    REQUIRE(c != NULL);
    char *text = printed(c, false);
    CHECK_CSTR(text, "server:\n"
                     "  listen: \":80\"\n"
                     "  cors: [https://a.test]\n"
                     "  tls:\n"
                     "    cert: a\n"
                     "    key: b\n"
                     "admin:\n"
                     "  key: (set)\n"
                     "cache:\n"
                     "  audit_usd_per_day: 0.5\n"
                     "  ttl: 90m\n"
                     "  max_bytes: 1MiB\n"
                     "  model: \"a b\"\n"
                     "telemetry:\n"
                     "  otlp: http://o/\n"
                     "  headers: {k: (set)}\n"
                     "providers:\n"
                     "  vllm:\n"
                     "    kind: openai\n"
                     "    base_url: http://v/v1\n"
                     "    api_key: (set)\n"
                     "    headers: {h: (set)}\n"
                     "    proxy: http://p:1\n"
                     "    timeouts:\n"
                     "      idle: 5s\n"
                     "  groq:\n"
                     "    kind: openai\n"
                     "    base_url: https://api.groq.com/openai/v1\n"
                     "    api_key: (set)\n"
                     "  ollama:\n"
                     "    kind: ollama\n"
                     "    base_url: http://127.0.0.1:11434\n"
                     "models:\n"
                     "  - {id: vllm/m, input: 0.15, quality: 41.5, capabilities: [tools]}\n"
                     "aliases:\n"
                     "  fast: [vllm/m]\n");
    free(text);
    config_unref(c);
}

TEST(all_of_it_reads_back)
{
    struct config *c = load_text("limits: {rpm: 0}\n", NULL);
    REQUIRE(c != NULL);
    char *first = printed(c, true);
    CHECK(strstr(first, "workers: auto\n") != NULL && strstr(first, "sync: 1s\n") != NULL);
    struct config *again = load_text(first, NULL);
    REQUIRE(again != NULL);
    char *second = printed(again, true);
    /* Providers of the environment are named ones then, so only the settings are compared. */
    CHECK(strncmp(first, second, (size_t)(strstr(first, "providers:") - first)) == 0);
    free(first);
    free(second);
    config_unref(c);
    config_unref(again);
}

static void check_differences(const char *before, const char *after, const char *want)
{
    struct config *a = load_text(before, NULL);
    struct config *b = load_text(after, NULL);
    REQUIRE(a != NULL && b != NULL);
    struct arena arena;
    arena_init(&arena, 0);
    CHECK_STR(config_restart_differences(&arena, a, b), want);
    arena_deinit(&arena);
    config_unref(a);
    config_unref(b);
}

TEST(settings_that_need_a_restart)
{
    check_differences("", "", "");
    check_differences("log: {level: info}",
                      "log: {level: warn}\nserver: {listen: \":1\", workers: 2}\nstore: x/y.db",
                      "server.listen, server.workers, store, journal.dir");
    check_differences("admin: {key: sixteen-characters-a}", "admin: {key: sixteen-characters-b}",
                      "admin.key");
    check_differences("server: {tls: {cert: a, key: b}}", "server: {tls: {cert: c, key: d}}", "");
    check_differences("", "server: {tls: {cert: c, key: d}}", "server.tls.cert, server.tls.key");
    check_differences("server: {max_connections: 1}", "limits: {rpm: 1}", "");
}

TEST(the_reference_in_the_documentation_is_the_tables)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    config_print_reference(&b);
    CHECK(!b.full);
    FILE *file = fopen("docs/reference/settings.md", "rb");
    REQUIRE(file != NULL);
    char *have = malloc(1 << 20);
    size_t len = fread(have, 1, 1 << 20, file);
    fclose(file);
    CHECK_MEM(have, len, b.p, b.len);
    free(have);
    buf_deinit(&b);
}

TEST(the_example_loads)
{
    char *error;
    struct config_source source = {.path = "relay.example.yaml", .env = test_env};
    struct config *c = config_load(&source, &error);
    CHECK_CSTR(error != NULL ? error : "", "");
    free(error);
    config_unref(c);
}

CHECK_MAIN
