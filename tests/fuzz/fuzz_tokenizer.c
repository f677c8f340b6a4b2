/* Any bytes as a vocabulary and as a text. The first byte says where one ends and how long texts
 * are; an even one takes a vocabulary that is right. The ids must be of that vocabulary, framed,
 * and within the bound, and the same for the text without what it ends with. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "embed/tokenizer.h"

#include "../unit/embed/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct tokenizer *t, str text)
{
    struct embed_tokens out, again;
    tokenizer_run(t, text, &out);
    assert(out.count >= 2 && out.count <= t->tokens_max);
    assert(out.ids[0] == 101 && out.ids[out.count - 1] == 102);
    for (unsigned i = 0; i < out.count; i++)
        assert(out.ids[i] < t->word_count);
    assert(!out.cut || out.count == t->tokens_max);
    tokenizer_run(t, text, &again);
    assert(again.count == out.count);
    assert(memcmp(again.ids, out.ids, out.count * sizeof *out.ids) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > (64u << 10))
        return 0;
    unsigned tokens_max = 3 + data[0] / 2 % 64;
    str rest = str_of((const char *)data + 2, size - 2), words = words_text();
    if (data[0] % 2 != 0) {
        words = str_sub(rest, 0, data[1]);
        rest = str_sub(rest, data[1], rest.len);
    }
    struct tokenizer t;
    struct embed_error error;
    if (!tokenizer_init(&t, words, tokens_max, &error)) {
        assert(data[0] % 2 != 0 && error.text[0] != 0);
        return 0;
    }
    run(&t, rest);
    tokenizer_deinit(&t);
    return 0;
}
