/* A client's request in Anthropic's dialect, and what each provider is then sent.
 *
 * Whatever is accepted must give valid JSON for every dialect, and a request that is refused must
 * say why. */
#include <assert.h>

#include "dialects/dialect.h"

#include "mutate_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_to(struct arena *a, const struct chat *chat, const char *provider,
                    const char *kind)
{
    str kind_name = str_of_c(kind);
    const struct dialect *dialect = dialect_find(kind_name);
    struct target target = {
        .flavour = flavour_find(str_of_c(provider), kind_name),
        .model = STR("claude-up\"stream"),
        .max_output = -1,
        .no_temperature = chat->has_top_k,
        .no_reasoning = chat->has_top_p,
    };
    struct outgoing out = {0};
    str why = {0}, param = {0};
    enum err err = dialect->request_out(a, chat, &target, &out, &why, &param);
    if (err == OK) {
        yyjson_val *root = json_parse(a, out.body, NULL);
        assert(root != NULL);
        assert(json_get(root, "routing") == NULL);
        assert(dialect != chat->door || str_eq(json_str(json_get(root, "model")), target.model));
    } else {
        assert(err == ERR_INVALID_REQUEST && why.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct chat chat;
    str why = {0}, param = {0};
    str body = str_of((const char *)data, size);
    arena_init(&a, 0);
    struct json_doc doc;
    if (json_read(&a, body, &doc, &why)) {
        enum err err = dialect_anthropic.request_in(&a, &doc, &chat, &why, &param);
        if (err == OK) {
            assert(chat.model.len > 0 && chat.max_tokens >= 0);
            send_to(&a, &chat, "anthropic", "anthropic");
            send_to(&a, &chat, "openai", "openai");
            send_to(&a, &chat, "mistral", "openai");
            send_to(&a, &chat, "deepseek", "openai");
            send_to(&a, &chat, "gemini", "gemini");
            send_to(&a, &chat, "ollama", "ollama");
        } else {
            assert(err == ERR_INVALID_REQUEST && why.len > 0);
        }
    }
    arena_deinit(&a);
    return 0;
}
