/* openai_message.c - what a message of an answer and a delta of a stream have in common.
 *
 * Providers that call themselves compatible differ in small ways: content as an array of chunks,
 * arguments as an object, tool calls without an index, words of their own for the end. Here they
 * are read, and the text is put right by spans, so that a client sees OpenAI's form and everything
 * else as it came. */
#include "dialects/openai.h"
#include "dialects/spans.h"

enum finish openai_finish_in(str word)
{
    static const struct {
        const char *word;
        enum finish finish;
    } words[] = {
        {"stop", FINISH_STOP},
        {"length", FINISH_LENGTH},
        {"tool_calls", FINISH_TOOL_CALLS},
        {"function_call", FINISH_TOOL_CALLS},
        {"content_filter", FINISH_CONTENT_FILTER},
        {"error", FINISH_ERROR},
        {"eos", FINISH_STOP},            /* Together, in the past */
        {"model_length", FINISH_LENGTH}, /* Mistral */
        {"max_tokens", FINISH_LENGTH},
        {"tool_use", FINISH_TOOL_CALLS},
        {"safety", FINISH_CONTENT_FILTER},
        {"abort", FINISH_ERROR},                        /* vLLM */
        {"insufficient_system_resource", FINISH_ERROR}, /* DeepSeek */
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq_nocase(word, str_of_c(words[i].word)))
            return words[i].finish;
    return word.len > 0 ? FINISH_STOP : FINISH_NONE;
}

bool openai_error_message(yyjson_val *root, str *message)
{
    yyjson_val *first = yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root;
    yyjson_val *error = json_get(first, "error");
    if (error == NULL) {
        /* vLLM's older form and Mistral's: {"object":"error","message":…}. */
        if (!str_eq(json_str(yyjson_obj_get(first, "object")), STR("error")))
            return false;
        error = first;
    }
    *message = yyjson_is_str(error) ? json_str(error) : json_str(json_get(error, "message"));
    return true;
}

/* Adds the text of one chunk, which may hold an array of chunks itself. */
static void chunk_add(struct buf *text, struct buf *reasoning, yyjson_val *chunk)
{
    if (yyjson_is_str(chunk)) {
        buf_add(text, json_str(chunk));
        return;
    }
    yyjson_val *thinking = json_get(chunk, "thinking");
    if (thinking == NULL) {
        buf_add(text, json_str(json_get(chunk, "text")));
        return;
    }
    if (yyjson_is_str(thinking))
        buf_add(reasoning, json_str(thinking));
    size_t i, n;
    yyjson_val *inner;
    yyjson_arr_foreach(thinking, i, n, inner)
    {
        buf_add(reasoning, json_str(json_get(inner, "text")));
    }
}

void openai_content_in(struct arena *a, yyjson_val *content, str *text, str *reasoning)
{
    size_t cap = 1;
    yyjson_val *end = unsafe_yyjson_get_next(content);
    for (yyjson_val *v = content; v < end; v++)
        cap += yyjson_is_str(v) ? yyjson_get_len(v) : 0;
    struct buf texts = span_buf(a, cap);
    struct buf thoughts = span_buf(a, cap);
    size_t i, n;
    yyjson_val *chunk;
    yyjson_arr_foreach(content, i, n, chunk)
    {
        chunk_add(&texts, &thoughts, chunk);
    }
    *text = buf_str(&texts);
    *reasoning = buf_str(&thoughts);
}

str openai_arguments_of(struct arena *a, yyjson_val *function)
{
    yyjson_val *arguments = json_get(function, "arguments");
    if (!yyjson_is_obj(arguments))
        return json_str(arguments);
    return span_text(a, arguments);
}

/* One element of tool_calls: its index, and its arguments as a string. */
static str amend_call(struct arena *a, str text, yyjson_val *call, const unsigned *index)
{
    struct json_edit edits[2];
    size_t count = 0;
    yyjson_val *function = json_get(call, "function");
    if (yyjson_is_obj(json_get(function, "arguments"))) {
        struct json_edit arguments = {
            .key = STR("arguments"),
            .value = span_quote(a, openai_arguments_of(a, function)),
        };
        str inner = json_member_raw(text, STR("function"));
        edits[count++] =
            (struct json_edit){.key = STR("function"), .value = span_edit(a, inner, &arguments, 1)};
    }
    if (index != NULL)
        edits[count++] =
            (struct json_edit){.key = STR("index"), .value = arena_printf(a, "%u", *index)};
    return count > 0 ? span_edit(a, text, edits, count) : text;
}

static str amend_calls(struct arena *a, str message_text, yyjson_val *message,
                       const unsigned *indexes)
{
    str text = json_member_raw(message_text, STR("tool_calls"));
    str fixed = text;
    size_t i, n;
    yyjson_val *call;
    yyjson_val *calls = json_get(message, "tool_calls");
    yyjson_arr_foreach(calls, i, n, call)
    {
        str old = span_element(fixed, i);
        if (yyjson_is_obj(call))
            fixed = span_replace(a, fixed, old,
                                 amend_call(a, old, call, indexes != NULL ? &indexes[i] : NULL));
    }
    return fixed;
}

static str amend_message(struct arena *a, str text, yyjson_val *message,
                         const struct openai_fix *fix)
{
    struct json_edit edits[3];
    size_t count = 0;
    if (fix->calls)
        edits[count++] = (struct json_edit){
            .key = STR("tool_calls"), .value = amend_calls(a, text, message, fix->call_indexes)};
    if (fix->content) {
        str content, reasoning;
        openai_content_in(a, json_get(message, "content"), &content, &reasoning);
        edits[count++] = (struct json_edit){.key = STR("content"), .value = span_quote(a, content)};
        if (reasoning.len > 0)
            edits[count++] = (struct json_edit){.key = STR("reasoning_content"),
                                                .value = span_quote(a, reasoning)};
    }
    return count > 0 ? span_edit(a, text, edits, count) : text;
}

str openai_amend(struct arena *a, str root_text, size_t choice, const char *key,
                 yyjson_val *message, const struct openai_fix *fix)
{
    str choices = json_member_raw(root_text, STR("choices"));
    str text = span_element(choices, choice);
    struct json_edit edits[2];
    size_t count = 0;
    if (fix->finish.len > 0)
        edits[count++] = (struct json_edit){.key = STR("finish_reason"), .value = fix->finish};
    if (fix->content || fix->calls) {
        str old = json_member_raw(text, str_of_c(key));
        edits[count++] =
            (struct json_edit){.key = str_of_c(key), .value = amend_message(a, old, message, fix)};
    }
    return span_replace(a, root_text, text, span_edit(a, text, edits, count));
}
