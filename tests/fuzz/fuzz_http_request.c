/* Requests: where the head ends, what it says, and the chunks after it, whole and in two parts.
 *
 * Beyond crashes it holds the parser to its promises: whatever is let through has one framing and
 * one host, reads the same however the bytes were cut, and is what llhttp reads too. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "llhttp_oracle.h"

#define MUTATE_PREFIX_BYTES 1
#define MUTATE_HTTP
#include "mutate_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(str part, str whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

/* Each known field has the first value that llhttp finds under its name, and says how it goes on.
 */
static void check_fields(const struct oracle *o, const struct header_table *t, str head)
{
    for (unsigned h = HEADER_NONE + 1; h < HEADER_COUNT; h++) {
        const struct header_spot *spot = &t->spots[h];
        str value = str_of(head.p + spot->at, spot->len);
        unsigned seen = 0;
        bool differ = false;
        for (unsigned i = 0; i < o->count; i++) {
            if (!str_eq_nocase(o->fields[i].name, str_of_c(http_header_text(h)))) {
                continue;
            }
            assert(seen > 0 || (spot->at != 0 && str_eq(o->fields[i].value, value)));
            differ |= !str_eq(o->fields[i].value, value);
            seen++;
        }
        assert((seen == 0) == (spot->at == 0));
        assert((seen > 1) == ((t->again >> h & 1) != 0));
        assert(differ == ((t->differ >> h & 1) != 0));
    }
}

static void check_head(const struct request_head *h, str head)
{
    struct oracle o;
    oracle_read(&o, HTTP_REQUEST, head);
    check_fields(&o, &h->headers, head);
    unsigned lengths = oracle_count(&o, "content-length");
    unsigned codings = oracle_count(&o, "transfer-encoding");
    unsigned hosts = oracle_count(&o, "host");
    assert(h->keep_alive == (!h->http10 && !o.closes));
    assert(lengths + codings <= 1);
    assert(hosts <= 1 && (hosts == 1 || h->http10));
    assert(h->path.len > 0 && h->path.p[0] == '/');
    assert(h->content_length >= 0);
    assert((h->framing == BODY_CHUNKED) == (codings == 1));
    assert(h->framing != BODY_LENGTH || lengths == 1);
    assert(is_inside(h->method, head) && is_inside(h->host, head) && is_inside(h->query, head));
    for (unsigned i = 0; i < o.count; i++) {
        for (size_t k = 0; k < o.fields[i].value.len; k++) {
            unsigned char c = (unsigned char)o.fields[i].value.p[k];
            assert(c == '\t' || (c >= ' ' && c != 0x7f));
        }
    }
    assert(memchr(head.p, '\0', head.len) == NULL);
}

/* Decodes `bytes` in pieces cut at `cut`; returns a copy of the body and how it ended. */
static enum chunked_result decode(const char *bytes, size_t len, size_t cut, char *out,
                                  size_t *out_len)
{
    struct chunked d;
    enum chunked_result result = CHUNKED_MORE;
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, bytes, len);
    chunked_init(&d);
    *out_len = 0;
    for (size_t at = 0; at < len && result == CHUNKED_MORE;) {
        size_t n = at < cut ? cut - at : len - at, body, used;
        result = chunked_feed(&d, copy + at, n, &body, &used);
        assert(body <= n && used <= n);
        if (result != CHUNKED_BAD) {
            memcpy(out + *out_len, copy + at, body);
            *out_len += body;
        }
        at += n;
    }
    free(copy);
    return result;
}

static void check_chunks(const char *bytes, size_t len, size_t cut)
{
    char *whole = malloc(len + 1), *cut_out = malloc(len + 1);
    size_t whole_len, cut_len;
    enum chunked_result a = decode(bytes, len, 0, whole, &whole_len);
    enum chunked_result b = decode(bytes, len, cut, cut_out, &cut_len);
    assert(a == b);
    assert(a == CHUNKED_BAD || (whole_len == cut_len && memcmp(whole, cut_out, whole_len) == 0));
    free(whole);
    free(cut_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, cut = data[0] % len;
    struct head_scan once = {0, 0}, twice = {0, 0};
    size_t head_len = head_find_end(&once, str_of(bytes, len));
    size_t early = head_find_end(&twice, str_of(bytes, cut));
    size_t late = early == HEAD_MORE ? head_find_end(&twice, str_of(bytes, len)) : early;
    assert(late == head_len);
    if (head_len >= HEAD_BAD || head_len > HEAD_BYTES_MAX) {
        check_chunks(bytes, len, cut);
        return 0;
    }
    struct request_head h;
    str head = str_of(bytes, head_len);
    if (request_head_parse(head, &h) == OK) {
        check_head(&h, head);
        if (h.framing == BODY_CHUNKED) {
            size_t rest = len - head_len;
            check_chunks(bytes + head_len, rest, rest > 0 ? data[0] % rest : 0);
        }
    }
    return 0;
}
