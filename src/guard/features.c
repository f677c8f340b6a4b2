/* features.c - a text to the block of features that is kept beside its answer: tokens with what is
 * known of them. Pure and bounded; what is beyond the bounds is told as a trait. */
#include "guard/features.h"

/* A text beyond the first is cut; beyond the second it is told as too long for the encoder, whose
 * 256 tokens are at most some 1,500 bytes of English. */
#define SCAN_BYTES_MAX  4096u
#define TEXT_BYTES_MAX  2400u
#define RAWS_MAX        640u
#define TEXT_WORDS_MAX  340u
#define NEGATION_REACH  5
#define BRIEF_BYTES_MAX 24u

struct builder {
    const struct scan *scan;
    struct guard_features *f;
    struct guard_token *tokens;
    char *pool;
    uint32_t pending; /* TOKEN_FROM ... and TOKEN_AND, TOKEN_OR for the next token */
    uint32_t raw;
    int negation; /* words that a negation still reaches */
    bool negated; /* an odd number of cues reaches on */
    bool adjacent;
    bool title;  /* capitals mean nothing in this text */
    bool polite; /* "could you" was read: what is asked may follow */
    bool being;  /* a form of "to be" stood in this sentence */
    bool cut;
    uint32_t hits[LANGUAGES];
};

static struct guard_token *add_token(struct builder *b, enum token_class class, uint64_t key,
                                     uint32_t flags)
{
    if (b->f->tokens == GUARD_TOKENS_MAX) {
        b->cut = true;
        return NULL;
    }
    struct guard_token *t = &b->tokens[b->f->tokens++];
    *t = (struct guard_token){.key = key, .flags = flags, .class = (uint8_t) class};
    return t;
}

/* A token that carries content takes what the small words before it said. */
static struct guard_token *add_content(struct builder *b, enum token_class class, uint64_t key,
                                       uint32_t flags)
{
    struct guard_token *t = add_token(b, class, key, flags | b->pending);
    if (t == NULL)
        return NULL;
    if (b->adjacent)
        t->flags |= TOKEN_ADJACENT;
    if (b->negated && (flags & (TOKEN_LIGHT | TOKEN_POLAR)) != TOKEN_LIGHT) {
        t->flags |= TOKEN_NEGATED;
        b->negated = false;
    }
    /* Material is compared word by word, in order: that a contraction was written out does not
     * count. */
    if (b->scan->payload_at != 0 && b->raw >= b->scan->payload_at) {
        uint64_t parts[2] = {key, t->flags & (TOKEN_SIGN | TOKEN_NEGATED)};
        b->f->payload = scan_hash(str_of((const char *)parts, sizeof parts), b->f->payload) | 1;
    }
    b->pending = 0;
    b->adjacent = true;
    b->f->content++;
    return t;
}

static void give_letters(struct builder *b, struct guard_token *t, str letters)
{
    if (t == NULL)
        return;
    if (b->f->pool + letters.len > GUARD_POOL_MAX) {
        b->cut = true;
        return;
    }
    memcpy(b->pool + b->f->pool, letters.p, letters.len);
    t->at = b->f->pool;
    t->len = (uint8_t)letters.len;
    b->f->pool = (uint16_t)(b->f->pool + letters.len);
}

/* A negation that found no word to turn stands for itself. */
static void end_negation(struct builder *b)
{
    b->f->negations = (uint16_t)(b->f->negations + b->negated);
    b->negated = false;
}

static bool is_verb_of_question(str word)
{
    static const char verbs[] =
        " is are am was were do does did can could should would will has have "
        "may must ";
    size_t found = str_find(str_of_c(verbs), word, 0);
    return found != SIZE_MAX && found > 0 && verbs[found - 1] == ' ' &&
           verbs[found + word.len] == ' ';
}

/* At the first word of a sentence or behind a comma: "Hello, can I ...". */
static bool begins_clause(const struct builder *b)
{
    bool after_mark = b->raw > 0 && b->scan->raws[b->raw - 1].kind == RAW_MARK;
    return after_mark || (b->scan->raws[b->raw].shape & SHAPE_START) != 0;
}

static uint8_t asks_of(str word, str next)
{
    static const struct {
        const char *word;
        uint8_t asks;
    } askers[] = {
        {"who", ASKS_WHO},   {"whom", ASKS_WHO},    {"whose", ASKS_WHO},
        {"when", ASKS_WHEN}, {"where", ASKS_WHERE}, {"why", ASKS_WHY},
        {"what", ASKS_WHAT}, {"which", ASKS_WHAT},  {"how", ASKS_WHAT},
    };
    if (str_eq(word, STR("how"))) {
        bool many = str_eq(next, STR("many")) || str_eq(next, STR("much"));
        bool extent = str_eq(next, STR("long")) || str_eq(next, STR("often")) ||
                      str_eq(next, STR("far")) || str_eq(next, STR("old"));
        return many ? ASKS_HOW_MANY : extent ? ASKS_HOW_LONG : ASKS_WHAT;
    }
    for (size_t i = 0; i < sizeof askers / sizeof *askers; i++) {
        if (str_eq(word, str_of_c(askers[i].word)))
            return askers[i].asks;
    }
    return ASKS_NOTHING;
}

static void note_asks(struct builder *b, str word, str next)
{
    if (b->f->asks != ASKS_NOTHING && !b->polite)
        return;
    uint8_t asks = asks_of(word, next);
    if (asks == ASKS_NOTHING && !b->polite && is_verb_of_question(word) && begins_clause(b)) {
        asks = ASKS_YES_NO;
        /* "Could you tell me how ..." asks how. */
        b->polite = str_eq(next, STR("you"));
    } else if (asks != ASKS_NOTHING) {
        b->polite = false;
    }
    if (asks != ASKS_NOTHING)
        b->f->asks = asks;
}

/* What the small words say about the whole sentence. */
static void note_small(struct builder *b, str word)
{
    struct guard_features *f = b->f;
    bool past = str_eq(word, STR("was")) || str_eq(word, STR("were")) || str_eq(word, STR("did")) ||
                str_eq(word, STR("had"));
    f->tense |= past ? 1 : 0;
    f->tense |= str_eq(word, STR("will")) || str_eq(word, STR("gonna")) ? 2 : 0;
    f->modal |= str_eq(word, STR("should")) || str_eq(word, STR("ought")) ? 1 : 0;
    f->modal |= str_eq(word, STR("must")) ? 2 : 0;
    f->modal |= str_eq(word, STR("may")) || str_eq(word, STR("might")) ? 4 : 0;
    b->being |= str_eq(word, STR("is")) || str_eq(word, STR("are")) || str_eq(word, STR("was")) ||
                str_eq(word, STR("were")) || str_eq(word, STR("be")) || str_eq(word, STR("been")) ||
                str_eq(word, STR("being")) || str_eq(word, STR("get")) || str_eq(word, STR("got"));
    if (str_eq(word, STR("from")))
        b->pending |= TOKEN_FROM;
    else if (str_eq(word, STR("to")) || str_eq(word, STR("into")) || str_eq(word, STR("onto")) ||
             str_eq(word, STR("towards")))
        b->pending |= TOKEN_TO;
    else if (str_eq(word, STR("than")))
        b->pending |= TOKEN_THAN;
    else if (str_eq(word, STR("before")))
        b->pending |= TOKEN_BEFORE;
    else if (str_eq(word, STR("after")))
        b->pending |= TOKEN_AFTER;
    else if (str_eq(word, STR("and")))
        b->pending |= TOKEN_AND;
    else if (str_eq(word, STR("or")) || str_eq(word, STR("vs")) || str_eq(word, STR("versus")) ||
             str_eq(word, STR("nor")))
        b->pending |= TOKEN_OR;
    if (str_eq(word, STR("by"))) {
        /* "found by": what was just read is done by whom comes next. */
        if (b->being && b->adjacent && f->passive == 0)
            f->passive = f->tokens;
        b->pending |= TOKEN_BY;
    }
}

static str next_word(const struct builder *b, uint32_t ahead)
{
    uint32_t at = b->raw + ahead;
    bool is_word = at < b->scan->count && b->scan->raws[at].kind == RAW_WORD;
    return is_word ? b->scan->raws[at].text : (str){0};
}

static uint32_t name_flag(const struct builder *b, const struct raw *raw,
                          const struct guard_word *w)
{
    if (w != NULL)
        return (w->kinds & KIND_PLACE) != 0 ? TOKEN_NAME : 0;
    if ((raw->shape & SHAPE_INNER) != 0)
        return TOKEN_NAME;
    bool starts = (raw->shape & SHAPE_START) != 0 && (raw->shape & SHAPE_ALL_CAPS) == 0;
    if (raw->text.len < 2 || starts || (raw->shape & SHAPE_CAPITAL) == 0)
        return 0;
    return b->title ? TOKEN_TITLE : TOKEN_NAME;
}

static uint32_t content_flags(uint32_t kinds)
{
    uint32_t flags = 0;
    flags |= (kinds & KIND_LIGHT) != 0 ? TOKEN_LIGHT : 0;
    flags |= (kinds & KIND_BOTH) != 0 ? TOKEN_BOTH : 0;
    flags |= (kinds & KIND_WHEN) != 0 ? TOKEN_WHEN : 0;
    flags |= (kinds & KIND_TASK) != 0 ? TOKEN_TASK : 0;
    flags |= (kinds & KIND_FORMAT) != 0 ? TOKEN_FORMAT : 0;
    return flags;
}

static void add_word(struct builder *b, const struct raw *raw, str word, const struct guard_word *w)
{
    char stem[GUARD_STEM_MAX];
    uint32_t flags = w != NULL ? content_flags(w->kinds) : 0;
    flags |= name_flag(b, raw, w);
    if (w != NULL && w->group != 0) {
        flags |= TOKEN_FOLDED | (w->sign != 0 ? TOKEN_SIGN : 0) | (w->polar != 0 ? TOKEN_POLAR : 0);
        add_content(b, TOKEN_WORD, w->group, flags);
        return;
    }
    size_t len = guard_stem(word, stem, sizeof stem);
    b->cut |= word.len > sizeof stem;
    uint64_t key = scan_hash(str_of(stem, len), 0) | (uint64_t)1 << 63;
    give_letters(b, add_content(b, TOKEN_WORD, key, flags), str_of(stem, len));
}

/* A word without content; some have an opposite, which a cosine does not see either. */
static void add_small(struct builder *b, str word, const struct guard_word *w)
{
    bool compares = (w->kinds & KIND_MORE) == 0 || str_eq(next_word(b, 1), STR("than"));
    if (w->polar != 0 && compares)
        add_token(b, TOKEN_SMALL, w->group, w->sign != 0 ? TOKEN_SIGN : 0);
    note_small(b, word);
    b->adjacent = false;
}

static void add_persons(struct builder *b, str word, const struct guard_word *w)
{
    uint32_t gender = (w->kinds & KIND_HE) != 0 ? 1 : (w->kinds & KIND_SHE) != 0 ? 2 : 0;
    if (gender != 0)
        add_token(b, TOKEN_PRONOUN, gender, 0);
    else if ((w->kinds & KIND_POSSESSIVE) != 0 && !str_eq(word, STR("its")))
        add_token(b, TOKEN_OWNER,
                  (w->kinds & KIND_FIRST) != 0    ? 1
                  : (w->kinds & KIND_SECOND) != 0 ? 2
                                                  : 3,
                  0);
    bool owner = (w->kinds & KIND_POSSESSIVE) != 0;
    b->f->person |= (w->kinds & KIND_FIRST) == 0 ? 0 : owner ? 4 : 1;
    b->f->person |= (w->kinds & KIND_SECOND) == 0 ? 0 : owner ? 8 : 2;
}

static void negate(struct builder *b)
{
    b->negated = !b->negated;
    b->negation = NEGATION_REACH;
}

/* What a word is when the lexicon knows it as something else than content; true when it is done
 * with. */
static bool add_known(struct builder *b, str word, const struct guard_word *w)
{
    if ((w->kinds & (KIND_HE | KIND_SHE | KIND_POSSESSIVE | KIND_FIRST | KIND_SECOND)) != 0) {
        add_persons(b, word, w);
        b->adjacent = false;
        return true;
    }
    if ((w->kinds & KIND_NEGATION) != 0) {
        negate(b);
        b->adjacent = false;
        return true;
    }
    bool flips = (w->kinds & KIND_FLIP) != 0 && !str_eq(next_word(b, 1), STR("than"));
    if (flips) {
        negate(b);
        b->adjacent = false;
        return true;
    }
    b->f->limits = (uint8_t)(b->f->limits + ((w->kinds & KIND_LIMIT) != 0));
    if ((w->kinds & (KIND_STOP | KIND_MORE | KIND_FLIP | KIND_JOIN)) != 0 &&
        (w->kinds & KIND_TASK) == 0) {
        add_small(b, word, w);
        return true;
    }
    return false;
}

/* Cuts "n't", "'s", "'ll" ... off; the base is returned. */
static str expand(struct builder *b, str word)
{
    size_t at = str_find_char(word, '\'', 0);
    if (at == SIZE_MAX)
        return word;
    str base = str_sub(word, 0, at);
    str tail = str_sub(word, at + 1, word.len);
    if (str_eq(tail, STR("t")) && str_ends(base, STR("n")) && base.len > 1) {
        negate(b);
        b->f->inverted |= b->f->words <= 2;
        if (str_eq(base, STR("can")))
            return base;
        return str_eq(base, STR("won")) ? STR("will") : str_sub(base, 0, base.len - 1);
    }
    if (str_eq(tail, STR("ll")))
        b->f->tense |= 2;
    b->being |= str_eq(tail, STR("s")) || str_eq(tail, STR("re"));
    bool known = str_eq(tail, STR("s")) || str_eq(tail, STR("re")) || str_eq(tail, STR("ll")) ||
                 str_eq(tail, STR("ve")) || str_eq(tail, STR("d")) || str_eq(tail, STR("m"));
    return known ? base : word;
}

/* Two words that are known as one; *entry is then theirs. */
static bool read_phrase(struct builder *b, str word, const struct guard_word **entry)
{
    char joined[2 * sizeof(*entry)->word];
    str next = next_word(b, 1);
    if (*entry == NULL || ((*entry)->kinds & KIND_HEAD) == 0 || next.len == 0 ||
        word.len + 1 + next.len > sizeof joined)
        return false;
    memcpy(joined, word.p, word.len);
    joined[word.len] = '_';
    memcpy(joined + word.len + 1, next.p, next.len);
    str phrase = str_of(joined, word.len + 1 + next.len);
    const struct guard_word *found = guard_lexicon_find(phrase);
    /* "did she use to smoke", but not "what do I use to open it" or "what is used to open it". */
    if (found == NULL || (str_eq(phrase, STR("use_to")) && (b->f->tense & 1) == 0) ||
        (str_eq(phrase, STR("used_to")) && b->being))
        return false;
    *entry = found;
    return true;
}

static uint32_t take_word(struct builder *b, const struct raw *raw)
{
    b->f->words++;
    if (b->negation > 0 && --b->negation == 0)
        end_negation(b);
    str word = expand(b, raw->text);
    note_asks(b, word, next_word(b, 1));
    bool whole = word.len == raw->text.len && raw->known != NULL;
    const struct guard_word *w = whole ? raw->known : guard_lexicon_find_form(word);
    if (w != NULL) {
        for (uint32_t l = LANGUAGE_GERMAN; l < LANGUAGES; l++)
            b->hits[l] += (w->languages >> l) & 1;
        b->hits[LANGUAGE_ENGLISH] += w->kinds != 0 || w->group != 0;
        b->f->traits |= (w->kinds & KIND_FRESH) != 0 ? GUARD_FRESH : 0;
    }
    bool phrase = read_phrase(b, word, &w);
    if (phrase && (w->kinds & KIND_FRESH) != 0)
        b->f->traits |= GUARD_FRESH;
    if (w != NULL && (w->kinds != 0) && add_known(b, word, w))
        return phrase ? 2 : 1;
    add_word(b, raw, phrase ? str_of_c(w->word) : word, w);
    return phrase ? 2 : 1;
}

static void take_mark(struct builder *b, const struct raw *raw)
{
    b->adjacent = false;
    if (raw->mark == '/')
        b->pending |= TOKEN_OR;
    if (raw->mark == '.' || raw->mark == '?' || raw->mark == '!' || raw->mark == '\n') {
        end_negation(b);
        b->pending = 0;
        b->being = false;
    }
}

static uint32_t take(struct builder *b, const struct raw *raw)
{
    enum token_class class;
    uint64_t key;
    uint32_t taken = guard_read_number(b->scan, b->raw, &class, &key);
    if (taken > 0) {
        b->f->words = (uint16_t)(b->f->words + taken);
        add_content(b, class, key, TOKEN_NAME);
        return taken;
    }
    switch (raw->kind) {
    case RAW_WORD:
        return take_word(b, raw);
    case RAW_IDENT:
        b->f->words++;
        add_content(b, TOKEN_IDENT, scan_hash(raw->text, TOKEN_IDENT), TOKEN_NAME);
        return 1;
    case RAW_QUOTE:
        add_token(b, TOKEN_QUOTE, scan_hash(raw->text, TOKEN_QUOTE),
                  raw->text.len <= BRIEF_BYTES_MAX ? TOKEN_BRIEF : 0);
        return 1;
    default:
        take_mark(b, raw);
        return 1;
    }
}

/* Capitals say nothing where every word of length has one. */
static bool is_title(const struct scan *s)
{
    uint32_t capital = 0;
    uint32_t small = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct raw *raw = &s->raws[i];
        if (raw->kind != RAW_WORD || raw->text.len < 4 || (raw->shape & SHAPE_START) != 0)
            continue;
        bool upper = (raw->shape & SHAPE_CAPITAL) != 0;
        capital += upper;
        small += !upper;
    }
    return capital >= 4 && small * 4 < capital;
}

static void note_language(struct builder *b)
{
    uint32_t best = LANGUAGE_GERMAN;
    struct guard_features *f = b->f;
    for (uint32_t l = LANGUAGE_GERMAN; l < LANGUAGES; l++)
        best = b->hits[l] > b->hits[best] ? l : best;
    if (b->hits[best] >= 2 && b->hits[best] > b->hits[LANGUAGE_ENGLISH])
        f->language = (uint8_t)best;
    else if (b->hits[LANGUAGE_ENGLISH] > 0)
        f->language = LANGUAGE_ENGLISH;
    bool latin = f->script == SCRIPT_LATIN || f->script == SCRIPT_NONE;
    bool foreign = !latin || f->language > LANGUAGE_ENGLISH ||
                   (f->language == LANGUAGE_UNKNOWN && f->words >= 6);
    f->traits |= foreign ? GUARD_FOREIGN : 0;
}

static struct guard_features *pack(struct arena *a, const struct builder *b)
{
    size_t head = sizeof(struct guard_features);
    size_t tokens = b->f->tokens * sizeof(struct guard_token);
    struct guard_features *f = arena_zalloc(a, 1, head + tokens + b->f->pool);
    memcpy(f, b->f, head);
    if (tokens > 0)
        memcpy((char *)f + head, b->tokens, tokens);
    if (f->pool > 0)
        memcpy((char *)f + head + tokens, b->pool, f->pool);
    f->version = FEATURES_VERSION;
    f->bytes = (uint32_t)(head + tokens + f->pool);
    return f;
}

const struct guard_features *guard_features_make(struct arena *a, str text)
{
    struct guard_features head = {0};
    struct builder b = {.f = &head};
    b.scan = scan_text(a, str_head(text, SCAN_BYTES_MAX), RAWS_MAX);
    b.tokens = arena_alloc(a, GUARD_TOKENS_MAX * sizeof *b.tokens);
    b.pool = arena_alloc(a, GUARD_POOL_MAX);
    b.title = is_title(b.scan);
    head.script = (uint8_t)b.scan->script;
    head.fences = b.scan->fences;
    head.traits = guard_text_traits(str_head(text, SCAN_BYTES_MAX));
    while (b.raw < b.scan->count)
        b.raw += take(&b, &b.scan->raws[b.raw]);
    end_negation(&b);
    note_language(&b);
    if (text.len > TEXT_BYTES_MAX || b.scan->cut || b.cut || head.words > TEXT_WORDS_MAX)
        head.traits |= GUARD_OVERLONG;
    if (head.fences != 0 || b.scan->code_lines >= 2)
        head.traits |= GUARD_HAS_CODE;
    if (head.content == 0)
        head.traits |= GUARD_NO_CONTENT;
    return pack(a, &b);
}

str guard_features_bytes(const struct guard_features *f)
{
    return str_of((const char *)f, f->bytes);
}

const struct guard_features *guard_features_read(struct arena *a, str bytes)
{
    size_t head = sizeof(struct guard_features);
    if (bytes.len < head || bytes.len > GUARD_FEATURES_BYTES_MAX)
        return NULL;
    struct guard_features *f = arena_alloc(a, bytes.len);
    memcpy(f, bytes.p, bytes.len);
    if (f->version != FEATURES_VERSION || f->bytes != bytes.len || f->tokens > GUARD_TOKENS_MAX ||
        head + f->tokens * sizeof(struct guard_token) + f->pool != bytes.len ||
        f->passive > f->tokens)
        return NULL;
    for (uint32_t i = 0; i < f->tokens; i++) {
        const struct guard_token *t = &f->token[i];
        if (t->class >= TOKEN_CLASSES || (uint32_t)t->at + t->len > f->pool ||
            t->len > GUARD_STEM_MAX)
            return NULL;
    }
    return f;
}

uint32_t guard_features_traits(const struct guard_features *f)
{
    return f->traits;
}
