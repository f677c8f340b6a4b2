/* A client's request in OpenAI's dialect, and what each provider is then sent.
 *
 * Whatever is accepted must give valid JSON for every flavour, and a request that is refused must
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
        .model = STR("up\"stream"),
        .no_temperature = chat->n > 1,
    };
    struct outgoing out = {0};
    str why = {0}, param = {0};
    enum err err = dialect->request_out(a, chat, &target, &out, &why, &param);
    if (err == OK) {
        yyjson_val *root = json_parse(a, out.body, NULL);
        assert(root != NULL);
        /* Gemini has it in the path. */
        assert(dialect == &dialect_gemini ||
               str_eq(json_str(json_get(root, "model")), target.model));
        assert(json_get(root, "routing") == NULL);
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
        enum err err = dialect_openai.request_in(&a, &doc, &chat, &why, &param);
        if (err == OK) {
            assert(chat.message_count > 0 && chat.model.len > 0);
            send_to(&a, &chat, "openai", "openai");
            send_to(&a, &chat, "mistral", "openai");
            send_to(&a, &chat, "deepseek", "openai");
            send_to(&a, &chat, "my-own", "openai");
            send_to(&a, &chat, "ollama", "ollama");
            send_to(&a, &chat, "gemini", "gemini");
        } else {
            assert(err == ERR_INVALID_REQUEST && why.len > 0);
        }
    }
    arena_deinit(&a);
    return 0;
}
