/* anthropic_out.c - a whole answer and an error for a client of Anthropic's dialect.
 *
 * A provider's own bytes go on when it spoke the same dialect, with `cost` put into usage: an extra
 * member that the official SDKs keep. Otherwise the message is written from the neutral answer. */
#include "dialects/anthropic.h"

const char *anthropic_stop_reason(enum finish finish, bool refused)
{
    if (refused && finish == FINISH_STOP)
        return "refusal";
    switch (finish) {
    case FINISH_LENGTH:
        return "max_tokens";
    case FINISH_TOOL_CALLS:
        return "tool_use";
    case FINISH_CONTENT_FILTER:
        return "refusal";
    case FINISH_NONE:
    case FINISH_STOP:
    case FINISH_ERROR: /* never a whole answer */
        break;
    }
    return "end_turn";
}

static void add_member(struct buf *b, const char *before, str value)
{
    buf_add(b, str_of_c(before));
    json_add_str(b, value);
}

static void add_count(struct buf *b, const char *before, int64_t n)
{
    buf_add(b, str_of_c(before));
    buf_add_i64(b, n);
}

void anthropic_usage_out(const struct usage *usage, pusd cost, struct buf *out)
{
    struct usage none = usage_none();
    const struct usage *u = usage != NULL && usage->known ? usage : &none;
    int64_t written = u->cache_write + u->cache_write_1h;
    add_count(out, "{\"input_tokens\":", u->prompt - u->cached - written);
    add_count(out, ",\"cache_creation_input_tokens\":", written);
    add_count(out, ",\"cache_read_input_tokens\":", u->cached);
    if (written > 0) {
        add_count(out, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":", u->cache_write);
        add_count(out, ",\"ephemeral_1h_input_tokens\":", u->cache_write_1h);
        buf_add_char(out, '}');
    }
    add_count(out, ",\"output_tokens\":", u->completion);
    if (u->reasoning > 0) {
        add_count(out, ",\"output_tokens_details\":{\"thinking_tokens\":", u->reasoning);
        buf_add_char(out, '}');
    }
    if (pusd_known(cost)) {
        buf_add(out, STR(",\"cost\":"));
        pusd_print(out, cost);
    }
    buf_add_char(out, '}');
}

bool anthropic_usage_with_cost(str object_text, pusd cost, struct buf *out)
{
    if (!pusd_known(cost))
        return buf_add(out, object_text);
    char digits[64];
    struct buf number = {.p = digits, .cap = sizeof digits, .max = sizeof digits};
    pusd_print(&number, cost);
    struct json_edit edit = {.key = STR("cost"), .value = buf_str(&number)};
    return json_edit_object(object_text, &edit, 1, out);
}

/* ---- the content ---- */

static void block_begin(unsigned *blocks, struct buf *out)
{
    if ((*blocks)++ > 0)
        buf_add_char(out, ',');
}

static void thought_out(const struct chat_part *p, unsigned *blocks, struct buf *out)
{
    block_begin(blocks, out);
    if (p->redacted) {
        add_member(out, "{\"type\":\"redacted_thinking\",\"data\":", p->data);
    } else {
        add_member(out, "{\"type\":\"thinking\",\"thinking\":", p->text);
        add_member(out, ",\"signature\":", p->signature);
    }
    buf_add_char(out, '}');
}

static void thoughts_out(const struct answer *answer, unsigned *blocks, struct buf *out)
{
    for (unsigned i = 0; i < answer->thought_count; i++)
        thought_out(&answer->thoughts[i], blocks, out);
    if (answer->thought_count == 0 && answer->reasoning.len > 0) {
        struct chat_part all = {.text = answer->reasoning, .signature = answer->signature};
        thought_out(&all, blocks, out);
    }
}

static void text_out(str text, unsigned *blocks, struct buf *out)
{
    if (text.len == 0)
        return;
    block_begin(blocks, out);
    add_member(out, "{\"type\":\"text\",\"text\":", text);
    buf_add_char(out, '}');
}

/* Arguments are an object here. What a model wrote that is none comes as its only member, since a
 * client may still make something of it. */
static void input_out(str arguments, struct buf *out)
{
    struct arena scratch;
    str text = str_trim(arguments);
    arena_init(&scratch, 0);
    if (text.len == 0)
        buf_add(out, STR("{}"));
    else if (yyjson_is_obj(json_parse(&scratch, text, NULL)))
        buf_add(out, text);
    else {
        add_member(out, "{\"arguments\":", arguments);
        buf_add_char(out, '}');
    }
    arena_deinit(&scratch);
}

static void calls_out(const struct answer *answer, unsigned *blocks, struct buf *out)
{
    for (unsigned i = 0; i < answer->tool_call_count; i++) {
        const struct chat_tool_call *call = &answer->tool_calls[i];
        block_begin(blocks, out);
        add_member(out, "{\"type\":\"tool_use\",\"id\":", call->id);
        add_member(out, ",\"name\":", call->name);
        buf_add(out, STR(",\"input\":"));
        input_out(call->arguments, out);
        buf_add_char(out, '}');
    }
}

static bool answer_write(const struct answer *answer, const struct answer_head *head, pusd cost,
                         struct buf *out)
{
    unsigned blocks = 0;
    add_member(out, "{\"id\":", head->id);
    add_member(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":", head->model);
    buf_add(out, STR(",\"content\":["));
    thoughts_out(answer, &blocks, out);
    text_out(answer->text, &blocks, out);
    text_out(answer->refusal, &blocks, out);
    calls_out(answer, &blocks, out);
    add_member(out, "],\"stop_reason\":",
               str_of_c(anthropic_stop_reason(answer->finish, answer->refusal.len > 0)));
    buf_add(out, STR(",\"stop_sequence\":null,\"usage\":"));
    anthropic_usage_out(&answer->usage, cost, out);
    return buf_add_char(out, '}');
}

bool anthropic_answer_out(const struct answer *answer, const struct answer_head *head, str native,
                          pusd cost, struct buf *out)
{
    if (native.len == 0) {
        answer_write(answer, head, cost, out);
        return !out->full;
    }
    str usage = {0};
    if (pusd_known(cost) && answer->usage.known)
        usage = json_member_raw(native, STR("usage"));
    if (usage.len == 0 || usage.p[0] != '{') {
        buf_add(out, native);
        return !out->full;
    }
    size_t before = (size_t)(usage.p - native.p);
    buf_add(out, str_sub(native, 0, before));
    anthropic_usage_with_cost(usage, cost, out);
    buf_add(out, str_sub(native, before + usage.len, native.len));
    return !out->full;
}

/* ---- errors ---- */

static str type_of(const struct client_error *error)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"}, {402, "billing_error"},
        {403, "permission_error"},      {404, "not_found_error"},      {409, "conflict_error"},
        {413, "request_too_large"},     {429, "rate_limit_error"},     {504, "timeout_error"},
        {529, "overloaded_error"},
    };
    int status = error->status != 0 ? error->status : err_info(error->err)->status;
    if (error->err == ERR_OVERLOADED)
        return STR("overloaded_error");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            return str_of_c(types[i].type);
    return status >= 500 ? STR("api_error") : STR("invalid_request_error");
}

static void add_or_null(struct buf *out, const char *before, str value)
{
    buf_add(out, str_of_c(before));
    if (value.len > 0)
        json_add_str(out, value);
    else
        buf_add(out, STR("null"));
}

bool anthropic_error_out(const struct client_error *error, struct buf *out)
{
    const struct err_info *info = err_info(error->err);
    add_member(out, "{\"type\":\"error\",\"error\":{\"type\":", type_of(error));
    add_member(out,
               ",\"message\":", error->message.len > 0 ? error->message : str_of_c(info->sentence));
    add_or_null(out, "},\"request_id\":", error->relay_id);
    add_or_null(out, ",\"relay\":{\"id\":", error->relay_id);
    add_or_null(out, ",\"step\":", error->step);
    add_or_null(out, ",\"provider\":", error->provider);
    add_or_null(out, ",\"code\":", error->code.len > 0 ? error->code : str_of_c(info->code));
    add_or_null(out, ",\"param\":", error->param);
    buf_add(out, STR("}}"));
    return !out->full;
}
