/* Batches: all rows of a turn are one write and, where asked for, one sync; a disk that takes a
 * part of one keeps whole rows. */
#include "check.h"
#include "store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "store/journal_internal.h"

/* The library's calls come here: it is linked into this program. */
static struct {
    unsigned writes, syncs;
} calls; /* allowed: a test's own count */

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    struct iovec one = {(void *)(uintptr_t)bytes, len};
    calls.writes++;
    return pwritev(fd, &one, 1, at);
}

int fdatasync(int fd)
{
    calls.syncs++;
    return fsync(fd);
}

static struct journal *open_in(const struct temp_dir *dir, int64_t sync_ms, int64_t bytes_max)
{
    char *why = NULL;
    struct journal_options o = {.dir = str_of_c(dir->path),
                                .sync_ms = sync_ms,
                                .bytes_max = bytes_max,
                                .refuse_when_full = true,
                                .writers = 1};
    struct journal *j = journal_open(&o, &why);
    if (j == NULL) {
        fprintf(stderr, "%s\n", why);
        free(why);
    }
    return j;
}

/* What was read and what was told to be lost, in order, by the number of sample_id(). */
struct seen {
    unsigned count, lost;
    uint64_t first, last, lost_first;
    int error;
};

static uint64_t number_of(const struct uuid *id)
{
    uint64_t number = 0;
    for (int i = 9; i < 16; i++) {
        number = number << 8 | id->b[i];
    }
    return number;
}

static bool see(void *ctx, str payload)
{
    struct seen *s = ctx;
    struct record r;
    CHECK(record_decode(payload, &r));
    struct uuid id = record_id(payload);
    CHECK(memcmp(&id, &r.id, sizeof id) == 0);
    s->last = number_of(&id);
    if (s->count++ == 0) {
        s->first = s->last;
    }
    return true;
}

static void see_lost(void *ctx, const struct uuid *id, int error)
{
    struct seen *s = ctx;
    s->error = error;
    if (s->lost++ == 0) {
        s->lost_first = number_of(id);
    }
}

static void take(struct journal_writer *w, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct record r = sample_record(i);
        CHECK_INT(journal_append(w, &r), OK);
    }
}

TEST(rows_of_a_turn_cost_one_write)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1000, 1 << 30);
    REQUIRE(j != NULL);
    struct journal_writer *w = journal_writer_get(j, 0);
    struct seen s = {0};
    take(w, 0, 1);
    CHECK_INT(journal_flush(w, see_lost, &s), 1); /* it opens the segment */
    calls.writes = calls.syncs = 0;
    take(w, 1, 65);
    CHECK_INT(calls.writes, 0);
    CHECK_INT(journal_read(j, 1000, see, &s), 1); /* what is not flushed is nowhere */
    CHECK_INT(journal_flush(w, see_lost, &s), 64);
    CHECK_INT(calls.writes, 1);
    CHECK_INT(calls.syncs, 0);
    CHECK_INT(journal_flush(w, see_lost, &s), 0);
    CHECK_INT(calls.writes, 1);
    CHECK_INT(journal_read(j, 1000, see, &s), 64);
    CHECK_INT(s.first, 0);
    CHECK_INT(s.last, 64);
    CHECK_INT(s.count, 65);
    CHECK_INT(s.lost, 0);
    CHECK_INT(journal_stats(j).rows_appended, 65);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(with_sync_always_a_turn_is_one_sync)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 0, 1 << 30);
    REQUIRE(j != NULL);
    struct journal_writer *w = journal_writer_get(j, 0);
    struct seen s = {0};
    take(w, 0, 1);
    CHECK_INT(journal_flush(w, see_lost, &s), 1);
    calls.writes = calls.syncs = 0;
    take(w, 1, 33);
    CHECK_INT(journal_flush(w, see_lost, &s), 32);
    CHECK_INT(calls.writes, 1);
    CHECK_INT(calls.syncs, 1);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_batch_is_full_before_it_is_large)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1000, 1 << 30);
    REQUIRE(j != NULL);
    struct journal_writer *w = journal_writer_get(j, 0);
    struct seen s = {0};
    static char text[RECORD_CONTENT_MAX];
    memset(text, 'x', sizeof text);
    struct record r = sample_record(1);
    r.has_content = true;
    r.content_request = r.content_answer = str_of(text, sizeof text);
    take(w, 0, 20);
    CHECK(!journal_batch_is_full(w));
    CHECK_INT(journal_append(w, &r), OK); /* the largest row still finds room */
    CHECK(journal_batch_is_full(w));
    CHECK_INT(journal_flush(w, see_lost, &s), 21);
    CHECK(!journal_batch_is_full(w));
    CHECK_INT(journal_read(j, 1000, see, &s), 21);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_row_that_finds_the_journal_full_leaves_the_batch_as_it_was)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1000, 4096);
    REQUIRE(j != NULL);
    struct journal_writer *w = journal_writer_get(j, 0);
    struct seen s = {0};
    unsigned rows = 0;
    struct record r = sample_record(0);
    while (journal_append(w, &r) == OK) {
        r = sample_record(++rows);
    }
    CHECK(rows > 5);
    CHECK_INT(journal_append(w, &r), ERR_OVERLOADED);
    CHECK_INT(journal_stats(j).rows_dropped, 2);
    CHECK_INT(journal_flush(w, see_lost, &s), rows);
    CHECK_INT(journal_read(j, 1000, see, &s), rows);
    CHECK_INT(s.last, rows - 1);
    CHECK_INT(s.lost, 0);
    journal_close(j);
    remove_tree(dir.path);
}

/* In a child, since the limit is the process's: the disk takes 5,000 bytes of a file. */
static int fill_disk(const struct temp_dir *dir)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {5000, RLIM_INFINITY};
    struct journal *j = open_in(dir, 1000, 1 << 30);
    if (j == NULL || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    struct journal_writer *w = journal_writer_get(j, 0);
    struct seen s = {0};
    take(w, 100, 150);
    unsigned kept = journal_flush(w, see_lost, &s);
    if (kept == 0 || kept + s.lost != 50 || s.lost_first != 100 + kept || s.error != EFBIG) {
        return 3;
    }
    if (!journal_is_refusing(j) || journal_stats(j).rows_dropped != s.lost ||
        journal_stats(j).rows_appended != kept) {
        return 4;
    }
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    take(w, 100 + kept, 160);
    if (journal_flush(w, see_lost, &s) != 60 - kept || !journal_is_refusing(j)) {
        return 5;
    }
    journal_probe(j); /* has room for more than these few rows */
    if (journal_is_refusing(j)) {
        return 7;
    }
    bool whole = journal_read(j, 1000, see, &s) == 60 && s.first == 100 && s.last == 159;
    whole = whole && journal_stats(j).rows_torn == 0;
    journal_close(j);
    return whole ? 0 : 6;
}

TEST(a_disk_that_takes_a_part_of_a_batch_has_whole_rows)
{
    struct temp_dir dir = temp_dir_make();
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        _exit(fill_disk(&dir));
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    remove_tree(dir.path);
}

CHECK_MAIN
