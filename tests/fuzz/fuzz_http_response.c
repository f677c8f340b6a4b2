/* Answers of upstreams: 1xx, the head, its fields by name, and a chunked body. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "llhttp_oracle.h"

#define MUTATE_PREFIX_BYTES 1
#define MUTATE_HTTP
#include "mutate_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_body(const struct response_head *h, const char *bytes, size_t len)
{
    struct chunked d;
    if (h->framing != BODY_CHUNKED || len == 0) {
        return;
    }
    char *copy = malloc(len);
    size_t body = 0, used = 0;
    memcpy(copy, bytes, len);
    chunked_init(&d);
    enum chunked_result result = chunked_feed(&d, copy, len, &body, &used);
    assert(body <= len && used <= len);
    assert(result == CHUNKED_DONE || used == len);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const bool to_head = (data[0] & 1) != 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1;
    for (int interim = 0; interim < 4; interim++) {
        struct head_scan scan = {0, 0};
        struct response_head h;
        size_t head_len = head_find_end(&scan, str_of(bytes, len));
        if (head_len >= HEAD_BAD || head_len > HEAD_BYTES_MAX) {
            return 0;
        }
        str head = str_of(bytes, head_len);
        if (!response_head_parse(head, to_head, &h)) {
            return 0;
        }
        struct oracle o;
        oracle_read(&o, HTTP_RESPONSE, head);
        assert(h.status == o.status);
        assert(!h.keep_alive || !o.closes);
        assert(h.status >= 100 && h.status <= 599);
        assert(h.content_length >= 0);
        assert(!to_head || h.framing == BODY_NONE);
        str type = head_line_find(head, STR("Content-Type"));
        assert(type.p == NULL || (type.p >= head.p && type.p + type.len <= head.p + head.len));
        str length = head_line_find(head, STR("content-length"));
        assert(h.framing != BODY_LENGTH || length.p != NULL);
        assert(h.framing != BODY_CHUNKED || length.p == NULL);
        bytes += head_len;
        len -= head_len;
        if (h.status >= 200) {
            check_body(&h, bytes, len);
            return 0;
        }
    }
    return 0;
}
