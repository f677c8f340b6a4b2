/* Values that are accepted, and where each comes from. */
#include "load.h"

TEST(defaults_without_any_file)
{
    struct config *c = load_text(NULL, NULL);
    REQUIRE(c != NULL);
    CHECK_STR(c->path, "");
    CHECK_STR(c->server.listen, "127.0.0.1:8080");
    CHECK_INT(c->server.workers, 0);
    CHECK_INT(c->server.max_body_bytes, 32 << 20);
    CHECK_INT(c->server.max_connections, 10000);
    CHECK_INT(c->server.request_timeout_ms, 30000);
    CHECK_INT(c->server.shutdown_grace_ms, 30000);
    CHECK_INT(c->server.cors_count, 0);
    CHECK_STR(c->store, "sqlite:data/relay.db");
    CHECK_STR(c->data_dir, "data");
    CHECK_STR(c->shared, "memory");
    CHECK_STR(c->journal.dir, "data/journal");
    CHECK_INT(c->journal.sync_ms, 1000);
    CHECK_INT(c->journal.max_bytes, 1 << 30);
    CHECK(c->journal.refuse_when_full);
    CHECK_INT(c->targets.max_latency_ms, 5000);
    CHECK(c->targets.min_quality == 30);
    CHECK_INT(c->routing.max_attempts, 3);
    CHECK(c->routing.explore == 0.01 && c->routing.confidence == 0.9 && c->routing.unpriced_allow);
    CHECK(c->cache.exact && c->cache.semantic);
    CHECK(c->cache.threshold == 0.75 && c->cache.max_error == 0.01 && c->cache.audit == 0);
    CHECK_INT(c->cache.audit_per_day, PUSD_PER_USD);
    CHECK_INT(c->cache.ttl_ms, 86400000);
    CHECK_INT(c->cache.max_entries, 100000);
    CHECK_INT(c->cache.max_wait_ms, 25);
    CHECK_INT(c->cache.max_bytes, 256 << 20);
    CHECK(c->cache.max_temperature == 1);
    CHECK_INT(c->cache.scope, CACHE_SCOPE_KEY);
    CHECK_STR(c->cache.model, "all-MiniLM-L6-v2");
    CHECK_INT(c->limits.rpm, 600);
    CHECK_INT(c->limits.tpm, 200000);
    CHECK(c->limits.share_when_away);
    CHECK_INT(c->log.level, LOG_INFO);
    CHECK_INT(c->log.format, LOG_JSON);
    CHECK_INT(c->log.retention_ms, INT64_C(90) * 86400000);
    CHECK(!c->log.content);
    CHECK_INT(c->log.content_retention_ms, INT64_C(7) * 86400000);
    CHECK(c->telemetry.sample == 1);
    CHECK_INT(c->timeouts.connect_ms, 3000);
    CHECK_INT(c->timeouts.first_token_ms, 60000);
    CHECK_INT(c->timeouts.idle_ms, 60000);
    CHECK_INT(c->timeouts.total_ms, 600000);
    config_unref(c);
}

/* Every section, as an operator would write it. */
static const char whole[] =
    "server:   {listen: 127.0.0.1:8080, workers: auto, max_body: 32MiB, max_connections: 10000, "
    "request_timeout: 30s, shutdown_grace: 30s, cors: [], tls: {cert: \"\", key: \"\"}}\n"
    "admin:    {key: \"${RELAY_ADMIN_KEY:-}\", listen: \"\"}   # section 8\n"
    "store:    sqlite:data/relay.db          # keys and request log\n"
    "shared:   memory\n"
    "journal:  {dir: data/journal, sync: 1s, max_bytes: 1GiB, when_full: refuse}\n"
    "providers:\n"
    "  groq:      {api_key: \"${GROQ_API_KEY}\"}\n"
    "  gemini:    {api_key: \"${GEMINI_API_KEY}\"}\n"
    "  anthropic: {api_key: \"${ANTHROPIC_API_KEY}\"}\n"
    "  openai:    {api_key: [\"${OPENAI_API_KEY}\", \"${OPENAI_API_KEY_2}\"]}\n"
    "  ollama:    {base_url: \"${OLLAMA_HOST:-http://127.0.0.1:11434}\"}\n"
    "  my-vllm:   {kind: openai, base_url: http://10.0.0.7:8000/v1, api_key: x, headers: {}, "
    "proxy: "
    "\"\", ca_file: \"\", timeouts: {}, rpm: 0, tpm: 0}\n"
    "models:\n"
    "  - {id: my-vllm/qwen3-8b, input: 0, output: 0, cached_input: 0, cache_write: 0, quality: 41, "
    "context: 32768, max_output: 8192, capabilities: [tools, json, vision]}\n"
    "aliases:  {fast: [groq/llama-3.1-8b-instant, gemini/gemini-2.5-flash-lite]}\n"
    "targets:  {max_latency_ms: 5000, min_quality: 30, baseline: \"\"}\n"
    "routing:  {max_attempts: 3, explore: 0.01, confidence: 0.9, unpriced: allow}\n"
    "cache:    {exact: true, semantic: true, threshold: 0.75, max_error: 0.01, audit: 0, "
    "audit_usd_per_day: 1, ttl: 24h, max_entries: 100000, max_wait: 25ms,\n"
    "           max_bytes: 256MiB, max_temperature: 1, scope: key, model: all-MiniLM-L6-v2}\n"
    "limits:   {rpm: 600, tpm: 200000, when_shared_away: share}\n"
    "log:      {level: info, format: json, retention: 90d, content: false, content_retention: 7d}\n"
    "telemetry: {otlp: \"\", headers: {}, sample: 1}\n"
    "timeouts: {connect: 3s, first_token: 60s, idle: 60s, total: 10m}\n";

TEST(the_whole_example)
{
    static const char *const env[] = {"OPENAI_API_KEY_2=sk-second", "GROQ_API_KEY=gsk-1", NULL};
    struct config *c = load_text(whole, env);
    REQUIRE(c != NULL);
    CHECK_STR(c->path, "relay.yaml");
    const struct provider_config *openai = provider_of(c, "openai");
    REQUIRE(openai != NULL);
    CHECK_INT(openai->api_key_count, 1);
    CHECK_STR(openai->api_keys[0], "sk-second");
    CHECK_INT(openai->state, PROVIDER_ON);
    const struct provider_config *vllm = provider_of(c, "my-vllm");
    REQUIRE(vllm != NULL);
    CHECK_STR(vllm->base_url, "http://10.0.0.7:8000/v1");
    CHECK_STR(vllm->api_keys[0], "x");
    CHECK_STR(vllm->proxy, "");
    CHECK(!vllm->built_in && vllm->named);
    CHECK_INT(vllm->timeouts.idle_ms, 60000);
    CHECK_INT(provider_of(c, "gemini")->state, PROVIDER_OFF_NO_KEY);
    CHECK_STR(provider_of(c, "gemini")->state_reason, "GEMINI_API_KEY is not set");
    REQUIRE(c->model_count == 1);
    const struct model_config *m = &c->models[0];
    CHECK_STR(m->id, "my-vllm/qwen3-8b");
    CHECK(m->has_input && m->has_output && m->has_cached_input && m->has_cache_write);
    CHECK(!m->has_cache_write_1h && m->has_quality && m->quality == 41);
    CHECK_INT(m->context, 32768);
    CHECK_INT(m->max_output, 8192);
    CHECK(m->has_capabilities && m->tools && m->json && m->vision && !m->reasoning && !m->audio);
    REQUIRE(c->alias_count == 1 && c->aliases[0].model_count == 2);
    CHECK_STR(c->aliases[0].name, "fast");
    CHECK_STR(c->aliases[0].models[1], "gemini/gemini-2.5-flash-lite");
    config_unref(c);
}

TEST(json_is_accepted)
{
    struct config *c =
        load_text("{\n\t\"server\": {\"listen\":\"[::1]:0\",\t\"workers\": 2, \"cors\": "
                  "[\"https:\\/\\/a.example\"]},\n\t\"cache\":{\"exact\":false,"
                  "\"max_error\":1e-3},\"journal\":{\"dir\":\"j\\u00e9\\ud83d\\ude00\\\"x\"},"
                  "\"store\":null}\n",
                  NULL);
    REQUIRE(c != NULL);
    CHECK_STR(c->server.listen, "[::1]:0");
    CHECK_INT(c->server.workers, 2);
    REQUIRE(c->server.cors_count == 1);
    CHECK_STR(c->server.cors[0], "https://a.example");
    CHECK(!c->cache.exact && c->cache.max_error == 0.001);
    CHECK_STR(c->journal.dir, "j\xc3\xa9\xf0\x9f\x98\x80\"x");
    CHECK_STR(c->store, "sqlite:data/relay.db");
    config_unref(c);
}

TEST(durations_and_sizes)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {{"250ms", 250}, {"3s", 3000},      {"10m", 600000},  {"24h", 86400000},
                 {"3", 3000},    {"1.5s", 1500},    {"1m30s", 90000}, {"\"3 s\"", 3000},
                 {"1MS", 1},     {"0.25h", 900000}, {"1.5", 1500}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[64];
        snprintf(text, sizeof text, "timeouts: {idle: %s}", times[i].text);
        struct config *c = load_text(text, NULL);
        REQUIRE(c != NULL);
        CHECK_INT(c->timeouts.idle_ms, times[i].ms);
        config_unref(c);
    }
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"512KiB", 512 << 10}, {"32MiB", 32 << 20}, {"1GiB", 1 << 30}, {"65536", 65536},
                 {"0.5MiB", 1 << 19},   {"2MB", 2000000},    {"4096B", 4096}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[64];
        snprintf(text, sizeof text, "server: {max_body: %s}", sizes[i].text);
        struct config *c = load_text(text, NULL);
        REQUIRE(c != NULL);
        CHECK_INT(c->server.max_body_bytes, sizes[i].bytes);
        config_unref(c);
    }
}

TEST(precedence_is_flag_environment_file_default)
{
    static const char *const env[] = {"RELAY_SERVER_LISTEN=:2",
                                      "RELAY_SERVER_WORKERS=3",
                                      "RELAY_SERVER_CORS=https://a.example, https://b.example",
                                      "RELAY_STORE=x/y/relay.db",
                                      "RELAY_SERVER_TLS_CERT=c",
                                      "RELAY_SERVER_TLS_KEY=k",
                                      "RELAY_TELEMETRY_HEADERS=a=b,c=d e",
                                      "RELAY_LOG_LEVEL=",
                                      NULL};
    static const struct config_override flags[] = {{"server.listen", "127.0.0.1:3"}};
    char *error;
    struct config *c = load_with("server: {listen: \":1\", workers: 1, max_connections: 7}\n"
                                 "log: {level: debug}\n",
                                 env, flags, 1, &error);
    REQUIRE(c != NULL);
    CHECK_STR(c->server.listen, "127.0.0.1:3");
    CHECK_INT(c->server.workers, 3);
    CHECK_INT(c->server.max_connections, 7);
    CHECK_INT(c->server.cors_count, 2);
    CHECK_STR(c->server.cors[1], "https://b.example");
    CHECK_STR(c->server.tls_cert, "c");
    CHECK_STR(c->store, "sqlite:x/y/relay.db");
    CHECK_STR(c->data_dir, "x/y");
    CHECK_STR(c->journal.dir, "x/y/journal");
    REQUIRE(c->telemetry.header_count == 2);
    CHECK_STR(c->telemetry.headers[1].value, "d e");
    CHECK_INT(c->log.level, LOG_DEBUG); /* an empty variable is as one that is not set */
    config_unref(c);
}

TEST(variables_are_put_in_inside_scalars_only)
{
    static const char *const env[] = {"A=x: {y: [", "EMPTY=", "N=12", NULL};
    struct config *c = load_text("journal: {dir: \"${A}-${EMPTY}${NOPE:-d}-$${A}-$A\"}\n"
                                 "limits:\n  rpm: \"${N}0\"\n  tpm: ${NOPE:-5}\n"
                                 "cache: {model: \"${EMPTY:-m}\"}\n",
                                 env);
    REQUIRE(c != NULL);
    CHECK_STR(c->journal.dir, "x: {y: [-d-${A}-$A");
    CHECK_INT(c->limits.rpm, 120);
    CHECK_INT(c->limits.tpm, 5);
    CHECK_STR(c->cache.model, "m");
    config_unref(c);
}

TEST(prices_are_exact)
{
    struct config *c =
        load_text("models:\n"
                  "  - {id: groq/a, input: 0.15, output: 0.000001, cached_input: 1e-2}\n"
                  "  - {id: groq/b, input: 0.1, output: 75, cache_write_1h: \"3.3\"}\n"
                  "cache: {audit_usd_per_day: 0.000000000001}\n",
                  NULL);
    REQUIRE(c != NULL);
    CHECK_INT(c->models[0].input, 150000);
    CHECK_INT(c->models[0].output, 1);
    CHECK_INT(c->models[0].cached_input, 10000);
    CHECK_INT(c->models[1].input, 100000);
    CHECK_INT(c->models[1].output, 75000000);
    CHECK_INT(c->models[1].cache_write_1h, 3300000);
    CHECK_INT(c->cache.audit_per_day, 1);
    config_unref(c);
}

TEST(anchors_are_the_same_value)
{
    struct config *c = load_text("timeouts: &t {idle: 5s}\n"
                                 "providers:\n"
                                 "  a: {kind: openai, base_url: http://a.test/v1, timeouts: *t}\n"
                                 "  b: {kind: openai, base_url: http://b.test/v1/, timeouts: *t}\n",
                                 NULL);
    REQUIRE(c != NULL);
    CHECK_INT(provider_of(c, "b")->timeouts.idle_ms, 5000);
    CHECK_STR(provider_of(c, "b")->base_url, "http://b.test/v1");
    config_unref(c);
}

TEST(empty_sections_mean_the_defaults)
{
    struct config *c =
        load_text("# nothing\nserver:\nproviders:\nmodels: ~\naliases: null\n", NULL);
    REQUIRE(c != NULL);
    CHECK_STR(c->server.listen, "127.0.0.1:8080");
    CHECK_INT(c->model_count, 0);
    config_unref(c);
    c = load_text("", NULL);
    CHECK(c != NULL);
    config_unref(c);
}

TEST(the_folder_of_the_store)
{
    static const struct {
        const char *store, *folder, *journal;
    } rows[] = {{"sqlite:relay.db", ".", "./journal"},
                {"sqlite:/relay.db", "/", "/journal"},
                {"/var/lib/relay/r.db", "/var/lib/relay", "/var/lib/relay/journal"},
                {"sqlite:///srv/r.db", "/srv", "/srv/journal"},
                {"postgresql://u:p%40@h:5432/db?sslmode=require", "data", "data/journal"},
                {"postgres://h,i/db", "data", "data/journal"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "store: %s", rows[i].store);
        struct config *c = load_text(text, NULL);
        REQUIRE(c != NULL);
        CHECK_STR(c->data_dir, rows[i].folder);
        CHECK_STR(c->journal.dir, rows[i].journal);
        config_unref(c);
    }
}

TEST(a_missing_file_is_an_error_only_when_it_is_named)
{
    char *error;
    struct config_source source = {.path = "/nonexistent/relay.yaml"};
    struct config *c = config_load(&source, &error);
    CHECK(c == NULL);
    CHECK_CSTR(
        error,
        "/nonexistent/relay.yaml: the configuration cannot be read: No such file or directory.");
    free(error);
}

TEST(marks_and_line_ends_of_other_systems)
{
    struct config *c = load_text("\xef\xbb\xbflimits:\r\n  rpm: 5\r\nlog: {level: warn}\r\n", NULL);
    REQUIRE(c != NULL);
    CHECK_INT(c->limits.rpm, 5);
    CHECK_INT(c->log.level, LOG_WARN);
    config_unref(c);
    c = load_text("\xef\xbb\xbf{\"limits\": {\"rpm\": 6}}", NULL);
    REQUIRE(c != NULL);
    CHECK_INT(c->limits.rpm, 6);
    config_unref(c);
}

TEST(references_are_counted)
{
    struct config *c = load_text("", NULL);
    REQUIRE(c != NULL);
    CHECK(config_ref(c) == c);
    config_unref(c);
    CHECK_STR(c->shared, "memory");
    config_unref(c);
    config_unref(NULL);
}

CHECK_MAIN
