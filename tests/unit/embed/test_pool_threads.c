/* The encoder's threads: batches, the bound, cancelling, stopping. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

#include "made_model.h"

#define JOBS 64

static struct made_model made;
static struct embed_model *model;
static struct embed_job jobs[JOBS];
static _Atomic int done_count;

/* Holds the encoder's thread until the test lets it go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void count_done(struct embed_job *job)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    *(bool *)job->ctx = true;
    atomic_fetch_add(&done_count, 1);
}

static bool came[JOBS];

static void make_jobs(void)
{
    struct embed_error error;
    if (model == NULL) {
        made_model_init(&made);
        model = made_model_open(&made, EMBED_INT8, NULL, &error);
        made_model_deinit(&made);
    }
    atomic_store(&done_count, 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct embed_job){.done = count_done, .ctx = &came[i]};
        came[i] = false;
        embed_tokenize(model, i % 2 ? STR("make it red") : STR("blue"), &jobs[i].tokens);
    }
}

static void wait_for(int count)
{
    while (atomic_load(&done_count) < count)
        usleep(1000);
}

TEST(encodes_what_is_submitted_in_batches)
{
    make_jobs();
    REQUIRE(model != NULL);
    struct embed_pool *p = embed_pool_start(model, 2, JOBS);
    /* However fast the encoders are: what comes after their first jobs waits for the gate. */
    pthread_mutex_lock(&gate);
    for (int i = 0; i < JOBS; i++)
        CHECK(embed_pool_submit(p, &jobs[i]));
    pthread_mutex_unlock(&gate);
    wait_for(JOBS);
    struct embed_pool_counts c = embed_pool_counts(p);
    CHECK_INT(c.encoded, JOBS);
    CHECK_INT(c.waiting, 0);
    CHECK(c.batches < JOBS);
    embed_pool_stop(p);
    for (int i = 2; i < JOBS; i++)
        CHECK(memcmp(&jobs[i].vector, &jobs[i % 2].vector, sizeof jobs[i].vector) == 0);
}

TEST(nobody_waits_behind_what_was_never_measured)
{
    make_jobs();
    /* Without a thread nothing is ever taken or measured. */
    struct embed_pool *p = embed_pool_start(model, 0, JOBS);
    CHECK(embed_pool_submit_within(p, &jobs[0], 0));
    CHECK(!embed_pool_submit_within(p, &jobs[1], UINT64_MAX - 1));
    CHECK(embed_pool_submit(p, &jobs[2]));
    CHECK_INT(embed_pool_counts(p).waiting, 2);
    CHECK_INT(embed_pool_counts(p).refused, 1);
    embed_pool_stop(p);
}

TEST(who_cannot_wait_is_told_at_once)
{
    make_jobs();
    struct embed_pool *p = embed_pool_start(model, 1, JOBS);
    pthread_mutex_lock(&gate);
    CHECK(embed_pool_submit(p, &jobs[0]));
    while (embed_pool_counts(p).batches == 0)
        usleep(1000);
    /* What is encoded is no longer ahead; four that wait are, and take more than a nanosecond. */
    for (int i = 1; i <= 4; i++)
        CHECK(embed_pool_submit(p, &jobs[i]));
    CHECK(!embed_pool_submit_within(p, &jobs[5], 1));
    CHECK(embed_pool_submit_within(p, &jobs[5], 3600000000000));
    for (int i = 1; i <= 5; i++)
        CHECK(embed_pool_cancel(p, &jobs[i]));
    CHECK(embed_pool_submit_within(p, &jobs[6], 1));
    pthread_mutex_unlock(&gate);
    wait_for(2);
    CHECK_INT(embed_pool_counts(p).refused, 1);
    embed_pool_stop(p);
}

TEST(refuses_beyond_its_bound_and_lets_go_of_what_waits)
{
    make_jobs();
    struct embed_pool *p = embed_pool_start(model, 1, 3);
    pthread_mutex_lock(&gate);
    CHECK(embed_pool_submit(p, &jobs[0]));
    while (embed_pool_counts(p).batches == 0)
        usleep(1000);
    for (int i = 1; i <= 3; i++)
        CHECK(embed_pool_submit(p, &jobs[i]));
    CHECK(!embed_pool_submit(p, &jobs[4]));
    CHECK(!embed_pool_cancel(p, &jobs[4]));
    CHECK(!embed_pool_cancel(p, &jobs[0]));
    CHECK(embed_pool_cancel(p, &jobs[2]));
    CHECK(!embed_pool_cancel(p, &jobs[2]));
    CHECK(embed_pool_submit(p, &jobs[5]));
    pthread_mutex_unlock(&gate);
    wait_for(4);
    CHECK(came[0] && came[1] && came[3] && came[5]);
    CHECK(!came[2] && !came[4]);
    struct embed_pool_counts c = embed_pool_counts(p);
    CHECK_INT(c.refused, 1);
    CHECK_INT(c.cancelled, 1);
    embed_pool_stop(p);
}

static _Atomic int opened_count;
static _Atomic bool opened_well;

static void note_opened(void *ctx, const struct embed_model *m, const struct embed_error *error)
{
    (void)ctx;
    atomic_store(&opened_well, m != NULL && error->text[0] == 0);
    atomic_fetch_add(&opened_count, 1);
}

static struct embed_pool *start_late(const char *folder)
{
    struct embed_late late = {
        .folder = folder, .options = {.unpinned = true}, .opened = note_opened};
    atomic_store(&opened_count, 0);
    return embed_pool_start_late(&late, 2, 2);
}

TEST(opens_its_model_with_the_first_text_and_tokenizes)
{
    make_jobs();
    struct made_model files;
    made_model_init(&files);
    struct embed_pool *p = start_late(files.folder);
    CHECK_INT(opened_count, 0);
    jobs[2] = (struct embed_job){.text = STR("make it red"), .done = count_done, .ctx = &came[2]};
    CHECK(embed_pool_submit_all(p, jobs + 1, 2));
    wait_for(2);
    CHECK(opened_count == 1 && opened_well);
    CHECK(!jobs[1].failed && !jobs[2].failed);
    CHECK_INT(jobs[2].tokens.count, jobs[1].tokens.count);
    CHECK(memcmp(&jobs[1].vector, &jobs[2].vector, sizeof jobs[1].vector) == 0);
    CHECK(!embed_pool_submit_all(p, jobs + 3, 3));
    CHECK_INT(embed_pool_counts(p).refused, 3);
    embed_pool_stop(p);
    made_model_deinit(&files);
}

TEST(coarse_jobs_have_a_model_of_their_own)
{
    make_jobs();
    struct made_model files;
    made_model_init(&files);
    struct embed_options options = {.precision = EMBED_INT8, .unpinned = true};
    struct embed_error error;
    struct embed_model *int8 = embed_model_open(files.folder, &options, &error);
    struct embed_pool *p = start_late(files.folder), *sure = embed_pool_start(int8, 1, 1);
    jobs[0].coarse = true;
    jobs[1].tokens = jobs[0].tokens;
    CHECK(embed_pool_submit_all(p, jobs, 2));
    wait_for(2);
    CHECK(opened_count == 2 && opened_well);
    jobs[2].tokens = jobs[0].tokens;
    CHECK(embed_pool_submit(sure, &jobs[2]));
    wait_for(3);
    CHECK(memcmp(&jobs[0].vector, &jobs[2].vector, sizeof jobs[0].vector) == 0);
    CHECK(memcmp(&jobs[0].vector, &jobs[1].vector, sizeof jobs[0].vector) != 0);
    embed_pool_stop(p);
    embed_pool_stop(sure);
    embed_model_close(int8);
    made_model_deinit(&files);
}

TEST(a_model_that_cannot_be_opened_fails_every_job)
{
    make_jobs();
    struct embed_pool *p = start_late("/nowhere");
    for (int i = 0; i < 2; i++)
        CHECK(embed_pool_submit(p, &jobs[i]));
    wait_for(2);
    CHECK(jobs[0].failed && jobs[1].failed);
    CHECK(opened_count == 1 && !opened_well);
    embed_pool_stop(p);
}

TEST(stops_without_what_waits)
{
    make_jobs();
    struct embed_pool *p = embed_pool_start(model, 1, JOBS);
    pthread_mutex_lock(&gate);
    CHECK(embed_pool_submit(p, &jobs[0]));
    while (embed_pool_counts(p).batches == 0)
        usleep(1000);
    for (int i = 1; i < JOBS; i++)
        CHECK(embed_pool_submit(p, &jobs[i]));
    pthread_mutex_unlock(&gate);
    embed_pool_stop(p);
    CHECK(came[0]);
    embed_model_close(model);
}

CHECK_MAIN
