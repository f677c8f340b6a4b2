/* The journal: what is appended is read once and in order; torn tails, full disks and kill -9. */
#include "check.h"
#include "store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/journal_internal.h"

static struct journal *open_in(const struct temp_dir *dir, int64_t bytes_max, bool refuse)
{
    char *why = NULL;
    struct journal_options o = {.dir = str_of_c(dir->path),
                                .sync_ms = 1000,
                                .bytes_max = bytes_max,
                                .refuse_when_full = refuse,
                                .writers = 2};
    struct journal *j = journal_open(&o, &why);
    if (j == NULL) {
        fprintf(stderr, "%s\n", why);
        free(why);
    }
    return j;
}

static enum err append(struct journal *j, unsigned worker, uint64_t number)
{
    struct record r = sample_record(number);
    return append_row(journal_writer_get(j, worker), &r, NULL);
}

/* The numbers of the rows read, by sample_id(). */
struct seen {
    uint64_t *numbers;
    size_t count, cap, stop_after;
};

static bool see(void *ctx, str payload)
{
    struct seen *s = ctx;
    struct record r;
    if (s->stop_after > 0 && s->count == s->stop_after) {
        return false;
    }
    CHECK(record_decode(payload, &r));
    uint64_t number = 0;
    for (int i = 9; i < 16; i++) {
        number = number << 8 | r.id.b[i];
    }
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 64 : s->cap * 2;
        s->numbers = realloc(s->numbers, s->cap * sizeof *s->numbers);
    }
    s->numbers[s->count++] = number;
    return true;
}

static int64_t drain(struct journal *j, struct seen *s)
{
    int64_t rows = 0, n;
    while ((n = journal_read(j, 100, see, s)) > 0) {
        rows += n;
    }
    return rows;
}

static char *first_segment(const struct temp_dir *dir)
{
    static char path[600];
    DIR *d = opendir(dir->path);
    path[0] = '\0';
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strstr(e->d_name, ".journal") != NULL) {
            snprintf(path, sizeof path, "%s/%s", dir->path, e->d_name);
        }
    }
    closedir(d);
    return path;
}

TEST(rows_are_read_in_order_and_again_after_a_rewind)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 30, true);
    REQUIRE(j != NULL);
    struct seen s = {0};
    for (uint64_t i = 0; i < 250; i++) {
        CHECK_INT(append(j, 0, i), OK);
    }
    CHECK(journal_has_unread(j));
    CHECK_INT(journal_read(j, 100, see, &s), 100);
    journal_read_commit(j);
    CHECK_INT(journal_read(j, 100, see, &s), 100);
    journal_read_rewind(j);
    CHECK_INT(journal_lag_rows(j), 150);
    CHECK_INT(drain(j, &s), 150);
    journal_read_commit(j);
    CHECK_INT(s.count, 350);
    CHECK_INT(s.numbers[199], 199);
    CHECK_INT(s.numbers[200], 100);
    CHECK_INT(s.numbers[349], 249);
    CHECK(!journal_has_unread(j));
    CHECK_INT(journal_lag_rows(j), 0);
    CHECK_INT(append(j, 0, 250), OK);
    CHECK_INT(drain(j, &s), 1);
    free(s.numbers);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_row_that_is_not_taken_is_read_again)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 30, true);
    REQUIRE(j != NULL);
    struct seen s = {.stop_after = 3};
    for (uint64_t i = 0; i < 5; i++) {
        append(j, 0, i);
    }
    CHECK_INT(journal_read(j, 100, see, &s), 3);
    s.stop_after = 0;
    CHECK_INT(journal_read(j, 100, see, &s), 2);
    CHECK_INT(s.numbers[3], 3);
    free(s.numbers);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_segment_goes_only_when_all_of_it_is_committed)
{
    struct temp_dir dir = temp_dir_make();
    /* Segments of 256 KiB. */
    struct journal *j = open_in(&dir, 2 << 20, true);
    REQUIRE(j != NULL);
    struct seen s = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        CHECK_INT(append(j, i % 2, i), OK);
    }
    int64_t before = journal_stats(j).bytes;
    CHECK_INT(drain(j, &s), 5000);
    CHECK(!journal_has_finished(j));
    journal_drop_finished(j);
    CHECK_INT(journal_stats(j).bytes, before);
    journal_read_commit(j);
    CHECK(journal_has_finished(j));
    journal_drop_finished(j);
    CHECK(journal_stats(j).bytes < 2 * j->segment_bytes);
    CHECK(journal_stats(j).bytes > 0);
    journal_seal_all(j);
    journal_drop_finished(j);
    CHECK_INT(journal_stats(j).bytes, 0);
    CHECK_CSTR(first_segment(&dir), "");
    free(s.numbers);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_second_process_is_refused)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 30, true);
    REQUIRE(j != NULL);
    char *why = NULL;
    struct journal_options o = {.dir = str_of_c(dir.path), .bytes_max = 1 << 30, .writers = 1};
    CHECK(journal_open(&o, &why) == NULL);
    CHECK(why != NULL && strstr(why, "another process") != NULL);
    free(why);
    journal_close(j);
    j = open_in(&dir, 1 << 30, true);
    CHECK(j != NULL);
    journal_close(j);
    remove_tree(dir.path);
}

/* Appends rows, damages the file, and returns how many are read after. */
static size_t rows_after_damage(int64_t cut, int64_t flip, int64_t *torn)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 30, true);
    for (uint64_t i = 0; i < 10; i++) {
        append(j, 0, i);
    }
    journal_close(j);
    char *path = first_segment(&dir);
    struct stat info;
    stat(path, &info);
    if (cut > 0 && truncate(path, info.st_size - cut) != 0) {
        perror("truncate");
    }
    if (flip >= 0) {
        int fd = open(path, O_RDWR);
        char c = 0;
        CHECK_INT(pread(fd, &c, 1, flip), 1);
        c ^= 0x10;
        CHECK_INT(pwrite(fd, &c, 1, flip), 1);
        close(fd);
    }
    struct seen s = {0};
    j = open_in(&dir, 1 << 30, true);
    drain(j, &s);
    *torn = journal_stats(j).rows_torn;
    journal_read_commit(j);
    journal_drop_finished(j);
    CHECK_INT(journal_stats(j).bytes, 0);
    journal_close(j);
    free(s.numbers);
    remove_tree(dir.path);
    return s.count;
}

TEST(a_torn_tail_ends_a_segment_and_is_counted)
{
    int64_t torn;
    CHECK_INT(rows_after_damage(0, -1, &torn), 10);
    CHECK_INT(torn, 0);
    CHECK_INT(rows_after_damage(1, -1, &torn), 9);
    CHECK_INT(torn, 1);
    CHECK_INT(rows_after_damage(0, 16 + 4, &torn), 0); /* the first row's checksum */
    CHECK_INT(torn, 1);
    CHECK_INT(rows_after_damage(0, 16 + 3, &torn), 0); /* its length: now of gigabytes */
    CHECK_INT(torn, 1);
    CHECK_INT(rows_after_damage(0, 3, &torn), 0); /* the head */
    CHECK_INT(torn, 1);
}

TEST(every_cut_leaves_the_whole_rows_before_it)
{
    for (int64_t cut = 1; cut < 500; cut += 7) {
        int64_t torn;
        size_t rows = rows_after_damage(cut, -1, &torn);
        CHECK(rows >= 7 && rows <= 9);
    }
}

TEST(a_full_journal_refuses_before_it_drops)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 20, true);
    REQUIRE(j != NULL);
    uint64_t i = 0;
    while (!journal_is_refusing(j)) {
        CHECK_INT(append(j, 0, i++), OK);
    }
    for (int more = 0; more < 50; more++) {
        CHECK_INT(append(j, 0, i++), OK);
    }
    enum err error = OK;
    while (error == OK) {
        error = append(j, 1, i++);
    }
    CHECK_INT(error, ERR_OVERLOADED);
    CHECK(journal_stats(j).bytes <= 1 << 20);
    CHECK_INT(journal_stats(j).rows_dropped, 1);
    struct seen s = {0};
    CHECK_INT(drain(j, &s), (int64_t)i - 1);
    journal_read_commit(j);
    journal_drop_finished(j);
    CHECK(!journal_is_refusing(j));
    CHECK_INT(append(j, 0, i), OK);
    free(s.numbers);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(with_drop_a_full_journal_never_refuses)
{
    struct temp_dir dir = temp_dir_make();
    struct journal *j = open_in(&dir, 1 << 20, false);
    REQUIRE(j != NULL);
    uint64_t i = 0;
    while (append(j, 0, i++) == OK) {
    }
    CHECK(!journal_is_refusing(j));
    CHECK_INT(append(j, 0, i), ERR_OVERLOADED);
    CHECK_INT(journal_stats(j).rows_dropped, 2);
    journal_close(j);
    remove_tree(dir.path);
}

/* In a child, since the limit is the process's: the disk takes no more than 100,000 bytes of a
 * file. */
static int fill_disk(const struct temp_dir *dir)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {100000, RLIM_INFINITY};
    struct journal *j = open_in(dir, 1 << 30, true);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    uint64_t rows = 0;
    int error = 0;
    struct record r;
    do {
        r = sample_record(rows++);
    } while (append_row(journal_writer_get(j, 0), &r, &error) == OK);
    if (error != EFBIG || !journal_is_refusing(j)) {
        return 3;
    }
    r = sample_record(rows);
    if (append_row(journal_writer_get(j, 1), &r, &error) != OK || !journal_is_refusing(j)) {
        return 7; /* what fits into another worker's file does not make room in this one's */
    }
    journal_probe(j);
    if (journal_is_refusing(j)) {
        return 4; /* the probe's small file can be written: worth another try */
    }
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    r = sample_record(rows - 1);
    if (append_row(journal_writer_get(j, 0), &r, &error) != OK || journal_is_refusing(j)) {
        return 5;
    }
    struct seen s = {0};
    if (drain(j, &s) != (int64_t)rows + 1 || journal_stats(j).rows_torn != 0) {
        return 6;
    }
    journal_close(j);
    return 0;
}

TEST(a_row_that_the_disk_took_half_of_is_taken_back)
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

/* Appends for ever and reports each row after its append has returned. */
static void append_until_killed(const struct temp_dir *dir, int report)
{
    struct journal *j = open_in(dir, 1 << 30, true);
    for (uint64_t i = 0;; i++) {
        if (j == NULL || append(j, i % 2, i) != OK || write(report, &i, sizeof i) != sizeof i) {
            _exit(1);
        }
    }
}

static void kill_once(uint64_t after_us)
{
    struct temp_dir dir = temp_dir_make();
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        close(fds[0]);
        append_until_killed(&dir, fds[1]);
    }
    close(fds[1]);
    uint64_t reported = 0, number;
    uint64_t by = clock_mono_ns() + after_us * 1000;
    while (clock_mono_ns() < by && read(fds[0], &number, sizeof number) == sizeof number) {
        reported++;
    }
    kill(child, SIGKILL);
    while (read(fds[0], &number, sizeof number) == sizeof number) {
        reported++;
    }
    close(fds[0]);
    waitpid(child, NULL, 0);

    struct journal *j = open_in(&dir, 1 << 30, true);
    REQUIRE(j != NULL);
    struct seen s = {0};
    drain(j, &s);
    unsigned char *times = calloc(s.count + 2, 1);
    for (size_t i = 0; i < s.count; i++) {
        REQUIRE(s.numbers[i] < s.count);
        times[s.numbers[i]]++;
    }
    /* All that were reported, none twice; the row under way may be there too. */
    CHECK(s.count >= reported && s.count <= reported + 1);
    for (size_t i = 0; i < s.count; i++) {
        CHECK_INT(times[i], 1);
    }
    free(times);
    free(s.numbers);
    journal_close(j);
    remove_tree(dir.path);
}

TEST(a_killed_process_leaves_every_finished_row)
{
    for (uint64_t i = 0; i < 20; i++) {
        kill_once(1 + i * i * 50);
    }
}

CHECK_MAIN
