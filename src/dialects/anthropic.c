/* anthropic.c - Anthropic's dialect: its row of functions. What each does stands in anthropic.h. */
#include "dialects/anthropic.h"

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .framing = SSE_EVENTS,
    .request_out = anthropic_request_out,
    .answer_in = anthropic_answer_in,
    .count_out = anthropic_count_out,
    .count_in = anthropic_count_read,
    .stream_in_new = anthropic_stream_in_new,
    .event_in = anthropic_event_in,
    .error_in = anthropic_error_in,
    .request_in = anthropic_request_in,
    .answer_out = anthropic_answer_out,
    .stream_out_new = anthropic_stream_out_new,
    .event_out = anthropic_event_out,
    .stream_end = anthropic_stream_end,
    .stream_error = anthropic_stream_error,
    .error_out = anthropic_error_out,
    .replay = anthropic_replay,
    .text = anthropic_text,
    .field_name = anthropic_field_name,
    .id_prefix = "msg_",
    .comment = "event: ping\ndata: {\"type\": \"ping\"}\n\n",
};

/* Nothing is answered but a number: only the question and the errors are Anthropic's. */
const struct dialect dialect_anthropic_count = {
    .name = "anthropic",
    .request_in = anthropic_count_in,
    .answer_out = anthropic_count_answer,
    .field_name = anthropic_field_name,
    .error_out = anthropic_error_out,
    .id_prefix = "msg_",
};
