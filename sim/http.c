/* http.c - the request reader (http.h has the contract; RFC 9112 is the source of the rules). */
#include "http.h"

#include <string.h>

static bool is_token_char(char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!is_token_char(s.at[i]))
            return false;
    return s.size > 0;
}

static bool is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

static enum http_result bad(struct http_request *out, const char *problem)
{
    out->problem = problem;
    return HTTP_BAD;
}

/* Takes one line that ends in CRLF off `rest`. */
static bool take_line(struct slice *rest, struct slice *line)
{
    *line = slice_cut(rest, '\n');
    if (line->size == 0 || line->at[line->size - 1] != '\r')
        return false;
    line->size--;
    return true;
}

static const char *read_request_line(struct slice line, struct http_request *out)
{
    out->method = slice_cut(&line, ' ');
    out->target = slice_cut(&line, ' ');
    if (!is_token(out->method))
        return "The method is no token.";
    if (out->target.size == 0 || out->target.at[0] != '/')
        return "The request target must start with a slash.";
    for (size_t i = 0; i < out->target.size; i++)
        if (out->target.at[i] < 0x21 || out->target.at[i] == 0x7F)
            return "The request target has a byte that must be percent-encoded.";
    if (!slice_is(line, "HTTP/1.1") && !slice_is(line, "HTTP/1.0"))
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
    out->keep_alive = slice_is(line, "HTTP/1.1");
    out->query = out->target;
    out->path = slice_cut(&out->query, '?');
    return NULL;
}

static const char *read_headers(struct slice rest, struct http_request *out)
{
    out->header_count = 0;
    while (rest.size) {
        struct slice line;
        if (!take_line(&rest, &line))
            return "A header line does not end in CRLF.";
        if (line.size == 0)
            break;
        if (out->header_count == HTTP_HEADERS_MAX)
            return "Too many headers.";
        const char *colon = memchr(line.at, ':', line.size);
        if (!colon)
            return "A header line has no colon.";
        struct http_header *h = &out->headers[out->header_count++];
        h->name = (struct slice){line.at, (size_t)(colon - line.at)};
        h->value = slice_trim((struct slice){colon + 1, line.size - h->name.size - 1});
        if (!is_token(h->name))
            return "A header name is no token.";
        if (!is_field_value(h->value))
            return "A header value has a control character.";
    }
    return NULL;
}

struct framing {
    bool chunked;
    bool has_length;
    size_t length;
    size_t hosts;
};

static const char *read_framing(struct http_request *out, struct framing *f)
{
    for (size_t i = 0; i < out->header_count; i++) {
        const struct http_header *h = &out->headers[i];
        int64_t n;
        if (slice_is_nocase(h->name, "content-length")) {
            if (f->has_length || !slice_int(h->value, &n) || n < 0)
                return "The content-length is bad.";
            f->has_length = true;
            f->length = (size_t)n;
        } else if (slice_is_nocase(h->name, "transfer-encoding")) {
            if (f->chunked || !slice_is_nocase(h->value, "chunked"))
                return "The only transfer-encoding known here is chunked.";
            f->chunked = true;
        } else if (slice_is_nocase(h->name, "host")) {
            f->hosts++;
        } else if (slice_is_nocase(h->name, "connection")) {
            if (slice_is_nocase(h->value, "close"))
                out->keep_alive = false;
            else if (slice_is_nocase(h->value, "keep-alive"))
                out->keep_alive = true;
        } else if (slice_is_nocase(h->name, "expect")) {
            out->expects_continue = slice_is_nocase(h->value, "100-continue");
        }
    }
    if (f->chunked && f->has_length)
        return "A request has a content-length or is chunked, not both.";
    if (f->hosts != 1)
        return "A request has exactly one host header.";
    if (f->length > HTTP_BODY_BYTES_MAX)
        return "The body is too long.";
    return NULL;
}

static bool read_chunk_size(struct slice line, size_t *out)
{
    size_t value = 0;
    struct slice digits = slice_cut(&line, ';');
    digits = slice_trim(digits);
    if (digits.size == 0 || digits.size > 8)
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        char c = digits.at[i];
        if (c >= '0' && c <= '9')
            value = value * 16 + (size_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = value * 16 + (size_t)((c | 32) - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

/* Decodes what is there, moving each chunk's bytes forward to the end of the body so far. Only
 * whole chunks move: a chunk is looked at again when more of it has come. */
static enum http_result read_chunks(struct http_reader *r, char *data, size_t size, size_t head,
                                    struct http_request *out)
{
    if (r->scan == 0)
        r->scan = head;
    for (;;) {
        struct slice rest = {data + r->scan, size - r->scan};
        struct slice line;
        if (rest.size == 0 || !memchr(rest.at, '\n', rest.size))
            return rest.size > 1024 ? bad(out, "A chunk header is too long.") : HTTP_MORE;
        size_t chunk;
        if (!take_line(&rest, &line) || !read_chunk_size(line, &chunk))
            return bad(out, "A chunk header is bad.");
        if (chunk > HTTP_BODY_BYTES_MAX - r->body_bytes)
            return bad(out, "The body is too long.");
        if (rest.size < chunk + 2)
            return HTTP_MORE;
        if (rest.at[chunk] != '\r' || rest.at[chunk + 1] != '\n')
            return bad(out,
                       chunk ? "A chunk has no CRLF at its end." : "Trailers are not taken here.");
        memmove(data + head + r->body_bytes, rest.at, chunk);
        r->body_bytes += chunk;
        r->scan = (size_t)(rest.at - data) + chunk + 2;
        if (chunk == 0)
            return HTTP_WHOLE;
    }
}

enum http_result http_read(struct http_reader *r, char *data, size_t size, struct http_request *out)
{
    out->expects_continue = false;
    out->problem = NULL;
    size_t window = size < HTTP_HEAD_BYTES_MAX ? size : HTTP_HEAD_BYTES_MAX;
    const char *end = memmem(data, window, "\r\n\r\n", 4);
    if (!end)
        return size >= HTTP_HEAD_BYTES_MAX ? bad(out, "The request head is too long.") : HTTP_MORE;
    out->head = (struct slice){data, (size_t)(end - data) + 4};
    struct slice rest = out->head;
    struct slice line;
    if (!take_line(&rest, &line))
        return bad(out, "The request line does not end in CRLF.");
    const char *problem = read_request_line(line, out);
    if (!problem)
        problem = read_headers(rest, out);
    struct framing framing = {false, false, 0, 0};
    if (!problem)
        problem = read_framing(out, &framing);
    if (problem)
        return bad(out, problem);
    r->head_whole = true;
    size_t head = out->head.size;
    if (framing.chunked) {
        enum http_result result = read_chunks(r, data, size, head, out);
        if (result != HTTP_WHOLE)
            return result;
        out->size = r->scan;
        out->body = (struct slice){data + head, r->body_bytes};
    } else {
        if (size - head < framing.length)
            return HTTP_MORE;
        out->size = head + framing.length;
        out->body = (struct slice){data + head, framing.length};
    }
    *r = (struct http_reader){0, 0, false};
    return HTTP_WHOLE;
}

struct slice http_header_find(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    return (struct slice){NULL, 0};
}

struct slice http_query_find(struct slice query, const char *name)
{
    while (query.size) {
        struct slice value = slice_cut(&query, '&');
        struct slice key = slice_cut(&value, '=');
        if (slice_is(key, name))
            return value;
    }
    return (struct slice){NULL, 0};
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Payload Too Large"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {529, "Overloaded"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}
