/* postgres_rows.c - rows in COPY's binary format: a row is its number of columns, then for each its
 * length and its bytes, all numbers big end first; a length of -1 is NULL. */
#include "store/postgres_rows.h"

#include <math.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"
/* More than all that is no text in a row of request_log takes. */
#define FIXED_BYTES_MAX 768u

/* ---- values: into room that was reserved for the whole row ---- */

static void put_bytes(char **at, const void *bytes, size_t len)
{
    memcpy(*at, bytes, len);
    *at += len;
}

static void put_number(char **at, uint64_t value, unsigned bytes)
{
    unsigned char *p = (unsigned char *)*at;
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (unsigned char)(value >> (8 * (bytes - 1 - i)));
    }
    *at += bytes;
}

static void put_length(char **at, size_t len)
{
    put_number(at, len, 4);
}

static void put_null(char **at)
{
    put_number(at, UINT32_MAX, 4);
}

static void put_columns(char **at, unsigned count)
{
    put_number(at, count, 2);
}

static void put_int8(char **at, int64_t value)
{
    put_length(at, 8);
    put_number(at, (uint64_t)value, 8);
}

static void put_int4(char **at, int64_t value)
{
    int64_t held = value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value;
    put_length(at, 4);
    put_number(at, (uint64_t)held, 4);
}

static void put_bool(char **at, bool value)
{
    put_length(at, 1);
    put_number(at, value, 1);
}

static void put_count(char **at, int64_t value) /* negative: NULL */
{
    if (value < 0) {
        put_null(at);
    } else {
        put_int8(at, value);
    }
}

static void put_money(char **at, pusd value)
{
    if (pusd_known(value)) {
        put_int8(at, value);
    } else {
        put_null(at);
    }
}

static void put_num(char **at, double value) /* NAN: NULL */
{
    uint64_t bits;
    if (isnan(value)) {
        put_null(at);
        return;
    }
    memcpy(&bits, &value, sizeof bits);
    put_length(at, 8);
    put_number(at, bits, 8);
}

static void put_uuid(char **at, const struct uuid *id)
{
    put_length(at, sizeof id->b);
    put_bytes(at, id->b, sizeof id->b);
}

static bool is_clean(str s)
{
    return memchr(s.p, '\0', s.len) == NULL && str_is_utf8(s);
}

static void put_text_as_it_is(char **at, str s)
{
    put_length(at, s.len);
    if (s.len == 0) {
        return;
    }
    if (is_clean(s)) {
        put_bytes(at, s.p, s.len);
        return;
    }
    char *length = *at - 4;
    for (size_t i = 0; i < s.len;) {
        size_t len = s.p[i] != '\0' ? str_utf8_at(s, i) : 0;
        if (len == 0) {
            put_bytes(at, REPLACEMENT, sizeof REPLACEMENT - 1);
            i++;
        } else {
            put_bytes(at, s.p + i, len);
            i += len;
        }
    }
    put_length(&length, (size_t)(*at - length - 4));
}

static void put_text(char **at, str s) /* empty: NULL */
{
    if (s.len == 0) {
        put_null(at);
    } else {
        put_text_as_it_is(at, s);
    }
}

static void put_word(char **at, const char *word)
{
    put_text(at, str_of_c(word));
}

/* A text grows threefold at most, when all of its bytes are replaced. */
static size_t text_most(str s)
{
    return (sizeof REPLACEMENT - 1) * s.len;
}

/* ---- rows ---- */

str postgres_rows_head(void)
{
    return STR("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0");
}

str postgres_rows_end(void)
{
    return STR("\377\377");
}

static void put_steps(char **at, const struct record *r)
{
    put_length(at, sizeof r->step_us);
    for (unsigned i = 0; i < RECORD_STEPS_MAX; i++) {
        put_number(at, r->step_us[i], 4);
    }
}

static void put_measures(char **at, const struct record *r)
{
    put_word(at, cache_kind_text(r->cache));
    put_num(at, r->similarity);
    if (r->has_source_id) {
        put_uuid(at, &r->source_id);
    } else {
        put_null(at);
    }
    put_num(at, r->ttft_ms);
    put_num(at, r->latency_ms);
    put_count(at, r->overhead_us);
    put_int4(at, r->attempts);
    put_text(at, r->finish_reason);
    put_num(at, r->max_latency_ms);
    put_num(at, r->min_quality);
    if (r->target_met < 0) {
        put_null(at);
    } else {
        put_bool(at, r->target_met != 0);
    }
}

void postgres_add_request(struct buf *out, const struct record *r)
{
    size_t most = FIXED_BYTES_MAX + text_most(r->endpoint) + text_most(r->model_asked) +
                  text_most(r->provider) + text_most(r->model) + text_most(r->error_code) +
                  text_most(r->finish_reason) + text_most(r->user_tag) + text_most(r->tags) +
                  text_most(r->decision);
    char *at = buf_reserve(out, most), *began = at;
    put_columns(&at, POSTGRES_REQUEST_COLUMNS);
    put_uuid(&at, &r->id);
    put_int8(&at, r->at_us);
    if (uuid_is_none(&r->key_id)) {
        put_null(&at);
    } else {
        put_uuid(&at, &r->key_id);
    }
    put_text(&at, r->endpoint);
    put_text(&at, r->model_asked);
    put_text(&at, r->provider);
    put_text(&at, r->model);
    put_word(&at, route_kind_text(r->route));
    put_bool(&at, r->stream);
    put_int4(&at, r->status);
    put_text(&at, r->error_code);
    put_count(&at, r->prompt_tokens);
    put_count(&at, r->cached_tokens);
    put_count(&at, r->cache_write_tokens);
    put_count(&at, r->completion_tokens);
    put_count(&at, r->reasoning_tokens);
    put_word(&at, usage_source_text(r->usage_source));
    put_money(&at, r->cost);
    put_word(&at, cost_source_text(r->cost_source));
    put_money(&at, r->cache_saved);
    put_money(&at, r->routing_saved);
    put_measures(&at, r);
    put_text(&at, r->user_tag);
    put_text(&at, r->tags);
    put_text(&at, r->decision);
    put_steps(&at, r);
    buf_added(out, (size_t)(at - began));
}

void postgres_add_attempt(struct buf *out, const struct uuid *request_id,
                          const struct attempt_record *a)
{
    size_t most =
        FIXED_BYTES_MAX + text_most(a->provider) + text_most(a->model) + text_most(a->error_code);
    char *at = buf_reserve(out, most), *began = at;
    put_columns(&at, POSTGRES_ATTEMPT_COLUMNS);
    put_uuid(&at, request_id);
    put_int4(&at, a->n);
    put_text(&at, a->provider);
    put_text(&at, a->model);
    if (a->status == 0) {
        put_null(&at);
    } else {
        put_int4(&at, a->status);
    }
    put_text(&at, a->error_code);
    put_count(&at, a->started_at_us == 0 ? -1 : a->started_at_us);
    put_num(&at, a->ttft_ms);
    put_num(&at, a->latency_ms);
    put_count(&at, a->prompt_tokens);
    put_count(&at, a->completion_tokens);
    put_money(&at, a->cost);
    put_word(&at, usage_source_text(a->usage_source));
    buf_added(out, (size_t)(at - began));
}

void postgres_add_content(struct buf *out, const struct record *r)
{
    size_t most = FIXED_BYTES_MAX + text_most(r->content_request) + text_most(r->content_answer);
    char *at = buf_reserve(out, most), *began = at;
    put_columns(&at, POSTGRES_CONTENT_COLUMNS);
    put_uuid(&at, &r->id);
    put_text_as_it_is(&at, r->content_request);
    put_text_as_it_is(&at, r->content_answer);
    buf_added(out, (size_t)(at - began));
}

static void put_data(char **at, str bytes)
{
    put_length(at, bytes.len);
    if (bytes.len > 0) {
        put_bytes(at, bytes.p, bytes.len);
    }
}

void postgres_add_sum(struct buf *out, const struct usage_sum *s)
{
    char *at = buf_reserve(out, FIXED_BYTES_MAX + s->name.len + s->data.len), *began = at;
    put_columns(&at, 5);
    put_int4(&at, (int64_t)s->part);
    put_int4(&at, s->span);
    put_int8(&at, s->hour);
    put_data(&at, s->name);
    put_data(&at, s->data);
    buf_added(out, (size_t)(at - began));
}

void postgres_add_delta(struct buf *out, const struct usage_sum *s)
{
    char *at = buf_reserve(out, FIXED_BYTES_MAX + s->data.len), *began = at;
    put_columns(&at, 2);
    put_int8(&at, s->hour);
    put_data(&at, s->data);
    buf_added(out, (size_t)(at - began));
}
