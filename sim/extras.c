/* extras.c - the answers that are no chat: lists of models, embeddings, token counts, and the small
 * doors of Ollama that tell a client whether and which Ollama is there. */
#include <math.h>
#include <string.h>

#include "sim.h"

enum { VECTOR_DEFAULT = 384, VECTOR_MAX = 4096 };

static const char *const default_models[] = {"sim-small", "sim-large", "sim-embed"};

static size_t model_count(yyjson_val *models)
{
    return models ? yyjson_arr_size(models) : sizeof default_models / sizeof default_models[0];
}

static struct slice model_name(yyjson_val *models, size_t i)
{
    yyjson_val *name = yyjson_arr_get(models, i);
    return models ? (struct slice){yyjson_get_str(name), yyjson_get_len(name)}
                  : slice_of(default_models[i]);
}

/* One format per dialect: what stands before and after the model's name. */
static void add_models(struct bytes *out, const struct ask *a, yyjson_val *models)
{
    static const char *const fronts[] = {"{\"object\":\"list\",\"data\":[", "{\"data\":[",
                                         "{\"models\":[", "{\"models\":["};
    static const char *const backs[] = {"]}", "],\"has_more\":false}", "]}", "]}"};
    bytes_add_text(out, fronts[a->dialect]);
    for (size_t i = 0; i < model_count(models); i++) {
        struct slice name = model_name(models, i);
        bytes_add_text(out, i ? "," : "");
        if (a->dialect == DIALECT_OPENAI) {
            bytes_add_text(out, "{\"object\":\"model\",\"created\":1767225600,"
                                "\"owned_by\":\"relay-sim\",\"id\":");
            bytes_add_json(out, name);
        } else if (a->dialect == DIALECT_ANTHROPIC) {
            bytes_add_text(out, "{\"type\":\"model\",\"created_at\":\"2026-01-01T00:00:00Z\","
                                "\"display_name\":\"relay-sim\",\"id\":");
            bytes_add_json(out, name);
        } else if (a->dialect == DIALECT_GEMINI) {
            bytes_add_format(out,
                             "{\"displayName\":\"relay-sim\",\"supportedGenerationMethods\":"
                             "[\"generateContent\",\"countTokens\"],\"name\":\"models/%.*s\"",
                             (int)name.size, name.at);
        } else {
            bytes_add_text(out, "{\"modified_at\":\"2026-01-01T00:00:00Z\",\"size\":1000000,"
                                "\"digest\":\"0123456789abcdef\",\"details\":{\"format\":\"gguf\","
                                "\"family\":\"sim\",\"families\":[\"sim\"],"
                                "\"parameter_size\":\"1B\",\"quantization_level\":\"Q4_0\"},"
                                "\"name\":");
            bytes_add_json(out, name);
            bytes_add_text(out, ",\"model\":");
            bytes_add_json(out, name);
        }
        bytes_add_text(out, "}");
    }
    bytes_add_text(out, backs[a->dialect]);
}

/* A unit vector that depends on the text alone. */
static void make_vector(struct slice text, float *vector, size_t dimensions)
{
    uint64_t seed = 1469598103934665603u;
    for (size_t i = 0; i < text.size; i++)
        seed = (seed ^ (unsigned char)text.at[i]) * 1099511628211u;
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = (float)(random_unit(&seed) * 2 - 1);
        sum += (double)vector[i] * (double)vector[i];
    }
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

static void add_vector(struct bytes *out, struct slice text, size_t dimensions, bool base64)
{
    float vector[VECTOR_MAX];
    make_vector(text, vector, dimensions);
    if (base64) { /* little-endian floats, as on every machine this runs on */
        bytes_add_text(out, "\"");
        bytes_add_base64(out, vector, dimensions * sizeof vector[0]);
        bytes_add_text(out, "\"");
        return;
    }
    bytes_add_text(out, "[");
    for (size_t i = 0; i < dimensions; i++)
        bytes_add_format(out, "%s%.6f", i ? "," : "", (double)vector[i]);
    bytes_add_text(out, "]");
}

static struct slice input_text(yyjson_val *item)
{
    if (yyjson_is_str(item))
        return (struct slice){yyjson_get_str(item), yyjson_get_len(item)};
    yyjson_val *token = yyjson_arr_get_first(item); /* a list of token numbers */
    return (struct slice){yyjson_get_raw(token), yyjson_is_raw(token) ? yyjson_get_len(token) : 0};
}

/* One request of Gemini's, its text and how long its vector is. */
static size_t gemini_vector(struct bytes *out, yyjson_val *request)
{
    yyjson_val *parts = yyjson_obj_get(yyjson_obj_get(request, "content"), "parts");
    struct slice text = json_text(yyjson_arr_get_first(parts), "text");
    int64_t wanted = json_int(request, "outputDimensionality", VECTOR_DEFAULT);
    size_t dimensions = wanted > 0 && wanted <= VECTOR_MAX ? (size_t)wanted : VECTOR_DEFAULT;
    bytes_add_text(out, "{\"values\":");
    add_vector(out, text, dimensions, false);
    bytes_add_text(out, "}");
    return count_tokens(text);
}

static void add_gemini_embeddings(struct bytes *out, const struct ask *a, const struct plan *p)
{
    size_t i, count, tokens = 0;
    yyjson_val *request;
    yyjson_val *requests = yyjson_obj_get(a->root, "requests");
    bytes_add_text(out, requests ? "{\"embeddings\":[" : "{\"embedding\":");
    if (!requests)
        tokens = gemini_vector(out, a->root);
    yyjson_arr_foreach(requests, i, count, request)
    {
        bytes_add_text(out, i ? "," : "");
        tokens += gemini_vector(out, request);
    }
    if (p->prompt_tokens != PLAN_UNSET)
        tokens = (size_t)p->prompt_tokens;
    bytes_add_format(out, "%s,\"usageMetadata\":{\"promptTokenCount\":%zu}}", requests ? "]" : "",
                     tokens);
}

static void add_embeddings(struct bytes *out, const struct ask *a, const struct plan *p)
{
    yyjson_val *input = yyjson_obj_get(a->root, "input");
    bool list = yyjson_is_arr(input) && !yyjson_is_raw(yyjson_arr_get_first(input));
    size_t count = list ? yyjson_arr_size(input) : 1;
    if (count > ASK_INPUTS_MAX)
        count = ASK_INPUTS_MAX;
    int64_t wanted = json_int(a->root, "dimensions", VECTOR_DEFAULT);
    size_t dimensions = wanted > 0 && wanted <= VECTOR_MAX ? (size_t)wanted : VECTOR_DEFAULT;
    bool base64 = slice_is(json_text(a->root, "encoding_format"), "base64");
    bool ollama = a->dialect == DIALECT_OLLAMA;
    size_t tokens = 0;
    bytes_add_text(out, ollama ? "{\"embeddings\":[" : "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        struct slice text = input_text(list ? yyjson_arr_get(input, i) : input);
        tokens += count_tokens(text);
        bytes_add_text(out, i ? "," : "");
        if (!ollama)
            bytes_add_format(out, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i);
        add_vector(out, text, dimensions, base64 && !ollama);
        bytes_add_text(out, ollama ? "" : "}");
    }
    bytes_add_text(out, "],\"model\":");
    bytes_add_json(out, a->model);
    if (p->prompt_tokens != PLAN_UNSET)
        tokens = (size_t)p->prompt_tokens;
    if (ollama)
        bytes_add_format(out, ",\"total_duration\":1000000,\"prompt_eval_count\":%zu}", tokens);
    else
        bytes_add_format(out, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", tokens,
                         tokens);
}

static void add_count(struct bytes *out, const struct ask *a, const struct plan *p)
{
    struct answer r;
    answer_make(&r, a, p, 0);
    bytes_add_format(
        out, a->dialect == DIALECT_GEMINI ? "{\"totalTokens\":%lld}" : "{\"input_tokens\":%lld}",
        (long long)r.counts.prompt);
    answer_deinit(&r);
}

void extras_write(struct bytes *out, const struct ask *a, const struct plan *p, yyjson_val *models)
{
    switch (a->task) {
    case TASK_MODELS:
        add_models(out, a, models);
        break;
    case TASK_EMBED:
        if (a->dialect == DIALECT_GEMINI)
            add_gemini_embeddings(out, a, p);
        else
            add_embeddings(out, a, p);
        break;
    case TASK_COUNT:
        add_count(out, a, p);
        break;
    case TASK_SHOW:
        bytes_add_text(out,
                       "{\"modelfile\":\"\",\"template\":\"\",\"details\":{\"format\":\"gguf\","
                       "\"family\":\"sim\",\"parameter_size\":\"1B\",\"quantization_level\":"
                       "\"Q4_0\"},\"model_info\":{\"general.architecture\":\"sim\","
                       "\"sim.context_length\":131072},\"capabilities\":");
        /* As a real Ollama tells of these families. */
        bytes_add_text(out, slice_has(a->model, slice_of("embed")) ? "[\"embedding\"]}"
                            : slice_has(a->model, slice_of("qwen3"))
                                ? "[\"completion\",\"tools\",\"vision\",\"thinking\"]}"
                                : "[\"completion\",\"tools\",\"vision\"]}");
        break;
    case TASK_VERSION:
        bytes_add_text(out, "{\"version\":\"0.12.0\"}");
        break;
    case TASK_CHAT:
        break;
    }
}
