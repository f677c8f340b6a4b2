/* Every refusal: one sentence with file, line, column, path and what is allowed. */
#include "load.h"

#define BLOCK_MAX 80

#define STORE_ALLOWED                                                                              \
    "sqlite:PATH, the path of a file, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
#define POSTGRES_ENCODED                                                                           \
    "a PostgreSQL URL whose password has its special characters percent-encoded (@ as %40, / as "  \
    "%2F)."

struct refusal {
    const char *text, *want;
    int line;
};

#define R(text, want)                                                                              \
    {                                                                                              \
        text, want, __LINE__                                                                       \
    }

static const struct refusal refusals[] = {
    R("server: {listne: x}",
      "relay.yaml:1:10: server.listne is not a setting; did you mean \"listen\"? Allowed here: "
      "listen, "
      "workers, max_body, max_connections, request_timeout, shutdown_grace, cors, tls."),
    R("serve: {}", "relay.yaml:1:1: serve is not a setting; did you mean \"server\"? Allowed here: "
                   "server, admin, store, "
                   "shared, journal, targets, routing, cache, limits, log, telemetry, timeouts, "
                   "providers, models, "
                   "aliases."),
    R("journal:\n  xyzzy: 1\n", "relay.yaml:2:3: journal.xyzzy is not a setting; allowed here: "
                                "dir, sync, max_bytes, when_full."),
    R("server.listen: x",
      "relay.yaml:1:1: server.listen is not a setting; allowed here: server, admin, store, "
      "shared, journal, targets, routing, cache, limits, log, telemetry, timeouts, "
      "providers, models, aliases."),
    R("server: 5",
      "relay.yaml:1:9: server must be a mapping with the keys listen, workers, max_body, "
      "max_connections, request_timeout, shutdown_grace, cors, tls."),
    R("- a",
      "relay.yaml:1:1: The file must be a mapping with the keys server, admin, store, shared, "
      "journal, "
      "targets, routing, cache, limits, log, telemetry, timeouts, providers, models, aliases."),
    R("server:\n  workers: many\n", "relay.yaml:2:12: server.workers must be auto, or a whole "
                                    "number from 1 to 8, not \"many\"."),
    R("server: {workers: 0}",
      "relay.yaml:1:19: server.workers must be auto, or a whole number from 1 to 8, not \"0\"."),
    R("server: {workers: 9}",
      "relay.yaml:1:19: server.workers must be auto, or a whole number from 1 to 8, not \"9\"."),
    R("server: {workers: [2]}",
      "relay.yaml:1:19: server.workers must be auto, or a whole number from 1 to 8, not a list."),
    R("server: {max_body: {}}",
      "relay.yaml:1:20: server.max_body must be a size such as 512KiB, 32MiB or 1GiB, "
      "from 1KiB to 1GiB, not a mapping."),
    R("server: {max_body: 32Mib2}",
      "relay.yaml:1:20: server.max_body must be a size such as 512KiB, 32MiB or "
      "1GiB, from 1KiB to 1GiB, not \"32Mib2\"."),
    R("server: {max_body: 2GiB}",
      "relay.yaml:1:20: server.max_body must be a size such as 512KiB, 32MiB or 1GiB, "
      "from 1KiB to 1GiB, not \"2GiB\"."),
    R("timeouts: {idle: 1 parsec}",
      "relay.yaml:1:18: timeouts.idle must be a duration such as 250ms, 3s, 10m, "
      "24h or 30d, from 1ms to 1d, not \"1 parsec\"."),
    R("timeouts: {idle: 0.5ms}",
      "relay.yaml:1:18: timeouts.idle must be a duration such as 250ms, 3s, 10m, 24h "
      "or 30d, from 1ms to 1d, not \"0.5ms\"."),
    R("timeouts: {idle: -3s}",
      "relay.yaml:1:18: timeouts.idle must be a duration such as 250ms, 3s, 10m, 24h or "
      "30d, from 1ms to 1d, not \"-3s\"."),
    R("timeouts: {idle: 99999999999999999999d}",
      "relay.yaml:1:18: timeouts.idle must be a duration such as 250ms, 3s, 10m, 24h or 30d, from "
      "1ms to 1d, not "
      "\"99999999999999999999d\"."),
    R("cache: {exact: maybe}",
      "relay.yaml:1:16: cache.exact must be true or false, not \"maybe\"."),
    R("cache: {threshold: 1.5}",
      "relay.yaml:1:20: cache.threshold must be a number from 0 to 1, not \"1.5\"."),
    R("cache: {scope: world}",
      "relay.yaml:1:16: cache.scope must be one of key, group, global, not \"world\"."),
    R("cache: {audit_usd_per_day: -1}",
      "relay.yaml:1:28: cache.audit_usd_per_day must be an amount of US dollars "
      "from 0 to 1000000, not \"-1\"."),
    R("log: {level: loud}",
      "relay.yaml:1:14: log.level must be one of debug, info, warn, error, off, not \"loud\"."),
    R("server: {listen: 8080}",
      "relay.yaml:1:18: server.listen must be an address with a port: 127.0.0.1:8080, "
      "[::1]:8080, localhost:8080 or :8080, not \"8080\"."),
    R("server: {listen: \"1.2.3.4:99999\"}",
      "relay.yaml:1:18: server.listen must be an address with a port: 127.0.0.1:8080, [::1]:8080, "
      "localhost:8080 "
      "or :8080, not \"1.2.3.4:99999\"."),
    R("server: {cors: [\"https://a.example/path\"]}",
      "relay.yaml:1:17: server.cors[0] must be a list, each item an origin such as "
      "https://app.example.com (no "
      "path), or \"*\", not \"https://a.example/path\"."),
    R("server: {tls: {cert: a.pem}}",
      "relay.yaml:1:15: server.tls needs both cert and key, or neither."),
    R("admin: {key: short}",
      "relay.yaml:1:14: admin.key must be 16 to 256 characters without blanks, or empty."),
    R("admin: {listen: \"127.0.0.1:8080\"}",
      "relay.yaml:1:17: admin.listen must be another address than server.listen, or empty."),
    R("store: postgresql://u:p@w@h/db", "relay.yaml:1:8: store must be " POSTGRES_ENCODED),
    R("store: postgresql://u:p/w@h/db", "relay.yaml:1:8: store must be " POSTGRES_ENCODED),
    R("store: \"postgres://u:p w@h/db\"", "relay.yaml:1:8: store must be " POSTGRES_ENCODED),
    R("store: postgresql://h/db?user=u&Password=secret",
      "relay.yaml:1:8: store must be a PostgreSQL URL with its password before the @, or none "
      "(then "
      "PGPASSWORD or a password file has it), but not among its parameters."),
    R("store: \"sqlite:\"", "relay.yaml:1:8: store must be " STORE_ALLOWED),
    R("store: mysql://u:secret@h/db", "relay.yaml:1:8: store must be " STORE_ALLOWED),
    R("shared: redis://h:6379/x",
      "relay.yaml:1:9: shared must be memory, or redis://[user:password@]host[:port][/database] "
      "(rediss:// with TLS, and ?ca_file=PATH there)."),
    R("shared: file",
      "relay.yaml:1:9: shared must be memory, or redis://[user:password@]host[:port][/database] "
      "(rediss:// with TLS, and ?ca_file=PATH there)."),
    R("targets: {baseline: gpt}",
      "relay.yaml:1:21: targets.baseline must be provider/model, or empty, not "
      "\"gpt\"."),
    R("targets: {baseline: nope/m}",
      "relay.yaml:1:21: targets.baseline names the provider \"nope\", which is "
      "neither built in nor in providers."),
    R("limits: {rpm: 1}\nlimits: {rpm: 2}",
      "relay.yaml:2:1: the key \"limits\" stands here a second time (first "
      "in line 1); remove one of them."),
    R("limits: {rpm: 1, rpm: 2}",
      "relay.yaml:1:18: the key \"rpm\" stands here a second time (first in line 1); "
      "remove one of them."),
    R("limits: {rpm: \"${UNSET}\"}",
      "relay.yaml:1:15: limits.rpm needs UNSET, which is not set; set it, or write "
      "${NAME:-default}."),
    R("limits: {rpm: \"${SECRET}\"}",
      "relay.yaml:1:15: limits.rpm must be a whole number from 0 to 1000000000."),
    R("limits: {rpm: \"${1A}\"}",
      "relay.yaml:1:15: limits.rpm cannot be read: a variable is written ${NAME} or "
      "${NAME:-default}; write $${ for a plain ${."),
    R("limits: {rpm: \"${A\"}",
      "relay.yaml:1:15: limits.rpm cannot be read: a ${ has no } after it."),
    R("limits: {rpm: \"${A:-${B}}\"}",
      "relay.yaml:1:15: limits.rpm cannot be read: a default may not hold another variable."),
    R("server: [", "relay.yaml:2:1: this is not valid YAML: did not find expected node content."),
    R("providers:\n  groq: {api_key: ${GROQ_API_KEY}}\n",
      "relay.yaml:2:20: this is not valid YAML: did not find expected ',' or '}'; inside { } a "
      "variable "
      "needs quotes: "
      "\"${NAME}\"."),
    R("a: b\n---\nc: d\n", "relay.yaml:3:1: the file holds more than one YAML document; keep one."),
    R("? [a]\n: b\n", "relay.yaml:1:3: a key must be plain text."),
    R("server: *nope", "relay.yaml:1:9: the alias *nope has no anchor before it."),
    R("server: &a {tls: *a}", "relay.yaml:1:18: the alias *a has no anchor before it."),
};

TEST(each_bad_input_has_its_sentence)
{
    static const char *const env[] = {"SECRET=sk-secret", NULL};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        check_refused(refusals[i].text, env, refusals[i].want, refusals[i].line);
    }
}

static const struct refusal entries[] = {
    R("providers: [groq]",
      "relay.yaml:1:12: providers must be a mapping from a provider's name to its settings."),
    R("providers: {groq: 5}",
      "relay.yaml:1:19: providers.groq must be a mapping with the keys kind, base_url, "
      "api_key, headers, proxy, ca_file, timeouts, rpm, tpm."),
    R("providers: {groq: {apikey: x}}",
      "relay.yaml:1:20: providers.groq.apikey is not a setting; did you mean \"api_key\"? Allowed "
      "here: kind, "
      "base_url, api_key, headers, proxy, ca_file, timeouts, rpm, tpm."),
    R("providers: {Groq: {}}",
      "relay.yaml:1:13: providers.Groq is not a name for a provider; use at most 64 "
      "lower-case letters, digits and - _ . and not \"relay\"."),
    R("providers: {relay: {}}",
      "relay.yaml:1:13: providers.relay is not a name for a provider; use at most 64 "
      "lower-case letters, digits and - _ . and not \"relay\"."),
    R("providers: {mine: {kind: openai}}",
      "relay.yaml:1:13: providers.mine needs a kind (one of openai, anthropic, gemini, ollama) and "
      "a base_url, "
      "since it is not one of the built-in providers: groq, gemini, ollama, anthropic, openai, "
      "mistral, "
      "deepseek, xai, together, fireworks, openrouter, cerebras, cohere."),
    R("providers: {mine: {kind: bedrock, base_url: http://a}}",
      "relay.yaml:1:26: providers.mine.kind must be one of openai, anthropic, gemini, ollama, not "
      "\"bedrock\"."),
    R("providers: {gemini: {kind: openai}}",
      "relay.yaml:1:13: providers.gemini needs a base_url, since its kind is "
      "not that of the built-in one."),
    R("providers: {groq: {base_url: \"ftp://a\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "must begin with "
      "http:// or https://."),
    R("providers: {groq: {base_url: \"http://u:p@a/v1\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "holds a user "
      "name or password; use api_key or headers."),
    R("providers: {groq: {base_url: \"http://a/v1?k=v\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "has a query or "
      "fragment."),
    R("providers: {groq: {base_url: \"http://a/v1#f\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "has a query or "
      "fragment."),
    R("providers: {groq: {base_url: \"http:///v1\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "has no host."),
    R("providers: {groq: {base_url: \"http://a b/\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: it "
      "holds a blank or "
      "a character that must be percent-encoded."),
    R("providers: {groq: {base_url: \"http://a:0/\"}}",
      "relay.yaml:1:30: providers.groq.base_url must be a URL such as http://10.0.0.7:8000/v1: its "
      "host or port is "
      "not valid."),
    R("providers: {groq: {api_key: {a: b}}}",
      "relay.yaml:1:29: providers.groq.api_key must be a key without blanks "
      "or a list of at most 64 keys: it is a list or mapping."),
    R("providers: {groq: {api_key: [\"a b\"]}}",
      "relay.yaml:1:30: providers.groq.api_key must be a key without "
      "blanks or a list of at most 64 keys."),
    R("providers: {groq: {headers: {\"a b\": c}}}",
      "relay.yaml:1:37: providers.groq.headers.a b must be at most 16 header names with their "
      "values, on one line "
      "each."),
    R("providers: {groq: {headers: {x: \"a\\r\\nb\"}}}",
      "relay.yaml:1:33: providers.groq.headers.x must be at most 16 header names with their "
      "values, on one line "
      "each."),
    R("providers: {groq: {proxy: \"socks5://a:1\"}}",
      "relay.yaml:1:27: providers.groq.proxy must be http://[user:password@]host:port, none, or "
      "empty."),
    R("providers: {groq: {timeouts: {idel: 3s}}}",
      "relay.yaml:1:31: providers.groq.timeouts.idel is not a setting; did you mean \"idle\"? "
      "Allowed here: "
      "connect, first_token, idle, total."),
    R("providers: {groq: {rpm: -1}}", "relay.yaml:1:25: providers.groq.rpm must be a whole number "
                                      "from 0 to 1000000000, not \"-1\"."),
    R("models: {}",
      "relay.yaml:1:9: models must be a list of at most 4096 models, each with an id."),
    R("models: [{input: 1}]", "relay.yaml:1:10: models[0] needs an id: provider/model."),
    R("models: [{id: gpt}]", "relay.yaml:1:15: models[0].id must be provider/model, such as "
                             "groq/llama-3.1-8b-instant, not \"gpt\"."),
    R("models: [{id: nope/m}]",
      "relay.yaml:1:10: models[0] names the provider \"nope\", which is neither built in "
      "nor in providers."),
    R("models: [{id: groq/m, input: 0.0000001}]",
      "relay.yaml:1:30: models[0].input must be a price in USD per million tokens such as 0.15, "
      "with at most six "
      "decimals, not \"0.0000001\"."),
    R("models: [{id: groq/m, input: free}]",
      "relay.yaml:1:30: models[0].input must be a price in USD per million tokens such as 0.15, "
      "with at most six "
      "decimals, not \"free\"."),
    R("models: [{id: groq/m, quality: 101}]",
      "relay.yaml:1:32: models[0].quality must be a number from 0 to 100, not \"101\"."),
    R("models: [{id: groq/m, capabilities: [tools, telepathy]}]",
      "relay.yaml:1:45: models[0].capabilities[1] must be a list of tools, json, vision, "
      "image_urls, reasoning, "
      "audio, embeddings, not \"telepathy\"."),
    R("models: [{id: groq/m, context: 10, max_output: 20}]",
      "relay.yaml:1:10: models[0] has a max_output above its context."),
    R("models:\n  - {id: groq/m}\n  - {id: groq/m}\n",
      "relay.yaml:3:5: models[1] has the id groq/m of an entry before it; keep one of them."),
    R("aliases: [a]", "relay.yaml:1:10: aliases must be a mapping of at most 1024 names, each with "
                      "a list of models."),
    R("aliases: {auto: [groq/m]}",
      "relay.yaml:1:11: aliases.auto is not a name for an alias; use at most 128 "
      "characters without blanks, and not \"auto\"."),
    R("aliases: {fast: []}",
      "relay.yaml:1:17: aliases.fast must be a list of 1 to 64 models, each provider/model."),
    R("aliases: {fast: [gpt]}", "relay.yaml:1:18: aliases.fast[0] must be provider/model, such as "
                                "groq/llama-3.1-8b-instant."),
    R("aliases: {fast: [nope/m]}",
      "relay.yaml:1:18: aliases.fast[0] names the provider \"nope\", which is neither "
      "built in nor in providers."),
};

TEST(each_bad_entry_has_its_sentence)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        check_refused(entries[i].text, NULL, entries[i].want, entries[i].line);
    }
}

TEST(sources_besides_the_file_are_named)
{
    static const char *const env[] = {"RELAY_LIMITS_RPM=lots", NULL};
    check_refused("", env,
                  "RELAY_LIMITS_RPM: limits.rpm must be a whole number from 0 to 1000000000.",
                  __LINE__);
    static const char *const store[] = {"RELAY_STORE=postgresql://u:se@cret@h/db", NULL};
    check_refused("", store, "RELAY_STORE: store must be " POSTGRES_ENCODED, __LINE__);
    static const struct config_override bad[] = {{"server.listen", "here"}};
    static const struct config_override unknown[] = {{"server.port", "1"}};
    char *error;
    CHECK(load_with(NULL, NULL, bad, 1, &error) == NULL);
    CHECK_CSTR(
        error,
        "--listen: server.listen must be an address with a port: 127.0.0.1:8080, [::1]:8080, "
        "localhost:8080 or :8080.");
    free(error);
    CHECK(load_with(NULL, NULL, unknown, 1, &error) == NULL);
    CHECK_CSTR(error, "--port: server.port is not a setting.");
    free(error);
}

TEST(secrets_are_not_in_errors)
{
    static const char *const env[] = {"SECRET=http://user:hunter2@h/?q", NULL};
    static const char *const texts[] = {"admin: {key: \"hunter2 x\"}",
                                        "providers: {groq: {api_key: \"hunter2 x\"}}",
                                        "providers: {groq: {base_url: \"http://u:hunter2@h/\"}}",
                                        "providers: {groq: {base_url: \"${SECRET}\"}}",
                                        "providers: {groq: {proxy: \"${SECRET}\"}}",
                                        "server: {listen: \"${SECRET}\"}",
                                        "telemetry: {otlp: \"http://u:hunter2@o/\"}",
                                        "telemetry: {otlp: \"${SECRET}\"}",
                                        "telemetry: {headers: {authorization: \"hunter2\\n\"}}",
                                        "server: {cors: [\"${SECRET}\"]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *error;
        struct config *c = load_with(texts[i], env, NULL, 0, &error);
        CHECK(c == NULL);
        CHECK(error != NULL && strstr(error, "hunter2") == NULL);
        config_unref(c);
        free(error);
    }
}

TEST(alias_bombs_and_depth_are_bounded)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
                                i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    check_refused(text, NULL,
                  "relay.yaml:6:15: the file is too large once its aliases are put in (100000 "
                  "values at most).",
                  __LINE__);
    char deep[BLOCK_MAX + 1];
    memset(deep, '[', BLOCK_MAX);
    deep[BLOCK_MAX] = '\0';
    check_refused(deep, NULL, "relay.yaml:1:34: this is nested more than 32 levels deep.",
                  __LINE__);
}

CHECK_MAIN
