/* Words, and rows as bytes: every field comes back, and no damaged bytes are believed. */
#include "check.h"
#include "store_fixture.h"

static void check_same(const struct record *a, const struct record *b)
{
    CHECK(memcmp(&a->id, &b->id, sizeof a->id) == 0);
    CHECK(memcmp(&a->key_id, &b->key_id, sizeof a->key_id) == 0);
    CHECK_INT(a->at_us, b->at_us);
    CHECK(str_eq(a->endpoint, b->endpoint));
    CHECK(str_eq(a->model_asked, b->model_asked));
    CHECK(str_eq(a->provider, b->provider));
    CHECK(str_eq(a->model, b->model));
    CHECK_INT(a->route, b->route);
    CHECK_INT(a->stream, b->stream);
    CHECK_INT(a->status, b->status);
    CHECK(str_eq(a->error_code, b->error_code));
    CHECK_INT(a->prompt_tokens, b->prompt_tokens);
    CHECK_INT(a->cached_tokens, b->cached_tokens);
    CHECK_INT(a->cache_write_tokens, b->cache_write_tokens);
    CHECK_INT(a->completion_tokens, b->completion_tokens);
    CHECK_INT(a->reasoning_tokens, b->reasoning_tokens);
    CHECK_INT(a->usage_source, b->usage_source);
    CHECK_INT(a->cost, b->cost);
    CHECK_INT(a->cost_source, b->cost_source);
    CHECK_INT(a->cache_saved, b->cache_saved);
    CHECK_INT(a->routing_saved, b->routing_saved);
    CHECK_INT(a->cache, b->cache);
    CHECK(memcmp(&a->similarity, &b->similarity, 8) == 0);
    CHECK_INT(a->has_source_id, b->has_source_id);
    CHECK(memcmp(&a->source_id, &b->source_id, sizeof a->source_id) == 0);
    CHECK(memcmp(&a->ttft_ms, &b->ttft_ms, 8) == 0);
    CHECK(memcmp(&a->latency_ms, &b->latency_ms, 8) == 0);
    CHECK_INT(a->overhead_us, b->overhead_us);
    CHECK_INT(a->attempts, b->attempts);
    CHECK(str_eq(a->finish_reason, b->finish_reason));
    CHECK(memcmp(&a->max_latency_ms, &b->max_latency_ms, 8) == 0);
    CHECK(memcmp(&a->min_quality, &b->min_quality, 8) == 0);
    CHECK_INT(a->target_met, b->target_met);
    CHECK(str_eq(a->user_tag, b->user_tag));
    CHECK(str_eq(a->tags, b->tags));
    CHECK(str_eq(a->decision, b->decision));
    CHECK(memcmp(a->step_us, b->step_us, sizeof a->step_us) == 0);
    CHECK_INT(a->attempt_row_count, b->attempt_row_count);
    CHECK_INT(a->has_content, b->has_content);
    CHECK(str_eq(a->content_request, b->content_request));
    CHECK(str_eq(a->content_answer, b->content_answer));
}

static struct record full_record(void)
{
    struct record r = sample_record(3);
    r.error_code = STR("upstream_error");
    r.user_tag = STR("user-1");
    r.cost = PUSD_UNKNOWN;
    r.cache_saved = INT64_MAX;
    r.routing_saved = INT64_MIN + 1;
    r.has_source_id = true;
    r.source_id = sample_id(5, 6);
    r.step_us[9] = UINT32_MAX;
    r.has_content = true;
    r.content_request = STR("question");
    r.content_answer = STR("answer");
    sample_add_attempt(&r, "a", 503);
    sample_add_attempt(&r, "b", 200);
    return r;
}

TEST(every_field_comes_back)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    struct record r = full_record(), back;
    REQUIRE(record_encode(&r, &b));
    REQUIRE(record_decode(buf_str(&b), &back));
    check_same(&back, &r);
    for (unsigned i = 0; i < 2; i++) {
        const struct attempt_record *x = &r.attempt_rows[i], *y = &back.attempt_rows[i];
        CHECK_INT(y->n, x->n);
        CHECK(str_eq(y->provider, x->provider) && str_eq(y->model, x->model));
        CHECK(str_eq(y->error_code, x->error_code));
        CHECK_INT(y->status, x->status);
        CHECK_INT(y->started_at_us, x->started_at_us);
        CHECK(isnan(y->ttft_ms));
        CHECK(y->latency_ms == 3);
        CHECK_INT(y->prompt_tokens, -1);
        CHECK_INT(y->cost, PUSD_UNKNOWN);
        CHECK_INT(y->usage_source, USAGE_NONE);
    }
    buf_deinit(&b);
}

TEST(a_short_row_is_short)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    struct record r = sample_record(1);
    REQUIRE(record_encode(&r, &b));
    CHECK(b.len < 256);
    buf_deinit(&b);
}

TEST(long_texts_are_cut_between_characters_and_long_json_is_dropped)
{
    static char letters[3000];
    struct buf b;
    buf_init(&b, 1 << 20);
    struct record r = sample_record(1), back;
    memset(letters, 'x', sizeof letters);
    memcpy(letters + RECORD_TEXT_MAX - 1, "\xC3\xA9", 2);
    r.user_tag = str_of(letters, 300);
    r.decision = str_of(letters, RECORD_DECISION_MAX + 1);
    r.tags = str_of(letters, RECORD_TAGS_MAX + 1);
    REQUIRE(record_encode(&r, &b));
    REQUIRE(record_decode(buf_str(&b), &back));
    CHECK_INT(back.user_tag.len, RECORD_TEXT_MAX - 1);
    CHECK_INT(back.decision.len, 0);
    CHECK_INT(back.tags.len, 0);
    buf_deinit(&b);
}

TEST(the_largest_row_fits_into_the_journals_buffer)
{
    static char big[RECORD_CONTENT_MAX + 10];
    struct buf b;
    buf_init(&b, 192u << 10);
    struct record r = full_record(), back;
    memset(big, 'x', sizeof big);
    str text = str_of(big, RECORD_TEXT_MAX);
    r.endpoint = r.model_asked = r.provider = r.model = r.error_code = r.finish_reason =
        r.user_tag = text;
    r.tags = str_of(big, RECORD_TAGS_MAX);
    r.decision = str_of(big, RECORD_DECISION_MAX);
    r.content_request = r.content_answer = str_of(big, sizeof big);
    r.attempt_row_count = RECORD_ATTEMPTS_MAX;
    for (unsigned i = 0; i < RECORD_ATTEMPTS_MAX; i++) {
        r.attempt_rows[i] = r.attempt_rows[0];
        r.attempt_rows[i].provider = r.attempt_rows[i].model = r.attempt_rows[i].error_code = text;
    }
    REQUIRE(record_encode(&r, &b));
    REQUIRE(record_decode(buf_str(&b), &back));
    CHECK_INT(back.content_answer.len, RECORD_CONTENT_MAX);
    CHECK_INT(back.attempt_row_count, RECORD_ATTEMPTS_MAX);
    buf_deinit(&b);
}

TEST(no_part_of_a_row_is_a_row)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    struct record r = full_record(), back;
    REQUIRE(record_encode(&r, &b));
    for (size_t len = 0; len < b.len; len++) {
        CHECK(!record_decode(str_of(b.p, len), &back));
    }
    buf_add_char(&b, 'x');
    CHECK(!record_decode(buf_str(&b), &back));
    buf_deinit(&b);
}

TEST(another_version_is_not_read)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    struct record r = sample_record(1), back;
    REQUIRE(record_encode(&r, &b));
    b.p[0]++;
    CHECK(!record_decode(buf_str(&b), &back));
    buf_deinit(&b);
}

TEST(words_are_those_of_the_reference)
{
    CHECK_CSTR(route_kind_text(ROUTE_TARGET_MISSED), "target-missed");
    CHECK_CSTR(route_kind_text(ROUTE_NONE), "");
    CHECK_CSTR(route_kind_text(ROUTE_CACHED), "cached");
    CHECK_CSTR(cache_kind_text(CACHE_BYPASS), "bypass");
    CHECK_CSTR(cache_kind_text(CACHE_SHARED), "shared");
    CHECK_CSTR(usage_source_text(USAGE_CACHE), "cache");
    CHECK_CSTR(cost_source_text(COST_CATALOG), "catalog");
}

CHECK_MAIN
