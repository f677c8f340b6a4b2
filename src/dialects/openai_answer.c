/* openai_answer.c - a whole answer: the provider's body read, and the client's body written.
 *
 * When both speak this dialect the provider's bytes go on, with `cost` put into usage; only what is
 * not OpenAI's form is put right (openai_message.c). */
#include "dialects/openai.h"
#include "dialects/spans.h"

static void calls_in(struct arena *a, yyjson_val *calls, yyjson_val *old, struct answer *out,
                     bool *amend)
{
    size_t count = yyjson_arr_size(calls);
    if (count == 0 && !yyjson_is_obj(old))
        return;
    out->tool_calls = arena_new(a, struct chat_tool_call, count + 1);
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, n, call)
    {
        if (!yyjson_is_obj(call))
            continue;
        yyjson_val *function = json_get(call, "function");
        struct chat_tool_call *to = &out->tool_calls[out->tool_call_count++];
        to->id = json_str(json_get(call, "id"));
        if (function != NULL) {
            to->name = json_str(json_get(function, "name"));
            to->arguments = openai_arguments_of(a, function);
            *amend |= yyjson_is_obj(json_get(function, "arguments"));
        } else {
            yyjson_val *custom = json_get(call, "custom");
            to->name = json_str(json_get(custom, "name"));
            to->arguments = json_str(json_get(custom, "input"));
        }
    }
    if (yyjson_is_obj(old)) {
        struct chat_tool_call *to = &out->tool_calls[out->tool_call_count++];
        to->name = json_str(json_get(old, "name"));
        to->arguments = openai_arguments_of(a, old);
    }
}

/* The members that are read, picked in one pass each, in the order in which most send them. */
enum {
    ROOT_ID,
    ROOT_OBJECT,
    ROOT_MODEL,
    ROOT_CHOICES,
    ROOT_USAGE,
    ROOT_GROQ,
    ROOT_ERROR,
    ROOT_COUNT
};
static const str root_names[ROOT_COUNT] = {
    STR_INIT("id"),    STR_INIT("object"), STR_INIT("model"), STR_INIT("choices"),
    STR_INIT("usage"), STR_INIT("x_groq"), STR_INIT("error"),
};

enum { CHOICE_MESSAGE, CHOICE_FINISH, CHOICE_COUNT };
static const str choice_names[CHOICE_COUNT] = {STR_INIT("message"), STR_INIT("finish_reason")};

enum {
    IN_CONTENT,
    IN_REASONING_CONTENT,
    IN_REASONING,
    IN_REFUSAL,
    IN_CALLS,
    IN_FUNCTION,
    IN_COUNT
};
static const str message_names[IN_COUNT] = {
    STR_INIT("content"), STR_INIT("reasoning_content"), STR_INIT("reasoning"),
    STR_INIT("refusal"), STR_INIT("tool_calls"),        STR_INIT("function_call"),
};

static void choice_in(struct arena *a, str body, yyjson_val *const *choice, struct answer *out)
{
    yyjson_val *message = choice[CHOICE_MESSAGE], *in[IN_COUNT];
    span_pick(message, message_names, IN_COUNT, in);
    yyjson_val *content = in[IN_CONTENT];
    struct openai_fix fix = {.content = yyjson_is_arr(content)};
    out->text = json_str(content);
    out->reasoning = json_str(in[IN_REASONING_CONTENT]);
    if (out->reasoning.len == 0)
        out->reasoning = json_str(in[IN_REASONING]);
    if (fix.content)
        openai_content_in(a, content, &out->text, &out->reasoning);
    out->refusal = json_str(in[IN_REFUSAL]);
    calls_in(a, in[IN_CALLS], in[IN_FUNCTION], out, &fix.calls);
    out->finish_native = json_str(choice[CHOICE_FINISH]);
    out->finish = openai_finish_in(out->finish_native);
    if (out->finish == FINISH_STOP && out->tool_call_count > 0)
        out->finish = FINISH_TOOL_CALLS;
    const char *word = finish_text(out->finish);
    if (word != NULL && !str_eq(str_of_c(word), out->finish_native) &&
        !str_eq(out->finish_native, STR("function_call")))
        fix.finish = span_quote(a, str_of_c(word));
    if (fix.finish.len > 0 || fix.content || fix.calls)
        out->amended = openai_amend(a, body, 0, "message", message, &fix);
}

static void usage_in(const struct target *target, const struct json_doc *doc, str body,
                     yyjson_val *const *root, struct answer *out)
{
    str text = {0};
    if (yyjson_is_obj(root[ROOT_USAGE]))
        text = json_doc_raw(doc, STR("usage"));
    if (!openai_usage_in(target->flavour, root[ROOT_USAGE], text, &out->usage))
        openai_usage_in(target->flavour, json_get(root[ROOT_GROQ], "usage"), (str){0}, &out->usage);
    if (text.len > 0 && yyjson_obj_get(root[ROOT_USAGE], "cost") == NULL) {
        out->usage_at = (size_t)(text.p - body.p);
        out->usage_len = text.len;
    }
}

enum err openai_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why)
{
    *out = (struct answer){.usage = usage_none()};
    str text = str_trim(body); /* DeepSeek sends empty lines while a request waits */
    struct json_doc doc;
    yyjson_val *root[ROOT_COUNT], *first[CHOICE_COUNT];
    json_read(a, text, &doc, NULL);
    span_pick(doc.root, root_names, ROOT_COUNT, root);
    bool maybe = root[ROOT_ERROR] != NULL || root[ROOT_CHOICES] == NULL ||
                 str_eq(json_str(root[ROOT_OBJECT]), STR("error"));
    str error = {0};
    if (maybe && openai_error_message(doc.root, &error)) {
        *why = error;
        return ERR_UPSTREAM_ERROR;
    }
    yyjson_val *choices = root[ROOT_CHOICES];
    span_pick(yyjson_arr_get_first(choices), choice_names, CHOICE_COUNT, first);
    if (!yyjson_is_obj(first[CHOICE_MESSAGE])) {
        *why = STR("the answer has no message");
        return ERR_UPSTREAM_INVALID;
    }
    out->id = json_str(root[ROOT_ID]);
    out->model = json_str(root[ROOT_MODEL]);
    size_t count = yyjson_arr_size(choices);
    if (count > OPENAI_CHOICES_MAX) {
        *why = STR("the answer has too many choices");
        return ERR_UPSTREAM_INVALID;
    }
    out->choices = (unsigned)count;
    choice_in(a, text, first, out);
    usage_in(target, &doc, body, root, out);
    return OK;
}

static void add_member(struct buf *b, const char *before, str value)
{
    buf_add(b, str_of_c(before));
    json_add_str(b, value);
}

/* Reasoning that is signed or hidden, to be given back: in OpenRouter's form. */
static void details_out(const struct answer *answer, struct buf *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < answer->thought_count; i++) {
        const struct chat_part *p = &answer->thoughts[i];
        if (p->signature.len == 0 && p->data.len == 0)
            continue;
        buf_add(out, count++ == 0 ? STR(",\"reasoning_details\":[{\"type\":") : STR(",{\"type\":"));
        if (p->redacted) {
            add_member(out, "\"reasoning.encrypted\",\"data\":", p->data);
        } else {
            add_member(out, "\"reasoning.text\",\"text\":", p->text);
            add_member(out, ",\"signature\":", p->signature);
        }
        buf_add_char(out, '}');
    }
    if (count > 0)
        buf_add_char(out, ']');
}

static void calls_out(const struct answer *answer, struct buf *out)
{
    for (unsigned i = 0; i < answer->tool_call_count; i++) {
        const struct chat_tool_call *call = &answer->tool_calls[i];
        add_member(out, i == 0 ? ",\"tool_calls\":[{\"id\":" : ",{\"id\":", call->id);
        add_member(out, ",\"type\":\"function\",\"function\":{\"name\":", call->name);
        add_member(out, ",\"arguments\":", call->arguments);
        buf_add(out, STR("}}"));
    }
    if (answer->tool_call_count > 0)
        buf_add_char(out, ']');
}

/* From the neutral value, when the provider spoke another dialect. */
static bool answer_write(const struct answer *answer, const struct answer_head *head, pusd cost,
                         struct buf *out)
{
    add_member(out, "{\"id\":", head->id);
    buf_add(out, STR(",\"object\":\"chat.completion\",\"created\":"));
    buf_add_i64(out, head->created_s);
    add_member(out, ",\"model\":", head->model);
    buf_add(out,
            STR(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"));
    if (answer->text.len == 0 && (answer->tool_call_count > 0 || answer->refusal.len > 0))
        buf_add(out, STR("null"));
    else
        json_add_str(out, answer->text);
    if (answer->reasoning.len > 0)
        add_member(out, ",\"reasoning_content\":", answer->reasoning);
    details_out(answer, out);
    buf_add(out, STR(",\"refusal\":"));
    if (answer->refusal.len > 0)
        json_add_str(out, answer->refusal);
    else
        buf_add(out, STR("null"));
    calls_out(answer, out);
    const char *finish = finish_text(answer->finish);
    add_member(out, "},\"logprobs\":null,\"finish_reason\":",
               finish != NULL ? str_of_c(finish) : STR("stop"));
    buf_add(out, STR("}]"));
    if (answer->usage.known) {
        buf_add(out, STR(",\"usage\":"));
        openai_usage_out(&answer->usage, cost, out);
    }
    return buf_add_char(out, '}');
}

bool openai_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                       pusd cost, struct buf *out)
{
    if (native.len == 0) {
        answer_write(answer, head, cost, out);
        return !out->full;
    }
    bool amended = answer->amended.len > 0;
    str body = amended ? answer->amended : native;
    bool costs = pusd_known(cost) && answer->usage.known;
    bool placed = !amended && answer->usage_len > 0;
    str usage = {0};
    if (costs && placed)
        usage = str_of(body.p + answer->usage_at, answer->usage_len);
    else if (costs)
        usage = json_member_raw(body, STR("usage"));
    if (usage.len == 0 || usage.p[0] != '{') {
        buf_add(out, body);
        return !out->full;
    }
    size_t before = (size_t)(usage.p - body.p);
    buf_add(out, str_sub(body, 0, before));
    if (placed)
        openai_usage_add_cost(usage, cost, out);
    else
        openai_usage_with_cost(usage, cost, out);
    buf_add(out, str_sub(body, before + usage.len, body.len));
    return !out->full;
}
