/* gemini_answer.c - Gemini's answers, whole and as a stream.
 *
 * Every event of a stream is a whole response that holds new parts only; calls come whole, each
 * wherever it likes, so they are numbered here. Nothing marks the end: finishReason may stand on
 * every event, so it is kept, and counts when the provider has ended the stream (stream_in_end). A
 * prompt that was blocked has no candidate at all. */
#include "dialects/calls.h"
#include "dialects/gemini.h"
#include "dialects/openai.h"
#include "dialects/spans.h"

#define COUNT_MAX      INT64_C(1000000000000)
#define WORD_BYTES_MAX 64 /* of a finishReason */
#define SEED_BYTES_MAX 128

struct stream_in {
    struct arena *a;
    bool started, finished;
    enum finish finish;
    char word[WORD_BYTES_MAX]; /* the provider's own for it */
    size_t word_len;
    unsigned calls;
    str seed; /* what ids of calls are made from: the answer's own id */
};

static enum finish finish_in(str word, bool calls)
{
    static const struct {
        const char *word;
        enum finish finish;
    } words[] = {
        {"STOP", FINISH_STOP},
        {"FINISH_REASON_UNSPECIFIED", FINISH_STOP},
        {"MAX_TOKENS", FINISH_LENGTH},
        {"CONTINUATION", FINISH_LENGTH},
        {"SAFETY", FINISH_CONTENT_FILTER},
        {"RECITATION", FINISH_CONTENT_FILTER},
        {"BLOCKLIST", FINISH_CONTENT_FILTER},
        {"PROHIBITED_CONTENT", FINISH_CONTENT_FILTER},
        {"SPII", FINISH_CONTENT_FILTER},
        {"MODEL_ARMOR", FINISH_CONTENT_FILTER},
    };
    enum finish finish = str_starts(word, STR("IMAGE_")) ? FINISH_CONTENT_FILTER : FINISH_ERROR;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(word, str_of_c(words[i].word)))
            finish = words[i].finish;
    /* What is left (MALFORMED_FUNCTION_CALL, OTHER, …) is no answer that anybody asked for. */
    return finish == FINISH_STOP && calls ? FINISH_TOOL_CALLS : finish;
}

/* ---- usage ---- */

static bool count_get(yyjson_val *object, const char *key, int64_t *out)
{
    int64_t n = 0;
    if (!json_get_i64(object, key, &n, NULL) || n < 0 || n > COUNT_MAX)
        return false;
    *out = n;
    return true;
}

static int64_t modality_count(yyjson_val *list, str modality)
{
    size_t i, n;
    yyjson_val *v;
    int64_t count = 0;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (str_eq(json_str(json_get(v, "modality")), modality))
            count_get(v, "tokenCount", &count);
    }
    return count;
}

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

/* Thoughts are counted beside the candidates, tokens of tools' results beside the prompt; what the
 * total has beyond all parts is output. */
static bool usage_in(yyjson_val *meta, struct usage *out)
{
    struct usage u = usage_none();
    int64_t total = -1, tool = 0, candidates = 0;
    if (!count_get(meta, "promptTokenCount", &u.prompt))
        return false;
    count_get(meta, "toolUsePromptTokenCount", &tool);
    count_get(meta, "candidatesTokenCount", &candidates);
    count_get(meta, "thoughtsTokenCount", &u.reasoning);
    count_get(meta, "cachedContentTokenCount", &u.cached);
    count_get(meta, "totalTokenCount", &total);
    u.prompt += tool;
    u.completion = candidates + u.reasoning;
    if (total > u.prompt + u.completion)
        u.completion = total - u.prompt;
    u.cached = at_most(u.cached, u.prompt);
    u.audio_prompt =
        at_most(modality_count(json_get(meta, "promptTokensDetails"), STR("AUDIO")), u.prompt);
    u.audio_completion = at_most(
        modality_count(json_get(meta, "candidatesTokensDetails"), STR("AUDIO")), u.completion);
    u.known = true;
    *out = u;
    return true;
}

/* ---- parts ---- */

/* The call of a part, its arguments as text and its signature inside its id. */
static bool call_in(struct arena *a, yyjson_val *part, str seed, unsigned index,
                    struct chat_tool_call *out)
{
    yyjson_val *call = json_get(part, "functionCall");
    if (call == NULL)
        return false;
    yyjson_val *args = json_get(call, "args");
    str id = json_str(json_get(call, "id")), signature;
    *out = (struct chat_tool_call){
        .name = json_str(json_get(call, "name")),
        .arguments = yyjson_is_obj(args) ? span_text(a, args) : STR("{}"),
        .signature = json_str(json_get(part, "thoughtSignature")),
    };
    call_id_split(a, id, &out->id, &signature);
    if (id.len == 0 || out->id.len != id.len)
        id = call_id_make(a, seed, index, out->name, out->arguments);
    out->id = call_id_join(a, id, out->signature);
    return true;
}

static bool is_thought(yyjson_val *part)
{
    return yyjson_get_bool(yyjson_obj_get(part, "thought"));
}

/* The word for an end, if the response has one: the candidate's, or why the prompt was blocked. */
static str end_word(yyjson_val *root, yyjson_val *candidate, enum finish *finish, bool calls)
{
    str word = json_str(json_get(candidate, "finishReason"));
    *finish = finish_in(word, calls);
    if (word.len > 0 || candidate != NULL)
        return word;
    *finish = FINISH_CONTENT_FILTER;
    return json_str(json_get(json_get(root, "promptFeedback"), "blockReason"));
}

/* ---- a whole answer ---- */

static bool parts_in(struct arena *a, yyjson_val *parts, struct answer *out)
{
    size_t bytes = 1;
    size_t i, n;
    yyjson_val *part;
    yyjson_arr_foreach(parts, i, n, part)
    {
        bytes += yyjson_get_len(json_get(part, "text"));
    }
    size_t count = yyjson_arr_size(parts);
    if (count > GEMINI_CALLS_MAX)
        return false;
    struct buf text = span_buf(a, bytes);
    struct buf thoughts = span_buf(a, bytes);
    out->tool_calls = arena_new(a, struct chat_tool_call, count);
    yyjson_arr_foreach(parts, i, n, part)
    {
        unsigned index = out->tool_call_count;
        if (call_in(a, part, out->id, index, &out->tool_calls[index]))
            out->tool_call_count++;
        else
            buf_add(is_thought(part) ? &thoughts : &text, json_str(json_get(part, "text")));
    }
    out->text = buf_str(&text);
    out->reasoning = buf_str(&thoughts);
    return true;
}

enum err gemini_answer_in(struct arena *a, const struct target *target, str body,
                          struct answer *out, str *why)
{
    (void)target;
    *out = (struct answer){.usage = usage_none(), .choices = 1};
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (openai_error_message(root, why))
        return ERR_UPSTREAM_ERROR;
    yyjson_val *candidate = yyjson_arr_get_first(json_get(root, "candidates"));
    out->id = json_str(json_get(root, "responseId"));
    out->model = json_str(json_get(root, "modelVersion"));
    if (!parts_in(a, json_get(json_get(candidate, "content"), "parts"), out)) {
        *why = STR("the answer has too many parts");
        return ERR_UPSTREAM_INVALID;
    }
    out->finish_native = end_word(root, candidate, &out->finish, out->tool_call_count > 0);
    if (out->finish_native.len == 0) {
        *why = candidate == NULL ? STR("the answer has no candidate")
                                 : STR("the answer has no finishReason");
        return ERR_UPSTREAM_INVALID;
    }
    usage_in(json_get(root, "usageMetadata"), &out->usage);
    return OK;
}

/* ---- a stream ---- */

struct stream_in *gemini_stream_in_new(struct arena *a, const struct target *target)
{
    (void)target;
    struct stream_in *in = arena_new(a, struct stream_in, 1);
    in->a = a;
    return in;
}

static struct delta *delta_add(struct deltas *d, enum delta_kind kind)
{
    if (d->count == d->cap)
        return NULL;
    struct delta *to = &d->v[d->count++];
    *to = (struct delta){.kind = kind};
    return to;
}

static bool text_add(struct deltas *d, enum delta_kind kind, unsigned index, str text)
{
    if (text.len == 0)
        return true;
    struct delta *to = delta_add(d, kind);
    if (to == NULL)
        return false;
    to->index = index;
    to->text = text;
    return true;
}

static bool part_in(struct stream_in *in, struct arena *scratch, yyjson_val *part,
                    struct deltas *out)
{
    struct chat_tool_call call;
    if (!call_in(scratch, part, in->seed, in->calls, &call))
        return text_add(out, is_thought(part) ? DELTA_REASONING : DELTA_TEXT, 0,
                        json_str(json_get(part, "text")));
    struct delta *d = delta_add(out, DELTA_TOOL_CALL);
    if (d == NULL || in->calls == GEMINI_CALLS_MAX)
        return false;
    d->index = in->calls++;
    d->id = call.id;
    d->name = call.name;
    return text_add(out, DELTA_TOOL_ARGUMENTS, d->index, call.arguments);
}

static void finish_note(struct stream_in *in, yyjson_val *root, yyjson_val *candidate)
{
    enum finish finish;
    str word = str_sub(end_word(root, candidate, &finish, false), 0, sizeof in->word);
    if (word.len == 0)
        return;
    in->finished = true;
    in->finish = finish;
    memcpy(in->word, word.p, word.len);
    in->word_len = word.len;
}

static bool start_in(struct stream_in *in, yyjson_val *root, struct deltas *out)
{
    if (in->started)
        return true;
    in->started = true;
    str id = json_str(json_get(root, "responseId"));
    in->seed = arena_copy(in->a, str_sub(id, 0, SEED_BYTES_MAX));
    struct delta *d = delta_add(out, DELTA_START);
    if (d == NULL)
        return false;
    d->text = id;
    d->name = json_str(json_get(root, "modelVersion"));
    return true;
}

enum err gemini_event_in(struct stream_in *in, struct arena *scratch, const struct sse_event *event,
                         struct deltas *out)
{
    out->count = 0;
    out->choices = 0;
    out->amended = (str){0};
    out->unknown = false;
    yyjson_val *root = json_parse(scratch, event->data, NULL);
    str error = {0};
    if (openai_error_message(root, &error)) {
        struct delta *d = delta_add(out, DELTA_ERROR);
        if (d != NULL)
            d->text = error;
        return OK;
    }
    if (!yyjson_is_obj(root))
        return ERR_UPSTREAM_INVALID;
    yyjson_val *candidate = yyjson_arr_get_first(json_get(root, "candidates"));
    yyjson_val *meta = json_get(root, "usageMetadata");
    out->choices = candidate != NULL ? 1 : 0;
    out->unknown = candidate == NULL && meta == NULL && json_get(root, "promptFeedback") == NULL;
    bool good = out->unknown || start_in(in, root, out);
    size_t i, n;
    yyjson_val *part;
    yyjson_val *parts = json_get(json_get(candidate, "content"), "parts");
    yyjson_arr_foreach(parts, i, n, part)
    {
        good = good && part_in(in, scratch, part, out);
    }
    finish_note(in, root, candidate);
    struct usage usage;
    if (usage_in(meta, &usage)) {
        struct delta *d = delta_add(out, DELTA_USAGE);
        good = good && d != NULL;
        if (d != NULL)
            d->usage = usage;
    }
    return good ? OK : ERR_UPSTREAM_INVALID;
}

void gemini_stream_in_end(struct stream_in *in, struct deltas *out)
{
    if (!in->finished)
        return;
    struct delta *d = delta_add(out, DELTA_FINISH);
    struct delta *end = delta_add(out, DELTA_END);
    if (d == NULL || end == NULL)
        return;
    d->name = str_of(in->word, in->word_len);
    d->finish = in->finish == FINISH_STOP && in->calls > 0 ? FINISH_TOOL_CALLS : in->finish;
}
