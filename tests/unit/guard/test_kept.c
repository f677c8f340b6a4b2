/* What the guards see in many texts, and say of many pairs, as files that people read.
 *
 * A text's features are kept beside its answer and compared with what another gateway makes of
 * another text, perhaps after an update. What changes tests/guard/expected.txt changes them: it is
 * either unwanted or wants another FEATURES_VERSION. RELAY_GOLDEN_UPDATE=1 writes the file anew. */
#include <stdlib.h>

#include "base/buf.h"
#include "check.h"
#include "guard/features.h"

#define CASES    "tests/guard/cases.txt"
#define EXPECTED "tests/guard/expected.txt"

static str read_file(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!CHECK(f != NULL))
        return (str){0};
    size_t size = (size_t)1 << 20;
    char *text = arena_alloc(a, size);
    size_t len = fread(text, 1, size, f);
    CHECK(len < size);
    fclose(f);
    return str_of(text, len);
}

/* The case's `\n` are line ends. */
static str unescaped(struct arena *a, str s)
{
    char *out = arena_alloc(a, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool end = s.p[i] == '\\' && i + 1 < s.len && s.p[i + 1] == 'n';
        out[len++] = end ? '\n' : s.p[i];
        i += end;
    }
    return str_of(out, len);
}

static void print_features(struct buf *b, const struct guard_features *f)
{
    (void)buf_printf(b,
                     "  traits=%x words=%u content=%u negations=%u passive=%u language=%u "
                     "script=%u asks=%u tense=%u modal=%u person=%u limits=%u inverted=%u"
                     " fences=%llx payload=%llx\n",
                     f->traits, f->words, f->content, f->negations, f->passive, f->language,
                     f->script, f->asks, f->tense, f->modal, f->person, f->limits, f->inverted,
                     (unsigned long long)f->fences, (unsigned long long)f->payload);
    for (unsigned i = 0; i < f->tokens; i++) {
        const struct guard_token *t = &f->token[i];
        (void)buf_printf(b, "  %u:%.*s:%llx:%x", t->class, (int)t->len,
                         t->class == TOKEN_WORD ? guard_letters(f, t) : "",
                         (unsigned long long)t->key, t->flags);
    }
    (void)buf_add(b, STR("\n"));
}

static void print_verdict(struct buf *b, const struct guard_verdict *v)
{
    (void)buf_add(b, STR("  =>"));
    for (uint32_t r = 0; r < GUARD_RULES; r++)
        if ((v->vetoes & 1u << r) != 0)
            (void)buf_printf(b, " %s", guard_name(r));
    for (uint32_t i = 0; i < GUARD_SOFTS; i++)
        (void)buf_printf(b, " %.3f", (double)v->soft[i]);
    (void)buf_printf(b, " score=%.5f\n", guard_score(v, 0.9, 0.05));
}

static void print_case(struct buf *b, struct arena *a, str line)
{
    str first = line, second = {0};
    size_t at = str_find(line, STR(" || "), 0);
    if (at != SIZE_MAX) {
        first = str_sub(line, 0, at);
        second = str_sub(line, at + 4, line.len);
    }
    (void)buf_printf(b, STR_FMT "\n", STR_ARG(line));
    const struct guard_features *f = guard_features_make(a, unescaped(a, first));
    print_features(b, f);
    if (at == SIZE_MAX)
        return;
    const struct guard_features *g = guard_features_make(a, unescaped(a, second));
    print_features(b, g);
    struct guard_verdict v;
    guard_compare(f, g, &v);
    print_verdict(b, &v);
}

static void compare_lines(str got, str want)
{
    while (got.len > 0 || want.len > 0) {
        str is, should;
        if (!str_cut(got, '\n', &is, &got))
            got = (str){0};
        if (!str_cut(want, '\n', &should, &want))
            want = (str){0};
        if (!CHECK(str_eq(is, should))) {
            fprintf(stderr, "  is      " STR_FMT "\n  expected " STR_FMT "\n", STR_ARG(is),
                    STR_ARG(should));
            return;
        }
    }
}

TEST(texts_and_pairs_are_seen_as_before)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b, (size_t)1 << 20);
    str cases = read_file(&a, CASES), line;
    while (cases.len > 0 && str_cut(cases, '\n', &line, &cases))
        print_case(&b, &a, line);
    if (getenv("RELAY_GOLDEN_UPDATE") != NULL) {
        FILE *f = fopen(EXPECTED, "wb");
        if (CHECK(f != NULL)) {
            CHECK_INT(fwrite(b.p, 1, b.len, f), b.len);
            fclose(f);
        }
    }
    compare_lines(buf_str(&b), read_file(&a, EXPECTED));
    buf_deinit(&b);
    arena_deinit(&a);
}

CHECK_MAIN
