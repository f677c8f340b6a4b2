/* calls.c - names, ids and signatures of tool calls. The form of a joined id: <id>__sigb_<base64url
 * without padding>, or, for a signature that is not base64, <id>__sigh_<hex>. */
#include "dialects/calls.h"

#include "dialects/spans.h"

#define MADE_PREFIX    STR("call_")
#define MADE_HEX_BYTES 24
#define MARK_BASE64    STR("__sigb_")
#define MARK_HEX       STR("__sigh_")

static const char hex_digits[] = "0123456789abcdef";

static void add_hex(struct buf *b, unsigned char byte)
{
    buf_add_char(b, hex_digits[byte >> 4]);
    buf_add_char(b, hex_digits[byte & 15]);
}

str call_id_make(struct arena *a, str seed, unsigned index, str name, str arguments)
{
    struct digest_stream d;
    digest_begin(&d);
    digest_add(&d, seed.p, seed.len);
    digest_add(&d, &index, sizeof index);
    digest_add(&d, name.p, name.len);
    digest_add(&d, arguments.p, arguments.len);
    struct digest digest = digest_end(&d);
    struct buf b = span_buf(a, MADE_PREFIX.len + MADE_HEX_BYTES);
    buf_add(&b, MADE_PREFIX);
    for (size_t i = 0; i < MADE_HEX_BYTES / 2; i++)
        add_hex(&b, digest.b[i]);
    return buf_str(&b);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool call_id_is_made(str id)
{
    if (id.len != MADE_PREFIX.len + MADE_HEX_BYTES || !str_starts(id, MADE_PREFIX))
        return false;
    for (size_t i = MADE_PREFIX.len; i < id.len; i++)
        if (!is_hex(id.p[i]))
            return false;
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Base64 of the standard alphabet with its full padding, which can be put together again from its
 * length. */
static bool is_base64(str text)
{
    size_t len = text.len;
    while (len > 0 && text.len - len < 2 && text.p[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text.p[i]) && text.p[i] != '+' && text.p[i] != '/')
            return false;
    return text.len % 4 == 0 && len % 4 != 1 && len > 0;
}

bool call_id_is_joined(str id)
{
    return str_find(id, MARK_BASE64, 0) != SIZE_MAX || str_find(id, MARK_HEX, 0) != SIZE_MAX;
}

str call_id_join(struct arena *a, str id, str signature)
{
    if (signature.len == 0)
        return id;
    bool base64 = is_base64(signature);
    struct buf b = span_buf(a, id.len + MARK_HEX.len + 2 * signature.len);
    buf_add(&b, id);
    buf_add(&b, base64 ? MARK_BASE64 : MARK_HEX);
    for (size_t i = 0; i < signature.len; i++) {
        char c = signature.p[i];
        if (!base64)
            add_hex(&b, (unsigned char)c);
        else if (c != '=')
            buf_add_char(&b, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    return buf_str(&b);
}

static str base64_back(struct arena *a, str text)
{
    struct buf b = span_buf(a, text.len + 3);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (!is_alnum(c) && c != '-' && c != '_')
            return (str){0};
        buf_add_char(&b, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (b.len % 4 != 0)
        buf_add_char(&b, '=');
    return buf_str(&b);
}

static str hex_back(struct arena *a, str text)
{
    struct buf b = span_buf(a, text.len / 2 + 1);
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        if (!is_hex(text.p[i]) || !is_hex(text.p[i + 1]))
            return (str){0};
        size_t high = (size_t)(strchr(hex_digits, text.p[i]) - hex_digits);
        size_t low = (size_t)(strchr(hex_digits, text.p[i + 1]) - hex_digits);
        buf_add_char(&b, (char)(high << 4 | low));
    }
    return buf_str(&b);
}

void call_id_split(struct arena *a, str joined, str *id, str *signature)
{
    *id = joined;
    *signature = (str){0};
    if (!call_id_is_joined(joined))
        return;
    size_t at = str_find(joined, MARK_BASE64, 0);
    bool base64 = at != SIZE_MAX;
    if (!base64)
        at = str_find(joined, MARK_HEX, 0);
    str rest = str_sub(joined, at + MARK_HEX.len, joined.len);
    *id = str_sub(joined, 0, at);
    *signature = base64 ? base64_back(a, rest) : hex_back(a, rest);
    if (!str_is_utf8(*signature))
        *signature = (str){0};
}

str call_name_of(const struct chat *chat, unsigned index)
{
    const struct chat_message *answer = &chat->messages[index];
    for (unsigned i = index; i-- > 0;) {
        const struct chat_message *m = &chat->messages[i];
        for (unsigned c = 0; c < m->tool_call_count; c++)
            if (answer->tool_call_id.len > 0 && str_eq(m->tool_calls[c].id, answer->tool_call_id))
                return m->tool_calls[c].name;
    }
    return answer->name;
}
