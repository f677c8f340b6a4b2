/* gemini_embeddings.c - embeddings at Gemini: one batchEmbedContents for all inputs.
 *
 * Its vectors become OpenAI's list. Usage is read where it is told; older models tell none, and it
 * is an estimate then. Source: Google's reference of the Gemini API, "Embeddings". */
#include "dialects/embeddings.h"
#include "dialects/gemini.h"
#include "dialects/openai.h"

static void request_write(struct writer *w, yyjson_val *text, unsigned index)
{
    const struct chat *chat = w->chat;
    writer_add_str(w, index == 0 ? "{\"requests\":[{\"model\":" : ",{\"model\":",
                   gemini_model(w->a, w->target->model));
    writer_add_str(w, ",\"content\":{\"parts\":[{\"text\":", json_str(text));
    writer_add(w, "}]}");
    if (chat->dimensions > 0)
        writer_add_int(w, ",\"outputDimensionality\":", chat->dimensions);
    writer_add(w, "}");
}

enum err gemini_embed_out(struct arena *a, const struct chat *chat, const struct target *target,
                          struct outgoing *out, str *why, str *param)
{
    struct writer w;
    writer_init(&w, a, chat, target, "Gemini", why, param);
    size_t i, n;
    yyjson_val *text;
    if (yyjson_is_str(chat->input))
        request_write(&w, chat->input, 0);
    yyjson_arr_foreach(chat->input, i, n, text)
    {
        request_write(&w, text, (unsigned)i);
    }
    writer_add(&w, "]}");
    bool good =
        !chat->input_tokens || writer_refuse(&w, STR("input"), "takes texts only, no tokens");
    enum err err = writer_take(&w, good, &out->body);
    out->path = gemini_path(a, target->model, ":batchEmbedContents");
    gemini_headers(target, false, out);
    return err;
}

enum err gemini_embed_in(struct arena *a, const struct chat *chat, const struct target *target,
                         str body, struct answer *out, str *why)
{
    *out = (struct answer){.usage = usage_none(), .choices = chat->input_count};
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (openai_error_message(root, why))
        return ERR_UPSTREAM_ERROR;
    yyjson_val *meta = json_get(root, "usageMetadata");
    int64_t tokens = -1;
    out->usage.known = json_get_i64(meta, "promptTokenCount", &tokens, NULL) && tokens >= 0;
    if (out->usage.known)
        out->usage.prompt = tokens;
    out->model = target->model;
    return embeddings_list_in(a, chat, json_get(root, "embeddings"), out, why);
}
