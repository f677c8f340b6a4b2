/* The file of cached answers: what survives, what is dropped, purges from outside, bad files. */
#include "check.h"
#include "store_fixture.h"

#include <math.h>

#include "store/answers_file.h"

static struct log quiet;

static str made_features(struct arena *scratch, str text)
{
    return arena_printf(scratch, "features of " STR_FMT, STR_ARG(text));
}

struct place {
    struct temp_dir dir;
    char url[320], file[320];
};

static struct place place_make(void)
{
    struct place p;
    p.dir = temp_dir_make();
    snprintf(p.url, sizeof p.url, "sqlite:%s/relay.db", p.dir.path);
    snprintf(p.file, sizeof p.file, "%s/relay-cache.db", p.dir.path);
    log_init(&quiet, -1, LOG_OFF, LOG_TEXT);
    return p;
}

struct opened {
    struct answers *answers;
    struct answers_file *file;
};

static struct opened open_as(const struct place *p, const char *encoder)
{
    struct opened o = {.answers = answers_new(100, 1 << 24)};
    struct answers_file_options options = {.store_url = str_of_c(p->url),
                                           .answers = o.answers,
                                           .log = &quiet,
                                           .encoder_version = str_of_c(encoder),
                                           .features = made_features};
    char *why = NULL;
    o.file = answers_file_open(&options, &why);
    if (o.file == NULL)
        fprintf(stderr, "%s\n", why);
    free(why);
    return o;
}

static void shut(struct opened *o)
{
    answers_file_close(o->file);
    answers_free(o->answers);
}

static struct digest key_of(int number)
{
    char text[24];
    snprintf(text, sizeof text, "key %d", number);
    return digest_of(str_of_c(text));
}

static void vector_of(int number, float *out)
{
    memset(out, 0, VECTOR_DIM * sizeof *out);
    out[number % (int)VECTOR_DIM] = 1;
}

static void keep(struct answers *a, int number, bool like)
{
    float v[VECTOR_DIM];
    vector_of(number, v);
    struct stored_answer t = {
        .key = key_of(number),
        .source_id = sample_id(1000, (uint64_t)number),
        .owner = sample_id(2000, (uint64_t)number % 2),
        .provider = STR("groq"),
        .model = STR("llama"),
        .body = STR("{\"an\":\"answer\"}"),
        .finish_reason = STR("stop"),
        .tags = number % 3 == 0 ? STR("{\"team\":\"x\"}") : (str){0},
        .usage = {.known = true, .prompt = 7, .completion = number, .stated_cost = PUSD_UNKNOWN},
        .stored_us = 1000000,
        .expires_us = INT64_MAX / 2,
    };
    if (like)
        t.question = (struct stored_question){.scope = digest_of(STR("scope")),
                                              .text = STR("what?"),
                                              .features = STR("features"),
                                              .vector = v};
    stored_answer_unref(answers_keep(a, &t, true, 2000000));
}

static struct stored_answer *find(struct answers *a, int number)
{
    struct digest key = key_of(number);
    return answers_find(a, &key, 2000000, 0);
}

static bool has(struct answers *a, int number)
{
    struct stored_answer *s = find(a, number);
    stored_answer_unref(s);
    return s != NULL;
}

static unsigned similar(struct answers *a, int number, struct neighbour *found)
{
    float v[VECTOR_DIM];
    struct digest scope = digest_of(STR("scope"));
    vector_of(number, v);
    return answers_find_like(a, &scope, v, 0.9F, 2000000, 0, found, 1);
}

TEST(answers_survive_with_all_that_they_have)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1");
    REQUIRE(o.file != NULL);
    keep(o.answers, 1, true);
    keep(o.answers, 2, false);
    answers_file_work(o.file, 2000000);
    shut(&o);

    o = open_as(&p, "e1");
    REQUIRE(o.file != NULL);
    struct stored_answer *s = find(o.answers, 1);
    REQUIRE(s != NULL);
    CHECK_STR(s->body, "{\"an\":\"answer\"}");
    CHECK_STR(s->provider, "groq");
    CHECK_STR(s->model, "llama");
    CHECK_STR(s->finish_reason, "stop");
    CHECK_INT(s->usage.prompt, 7);
    CHECK_INT(s->usage.completion, 1);
    CHECK(s->usage.known && !pusd_known(s->usage.stated_cost));
    CHECK_INT(s->stored_us, 1000000);
    stored_answer_unref(s);
    CHECK(has(o.answers, 2));
    struct neighbour found[1];
    REQUIRE(similar(o.answers, 1, found) == 1);
    CHECK_STR(found[0].answer->question.text, "what?");
    CHECK_STR(found[0].answer->question.features, "features of what?");
    stored_answer_unref(found[0].answer);
    CHECK_INT(similar(o.answers, 2, found), 0);
    shut(&o);
    remove_tree(p.dir.path);
}

TEST(closing_writes_what_is_still_to_be_written)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1");
    for (int i = 0; i < 100; i++)
        keep(o.answers, i, i % 2 == 0);
    shut(&o);
    o = open_as(&p, "e1");
    CHECK_INT(answers_stats(o.answers).entries, 100);
    CHECK_INT(answers_stats(o.answers).like_entries, 50);
    shut(&o);
    remove_tree(p.dir.path);
}

TEST(another_encoder_keeps_the_answers_and_not_the_vectors)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1");
    keep(o.answers, 1, true);
    shut(&o);
    o = open_as(&p, "e2");
    CHECK(has(o.answers, 1));
    CHECK_INT(answers_stats(o.answers).like_entries, 0);
    shut(&o);
    remove_tree(p.dir.path);
}

TEST(what_memory_dropped_or_replaced_leaves_the_file)
{
    struct place p = place_make();
    struct answers_file_stats stats;
    struct arena a;
    str why;
    arena_init(&a, 1024);
    struct opened o = open_as(&p, "e1");
    for (int i = 0; i < 10; i++)
        keep(o.answers, i, false);
    answers_file_work(o.file, 2000000);
    keep(o.answers, 3, true);
    struct uuid source = sample_id(1000, 5);
    CHECK(answers_purge(o.answers, &(struct answers_purge){.source_id = &source}));
    answers_file_work(o.file, 60000000);
    answers_file_work(o.file, 120000000);
    REQUIRE(answers_file_stats(str_of_c(p.url), &stats, &a, &why));
    CHECK_INT(stats.answers, 9);
    CHECK_INT(stats.similar, 1);
    CHECK_INT(stats.oldest_us, 1000000);
    shut(&o);
    arena_deinit(&a);
    remove_tree(p.dir.path);
}

TEST(what_has_expired_is_not_read_and_goes)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1");
    struct stored_answer t = {
        .key = key_of(1), .body = STR("x"), .stored_us = 1, .expires_us = 3000000};
    stored_answer_unref(answers_keep(o.answers, &t, false, 2000000));
    answers_file_work(o.file, 2000000);
    shut(&o);
    o = open_as(&p, "e1");
    CHECK_INT(answers_stats(o.answers).entries, 0);
    answers_file_work(o.file, 4000000);
    struct answers_file_stats stats;
    struct arena a;
    str why;
    arena_init(&a, 1024);
    REQUIRE(answers_file_stats(str_of_c(p.url), &stats, &a, &why));
    CHECK_INT(stats.answers, 0);
    arena_deinit(&a);
    shut(&o);
    remove_tree(p.dir.path);
}

static int64_t order(const struct place *p, struct answers_purge purge)
{
    struct arena a;
    str why;
    arena_init(&a, 1024);
    int64_t count = answers_file_purge(str_of_c(p->url), &purge, &a, &why);
    arena_deinit(&a);
    return count;
}

TEST(a_purge_from_outside_reaches_memory_and_file)
{
    struct place p = place_make();
    CHECK_INT(order(&p, (struct answers_purge){0}), 0); /* no file yet */
    struct opened o = open_as(&p, "e1");
    for (int i = 0; i < 12; i++)
        keep(o.answers, i, i % 2 == 0);
    answers_file_work(o.file, 2000000);
    struct uuid source = sample_id(1000, 1), owner = sample_id(2000, 0);
    CHECK_INT(order(&p, (struct answers_purge){.source_id = &source}), 1);
    CHECK_INT(order(&p, (struct answers_purge){.tag = STR("team"), .tag_value = STR("x")}), 4);
    CHECK_INT(order(&p, (struct answers_purge){.tag = STR("team"), .tag_value = STR("y")}), 0);
    /* One that was kept and not yet written goes too. */
    keep(o.answers, 30, false);
    answers_file_work(o.file, 2000000);
    CHECK(!has(o.answers, 1) && !has(o.answers, 3) && !has(o.answers, 9) && !has(o.answers, 30));
    CHECK(has(o.answers, 2) && has(o.answers, 7));
    CHECK_INT(order(&p, (struct answers_purge){.owner = &owner}), 4);
    answers_file_work(o.file, 2000000);
    CHECK(!has(o.answers, 2) && has(o.answers, 7));
    CHECK_INT(order(&p, (struct answers_purge){0}), 3);
    keep(o.answers, 40, false);
    answers_file_work(o.file, 2000000);
    CHECK_INT(answers_stats(o.answers).entries, 0);
    shut(&o);
    o = open_as(&p, "e1");
    CHECK_INT(answers_stats(o.answers).entries, 0);
    shut(&o);
    remove_tree(p.dir.path);
}

static void write_over(const struct place *p, long at, const char *text)
{
    FILE *f = fopen(p->file, at < 0 ? "wb" : "r+b");
    if (at >= 0)
        fseek(f, at, SEEK_SET);
    fputs(text, f);
    fclose(f);
}

static long place_of_text(const struct place *p, const char *text)
{
    char bytes[1 << 16];
    FILE *f = fopen(p->file, "rb");
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    size_t at = str_find(str_of(bytes, len), str_of_c(text), 0);
    return at == SIZE_MAX ? -1 : (long)at;
}

TEST(a_damaged_row_is_left_out_and_a_damaged_file_begun_anew)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1");
    keep(o.answers, 1, true);
    shut(&o);
    long at = place_of_text(&p, "{\"an\":\"answer\"}");
    REQUIRE(at > 0);
    write_over(&p, at, "{\"an\":\"ANSWER");
    o = open_as(&p, "e1");
    REQUIRE(o.file != NULL);
    CHECK_INT(answers_stats(o.answers).entries, 0);
    shut(&o);

    write_over(&p, -1,
               "this is no file of SQLite, but it is long enough to be looked at as one, "
               "which takes a hundred bytes of header");
    o = open_as(&p, "e1");
    REQUIRE(o.file != NULL);
    keep(o.answers, 1, true);
    shut(&o);
    o = open_as(&p, "e1");
    CHECK(has(o.answers, 1));
    shut(&o);
    remove_tree(p.dir.path);
}

TEST(one_gateway_has_the_file)
{
    struct place p = place_make();
    struct opened o = open_as(&p, "e1"), other = {.answers = answers_new(1, 1000)};
    char *why = NULL;
    struct answers_file_options options = {.store_url = str_of_c(p.url),
                                           .answers = other.answers,
                                           .log = &quiet,
                                           .features = made_features};
    CHECK(answers_file_open(&options, &why) == NULL);
    CHECK(why != NULL && strstr(why, "another gateway") != NULL);
    free(why);
    answers_free(other.answers);
    shut(&o);
    answers_file_remove(str_of_c(p.url));
    CHECK(access(p.file, F_OK) != 0);
    remove_tree(p.dir.path);
}

TEST(a_flood_is_bounded_and_what_does_not_fit_is_in_memory_only)
{
    struct place p = place_make();
    struct opened o = {.answers = answers_new(5000, 1 << 26)};
    answers_watch(o.answers);
    for (int i = 0; i < 3000; i++)
        keep(o.answers, i, false);
    struct stored_answer *out[64];
    unsigned taken, all = 0;
    while ((taken = answers_take_new(o.answers, out, 64)) > 0) {
        for (unsigned i = 0; i < taken; i++)
            stored_answer_unref(out[i]);
        all += taken;
    }
    CHECK_INT(all, 1024);
    CHECK_INT(answers_stats(o.answers).entries, 3000);
    answers_free(o.answers);
    remove_tree(p.dir.path);
}

CHECK_MAIN
