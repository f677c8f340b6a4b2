/* embeddings.c - the door POST /v1/embeddings: OpenAI's request and list.
 *
 * An embeddings request is a chat value without messages (chat.asked); the providers' half is in
 * embeddings_provider.c, and answers come from there in OpenAI's form already. `stream` has no
 * meaning here and is passed over. Form: OpenAI's API reference, "Create embeddings". */
#include "dialects/embeddings.h"
#include "dialects/openai.h"
#include "dialects/reader.h"

#define DIMENSIONS_MAX  1000000
#define INPUTS_MAX      1000000u
#define TOKEN_MAX       INT64_C(1000000000000)
#define BYTES_PER_TOKEN 4u /* as estimate_tokens() counts */

static bool read_model(struct reader *r, yyjson_val *v)
{
    if (!yyjson_is_str(v))
        return reader_fault(r, NULL, "must be a string");
    r->chat->model = json_str(v);
    return r->chat->model.len > 0 || reader_fault(r, NULL, "must not be empty");
}

static bool tokens_in(struct reader *r, yyjson_val *list)
{
    size_t i, n;
    yyjson_val *token;
    if (yyjson_arr_size(list) == 0)
        return reader_fault(r, NULL, "must not be empty");
    yyjson_arr_foreach(list, i, n, token)
    {
        int64_t number;
        reader_enter_index(r, i);
        bool good = reader_int(r, token, 0, TOKEN_MAX, &number);
        reader_leave(r);
        if (!good)
            return false;
    }
    r->chat->text_bytes += n * BYTES_PER_TOKEN;
    return true;
}

/* All elements are of the first one's kind. */
static bool element_in(struct reader *r, yyjson_val *first, yyjson_val *v)
{
    if (yyjson_is_str(first)) {
        r->chat->text_bytes += yyjson_get_len(v);
        return yyjson_is_str(v) || reader_fault(r, NULL, "must be a string");
    }
    return yyjson_is_arr(v) ? tokens_in(r, v) : reader_fault(r, NULL, "must be a list of tokens");
}

static bool read_input(struct reader *r, yyjson_val *v)
{
    static const char what[] =
        "must be a string, an array of strings, an array of tokens or an array of such arrays";
    struct chat *chat = r->chat;
    yyjson_val *first = yyjson_arr_get_first(v);
    chat->input = v;
    chat->input_count = 1;
    if (yyjson_is_str(v)) {
        chat->text_bytes += yyjson_get_len(v);
        return true;
    }
    if (!yyjson_is_arr(v))
        return reader_fault(r, NULL, what);
    if (first == NULL)
        return reader_fault(r, NULL, "must not be empty");
    chat->input_tokens = !yyjson_is_str(first);
    if (yyjson_is_num(first))
        return tokens_in(r, v);
    if (!yyjson_is_str(first) && !yyjson_is_arr(first))
        return reader_fault(r, NULL, what);
    if (yyjson_arr_size(v) > INPUTS_MAX)
        return reader_fault(r, NULL, "has too many elements");
    chat->input_count = (unsigned)yyjson_arr_size(v);
    size_t i, n;
    yyjson_val *element;
    yyjson_arr_foreach(v, i, n, element)
    {
        reader_enter_index(r, i);
        bool good = element_in(r, first, element);
        reader_leave(r);
        if (!good)
            return false;
    }
    return true;
}

static bool read_dimensions(struct reader *r, yyjson_val *v)
{
    return reader_int(r, v, 1, DIMENSIONS_MAX, &r->chat->dimensions);
}

static bool read_encoding_format(struct reader *r, yyjson_val *v)
{
    str format = json_str(v);
    r->chat->base64 = str_eq(format, STR("base64"));
    return r->chat->base64 || str_eq(format, STR("float")) ||
           reader_fault(r, NULL, "must be float or base64");
}

static bool read_user(struct reader *r, yyjson_val *v)
{
    r->chat->user = json_str(v);
    return yyjson_is_str(v) || reader_fault(r, NULL, "must be a string");
}

/* What has no row goes upstream unread; those without a reader choose another model or price
 * (OpenRouter's). */
static const struct reader_field fields[] = {
    {"model", read_model, false},
    {"input", read_input, false},
    {"dimensions", read_dimensions, false},
    {"encoding_format", read_encoding_format, false},
    {"user", read_user, false},
    {"metadata", reader_is_object, false},
    {"routing", reader_is_object, false},
    {"cache", reader_is_object, false},
    {"models", NULL, true},
    {"route", NULL, true},
    {"provider", NULL, true},
    {"preset", NULL, true},
    {"plugins", NULL, true},
};

#define FIELD_COUNT (sizeof fields / sizeof *fields)

static bool body_in(struct reader *r, yyjson_val *root)
{
    if (!reader_fields(r, root, fields, FIELD_COUNT))
        return false;
    if (r->chat->model.len == 0)
        return reader_fault(r, "model", "is missing");
    return r->chat->input != NULL || reader_fault(r, "input", "is missing");
}

static enum err request_in(struct arena *a, const struct json_doc *body, struct chat *out, str *why,
                           str *param)
{
    struct reader r;
    bool good = reader_begin(&r, a, &dialect_embeddings, body, out);
    out->asked = ASKED_EMBEDDINGS;
    return reader_end(&r, good && body_in(&r, body->root), why, param);
}

/* The list as it is, with the cost in its usage when both are known. */
static bool list_out(str list, pusd cost, struct buf *out)
{
    str usage = {0};
    if (pusd_known(cost))
        usage = json_member_raw(list, STR("usage"));
    if (usage.len == 0 || usage.p[0] != '{') {
        buf_add(out, list);
        return !out->full;
    }
    size_t before = (size_t)(usage.p - list.p);
    buf_add(out, str_sub(list, 0, before));
    openai_usage_with_cost(usage, cost, out);
    buf_add(out, str_sub(list, before + usage.len, list.len));
    return !out->full;
}

static bool answer_out(const struct answer *answer, const struct answer_head *head, str native,
                       pusd cost, struct buf *out)
{
    (void)head;
    (void)native;
    return list_out(answer->embeddings, answer->usage.known ? cost : PUSD_UNKNOWN, out);
}

/* A hit costs nothing; there is nothing else of its first request in the list. */
static bool replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                   const struct answer_head *head, struct buf *out)
{
    (void)a;
    (void)chat;
    (void)head;
    return yyjson_is_arr(json_get(root, "data")) && list_out(stored, 0, out);
}

const struct dialect dialect_embeddings = {
    .name = "embeddings",
    .request_in = request_in,
    .answer_out = answer_out,
    .error_out = openai_error_out,
    .replay = replay,
    .id_prefix = "",
};
