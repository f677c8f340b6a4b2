/* chunked.c - the chunked transfer coding, decoded where it lies.
 *
 * The idea: llhttp is started with a head of our own that announces a chunked body, so one decoder
 * serves requests and answers and knows nothing of either. Decoded bytes are moved together at the
 * start of the input, so a read that holds many chunks is handed on as one piece. */
#include <string.h>

#include "net/http1.h"

/* What the coding may cost beyond the body: 16 bytes a byte of body, and trailers of one head's
 * size. */
#define OVERHEAD_PER_BYTE 16u

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct chunked *d = parser->data;
    if (d->out != at) {
        memmove(d->out, at, len);
    }
    d->out += len;
    d->body_bytes += len;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct chunked *d = parser->data;
    d->done = true;
    return HPE_PAUSED; /* what follows is the next message's */
}

static const llhttp_settings_t chunked_settings = {
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void chunked_init(struct chunked *d)
{
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    memset(d, 0, sizeof *d);
    llhttp_init(&d->parser, HTTP_REQUEST, &chunked_settings);
    d->parser.data = d;
    llhttp_execute(&d->parser, head, sizeof head - 1);
}

enum chunked_result chunked_feed(struct chunked *d, char *bytes, size_t len, size_t *body_len,
                                 size_t *used)
{
    d->out = bytes;
    enum llhttp_errno result = llhttp_execute(&d->parser, bytes, len);
    *body_len = (size_t)(d->out - bytes);
    *used = len;
    if (d->done) {
        *used = (size_t)(llhttp_get_error_pos(&d->parser) - bytes);
        return CHUNKED_DONE;
    }
    d->all_bytes += len;
    if (result != HPE_OK ||
        d->all_bytes > d->body_bytes * (OVERHEAD_PER_BYTE + 1) + HEAD_BYTES_MAX + len) {
        return CHUNKED_BAD;
    }
    return CHUNKED_MORE;
}
