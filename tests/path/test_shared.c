/* Calls that are shared: equal plain questions of one owner wait for the first one's answer. Each
 * play is also run with every client leaving at every turn. */
#include <limits.h>

#include "check.h"
#include "scenario.h"

#define CLIENTS_MAX 4u

/* Clients that ask the same, when each comes, and what the provider does. */
struct play {
    const char *title;
    const char *body;
    unsigned clients;
    unsigned at[CLIENTS_MAX]; /* turn */
    const char *key[CLIENTS_MAX];
    struct reply replies[5];
    /* What comes of it when nobody leaves. */
    const char *calls;
    const char *cache[CLIENTS_MAX];
    int status;
};

/* clang-format off */
static const struct play plays[] = {
    {.title = "three ask at once", .body = ASK("one/small"), .clients = 3, .at = {0, 1, 2},
     .replies = {ANSWERS("one", "Hello"), ANSWERS("one", "Hello"), ANSWERS("one", "Hello")}, .calls = "one/small", .cache = {"miss", "shared", "shared"}, .status = 200},
    {.title = "in the same turn", .body = ASK("one/small"), .clients = 4, .at = {0, 0, 0, 0},
     .replies = {ANSWERS("one", "Hello"), ANSWERS("one", "Hello"), ANSWERS("one", "Hello")}, .calls = "one/small", .cache = {"miss", "shared", "shared", "shared"}, .status = 200},
    {.title = "the first one fails", .body = ASK("one/small"), .clients = 2, .at = {0, 1},
     .replies = {{"one", CALL_OK, 500, NULL, "", 5}, ANSWERS("one", "Hello"), ANSWERS("one", "Hello")},
     .calls = "one/small one/small", .cache = {NULL, "miss"}, .status = 0},
    {.title = "streams are not shared", .body = ASK_STREAM("one/small"), .clients = 2, .at = {0, 1},
     .replies = {STREAMS("one"), STREAMS("one")}, .calls = "one/small one/small", .cache = {"miss", "miss"}, .status = 200},
    {.title = "two owners", .body = ASK("one/small"), .clients = 2, .at = {0, 0}, .key = {"alice", "bob"},
     .replies = {ANSWERS("one", "Hello"), ANSWERS("one", "Hello")}, .calls = "one/small one/small", .cache = {"miss", "miss"}, .status = 200},
    {.title = "the answer may not be kept", .body = ASK("one/small"), .clients = 2, .at = {0, 1},
     .replies = {REFUSES("one", 200, PLAIN_AS("Hel", "length")), ANSWERS("one", "Hello"), ANSWERS("one", "Hello")},
     .calls = "one/small one/small", .cache = {"miss", "miss"}, .status = 200},
};
/* clang-format on */

/* Client `leaver` goes in turn `leave_at`; NEVER: all stay. Returns whether it did. */
static bool run(struct world *w, const struct play *p, unsigned leaver, unsigned leave_at,
                bool late)
{
    world_open(w, NULL);
    world_replies(w, p->replies);
    unsigned started = 0;
    for (unsigned turn = 0; started < p->clients; turn++) {
        while (started < p->clients && p->at[started] <= turn) {
            const char *key = p->key[started] != NULL ? p->key[started] : "alice";
            struct visit *v = visit_new(w, NULL, key, NULL, p->body);
            if (started == leaver) {
                v->leave_at = leave_at;
                v->leave_late = late;
            }
            visit_start(v);
            started++;
        }
        world_turn(w);
    }
    world_run(w);
    return leaver < p->clients && w->visits[leaver].gone;
}

static void balance(struct world *w, const struct play *p, const char *title)
{
    bool two_owners = p->key[1] != NULL;
    CHECK(world_balances(w, title, "alice"));
    if (two_owners)
        CHECK(world_balances(w, title, "bob"));
    world_close(w);
}

TEST(plays_end_as_they_must)
{
    for (size_t i = 0; i < sizeof plays / sizeof *plays; i++) {
        const struct play *p = &plays[i];
        struct world w;
        (void)run(&w, p, NEVER, NEVER, false);
        str calls = str_trim(buf_str(&w.calls));
        if (!check_that(str_eq(calls, str_of_c(p->calls)), __FILE__, __LINE__, p->title))
            fprintf(stderr, "calls: " STR_FMT "\n", STR_ARG(calls));
        for (unsigned c = 0; c < p->clients; c++) {
            char want[64];
            snprintf(want, sizeof want, "x-relay-cache: %s\r", p->cache[c]);
            if (p->status != 0)
                CHECK_INT(w.visits[c].status, p->status);
            if (p->cache[c] != NULL)
                CHECK(text_has(buf_str(&w.visits[c].head), want, p->title, "head"));
        }
        balance(&w, p, p->title);
    }
}

TEST(anyone_may_leave_at_any_turn)
{
    for (size_t i = 0; i < sizeof plays / sizeof *plays; i++) {
        const struct play *p = &plays[i];
        for (unsigned leaver = 0; leaver < p->clients; leaver++) {
            for (unsigned n = 0; n < 80; n++) {
                char title[128];
                struct world w;
                snprintf(title, sizeof title, "%s, %u leaves at %u", p->title, leaver, n);
                bool left = run(&w, p, leaver, n / 2, n % 2 == 1);
                for (unsigned c = 0; c < p->clients && p->status == 200; c++) {
                    if (c != leaver &&
                        !check_int(w.visits[c].status, 200, __FILE__, __LINE__, title))
                        break;
                }
                balance(&w, p, title);
                if (!left && n / 2 > p->at[leaver])
                    break;
            }
        }
    }
}

TEST(a_follower_gets_the_answer_of_a_leader_that_left)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, WAIT(100) PLAIN("Hello"), 0},
                                    {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 2);
    struct visit *follower = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 2);
    visit_leave(leader);
    world_run(&w);
    CHECK_INT(follower->status, 200);
    CHECK(text_has(buf_str(&follower->head), "x-relay-cache: shared\r", "orphan", "head"));
    CHECK_INT(w.calls_cancelled, 0);
    CHECK_INT(w.row_count, 2);
    CHECK_INT(world_tokens(&w, "alice"), 15);
    world_close(&w);
}

TEST(the_last_follower_of_a_leader_that_left_stops_the_call)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, WAIT(60000) PLAIN("Hello"), 0},
                                    {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 2);
    struct visit *follower = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 2);
    visit_leave(leader);
    world_run_ms(&w, 2000);
    CHECK_INT(w.calls_open, 1);
    visit_leave(follower);
    world_run_ms(&w, 1000);
    CHECK_INT(w.calls_open, 0);
    CHECK_INT(w.calls_cancelled, 1);
    CHECK_INT(w.row_count, 2);
    CHECK_INT(w.rows[0].status, 499);
    CHECK_INT(w.rows[1].status, 499);
    world_close(&w);
}

TEST(a_follower_has_its_own_deadline)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, WAIT(5000) PLAIN("Hello"), 0},
                                    {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 2);
    struct visit *follower = world_visit(
        &w, NULL, "alice", NULL, ASK_WITH("one/small", "\"routing\":{\"deadline_ms\":300}"));
    world_run_ms(&w, 400);
    CHECK_INT(follower->status, 504);
    world_run(&w);
    CHECK_INT(leader->status, 200);
    world_close(&w);
}

TEST(a_follower_for_whom_the_answer_is_not_good_enough_goes_on)
{
    const struct reply replies[] = {
        ANSWERS("one", "Hello"), ANSWERS("two", "Better"), {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    (void)world_visit(&w, NULL, "alice", NULL, ASK("trio"));
    struct visit *follower =
        world_visit(&w, NULL, "alice", NULL, ASK_WITH("trio", "\"routing\":{\"min_quality\":55}"));
    world_run(&w);
    CHECK(text_has(buf_str(&follower->body), "Better", "admissible", "body"));
    CHECK_STR(str_trim(buf_str(&w.calls)), "one/small two/mid");
    world_close(&w);
}

TEST(a_gateway_that_stops_ends_leader_and_followers)
{
    const struct reply replies[] = {{"one", CALL_OK, 200, NULL, STALL, 0},
                                    {NULL, CALL_OK, 0, NULL, NULL, 0}};
    struct world w;
    world_open(&w, NULL);
    world_replies(&w, replies);
    struct visit *leader = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    struct visit *follower = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_turns(&w, 4);
    worker_abandon_requests(&w.worker);
    world_turns(&w, 4);
    CHECK_INT(leader->status, 503);
    CHECK_INT(follower->status, 503);
    CHECK_INT(w.row_count, 2);
    CHECK_INT(w.calls_open, 0);
    world_close(&w);
}

CHECK_MAIN
