/* record_codec.c - a row of the request log as bytes, and back.
 *
 * Layout: a version byte, then the fields of struct record in their order. Unsigned numbers are
 * LEB128 varints. Signed ones are zigzagged and moved up by one, which wraps PUSD_UNKNOWN (the
 * smallest int64) around to the single byte 0. Floats are eight bytes, little end first; strings
 * are a varint length and their bytes. The reader takes nothing on trust: the journal may have been
 * damaged on disk. */
#include "store/journal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"

#define CODEC_VERSION 1u
/* More than all numbers of a row and of an attempt take; the strings come on top. */
#define FIXED_BYTES_MAX         512u
#define ATTEMPT_FIXED_BYTES_MAX 128u

enum { FLAG_STREAM = 1, FLAG_SOURCE = 2, FLAG_CONTENT = 4, FLAGS_ALL = 7 };

/* ---- writing: into room that was reserved for the whole row ---- */

static void put_u64(char **at, uint64_t v)
{
    unsigned char *p = (unsigned char *)*at;
    while (v >= 0x80) {
        *p++ = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    *p++ = (unsigned char)v;
    *at = (char *)p;
}

static void put_i64(char **at, int64_t v)
{
    put_u64(at, (((uint64_t)v << 1) ^ (uint64_t)(v >> 63)) + 1);
}

static void put_num(char **at, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bytes_put_u64(*at, bits);
    *at += sizeof bits;
}

static void put_bytes(char **at, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(*at, bytes, len);
        *at += len;
    }
}

/* Text is cut at a character's end. */
static str text_cut(str s, size_t max)
{
    if (s.len <= max) {
        return s;
    }
    size_t len = max;
    while (len > 0 && ((unsigned char)s.p[len] & 0xC0) == 0x80) {
        len--;
    }
    return str_of(s.p, len);
}

/* JSON that is too long would not be JSON after a cut. */
static str json_or_nothing(str s, size_t max)
{
    return s.len <= max ? s : (str){0};
}

static void put_str(char **at, str s)
{
    put_u64(at, s.len);
    put_bytes(at, s.p, s.len);
}

static void put_text(char **at, str s)
{
    put_str(at, text_cut(s, RECORD_TEXT_MAX));
}

static void put_attempt(char **at, const struct attempt_record *a)
{
    put_u64(at, a->n);
    put_text(at, a->provider);
    put_text(at, a->model);
    put_text(at, a->error_code);
    put_i64(at, a->status);
    put_i64(at, a->started_at_us);
    put_num(at, a->ttft_ms);
    put_num(at, a->latency_ms);
    put_i64(at, a->prompt_tokens);
    put_i64(at, a->completion_tokens);
    put_i64(at, a->cost);
    put_u64(at, a->usage_source);
}

static size_t bytes_most(const struct record *r)
{
    size_t most = FIXED_BYTES_MAX + 8 * RECORD_TEXT_MAX + RECORD_TAGS_MAX + RECORD_DECISION_MAX +
                  r->attempt_row_count * (ATTEMPT_FIXED_BYTES_MAX + 3 * RECORD_TEXT_MAX);
    return r->has_content ? most + 2 * RECORD_CONTENT_MAX : most;
}

static void put_numbers(char **at, const struct record *r)
{
    put_i64(at, r->prompt_tokens);
    put_i64(at, r->cached_tokens);
    put_i64(at, r->cache_write_tokens);
    put_i64(at, r->completion_tokens);
    put_i64(at, r->reasoning_tokens);
    put_u64(at, r->usage_source);
    put_i64(at, r->cost);
    put_u64(at, r->cost_source);
    put_i64(at, r->cache_saved);
    put_i64(at, r->routing_saved);
    put_u64(at, r->cache);
    put_num(at, r->similarity);
    if (r->has_source_id) {
        put_bytes(at, r->source_id.b, sizeof r->source_id.b);
    }
    put_num(at, r->ttft_ms);
    put_num(at, r->latency_ms);
    put_i64(at, r->overhead_us);
    put_u64(at, r->attempts);
}

bool record_encode(const struct record *r, struct buf *out)
{
    assert(r->attempt_row_count <= RECORD_ATTEMPTS_MAX);
    char *start = buf_reserve(out, bytes_most(r));
    if (start == NULL) {
        return false;
    }
    char *at = start;
    *at++ = (char)CODEC_VERSION;
    put_bytes(&at, r->id.b, sizeof r->id.b);
    put_i64(&at, r->at_us);
    put_bytes(&at, r->key_id.b, sizeof r->key_id.b);
    put_u64(&at, (r->stream ? FLAG_STREAM : 0u) | (r->has_source_id ? FLAG_SOURCE : 0u) |
                     (r->has_content ? FLAG_CONTENT : 0u));
    put_text(&at, r->endpoint);
    put_text(&at, r->model_asked);
    put_text(&at, r->provider);
    put_text(&at, r->model);
    put_u64(&at, r->route);
    put_i64(&at, r->status);
    put_text(&at, r->error_code);
    put_numbers(&at, r);
    put_text(&at, r->finish_reason);
    put_num(&at, r->max_latency_ms);
    put_num(&at, r->min_quality);
    put_i64(&at, r->target_met);
    put_text(&at, r->user_tag);
    put_str(&at, json_or_nothing(r->tags, RECORD_TAGS_MAX));
    put_str(&at, json_or_nothing(r->decision, RECORD_DECISION_MAX));
    for (unsigned i = 0; i < RECORD_STEPS_MAX; i++) {
        put_u64(&at, r->step_us[i]);
    }
    put_u64(&at, r->attempt_row_count);
    for (unsigned i = 0; i < r->attempt_row_count; i++) {
        put_attempt(&at, &r->attempt_rows[i]);
    }
    if (r->has_content) {
        put_str(&at, text_cut(r->content_request, RECORD_CONTENT_MAX));
        put_str(&at, text_cut(r->content_answer, RECORD_CONTENT_MAX));
    }
    buf_added(out, (size_t)(at - start));
    return true;
}

/* ---- reading: after the first thing that is wrong, everything reads as zero ---- */

struct source {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t get_long_u64(struct source *s)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    s->bad = true;
    s->at = s->end;
    return 0;
}

/* Most numbers of a row take one byte. */
static inline uint64_t get_u64(struct source *s)
{
    return s->at < s->end && *s->at < 0x80 ? *s->at++ : get_long_u64(s);
}

static int64_t get_i64(struct source *s)
{
    uint64_t v = get_u64(s) - 1;
    return s->bad ? 0 : (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

static uint64_t get_upto(struct source *s, uint64_t max)
{
    uint64_t v = get_u64(s);
    if (v > max) {
        s->bad = true;
        return 0;
    }
    return v;
}

static int get_int(struct source *s, int min, int max)
{
    int64_t v = get_i64(s);
    if (v < min || v > max) {
        s->bad = true;
        return 0;
    }
    return (int)v;
}

static str get_raw(struct source *s, size_t len)
{
    if ((size_t)(s->end - s->at) < len) {
        s->bad = true;
        s->at = s->end;
        return (str){0};
    }
    str out = str_of((const char *)s->at, len);
    s->at += len;
    return out;
}

static double get_num(struct source *s)
{
    str raw = get_raw(s, 8);
    uint64_t bits = raw.len == sizeof bits ? bytes_get_u64(raw.p) : 0;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static struct uuid get_uuid(struct source *s)
{
    struct uuid id = {{0}};
    str raw = get_raw(s, sizeof id.b);
    if (raw.len == sizeof id.b) {
        memcpy(id.b, raw.p, sizeof id.b);
    }
    return id;
}

static str get_str(struct source *s, size_t max)
{
    return get_raw(s, (size_t)get_upto(s, max));
}

static str get_text(struct source *s)
{
    return get_str(s, RECORD_TEXT_MAX);
}

static void get_attempt(struct source *s, struct attempt_record *a)
{
    a->n = (unsigned)get_upto(s, 1u << 16);
    a->provider = get_text(s);
    a->model = get_text(s);
    a->error_code = get_text(s);
    a->status = get_int(s, -1, 1 << 16);
    a->started_at_us = get_i64(s);
    a->ttft_ms = get_num(s);
    a->latency_ms = get_num(s);
    a->prompt_tokens = get_i64(s);
    a->completion_tokens = get_i64(s);
    a->cost = get_i64(s);
    a->usage_source = (enum usage_source)get_upto(s, USAGE_NONE);
}

static void get_numbers(struct source *s, struct record *out)
{
    out->prompt_tokens = get_i64(s);
    out->cached_tokens = get_i64(s);
    out->cache_write_tokens = get_i64(s);
    out->completion_tokens = get_i64(s);
    out->reasoning_tokens = get_i64(s);
    out->usage_source = (enum usage_source)get_upto(s, USAGE_NONE);
    out->cost = get_i64(s);
    out->cost_source = (enum cost_source)get_upto(s, COST_NONE);
    out->cache_saved = get_i64(s);
    out->routing_saved = get_i64(s);
    out->cache = (enum cache_kind)get_upto(s, CACHE_BYPASS);
    out->similarity = get_num(s);
    if (out->has_source_id) {
        out->source_id = get_uuid(s);
    }
    out->ttft_ms = get_num(s);
    out->latency_ms = get_num(s);
    out->overhead_us = get_i64(s);
    out->attempts = (unsigned)get_upto(s, 1u << 16);
}

struct uuid record_id(str payload)
{
    struct uuid id = {{0}};
    if (payload.len > sizeof id.b) {
        memcpy(id.b, payload.p + 1, sizeof id.b);
    }
    return id;
}

bool record_decode(str payload, struct record *out)
{
    memset(out, 0, offsetof(struct record, attempt_rows));
    out->attempt_row_count = 0;
    out->has_content = false;
    out->content_request = out->content_answer = (str){0};
    struct source s = {(const unsigned char *)payload.p,
                       (const unsigned char *)payload.p + payload.len, payload.len == 0};
    if (s.bad || *s.at++ != CODEC_VERSION) {
        return false;
    }
    out->id = get_uuid(&s);
    out->at_us = get_i64(&s);
    out->key_id = get_uuid(&s);
    uint64_t flags = get_upto(&s, FLAGS_ALL);
    out->stream = (flags & FLAG_STREAM) != 0;
    out->has_source_id = (flags & FLAG_SOURCE) != 0;
    out->endpoint = get_text(&s);
    out->model_asked = get_text(&s);
    out->provider = get_text(&s);
    out->model = get_text(&s);
    out->route = (enum route_kind)get_upto(&s, ROUTE_NONE);
    out->status = get_int(&s, -1, 1 << 16);
    out->error_code = get_text(&s);
    get_numbers(&s, out);
    out->finish_reason = get_text(&s);
    out->max_latency_ms = get_num(&s);
    out->min_quality = get_num(&s);
    out->target_met = get_int(&s, -1, 1);
    out->user_tag = get_text(&s);
    out->tags = get_str(&s, RECORD_TAGS_MAX);
    out->decision = get_str(&s, RECORD_DECISION_MAX);
    for (unsigned i = 0; i < RECORD_STEPS_MAX; i++) {
        out->step_us[i] = (uint32_t)get_upto(&s, UINT32_MAX);
    }
    unsigned count = (unsigned)get_upto(&s, RECORD_ATTEMPTS_MAX);
    for (; out->attempt_row_count < count && !s.bad; out->attempt_row_count++) {
        get_attempt(&s, &out->attempt_rows[out->attempt_row_count]);
    }
    out->has_content = (flags & FLAG_CONTENT) != 0;
    if (out->has_content) {
        out->content_request = get_str(&s, RECORD_CONTENT_MAX);
        out->content_answer = get_str(&s, RECORD_CONTENT_MAX);
    }
    return !s.bad && s.at == s.end;
}
