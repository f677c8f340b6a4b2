/* The test harness: one header, one program per test file.
 *
 *     #include "check.h"
 *
 *     TEST(adds_numbers)
 *     {
 *         CHECK_INT(1 + 1, 2);
 *     }
 *
 *     CHECK_MAIN
 *
 * Tests register themselves and run in the order of the file. A failed check prints file, line and
 * values and lets the test go on; REQUIRE leaves the test (use it before a pointer is followed).
 * The program takes an optional argument, and then runs only the tests whose name contains it. It
 * ends with `N passed, N failed`, counted in tests, and exits with 0 only if none failed.
 *
 * It depends on the C library alone, so that base/ can be tested with it. CHECK_STR compares with a
 * C string anything that has `.p` and `.len`, as str does; CHECK_CSTR compares two C strings. */
#ifndef RELAY_TESTS_CHECK_H
#define RELAY_TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_test {
    const char *name;
    void (*run)(void);
    struct check_test *next;
};

struct check_state {
    struct check_test *first, **last;
    int failed_checks;
};

/* Test programs are single files; a mutable global is the price of self-registration. */
static struct check_state check_state = {NULL, &check_state.first, 0};

#define TEST(test_name)                                                                            \
    static void test_##test_name(void);                                                            \
    __attribute__((constructor)) static void check_register_##test_name(void)                      \
    {                                                                                              \
        static struct check_test entry = {#test_name, test_##test_name, NULL};                     \
        *check_state.last = &entry;                                                                \
        check_state.last = &entry.next;                                                            \
    }                                                                                              \
    static void test_##test_name(void)

#define CHECK_MAIN                                                                                 \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return check_run(argc > 1 ? argv[1] : NULL, argv[0]);                                      \
    }

static inline bool check_that(bool ok, const char *file, int line, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
        check_state.failed_checks++;
    }
    return ok;
}

static inline bool check_int(intmax_t got, intmax_t want, const char *file, int line,
                             const char *what)
{
    if (got != want) {
        fprintf(stderr, "%s:%d: %s is %jd, expected %jd\n", file, line, what, got, want);
        check_state.failed_checks++;
    }
    return got == want;
}

static inline bool check_bytes(const char *got, size_t got_len, const char *want, size_t want_len,
                               const char *file, int line, const char *what)
{
    bool ok = got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0);
    if (!ok) {
        fprintf(stderr, "%s:%d: %s is\n  \"%.*s\" (%zu bytes), expected\n  \"%.*s\" (%zu bytes)\n",
                file, line, what, (int)got_len, got ? got : "", got_len, (int)want_len, want,
                want_len);
        check_state.failed_checks++;
    }
    return ok;
}

static inline bool check_cstr(const char *got, const char *want, const char *file, int line,
                              const char *what)
{
    return check_bytes(got ? got : "(null)", got ? strlen(got) : 6, want, strlen(want), file, line,
                       what);
}

#define CHECK(condition)      check_that((condition), __FILE__, __LINE__, #condition)
#define CHECK_INT(got, want)  check_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, #got)
#define CHECK_CSTR(got, want) check_cstr((got), (want), __FILE__, __LINE__, #got)
#define CHECK_MEM(got, got_len, want, want_len)                                                    \
    check_bytes((const char *)(got), (got_len), (const char *)(want), (want_len), __FILE__,        \
                __LINE__, #got)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        __typeof__(got) check_got = (got);                                                         \
        const char *check_want = (want);                                                           \
        check_bytes((const char *)check_got.p, check_got.len, check_want, strlen(check_want),      \
                    __FILE__, __LINE__, #got);                                                     \
    } while (0)
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!CHECK(condition)) {                                                                   \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Where RELAY_RAN names a folder, PROGRAM.ran there gets the names of the tests that passed. */
static inline FILE *check_ran(const char *program)
{
    const char *folder = getenv("RELAY_RAN");
    const char *slash = strrchr(program, '/');
    char path[1024];
    if (folder == NULL) {
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s.ran", folder, slash != NULL ? slash + 1 : program);
    return fopen(path, "w");
}

static inline int check_run(const char *only, const char *program)
{
    FILE *ran = check_ran(program);
    int passed = 0;
    int failed = 0;
    for (struct check_test *test = check_state.first; test; test = test->next) {
        if (only && !strstr(test->name, only)) {
            continue;
        }
        int before = check_state.failed_checks;
        test->run();
        if (check_state.failed_checks == before) {
            passed++;
            if (ran != NULL) {
                fprintf(ran, "%s\n", test->name);
            }
        } else {
            failed++;
            fprintf(stderr, "FAILED %s\n", test->name);
        }
    }
    if (ran != NULL) {
        fclose(ran);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

#endif
