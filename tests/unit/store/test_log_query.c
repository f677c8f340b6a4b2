/* What the admin API asks of a store: keys by page, sums of what fits, searches. */
#include "check.h"
#include "desk.h"

/* The names of the keys that are listed, one after the other. */
static str names_of(struct desk *t, struct key_query q)
{
    struct key_row *rows = NULL;
    size_t count = 0;
    str names = {NULL, 0};
    q.now_us = SAMPLE_US + 10000;
    CHECK(db_keys_list(t->db, &q, &t->a, &rows, &count, &t->why));
    for (size_t i = 0; i < count; i++) {
        names = arena_printf(&t->a, STR_FMT " " STR_FMT, STR_ARG(names), STR_ARG(rows[i].name));
    }
    return names;
}

TEST_BOTH(keys_are_listed_newest_first_by_page_state_and_part_of_a_name)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    char text[KEY_TEXT_BYTES];
    struct uuid a = make_key(&t, "Anna's", SAMPLE_US, text);
    struct uuid b = make_key(&t, "build", SAMPLE_US + 5000, text);
    struct uuid c = make_key(&t, "<script>%_", SAMPLE_US + 9000, text);
    REQUIRE(db_key_revoke(t.db, &b, SAMPLE_US + 9500, &t.a, &t.why));
    struct key_draft expires = {.name = STR("Anna's"),
                                .rpm = -1,
                                .tpm = -1,
                                .budget = PUSD_UNKNOWN,
                                .expires_us = SAMPLE_US + 1};
    REQUIRE(db_key_update(t.db, &a, &expires, &t.a, &t.why));
    CHECK_STR(names_of(&t, (struct key_query){.limit = 2}), " <script>%_ build");
    CHECK_STR(names_of(&t, (struct key_query){.before = &c, .limit = 1}), " build");
    CHECK_STR(names_of(&t, (struct key_query){.before = &a}), "");
    CHECK_STR(names_of(&t, (struct key_query){.id = &b}), " build");
    CHECK_STR(names_of(&t, (struct key_query){.state = KEYS_ACTIVE}), " <script>%_");
    CHECK_STR(names_of(&t, (struct key_query){.state = KEYS_REVOKED}), " build");
    CHECK_STR(names_of(&t, (struct key_query){.state = KEYS_EXPIRED}), " Anna's");
    CHECK_STR(names_of(&t, (struct key_query){.part = STR("aNNa'")}), " Anna's");
    CHECK_STR(names_of(&t, (struct key_query){.part = STR("%_")}), " <script>%_");
    CHECK_STR(names_of(&t, (struct key_query){.part = STR("%a%")}), "");
    desk_close(&t);
}

TEST_BOTH(sums_are_of_the_rows_that_fit_and_by_tag_of_all_tags)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    char text[KEY_TEXT_BYTES];
    struct uuid key = make_key(&t, "one", SAMPLE_US, text);
    static const char *const tags[] = {"{\"team\":\"a\",\"n\":1}", "{\"team\":\"a\"}", "",
                                       "{\"team\":\"\\u00e9\"}"};
    for (uint64_t i = 0; i < 40; i++) {
        struct record r = sample_record(i * 60000000);
        r.tags = str_of_c(tags[i % 4]);
        r.status = i < 4 ? 404 : i < 6 ? 503 : 200;
        r.cache = i >= 30 ? CACHE_SEMANTIC : CACHE_MISS;
        r.cost = (pusd)i;
        if (i % 2 == 0) {
            r.key_id = key;
        }
        put(&t, &r);
    }
    struct usage_sums u;
    struct usage_query q = {.by = USAGE_BY_TAG, .to_us = SAMPLE_US * 2, .limit = 2};
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    CHECK_INT(u.groups, 4);
    REQUIRE(u.count == 2);
    CHECK_STR(u.rows[0].group, "team=a");
    CHECK_INT(u.rows[0].requests, 20);
    CHECK_STR(u.rows[1].group, "team=\xc3\xa9");
    CHECK_INT(u.total.requests, 40);
    CHECK_INT(u.total.cost, 780);
    q = (struct usage_query){.by = USAGE_BY_MINUTE, .to_us = SAMPLE_US * 2, .limit = 2};
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    CHECK_INT(u.count, 40); /* times are not cut */
    CHECK_STR(u.rows[0].group, "2026-11-23T04:53:00Z");
    q.by = USAGE_BY_KEY;
    q.filter.key = &key;
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    REQUIRE(u.count == 1);
    CHECK_STR(u.rows[0].label, "one");
    CHECK(str_eq(u.rows[0].tag, str_of(text, 8)));
    CHECK_INT(u.total.requests, 20);
    q = (struct usage_query){.by = USAGE_BY_MODEL, .to_us = SAMPLE_US * 2};
    q.filter = (struct log_filter){.status_from = 400, .status_to = 499};
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    CHECK_INT(u.total.requests, 4);
    q.filter = (struct log_filter){.caches = 1u << CACHE_EXACT | 1u << CACHE_SEMANTIC};
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    CHECK_INT(u.total.requests, 10);
    q.filter = (struct log_filter){.provider = STR("groq"), .model = STR("none")};
    REQUIRE(db_usage(t.db, &q, &t.a, &u, &t.why));
    CHECK_INT(u.total.requests, 0);
    CHECK_INT(u.count, 0);
    desk_close(&t);
}

TEST_BOTH(a_search_goes_back_page_by_page)
{
    struct desk t;
    if (!desk_open(&t, kind)) {
        return;
    }
    /* Two hours with a year of nothing between them. */
    for (uint64_t i = 0; i < 10; i++) {
        struct record r = sample_record(i * 1000000 + (i >= 5 ? UINT64_C(31536000000000) : 0));
        r.status = i % 5 == 0 ? 503 : 200;
        put(&t, &r);
    }
    struct log_search q = {.to_us = SAMPLE_US * 2, .limit = 3};
    struct log_page page;
    struct uuid next;
    unsigned seen = 0, pages = 0;
    for (bool more = true; more && pages < 20; pages++) {
        REQUIRE(db_search(t.db, &q, &t.a, &page, &t.why));
        for (size_t i = 1; i < page.count; i++) {
            CHECK(memcmp(&page.rows[i - 1].id, &page.rows[i].id, sizeof(struct uuid)) > 0);
        }
        seen += (unsigned)page.count;
        more = page.more;
        next = page.next;
        q.before = &next;
    }
    CHECK_INT(seen, 10);
    CHECK_INT(pages, 4);
    q = (struct log_search){.to_us = SAMPLE_US * 2, .limit = 3, .budget_ms = 1000000};
    q.filter = (struct log_filter){.status_from = 500, .status_to = 599};
    REQUIRE(db_search(t.db, &q, &t.a, &page, &t.why));
    CHECK_INT(page.count, 2);
    CHECK(!page.more);
    CHECK_INT(page.searched_to_us, 0);
    /* Out of time: what was found, and where to go on. */
    q.budget_ms = 0;
    q.limit = 1;
    REQUIRE(db_search(t.db, &q, &t.a, &page, &t.why));
    CHECK_INT(page.count, 1);
    CHECK(page.more);
    q.to_us = SAMPLE_US;
    REQUIRE(db_search(t.db, &q, &t.a, &page, &t.why));
    CHECK_INT(page.count, 0);
    CHECK(!page.more);
    desk_close(&t);
}

CHECK_MAIN
