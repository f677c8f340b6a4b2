/* anthropic_error.c - what Anthropic's refusals mean.
 *
 * {"type":"error","error":{"type","message","details":{"error_code"}},"request_id"}. The meaning
 * comes from status and words by the rules of openai_error.c, which know this shape; here the field
 * is read out of the message, where Anthropic names it: "messages.0.content: …". */
#include "dialects/anthropic.h"
#include "dialects/openai.h"

#define FIELD_BYTES_MAX 128

/* The path before the first ": ", if it looks like one. */
static str field_of(str message)
{
    size_t end = str_find(str_sub(message, 0, FIELD_BYTES_MAX), STR(": "), 0);
    if (end == SIZE_MAX)
        return (str){0};
    for (size_t i = 0; i < end; i++) {
        char c = message.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return (str){0};
    }
    return str_sub(message, 0, end);
}

void anthropic_error_in(struct arena *a, const struct target *target, int status, str body,
                        struct provider_error *out)
{
    openai_error_in(a, target, status, body, out);
    if (out->param.len == 0)
        out->param = field_of(out->message);
}
