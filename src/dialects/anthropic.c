/* anthropic.c - Anthropic's dialect: its row of functions. What each does stands in anthropic.h. */
#include "dialects/anthropic.h"

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .framing = SSE_EVENTS,
    .request_out = anthropic_request_out,
    .answer_in = anthropic_answer_in,
    .stream_in_new = anthropic_stream_in_new,
    .event_in = anthropic_event_in,
    .error_in = anthropic_error_in,
};
