/* dialect.c - the dialects there are, and the few words they share. */
#include "dialects/dialect.h"
#include "dialects/embeddings.h"
#include "dialects/gemini.h"
#include "dialects/ollama.h"
#include "dialects/openai.h"
#include "dialects/responses.h"

#define BYTES_PER_TOKEN    4
#define TOKENS_PER_MESSAGE 4

const struct dialect dialect_openai = {
    .name = "openai",
    .framing = SSE_EVENTS,
    .request_out = openai_request_out,
    .answer_in = openai_answer_in,
    .embed_out = embeddings_openai_out,
    .embed_in = embeddings_openai_in,
    .stream_in_new = openai_stream_in_new,
    .event_in = openai_event_in,
    .error_in = openai_error_in,
    .request_in = openai_request_in,
    .answer_out = openai_answer_out,
    .stream_out_new = openai_stream_out_new,
    .event_out = openai_event_out,
    .stream_end = openai_stream_end,
    .stream_error = openai_stream_error,
    .error_out = openai_error_out,
    .replay = openai_replay,
    .text = openai_text,
    .id_prefix = "chatcmpl-",
    .comment = ": keep-alive\n\n",
};

const struct dialect dialect_ollama = {
    .name = "ollama",
    .framing = SSE_LINES,
    .request_out = ollama_request_out,
    .answer_in = ollama_answer_in,
    .embed_out = embeddings_ollama_out,
    .embed_in = embeddings_ollama_in,
    .stream_in_new = ollama_stream_in_new,
    .event_in = ollama_event_in,
    .error_in = openai_error_in, /* {"error":"text"} is one of the shapes it knows */
};

const struct dialect dialect_gemini = {
    .name = "gemini",
    .framing = SSE_EVENTS,
    .request_out = gemini_request_out,
    .answer_in = gemini_answer_in,
    .embed_out = gemini_embed_out,
    .embed_in = gemini_embed_in,
    .count_out = gemini_count_out,
    .count_in = gemini_count_in,
    .stream_in_new = gemini_stream_in_new,
    .event_in = gemini_event_in,
    .stream_in_end = gemini_stream_in_end,
    .error_in = gemini_error_in,
};

const struct dialect dialect_responses = {
    .repeats_question = true,
    .name = "responses",
    .request_in = responses_request_in,
    .answer_out = responses_answer_out,
    .stream_out_new = responses_stream_out_new,
    .event_out = responses_event_out,
    .stream_end = responses_stream_end,
    .stream_error = responses_stream_error,
    .error_out = openai_error_out,
    .replay = responses_replay,
    .text = responses_text,
    .field_name = responses_field_name,
    .id_prefix = "resp_",
    .comment = ": keep-alive\n\n",
};

const struct dialect *dialect_find(str kind)
{
    static const struct dialect *const all[] = {
        &dialect_openai,
        &dialect_anthropic,
        &dialect_gemini,
        &dialect_ollama,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_eq(kind, str_of_c(all[i]->name)))
            return all[i];
    return NULL;
}

bool dialect_replay(const struct dialect *door, struct arena *a, const struct chat *chat,
                    str stored, const struct answer_head *head, struct buf *out)
{
    return door->replay(a, chat, stored, json_parse(a, stored, NULL), head, out);
}

str dialect_text(const struct dialect *door, struct arena *a, str stored)
{
    return door->text != NULL ? door->text(a, json_parse(a, stored, NULL)) : (str){0};
}

int64_t estimate_tokens(uint64_t text_bytes, unsigned messages)
{
    return (int64_t)((text_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN) +
           (int64_t)messages * TOKENS_PER_MESSAGE;
}

const char *finish_text(enum finish f)
{
    switch (f) {
    case FINISH_STOP:
        return "stop";
    case FINISH_LENGTH:
        return "length";
    case FINISH_TOOL_CALLS:
        return "tool_calls";
    case FINISH_CONTENT_FILTER:
        return "content_filter";
    case FINISH_ERROR:
        return "error";
    case FINISH_NONE:
        break;
    }
    return NULL;
}
