/* config.h - one immutable snapshot of the configuration, and how it is read.
 *
 * Sources, strongest first: command-line flag, environment RELAY_<SECTION>_<KEY>, file, default
 * (reference 2). Settings are one table (settings.def): name, type, default, range, whether a
 * reload may change it, one sentence; the parser, the reference in docs/reference/settings.md and
 * `relay check` read the same table. All strings live in the snapshot's arena. */
#ifndef RELAY_CONFIG_CONFIG_H
#define RELAY_CONFIG_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/money.h"
#include "base/str.h"

#define CONFIG_PROVIDER_KEYS_MAX 64
#define CONFIG_PROVIDERS_MAX     256
#define CONFIG_MODELS_MAX        4096
#define CONFIG_ALIASES_MAX       1024
#define CONFIG_HEADERS_MAX       16

/* Why a provider of the configuration or the environment does or does not take part. */
enum provider_state {
    PROVIDER_ON,
    PROVIDER_OFF_NO_KEY, /* its api_key is an unset variable, or it is built in and nothing names it
                          */
    PROVIDER_OFF_UNAVAILABLE, /* its variable holds no address */
};

struct header {
    str name, value;
};

enum cache_scope { CACHE_SCOPE_KEY, CACHE_SCOPE_GROUP, CACHE_SCOPE_GLOBAL };

/* A row of settings.def is a member here. */
/* clang-format off */
#define SECTION(name)                        struct config_##name {
#define END(name)                            } name;
#define TEXT(section, member, ...)           str member;
#define BOOL(section, member, ...)           bool member;
#define NUMBER(section, member, type, ...)   type member;
#define WORD(section, member, type, ...)     type member;
#define LIST(section, member, count, ...)    str *member; unsigned count;
#define HEADERS(section, member, count, ...) struct header member[CONFIG_HEADERS_MAX]; unsigned count;
/* clang-format on */
struct config {
    struct arena arena;
    _Atomic int refs;
    str path; /* of the file, or empty */

    /* The settings: `str listen` of struct config_server server, and so on. */
#include "config/settings.def"

    struct provider_config *providers;
    unsigned provider_count;
    struct model_config *models;
    unsigned model_count;
    struct alias_config *aliases;
    unsigned alias_count;
    str local_store; /* the store when it is a file; else where it would be: what lies beside it
                        is found by this */
    str data_dir;    /* its folder: "data"; admin-key, first-key and models are in it */
};

#undef SECTION
#undef END
#undef TEXT
#undef BOOL
#undef NUMBER
#undef WORD
#undef LIST
#undef HEADERS

struct provider_config {
    str name;     /* "groq", "my-vllm" */
    str kind;     /* "openai", "anthropic", "gemini", "ollama" */
    str base_url; /* with its version part, no slash at the end */
    str api_keys[CONFIG_PROVIDER_KEYS_MAX];
    unsigned api_key_count;                    /* 0: none is sent */
    struct header headers[CONFIG_HEADERS_MAX]; /* sent to it besides */
    unsigned header_count;
    str proxy; /* http://[user:password@]host:port, or empty; already resolved from
                  HTTPS_PROXY/NO_PROXY */
    str ca_file;
    struct config_timeouts timeouts; /* the global ones where it sets none */
    int64_t rpm, tpm;                /* 0: none */
    bool named;                      /* in the file (else: found in the environment) */
    bool built_in;
    enum provider_state state;
    str state_reason; /* for people: "GROQ_API_KEY is not set" */
};

/* An entry of `models:`: adds to, or overrides, the catalogue. Prices in pusd per token. */
struct model_config {
    str id; /* "provider/model" */
    bool has_input, has_output, has_cached_input, has_cache_write, has_cache_write_1h, has_quality,
        has_context, has_max_output;
    bool has_capabilities;
    pusd input, output, cached_input, cache_write, cache_write_1h;
    double quality; /* 0-100 */
    int64_t context, max_output;
    bool tools, json, vision, image_urls, reasoning, audio, embeddings;
};

struct alias_config {
    str name;
    str *models; /* "provider/model" */
    unsigned model_count;
};

/* A flag of the command line that overrides a setting: "server.listen" = "127.0.0.1:9000". */
struct config_override {
    const char *path;
    const char *value;
};

/* The environment as a function, so that tests own it; NULL for an unset name. */
typedef const char *config_env_fn(void *ctx, const char *name);
const char *config_env_process(void *ctx, const char *name); /* getenv */

struct config_source {
    const char
        *path; /* file, or NULL: relay.yaml in the current folder when it exists, else defaults */
    config_env_fn *env;
    void *env_ctx;
    const struct config_override *overrides;
    unsigned override_count;
    const char *demo; /* YAML with one of `providers` and its `models`, which stand in where no
                         provider has a key; NULL: none */
};

/* Reads and checks everything. NULL: *error is for people, with file, line, path of the key and
 * what is allowed, allocated (the caller frees). The result has one reference. */
struct config *config_load(const struct config_source *source, char **error);
struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* NULL is allowed */

/* The proxy that the environment names for this address (https_proxy, no_proxy and so on), in the
 * arena; empty: none. False: there is one that cannot be used. */
bool config_find_proxy(const struct config_source *source, struct arena *a, str url, str *proxy);

/* Names the settings that differ and need a restart (listen, workers, store, shared, …), comma
 * separated in the arena; empty when none. */
str config_restart_differences(struct arena *a, const struct config *now,
                               const struct config *next);

/* The effective configuration without secrets, as YAML with one line per setting that is not at its
 * default when `all` is false. */
void config_print(const struct config *c, struct buf *out, bool all);

/* The reference for docs/reference/settings.md, from the table. */
void config_print_reference(struct buf *out);

#endif
