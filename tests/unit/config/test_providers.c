/* Which providers take part, with which address, keys and proxy, and why others do not. */
#include "load.h"

TEST(none_but_ollama_without_environment)
{
    struct config *c = load_text(NULL, NULL);
    REQUIRE(c != NULL);
    CHECK_INT(c->provider_count, 13);
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct provider_config *p = &c->providers[i];
        bool is_ollama = str_eq(p->name, STR("ollama"));
        CHECK_INT(p->state, is_ollama ? PROVIDER_ON : PROVIDER_OFF_NO_KEY);
        CHECK(p->built_in && !p->named);
        CHECK(p->base_url.len > 0 && p->kind.len > 0);
    }
    CHECK_STR(provider_of(c, "xai")->state_reason, "XAI_API_KEY is not set");
    CHECK_STR(provider_of(c, "ollama")->base_url, "http://127.0.0.1:11434");
    CHECK_INT(provider_of(c, "ollama")->api_key_count, 0);
    config_unref(c);
}

TEST(keys_of_the_environment_enable_them)
{
    static const struct {
        const char *name, *variable, *url;
    } rows[] = {{"groq", "GROQ_API_KEY=k", "https://api.groq.com/openai/v1"},
                {"openai", "OPENAI_API_KEY=k", "https://api.openai.com/v1"},
                {"mistral", "MISTRAL_API_KEY=k", "https://api.mistral.ai/v1"},
                {"deepseek", "DEEPSEEK_API_KEY=k", "https://api.deepseek.com/v1"},
                {"xai", "XAI_API_KEY=k", "https://api.x.ai/v1"},
                {"together", "TOGETHER_API_KEY=k", "https://api.together.xyz/v1"},
                {"fireworks", "FIREWORKS_API_KEY=k", "https://api.fireworks.ai/inference/v1"},
                {"openrouter", "OPENROUTER_API_KEY=k", "https://openrouter.ai/api/v1"},
                {"cerebras", "CEREBRAS_API_KEY=k", "https://api.cerebras.ai/v1"},
                {"cohere", "COHERE_API_KEY=k", "https://api.cohere.ai/compatibility/v1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const env[] = {rows[i].variable, NULL};
        struct config *c = load_text(NULL, env);
        REQUIRE(c != NULL);
        const struct provider_config *p = provider_of(c, rows[i].name);
        REQUIRE(p != NULL);
        CHECK_INT(p->state, PROVIDER_ON);
        CHECK_STR(p->kind, "openai");
        CHECK_STR(p->base_url, rows[i].url);
        CHECK(p->api_key_count == 1 && str_eq(p->api_keys[0], STR("k")));
        config_unref(c);
    }
}

TEST(every_kind_is_there)
{
    static const char *const env[] = {"GEMINI_API_KEY=k", "ANTHROPIC_API_KEY=k", NULL};
    struct config *c =
        load_text("providers:\n"
                  "  mine: {kind: gemini, base_url: http://a.test/v1}\n"
                  "  claude: {kind: anthropic, base_url: http://c.test/v1}\n"
                  "  gemini: {kind: openai, base_url: http://g.test/v1beta/openai/}\n",
                  env);
    REQUIRE(c != NULL);
    CHECK_INT(provider_of(c, "mine")->state, PROVIDER_ON);
    CHECK_INT(provider_of(c, "anthropic")->state, PROVIDER_ON);
    CHECK_INT(provider_of(c, "claude")->state, PROVIDER_ON);
    CHECK_INT(provider_of(c, "gemini")->state, PROVIDER_ON);
    CHECK_STR(provider_of(c, "gemini")->base_url, "http://g.test/v1beta/openai");
    config_unref(c);
}

struct key_row {
    const char *text;
    enum provider_state state;
    unsigned count;
    const char *first, *reason;
};

TEST(api_keys_of_the_file)
{
    static const char *const env[] = {"A=a",        "B=b", "EMPTY=", "GROQ_API_KEY=env",
                                      "BLANK= c\n", NULL};
    static const struct key_row rows[] = {
        {"{}", PROVIDER_ON, 1, "env", ""},
        {"{api_key: lit}", PROVIDER_ON, 1, "lit", ""},
        {"{api_key: }", PROVIDER_ON, 1, "env", ""},
        {"{api_key: \"\"}", PROVIDER_ON, 0, "", ""},
        {"{api_key: 12345}", PROVIDER_ON, 1, "12345", ""},
        {"{api_key: \"${A}\"}", PROVIDER_ON, 1, "a", ""},
        {"{api_key: \"${BLANK}\"}", PROVIDER_ON, 1, "c", ""},
        {"{api_key: \"${NOPE}\"}", PROVIDER_OFF_NO_KEY, 0, "", "NOPE is not set"},
        {"{api_key: \"${EMPTY}\"}", PROVIDER_OFF_NO_KEY, 0, "", "EMPTY is not set"},
        {"{api_key: \"${NOPE:-}\"}", PROVIDER_ON, 0, "", ""},
        {"{api_key: \"${NOPE:-d}\"}", PROVIDER_ON, 1, "d", ""},
        {"{api_key: [\"${A}\", \"${NOPE}\", \"\", \"${B}\", a]}", PROVIDER_ON, 2, "a", ""},
        {"{api_key: [\"${NOPE}\", \"${NEITHER}\"]}", PROVIDER_OFF_NO_KEY, 0, "",
         "NOPE and NEITHER are not set"},
        {"{api_key: []}", PROVIDER_ON, 0, "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "providers: {groq: %s}", rows[i].text);
        struct config *c = load_text(text, env);
        REQUIRE(c != NULL);
        const struct provider_config *p = provider_of(c, "groq");
        REQUIRE(p != NULL);
        CHECK_INT(p->state, rows[i].state);
        CHECK_INT(p->api_key_count, rows[i].count);
        CHECK_STR(p->api_key_count > 0 ? p->api_keys[0] : STR(""), rows[i].first);
        CHECK_STR(p->state_reason, rows[i].reason);
        CHECK_INT(c->provider_count, 13);
        config_unref(c);
    }
}

TEST(ollama_host_in_all_its_forms)
{
    static const struct {
        const char *variable, *url;
    } rows[] = {{"OLLAMA_HOST=10.1.2.3", "http://10.1.2.3:11434"},
                {"OLLAMA_HOST=10.1.2.3:80", "http://10.1.2.3:80"},
                {"OLLAMA_HOST=:1234", "http://127.0.0.1:1234"},
                {"OLLAMA_HOST=0.0.0.0", "http://127.0.0.1:11434"},
                {"OLLAMA_HOST=http://0.0.0.0:11434/", "http://127.0.0.1:11434"},
                {"OLLAMA_HOST=[::]:11434", "http://[::1]:11434"},
                {"OLLAMA_HOST=https://ollama.test/base", "https://ollama.test/base"},
                {"OLLAMA_HOST=", "http://127.0.0.1:11434"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const env[] = {rows[i].variable, NULL};
        static const char *const texts[] = {
            NULL, "providers: {ollama: {base_url: \"${OLLAMA_HOST:-http://127.0.0.1:11434}\"}}",
            "providers: {ollama: {rpm: 1}}"};
        for (size_t j = 0; j < 3; j++) {
            struct config *c = load_text(texts[j], env);
            REQUIRE(c != NULL);
            CHECK_STR(provider_of(c, "ollama")->base_url, rows[i].url);
            CHECK_INT(provider_of(c, "ollama")->state, PROVIDER_ON);
            config_unref(c);
        }
    }
    static const char *const bad[] = {"OLLAMA_HOST=what ever", NULL};
    struct config *c = load_text(NULL, bad);
    REQUIRE(c != NULL);
    CHECK_INT(provider_of(c, "ollama")->state, PROVIDER_OFF_UNAVAILABLE);
    CHECK_STR(provider_of(c, "ollama")->state_reason,
              "OLLAMA_HOST is not an address: it must begin with http:// or https://");
    config_unref(c);
}

struct proxy_row {
    const char *base_url, *own, *env[4], *want;
};

TEST(proxies)
{
    static const struct proxy_row rows[] = {
        {"https://a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:3128"}, "http://p:3128"},
        {"https://a.test/v1", "\"\"", {"https_proxy=p:1", "HTTPS_PROXY=http://q:2"}, "http://p:1"},
        {"https://a.test/v1", "\"http://own:1/\"", {"HTTPS_PROXY=http://p:3128"}, "http://own:1"},
        {"https://a.test/v1", "none", {"HTTPS_PROXY=http://p:3128"}, ""},
        {"http://a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "HTTP_PROXY=http://p:2"}, ""},
        {"http://a.test/v1", "\"\"", {"http_proxy=http://u:p@p:2"}, "http://u:p@p:2"},
        {"https://a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "NO_PROXY=*"}, ""},
        {"https://a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "NO_PROXY=b.test, a.test"}, ""},
        {"https://x.A.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=a.TEST"}, ""},
        {"https://x.a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=.a.test"}, ""},
        {"https://x.a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=*.a.test"}, ""},
        {"https://xa.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=a.test"}, "http://p:1"},
        {"https://a.test/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=a.test:443"}, ""},
        {"https://a.test/v1",
         "\"\"",
         {"HTTPS_PROXY=http://p:1", "no_proxy=a.test:8443"},
         "http://p:1"},
        {"https://10.1.2.3/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=10.0.0.0/8"}, ""},
        {"https://11.1.2.3/v1",
         "\"\"",
         {"HTTPS_PROXY=http://p:1", "no_proxy=10.0.0.0/8"},
         "http://p:1"},
        {"https://10.127.0.1/v1",
         "\"\"",
         {"HTTPS_PROXY=http://p:1", "no_proxy=10.128.0.0/9"},
         "http://p:1"},
        {"https://[fd00::1]/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=fd00::/8"}, ""},
        {"https://[fd00::1]/v1", "\"\"", {"HTTPS_PROXY=http://p:1", "no_proxy=fd00::1"}, ""},
        {"https://127.0.0.1:1/v1", "\"\"", {"HTTPS_PROXY=http://p:1"}, ""},
        {"https://localhost:1/v1", "\"\"", {"HTTPS_PROXY=http://p:1"}, ""},
        {"https://a.test/v1", "\"\"", {"HTTPS_PROXY="}, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, "providers: {p: {kind: openai, base_url: \"%s\", proxy: %s}}",
                 rows[i].base_url, rows[i].own);
        struct config *c = load_text(text, rows[i].env);
        REQUIRE(c != NULL);
        if (!str_eq(provider_of(c, "p")->proxy, str_of_c(rows[i].want))) {
            fprintf(stderr, "row %zu:\n", i);
        }
        CHECK_STR(provider_of(c, "p")->proxy, rows[i].want);
        config_unref(c);
    }
    static const char *const socks[] = {"HTTPS_PROXY=socks5://u:secret@p:1", NULL};
    check_refused("providers: {p: {kind: openai, base_url: \"https://a.test\"}}", socks,
                  "relay.yaml:1:16: providers.p cannot use the proxy of HTTPS_PROXY: only "
                  "http://[user:password@]host:port is possible; add its host to NO_PROXY, or set "
                  "`proxy: none`.",
                  __LINE__);
}

TEST(a_provider_keeps_the_global_timeouts_it_does_not_set)
{
    struct config *c =
        load_text("timeouts: {idle: 7s, total: 20m}\n"
                  "providers: {groq: {timeouts: {idle: 9s}, rpm: 30, headers: {X-A: \"b c\"}}}",
                  NULL);
    REQUIRE(c != NULL);
    const struct provider_config *p = provider_of(c, "groq");
    REQUIRE(p != NULL);
    CHECK_INT(p->timeouts.idle_ms, 9000);
    CHECK_INT(p->timeouts.total_ms, 1200000);
    CHECK_INT(p->timeouts.connect_ms, 3000);
    CHECK_INT(p->rpm, 30);
    REQUIRE(p->header_count == 1);
    CHECK_STR(p->headers[0].name, "X-A");
    CHECK_STR(p->headers[0].value, "b c");
    CHECK_INT(provider_of(c, "xai")->timeouts.idle_ms, 7000);
    config_unref(c);
}

CHECK_MAIN
