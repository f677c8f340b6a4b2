/* The tokenizer on a vocabulary of a few words. That ids equal those of the `tokenizers` package,
 * with the real vocabulary and over all of Unicode, is checked by tests/embed. */
#include "check.h"
#include "words.h"

static struct tokenizer tokenizer;
static struct embed_tokens out;

static void run(const char *text)
{
    struct embed_error error = {""};
    if (tokenizer.word_count == 0 && !CHECK(words_init(&tokenizer, 16, &error)))
        fprintf(stderr, "%s\n", error.text);
    tokenizer_run(&tokenizer, str_of_c(text), &out);
}

/* The ids between [CLS] and [SEP] as "12 100". */
static const char *ids(const char *text)
{
    static char line[1024];
    size_t at = 0;
    run(text);
    CHECK_INT(out.ids[0], 101);
    CHECK_INT(out.ids[out.count - 1], 102);
    line[0] = 0;
    for (unsigned i = 1; i + 1 < out.count; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", i > 1 ? " " : "",
                               words_of(&tokenizer, out.ids[i]));
    return line;
}

TEST(takes_the_longest_pieces)
{
    CHECK_CSTR(ids(""), "");
    CHECK_CSTR(ids("un"), "un");
    CHECK_CSTR(ids("unable"), "un ##able");
    CHECK_CSTR(ids("unablex"), "[UNK]");
    CHECK_CSTR(ids("able"), "able");
    CHECK_CSTR(ids("ables"), "able ##s");
}

TEST(folds_case_and_accents)
{
    CHECK_CSTR(ids("ABLE \xc3\x80"
                   "ble \xc4\xb0s"),
               "able able is");
    CHECK_CSTR(ids("a\xcc\x80"
                   "ble"),
               "able");
    CHECK_CSTR(ids("\xe2\x84\xab"
                   "ble"),
               "able"); /* the sign of the angstrom */
    CHECK_CSTR(ids("\xea\xb0\x80"), "\xe1\x84\x80\xe1\x85\xa1");
}

TEST(splits_at_blanks_punctuation_and_ideographs)
{
    CHECK_CSTR(ids("able,is\xe2\x80\xa8un\xc2\xa0is"), "able , is un is");
    CHECK_CSTR(ids("is\xe6\x9d\xb1is"), "is \xe6\x9d\xb1 is");
    CHECK_CSTR(ids("is\xe4\xba\xac"), "is [UNK]");
    CHECK_CSTR(ids("is\xcd\xbe"), "is [UNK]"); /* the Greek question mark is a semicolon */
}

TEST(drops_controls_and_bytes_that_are_no_text)
{
    CHECK_CSTR(ids("ab\x01le"), "able");
    CHECK_CSTR(ids("ab\xef\xbf\xbdle i\xe2\x80\x8bs"), "able is");
    CHECK_CSTR(ids("ab\xff\xc3le"), "able");
    CHECK_CSTR(ids("\xed\xa0\x80is"), "is");
    tokenizer_run(&tokenizer, STR("i\0s"), &out);
    CHECK_INT(out.count, 3);
}

TEST(finds_special_tokens_in_the_raw_text)
{
    CHECK_CSTR(ids("un[SEP]able [MASK]"), "un [SEP] able [MASK]");
    CHECK_CSTR(ids("[sep]"), "[UNK] [UNK] [UNK]");
    CHECK_CSTR(ids("[SEP"), "[UNK] [UNK]");
}

TEST(words_over_a_hundred_characters_are_unknown)
{
    char word[2 * 101 + 4] = "un";
    for (int i = 2; i < 100; i++)
        word[i] = 's';
    word[100] = 0;
    run(word);
    CHECK_INT(out.count, 16);
    CHECK(out.cut);
    word[100] = 's';
    word[101] = 0;
    CHECK_CSTR(ids(word), "[UNK]");
    CHECK(!out.cut);
    memcpy(word + 101, " is", 4);
    CHECK_CSTR(ids(word), "[UNK] is");
}

TEST(cuts_and_keeps_the_last_token)
{
    run("is is is is is is is is is is is is is is");
    CHECK_INT(out.count, 16);
    CHECK(!out.cut);
    run("is is is is is is is is is is is is is is is");
    CHECK_INT(out.count, 16);
    CHECK_INT(out.ids[15], 102);
    CHECK(out.cut);
    run("is is is is is is is is is is is is is unables");
    CHECK(out.cut);
    run("is is is is is is is is is is is is is is  \n");
    CHECK(!out.cut);
}

static void refuse(const char *vocabulary, size_t len, const char *why)
{
    struct tokenizer t;
    struct embed_error error = {""};
    CHECK(!tokenizer_init(&t, str_of(vocabulary, len), 16, &error));
    CHECK_CSTR(error.text, why);
}

TEST(refuses_a_broken_vocabulary)
{
    refuse("[PAD]\n\nx\n", 9, "line 2 of the vocabulary is empty");
    refuse("[PAD]\nx\nx\n", 10, "line 3 of the vocabulary repeats an earlier one");
    refuse("[PAD]\n\xff\n", 8, "line 2 of the vocabulary is not UTF-8");
    refuse("x\n", 2, "line 1 of the vocabulary is not [PAD]");
    refuse("", 0, "line 1 of the vocabulary is not [PAD]");
    tokenizer_deinit(&tokenizer);
}

CHECK_MAIN
