/* answer_codec.c - a mark with a version, numbers of eight bytes, texts with their length before
 * them, the vector at the end; little end first. The reader takes nothing on trust: what it reads
 * has been in another program's hands. */
#include "store/answer_codec.h"

#include <math.h>

static const str mark = STR_INIT("relay-answer-1\n");

enum { HAS_VECTOR = 1 };

/* Of a vector's length, which is 1, after rounding. */
#define NORM_SLACK 0.02

/* The numbers of an answer in their order. */
#define NUMBERS 11u
static void numbers_of(const struct stored_answer *a, int64_t out[NUMBERS])
{
    const struct usage *u = &a->usage;
    const int64_t all[NUMBERS] = {a->stored_us, a->expires_us,   u->known,           u->prompt,
                                  u->cached,    u->cache_write,  u->cache_write_1h,  u->completion,
                                  u->reasoning, u->audio_prompt, u->audio_completion};
    memcpy(out, all, sizeof all);
}

/* ---- writing ---- */

static void add_u64(struct buf *out, uint64_t v)
{
    char bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (char)(unsigned char)(v >> (8 * i));
    }
    (void)buf_add(out, str_of(bytes, sizeof bytes));
}

static void add_text(struct buf *out, str s)
{
    add_u64(out, s.len);
    (void)buf_add(out, s);
}

void vector_encode(const float vector[VECTOR_DIM], char out[VECTOR_DIM * 4])
{
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        for (unsigned b = 0; b < 4; b++) {
            out[i * 4 + b] = (char)(unsigned char)(bits >> (8 * b));
        }
    }
}

bool answer_encode(const struct stored_answer *a, struct buf *out)
{
    const struct stored_question *q = &a->question;
    int64_t numbers[NUMBERS];
    (void)buf_add(out, mark);
    (void)buf_add_char(out, q->vector != NULL ? HAS_VECTOR : 0);
    (void)buf_add(out, str_of((const char *)a->key.b, sizeof a->key.b));
    (void)buf_add(out, str_of((const char *)q->scope.b, sizeof q->scope.b));
    (void)buf_add(out, str_of((const char *)a->source_id.b, sizeof a->source_id.b));
    (void)buf_add(out, str_of((const char *)a->owner.b, sizeof a->owner.b));
    numbers_of(a, numbers);
    for (unsigned i = 0; i < NUMBERS; i++) {
        add_u64(out, (uint64_t)numbers[i]);
    }
    add_u64(out, (uint64_t)a->usage.stated_cost);
    add_text(out, a->provider);
    add_text(out, a->model);
    add_text(out, a->finish_reason);
    add_text(out, a->tags);
    add_text(out, a->body);
    add_text(out, q->text);
    if (q->vector != NULL) {
        char vector[VECTOR_DIM * 4];
        vector_encode(q->vector, vector);
        (void)buf_add(out, str_of(vector, sizeof vector));
    }
    return !out->full;
}

/* ---- reading: `rest` shrinks; on a lack of bytes `ok` falls ---- */

struct reader {
    str rest;
    bool ok;
};

static str take(struct reader *r, uint64_t len)
{
    if (!r->ok || len > r->rest.len) {
        r->ok = false;
        return (str){0};
    }
    str out = str_of(r->rest.p, (size_t)len);
    r->rest = str_sub(r->rest, (size_t)len, r->rest.len);
    return out;
}

static void take_bytes(struct reader *r, void *to, size_t len)
{
    str from = take(r, len);
    if (r->ok) {
        memcpy(to, from.p, len);
    }
}

static uint64_t take_u64(struct reader *r)
{
    str bytes = take(r, 8);
    uint64_t v = 0;
    for (unsigned i = 0; r->ok && i < 8; i++) {
        v |= (uint64_t)(unsigned char)bytes.p[i] << (8 * i);
    }
    return v;
}

static int64_t take_count(struct reader *r)
{
    int64_t v = (int64_t)take_u64(r);
    r->ok = r->ok && v >= 0;
    return v;
}

static str take_text(struct reader *r)
{
    return take(r, take_u64(r));
}

/* Finite, and of length 1. */
static void take_vector(struct reader *r, float vector[VECTOR_DIM])
{
    str bytes = take(r, (uint64_t)VECTOR_DIM * 4);
    double norm = 0;
    for (unsigned i = 0; r->ok && i < VECTOR_DIM; i++) {
        uint32_t bits = 0;
        for (unsigned b = 0; b < 4; b++) {
            bits |= (uint32_t)(unsigned char)bytes.p[i * 4 + b] << (8 * b);
        }
        memcpy(&vector[i], &bits, sizeof bits);
        norm += (double)vector[i] * (double)vector[i];
    }
    r->ok = r->ok && fabs(norm - 1) < NORM_SLACK;
}

static void take_usage(struct reader *r, struct usage *u)
{
    u->known = take_count(r) != 0;
    int64_t *const counts[] = {&u->prompt,         &u->cached,          &u->cache_write,
                               &u->cache_write_1h, &u->completion,      &u->reasoning,
                               &u->audio_prompt,   &u->audio_completion};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *counts[i] = take_count(r);
    }
    u->stated_cost = (pusd)take_u64(r);
    r->ok = r->ok && (u->stated_cost >= 0 || u->stated_cost == PUSD_UNKNOWN);
}

/* What is before the body. Returns the flags. */
static unsigned take_head(struct reader *r, struct stored_answer *out)
{
    memset(out, 0, sizeof *out);
    str head = take(r, mark.len);
    str flag = take(r, 1);
    unsigned flags = r->ok ? (unsigned char)flag.p[0] : 0;
    r->ok = r->ok && str_eq(head, mark) && flags <= HAS_VECTOR;
    take_bytes(r, out->key.b, sizeof out->key.b);
    take_bytes(r, out->question.scope.b, sizeof out->question.scope.b);
    take_bytes(r, out->source_id.b, sizeof out->source_id.b);
    take_bytes(r, out->owner.b, sizeof out->owner.b);
    out->stored_us = take_count(r);
    out->expires_us = take_count(r);
    take_usage(r, &out->usage);
    out->provider = take_text(r);
    out->model = take_text(r);
    out->finish_reason = take_text(r);
    out->tags = take_text(r);
    return flags;
}

bool answer_decode_head(str bytes, struct stored_answer *out)
{
    struct reader r = {bytes, true};
    (void)take_head(&r, out);
    return r.ok;
}

bool answer_decode(str bytes, struct stored_answer *out, float vector[VECTOR_DIM])
{
    struct reader r = {bytes, true};
    unsigned flags = take_head(&r, out);
    out->body = take_text(&r);
    out->question.text = take_text(&r);
    if (flags & HAS_VECTOR) {
        take_vector(&r, vector);
        out->question.vector = vector;
    }
    return r.ok && r.rest.len == 0;
}
