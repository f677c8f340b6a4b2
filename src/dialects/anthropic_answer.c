/* anthropic_answer.c - Anthropic's whole answers, and what they share with its streams: usage, and
 * words for the end.
 *
 * Usage: input_tokens leaves out what was read from or written to a cache, so the prompt of the
 * normal form is the sum of all three; cache_creation_input_tokens is the sum of its two lifetimes;
 * output_tokens has the thinking in it. Source: @anthropic-ai/sdk 1.12, public report
 * BerriAI/litellm#9812. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

#define COUNT_MAX INT64_C(1000000000000)

enum finish anthropic_finish_in(str word)
{
    static const struct {
        const char *word;
        enum finish finish;
    } words[] = {
        {"end_turn", FINISH_STOP},       {"stop_sequence", FINISH_STOP},
        {"pause_turn", FINISH_STOP}, /* no other dialect has a word for it */
        {"max_tokens", FINISH_LENGTH},   {"model_context_window_exceeded", FINISH_LENGTH},
        {"tool_use", FINISH_TOOL_CALLS}, {"refusal", FINISH_CONTENT_FILTER},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(word, str_of_c(words[i].word)))
            return words[i].finish;
    return word.len > 0 ? FINISH_STOP : FINISH_NONE;
}

static bool count_get(yyjson_val *object, const char *key, int64_t *out)
{
    int64_t n = 0;
    if (!json_get_i64(object, key, &n, NULL) || n < 0 || n > COUNT_MAX)
        return false;
    *out = n;
    return true;
}

bool anthropic_usage_in(yyjson_val *object, struct usage *u)
{
    int64_t fresh = u->prompt - u->cached - u->cache_write - u->cache_write_1h;
    int64_t written = u->cache_write + u->cache_write_1h;
    int64_t five = 0, hour = 0;
    bool told = count_get(object, "input_tokens", &fresh);
    told |= count_get(object, "output_tokens", &u->completion);
    if (!told)
        return false;
    count_get(object, "cache_read_input_tokens", &u->cached);
    bool total = count_get(object, "cache_creation_input_tokens", &written);
    yyjson_val *lifetimes = json_get(object, "cache_creation");
    if (count_get(lifetimes, "ephemeral_1h_input_tokens", &hour))
        u->cache_write_1h = hour;
    if (count_get(lifetimes, "ephemeral_5m_input_tokens", &five) && !total)
        written = five + u->cache_write_1h;
    if (u->cache_write_1h > written)
        u->cache_write_1h = written;
    u->cache_write = written - u->cache_write_1h;
    u->prompt = fresh + u->cached + written;
    count_get(json_get(object, "output_tokens_details"), "thinking_tokens", &u->reasoning);
    if (u->reasoning > u->completion)
        u->reasoning = u->completion;
    u->known = true;
    return true;
}

str anthropic_refusal_of(yyjson_val *holder)
{
    return json_str(json_get(json_get(holder, "stop_details"), "explanation"));
}

static void call_in(struct arena *a, yyjson_val *block, struct answer *out)
{
    struct chat_tool_call *call = &out->tool_calls[out->tool_call_count++];
    yyjson_val *input = json_get(block, "input");
    call->id = json_str(json_get(block, "id"));
    call->name = json_str(json_get(block, "name"));
    call->arguments = yyjson_is_obj(input) ? span_text(a, input) : STR("{}");
}

static void thought_in(yyjson_val *block, bool redacted, struct answer *out)
{
    struct chat_part *p = &out->thoughts[out->thought_count++];
    *p = (struct chat_part){
        .kind = PART_REASONING,
        .text = json_str(json_get(block, "thinking")),
        .signature = json_str(json_get(block, "signature")),
        .redacted = redacted,
        .data = json_str(json_get(block, "data")),
    };
    if (p->signature.len > 0)
        out->signature = p->signature;
}

/* The texts of all blocks of a type are one text; of a single one it is borrowed. */
static str text_in(struct arena *a, yyjson_val *content, str type, const char *key)
{
    size_t i, n, bytes = 0;
    yyjson_val *block;
    str only = {0};
    yyjson_arr_foreach(content, i, n, block)
    {
        str text = json_str(json_get(block, key));
        if (!str_eq(json_str(json_get(block, "type")), type) || text.len == 0)
            continue;
        only = bytes == 0 ? text : (str){0};
        bytes += text.len;
    }
    if (only.len == bytes)
        return only;
    struct buf b = span_buf(a, bytes);
    yyjson_arr_foreach(content, i, n, block)
    {
        if (str_eq(json_str(json_get(block, "type")), type))
            buf_add(&b, json_str(json_get(block, key)));
    }
    return buf_str(&b);
}

static void content_in(struct arena *a, yyjson_val *content, struct answer *out)
{
    size_t count = yyjson_arr_size(content);
    out->tool_calls = arena_new(a, struct chat_tool_call, count);
    out->thoughts = arena_new(a, struct chat_part, count);
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        str type = json_str(json_get(block, "type"));
        if (str_eq(type, STR("tool_use")))
            call_in(a, block, out);
        else if (str_eq(type, STR("thinking")))
            thought_in(block, false, out);
        else if (str_eq(type, STR("redacted_thinking")))
            thought_in(block, true, out);
    }
    out->text = text_in(a, content, STR("text"), "text");
    out->reasoning = text_in(a, content, STR("thinking"), "thinking");
}

enum err anthropic_answer_in(struct arena *a, const struct target *target, str body,
                             struct answer *out, str *why)
{
    (void)target;
    *out = (struct answer){.usage = usage_none(), .choices = 1};
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    yyjson_val *error = json_get(root, "error");
    if (error != NULL) {
        *why = yyjson_is_str(error) ? json_str(error) : json_str(json_get(error, "message"));
        return ERR_UPSTREAM_ERROR;
    }
    yyjson_val *content = json_get(root, "content");
    if (!yyjson_is_arr(content)) {
        *why = STR("the answer has no content");
        return ERR_UPSTREAM_INVALID;
    }
    content_in(a, content, out);
    if (out->tool_call_count > ANTHROPIC_CALLS_MAX || out->thought_count > ANTHROPIC_THOUGHTS_MAX) {
        *why = STR("the answer has too many blocks");
        return ERR_UPSTREAM_INVALID;
    }
    out->id = json_str(json_get(root, "id"));
    out->model = json_str(json_get(root, "model"));
    out->finish_native = json_str(json_get(root, "stop_reason"));
    out->finish = anthropic_finish_in(out->finish_native);
    if (out->finish == FINISH_STOP && out->tool_call_count > 0)
        out->finish = FINISH_TOOL_CALLS;
    if (out->finish == FINISH_CONTENT_FILTER)
        out->refusal = anthropic_refusal_of(root);
    anthropic_usage_in(json_get(root, "usage"), &out->usage);
    return OK;
}
