/* openai_replay.c - a stored answer given back in the shape that this client asked for.
 *
 * What is stored is a plain body. A client that streams gets it as an event stream of the same form
 * as a live one, the text in pieces of about twenty tokens, all at once: an answer that is there
 * already is not slowed down for show. */
#include "dialects/openai.h"
#include "dialects/spans.h"

#define PIECE_BYTES 80

struct replay {
    struct arena *a;
    struct buf *out;
    str prefix;  /* of every chunk, up to its choices */
    str choices; /* the stored choices' text */
    int64_t index;
};

/* Stored JSON as it is, but in one line: line ends in it are only blanks, and would end the event.
 */
static void add_raw(struct buf *out, str raw)
{
    size_t from = out->len;
    if (!buf_add(out, raw))
        return;
    for (size_t i = from; i < out->len; i++)
        if (out->p[i] == '\n' || out->p[i] == '\r')
            out->p[i] = ' ';
}

static void chunk_begin(struct replay *r)
{
    buf_add(r->out, r->prefix);
    buf_add(r->out, STR("\"choices\":[{\"index\":"));
    buf_add_i64(r->out, r->index);
    buf_add(r->out, STR(",\"delta\":{"));
}

static void chunk_end(struct replay *r, str logprobs, str finish)
{
    buf_add(r->out, STR("},\"logprobs\":"));
    add_raw(r->out, logprobs.len > 0 ? logprobs : STR("null"));
    buf_add(r->out, STR(",\"finish_reason\":"));
    add_raw(r->out, finish.len > 0 ? finish : STR("null"));
    buf_add(r->out, STR("}]}\n\n"));
}

static void piece_write(struct replay *r, const char *name, str piece, str logprobs)
{
    chunk_begin(r);
    buf_add_char(r->out, '"');
    buf_add(r->out, str_of_c(name));
    buf_add(r->out, STR("\":"));
    json_add_str(r->out, piece);
    chunk_end(r, logprobs, (str){0});
}

/* Up to PIECE_BYTES, cut between characters. */
size_t openai_replay_piece(str text)
{
    if (text.len <= PIECE_BYTES)
        return text.len;
    size_t len = PIECE_BYTES;
    while (len > 0 && ((unsigned char)text.p[len] & 0xc0) == 0x80)
        len--;
    return len > 0 ? len : text.len;
}

static void text_write(struct replay *r, yyjson_val *message, const char *name, str logprobs)
{
    str text = json_str(json_get(message, name));
    /* Log probabilities belong to the tokens of one piece: then there is only one. */
    if (logprobs.len > 0 && text.len > 0) {
        piece_write(r, name, text, logprobs);
        return;
    }
    while (text.len > 0) {
        size_t len = openai_replay_piece(text);
        piece_write(r, name, str_sub(text, 0, len), (str){0});
        text = str_sub(text, len, text.len);
    }
}

/* What is no object is no call, as where the answer is read. */
static void calls_write(struct replay *r, str message_text, yyjson_val *message)
{
    str calls = json_member_raw(message_text, STR("tool_calls"));
    yyjson_val *list = json_get(message, "tool_calls"), *call;
    size_t i, max, written = 0;
    yyjson_arr_foreach(list, i, max, call)
    {
        if (!yyjson_is_obj(call))
            continue;
        struct json_edit index = {.key = STR("index"),
                                  .value = arena_printf(r->a, "%zu", written++)};
        chunk_begin(r);
        buf_add(r->out, STR("\"tool_calls\":["));
        add_raw(r->out, span_edit(r->a, span_element(calls, i), &index, 1));
        buf_add_char(r->out, ']');
        chunk_end(r, (str){0}, (str){0});
    }
}

static void choice_write(struct replay *r, size_t position, yyjson_val *choice)
{
    str text = span_element(r->choices, position);
    str message_text = json_member_raw(text, STR("message"));
    yyjson_val *message = json_get(choice, "message");
    str logprobs = {0};
    if (json_get(choice, "logprobs") != NULL)
        logprobs = json_member_raw(text, STR("logprobs"));
    r->index = (int64_t)position;
    json_get_i64(choice, "index", &r->index, NULL);
    chunk_begin(r);
    buf_add(r->out, STR("\"role\":\"assistant\",\"content\":"));
    buf_add(r->out, json_get(message, "content") != NULL ? STR("\"\"") : STR("null"));
    chunk_end(r, (str){0}, (str){0});
    text_write(r, message, "reasoning", (str){0});
    text_write(r, message, "reasoning_content", (str){0});
    text_write(r, message, "content", logprobs);
    text_write(r, message, "refusal", (str){0});
    calls_write(r, message_text, message);
    str finish = json_member_raw(text, STR("finish_reason"));
    chunk_begin(r);
    chunk_end(r, (str){0}, finish);
}

/* The stored usage with the cost of a hit, which is nothing. */
static str usage_of(struct arena *a, str stored, yyjson_val *root)
{
    yyjson_val *usage = json_get(root, "usage");
    if (!yyjson_is_obj(usage))
        return (str){0};
    str text = json_member_raw(stored, STR("usage"));
    struct json_edit cost = {.key = STR("cost"), .value = STR("0")};
    return span_edit(a, text, &cost, 1);
}

static bool replay_stream(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                          const struct answer_head *head, struct buf *out)
{
    str model = json_str(json_get(root, "model"));
    struct replay r = {.a = a, .out = out, .choices = json_member_raw(stored, STR("choices"))};
    r.prefix = arena_printf(
        a,
        "data: {\"id\":" STR_FMT
        ",\"object\":\"chat.completion.chunk\",\"created\":%lld,\"model\":" STR_FMT ",",
        STR_ARG(span_quote(a, head->id)), (long long)head->created_s,
        STR_ARG(span_quote(a, model.len > 0 ? model : head->model)));
    size_t i, n;
    yyjson_val *choice;
    yyjson_val *choices = json_get(root, "choices");
    yyjson_arr_foreach(choices, i, n, choice)
    {
        choice_write(&r, i, choice);
    }
    str usage = usage_of(a, stored, root);
    if (chat->include_usage && usage.len > 0) {
        buf_add(out, r.prefix);
        buf_add(out, STR("\"choices\":[],\"usage\":"));
        add_raw(out, usage);
        buf_add(out, STR("}\n\n"));
    }
    buf_add(out, STR("data: [DONE]\n\n"));
    return !out->full;
}

static bool replay_plain(struct arena *a, str stored, yyjson_val *root,
                         const struct answer_head *head, struct buf *out)
{
    struct json_edit edits[3] = {
        {.key = STR("id"), .value = span_quote(a, head->id)},
        {.key = STR("created"), .value = arena_printf(a, "%lld", (long long)head->created_s)},
    };
    size_t count = 2;
    str usage = usage_of(a, stored, root);
    if (usage.len > 0)
        edits[count++] = (struct json_edit){.key = STR("usage"), .value = usage};
    return json_edit_object(stored, edits, count, out);
}

bool openai_replay(struct arena *a, const struct chat *chat, str stored, yyjson_val *root,
                   const struct answer_head *head, struct buf *out)
{
    if (!yyjson_is_arr(json_get(root, "choices")))
        return false;
    return chat->stream ? replay_stream(a, chat, stored, root, head, out)
                        : replay_plain(a, stored, root, head, out);
}

str openai_text(struct arena *a, yyjson_val *root)
{
    (void)a;
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    return json_str(json_get(json_get(choice, "message"), "content"));
}
