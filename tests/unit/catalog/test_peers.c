/* Measurements of other processes: what is exported and imported weighs as if it had been measured
 * here, is counted once, and loses weight with its age; bytes that are none change nothing. */
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/peers.h"
#include "fixture.h"

#define MINUTE 60000u

static const struct uuid peer_a = {{1}}, peer_b = {{2}};

static void record(struct live *l, unsigned slot, bool streamed, double ms, unsigned count)
{
    struct live_sample s = {streamed, streamed ? ms : NAN, streamed ? ms + 1000 : ms, false, 200};
    for (unsigned i = 0; i < count; i++)
        live_record(l, i % 2, slot, &s);
}

static struct live *measured(uint64_t now_ms)
{
    struct live *l = live_new(2);
    struct live_sample left = {true, NAN, 2000, true, -1};
    record(l, live_slot(l, STR("p/fast")), true, 100, 40);
    record(l, live_slot(l, STR("p/fast")), false, 900, 7);
    record(l, live_slot(l, STR("p/slow")), true, 3000, 11);
    live_record(l, 0, live_slot(l, STR("p/slow")), &left);
    live_merge(l, now_ms);
    return l;
}

static bool near(double got, double want, double error)
{
    if (fabs(got - want) > error)
        fprintf(stderr, "%g, expected %g\n", got, want);
    return fabs(got - want) <= error;
}

/* Everything that routing reads of this model. */
static void check_same(struct live *a, struct live *b, str id)
{
    static const double targets[] = {50, 100, 400, 1000, 2500, 5000};
    unsigned in_a = live_slot(a, id), in_b = live_slot(b, id);
    for (unsigned streamed = 0; streamed < 2; streamed++) {
        for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++)
            CHECK(near(live_chance(b, in_b, streamed, targets[i], 0.5),
                       live_chance(a, in_a, streamed, targets[i], 0.5), 0.01));
        double samples = live_latency(a, in_a, streamed).samples;
        CHECK(near(live_latency(b, in_b, streamed).samples, samples, 0.02 + samples / 100));
    }
    CHECK(near(live_total(b, in_b).samples, live_total(a, in_a).samples, 0.5));
    CHECK(near(live_answer_tokens(b, in_b, 500), live_answer_tokens(a, in_a, 500), 2));
}

static void export(struct live *l, unsigned page, struct buf *out)
{
    buf_init(out, LIVE_PAGE_BYTES_MAX);
    live_export(l, page, out);
    CHECK(!out->full);
}

TEST(another_process_reads_what_was_measured)
{
    struct live *a = measured(1000), *b = live_new(2);
    struct buf page;
    export(a, 0, &page);
    CHECK(page.len < 400);
    CHECK(live_import(b, &peer_a, 0, buf_str(&page), 0, 777000));
    (void)live_slot(b, STR("q/other")); /* the slots need not be the same */
    check_same(b, b, STR("q/other"));
    (void)live_slot(b, STR("p/slow"));
    (void)live_slot(b, STR("p/fast"));
    live_merge(b, 777000);
    check_same(a, b, STR("p/fast"));
    check_same(a, b, STR("p/slow"));
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

TEST(it_ages_there_as_it_does_here)
{
    struct live *a = measured(1000), *b = live_new(2);
    unsigned slot = live_slot(b, STR("p/fast"));
    struct buf page;
    (void)live_slot(b, STR("p/slow"));
    export(a, 0, &page);
    live_merge(b, 500000);
    CHECK(live_import(b, &peer_a, 0, buf_str(&page), 2 * MINUTE, 500100));
    live_merge(b, 500100 + MINUTE);
    live_merge(a, 1000 + 3 * MINUTE);
    check_same(a, b, STR("p/fast"));
    check_same(a, b, STR("p/slow"));
    /* Half an hour later by many small steps. */
    for (unsigned i = 1; i <= 7200; i++)
        live_merge(b, 500100 + MINUTE + i * 250);
    live_merge(a, 1000 + 33 * MINUTE);
    check_same(a, b, STR("p/fast"));
    /* Models that come later find it as old as it is. */
    (void)live_slot(b, STR("q/new"));
    live_merge(b, 500100 + 31 * MINUTE);
    check_same(a, b, STR("p/fast"));
    CHECK(live_latency(b, slot, true).samples > 10);
    CHECK(live_import(b, &peer_a, 0, buf_str(&page), LIVE_IMPORT_AGE_MAX_MS + 1, 500100));
    live_merge(b, 500100 + 31 * MINUTE);
    CHECK(live_latency(b, slot, true).samples == 0);
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

TEST(nothing_counts_twice)
{
    struct live *a = measured(1000), *b = live_new(2);
    unsigned slot = live_slot(b, STR("p/fast"));
    struct buf page, back;
    record(b, slot, true, 100, 10);
    live_merge(b, 1000);
    export(a, 0, &page);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(live_import(b, &peer_a, 0, buf_str(&page), 0, 1000));
        live_merge(b, 1000);
        CHECK(near(live_latency(b, slot, true).samples, 50, 0.1));
    }
    /* It tells only what it measured itself. */
    export(b, 0, &back);
    CHECK(live_import(a, &peer_b, 0, buf_str(&back), 0, 1000));
    live_merge(a, 1000);
    CHECK(near(live_latency(a, live_slot(a, STR("p/fast")), true).samples, 50, 0.1));
    CHECK(near(live_latency(a, live_slot(a, STR("p/slow")), true).samples, 12, 0.1));
    /* A peer that began anew under another name adds what it measures from then on. */
    struct live *again = live_new(2);
    record(again, live_slot(again, STR("p/fast")), true, 100, 2);
    live_merge(again, 1000);
    buf_deinit(&back);
    export(again, 0, &back);
    CHECK(live_import(b, &peer_b, 0, buf_str(&back), 0, 1000));
    live_merge(b, 1000);
    CHECK(near(live_latency(b, slot, true).samples, 52, 0.1));
    buf_deinit(&page);
    buf_deinit(&back);
    live_free(a);
    live_free(b);
    live_free(again);
}

TEST(only_what_has_changed_is_exported)
{
    struct live *l = measured(1000);
    struct buf page;
    char id[32];
    CHECK_INT(live_export_next(l, 0), 0);
    CHECK_INT(live_export_next(l, 1), LIVE_PAGES);
    export(l, 0, &page);
    CHECK_INT(live_export_next(l, 0), LIVE_PAGES);
    live_merge(l, 60000);
    CHECK_INT(live_export_next(l, 0), LIVE_PAGES); /* time alone changes nothing */
    live_export_again(l, 0);
    live_export_again(l, LIVE_PAGES);
    CHECK_INT(live_export_next(l, 0), 0);
    unsigned slot = 0;
    for (unsigned i = 0; i < 3 * LIVE_PAGE_SLOTS; i++) {
        snprintf(id, sizeof id, "m/%u", i);
        slot = live_slot(l, str_of_c(id));
    }
    record(l, slot, false, 5, 1);
    live_merge(l, 60001);
    CHECK_INT(live_export_next(l, 1), slot / LIVE_PAGE_SLOTS);
    buf_deinit(&page);
    export(l, 0, &page);
    buf_deinit(&page);
    export(l, slot / LIVE_PAGE_SLOTS, &page);
    CHECK_INT(live_export_next(l, 0), LIVE_PAGES);
    live_export_all_again(l);
    CHECK_INT(live_export_next(l, 0), 0);
    CHECK_INT(live_export_next(l, 1), slot / LIVE_PAGE_SLOTS);
    buf_deinit(&page);
    live_free(l);
}

TEST(bytes_that_are_no_page_change_nothing)
{
    struct live *a = measured(1000), *b = live_new(2);
    unsigned slot = live_slot(b, STR("p/fast"));
    struct buf page;
    export(a, 0, &page);
    CHECK(live_import(b, &peer_a, 0, buf_str(&page), 0, 1000));
    live_merge(b, 1000);
    double samples = live_latency(b, slot, true).samples;
    for (size_t len = 0; len < page.len; len++) {
        char *cut = xmemdup0(page.p, len);
        CHECK(!live_import(b, &peer_a, 0, str_of(cut, len), 0, 1000));
        free(cut);
    }
    page.p[11]++; /* of another version */
    CHECK(!live_import(b, &peer_a, 0, buf_str(&page), 0, 1000));
    page.p[11]--;
    (void)buf_add_char(&page, 0);
    CHECK(!live_import(b, &peer_a, 0, buf_str(&page), 0, 1000));
    page.len--;
    CHECK(!live_import(b, &peer_a, LIVE_PAGES, buf_str(&page), 0, 1000));
    /* Any byte changed: it is refused, or it is a page with other numbers. */
    for (size_t i = 0; i < page.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            page.p[i] = (char)(page.p[i] ^ (1 << bit));
            (void)live_import(b, &peer_b, 0, buf_str(&page), 0, 1000);
            live_merge(b, 1000);
            double chance = live_chance(b, slot, true, 400, 0.5);
            CHECK(chance >= 0 && chance <= 1.0001);
            page.p[i] = (char)(page.p[i] ^ (1 << bit));
        }
    }
    CHECK(live_import(b, &peer_b, 0, STR("relay-live-1\n\0"), 0, 1000)); /* it has nothing left */
    live_merge(b, 1000);
    CHECK(live_latency(b, slot, true).samples == samples);
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

/* More peers than there are places, each with one model: the oldest make room. */
TEST(what_is_kept_of_others_is_bounded)
{
    struct live *a = live_new(2), *b = live_new(1);
    struct buf page;
    record(a, live_slot(a, STR("p/m")), true, 100, 1);
    live_merge(a, 1000);
    export(a, 0, &page);
    unsigned slot = live_slot(b, STR("p/m"));
    for (unsigned i = 0; i < LIVE_IMPORTS_MAX + 100; i++) {
        struct uuid peer = {{(uint8_t)i, (uint8_t)(i >> 8)}};
        CHECK(live_import(b, &peer, 0, buf_str(&page), 100000 - i, 1000));
    }
    live_merge(b, 1000);
    double samples = live_latency(b, slot, true).samples;
    CHECK(samples > 0.9 * LIVE_IMPORTS_MAX && samples <= LIVE_IMPORTS_MAX);
    CHECK(live_import(b, &(struct uuid){{1, 1, 1}}, 0, buf_str(&page), 200000, 1000));
    live_merge(b, 1000);
    CHECK(live_latency(b, slot, true).samples <= samples + 0.01);
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

/* Every bucket of every slot of a page is in use, with long names. */
TEST(the_largest_page_has_room)
{
    struct live *a = live_new(2), *b = live_new(1);
    struct buf page;
    char id[257];
    for (unsigned i = 0; i < LIVE_PAGE_SLOTS; i++) {
        memset(id, 'a' + (int)i, 256);
        id[256] = '\0';
        (void)live_slot(b, str_of_c(id));
        unsigned slot = live_slot(a, str_of_c(id));
        for (double ms = 0.5; ms < 700000; ms *= 1.02) {
            for (unsigned kind = 0; kind < 4; kind++) {
                struct live_sample s = {kind < 2, NAN, ms, kind % 2 == 0, 1000};
                live_record(a, 0, slot, &s);
            }
        }
    }
    live_merge(a, 1000);
    export(a, 0, &page);
    CHECK(live_import(b, &peer_a, 0, buf_str(&page), 0, 1000));
    live_merge(b, 1000);
    check_same(a, b, str_of_c(id));
    buf_deinit(&page);
    live_free(a);
    live_free(b);
}

CHECK_MAIN
