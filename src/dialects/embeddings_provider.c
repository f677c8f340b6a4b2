/* embeddings_provider.c - embeddings at providers: OpenAI's POST /embeddings and Ollama's POST
 * /api/embed; and the list that vectors of others become.
 *
 * OpenAI's body goes on as it came but for `model` and Relay's own fields. Ollama's is made anew,
 * with truncate:false: a text that is too long is an error, as it is at OpenAI, and not half a
 * text. Its vectors become OpenAI's list in the encoding asked for. Sources: OpenAI's API
 * reference, "Create embeddings"; ollama/ollama, api/types.go, EmbedRequest and EmbedResponse. */
#include <assert.h>
#include <float.h>

#include "dialects/embeddings.h"
#include "dialects/openai.h"
#include "dialects/spans.h"
#include "dialects/writer.h"

#define COUNT_MAX   INT64_C(1000000000000)
#define EDITS_MAX   (6 + FLAVOUR_DROPS_MAX)
#define GROUP_BYTES 3

/* ---- OpenAI ---- */

static bool is_named(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

enum err embeddings_openai_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param)
{
    (void)why;
    (void)param;
    static const char *const own[] = {"routing", "cache", "stream", "metadata"};
    struct json_edit edits[EDITS_MAX];
    size_t count = 0, own_count = sizeof own / sizeof *own;
    if (target->store_metadata)
        own_count--;
    if (!str_eq(chat->model, target->model))
        edits[count++] =
            (struct json_edit){.key = STR("model"), .value = span_quote(a, target->model)};
    for (size_t i = 0; i < own_count; i++)
        if (yyjson_obj_get(chat->doc.root, own[i]) != NULL)
            edits[count++] = (struct json_edit){.key = str_of_c(own[i])};
    const char *const *drops = target->flavour->drops;
    for (size_t i = 0; i < FLAVOUR_DROPS_MAX && drops[i] != NULL; i++)
        if (yyjson_obj_get(chat->doc.root, drops[i]) != NULL && !is_named(own, own_count, drops[i]))
            edits[count++] = (struct json_edit){.key = str_of_c(drops[i])};
    out->path = STR("/embeddings");
    out->body = count > 0 ? span_edit_doc(a, &chat->doc, edits, count) : chat->doc.text;
    openai_headers(a, target, STR("application/json"), out);
    return OK;
}

static bool count_get(yyjson_val *object, const char *key, int64_t *out)
{
    int64_t n = 0;
    if (!json_get_i64(object, key, &n, NULL) || n < 0 || n > COUNT_MAX)
        return false;
    *out = n;
    return true;
}

/* Everything went in and no token came out; some say total_tokens only. */
static void usage_in(const struct target *target, yyjson_val *root, str body, struct usage *out)
{
    yyjson_val *usage = json_get(root, "usage");
    struct usage told = usage_none();
    int64_t prompt = 0;
    bool states = yyjson_obj_get(usage, "cost") != NULL;
    str text = states ? json_member_raw(body, STR("usage")) : (str){0};
    bool whole = openai_usage_in(target->flavour, usage, text, &told);
    if (!count_get(usage, "prompt_tokens", &prompt) && !count_get(usage, "total_tokens", &prompt))
        return;
    *out = usage_none();
    out->known = true;
    out->prompt = prompt;
    if (whole)
        out->stated_cost = told.stated_cost;
}

static enum err invalid(str *why, const char *what)
{
    *why = str_of_c(what);
    return ERR_UPSTREAM_INVALID;
}

enum err embeddings_openai_in(struct arena *a, const struct chat *chat, const struct target *target,
                              str body, struct answer *out, str *why)
{
    *out = (struct answer){.usage = usage_none()};
    body = str_trim(body);
    yyjson_val *root = json_parse(a, body, NULL);
    if (openai_error_message(root, why))
        return ERR_UPSTREAM_ERROR;
    yyjson_val *data = json_get(root, "data");
    if (!yyjson_is_arr(data))
        return invalid(why, "the answer has no embeddings");
    if (yyjson_arr_size(data) != chat->input_count)
        return invalid(why, "the answer has not as many embeddings as there were inputs");
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(data, i, n, item)
    {
        yyjson_val *vector = json_get(item, "embedding");
        if (!yyjson_is_arr(vector) && !yyjson_is_str(vector))
            return invalid(why, "an embedding is missing");
    }
    out->model = json_str(json_get(root, "model"));
    out->choices = chat->input_count;
    out->embeddings = body;
    usage_in(target, root, body, &out->usage);
    return OK;
}

/* ---- Ollama ---- */

enum err embeddings_ollama_out(struct arena *a, const struct chat *chat,
                               const struct target *target, struct outgoing *out, str *why,
                               str *param)
{
    struct writer w;
    writer_init(&w, a, chat, target, "Ollama", why, param);
    writer_add_str(&w, "{\"model\":", target->model);
    writer_add_val(&w, ",\"input\":", chat->input);
    if (chat->dimensions > 0)
        writer_add_int(&w, ",\"dimensions\":", chat->dimensions);
    writer_add(&w, ",\"truncate\":false}");
    bool good =
        !chat->input_tokens || writer_refuse(&w, STR("input"), "takes texts only, no tokens");
    enum err err = writer_take(&w, good, &out->body);
    out->path = STR("/api/embed");
    openai_headers(a, target, STR("application/json"), out);
    return err;
}

struct base64 {
    struct buf *out;
    unsigned char group[GROUP_BYTES];
    unsigned held;
};

static void base64_flush(struct base64 *b)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (b->held == 0)
        return;
    for (unsigned i = b->held; i < GROUP_BYTES; i++)
        b->group[i] = 0;
    unsigned bits = (unsigned)b->group[0] << 16 | (unsigned)b->group[1] << 8 | b->group[2];
    char text[4] = {letters[bits >> 18], letters[bits >> 12 & 63],
                    b->held > 1 ? letters[bits >> 6 & 63] : '=',
                    b->held > 2 ? letters[bits & 63] : '='};
    buf_add(b->out, str_of(text, sizeof text));
    b->held = 0;
}

static void base64_add_f32(struct base64 *b, float number)
{
    uint32_t bits;
    static_assert(sizeof bits == sizeof number, "f32");
    memcpy(&bits, &number, sizeof bits);
    for (unsigned shift = 0; shift < 32; shift += 8) {
        b->group[b->held++] = (unsigned char)(bits >> shift & 0xff);
        if (b->held == GROUP_BYTES)
            base64_flush(b);
    }
}

/* False: not a vector of numbers that a float can hold. */
static bool vector_write(const struct chat *chat, yyjson_val *vector, struct buf *out)
{
    struct base64 base64 = {.out = out};
    size_t i, n;
    yyjson_val *number;
    if (yyjson_arr_size(vector) == 0)
        return false;
    buf_add_char(out, chat->base64 ? '"' : '[');
    yyjson_arr_foreach(vector, i, n, number)
    {
        double value = yyjson_get_num(number);
        if (!yyjson_is_num(number) || !(value >= -(double)FLT_MAX && value <= (double)FLT_MAX))
            return false;
        if (chat->base64) {
            base64_add_f32(&base64, (float)value);
            continue;
        }
        if (i > 0)
            buf_add_char(out, ',');
        json_add_val(out, number);
    }
    base64_flush(&base64);
    return buf_add_char(out, chat->base64 ? '"' : ']');
}

/* Nine digits are a float, whichever it is. */
static void floats_write(bool as_base64, const float *vector, size_t dimensions, struct buf *out)
{
    struct base64 base64 = {.out = out};
    buf_add_char(out, as_base64 ? '"' : '[');
    for (size_t i = 0; i < dimensions; i++) {
        if (as_base64)
            base64_add_f32(&base64, vector[i]);
        else
            buf_printf(out, "%s%.9g", i > 0 ? "," : "", (double)vector[i]);
    }
    base64_flush(&base64);
    buf_add_char(out, as_base64 ? '"' : ']');
}

static void item_begin(struct buf *out, size_t i)
{
    buf_add(out, i > 0 ? STR(",{\"object\":\"embedding\",\"index\":")
                       : STR("{\"object\":\"embedding\",\"index\":"));
    buf_add_u64(out, i);
    buf_add(out, STR(",\"embedding\":"));
}

/* "usage" stands last and only when the count was told: Ollama leaves out a count of 0. */
static bool list_end(const struct answer *answer, struct buf *out)
{
    buf_add(out, STR("],\"model\":"));
    json_add_str(out, answer->model);
    if (answer->usage.known) {
        buf_add(out, STR(",\"usage\":{\"prompt_tokens\":"));
        buf_add_i64(out, answer->usage.prompt);
        buf_add(out, STR(",\"total_tokens\":"));
        buf_add_i64(out, answer->usage.prompt);
        buf_add_char(out, '}');
    }
    return buf_add_char(out, '}');
}

static bool list_write(const struct chat *chat, yyjson_val *vectors, const struct answer *answer,
                       struct buf *out)
{
    size_t i, n;
    yyjson_val *vector;
    buf_add(out, STR("{\"object\":\"list\",\"data\":["));
    yyjson_arr_foreach(vectors, i, n, vector)
    {
        item_begin(out, i);
        yyjson_val *values = json_get(vector, "values"); /* Gemini's */
        if (!vector_write(chat, values != NULL ? values : vector, out))
            return false;
        buf_add_char(out, '}');
    }
    return list_end(answer, out);
}

bool embeddings_list_out(const struct answer *head, bool as_base64, const float *const *vectors,
                         size_t count, size_t dimensions, struct buf *out)
{
    buf_add(out, STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < count; i++) {
        item_begin(out, i);
        floats_write(as_base64, vectors[i], dimensions, out);
        buf_add_char(out, '}');
    }
    return list_end(head, out);
}

enum err embeddings_ollama_in(struct arena *a, const struct chat *chat, const struct target *target,
                              str body, struct answer *out, str *why)
{
    *out = (struct answer){.usage = usage_none(), .choices = chat->input_count};
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (openai_error_message(root, why))
        return ERR_UPSTREAM_ERROR;
    out->model = json_str(json_get(root, "model"));
    if (out->model.len == 0)
        out->model = target->model;
    out->usage.known = count_get(root, "prompt_eval_count", &out->usage.prompt);
    return embeddings_list_in(a, chat, json_get(root, "embeddings"), out, why);
}

enum err embeddings_list_in(struct arena *a, const struct chat *chat, yyjson_val *vectors,
                            struct answer *out, str *why)
{
    if (!yyjson_is_arr(vectors))
        return invalid(why, "the answer has no embeddings");
    if (yyjson_arr_size(vectors) != chat->input_count)
        return invalid(why, "the answer has not as many embeddings as there were inputs");
    struct buf list;
    buf_init(&list, WRITER_BODY_BYTES_MAX);
    bool good = list_write(chat, vectors, out, &list);
    if (good)
        out->embeddings = arena_copy(a, buf_str(&list));
    buf_deinit(&list);
    return good ? OK : invalid(why, "an embedding is no vector of numbers");
}
