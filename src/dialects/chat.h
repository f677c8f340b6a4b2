/* chat.h - the neutral chat value: what every client asks and every provider answers, whatever
 * their dialect.
 *
 * Values borrow from the request's body, its JSON document or its arena. */
#ifndef RELAY_DIALECTS_CHAT_H
#define RELAY_DIALECTS_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "base/usage.h"

struct dialect;

enum chat_role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };

enum chat_part_kind { PART_TEXT, PART_REFUSAL, PART_REASONING, PART_IMAGE, PART_AUDIO, PART_FILE };

struct chat_part {
    enum chat_part_kind kind;
    str text;       /* text, refusal, reasoning */
    str media_type; /* of inline data: "image/png"; audio: "audio/wav" */
    str data;       /* base64 without a data: prefix, when inline */
    str url;        /* when not inline */
    str file_id, file_name, detail;
    str signature; /* of reasoning, where a provider signs it */
    bool redacted; /* reasoning that only the provider can read: data has it */
    bool foreign;  /* only a provider of the door's own dialect may know it; text has its type */
    unsigned at;   /* its place in the client's list, for messages that name it */
    yyjson_val *cache_control; /* Anthropic's mark that a cached prefix ends here, or NULL */
};

struct chat_tool_call {
    str id, name;
    str arguments; /* JSON text as the model wrote it */
    str signature; /* Gemini's thoughtSignature */
    yyjson_val *cache_control;
};

struct chat_message {
    enum chat_role role;
    str name;
    struct chat_part *parts;
    unsigned part_count;
    struct chat_tool_call *tool_calls; /* of an assistant */
    unsigned tool_call_count;
    str tool_call_id; /* of a tool's answer */
    bool tool_failed;
    unsigned at; /* its place in the client's list: one entry there may be several messages here */
    yyjson_val *cache_control; /* of a tool's answer */
};

struct chat_tool {
    str name, description;
    yyjson_val *parameters; /* JSON schema, or NULL */
    int strict;             /* -1: not said */
    bool foreign;           /* no function: only a provider of the door's own dialect may know it */
    yyjson_val *cache_control;
};

enum tool_choice {
    TOOL_CHOICE_UNSET,
    TOOL_CHOICE_AUTO,
    TOOL_CHOICE_NONE,
    TOOL_CHOICE_REQUIRED,
    TOOL_CHOICE_NAMED
};
enum answer_format { FORMAT_UNSET, FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA };

#define CHAT_STOPS_MAX 16

enum asked_for {
    ASKED_CHAT,
    ASKED_EMBEDDINGS,
    ASKED_COUNT, /* how many tokens the prompt has: a chat of which no answer is wanted */
};

struct chat {
    enum asked_for asked;
    const struct dialect *door; /* the client's dialect */
    struct json_doc doc;        /* the body as it came */
    str model;                  /* as asked */
    bool stream;
    bool include_usage; /* the client wants the usage chunk */

    struct chat_message *messages;
    unsigned message_count;
    struct chat_tool *tools;
    unsigned tool_count;
    enum tool_choice tool_choice;
    str tool_choice_name;
    int parallel_tool_calls; /* -1: not said */

    enum answer_format format;
    str schema_name;
    yyjson_val *schema;
    int schema_strict;

    int64_t max_tokens; /* of the answer; -1: not said */
    bool has_temperature, has_top_p, has_seed, has_frequency_penalty, has_presence_penalty,
        has_top_k;
    double temperature, top_p, frequency_penalty, presence_penalty;
    int64_t seed, top_k;
    int64_t n; /* answers asked for; 1 when not said */
    bool logprobs, has_logit_bias;
    str stops[CHAT_STOPS_MAX];
    unsigned stop_count;
    str reasoning_effort; /* none, minimal, low, medium, high, xhigh, max; empty: not said */
    str user;
    /* Words that both of OpenAI's own dialects have, read where they may have to be translated. */
    str verbosity, prompt_cache_key, safety_identifier, service_tier;

    /* ASKED_EMBEDDINGS: then there are no messages, and the answer is never a stream. */
    yyjson_val *input;    /* a text, texts, the tokens of a text, or of several */
    unsigned input_count; /* vectors wanted */
    bool input_tokens;    /* tokens, not texts */
    bool base64;          /* each vector as base64 of little-endian f32, not as numbers */
    int64_t dimensions;   /* -1: not said */

    /* What routing and limits need to know, filled by the door. */
    uint64_t text_bytes; /* of all text, for the estimate of prompt tokens */
    unsigned images, image_urls, audios, files;
    bool other_modality; /* asks for audio or images as answer */
    str priced_field;    /* a field that chooses another model or price (reference 3), or empty */
    str foreign_field; /* one that only a provider of the door's own dialect can honour, or empty */
};

enum finish {
    FINISH_NONE,
    FINISH_STOP,
    FINISH_LENGTH,
    FINISH_TOOL_CALLS,
    FINISH_CONTENT_FILTER,
    FINISH_ERROR
};

/* One step of an answer. */
enum delta_kind {
    DELTA_START, /* the answer began: text = id, name = model */
    DELTA_TEXT,
    DELTA_REASONING,
    DELTA_REFUSAL,
    DELTA_SIGNATURE,      /* text = signature of the reasoning since the last one */
    DELTA_REDACTED,       /* text = reasoning that only the provider can read */
    DELTA_TOOL_CALL,      /* a call begins: index, id, name */
    DELTA_TOOL_ARGUMENTS, /* index, text = fragment */
    DELTA_FINISH,         /* finish, name = the provider's own word */
    DELTA_USAGE,          /* cumulative: the last one counts */
    DELTA_ERROR,          /* text = message: the provider failed in the stream */
    DELTA_END,            /* the dialect's terminator was seen: the answer is whole */
};

struct delta {
    enum delta_kind kind;
    int64_t choice; /* 0 unless n > 1 */
    unsigned index; /* of the tool call, from 0 */
    str id, name, text;
    enum finish finish;
    struct usage usage;
};

#define DELTAS_MAX 256

/* Deltas of one event, reused from event to event: v and cap are the caller's, event_in sets the
 * rest. */
struct deltas {
    struct delta *v;
    unsigned count, cap;
    unsigned choices; /* how many choices the event spoke of: 0 for usage, pings and the like */
    str amended; /* the event's data in the dialect's proper form, when the provider's was not; else
                    empty */
    struct json_doc doc; /* OpenAI: of the event's data as it came, when it was parsed */
    bool unknown;        /* the dialect says that events like this one are passed over */
};

/* A whole answer. Only the first choice is taken apart; same-dialect answers pass all choices
 * through as bytes. */
struct answer {
    str id, model;
    str text, reasoning, refusal, signature;
    /* The same reasoning block by block (PART_REASONING), where the provider signs it or hides it;
     * `reasoning` is then all their text, `signature` the last. */
    struct chat_part *thoughts;
    unsigned thought_count;
    struct chat_tool_call *tool_calls;
    unsigned tool_call_count;
    enum finish finish;
    str finish_native;
    struct usage usage;
    unsigned choices; /* how many there were */
    str amended; /* the body in the dialect's proper form, when the provider's was not; else empty
                  */
    /* Where the provider's body as it came holds a usage object that states no cost, in the OpenAI
     * dialect: a cost can be put in there. usage_len 0: it must be looked for. */
    size_t usage_at, usage_len;
    int64_t prompt_tokens; /* ASKED_COUNT: what the provider counted */
    str embeddings; /* ASKED_EMBEDDINGS: the list in OpenAI's form, in the encoding asked for */
};

#endif
