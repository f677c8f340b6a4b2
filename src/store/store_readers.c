/* store_readers.c - the threads that work for others: look-ups of keys that are not in memory, and
 * jobs of the admin API.
 *
 * The readers have a read-only connection each, opened at their first task; one more thread has a
 * connection that may write, for the few jobs that change something. A look-up goes before every
 * job, and one reader is always left to look-ups. The queues are bounded; what does not fit is
 * refused at once, so a flood of unknown keys costs neither memory nor the workers' time. */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "store/store_internal.h"

#define AT_ONCE_NS UINT64_C(200000000)

/* ---- the queues ---- */

bool readers_enqueue(void *ctx, struct key_wait *w)
{
    struct readers *r = ctx;
    pthread_mutex_lock(&r->lock);
    bool fits = r->waiting < STORE_LOOKUPS_MAX && !r->stopping;
    if (fits) {
        w->node.next = NULL;
        w->node.arg = w;
        *r->last = &w->node;
        r->last = &w->node.next;
        r->waiting++;
        pthread_cond_broadcast(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
    return fits;
}

bool store_run_job(struct store *s, struct store_job *job)
{
    struct readers *r = &s->readers;
    struct job_queue *q = job->writes ? &r->writes : &r->reads;
    pthread_mutex_lock(&r->lock);
    bool fits = q->waiting < STORE_JOBS_MAX && !r->stopping;
    if (fits) {
        job->next = NULL;
        *(q->first == NULL ? &q->first : &q->last->next) = job;
        q->last = job;
        q->waiting++;
        pthread_cond_broadcast(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
    return fits;
}

/* What a thread does next: one of the two, or neither. */
struct task {
    struct key_wait *lookup;
    struct store_job *job;
};

static struct store_job *take_job(struct job_queue *q)
{
    struct store_job *job = q->first;
    if (job != NULL) {
        q->first = job->next;
        q->waiting--;
    }
    return job;
}

static struct key_wait *take_lookup(struct readers *r)
{
    struct key_wait *w = NULL;
    if (r->first != NULL) {
        w = r->first->arg;
        r->first = r->first->next;
        if (r->first == NULL) {
            r->last = &r->first;
        }
        r->waiting--;
    }
    return w;
}

static struct task take(struct readers *r, bool writes)
{
    struct task t = {0};
    if (writes) {
        t.job = take_job(&r->writes);
        return t;
    }
    t.lookup = take_lookup(r);
    if (t.lookup == NULL && r->reading < STORE_READERS - 1) {
        t.job = take_job(&r->reads);
        r->reading += t.job != NULL;
    }
    return t;
}

/* Neither: the thread is to end. */
static struct task next_task(struct readers *r, bool writes)
{
    struct task t = {0};
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        t = take(r, writes);
        if (t.lookup != NULL || t.job != NULL) {
            break;
        }
        pthread_cond_wait(&r->more, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return t;
}

/* ---- the work ---- */

/* Those that wait, when the store does not answer: trying it for each of them would take as long
 * each time. */
static void answer_all_away(struct readers *r)
{
    pthread_mutex_lock(&r->lock);
    struct loop_post_node *node = r->first;
    r->first = NULL;
    r->last = &r->first;
    r->waiting = 0;
    pthread_mutex_unlock(&r->lock);
    while (node != NULL) {
        struct loop_post_node *next = node->next;
        keys_answer(node->arg, KEY_STORE_AWAY, NULL);
        node = next;
    }
}

/* Asks with a connection of this role. One that was lost while nobody used it is opened anew, and
 * asked again where that does no harm. */
typedef bool ask_fn(void *what, struct db *d);
static bool ask(struct readers *r, struct db **d, enum db_role role, ask_fn *fn, void *what)
{
    for (;;) {
        if (*d != NULL && !db_is_there(*d)) {
            db_close(*d);
            *d = NULL;
        }
        bool fresh = *d == NULL;
        uint64_t begun_ns = clock_mono_ns();
        if (fresh) {
            char *why = NULL;
            *d = db_open_as(r->url, role, false, NULL, &why);
            free(why);
        }
        if (*d != NULL && fn(what, *d)) {
            return true;
        }
        db_close(*d);
        *d = NULL;
        if (fresh || role != DB_READER || clock_mono_ns() - begun_ns > AT_ONCE_NS) {
            return false;
        }
    }
}

struct key_question {
    const struct digest *hash;
    struct key *key;
    int64_t changed;
};

static bool ask_key(void *what, struct db *d)
{
    struct key_question *q = what;
    return db_key_by_hash(d, q->hash, &q->key, &q->changed);
}

static void look_up(struct readers *r, struct db **d, struct key_wait *w)
{
    struct key_question q = {.hash = &w->hash};
    if (!ask(r, d, DB_READER, ask_key, &q)) {
        keys_answer(w, KEY_STORE_AWAY, NULL);
        answer_all_away(r);
    } else if (q.key == NULL) {
        keys_answer(w, KEY_UNKNOWN, NULL);
    } else {
        atomic_fetch_add_explicit(&q.key->refs, 1, memory_order_relaxed);
        keys_put(r->keys, q.key, q.changed);
        keys_answer(w, KEY_FOUND, q.key);
    }
}

static void run_done(void *arg)
{
    struct store_job *job = arg;
    job->done(job);
}

static void answer(struct store_job *job, bool away)
{
    job->away = away;
    job->node.fn = run_done;
    job->node.arg = job;
    loop_post(job->loop, &job->node);
}

static bool ask_job(void *what, struct db *d)
{
    struct store_job *job = what;
    return job->work(job, d);
}

static void run_job(struct readers *r, struct db **d, struct store_job *job)
{
    bool writes = job->writes;
    answer(job, !ask(r, d, writes ? DB_TOOL : DB_READER, ask_job, job));
    if (writes) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->reading--;
    if (r->reads.first != NULL) {
        pthread_cond_broadcast(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
}

static void work(struct readers *r, bool writes)
{
    struct db *d = NULL;
    for (;;) {
        struct task t = next_task(r, writes);
        if (t.lookup != NULL) {
            look_up(r, &d, t.lookup);
        } else if (t.job != NULL) {
            run_job(r, &d, t.job);
        } else {
            break;
        }
    }
    db_close(d);
}

static void *run_reader(void *arg)
{
    thread_set_name("relay-reader");
    work(arg, false);
    return NULL;
}

static void *run_writer(void *arg)
{
    thread_set_name("relay-changes");
    work(arg, true);
    return NULL;
}

/* ---- starting and stopping ---- */

bool readers_start(struct readers *r, struct keys *keys, str url)
{
    r->keys = keys;
    r->url = url;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STORE_STACK_BYTES);
    while (r->started < STORE_HELPERS &&
           pthread_create(&r->threads[r->started], &attributes,
                          r->started < STORE_READERS ? run_reader : run_writer, r) == 0) {
        r->started++;
    }
    pthread_attr_destroy(&attributes);
    return r->started == STORE_HELPERS;
}

void readers_stop(struct readers *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->more);
    pthread_mutex_unlock(&r->lock);
    while (r->started > 0) {
        pthread_join(r->threads[--r->started], NULL);
    }
    for (struct key_wait *w; (w = take_lookup(r)) != NULL;) {
        keys_answer(w, KEY_STORE_AWAY, NULL);
    }
    for (struct store_job *job; (job = take_job(&r->reads)) != NULL;) {
        answer(job, true);
    }
    for (struct store_job *job; (job = take_job(&r->writes)) != NULL;) {
        answer(job, true);
    }
}

void store_stop_jobs(struct store *s)
{
    readers_stop(&s->readers);
}
