/* tokenizer.c - a text to ids of word pieces, and the trie that is made of a vocabulary. What a
 * character becomes is unicode.c's. */
#include "embed/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "embed/unicode.h"

/* The ids of the special tokens are the same in every vocabulary of this family; that they are so
 * is checked. Their texts count wherever they stand in a text, even inside of a word. */
enum { ID_PAD = 0, ID_UNK = 100, ID_CLS = 101, ID_SEP = 102, ID_MASK = 103 };

static const struct {
    str text;
    unsigned id;
} special_tokens[] = {
    {{"[PAD]", 5}, ID_PAD}, {{"[UNK]", 5}, ID_UNK},   {{"[CLS]", 5}, ID_CLS},
    {{"[SEP]", 5}, ID_SEP}, {{"[MASK]", 6}, ID_MASK},
};

#define WORD_CHARS_MAX 100 /* a longer word is unknown */
#define WORD_BYTES_MAX (WORD_CHARS_MAX * 4 + UNICODE_FORM_BYTES_MAX)
#define WORDS_MAX      60000u
#define NODES_MAX      (1u << 18)
#define NO_WORD        0xffffu

/* An edge: from node (18 bits) and byte (8), to node (18), the word that ends there (16). The root
 * is no edge's end, so 0 is a free place. */
#define EDGE_KEY(node, byte) ((uint64_t)(node) << 8 | (byte))
#define EDGE(key, to, word)  ((key) << 34 | (uint64_t)(to) << 16 | (word))
#define EDGE_KEY_OF(edge)    ((edge) >> 34)
#define EDGE_TO(edge)        ((unsigned)((edge) >> 16 & (NODES_MAX - 1)))
#define EDGE_WORD(edge)      ((unsigned)((edge)&0xffff))

static size_t edge_place(const struct tokenizer *t, uint64_t key)
{
    return (size_t)(key * 0x9e3779b97f4a7c15u >> (64 - t->edge_bits));
}

/* The edge's place, or the free one where it would go. */
static inline uint64_t *edge_find(const struct tokenizer *t, unsigned node, unsigned char byte)
{
    uint64_t key = EDGE_KEY(node, byte);
    size_t mask = ((size_t)1 << t->edge_bits) - 1;
    size_t at = edge_place(t, key);
    while (t->edges[at] != 0 && EDGE_KEY_OF(t->edges[at]) != key)
        at = (at + 1) & mask;
    return &t->edges[at];
}

/* ---- building ---- */

static bool complain(struct embed_error *error, const char *what, size_t line)
{
    (void)snprintf(error->text, sizeof error->text, "line %zu of the vocabulary %s", line + 1,
                   what);
    return false;
}

static bool add_word(struct tokenizer *t, str word, unsigned id, struct embed_error *error)
{
    unsigned node = 0;
    for (size_t i = 0; i < word.len; i++) {
        uint64_t *edge = edge_find(t, node, (unsigned char)word.p[i]);
        if (*edge == 0) {
            if (t->node_count == NODES_MAX)
                return complain(error, "makes it too large", id);
            *edge = EDGE(EDGE_KEY(node, (unsigned char)word.p[i]), t->node_count++, NO_WORD);
        }
        node = EDGE_TO(*edge);
        if (i + 1 == word.len) {
            if (EDGE_WORD(*edge) != NO_WORD)
                return complain(error, "repeats an earlier one", id);
            *edge = (*edge & ~(uint64_t)0xffff) | id;
        }
    }
    return true;
}

static bool check_special_tokens(const struct tokenizer *t, struct embed_error *error)
{
    for (size_t i = 0; i < sizeof special_tokens / sizeof *special_tokens; i++) {
        unsigned id = special_tokens[i].id;
        if (id >= t->word_count || !str_eq(t->words[id], special_tokens[i].text)) {
            (void)snprintf(error->text, sizeof error->text,
                           "line %u of the vocabulary is not " STR_FMT, id + 1,
                           STR_ARG(special_tokens[i].text));
            return false;
        }
    }
    return true;
}

static bool add_words(struct tokenizer *t, str rest, struct embed_error *error)
{
    while (rest.len != 0) {
        str word;
        (void)str_cut(rest, '\n', &word, &rest);
        if (word.len != 0 && word.p[word.len - 1] == '\r')
            word.len--;
        if (word.len == 0 || !str_is_utf8(word))
            return complain(error, word.len == 0 ? "is empty" : "is not UTF-8", t->word_count);
        if (t->word_count == WORDS_MAX)
            return complain(error, "makes it too large", t->word_count);
        t->words[t->word_count] = word;
        if (!add_word(t, word, t->word_count, error))
            return false;
        t->word_count++;
    }
    return check_special_tokens(t, error);
}

bool tokenizer_init(struct tokenizer *t, str vocabulary, unsigned tokens_max,
                    struct embed_error *error)
{
    *t = (struct tokenizer){.tokens_max = tokens_max, .node_count = 1, .edge_bits = 10};
    /* A word has at most as many edges as bytes, and most share them with others. */
    while (((size_t)1 << t->edge_bits) < vocabulary.len && t->edge_bits < 20)
        t->edge_bits++;
    t->edges = xcalloc((size_t)1 << t->edge_bits, sizeof *t->edges);
    size_t lines = 1;
    for (size_t i = 0; i < vocabulary.len; i++)
        lines += vocabulary.p[i] == '\n';
    t->words = xcalloc(lines < WORDS_MAX ? lines : WORDS_MAX, sizeof *t->words);
    t->text = xmemdup0(vocabulary.p, vocabulary.len);
    if (add_words(t, str_of(t->text, vocabulary.len), error)) {
        t->continuation =
            EDGE_TO(*edge_find(t, EDGE_TO(*edge_find(t, 0, '#')), (unsigned char)'#'));
        return true;
    }
    tokenizer_deinit(t);
    return false;
}

void tokenizer_deinit(struct tokenizer *t)
{
    free(t->edges);
    free(t->words);
    free(t->text);
    *t = (struct tokenizer){0};
}

/* ---- running ---- */

struct run {
    const struct tokenizer *t;
    struct embed_tokens *out;
    unsigned room_end; /* ids[room_end] is for [SEP] */
    unsigned word_len, word_chars;
    bool word_too_long;
    char word[WORD_BYTES_MAX];
};

static void emit(struct run *r, unsigned id)
{
    if (r->out->count == r->room_end)
        r->out->cut = true;
    else
        r->out->ids[r->out->count++] = (uint16_t)id;
}

/* The longest entry at the start of bytes[0..len), walking from `node`; its length or 0. */
static unsigned longest(const struct tokenizer *t, unsigned node, const char *bytes, unsigned len,
                        unsigned *id)
{
    unsigned found = 0;
    for (unsigned i = 0; i < len; i++) {
        uint64_t edge = *edge_find(t, node, (unsigned char)bytes[i]);
        if (edge == 0)
            break;
        node = EDGE_TO(edge);
        if (EDGE_WORD(edge) != NO_WORD) {
            *id = EDGE_WORD(edge);
            found = i + 1;
        }
    }
    return found;
}

/* A word of which any piece is unknown is unknown as a whole. */
static void emit_word(struct run *r, const char *bytes, unsigned len)
{
    uint16_t pieces[WORD_CHARS_MAX + UNICODE_FORM_BYTES_MAX];
    unsigned count = 0;
    for (unsigned at = 0; at < len;) {
        unsigned id = ID_UNK;
        unsigned start = at == 0 ? 0 : r->t->continuation;
        unsigned found =
            at != 0 && start == 0 ? 0 : longest(r->t, start, bytes + at, len - at, &id);
        if (found == 0) {
            emit(r, ID_UNK);
            return;
        }
        pieces[count++] = (uint16_t)id;
        at += found;
    }
    for (unsigned i = 0; i < count; i++)
        emit(r, pieces[i]);
}

static void end_word(struct run *r)
{
    if (r->word_too_long)
        emit(r, ID_UNK);
    else if (r->word_len != 0)
        emit_word(r, r->word, r->word_len);
    r->word_len = 0;
    r->word_chars = 0;
    r->word_too_long = false;
}

static void add_form(struct run *r, const struct unicode_form *form)
{
    switch (form->kind) {
    case UNICODE_DROP:
        break;
    case UNICODE_SPACE:
        end_word(r);
        break;
    case UNICODE_PUNCT:
    case UNICODE_IDEOGRAPH:
        end_word(r);
        emit_word(r, form->bytes, form->len);
        break;
    case UNICODE_LETTER:
        for (unsigned i = 0; i < form->len; i++)
            r->word_chars += ((unsigned char)form->bytes[i] & 0xc0) != 0x80;
        if (r->word_chars > WORD_CHARS_MAX) {
            r->word_too_long = true;
            break;
        }
        memcpy(r->word + r->word_len, form->bytes, form->len);
        r->word_len += form->len;
        break;
    }
}

static uint32_t decode(const char *p, size_t len)
{
    const unsigned char *b = (const unsigned char *)p;
    if (len == 1)
        return b[0];
    if (len == 2)
        return (b[0] & 31u) << 6 | (b[1] & 63u);
    if (len == 3)
        return (b[0] & 15u) << 12 | (b[1] & 63u) << 6 | (b[2] & 63u);
    return (b[0] & 7u) << 18 | (b[1] & 63u) << 12 | (b[2] & 63u) << 6 | (b[3] & 63u);
}

/* Length of the special token at the start of `text`, which begins with '[', or 0. */
static size_t take_special(struct run *r, str text)
{
    for (size_t i = 0; i < sizeof special_tokens / sizeof *special_tokens; i++) {
        if (!str_starts(text, special_tokens[i].text))
            continue;
        end_word(r);
        emit(r, special_tokens[i].id);
        return special_tokens[i].text.len;
    }
    return 0;
}

static size_t take_character(struct run *r, str text, size_t at)
{
    unsigned char first = (unsigned char)text.p[at];
    unsigned char lower = first >= 'A' && first <= 'Z' ? first | 32 : first;
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9')) {
        if (r->word_chars++ < WORD_CHARS_MAX)
            r->word[r->word_len++] = (char)lower;
        else
            r->word_too_long = true;
        return 1;
    }
    size_t special = first == '[' ? take_special(r, str_sub(text, at, text.len)) : 0;
    if (special != 0)
        return special;
    size_t len = str_utf8_at(text, at);
    if (len == 0)
        return 1;
    struct unicode_form form;
    unicode_form(decode(text.p + at, len), &form);
    add_form(r, &form);
    return len;
}

void tokenizer_run(const struct tokenizer *t, str text, struct embed_tokens *out)
{
    struct run r;
    r.t = t;
    r.out = out;
    r.room_end = t->tokens_max - 1;
    r.word_len = 0;
    r.word_chars = 0;
    r.word_too_long = false;
    out->ids[0] = ID_CLS;
    out->count = 1;
    out->cut = false;
    for (size_t at = 0; at < text.len && !out->cut;)
        at += take_character(&r, text, at);
    if (!out->cut)
        end_word(&r);
    out->ids[out->count++] = ID_SEP;
}
