/* Rows as COPY's binary format takes them: what comes out of a small reader of that format. */
#include "check.h"
#include "store_fixture.h"

#include "store/postgres_rows.h"

struct column {
    int64_t len; /* -1: NULL */
    const char *p;
};

struct row {
    unsigned count;
    struct column columns[64];
};

static uint64_t number_at(const char *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | (unsigned char)p[i];
    }
    return value;
}

/* Reads the one row in the buffer, to its last byte. */
static bool read_row(const struct buf *b, struct row *out)
{
    size_t at = 2;
    memset(out, 0, sizeof *out);
    out->count = (unsigned)number_at(b->p, 2);
    for (unsigned i = 0; i < out->count && i < 64; i++) {
        uint32_t len = (uint32_t)number_at(b->p + at, 4);
        at += 4;
        out->columns[i] = (struct column){len == UINT32_MAX ? -1 : (int64_t)len, b->p + at};
        at += len == UINT32_MAX ? 0 : len;
        if (at > b->len) {
            return false;
        }
    }
    return at == b->len;
}

static str text_at(const struct row *r, unsigned i)
{
    return str_of(r->columns[i].p, r->columns[i].len > 0 ? (size_t)r->columns[i].len : 0);
}

static int64_t int_at(const struct row *r, unsigned i)
{
    return r->columns[i].len == 4 ? (int32_t)number_at(r->columns[i].p, 4)
                                  : (int64_t)number_at(r->columns[i].p, 8);
}

static bool is_null(const struct row *r, unsigned i)
{
    return r->columns[i].len == -1;
}

static struct row request_row(struct buf *b, const struct record *r)
{
    struct row row;
    buf_init(b, SIZE_MAX / 2);
    postgres_add_request(b, r);
    CHECK(read_row(b, &row));
    return row;
}

TEST(a_request_has_its_columns_in_order)
{
    struct buf b;
    struct record r = sample_record(3);
    struct row row = request_row(&b, &r);
    CHECK_INT(row.count, POSTGRES_REQUEST_COLUMNS);
    CHECK_MEM(row.columns[0].p, 16, r.id.b, 16);
    CHECK_INT(int_at(&row, 1), r.at_us);
    CHECK_STR(text_at(&row, 3), "/v1/chat/completions");
    CHECK_STR(text_at(&row, 7), "chosen");
    CHECK_INT(row.columns[8].len, 1);
    CHECK_INT(row.columns[8].p[0], 1);
    CHECK_INT(int_at(&row, 9), 200);
    CHECK(is_null(&row, 10)); /* no error */
    CHECK_INT(int_at(&row, 11), 120);
    CHECK(is_null(&row, 13)); /* unknown tokens */
    CHECK_INT(int_at(&row, 17), 123456789);
    CHECK_INT(int_at(&row, 20), -5);
    CHECK(is_null(&row, 22)); /* NAN */
    CHECK(is_null(&row, 23)); /* no source */
    double ttft;
    uint64_t bits = number_at(row.columns[24].p, 8);
    memcpy(&ttft, &bits, sizeof ttft);
    CHECK(ttft == 12.5);
    CHECK_INT(row.columns[31].len, 1); /* target_met */
    CHECK_STR(text_at(&row, 33), "{\"team\":\"x\"}");
    CHECK_INT(row.columns[35].len, 40);
    CHECK_INT(number_at(row.columns[35].p + 12, 4), 30);
    buf_deinit(&b);
}

TEST(unknown_is_null_and_too_much_is_the_most)
{
    struct buf b;
    struct record r = sample_record(3);
    memset(&r.key_id, 0, sizeof r.key_id);
    r.cost = PUSD_UNKNOWN;
    r.route = ROUTE_NONE;
    r.target_met = -1;
    r.attempts = UINT32_MAX;
    r.status = -1;
    r.cache_saved = INT64_MAX;
    r.has_source_id = true;
    r.latency_ms = (double)INFINITY;
    struct row row = request_row(&b, &r);
    CHECK(is_null(&row, 2));
    CHECK(is_null(&row, 7));
    CHECK_INT(int_at(&row, 9), -1);
    CHECK(is_null(&row, 17));
    CHECK_INT(int_at(&row, 19), INT64_MAX);
    CHECK_INT(row.columns[23].len, 16);
    CHECK_INT(row.columns[25].len, 8);
    CHECK_INT(int_at(&row, 27), INT32_MAX);
    CHECK(is_null(&row, 31));
    buf_deinit(&b);
}

TEST(texts_are_made_what_the_server_takes)
{
    static const struct {
        str text;
        const char *becomes;
    } cases[] = {
        {STR_INIT("plain"), "plain"},
        {STR_INIT("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {STR_INIT("a\0b"), "a\xEF\xBF\xBD"
                           "b"},
        {STR_INIT("\0"), "\xEF\xBF\xBD"},
        {STR_INIT("\xFF\xFE"), "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {STR_INIT("x\xE2\x82"), "x\xEF\xBF\xBD\xEF\xBF\xBD"},               /* cut */
        {STR_INIT("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* too long a form */
        {STR_INIT("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {STR_INIT("'; DROP TABLE request_log; --\\\n\t\r"),
         "'; DROP TABLE request_log; --\\\n\t\r"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        struct record r = sample_record(3);
        r.model_asked = r.user_tag = cases[i].text;
        struct row row = request_row(&b, &r);
        CHECK_STR(text_at(&row, 4), cases[i].becomes);
        CHECK_STR(text_at(&row, 32), cases[i].becomes);
        CHECK_STR(text_at(&row, 5), "groq");
        buf_deinit(&b);
    }
}

TEST(a_row_with_all_texts_at_their_longest_and_worst_fits)
{
    static char bad[RECORD_CONTENT_MAX];
    struct buf b;
    struct row row;
    memset(bad, 0xFF, sizeof bad);
    struct record r = sample_record(3);
    str text = str_of(bad, RECORD_TEXT_MAX);
    r.endpoint = r.model_asked = r.provider = r.model = r.error_code = text;
    r.finish_reason = r.user_tag = text;
    r.tags = str_of(bad, RECORD_TAGS_MAX);
    r.decision = str_of(bad, RECORD_DECISION_MAX);
    r.route = ROUTE_TARGET_MISSED;
    r.has_source_id = true;
    r.similarity = r.min_quality = 1;
    r.cache_write_tokens = r.reasoning_tokens = 1;
    row = request_row(&b, &r);
    CHECK_INT(row.columns[34].len, 3 * RECORD_DECISION_MAX);
    buf_clear(&b);
    r.content_request = str_of(bad, sizeof bad);
    postgres_add_content(&b, &r);
    CHECK(read_row(&b, &row));
    CHECK_INT(row.count, POSTGRES_CONTENT_COLUMNS);
    CHECK_INT(row.columns[1].len, 3 * RECORD_CONTENT_MAX);
    CHECK_INT(row.columns[2].len, 0); /* empty, not NULL */
    buf_clear(&b);
    sample_add_attempt(&r, "gemini", 503);
    r.attempt_rows[0].provider = text;
    postgres_add_attempt(&b, &r.id, &r.attempt_rows[0]);
    CHECK(read_row(&b, &row));
    CHECK_INT(row.count, POSTGRES_ATTEMPT_COLUMNS);
    CHECK_INT(int_at(&row, 1), 1);
    CHECK_INT(int_at(&row, 4), 503);
    CHECK_STR(text_at(&row, 12), "none");
    buf_deinit(&b);
}

CHECK_MAIN
