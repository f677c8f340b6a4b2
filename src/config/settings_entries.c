/* settings_entries.c - the tables for one entry of `providers` and one entry of `models`. */
#include "config/settings.h"

#define AT(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)

#define TIME(path, member, help)                                                                   \
    {                                                                                              \
        path, SETTING_TIME, 0, AT(provider_config, member), 0, NULL, 1, 7 * 24 * 3.6e6, NULL,      \
            NULL, NULL, help                                                                       \
    }

const struct setting config_provider_settings[] = {
    {"kind", SETTING_TEXT, 0, AT(provider_config, kind), 0, NULL, 0, 0, NULL, NULL, check_kind,
     "Which API it speaks: `openai`, `anthropic`, `gemini` or `ollama`; a built-in provider "
     "knows."},
    {"base_url", SETTING_TEXT, SETTING_LOCATOR, AT(provider_config, base_url), 0, NULL, 0, 0, NULL,
     NULL, NULL, "Address with its version part, such as `http://10.0.0.7:8000/v1`."},
    {"api_key", SETTING_KEYS, SETTING_SECRET, AT(provider_config, api_keys),
     offsetof(struct provider_config, api_key_count), NULL, 0, 0, NULL, NULL, NULL,
     "One key, or a list of keys that are balanced; an unset variable turns the provider off."},
    {"headers", SETTING_HEADERS, SETTING_SECRET, AT(provider_config, headers),
     offsetof(struct provider_config, header_count), NULL, 0, 0, NULL, NULL, NULL,
     "Headers sent to it with every request."},
    {"proxy", SETTING_TEXT, SETTING_LOCATOR, AT(provider_config, proxy), 0, NULL, 0, 0, NULL, NULL,
     check_proxy,
     "`http://[user:password@]host:port`; empty: HTTPS_PROXY and NO_PROXY decide; `none`: no "
     "proxy."},
    {"ca_file", SETTING_TEXT, 0, AT(provider_config, ca_file), 0, NULL, 0, 0, NULL, NULL, NULL,
     "PEM file of the authorities to trust in place of the system's."},
    TIME("timeouts.connect", timeouts.connect_ms, "As `timeouts.connect`, for this provider."),
    TIME("timeouts.first_token", timeouts.first_token_ms,
         "As `timeouts.first_token`, for this provider."),
    TIME("timeouts.idle", timeouts.idle_ms, "As `timeouts.idle`, for this provider."),
    TIME("timeouts.total", timeouts.total_ms, "As `timeouts.total`, for this provider."),
    {"rpm", SETTING_WHOLE, 0, AT(provider_config, rpm), 0, NULL, 0, 1e9, NULL, NULL, NULL,
     "Requests per minute sent to it at most; 0 = no limit."},
    {"tpm", SETTING_WHOLE, 0, AT(provider_config, tpm), 0, NULL, 0, 1e12, NULL, NULL, NULL,
     "Tokens per minute sent to it at most; 0 = no limit."},
    {0},
};

static const char *const capability_words[] = {"tools",     "json",  "vision",     "image_urls",
                                               "reasoning", "audio", "embeddings", NULL};

#define PRICE(path, member, has, help)                                                             \
    {                                                                                              \
        path, SETTING_PRICE, 0, AT(model_config, member), offsetof(struct model_config, has),      \
            NULL, 0, 9e6, NULL, NULL, NULL, help                                                   \
    }
#define COUNTED(path, member, has, help)                                                           \
    {                                                                                              \
        path, SETTING_WHOLE, 0, AT(model_config, member), offsetof(struct model_config, has),      \
            NULL, 1, 1e9, NULL, NULL, NULL, help                                                   \
    }

const struct setting config_model_settings[] = {
    {"id", SETTING_TEXT, 0, AT(model_config, id), 0, NULL, 0, 0, NULL, NULL, check_model,
     "`provider/model`; the only key that an entry must have."},
    PRICE("input", input, has_input, "Price of prompt tokens, in USD per million."),
    PRICE("output", output, has_output, "Price of completion tokens, in USD per million."),
    PRICE("cached_input", cached_input, has_cached_input,
          "Price of prompt tokens read from the provider's cache."),
    PRICE("cache_write", cache_write, has_cache_write,
          "Price of prompt tokens written to the provider's cache."),
    PRICE("cache_write_1h", cache_write_1h, has_cache_write_1h,
          "Price of prompt tokens written to it for an hour."),
    {"quality", SETTING_NUMBER, 0, AT(model_config, quality),
     offsetof(struct model_config, has_quality), NULL, 0, 100, NULL, NULL, NULL, "0 to 100."},
    COUNTED("context", context, has_context, "Prompt and answer together, in tokens."),
    COUNTED("max_output", max_output, has_max_output, "Longest answer, in tokens."),
    {"capabilities", SETTING_FLAGS, 0, AT(model_config, tools),
     offsetof(struct model_config, has_capabilities), NULL, 0, 0, NULL, capability_words, NULL,
     "What it can do; what is not listed it cannot. `embeddings` alone: no chats."},
    {0},
};
