/* head.c - heads of requests and answers: their end, their fields, and what frames their body.
 *
 * The idea: the head is found first, line by line, which refuses bare LF and folded lines before
 * anything else looks at them. Then it is read once from front to back, by the letter of RFC 9112
 * with nothing forgiven: every byte of a name is a token's, no value holds a control character.
 * Known fields are noted where they lie; those that decide about framing are judged last, each
 * allowed once at most. The fuzzers hold this reader to llhttp: what it takes, llhttp takes too. */
#include <assert.h>
#include <string.h>

#include "net/http1.h"

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

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

/* ---- bytes ---- */

/* RFC 9110, 5.6.2; from 0x80 on nothing is a token. */
/* clang-format off */
static const unsigned char is_token[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 00 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
    0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, /* 20 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* 30 */
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 40 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, /* 50 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 60 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, /* 70 */
};
/* clang-format on */

/* How many bytes from the start on are no control characters; eight at a time. */
static size_t plain_run(const char *p, size_t len)
{
    size_t n = 0;
    for (uint64_t word; n + sizeof word <= len; n += sizeof word) {
        memcpy(&word, p + n, sizeof word);
        uint64_t del = word ^ (ONES * 0x7f);
        uint64_t low = (word - ONES * 0x20) & ~word, is_del = (del - ONES) & ~del;
        if (((low | is_del) & HIGHS) != 0) {
            break;
        }
    }
    while (n < len && (unsigned char)p[n] >= 0x20 && p[n] != 0x7f) {
        n++;
    }
    return n;
}

/* The length of a text that ends with CRLF and holds no other control character than tabs;
 * SIZE_MAX: it is none. */
static size_t line_rest(const char *p, size_t len)
{
    size_t n = plain_run(p, len);
    while (n < len && p[n] == '\t') {
        n++;
        n += plain_run(p + n, len - n);
    }
    return n + 1 < len && p[n] == '\r' && p[n + 1] == '\n' ? n : SIZE_MAX;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- fields ---- */

struct fields {
    struct header_table *table;
    unsigned count;
    bool too_many, says_close, says_keep_alive;
};

/* The options of a Connection field: those that are known here. */
static void read_connection(struct fields *f, str value)
{
    while (value.len > 0) {
        str option;
        (void)str_cut(value, ',', &option, &value);
        option = str_trim(option);
        f->says_close |= str_eq_nocase(option, STR("close"));
        f->says_keep_alive |= str_eq_nocase(option, STR("keep-alive"));
    }
}

static void note_field(struct fields *f, str head, enum http_header h, str value)
{
    struct header_spot *spot = &f->table->spots[h];
    if (h == HEADER_CONNECTION) {
        read_connection(f, value);
    }
    if (spot->at == 0) {
        *spot = (struct header_spot){(uint16_t)(value.p - head.p), (uint16_t)value.len};
        return;
    }
    f->table->again |= 1u << h;
    if (!str_eq(value, str_of(head.p + spot->at, spot->len))) {
        f->table->differ |= 1u << h;
    }
}

/* One field and its line's end; returns how long it was, or 0. */
static size_t read_field(struct fields *f, str head, size_t at)
{
    const char *p = head.p + at;
    size_t n = 0;
    while (is_token[(unsigned char)p[n]] != 0) { /* the line's end is no token */
        n++;
    }
    if (n == 0 || p[n] != ':') {
        return 0;
    }
    enum http_header h = http_header_find(p, n);
    n++;
    while (is_blank(p[n])) {
        n++;
    }
    size_t len = line_rest(p + n, head.len - at - n);
    if (len == SIZE_MAX) {
        return 0;
    }
    if (h != HEADER_NONE) {
        str value = str_of(p + n, len);
        while (value.len > 0 && is_blank(value.p[value.len - 1])) {
            value.len--;
        }
        note_field(f, head, h, value);
    }
    return n + len + 2;
}

/* All fields from `at` on, to the blank line. */
static bool read_fields(struct fields *f, str head, size_t at, struct header_table *table)
{
    assert(head.len <= HEAD_BYTES_MAX);
    memset(table, 0, sizeof *table);
    *f = (struct fields){.table = table};
    while (head.p[at] != '\r') {
        size_t n = f->count < HEAD_FIELDS_MAX ? read_field(f, head, at) : 0;
        f->too_many = f->count == HEAD_FIELDS_MAX;
        if (n == 0) {
            return false;
        }
        f->count++;
        at += n;
    }
    return at + 2 == head.len;
}

static str value_of(str head, const struct header_table *table, enum http_header h)
{
    return str_of(head.p + table->spots[h].at, table->spots[h].len);
}

static bool has(const struct header_table *table, enum http_header h)
{
    return table->spots[h].at != 0;
}

static bool came_again(const struct header_table *table, enum http_header h)
{
    return (table->again >> h & 1u) != 0;
}

/* Digits only, and no more than the count of bytes can be. */
static bool read_length(str digits, int64_t *out)
{
    int64_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = digits.p[i] - '0';
        if (digit < 0 || digit > 9 || n > (INT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *out = n;
    return digits.len > 0;
}

struct framing {
    int64_t content_length;
    bool chunked, has_length;
};

static bool judge_framing(str head, const struct header_table *t, bool http10, struct framing *f)
{
    *f = (struct framing){.has_length = has(t, HEADER_CONTENT_LENGTH)};
    if (f->has_length &&
        (came_again(t, HEADER_CONTENT_LENGTH) ||
         !read_length(value_of(head, t, HEADER_CONTENT_LENGTH), &f->content_length))) {
        return false;
    }
    if (!has(t, HEADER_TRANSFER_ENCODING)) {
        return true;
    }
    f->chunked = true;
    return !http10 && !f->has_length && !came_again(t, HEADER_TRANSFER_ENCODING) &&
           str_eq_nocase(value_of(head, t, HEADER_TRANSFER_ENCODING), STR("chunked"));
}

/* "HTTP/1.0" or "HTTP/1.1" at p. */
static bool is_http1(const char *p, bool *http10)
{
    *http10 = p[7] == '0';
    return memcmp(p, "HTTP/1.", 7) == 0 && (p[7] == '0' || p[7] == '1');
}

/* ---- requests ---- */

/* RFC 3986 host and port, without user information. */
static bool is_host(str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char ch = host.p[i];
        bool alnum =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!alnum && ch != '.' && ch != ':' &&
            (ch == '\0' || strchr("-_~%!$&'()*+;=[]", ch) == NULL)) {
            return false;
        }
    }
    return host.len > 0;
}

/* The absolute form (RFC 9112, 3.2.2): its authority, which the Host field must agree with. */
static bool split_absolute(str *target, bool has_host, struct request_head *out)
{
    size_t scheme = str_starts_nocase(*target, STR("http://"))    ? 7
                    : str_starts_nocase(*target, STR("https://")) ? 8
                                                                  : 0;
    size_t slash = scheme;
    while (slash < target->len && target->p[slash] != '/' && target->p[slash] != '?') {
        slash++;
    }
    str authority = str_sub(*target, scheme, slash);
    if (scheme == 0 || !is_host(authority) || (has_host && !str_eq_nocase(authority, out->host))) {
        return false;
    }
    out->host = authority;
    *target = slash < target->len ? str_sub(*target, slash, target->len) : STR("/");
    return target->p[0] == '/';
}

static bool split_target(str target, bool has_host, struct request_head *out)
{
    if (target.len == 0 || (target.p[0] != '/' && !split_absolute(&target, has_host, out))) {
        return false;
    }
    for (size_t i = 0; i < target.len; i++) {
        unsigned char ch = (unsigned char)target.p[i];
        if (ch <= ' ' || ch >= 0x7f || ch == '#') {
            return false;
        }
    }
    str_cut(target, '?', &out->path, &out->query);
    return true;
}

static bool is_known_method(str method)
{
    static const str methods[] = {{"GET", 3},   {"HEAD", 4},    {"POST", 4},
                                  {"PUT", 3},   {"DELETE", 6},  {"PATCH", 5},
                                  {"TRACE", 5}, {"CONNECT", 7}, {"OPTIONS", 7}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (str_eq(method, methods[i])) {
            return true;
        }
    }
    return false;
}

/* "POST /path HTTP/1.1": one space on each side of the target, no more. */
static enum err read_request_line(str head, struct request_head *out, str *target, size_t *len)
{
    const char *p = head.p;
    size_t n = 0;
    while (p[n] >= 'A' && p[n] <= 'Z') {
        n++;
    }
    if (n == 0 || p[n] != ' ') {
        return ERR_BAD_FRAMING;
    }
    out->method = str_of(p, n);
    size_t from = n + 1;
    const char *space = memchr(p + from, ' ', head.len - from);
    size_t to = space != NULL ? (size_t)(space - p) : head.len;
    if (!is_known_method(out->method)) {
        /* A well-formed method that nobody knows is not a broken request. */
        return p[from] == '/' ? ERR_METHOD_NOT_ALLOWED : ERR_BAD_FRAMING;
    }
    if (to + 11 > head.len || !is_http1(p + to + 1, &out->http10) ||
        memcmp(p + to + 9, "\r\n", 2) != 0 || str_eq(out->method, STR("CONNECT"))) {
        return ERR_BAD_FRAMING;
    }
    *target = str_of(p + from, to - from);
    *len = to + 11;
    return OK;
}

enum err request_head_parse(str head, struct request_head *out)
{
    str target = {NULL, 0};
    size_t line = 0;
    enum err err = read_request_line(head, out, &target, &line);
    if (err != OK) {
        return err;
    }
    const struct header_table *t = &out->headers;
    struct fields fields;
    if (!read_fields(&fields, head, line, &out->headers)) {
        return fields.too_many ? ERR_HEADERS_TOO_LARGE : ERR_BAD_FRAMING;
    }
    bool has_host = has(t, HEADER_HOST);
    out->host = has_host ? value_of(head, t, HEADER_HOST) : (str){NULL, 0};
    if (has_host ? came_again(t, HEADER_HOST) || !is_host(out->host) : !out->http10) {
        return ERR_BAD_FRAMING;
    }
    struct framing f;
    if (!judge_framing(head, t, out->http10, &f) || !split_target(target, has_host, out)) {
        return ERR_BAD_FRAMING;
    }
    out->framing = f.chunked ? BODY_CHUNKED : f.content_length > 0 ? BODY_LENGTH : BODY_NONE;
    out->content_length = f.content_length;
    out->keep_alive = !out->http10 && !fields.says_close;
    out->is_head = str_eq(out->method, STR("HEAD"));
    bool expects = has(t, HEADER_EXPECT);
    out->expect_unknown =
        expects && ((t->differ >> HEADER_EXPECT & 1u) != 0 ||
                    !str_eq_nocase(value_of(head, t, HEADER_EXPECT), STR("100-continue")));
    out->expect_continue = expects && !out->expect_unknown && !out->http10;
    return OK;
}

/* ---- answers ---- */

/* "HTTP/1.1 200 OK", with or without words after the number: its length with the line's end, or 0.
 */
static size_t read_status_line(str head, int *status, bool *http10)
{
    const char *p = head.p;
    if (head.len < 14 || !is_http1(p, http10) || p[8] != ' ') {
        return 0;
    }
    *status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }
        *status = *status * 10 + (p[i] - '0');
    }
    size_t rest = p[12] == ' ' || p[12] == '\r' ? line_rest(p + 12, head.len - 12) : SIZE_MAX;
    return rest != SIZE_MAX ? 12 + rest + 2 : 0;
}

bool response_head_parse(str head, bool to_head, struct response_head *out)
{
    struct header_table table;
    struct fields fields;
    struct framing f;
    bool http10 = false;
    size_t line = read_status_line(head, &out->status, &http10);
    if (line == 0 || !read_fields(&fields, head, line, &table) ||
        !judge_framing(head, &table, http10, &f)) {
        return false;
    }
    int status = out->status;
    out->content_length = f.content_length;
    out->keep_alive = !fields.says_close && (!http10 || fields.says_keep_alive);
    if (to_head || status < 200 || status == 204 || status == 304) {
        out->framing = BODY_NONE;
    } else if (f.chunked) {
        out->framing = BODY_CHUNKED;
    } else if (f.has_length) {
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
