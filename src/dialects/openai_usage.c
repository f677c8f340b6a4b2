/* openai_usage.c - usage objects of all OpenAI-compatible providers, to and from the normal form.
 *
 * Counts that cannot be (no whole number, negative, beyond 10^12) are not told. Money is read from
 * the text. Sources: the providers' references; xAI's rule (reasoning outside completion_tokens,
 * 10^10 ticks to the dollar): public reports Wei-Shaw/sub2api#5771 and
 * UKGovernmentBEIS/inspect_ai#5528; a total above the sum of its parts is output: same reports. */
#include "dialects/openai.h"
#include "dialects/spans.h"

#define COUNT_MAX     INT64_C(1000000000000)
#define PUSD_PER_TICK 100

static bool count_of(yyjson_val *value, int64_t *out)
{
    int64_t n = 0;
    if (!json_i64(value, &n) || n < 0 || n > COUNT_MAX)
        return false;
    *out = n;
    return true;
}

/* The members that every provider may send, picked in one pass. */
enum {
    USAGE_PROMPT,
    USAGE_COMPLETION,
    USAGE_TOTAL,
    USAGE_IN,
    USAGE_OUT,
    USAGE_CACHE_HIT, /* DeepSeek */
    USAGE_CACHED,    /* Moonshot */
    USAGE_COUNT
};
static const str usage_names[USAGE_COUNT] = {
    STR_INIT("prompt_tokens"),
    STR_INIT("completion_tokens"),
    STR_INIT("total_tokens"),
    STR_INIT("prompt_tokens_details"),
    STR_INIT("completion_tokens_details"),
    STR_INIT("prompt_cache_hit_tokens"),
    STR_INIT("cached_tokens"),
};

enum { DETAIL_CACHED, DETAIL_CACHE_WRITE, DETAIL_AUDIO, DETAIL_REASONING, DETAIL_COUNT };
static const str detail_names[DETAIL_COUNT] = {
    STR_INIT("cached_tokens"),
    STR_INIT("cache_write_tokens"),
    STR_INIT("audio_tokens"),
    STR_INIT("reasoning_tokens"),
};

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

/* US dollars under `key`, exactly as written. */
static pusd dollars_in(yyjson_val *object, str object_text, const char *key)
{
    pusd cost = 0;
    if (!yyjson_is_num(yyjson_obj_get(object, key)) ||
        !pusd_parse(json_member_raw(object_text, str_of_c(key)), &cost, NULL) || cost < 0)
        return PUSD_UNKNOWN;
    return cost;
}

static pusd stated_cost(const struct flavour *flavour, yyjson_val *object, str object_text)
{
    int64_t ticks = 0;
    if (flavour->states_ticks && json_get_i64(object, "cost_in_usd_ticks", &ticks, NULL))
        return ticks >= 0 && ticks <= INT64_MAX / PUSD_PER_TICK ? ticks * PUSD_PER_TICK
                                                                : PUSD_UNKNOWN;
    if (!flavour->states_cost)
        return PUSD_UNKNOWN;
    pusd cost = dollars_in(object, object_text, "cost");
    /* With one's own key for the model's maker, `cost` is OpenRouter's fee alone. */
    if (yyjson_get_bool(yyjson_obj_get(object, "is_byok")))
        cost = pusd_add(cost, dollars_in(json_get(object, "cost_details"),
                                         json_member_raw(object_text, STR("cost_details")),
                                         "upstream_inference_cost"));
    return cost;
}

static void details_in(yyjson_val *const *object, struct usage *u)
{
    yyjson_val *in[DETAIL_COUNT], *out[DETAIL_COUNT];
    span_pick(object[USAGE_IN], detail_names, DETAIL_COUNT, in);
    span_pick(object[USAGE_OUT], detail_names, DETAIL_COUNT, out);
    if (!count_of(in[DETAIL_CACHED], &u->cached) && !count_of(object[USAGE_CACHE_HIT], &u->cached))
        count_of(object[USAGE_CACHED], &u->cached);
    count_of(in[DETAIL_CACHE_WRITE], &u->cache_write);
    count_of(in[DETAIL_AUDIO], &u->audio_prompt);
    count_of(out[DETAIL_REASONING], &u->reasoning);
    count_of(out[DETAIL_AUDIO], &u->audio_completion);
}

bool openai_usage_in(const struct flavour *flavour, yyjson_val *object, str object_text,
                     struct usage *out)
{
    struct usage u = usage_none();
    int64_t total = -1;
    yyjson_val *has[USAGE_COUNT];
    span_pick(object, usage_names, USAGE_COUNT, has);
    count_of(has[USAGE_TOTAL], &total);
    if (!count_of(has[USAGE_PROMPT], &u.prompt))
        return false;
    if (!count_of(has[USAGE_COMPLETION], &u.completion) && total < u.prompt)
        return false;
    details_in(has, &u);
    if (flavour->reasoning_outside && total != u.prompt + u.completion)
        u.completion += u.reasoning;
    if (total > u.prompt + u.completion)
        u.completion = total - u.prompt;
    u.cached = at_most(u.cached, u.prompt);
    u.cache_write = at_most(u.cache_write, u.prompt - u.cached);
    u.audio_prompt = at_most(u.audio_prompt, u.prompt);
    u.reasoning = at_most(u.reasoning, u.completion);
    u.audio_completion = at_most(u.audio_completion, u.completion);
    u.known = true;
    u.stated_cost = stated_cost(flavour, object, object_text);
    *out = u;
    return true;
}

static void add_count(struct buf *b, const char *name, int64_t n)
{
    buf_add_char(b, '"');
    buf_add(b, str_of_c(name));
    buf_add(b, STR("\":"));
    buf_add_i64(b, n);
}

bool openai_usage_out(const struct usage *usage, pusd cost, struct buf *out)
{
    buf_add_char(out, '{');
    add_count(out, "prompt_tokens", usage->prompt);
    buf_add_char(out, ',');
    add_count(out, "completion_tokens", usage->completion);
    buf_add_char(out, ',');
    add_count(out, "total_tokens", usage->prompt + usage->completion);
    buf_add(out, STR(",\"prompt_tokens_details\":{"));
    add_count(out, "cached_tokens", usage->cached);
    if (usage->cache_write + usage->cache_write_1h > 0) {
        buf_add_char(out, ',');
        add_count(out, "cache_write_tokens", usage->cache_write + usage->cache_write_1h);
    }
    buf_add(out, STR("},\"completion_tokens_details\":{"));
    add_count(out, "reasoning_tokens", usage->reasoning);
    buf_add_char(out, '}');
    if (pusd_known(cost)) {
        buf_add(out, STR(",\"cost\":"));
        pusd_print(out, cost);
    }
    return buf_add_char(out, '}');
}

bool openai_usage_add_cost(str object_text, pusd cost, struct buf *out)
{
    if (!pusd_known(cost))
        return buf_add(out, object_text);
    size_t end = object_text.len - 1; /* of the last member; blanks before the brace stay there */
    while (end > 1 && strchr(" \n\r\t", object_text.p[end - 1]) != NULL)
        end--;
    buf_add(out, str_sub(object_text, 0, end));
    buf_add(out, end > 1 ? STR(",\"cost\":") : STR("\"cost\":"));
    pusd_print(out, cost);
    return buf_add(out, str_sub(object_text, end, object_text.len));
}

bool openai_usage_with_cost(str object_text, pusd cost, struct buf *out)
{
    if (!pusd_known(cost))
        return buf_add(out, object_text);
    char digits[64];
    struct buf number = {.p = digits, .cap = sizeof digits, .max = sizeof digits};
    pusd_print(&number, cost);
    struct json_edit edit = {.key = STR("cost"), .value = buf_str(&number)};
    return json_edit_object(object_text, &edit, 1, out);
}
