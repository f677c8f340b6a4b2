/* span_names.h - every name that a span of Relay's has: in one table.
 *
 * Those without "relay." are OpenTelemetry's: gen_ai.* of its GenAI conventions 0.1.0 (repository
 * semantic-conventions-genai), the others of its general conventions 1.44.0. */
#ifndef RELAY_PATH_SPAN_NAMES_H
#define RELAY_PATH_SPAN_NAMES_H

/* clang-format off */
#define SPAN_NAMES(X)                                                              \
    /* of every span that has what they say */                                     \
    X(OPERATION,          "gen_ai.operation.name")                                 \
    X(PROVIDER,           "gen_ai.provider.name")                                  \
    X(REQUEST_MODEL,      "gen_ai.request.model")                                  \
    X(REQUEST_STREAM,     "gen_ai.request.stream")                                 \
    X(RESPONSE_MODEL,     "gen_ai.response.model")                                 \
    X(FINISH_REASONS,     "gen_ai.response.finish_reasons")                        \
    X(FIRST_CHUNK,        "gen_ai.response.time_to_first_chunk")                   \
    X(INPUT_TOKENS,       "gen_ai.usage.input_tokens")                             \
    X(CACHE_READ_TOKENS,  "gen_ai.usage.cache_read.input_tokens")                  \
    X(CACHE_WRITE_TOKENS, "gen_ai.usage.cache_write.input_tokens")                 \
    X(OUTPUT_TOKENS,      "gen_ai.usage.output_tokens")                            \
    X(REASONING_TOKENS,   "gen_ai.usage.reasoning.output_tokens")                  \
    X(ERROR_TYPE,         "error.type")                                            \
    X(STATUS_CODE,        "http.response.status_code")                             \
    /* of the request */                                                           \
    X(METHOD,             "http.request.method")                                   \
    X(HTTP_ROUTE,         "http.route")                                            \
    X(RELAY_ID,           "relay.id")                                              \
    X(RELAY_KEY,          "relay.key")                                             \
    X(RELAY_ROUTE,        "relay.route")                                           \
    X(RELAY_CACHE,        "relay.cache")                                           \
    X(RELAY_SIMILARITY,   "relay.similarity")                                      \
    X(RELAY_ATTEMPTS,     "relay.attempts")                                        \
    X(RELAY_OVERHEAD,     "relay.overhead_us")                                     \
    X(RELAY_ERROR,        "relay.error.code")                                      \
    X(RELAY_STEP,         "relay.error.step")                                      \
    /* of an attempt */                                                            \
    X(RESEND_COUNT,       "http.request.resend_count")                             \
    X(SERVER_ADDRESS,     "server.address")                                        \
    X(SERVER_PORT,        "server.port")                                           \
    /* of both */                                                                  \
    X(RELAY_PROVIDER,     "relay.provider")                                        \
    X(RELAY_COST,         "relay.cost_usd")
/* clang-format on */

#define SPAN_NAME_ENUM(id, text) SPAN_##id,
enum span_name { SPAN_NAMES(SPAN_NAME_ENUM) SPAN_NAME_COUNT };
#undef SPAN_NAME_ENUM

#endif
