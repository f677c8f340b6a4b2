/* anthropic_count.c - /v1/messages/count_tokens, as door and as provider.
 *
 * The question is that of /messages without what is only of the answer. Source: @anthropic-ai/sdk
 * 1.12, MessageCountTokensParams. */
#include "dialects/anthropic.h"
#include "dialects/spans.h"

/* Members of a message's request that the call refuses. */
static const char *const of_the_answer[] = {
    "max_tokens",     "stream",   "temperature",  "top_p",     "top_k",
    "stop_sequences", "metadata", "service_tier", "container", "inference_geo",
};

#define OF_THE_ANSWER (sizeof of_the_answer / sizeof *of_the_answer)

enum err anthropic_count_out(struct arena *a, const struct chat *chat, const struct target *target,
                             struct outgoing *out, str *why, str *param)
{
    (void)why;
    (void)param;
    struct json_edit edits[OF_THE_ANSWER];
    str body = anthropic_native_body(a, chat, target);
    for (size_t i = 0; i < OF_THE_ANSWER; i++)
        edits[i] = (struct json_edit){.key = str_of_c(of_the_answer[i])};
    out->body = span_edit(a, body, edits, OF_THE_ANSWER);
    out->path = STR("/messages/count_tokens");
    anthropic_headers(chat, target, out);
    return OK;
}

enum err anthropic_count_read(struct arena *a, str body, struct answer *out, str *why)
{
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    if (json_get_i64(root, "input_tokens", &out->prompt_tokens, NULL) && out->prompt_tokens > 0)
        return OK;
    *why = STR("the answer has no count");
    return ERR_UPSTREAM_INVALID;
}

bool anthropic_count_answer(const struct answer *answer, const struct answer_head *head, str native,
                            pusd cost, struct buf *out)
{
    (void)head;
    (void)native;
    (void)cost;
    buf_add(out, STR("{\"input_tokens\":"));
    buf_add_i64(out, answer->prompt_tokens);
    return buf_add_char(out, '}');
}
