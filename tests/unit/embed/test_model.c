/* A model's folder: what is refused and how, and encodings of made-up weights. The real ones are
 * compared with a reference by tests/embed. */
#include "check.h"

#include <math.h>

#include "made_model.h"

static struct made_model made;
static struct embed_error error;

static const struct made_model *folder(void)
{
    if (made.folder[0] == 0)
        made_model_init(&made);
    return &made;
}

/* The sentence behind the folder's name, or what came instead. */
static const char *refused(void)
{
    struct embed_model *m = made_model_open(folder(), EMBED_INT8, NULL, &error);
    if (m != NULL) {
        embed_model_close(m);
        return "opened";
    }
    return strncmp(error.text, made.folder, strlen(made.folder)) == 0
               ? error.text + strlen(made.folder) + 1
               : error.text;
}

static void encode(struct embed_model *m, const char *text, struct embed_vector *out)
{
    struct embed_tokens tokens;
    const struct embed_tokens *in = &tokens;
    struct embed_scratch *s = embed_scratch_new();
    embed_tokenize(m, str_of_c(text), &tokens);
    embed_encode(m, s, &in, 1, &out);
    embed_scratch_free(s);
}

static double dot(const struct embed_vector *a, const struct embed_vector *b)
{
    double sum = 0;
    for (size_t i = 0; i < EMBED_DIM; i++)
        sum += (double)a->v[i] * (double)b->v[i];
    return sum;
}

TEST(all_kernels_agree)
{
    struct embed_model *portable = made_model_open(folder(), EMBED_F32, "portable", &error);
    struct embed_model *best = made_model_open(folder(), EMBED_F32, NULL, &error);
    struct embed_model *rounded = made_model_open(folder(), EMBED_INT8, NULL, &error);
    REQUIRE(portable != NULL && best != NULL && rounded != NULL);
    CHECK(embed_model_warning(best) == NULL);
    CHECK_CSTR(embed_model_kernels(portable), "portable");
    static const char *const texts[] = {"", "is", "make it red", "un able is blue, is red # is"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct embed_vector a, b, c;
        encode(portable, texts[i], &a);
        encode(best, texts[i], &b);
        encode(rounded, texts[i], &c);
        CHECK(fabs(dot(&a, &a) - 1) < 1e-5);
        CHECK(dot(&a, &b) > 0.99999);
        CHECK(dot(&a, &c) > 0.99);
    }
    CHECK_STR(embed_token_text(best, 114), "make");
    CHECK_STR(embed_token_text(best, 9999), "");
    embed_model_close(portable);
    embed_model_close(best);
    embed_model_close(rounded);
}

TEST(a_batch_changes_nothing)
{
    struct embed_model *m = made_model_open(folder(), EMBED_INT8, NULL, &error);
    struct embed_scratch *s = embed_scratch_new();
    enum { COUNT = 40 };
    static struct embed_tokens tokens[COUNT];
    static struct embed_vector vectors[COUNT];
    const struct embed_tokens *in[COUNT];
    struct embed_vector *out[COUNT], alone;
    REQUIRE(m != NULL);
    for (int i = 0; i < COUNT; i++) {
        char text[128] = "";
        for (int j = 0; j <= i % 15; j++)
            strcpy(text + strlen(text), (i + j) % 3 ? "red " : "un "); /* allowed: it fits */
        embed_tokenize(m, str_of_c(text), &tokens[i]);
        in[i] = &tokens[i];
        out[i] = &vectors[i];
    }
    embed_encode(m, s, in, COUNT, out);
    for (int i = 0; i < COUNT; i++) {
        struct embed_vector *to = &alone;
        embed_encode(m, s, &in[i], 1, &to);
        CHECK(dot(&alone, &vectors[i]) > 0.999999);
    }
    embed_scratch_free(s);
    embed_model_close(m);
}

TEST(reads_the_words_from_tokenizer_json_too)
{
    static char json[8192];
    char path[128];
    size_t at = (size_t)snprintf(json, sizeof json, "{\"model\":{\"vocab\":{");
    str rest = words_text(), word;
    for (int id = 0; str_cut(rest, '\n', &word, &rest); id++)
        at += (size_t)snprintf(json + at, sizeof json - at, "%s\"" STR_FMT "\":%d", id ? "," : "",
                               STR_ARG(word), id);
    (void)snprintf(json + at, sizeof json - at, "}}}");
    (void)snprintf(path, sizeof path, "%s/vocab.txt", folder()->folder);
    (void)unlink(path);
    CHECK_CSTR(refused(), "tokenizer.json: No such file or directory");
    made_write_text(folder(), "tokenizer.json", json);
    CHECK_CSTR(refused(), "opened");
    made_write_text(folder(), "tokenizer.json", "{\"model\":{\"vocab\":{\"a\":1}}}");
    CHECK_CSTR(refused(), "tokenizer.json: the ids of model.vocab are not 0 to 0, each once");
    made_write_text(folder(), "tokenizer.json", "{}");
    CHECK_CSTR(refused(), "tokenizer.json: model.vocab has 0 entries");
    made_write(folder(), "vocab.txt", words_text().p, words_text().len - 5);
    CHECK_CSTR(refused(), "vocab.txt: has 116 entries, vocab_size in config.json is 117");
    made_write(folder(), "vocab.txt", words_text().p, words_text().len);
}

TEST(refuses_another_network)
{
    made_write_text(folder(), "config.json", "{\"model_type\":\"roberta\"}");
    CHECK_CSTR(refused(),
               "config.json: model_type is \"roberta\", the encoder is made for \"bert\"");
    made_write_text(folder(), "config.json",
                    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\","
                    "\"hidden_size\":768}");
    CHECK_CSTR(refused(), "config.json: hidden_size is 768, the encoder is made for 384");
    made_write_text(folder(), "config.json", "[");
    CHECK(strncmp(refused(), "config.json: is no JSON object: ", 32) == 0);
    made_write_text(folder(), "config.json", "");
    CHECK_CSTR(refused(), "config.json: the file is empty");
    made_write_text(folder(), "config.json", MADE_CONFIG);
    made_write_text(folder(), "1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false}");
    CHECK_CSTR(refused(), "1_Pooling/config.json: pooling_mode_mean_tokens is not true");
    made_write_text(folder(), "1_Pooling/config.json", MADE_POOLING);
    made_write_text(folder(), "sentence_bert_config.json", "{\"max_seq_length\":512}");
    CHECK_CSTR(refused(), "sentence_bert_config.json: max_seq_length is not a whole number from 3 "
                          "to 256");
    made_write_text(folder(), "sentence_bert_config.json", MADE_SENTENCE);
    CHECK_CSTR(refused(), "opened");
}

TEST(refuses_other_files_than_the_pinned_ones)
{
    struct embed_options o = {.precision = EMBED_INT8};
    CHECK(embed_model_open(folder()->folder, &o, &error) == NULL);
    CHECK(strstr(error.text, "/vocab.txt: has the SHA-256 ") != NULL);
    CHECK(strstr(error.text, FILES_VOCABULARY_SHA256) != NULL);
    CHECK(!files_check_digest(STR("abc"), FILES_WEIGHTS_SHA256, &error));
    CHECK(files_check_digest(
        STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &error));
    o.kernels = "none";
    CHECK(embed_model_open(folder()->folder, &o, &error) == NULL);
    CHECK_CSTR(error.text, "there are no working none kernels here");
}

TEST(refuses_weights_that_are_cut_short)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder()->folder);
    CHECK_INT(truncate(path, 1000000), 0);
    CHECK(strstr(refused(), "the file is cut short") != NULL);
    CHECK_INT(truncate(path, 100), 0);
    CHECK_CSTR(refused(), "model.safetensors: the file ends inside of its header: it is cut short");
    (void)unlink(path);
    CHECK_CSTR(refused(), "model.safetensors: No such file or directory");
    made_model_deinit(&made);
}

CHECK_MAIN
