/* header.h - the header fields that somebody here reads: known by number, recognised once.
 *
 * Parsing a head notes where the value of each of them lies, so a look-up is an access to an array.
 * Whoever needs another field adds a line; lines stand in the order of their names' lengths. */
#ifndef RELAY_NET_HEADER_H
#define RELAY_NET_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define HEADER_NAMES(X)                                                  \
    X(HOST, "host")                                                      \
    X(COOKIE, "cookie")                                                  \
    X(EXPECT, "expect")                                                  \
    X(ORIGIN, "origin")                                                  \
    X(API_KEY, "api-key")                                                \
    X(X_API_KEY, "x-api-key")                                            \
    X(CONNECTION, "connection")                                          \
    X(TRACESTATE, "tracestate")                                          \
    X(OPENAI_BETA, "openai-beta")                                        \
    X(TRACEPARENT, "traceparent")                                        \
    X(CONTENT_TYPE, "content-type")                                      \
    X(X_REQUEST_ID, "x-request-id")                                      \
    X(X_RELAY_CSRF, "x-relay-csrf")                                      \
    X(X_RELAY_TAGS, "x-relay-tags")                                      \
    X(AUTHORIZATION, "authorization")                                    \
    X(CACHE_CONTROL, "cache-control")                                    \
    X(X_RELAY_CACHE, "x-relay-cache")                                    \
    X(CONTENT_LENGTH, "content-length")                                  \
    X(ANTHROPIC_BETA, "anthropic-beta")                                  \
    X(X_GOOG_API_KEY, "x-goog-api-key")                                  \
    X(ACCEPT_ENCODING, "accept-encoding")                                \
    X(IDEMPOTENCY_KEY, "idempotency-key")                                \
    X(CONTENT_ENCODING, "content-encoding")                              \
    X(TRANSFER_ENCODING, "transfer-encoding")                            \
    X(X_RELAY_CACHE_TTL, "x-relay-cache-ttl")                            \
    X(X_RELAY_MIN_QUALITY, "x-relay-min-quality")                        \
    X(X_RELAY_MAX_LATENCY_MS, "x-relay-max-latency-ms")                  \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")
/* clang-format on */

#define HEADER_ENUM(id, text) HEADER_##id,
enum http_header { HEADER_NONE, HEADER_NAMES(HEADER_ENUM) HEADER_COUNT };
#undef HEADER_ENUM

/* Where the first value of each known field lies in a head, and which of them came again. */
struct header_table {
    struct header_spot {
        uint16_t at, len; /* without blanks around it; at == 0: there is none */
    } spots[HEADER_COUNT];
    uint32_t again;  /* bit by number: there is more than one */
    uint32_t differ; /* and a later one says something else */
};

/* The field of that name, in any case; HEADER_NONE: nobody here reads it. */
enum http_header http_header_find(const char *name, size_t len);

/* In lower case. */
const char *http_header_text(enum http_header h);

#endif
