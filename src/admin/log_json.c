/* log_json.c - writes rows and sums of the log as JSON. Asks the store for nothing: what it writes
 * is handed to it. */
#include "admin/log_json.h"

#include "admin/model_json.h"
#include "base/clock.h"

static void add_text(struct buf *b, const char *key, const char *word)
{
    json_member_str_or_null(b, key, str_of_c(word));
}

static void add_tokens(struct buf *b, const struct record *r)
{
    json_member_int(b, "prompt_tokens", r->prompt_tokens);
    json_member_int(b, "cached_tokens", r->cached_tokens);
    json_member_int(b, "cache_write_tokens", r->cache_write_tokens);
    json_member_int(b, "completion_tokens", r->completion_tokens);
    json_member_int(b, "reasoning_tokens", r->reasoning_tokens);
    add_text(b, "usage_source", usage_source_text(r->usage_source));
    json_member_money(b, "cost_usd", r->cost);
    add_text(b, "cost_source", cost_source_text(r->cost_source));
    json_member_money(b, "cache_saved_usd", r->cache_saved);
    json_member_money(b, "routing_saved_usd", r->routing_saved);
}

static void add_outcome(struct buf *b, const struct record *r)
{
    static const struct uuid none;
    add_text(b, "cache", cache_kind_text(r->cache));
    json_member_num(b, "similarity", r->similarity);
    json_member_id(b, "source_id", r->has_source_id ? &r->source_id : &none);
    json_member_num(b, "ttft_ms", r->ttft_ms);
    json_member_num(b, "latency_ms", r->latency_ms);
    json_member_int(b, "overhead_us", r->overhead_us);
    json_member_int(b, "attempts", r->attempts);
    json_member_str_or_null(b, "finish_reason", r->finish_reason);
    json_member_num(b, "max_latency_ms", r->max_latency_ms);
    json_member_num(b, "min_quality", r->min_quality);
    json_member_json(b, "target_met",
                     r->target_met < 0 ? (str){NULL, 0}
                     : r->target_met   ? STR("true")
                                       : STR("false"));
    json_member_str_or_null(b, "user_tag", r->user_tag);
    json_member_json(b, "tags", r->tags);
}

void record_json(struct buf *b, const struct record *r, const struct key_row *key)
{
    buf_add_char(b, '{');
    json_member_id(b, "id", &r->id);
    json_member_time(b, "at", r->at_us);
    json_member_id(b, "key_id", &r->key_id);
    json_member_str_or_null(b, "key_tag", key != NULL ? key->tag : (str){NULL, 0});
    json_member_str_or_null(b, "key_name", key != NULL ? key->name : (str){NULL, 0});
    json_member_str(b, "endpoint", r->endpoint);
    json_member_str_or_null(b, "model_asked", r->model_asked);
    json_member_str_or_null(b, "provider", r->provider);
    json_member_str_or_null(b, "model", r->model);
    add_text(b, "route", route_kind_text(r->route));
    json_member_bool(b, "stream", r->stream);
    json_member_int(b, "status", r->status);
    json_member_str_or_null(b, "error_code", r->error_code);
    add_tokens(b, r);
    add_outcome(b, r);
}

void attempts_json(struct buf *b, const struct record *r)
{
    buf_add_char(b, '[');
    for (unsigned i = 0; i < r->attempt_row_count; i++) {
        const struct attempt_record *t = &r->attempt_rows[i];
        json_next(b);
        buf_add_char(b, '{');
        json_member_int(b, "n", t->n);
        json_member_str(b, "provider", t->provider);
        json_member_str(b, "model", t->model);
        json_member_int(b, "status", t->status > 0 ? t->status : -1);
        json_member_str_or_null(b, "error_code", t->error_code);
        json_member_time(b, "started_at", t->started_at_us);
        json_member_num(b, "ttft_ms", t->ttft_ms);
        json_member_num(b, "latency_ms", t->latency_ms);
        json_member_int(b, "prompt_tokens", t->prompt_tokens);
        json_member_int(b, "completion_tokens", t->completion_tokens);
        json_member_money(b, "cost_usd", t->cost);
        add_text(b, "usage_source", usage_source_text(t->usage_source));
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

/* ---- sums ---- */

const char *usage_by_text(enum usage_by by)
{
    static const char *const words[USAGE_BY_COUNT] = {
        [USAGE_BY_MINUTE] = "minute", [USAGE_BY_HOUR] = "hour",
        [USAGE_BY_DAY] = "day",       [USAGE_BY_PROVIDER] = "provider",
        [USAGE_BY_MODEL] = "model",   [USAGE_BY_KEY] = "key",
        [USAGE_BY_TAG] = "tag"};
    return words[by];
}

static void add_sums(struct buf *b, const struct usage_row *u)
{
    json_member_int(b, "requests", u->requests);
    json_member_int(b, "errors", u->errors);
    json_member_int(b, "cache_hits", u->cache_hits);
    json_member_int(b, "prompt_tokens", u->prompt_tokens);
    json_member_int(b, "completion_tokens", u->completion_tokens);
    json_member_money(b, "cost_usd", u->cost);
    json_member_int(b, "cost_unknown", u->cost_unknown);
    json_member_money(b, "cache_saved_usd", u->cache_saved);
    json_member_money(b, "routing_saved_usd", u->routing_saved);
    spread_json(b, "ttft_ms", u->ttft_p50_ms, u->ttft_p95_ms);
    spread_json(b, "latency_ms", u->latency_p50_ms, u->latency_p95_ms);
    buf_add_char(b, '}');
}

static void add_group(struct buf *b, enum usage_by by, const struct usage_row *u)
{
    struct uuid id;
    bool no_key = by == USAGE_BY_KEY && uuid_parse(u->group, &id) && uuid_is_none(&id);
    buf_add_char(b, '{');
    json_member_str_or_null(b, usage_by_text(by), no_key ? (str){NULL, 0} : u->group);
    if (by == USAGE_BY_KEY) {
        json_member_str_or_null(b, "key_tag", u->tag);
        json_member_str_or_null(b, "name", u->label);
    }
    add_sums(b, u);
}

void usage_json(struct buf *b, const struct usage_query *q, const struct usage_sums *sums)
{
    buf_add_char(b, '{');
    json_member_str(b, "by", str_of_c(usage_by_text(q->by)));
    char from[CLOCK_TEXT_BYTES], to[CLOCK_TEXT_BYTES];
    json_member_str(b, "from", clock_utc_text(q->from_us, from));
    json_member_str(b, "to", clock_utc_text(q->to_us, to));
    json_begin_list(b, "rows");
    for (size_t i = 0; i < sums->count; i++) {
        json_next(b);
        add_group(b, q->by, &sums->rows[i]);
    }
    buf_add_char(b, ']');
    json_member_int(b, "count", (int64_t)sums->groups);
    json_key(b, "total");
    buf_add_char(b, '{');
    add_sums(b, &sums->total);
    buf_add_char(b, '}');
}
