/* header.c - names of header fields to numbers: by length first, then by comparing. */
#include "net/header.h"

#include <assert.h>

#include "base/str.h"

#define HEADER_LEN_MAX 30u

#define HEADER_ROW(id, text) [HEADER_##id] = {text, sizeof text - 1},
static const str names[HEADER_COUNT + 1] = {HEADER_NAMES(HEADER_ROW)};
#undef HEADER_ROW

static const uint8_t first_of_length[HEADER_LEN_MAX + 1] = {
    [4] = HEADER_HOST,
    [6] = HEADER_COOKIE,
    [7] = HEADER_API_KEY,
    [9] = HEADER_X_API_KEY,
    [10] = HEADER_CONNECTION,
    [11] = HEADER_OPENAI_BETA,
    [12] = HEADER_CONTENT_TYPE,
    [13] = HEADER_AUTHORIZATION,
    [14] = HEADER_CONTENT_LENGTH,
    [15] = HEADER_ACCEPT_ENCODING,
    [16] = HEADER_CONTENT_ENCODING,
    [17] = HEADER_TRANSFER_ENCODING,
    [19] = HEADER_X_RELAY_MIN_QUALITY,
    [22] = HEADER_X_RELAY_MAX_LATENCY_MS,
    [30] = HEADER_ACCESS_CONTROL_REQUEST_HEADERS,
};

/* `lower` has letters and '-' only, for which setting one bit is lower case. */
static bool is_name(const char *name, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((name[i] | 0x20) != lower[i]) {
            return false;
        }
    }
    return true;
}

enum http_header http_header_find(const char *name, size_t len)
{
    unsigned h = len <= HEADER_LEN_MAX ? first_of_length[len] : HEADER_NONE;
    for (; h != HEADER_NONE && names[h].len == len; h++) {
        if (is_name(name, names[h].p, len)) {
            return (enum http_header)h;
        }
    }
    return HEADER_NONE;
}

const char *http_header_text(enum http_header h)
{
    assert(h > HEADER_NONE && h < HEADER_COUNT);
    return names[h].p;
}
