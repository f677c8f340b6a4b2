/* head.c - heads of requests and answers: their end, their fields, and what frames their body.
 *
 * The idea: the head is found first, line by line, which refuses bare LF and folded lines before
 * anything else looks at them; then llhttp checks and splits it in one go; then the few fields that
 * decide about framing are judged here, each allowed once at most. */
#include <string.h>

#include "net/http1.h"

size_t head_find_end(struct head_scan *scan, str bytes)
{
    while (scan->at < bytes.len) {
        const char *p = memchr(bytes.p + scan->at, '\n', bytes.len - scan->at);
        if (bytes.len > scan->line && (bytes.p[scan->line] == ' ' || bytes.p[scan->line] == '\t')) {
            return HEAD_BAD;
        }
        if (p == NULL) {
            scan->at = bytes.len;
            return HEAD_MORE;
        }
        size_t lf = (size_t)(p - bytes.p);
        if (lf == 0 || bytes.p[lf - 1] != '\r') {
            return HEAD_BAD;
        }
        if (lf == scan->line + 1) {
            return lf + 1;
        }
        scan->at = scan->line = lf + 1;
    }
    return HEAD_MORE;
}

/* ---- llhttp's callbacks ---- */

struct collect {
    struct http_field *fields;
    unsigned count;
    bool too_many;
    str target;
    bool complete;
};

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct collect *c = parser->data;
    c->target = str_of(at, len);
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct collect *c = parser->data;
    if (c->count == HEAD_FIELDS_MAX) {
        c->too_many = true;
        return HPE_USER;
    }
    c->fields[c->count++] = (struct http_field){str_of(at, len), {at + len, 0}};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct collect *c = parser->data;
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t')) {
        len--;
    }
    c->fields[c->count - 1].value = str_of(at, len);
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct collect *c = parser->data;
    c->complete = true;
    parser->upgrade = 0; /* a request to change the protocol is an ordinary one here */
    return HPE_PAUSED;   /* bodies are read elsewhere */
}

static const llhttp_settings_t head_settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

/* ---- fields that frame ---- */

struct framing {
    str host;
    unsigned hosts, lengths, encodings;
    int64_t content_length;
    bool bad, chunked, expect_continue, expect_unknown;
};

static void judge_length(struct framing *f, str value)
{
    f->lengths++;
    if (!str_to_i64(value, &f->content_length) || f->lengths > 1) {
        f->bad = true;
    }
}

static void judge_field(struct framing *f, const struct http_field *field)
{
    switch (field->name.len) {
    case 4:
        if (str_eq_nocase(field->name, STR("host"))) {
            f->hosts++;
            f->host = field->value;
        }
        break;
    case 6:
        if (str_eq_nocase(field->name, STR("expect"))) {
            bool known = str_eq_nocase(field->value, STR("100-continue"));
            f->expect_continue |= known;
            f->expect_unknown |= !known;
        }
        break;
    case 14:
        if (str_eq_nocase(field->name, STR("content-length"))) {
            judge_length(f, field->value);
        }
        break;
    case 17:
        if (str_eq_nocase(field->name, STR("transfer-encoding"))) {
            f->encodings++;
            f->chunked = str_eq_nocase(field->value, STR("chunked"));
        }
        break;
    default:
        break;
    }
}

static bool judge_framing(const struct collect *c, bool http10, struct framing *f)
{
    for (unsigned i = 0; i < c->count; i++) {
        judge_field(f, &c->fields[i]);
    }
    if (f->encodings > 1 || (f->encodings == 1 && (!f->chunked || f->lengths > 0 || http10))) {
        f->bad = true;
    }
    return !f->bad;
}

static bool is_http1(const llhttp_t *parser)
{
    return parser->http_major == 1 && parser->http_minor <= 1;
}

/* ---- requests ---- */

/* RFC 3986 host and port, without user information. */
static bool is_host(str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char ch = host.p[i];
        bool alnum =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!alnum && (ch == '\0' || strchr("-._~%!$&'()*+;=:[]", ch) == NULL)) {
            return false;
        }
    }
    return host.len > 0;
}

/* Origin form, or absolute form whose authority the Host field agrees with (RFC 9112, 3.2.2). */
static bool split_target(str target, const struct framing *f, struct request_head *out)
{
    out->host = f->host;
    size_t scheme = str_starts_nocase(target, STR("http://"))    ? 7
                    : str_starts_nocase(target, STR("https://")) ? 8
                                                                 : 0;
    if (scheme > 0) {
        size_t slash = scheme;
        while (slash < target.len && target.p[slash] != '/' && target.p[slash] != '?') {
            slash++;
        }
        str authority = str_sub(target, scheme, slash);
        if (!is_host(authority) || (f->hosts > 0 && !str_eq_nocase(authority, f->host))) {
            return false;
        }
        out->host = authority;
        target = slash < target.len ? str_sub(target, slash, target.len) : STR("/");
        if (target.p[0] == '?') {
            return false;
        }
    }
    for (size_t i = 0; i < target.len; i++) {
        unsigned char ch = (unsigned char)target.p[i];
        if (ch <= ' ' || ch >= 0x7f || ch == '#') {
            return false;
        }
    }
    str_cut(target, '?', &out->path, &out->query);
    return target.len > 0 && target.p[0] == '/';
}

static enum err request_error(const llhttp_t *parser, const struct collect *c, str head)
{
    if (c->too_many) {
        return ERR_HEADERS_TOO_LARGE;
    }
    if (llhttp_get_errno(parser) != HPE_INVALID_METHOD) {
        return ERR_BAD_FRAMING;
    }
    /* A well-formed method that nobody knows is not a broken request. */
    size_t n = 0;
    while (n < head.len && head.p[n] >= 'A' && head.p[n] <= 'Z') {
        n++;
    }
    bool known_form = n > 0 && n + 1 < head.len && head.p[n] == ' ' && head.p[n + 1] == '/';
    return known_form ? ERR_METHOD_NOT_ALLOWED : ERR_BAD_FRAMING;
}

enum err request_head_parse(str head, struct http_field *fields, struct request_head *out)
{
    llhttp_t parser;
    struct collect c = {.fields = fields};
    llhttp_init(&parser, HTTP_REQUEST, &head_settings);
    parser.data = &c;
    if (llhttp_execute(&parser, head.p, head.len) != HPE_PAUSED || !c.complete) {
        return request_error(&parser, &c, head);
    }
    struct framing f = {.content_length = 0};
    memset(out, 0, sizeof *out);
    if (!is_http1(&parser) || parser.method == HTTP_CONNECT || parser.method == HTTP_PRI) {
        return ERR_BAD_FRAMING;
    }
    out->http10 = parser.http_minor == 0;
    if (!judge_framing(&c, out->http10, &f) || !split_target(c.target, &f, out)) {
        return ERR_BAD_FRAMING;
    }
    if (f.hosts > 1 || (f.hosts == 0 && !out->http10) || (f.hosts == 1 && !is_host(f.host))) {
        return ERR_BAD_FRAMING;
    }
    str_cut(head, ' ', &out->method, &(str){NULL, 0});
    /* One space on each side of the target, no more. */
    if (c.target.p != head.p + out->method.len + 1 ||
        !str_starts(str_sub(head, out->method.len + c.target.len + 2, head.len), STR("HTTP/1."))) {
        return ERR_BAD_FRAMING;
    }
    out->field_count = c.count;
    out->framing = f.chunked ? BODY_CHUNKED : f.content_length > 0 ? BODY_LENGTH : BODY_NONE;
    out->content_length = f.content_length;
    out->keep_alive = !out->http10 && (parser.flags & F_CONNECTION_CLOSE) == 0;
    out->is_head = parser.method == HTTP_HEAD;
    out->expect_continue = f.expect_continue && !out->http10;
    out->expect_unknown = f.expect_unknown;
    return OK;
}

/* ---- answers ---- */

bool response_head_parse(str head, bool to_head, struct response_head *out)
{
    llhttp_t parser;
    struct http_field fields[HEAD_FIELDS_MAX];
    struct collect c = {.fields = fields};
    llhttp_init(&parser, HTTP_RESPONSE, &head_settings);
    parser.data = &c;
    if (llhttp_execute(&parser, head.p, head.len) != HPE_PAUSED || !c.complete ||
        !is_http1(&parser)) {
        return false;
    }
    struct framing f = {.content_length = 0};
    if (!judge_framing(&c, parser.http_minor == 0, &f)) {
        return false;
    }
    int status = parser.status_code;
    out->status = status;
    out->content_length = f.content_length;
    bool close = (parser.flags & F_CONNECTION_CLOSE) != 0;
    out->keep_alive =
        parser.http_minor == 1 ? !close : !close && (parser.flags & F_CONNECTION_KEEP_ALIVE) != 0;
    if (to_head || status < 200 || status == 204 || status == 304) {
        out->framing = BODY_NONE;
    } else if (f.chunked) {
        out->framing = BODY_CHUNKED;
    } else if (f.lengths > 0) {
        out->framing = f.content_length > 0 ? BODY_LENGTH : BODY_NONE;
    } else {
        out->framing = BODY_UNTIL_CLOSE;
        out->keep_alive = false;
    }
    return status >= 100 && status <= 599;
}

str head_line_find(str lines, str name)
{
    size_t at = 0;
    while (at < lines.len) {
        size_t end = str_find(lines, STR("\r\n"), at);
        str line = str_sub(lines, at, end);
        if (line.len > name.len && line.p[name.len] == ':' &&
            str_eq_nocase(str_sub(line, 0, name.len), name)) {
            return str_trim(str_sub(line, name.len + 1, line.len));
        }
        at = end == SIZE_MAX ? lines.len : end + 2;
    }
    return (str){NULL, 0};
}
