/* The cache and shared calls under four threads: counts add up, everyone is told exactly once. */
#include "check.h"
#include "store_fixture.h"

#include "store/answers.h"

#define THREADS 4
#define ROUNDS  3000
#define KEYS    40

struct shared {
    struct answers *answers;
    _Atomic int led, told, left;
};

struct worker {
    struct shared *shared;
    struct loop *loop;
    unsigned seed;
    int waiting;
};

struct follower {
    struct flight_wait wait;
    struct worker *worker;
};

static void on_done(struct flight_wait *w)
{
    struct follower *f = w->arg;
    f->worker->waiting--;
    f->worker->shared->told++;
    stored_answer_unref(w->answer);
    free(f);
}

static void fly(struct worker *me, const struct digest *key, struct stored_answer *answer)
{
    struct answers *a = me->shared->answers;
    struct follower *f = calloc(1, sizeof *f);
    struct flight *flight = NULL;
    f->wait.loop = me->loop;
    f->wait.done = on_done;
    f->wait.arg = f;
    f->worker = me;
    if (flight_join(a, key, &f->wait, &flight)) {
        me->shared->led++;
        sched_yield();
        flight_has_followers(a, flight);
        flight_land(a, flight, answer, 1);
        free(f);
    } else if (me->seed % 3 == 0 && flight_leave(a, &f->wait)) {
        me->shared->left++;
        free(f);
    } else {
        me->waiting++;
    }
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct answers *a = me->shared->answers;
    for (int i = 0; i < ROUNDS; i++) {
        me->seed = me->seed * 1664525u + 1013904223u;
        char text[16];
        snprintf(text, sizeof text, "%u", (me->seed >> 8) % KEYS);
        struct stored_answer t;
        memset(&t, 0, sizeof t);
        t.key = digest_of(str_of_c(text));
        t.body = str_of_c(text);
        t.expires_us = 5000;
        struct stored_answer *found = answers_find(a, &t.key, 1000, 0);
        if (found != NULL) {
            CHECK_MEM(found->body.p, found->body.len, text, strlen(text));
            stored_answer_unref(found);
        }
        found = answers_keep(a, &t, me->seed % 5 == 0, 1000);
        fly(me, &t.key, found);
        stored_answer_unref(found);
        if (i % 500 == 0) {
            answers_purge(a, &(struct answers_purge){0});
        }
        fake_loop_run(me->loop, false);
    }
    while (me->waiting > 0) {
        fake_loop_run(me->loop, true);
    }
    return NULL;
}

TEST(everyone_is_told_once_and_nothing_is_lost)
{
    struct shared s = {.answers = answers_new(20, 1 << 20)};
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = &s, .loop = fake_loop_new(), .seed = i + 1};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        fake_loop_free(workers[i].loop);
    }
    CHECK_INT(s.led + s.told + s.left, THREADS * ROUNDS);
    struct answers_stats stats = answers_stats(s.answers);
    CHECK(stats.entries <= 20);
    CHECK_INT(stats.hits + stats.misses, THREADS * ROUNDS);
    answers_purge(s.answers, &(struct answers_purge){0});
    CHECK_INT(answers_stats(s.answers).entries, 0);
    CHECK_INT(answers_stats(s.answers).bytes, 0);
    answers_free(s.answers);
}

CHECK_MAIN
