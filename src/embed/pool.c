/* pool.c - encoder threads behind one bounded queue.
 *
 * A thread that comes free takes what waits, up to a chunk of rows, and encodes it together: the
 * weights are read once for all of it. Nothing waits for a batch to fill. */
#include "embed/embed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#define BATCH_MAX   16u /* jobs */
#define BATCH_ROWS  EMBED_TOKENS_MAX
#define THREADS_MAX 64u
#define NICENESS    10
#define NEW_SHARE   0.2 /* of the last batch in the speed of late */

struct opened {
    const struct embed_model *model;
    struct embed_model *own; /* the same, when it was opened here */
    bool broken;
};

struct embed_pool {
    pthread_mutex_t open_lock; /* guards the next two */
    struct opened models[2];   /* by the precision */
    struct embed_late late;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;
    struct list waiting;
    size_t rows_ahead; /* of what waits or is being encoded, as rows_at_most() has them */
    double ns_per_row; /* of a thread, of late; 0: nothing was encoded yet */
    unsigned jobs_max;
    struct embed_pool_counts counts;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[THREADS_MAX];
};

struct batch {
    struct embed_job *jobs[BATCH_MAX];
    const struct embed_tokens *tokens[BATCH_MAX];
    struct embed_vector *vectors[BATCH_MAX];
    size_t count, rows;
};

/* A token is a byte at least. */
static size_t rows_at_most(const struct embed_job *job)
{
    if (job->text.p == NULL)
        return job->tokens.count;
    return job->text.len < EMBED_TOKENS_MAX - 2 ? job->text.len + 2 : EMBED_TOKENS_MAX;
}

/* What waits, in order, as far as it fits and is of one precision. Called with the lock held. */
static void take_batch(struct embed_pool *p, struct batch *b)
{
    b->rows = 0;
    for (b->count = 0; b->count < BATCH_MAX && !list_is_empty(&p->waiting); b->count++) {
        struct embed_job *job = LIST_ITEM(p->waiting.next, struct embed_job, link);
        if (b->count != 0 &&
            (b->rows + rows_at_most(job) > BATCH_ROWS || job->coarse != b->jobs[0]->coarse))
            break;
        b->rows += rows_at_most(job);
        list_remove(&job->link);
        b->jobs[b->count] = job;
        b->tokens[b->count] = &job->tokens;
        b->vectors[b->count] = &job->vector;
    }
    p->counts.waiting -= (unsigned)b->count;
}

static const struct embed_model *model_of(struct embed_pool *p, bool coarse)
{
    struct opened *o = &p->models[coarse ? EMBED_INT8 : EMBED_F32];
    pthread_mutex_lock(&p->open_lock);
    if (o->model == NULL && !o->broken) {
        struct embed_error error = {0};
        struct embed_options options = p->late.options;
        options.precision = coarse ? EMBED_INT8 : EMBED_F32;
        o->own = embed_model_open(p->late.folder, &options, &error);
        o->model = o->own;
        o->broken = o->own == NULL;
        if (p->late.opened != NULL)
            p->late.opened(p->late.ctx, o->own, &error);
    }
    const struct embed_model *m = o->model;
    pthread_mutex_unlock(&p->open_lock);
    return m;
}

static void run_batch(struct embed_pool *p, struct batch *b, struct embed_scratch *scratch)
{
    const struct embed_model *m = model_of(p, b->jobs[0]->coarse);
    for (size_t i = 0; i < b->count; i++) {
        b->jobs[i]->failed = m == NULL;
        if (m != NULL && b->jobs[i]->text.p != NULL)
            embed_tokenize(m, b->jobs[i]->text, &b->jobs[i]->tokens);
    }
    uint64_t from = clock_mono_ns();
    if (m != NULL)
        embed_encode(m, scratch, b->tokens, b->count, b->vectors);
    double ns_per_row = (double)(clock_mono_ns() - from) / (double)b->rows;
    pthread_mutex_lock(&p->lock);
    p->rows_ahead -= b->rows;
    p->ns_per_row += (ns_per_row - p->ns_per_row) * (p->ns_per_row > 0 ? NEW_SHARE : 1);
    p->counts.encoded += b->count;
    p->counts.batches++;
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < b->count; i++)
        b->jobs[i]->done(b->jobs[i]);
}

static void *encode_jobs(void *ctx)
{
    struct embed_pool *p = ctx;
    struct embed_scratch *scratch = NULL;
    thread_set_name("encoder");
    /* Below the workers: it runs in what the loops leave. */
    thread_set_nice(NICENESS);
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct batch b;
        take_batch(p, &b);
        if (b.count == 0) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        if (scratch == NULL)
            scratch = embed_scratch_new();
        run_batch(p, &b, scratch);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    if (scratch != NULL)
        embed_scratch_free(scratch);
    return NULL;
}

static struct embed_pool *start(const struct embed_model *m, const struct embed_late *late,
                                unsigned threads, unsigned jobs_max)
{
    struct embed_pool *p = xcalloc(1, sizeof *p);
    p->models[EMBED_F32].model = p->models[EMBED_INT8].model = m;
    if (late != NULL) {
        size_t bytes = strlen(late->folder) + 1;
        p->late = *late;
        p->late.folder = memcpy(xcalloc(1, bytes), late->folder, bytes);
    }
    p->jobs_max = jobs_max;
    pthread_mutex_init(&p->open_lock, NULL);
    list_init(&p->waiting);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    while (p->thread_count < threads) {
        if (pthread_create(&p->threads[p->thread_count], NULL, encode_jobs, p) != 0)
            abort();
        p->thread_count++;
    }
    return p;
}

struct embed_pool *embed_pool_start(const struct embed_model *m, unsigned threads,
                                    unsigned jobs_max)
{
    return start(m, NULL, threads, jobs_max);
}

struct embed_pool *embed_pool_start_late(const struct embed_late *late, unsigned threads,
                                         unsigned jobs_max)
{
    return start(NULL, late, threads, jobs_max);
}

/* Of what is there already, for the last of it. Called with the lock held. */
static bool is_longer(const struct embed_pool *p, uint64_t wait_ns)
{
    if (p->rows_ahead == 0 || wait_ns == UINT64_MAX)
        return false;
    return p->ns_per_row <= 0 ||
           (double)p->rows_ahead * p->ns_per_row > (double)wait_ns * (double)p->thread_count;
}

static bool submit(struct embed_pool *p, struct embed_job *jobs, size_t count, uint64_t wait_ns)
{
    pthread_mutex_lock(&p->lock);
    bool room = p->counts.waiting + count <= p->jobs_max && !p->stopping && !is_longer(p, wait_ns);
    for (size_t i = 0; i < count; i++) {
        list_init(&jobs[i].link);
        if (!room)
            continue;
        list_add_before(&p->waiting, &jobs[i].link);
        p->counts.waiting++;
        p->rows_ahead += rows_at_most(&jobs[i]);
        pthread_cond_signal(&p->work);
    }
    if (!room)
        p->counts.refused += count;
    pthread_mutex_unlock(&p->lock);
    return room;
}

bool embed_pool_submit(struct embed_pool *p, struct embed_job *job)
{
    return submit(p, job, 1, UINT64_MAX);
}

bool embed_pool_submit_all(struct embed_pool *p, struct embed_job *jobs, size_t count)
{
    return submit(p, jobs, count, UINT64_MAX);
}

bool embed_pool_submit_within(struct embed_pool *p, struct embed_job *job, uint64_t wait_ns)
{
    return submit(p, job, 1, wait_ns);
}

bool embed_pool_cancel(struct embed_pool *p, struct embed_job *job)
{
    pthread_mutex_lock(&p->lock);
    /* A job that was taken is an empty list. */
    bool waits = !list_is_empty(&job->link);
    if (waits) {
        list_remove(&job->link);
        p->counts.waiting--;
        p->counts.cancelled++;
        p->rows_ahead -= rows_at_most(job);
    }
    pthread_mutex_unlock(&p->lock);
    return waits;
}

struct embed_pool_counts embed_pool_counts(struct embed_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct embed_pool_counts counts = p->counts;
    pthread_mutex_unlock(&p->lock);
    return counts;
}

void embed_pool_stop(struct embed_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    while (list_pop(&p->waiting) != NULL)
        continue;
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->open_lock);
    embed_model_close(p->models[EMBED_F32].own);
    embed_model_close(p->models[EMBED_INT8].own);
    free((void *)(uintptr_t)p->late.folder);
    free(p);
}
