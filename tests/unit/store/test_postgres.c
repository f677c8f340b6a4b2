/* What is PostgreSQL's own: notices, servers that do not answer, and which store it is. */
#include "backends.h"
#include "check.h"

#include <poll.h>

#include "base/clock.h"
#include "store/postgres_internal.h"

#define SURELY_MS 60000

static void drop(void *ctx, struct key *take, int64_t changed)
{
    (void)changed;
    *(unsigned *)ctx += 1;
    key_unref(take);
}

static unsigned look(struct db *d, struct keys_seen *seen)
{
    unsigned count = 0;
    bool all;
    CHECK(db_keys_read(d, seen, &all, drop, &count));
    return count;
}

static void make_key(struct db *d)
{
    struct arena a;
    struct uuid id;
    str why;
    char text[KEY_TEXT_BYTES];
    struct key_draft draft = {.name = STR("k"), .rpm = -1, .tpm = -1, .budget = PUSD_UNKNOWN};
    arena_init(&a, 0);
    CHECK(db_key_create(d, &draft, key_generate("glw_", text), 5, &a, &id, &why));
    arena_deinit(&a);
}

static bool is_readable(struct db *d, int timeout_ms)
{
    struct pollfd p = {.fd = db_notices(d), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

TEST(a_change_of_a_key_is_told_and_the_look_takes_the_notice)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct db *d = place_open(&p, DB_WRITER), *tool = place_open(&p, DB_TOOL);
    REQUIRE(d != NULL && tool != NULL);
    struct keys_seen seen = {0};
    for (int i = 0; i < 3; i++) {
        look(d, &seen);
        CHECK(!is_readable(d, 0));
        make_key(tool);
        CHECK(is_readable(d, SURELY_MS));
        CHECK_INT(look(d, &seen), 1);
    }
    /* Without the look, too. */
    make_key(tool);
    CHECK(is_readable(d, SURELY_MS));
    CHECK(postgres_take_notices(postgres_of(d)));
    CHECK(!postgres_take_notices(postgres_of(d)));
    db_close(tool);
    db_close(d);
    place_remove(&p);
}

static bool stop_now(void *ctx)
{
    ++*(unsigned *)ctx;
    return false;
}

TEST(a_server_that_does_not_answer_is_given_up)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct digest hash = digest_of(STR("x"));
    struct key *k = NULL;
    int64_t changed;
    unsigned asked = 0;
    char *why = NULL;
    const struct db_waiter waiter = {stop_now, &asked};
    struct db *all[2] = {place_open(&p, DB_READER), NULL};
    all[1] = db_open_waiting(str_of_c(p.url), DB_WRITER, false, &waiter, NULL, &why);
    REQUIRE(all[0] != NULL && all[1] != NULL);
    for (int i = 0; i < 2; i++) {
        struct db *d = all[i];
        pid_t backend = PQbackendPID(postgres_of(d)->conn);
        CHECK(db_is_there(d));
        REQUIRE(kill(backend, SIGSTOP) == 0);
        CHECK(!db_key_by_hash(d, &hash, &k, &changed));
        CHECK(!db_is_there(d));
        CHECK_CSTR(db_problem(d), i == 0 ? "it has not answered within 2 s"
                                         : "it had not answered when Relay stopped");
        CHECK(!db_key_by_hash(d, &hash, &k, &changed)); /* and is not asked again */
        kill(backend, SIGCONT);
        db_close(d);
    }
    CHECK(asked > 0);
    place_remove(&p);
}

TEST(a_session_has_its_own_settings_and_the_url_may_name_a_search_path)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct db *d = place_open(&p, DB_READER);
    REQUIRE(d != NULL);
    static const struct {
        const char *name, *value;
    } rows[] = {{"TimeZone", "UTC"},
                {"statement_timeout", "2s"},
                {"synchronous_commit", "on"},
                {"client_encoding", "UTF8"},
                {"application_name", "relay-reader"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct postgres_args args = {0};
        arg_text(&args, str_of_c(rows[i].name));
        PGresult *r =
            postgres_query(postgres_of(d), POSTGRES_ONCE, "SELECT current_setting($1)", &args);
        REQUIRE(r != NULL);
        CHECK_STR(value_text(r, 0, 0), rows[i].value);
        PQclear(r);
    }
    struct arena a;
    arena_init(&a, 0);
    str server = db_server(d, &a);
    CHECK(str_starts(server, STR("PostgreSQL ")));
    CHECK(str_find(server, STR(POSTGRES_SERVER_PASSWORD), 0) == SIZE_MAX);
    CHECK(str_ends(server, STR("database postgres as relay")));
    arena_deinit(&a);
    db_close(d);
    place_remove(&p);
}

struct found {
    struct key_wait wait;
    bool done;
};

static void on_done(struct key_wait *w)
{
    ((struct found *)w->arg)->done = true;
}

/* Of a key that nobody has, so that a reader thread looks it up. */
static enum key_find find_none(struct rig *g, struct loop *l)
{
    struct digest hash = digest_of(STR("nobody's"));
    struct found f = {.wait = {.loop = l, .done = on_done}};
    const struct key *k = NULL;
    f.wait.arg = &f;
    enum key_find result = keys_find(store_keys(g->store), &hash, &f.wait, &k);
    while (result == KEY_PENDING && !f.done) {
        fake_loop_run(l, true);
    }
    return result == KEY_PENDING ? f.wait.result : result;
}

TEST(a_look_up_does_not_fail_of_a_connection_that_was_lost_while_idle)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct rig g = {.dir = p.dir};
    snprintf(g.url, sizeof g.url, "%s", p.url);
    REQUIRE(rig_open_url(&g, 1));
    struct loop *l = fake_loop_new();
    for (int i = 0; i < 3; i++) {
        /* Both readers have had something to do. */
        for (int n = 0; n < 8; n++) {
            CHECK_INT(find_none(&g, l), KEY_UNKNOWN);
        }
        CHECK(place_number(&p, "SELECT count(pg_terminate_backend(pid, 60000)) FROM"
                               " pg_stat_activity WHERE application_name = 'relay-reader'") > 0);
    }
    CHECK(store_look(g.store).reachable);
    rig_close(&g);
    fake_loop_free(l);
    place_remove(&p);
}

/* What was committed before a restart may not be there after it, for all that a client can tell. */
TEST(after_a_restart_it_is_another_store)
{
    struct place p;
    if (!place_make(&p, ON_POSTGRES)) {
        return;
    }
    struct postgres_server *server = &backends_server()->server;
    struct db *one = place_open(&p, DB_WRITER), *two = place_open(&p, DB_WRITER);
    REQUIRE(one != NULL && two != NULL);
    CHECK_MEM(one->identity, sizeof one->identity, two->identity, sizeof two->identity);
    postgres_server_kill(server);
    struct keys_seen seen = {0};
    bool all, away = false;
    unsigned count = 0;
    char *why = NULL;
    CHECK(!db_keys_read(one, &seen, &all, drop, &count));
    CHECK(!db_is_there(one));
    CHECK(db_open_as(str_of_c(p.url), DB_WRITER, true, &away, &why) == NULL);
    CHECK(away);
    CHECK(why != NULL && strstr(why, "store: PostgreSQL cannot be reached") == why);
    free(why);
    db_close(two);
    REQUIRE(postgres_server_run(server, NULL));
    two = place_open(&p, DB_WRITER);
    REQUIRE(two != NULL);
    CHECK(memcmp(one->identity, two->identity, sizeof one->identity) != 0);
    db_close(one);
    db_close(two);
    place_remove(&p);
}

CHECK_MAIN
