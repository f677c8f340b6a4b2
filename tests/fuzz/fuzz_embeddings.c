/* An embeddings request and a provider's answer to it, apart by a NUL: read, translated both ways.
 * An answer that is taken is a list of as many embeddings as were asked for. */
#include <assert.h>
#include <stdint.h>

#include "dialects/dialect.h"

#include "mutate_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_checked(struct arena *a, const struct chat *chat, const struct answer *answer)
{
    struct buf out;
    struct answer_head head = {.chat = chat};
    buf_init(&out, SIZE_MAX);
    bool good = dialect_embeddings.answer_out(answer, &head, (str){0}, 1, &out);
    yyjson_val *list = json_parse(a, buf_str(&out), NULL);
    assert(good && yyjson_arr_size(json_get(list, "data")) == chat->input_count);
    (void)good;
    (void)list;
    buf_deinit(&out);
}

static void exchange(struct arena *a, const struct dialect *provider, const struct chat *chat,
                     str body)
{
    struct target target = {.flavour = flavour_find(STR("mistral"), STR("openai")),
                            .model = STR("up")};
    struct outgoing out = {0};
    struct answer answer;
    str why = {0}, param = {0};
    if (provider_request_out(provider, a, chat, &target, &out, &why, &param) == OK)
        assert(json_parse(a, out.body, NULL) != NULL);
    if (provider_answer_in(provider, a, chat, &target, body, &answer, &why) == OK)
        write_checked(a, chat, &answer);
    struct provider_error error;
    provider_error_in(provider, a, chat, &target, 400, body, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct chat chat;
    str why = {0}, param = {0}, body, answer;
    arena_init(&a, 0);
    (void)str_cut(str_of((const char *)data, size), '\0', &body, &answer);
    struct json_doc doc;
    if (json_read(&a, body, &doc, NULL) && yyjson_is_obj(doc.root)) {
        if (dialect_embeddings.request_in(&a, &doc, &chat, &why, &param) == OK) {
            exchange(&a, &dialect_openai, &chat, answer);
            exchange(&a, &dialect_ollama, &chat, answer);
            exchange(&a, &dialect_gemini, &chat, answer);
        } else {
            assert(why.len > 0 && param.len > 0);
        }
    }
    arena_deinit(&a);
    return 0;
}
