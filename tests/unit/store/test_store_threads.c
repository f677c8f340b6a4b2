/* Workers append while the store thread copies, keys change and readers look up. */
#include "check.h"
#include "store_fixture.h"

#include "base/clock.h"

#define THREADS 3
#define ROWS    1500

struct worker {
    struct rig *rig;
    unsigned index;
    struct loop *loop;
    int answered;
    const char *key_text;
    bool failed;
};

static void on_done(struct key_wait *w)
{
    struct worker *me = w->arg;
    me->answered++;
    if (w->result == KEY_FOUND) {
        key_unref(w->key);
    } else {
        me->failed = true;
    }
    free(w);
}

/* The key is there: found at once, or after a look-up, or put off by the bound on look-ups. */
static int use_key(struct worker *me)
{
    struct digest hash = digest_of(str_of_c(me->key_text));
    struct key_wait *w = calloc(1, sizeof *w);
    const struct key *k = NULL;
    w->loop = me->loop;
    w->done = on_done;
    w->arg = me;
    enum key_find found = keys_find(store_keys(me->rig->store), &hash, w, &k);
    if (found == KEY_PENDING) {
        return 1;
    }
    if (found == KEY_FOUND) {
        key_unref(k);
    }
    free(w);
    return 0;
}

static void *work(void *arg)
{
    struct worker *me = arg;
    int pending = 0;
    struct journal_writer *w = journal_writer_get(me->rig->journal, me->index);
    for (uint64_t i = 0; i < ROWS; i++) {
        struct record r = sample_record(me->index * 1000000u + i);
        if (append_row(w, &r, NULL) != OK) {
            me->failed = true;
        }
        store_notify(me->rig->store);
        pending += use_key(me);
        fake_loop_run(me->loop, false);
        if (i % 100 == 0) {
            usleep(500);
        }
    }
    while (me->answered < pending) {
        fake_loop_run(me->loop, true);
    }
    return NULL;
}

TEST(rows_of_all_workers_arrive_while_keys_change)
{
    struct rig g = {.dir = temp_dir_make()};
    REQUIRE(rig_open(&g, THREADS));
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    char text[KEY_TEXT_BYTES], *why = NULL;
    struct arena a;
    arena_init(&a, 0);
    key_generate("glw_", text);
    struct db *d = db_open(str_of_c(g.url), false, &why);
    REQUIRE(d != NULL);
    struct key_draft draft = {.name = STR("x"), .rpm = -1, .tpm = -1, .budget = PUSD_UNKNOWN};
    struct uuid id;
    str problem = {0};
    CHECK(db_key_create(d, &draft, str_of_c(text), 1, &a, &id, &problem));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.rig = &g, .index = i, .loop = fake_loop_new(), .key_text = text};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < 20; i++) {
        draft.rpm = i;
        CHECK(db_key_update(d, &id, &draft, &a, &problem));
        usleep(10000);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(!workers[i].failed);
        fake_loop_free(workers[i].loop);
    }
    db_close(d);
    uint64_t by = clock_mono_ns() + UINT64_C(60000000000);
    while (store_stats(g.store).rows_committed < THREADS * ROWS && clock_mono_ns() < by) {
        usleep(1000);
    }
    CHECK_INT(store_stats(g.store).rows_committed, THREADS * ROWS);
    CHECK_INT(store_stats(g.store).rows_failed, 0);
    CHECK_INT(store_stats(g.store).lag_rows, 0);
    CHECK(store_look(g.store).reachable);
    CHECK_INT(keys_count(store_keys(g.store)), 1);
    rig_close(&g);
    arena_deinit(&a);
    remove_tree(g.dir.path);
}

CHECK_MAIN
