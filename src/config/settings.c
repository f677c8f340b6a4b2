/* settings.c - the one table of settings.
 *
 * To add a setting, add a member to struct config and a row here: the parser, the environment
 * variable, `relay check`, the reload and the reference in the documentation follow from it. */
#include "config/settings.h"

#define AT(member)    offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define COUNT(member) offsetof(struct config, member)

#define KIB       1024.0
#define MIB       (1024.0 * KIB)
#define GIB       (1024.0 * MIB)
#define TIB       (1024.0 * GIB)
#define SECOND    1000.0
#define MINUTE    (60.0 * SECOND)
#define HOUR      (60.0 * MINUTE)
#define DAY       (24.0 * HOUR)
#define YEARS_100 (36500.0 * DAY)

static const char *const when_full_words[] = {"drop", "refuse", NULL};
static const char *const unpriced_words[] = {"refuse", "allow", NULL};
static const char *const scope_words[] = {"key", "group", "global", NULL};
static const char *const away_words[] = {"refuse", "share", NULL};
static const char *const level_words[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const format_words[] = {"json", "text", NULL};

#define TEXT(path, flags, member, fallback, check, help)                                           \
    {                                                                                              \
        path, SETTING_TEXT, flags, AT(member), 0, fallback, 0, 0, NULL, NULL, check, help          \
    }
#define BOOL(path, flags, member, fallback, help)                                                  \
    {                                                                                              \
        path, SETTING_BOOL, flags, AT(member), 0, fallback, 0, 0, NULL, NULL, NULL, help           \
    }
#define RANGE(type, path, flags, member, fallback, min, max, help)                                 \
    {                                                                                              \
        path, type, flags, AT(member), 0, fallback, min, max, NULL, NULL, NULL, help               \
    }
#define ZERO(type, path, flags, member, fallback, min, max, word, help)                            \
    {                                                                                              \
        path, type, flags, AT(member), 0, fallback, min, max, word, NULL, NULL, help               \
    }
#define WORD(path, flags, member, fallback, words, help)                                           \
    {                                                                                              \
        path, SETTING_WORD, flags, AT(member), 0, fallback, 0, 0, NULL, words, NULL, help          \
    }

const struct setting config_settings[] = {
    TEXT("server.listen", SETTING_RESTART, server.listen, "127.0.0.1:8080", check_listen,
         "Address and port for clients; `:8080` means every interface, port 0 a free one."),
    ZERO(SETTING_WHOLE, "server.workers", SETTING_RESTART, server.workers, "auto", 1, 8, "auto",
         "Worker threads; `auto` is half the cores, at least 1 and at most 8."),
    RANGE(SETTING_SIZE, "server.max_body", 0, server.max_body_bytes, "32MiB", KIB, GIB,
          "Largest request body; more is answered with 413."),
    RANGE(SETTING_WHOLE, "server.max_connections", 0, server.max_connections, "10000", 1, 1e6,
          "Client connections open at once, over all workers."),
    RANGE(SETTING_TIME, "server.request_timeout", 0, server.request_timeout_ms, "30s", 10, DAY,
          "Time for a request's head, and again for its body, to arrive."),
    RANGE(SETTING_TIME, "server.shutdown_grace", 0, server.shutdown_grace_ms, "30s", 0, DAY,
          "Time that running requests have to finish after SIGTERM or SIGINT."),
    {"server.cors", SETTING_LIST, 0, AT(server.cors), COUNT(server.cors_count), "[]", 0, 0, NULL,
     NULL, check_origin,
     "Origins whose pages may call `/v1` (`https://app.example.com`, or `*`); none by default."},
    TEXT("server.tls.cert", SETTING_RESTART_SWITCH, server.tls_cert, "", NULL,
         "Certificate chain (PEM file) of the listener; the file is read again on SIGHUP."),
    TEXT("server.tls.key", SETTING_RESTART_SWITCH, server.tls_key, "", NULL,
         "Private key (PEM file) that belongs to the certificate."),
    TEXT("admin.key", SETTING_SECRET | SETTING_RESTART, admin.key, "", check_admin_key,
         "Admin key; when empty, one is made at the first start and kept in `data/admin-key`."),
    TEXT("admin.listen", SETTING_RESTART, admin.listen, "", check_listen_or_empty,
         "An address of their own for the dashboard, the admin API and `/metrics`."),
    TEXT("store", SETTING_RESTART | SETTING_LOCATOR, store, "sqlite:data/relay.db", check_store,
         "Keys and request log: `sqlite:PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` "
         "for many gateways. The folder of PATH (else `data`) also holds the generated keys."),
    TEXT("shared", SETTING_RESTART | SETTING_LOCATOR, shared, "memory", check_shared,
         "Where several gateways count limits and budgets together and share their cache: a Redis "
         "8, or `memory` for one gateway alone."),
    TEXT("journal.dir", SETTING_RESTART, journal.dir, "data/journal", NULL,
         "Folder of the journal; when not set, `journal` beside the generated keys."),
    ZERO(SETTING_TIME, "journal.sync", SETTING_RESTART, journal.sync_ms, "1s", 1, HOUR, "always",
         "How often the journal is forced to disk: an interval, or `always` (before each answer "
         "ends)."),
    RANGE(SETTING_SIZE, "journal.max_bytes", SETTING_RESTART, journal.max_bytes, "1GiB", 64 * KIB,
          TIB, "Largest journal while the store is away."),
    WORD("journal.when_full", SETTING_RESTART, journal.refuse_when_full, "refuse", when_full_words,
         "What a full journal does: `refuse` new requests, or `drop` their rows."),
    RANGE(SETTING_WHOLE, "targets.max_latency_ms", 0, targets.max_latency_ms, "5000", 0, 3.6e6,
          "Latency target for model `auto` in streams (first token); 0 = none."),
    RANGE(SETTING_NUMBER, "targets.min_quality", 0, targets.min_quality, "30", 0, 100,
          "Quality target for model `auto`, 0 to 100."),
    TEXT("targets.baseline", 0, targets.baseline, "", check_model_or_empty,
         "The `provider/model` that savings are measured against; empty: the dearest candidate."),
    RANGE(SETTING_WHOLE, "routing.max_attempts", 0, routing.max_attempts, "3", 1, 16,
          "Candidates tried for one request, the first included."),
    RANGE(SETTING_NUMBER, "routing.explore", 0, routing.explore, "0.01", 0, 1,
          "Share of traffic that goes to models without measurements."),
    RANGE(SETTING_NUMBER, "routing.confidence", 0, routing.confidence, "0.9", 0, 1,
          "Chance of meeting the latency target that a candidate must have."),
    WORD("routing.unpriced", 0, routing.unpriced_allow, "allow", unpriced_words,
         "Whether a model without a known price may be asked for by name: `allow` or `refuse`."),
    BOOL("cache.exact", 0, cache.exact, "true", "Answer a repeated request from the cache."),
    BOOL("cache.semantic", 0, cache.semantic, "true",
         "Answer a question that means the same as an earlier one from the cache; needs the "
         "embedding model."),
    RANGE(SETTING_NUMBER, "cache.threshold", 0, cache.threshold, "0.75", 0, 1,
          "Similarity that the semantic cache asks for."),
    RANGE(SETTING_NUMBER, "cache.max_error", 0, cache.max_error, "0.01", 0, 1,
          "Share of wrong semantic hits that is tolerated."),
    RANGE(SETTING_NUMBER, "cache.audit", 0, cache.audit, "0", 0, 1,
          "Share of semantic hits that are checked against a fresh answer."),
    RANGE(SETTING_MONEY, "cache.audit_usd_per_day", 0, cache.audit_per_day, "1", 0, 1e6,
          "Most that these checks may cost in a day, in USD."),
    RANGE(SETTING_TIME, "cache.ttl", 0, cache.ttl_ms, "24h", SECOND, YEARS_100,
          "Age at which a cached answer is forgotten."),
    RANGE(SETTING_WHOLE, "cache.max_entries", 0, cache.max_entries, "100000", 1, 1e8,
          "Answers kept at most."),
    RANGE(SETTING_TIME, "cache.max_wait", 0, cache.max_wait_ms, "25ms", 0, MINUTE,
          "Longest wait for the semantic cache before a request goes on without it."),
    RANGE(SETTING_SIZE, "cache.max_bytes", 0, cache.max_bytes, "256MiB", KIB, TIB,
          "Memory for cached answers."),
    RANGE(SETTING_NUMBER, "cache.max_temperature", 0, cache.max_temperature, "1", 0, 10,
          "Requests with a higher temperature bypass the cache."),
    WORD("cache.scope", 0, cache.scope, "key", scope_words,
         "Who shares cached answers: one `key`, its cache `group`, or `global`: everybody."),
    TEXT("cache.model", SETTING_RESTART, cache.model, "all-MiniLM-L6-v2", NULL,
         "Embedding model that Relay runs itself: a name, looked for in `data/models/`, in "
         "`models/` beside the program and in `share/relay/models/` of where it is installed; or a "
         "folder; or the `https://` address of one, which `serve` fetches once into "
         "`data/models/`."),
    RANGE(SETTING_WHOLE, "limits.rpm", 0, limits.rpm, "600", 0, 1e9,
          "Requests per minute of a key that sets none; 0 = none."),
    RANGE(SETTING_WHOLE, "limits.tpm", 0, limits.tpm, "200000", 0, 1e12,
          "Tokens per minute of a key that sets none; 0 = none."),
    WORD("limits.when_shared_away", 0, limits.share_when_away, "share", away_words,
         "While the Redis of `shared` does not answer: each gateway admits its `share`, the limit "
         "divided by the gateways last seen; or `refuse`."),
    WORD("log.level", 0, log.level, "info", level_words, "Least important lines that are written."),
    WORD("log.format", 0, log.format, "json", format_words, "`json` lines or `text`."),
    RANGE(SETTING_TIME, "log.retention", 0, log.retention_ms, "90d", SECOND, YEARS_100,
          "Age at which rows of the request log are deleted."),
    BOOL("log.content", 0, log.content, "false", "Keep prompts and answers in the request log."),
    RANGE(SETTING_TIME, "log.content_retention", 0, log.content_retention_ms, "7d", SECOND,
          YEARS_100, "Age at which kept prompts and answers are deleted."),
    TEXT("telemetry.otlp", SETTING_LOCATOR, telemetry.otlp, "", check_collector,
         "Where an OpenTelemetry collector listens (OTLP over HTTP), such as "
         "http://127.0.0.1:4318: traces go to its /v1/traces; off when empty."),
    {"telemetry.headers", SETTING_HEADERS, SETTING_SECRET, AT(telemetry.headers),
     COUNT(telemetry.header_count), "{}", 0, 0, NULL, NULL, NULL,
     "Headers sent with traces, such as authorization."},
    RANGE(SETTING_NUMBER, "telemetry.sample", 0, telemetry.sample, "1", 0, 1,
          "Share of requests that are traced, of those whose caller has not decided it."),
    RANGE(SETTING_TIME, "timeouts.connect", 0, timeouts.connect_ms, "3s", 1, HOUR,
          "Time to connect to a provider, TLS included."),
    RANGE(SETTING_TIME, "timeouts.first_token", 0, timeouts.first_token_ms, "60s", 1, DAY,
          "Time to the first event of a stream; any byte counts."),
    RANGE(SETTING_TIME, "timeouts.idle", 0, timeouts.idle_ms, "60s", 1, DAY,
          "Longest silence inside a stream; any byte counts."),
    RANGE(SETTING_TIME, "timeouts.total", 0, timeouts.total_ms, "10m", 1, 7 * DAY,
          "Whole time of a request, all attempts together."),
    {0},
};
