/* What processes tell each other of providers: what is believed, for how long, and what is not. */
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/peers.h"
#include "fixture.h"

#define SECOND 1000u

static const str P = {"groq", 4};
static const struct digest key = {{7}}, other_key = {{8}};

struct ear {
    unsigned down, up;
    bool deaf;
};

static bool knows(void *ctx, str provider, const struct digest *k)
{
    struct ear *e = ctx;
    return !e->deaf && str_eq(provider, P) && (k == NULL || memcmp(k, &key, sizeof key) == 0);
}

static void heard(void *ctx, str provider, bool up_again)
{
    struct ear *e = ctx;
    CHECK(str_eq(provider, P));
    e->up += up_again;
    e->down += !up_again;
}

static void down(struct live *l, uint64_t now_ms)
{
    for (unsigned i = 0; i < 3; i++)
        health_note(l, P, HEALTH_CONNECT_FAILED, now_ms, NULL);
    CHECK_INT(health_of(l, P, now_ms), HEALTH_DOWN);
}

/* What `from` says at one time reaches `to` at another of its own clock, age_ms old. */
static bool tell(struct live *from, uint64_t at_ms, struct live *to, struct ear *e, uint64_t age_ms,
                 uint64_t now_ms)
{
    struct buf page;
    struct health_listener listener = {knows, heard, e};
    buf_init(&page, HEALTH_PAGE_BYTES_MAX);
    bool any = health_export(from, at_ms, &page);
    CHECK(health_import(to, &listener, buf_str(&page), age_ms, now_ms));
    buf_deinit(&page);
    return any;
}

TEST(a_fresh_process_probes_what_another_found_down)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    CHECK(!tell(a, 1000, b, &e, 0, 500000));
    down(a, 1000);
    CHECK(tell(a, 1500, b, &e, 200, 500000));
    CHECK_INT(e.down, 1);
    CHECK_INT(health_of(b, P, 500000), HEALTH_PROBE); /* one may try */
    CHECK(health_enter(b, P, 500000));
    CHECK_INT(health_of(b, P, 500000), HEALTH_DOWN); /* the others go elsewhere */
    bool up = true;
    CHECK(health_note(b, P, HEALTH_FAILED, 500100, &up)); /* and what it finds decides */
    CHECK(!up);
    CHECK_INT(health_of(b, P, 500100 + 4999), HEALTH_DOWN);
    CHECK_INT(health_of(b, P, 500100 + 5000), HEALTH_PROBE);
    live_free(a);
    live_free(b);
}

TEST(hearsay_ends_with_one_good_answer_and_does_not_come_back)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    down(a, 1000);
    tell(a, 1000, b, &e, 0, 500000);
    bool up = false;
    CHECK(!health_note(b, P, HEALTH_OK, 500010, &up) && up); /* it was never down here */
    CHECK_INT(health_of(b, P, 500010), HEALTH_UP);
    /* The same news again, and news of what was seen before this process had its answer. */
    tell(a, 3000, b, &e, 0, 502000);
    tell(a, 38000, b, &e, 3000, 540000);
    CHECK_INT(e.down, 1);
    /* The other goes on failing with a network of its own: each of its probes is newer than the
     * last answer here, but it is believed once in a while only. */
    for (unsigned i = 0; i < 60; i++) {
        uint64_t at = 10000 + i * 10 * SECOND;
        (void)health_note(a, P, HEALTH_CONNECT_FAILED, at, NULL);
        tell(a, at, b, &e, 0, 600000 + i * 10 * SECOND);
        if (health_of(b, P, 600000 + i * 10 * SECOND) == HEALTH_PROBE)
            (void)health_note(b, P, HEALTH_OK, 600001 + i * 10 * SECOND, NULL);
        CHECK_INT(health_of(b, P, 600001 + i * 10 * SECOND), HEALTH_UP);
    }
    CHECK(e.down > 2 && e.down <= 21);
    live_free(a);
    live_free(b);
}

TEST(who_has_good_answers_does_not_listen)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    (void)health_note(b, P, HEALTH_OK, 500000, NULL);
    down(a, 1000);
    tell(a, 3000, b, &e, 100, 502000); /* down since 499900 */
    CHECK_INT(e.down, 0);
    tell(a, 3000, b, &e, 0, 502001); /* since 500001 */
    CHECK_INT(e.down, 1);
    live_free(a);
    live_free(b);
}

TEST(a_recovery_ends_the_wait_of_the_others)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    down(b, 500000); /* until 505000 */
    down(a, 1000);
    (void)health_note(a, P, HEALTH_OK, 6500, NULL);
    tell(a, 6600, b, &e, 200, 500250); /* before it was found down here */
    CHECK_INT(e.up, 0);
    tell(a, 6600, b, &e, 0, 500200); /* after */
    CHECK_INT(e.up, 1);
    CHECK_INT(health_of(b, P, 500200), HEALTH_PROBE);
    (void)health_note(b, P, HEALTH_CONNECT_FAILED, 500300, NULL); /* not from here */
    CHECK_INT(health_of(b, P, 500300), HEALTH_DOWN);
    (void)health_note(a, P, HEALTH_OK, 6700, NULL);
    tell(a, 6700, b, &e, 0, 502000);
    CHECK_INT(health_of(b, P, 502000), HEALTH_DOWN);
    CHECK_INT(e.up, 1);
    CHECK(!tell(a, 6500 + 60 * SECOND, b, &e, 0, 503000)); /* old news */
    live_free(a);
    live_free(b);
}

TEST(hearsay_is_not_passed_on)
{
    struct live *a = live_new(1), *b = live_new(1), *c = live_new(1);
    struct ear e = {0};
    down(a, 1000);
    key_rest(a, P, &key, 9000, false);
    tell(a, 1000, b, &e, 0, 500000);
    CHECK(!tell(b, 500000, c, &e, 0, 900000));
    CHECK_INT(health_of(c, P, 900000), HEALTH_UP);
    (void)health_note(b, P, HEALTH_FAILED, 500100, NULL); /* seen with its own eyes */
    CHECK(tell(b, 500100, c, &e, 0, 900000));
    CHECK_INT(health_of(c, P, 900000), HEALTH_PROBE);
    live_free(a);
    live_free(b);
    live_free(c);
}

TEST(keys_rest_everywhere_after_a_429)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    bool credential = true;
    key_rest(a, P, &key, 21000, false);
    key_rest(a, P, &other_key, 21000, false); /* b does not have this one */
    CHECK(tell(a, 1000, b, &e, 500, 500000));
    CHECK_INT(key_resting_until(b, P, &key, 500000, &credential), 500000 + 20000 - 500);
    CHECK(!credential);
    CHECK_INT(key_resting_until(b, P, &other_key, 500000, NULL), 0);
    CHECK_INT(health_of(b, P, 500000), HEALTH_UP);
    key_rest(b, P, &key, 530000, false); /* what it knows itself holds for longer */
    tell(a, 1000, b, &e, 0, 500000);
    CHECK_INT(key_resting_until(b, P, &key, 500000, NULL), 530000);
    live_free(b);

    b = live_new(1);
    key_rest(a, P, &key, 1000 + 3600 * SECOND, false); /* an hour is believed in part */
    tell(a, 1000, b, &e, 0, 500000);
    CHECK_INT(key_resting_until(b, P, &key, 500000, NULL), 500000 + 300 * SECOND);
    live_free(a);

    a = live_new(1);
    key_rest(a, P, &key, 21000, true); /* a refused credential is each one's own */
    CHECK(!tell(a, 1000, b, &e, 0, 500000));
    live_free(a);
    live_free(b);
}

TEST(what_is_not_configured_or_too_old_is_not_heard)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {.deaf = true};
    down(a, 1000);
    tell(a, 1000, b, &e, 0, 500000);
    e.deaf = false;
    tell(a, 1000, b, &e, 120001, 500000);
    CHECK_INT(health_of(b, P, 500000), HEALTH_UP);
    CHECK_INT(e.down, 0);
    live_free(a);
    live_free(b);
}

TEST(there_is_something_to_tell_when_it_changes)
{
    struct live *l = live_new(1);
    uint64_t before = health_changes(l);
    (void)health_note(l, P, HEALTH_OK, 1000, NULL);
    key_rest(l, P, &key, 5000, true);
    CHECK(health_changes(l) == before);
    key_rest(l, P, &key, 5000, false);
    CHECK(health_changes(l) > before);
    before = health_changes(l);
    down(l, 2000);
    CHECK(health_changes(l) > before);
    before = health_changes(l);
    (void)health_note(l, P, HEALTH_OK, 8000, NULL);
    CHECK(health_changes(l) > before);
    live_free(l);
}

TEST(bytes_that_are_no_page_change_nothing)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    struct buf page;
    struct health_listener listener = {knows, heard, &e};
    down(a, 1000);
    key_rest(a, P, &key, 9000, false);
    buf_init(&page, HEALTH_PAGE_BYTES_MAX);
    CHECK(health_export(a, 1500, &page));
    for (size_t len = 0; len < page.len; len++) {
        char *cut = xmemdup0(page.p, len);
        CHECK(!health_import(b, &listener, str_of(cut, len), 0, 1000));
        free(cut);
    }
    (void)buf_add_char(&page, 0);
    CHECK(!health_import(b, &listener, buf_str(&page), 0, 1000));
    page.len--;
    page.p[13]++; /* of another version */
    CHECK(!health_import(b, &listener, buf_str(&page), 0, 1000));
    CHECK_INT(e.down, 0);
    CHECK_INT(health_of(b, P, 1000), HEALTH_UP);
    CHECK_INT(key_resting_until(b, P, &key, 1000, NULL), 0);
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

/* A page has room for some; none of those is broken. */
TEST(many_providers)
{
    struct live *a = live_new(1), *b = live_new(1);
    struct ear e = {0};
    char name[300];
    for (unsigned i = 0; i < 900; i++) {
        int len = snprintf(name, sizeof name, "%0200u", i);
        key_rest(a, str_of(name, (size_t)len), &key, 9000, false);
    }
    CHECK(tell(a, 1000, b, &e, 0, 1000));
    live_free(a);
    live_free(b);
}

CHECK_MAIN
