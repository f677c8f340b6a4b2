/* redis_answers.c - asks and writes of the shared cache.
 *
 * Writing is one script, so that answer, vector and time of expiry come together or not at all;
 * keys and values are its arguments and never its text. Without a vector it is one SET. Nobody
 * waits for writing, so it goes along with what somebody asks. Finding a question's own answer is
 * one GET; finding those like it is a search and then one MGET of what it named, under one
 * deadline. */
#include "store/redis_answers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"
#include "base/mem.h"
#include "store/answer_codec.h"

/* How much a cosine that Redis computes from its rounded vectors may be off. */
#define ROUNDING 0.02f

#define KEY_BYTES_MAX     96u
#define ID_LEN            32u
#define WRITES_MAX        256u /* under way */
#define WRITE_MS          500u
#define TROUBLE_BYTES_MAX 320u

static const char keep_script[] =
    "local payload, vectors, expiry = KEYS[1], KEYS[2], KEYS[3]\n"
    "local body, ttl, replace, id, vector = unpack(ARGV)\n"
    "local kept\n"
    "if replace == '1' then kept = redis.call('SET', payload, body, 'PX', ttl)\n"
    "else kept = redis.call('SET', payload, body, 'PX', ttl, 'NX') end\n"
    "if not kept then return 0 end\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "redis.call('VADD', vectors, 'FP32', vector, id)\n"
    "redis.call('ZADD', expiry, now + ttl, id)\n"
    "local gone = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 32)\n"
    "for _, old in ipairs(gone) do redis.call('VREM', vectors, old) end\n"
    "if #gone > 0 then redis.call('ZREM', expiry, unpack(gone)) end\n"
    "local last = redis.call('ZRANGE', expiry, -1, -1, 'WITHSCORES')[2]\n"
    "redis.call('PEXPIREAT', vectors, last)\n"
    "redis.call('PEXPIREAT', expiry, last)\n"
    "return 1\n";

/* Another gateway may have written it again in the meantime. */
static const char forget_script[] = "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end\n"
                                    "redis.call('VREM', KEYS[2], ARGV[1])\n"
                                    "redis.call('ZREM', KEYS[3], ARGV[1])\n"
                                    "return 1\n";

struct redis_answers {
    struct redis_answers_options options;
    struct list writes; /* under way */
    unsigned write_count;
    char trouble[TROUBLE_BYTES_MAX]; /* of writing */
};

struct write {
    struct redis_command command;
    struct list node;
    struct redis_answers *answers;
};

/* ---- names ---- */

static void hex_of(const struct digest *d, char out[ID_LEN + 1])
{
    digits_put_hex(out, d->b, ID_LEN / 2);
    out[ID_LEN] = '\0';
}

static char *put(char *to, str text)
{
    memcpy(to, text.p, text.len);
    return to + text.len;
}

/* "rl:{SCOPE}:KIND", and the id behind it. */
static str key_of(char out[KEY_BYTES_MAX], const struct digest *scope, str kind, str id)
{
    char *to = put(out, STR("rl:{"));
    digits_put_hex(to, scope->b, ID_LEN / 2);
    to = put(to + ID_LEN, STR("}:"));
    to = put(put(to, kind), id);
    return str_of(out, (size_t)(to - out));
}

static bool is_id(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) {
            return false;
        }
    }
    return s.len == ID_LEN;
}

/* ---- writing ---- */

static void set_trouble(struct redis_answers *a, const char *sentence)
{
    if (strcmp(a->trouble, sentence) == 0) {
        return;
    }
    snprintf(a->trouble, sizeof a->trouble, "%s", sentence);
    if (a->options.changed != NULL) {
        a->options.changed(a->options.ctx);
    }
}

const char *redis_refusal_meaning(str text, const char *otherwise)
{
    static const struct {
        str code;
        const char *meaning;
    } meanings[] = {
        {STR_INIT("OOM"),
         "is full and takes no new answers: raise its maxmemory or shorten cache.ttl"},
        {STR_INIT("READONLY"), "is a replica and takes no new answers: name the primary"},
        {STR_INIT("MISCONF"), "cannot save to its disk and takes no new answers"},
        {STR_INIT("NOPERM"), "does not let this user do all that docs/guides/redis.md lists"},
        {STR_INIT("MOVED"), "is one of a cluster whose slots move at this moment"},
        {STR_INIT("ASK"), "is one of a cluster whose slots move at this moment"},
        {STR_INIT("TRYAGAIN"), "is one of a cluster whose slots move at this moment"},
        {STR_INIT("CLUSTERDOWN"), "is one of a cluster that does not serve all of its slots"},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (str_starts(text, meanings[i].code)) {
            return meanings[i].meaning;
        }
    }
    return otherwise;
}

static void note_refusal(struct redis_answers *a, str text)
{
    const char *meaning = redis_refusal_meaning(text, "refused to keep an answer");
    char sentence[TROUBLE_BYTES_MAX];
    str address = redis_address(a->options.redis);
    snprintf(sentence, sizeof sentence, "shared: the Redis server at " STR_FMT " %s",
             STR_ARG(address), meaning);
    set_trouble(a, sentence);
}

static void write_free(struct write *w)
{
    list_remove(&w->node);
    w->answers->write_count--;
    free(w);
}

static void on_written(struct redis_command *c, const struct redis_value *value)
{
    struct write *w = LIST_ITEM(c, struct write, command);
    struct redis_answers *a = w->answers;
    write_free(w);
    if (value == NULL) {
        return; /* the connection knows what is wrong */
    }
    if (value->kind == REDIS_REFUSAL) {
        note_refusal(a, value->text);
    } else {
        set_trouble(a, "");
    }
}

static void send_write(struct redis_answers *a, const str *args, unsigned count)
{
    if (a->write_count == WRITES_MAX) {
        return;
    }
    struct write *w = xmalloc(sizeof *w);
    w->command = (struct redis_command){.done = on_written};
    w->answers = a;
    list_add_before(&a->writes, &w->node);
    a->write_count++;
    if (!redis_send_along(a->options.redis, &w->command, args, count, WRITE_MS)) {
        write_free(w);
    }
}

/* Found by its own question only: one key, which needs no script. */
static void keep_alone(struct redis_answers *a, str payload, str body, str ttl, bool replace)
{
    const str args[] = {STR("SET"), payload, body, STR("PX"), ttl, STR("NX")};
    send_write(a, args, replace ? 5 : 6);
}

void redis_answers_keep(struct redis_answers *a, const struct digest *scope,
                        const struct stored_answer *answer, bool replace, int64_t now_us)
{
    char payload[KEY_BYTES_MAX], vectors[KEY_BYTES_MAX], expiry[KEY_BYTES_MAX], id[ID_LEN + 1];
    char digits[DIGITS_I64_MAX], vector[VECTOR_DIM * 4];
    struct buf body;
    int64_t ttl_ms = (answer->expires_us - now_us) / 1000;
    if (ttl_ms <= 0 || !redis_is_up(a->options.redis)) {
        return;
    }
    const struct stored_question *q = &answer->question;
    buf_init(&body, REDIS_ANSWER_BYTES_MAX);
    hex_of(&answer->key, id);
    str key = key_of(payload, scope, STR("r:"), str_of(id, ID_LEN));
    str ttl = str_of(digits, digits_put_i64(digits, ttl_ms));
    if (!answer_encode(answer, &body)) {
        buf_deinit(&body);
        return;
    }
    if (q->vector == NULL || !redis_has_vectors(a->options.redis)) {
        keep_alone(a, key, buf_str(&body), ttl, replace);
    } else {
        vector_encode(q->vector, vector);
        const str args[] = {
            STR("EVAL"),
            str_of_c(keep_script),
            STR("3"),
            key,
            key_of(vectors, scope, STR("v"), STR("")),
            key_of(expiry, scope, STR("x"), STR("")),
            buf_str(&body),
            ttl,
            replace ? STR("1") : STR("0"),
            str_of(id, ID_LEN),
            str_of(vector, sizeof vector),
        };
        send_write(a, args, 11);
    }
    buf_deinit(&body);
}

static void forget(struct redis_answers *a, const struct digest *scope, const char *id)
{
    char payload[KEY_BYTES_MAX], vectors[KEY_BYTES_MAX], expiry[KEY_BYTES_MAX];
    const str args[] = {
        STR("EVAL"),
        str_of_c(forget_script),
        STR("3"),
        key_of(payload, scope, STR("r:"), str_of(id, ID_LEN)),
        key_of(vectors, scope, STR("v"), STR("")),
        key_of(expiry, scope, STR("x"), STR("")),
        str_of(id, ID_LEN),
    };
    send_write(a, args, 7);
}

/* ---- asking ---- */

static void finish(struct redis_ask *ask, enum redis_ask_result result)
{
    ask->result = result;
    ask->done(ask);
}

/* Wanted, and what its key says it is. */
static bool is_wanted(const struct redis_ask *ask, const struct stored_answer *s, const char *id)
{
    char own[ID_LEN + 1];
    hex_of(&s->key, own);
    return memcmp(own, id, ID_LEN) == 0 && s->expires_us > ask->now_us &&
           s->stored_us >= ask->not_before_us && s->stored_us <= s->expires_us &&
           (ask->vector != NULL || memcmp(&s->key, &ask->key, sizeof s->key) == 0);
}

static float cosine_of(const float *a, const float *b)
{
    float sum = 0;
    for (unsigned i = 0; i < VECTOR_DIM; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* In the order of their cosines. */
static void add_found(struct redis_ask *ask, struct stored_answer *answer, float cosine)
{
    unsigned at = ask->count++;
    while (at > 0 && ask->found[at - 1].cosine < cosine) {
        ask->found[at] = ask->found[at - 1];
        at--;
    }
    ask->found[at] = (struct neighbour){cosine, answer};
}

static void take_answer(struct redis_ask *ask, str bytes, const char *id)
{
    struct stored_answer s;
    float vector[VECTOR_DIM], cosine = 1;
    if (!answer_decode(bytes, &s, vector) || !is_wanted(ask, &s, id)) {
        return;
    }
    if (ask->vector != NULL) {
        bool same_scope = memcmp(&s.question.scope, &ask->scope, sizeof s.question.scope) == 0;
        if (s.question.vector == NULL || !same_scope) {
            return;
        }
        cosine = cosine_of(ask->vector, s.question.vector);
        if (!(cosine >= ask->floor)) {
            return;
        }
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    if (s.question.vector != NULL) {
        s.question.features = ask->from->options.features(&scratch, s.question.text);
    }
    add_found(ask, stored_answer_new(&s), cosine);
    arena_deinit(&scratch);
}

static void start(struct redis_answers *a, struct redis_ask *ask, const struct digest *scope,
                  int64_t now_us, int64_t not_before_us)
{
    ask->from = a;
    ask->scope = *scope;
    ask->count = 0;
    ask->id_count = 0;
    ask->now_us = now_us;
    ask->not_before_us = not_before_us;
}

static void on_found(struct redis_command *c, const struct redis_value *value)
{
    struct redis_ask *ask = LIST_ITEM(c, struct redis_ask, command);
    if (value == NULL || value->kind == REDIS_REFUSAL) {
        finish(ask, REDIS_ASK_FAILED);
        return;
    }
    if (value->kind == REDIS_TEXT) {
        take_answer(ask, value->text, ask->ids[0]);
    }
    finish(ask, ask->count > 0 ? REDIS_ASK_FOUND : REDIS_ASK_MISSED);
}

bool redis_answers_find(struct redis_answers *a, struct redis_ask *ask, const struct digest *scope,
                        const struct digest *key, int64_t now_us, int64_t not_before_us,
                        unsigned within_ms)
{
    char name[KEY_BYTES_MAX];
    start(a, ask, scope, now_us, not_before_us);
    ask->key = *key;
    ask->vector = NULL;
    hex_of(key, ask->ids[0]);
    ask->command = (struct redis_command){.done = on_found};
    const str args[] = {STR("GET"), key_of(name, scope, STR("r:"), str_of(ask->ids[0], ID_LEN))};
    return redis_send(a->options.redis, &ask->command, args, 2, within_ms);
}

/* ---- those like it ---- */

static void on_answers(struct redis_command *c, const struct redis_value *value)
{
    struct redis_ask *ask = LIST_ITEM(c, struct redis_ask, command);
    if (value == NULL || value->kind != REDIS_LIST || value->count != ask->id_count) {
        finish(ask, REDIS_ASK_FAILED);
        return;
    }
    for (unsigned i = 0; i < value->count; i++) {
        if (value->items[i].kind == REDIS_TEXT) {
            take_answer(ask, value->items[i].text, ask->ids[i]);
        } else {
            forget(ask->from, &ask->scope, ask->ids[i]);
        }
    }
    finish(ask, ask->count > 0 ? REDIS_ASK_FOUND : REDIS_ASK_MISSED);
}

static void fetch(struct redis_ask *ask)
{
    struct redis *redis = ask->from->options.redis;
    char names[REDIS_NEIGHBOURS][KEY_BYTES_MAX];
    str args[1 + REDIS_NEIGHBOURS] = {STR("MGET")};
    for (unsigned i = 0; i < ask->id_count; i++) {
        args[1 + i] = key_of(names[i], &ask->scope, STR("r:"), str_of(ask->ids[i], ID_LEN));
    }
    uint64_t now = redis_now_ms(redis);
    unsigned left = now < ask->due_ms ? (unsigned)(ask->due_ms - now) : 0;
    ask->command = (struct redis_command){.done = on_answers};
    if (left == 0 || !redis_send(redis, &ask->command, args, 1 + ask->id_count, left)) {
        finish(ask, REDIS_ASK_FAILED);
    }
}

/* Names and scores by turns; a score is (1 + cosine) / 2 of rounded vectors. */
static void on_near(struct redis_command *c, const struct redis_value *value)
{
    struct redis_ask *ask = LIST_ITEM(c, struct redis_ask, command);
    if (value == NULL || value->kind != REDIS_LIST) {
        finish(ask, REDIS_ASK_FAILED);
        return;
    }
    for (unsigned i = 0; i + 1 < value->count && ask->id_count < REDIS_NEIGHBOURS; i += 2) {
        str id = value->items[i].text;
        double score = 0;
        bool near = str_to_double(value->items[i + 1].text, &score) &&
                    2 * score - 1 >= (double)(ask->floor - ROUNDING);
        if (near && is_id(id)) {
            memcpy(ask->ids[ask->id_count], id.p, ID_LEN);
            ask->ids[ask->id_count++][ID_LEN] = '\0';
        }
    }
    if (ask->id_count == 0) {
        finish(ask, REDIS_ASK_MISSED);
    } else {
        fetch(ask);
    }
}

bool redis_answers_find_like(struct redis_answers *a, struct redis_ask *ask,
                             const struct digest *scope, const float vector[VECTOR_DIM],
                             float floor, int64_t now_us, int64_t not_before_us, unsigned within_ms)
{
    char name[KEY_BYTES_MAX], blob[VECTOR_DIM * 4], number[8];
    if (!redis_has_vectors(a->options.redis)) {
        return false;
    }
    start(a, ask, scope, now_us, not_before_us);
    ask->vector = vector;
    ask->floor = floor;
    ask->due_ms = redis_now_ms(a->options.redis) + within_ms;
    vector_encode(vector, blob);
    int len = snprintf(number, sizeof number, "%u", REDIS_NEIGHBOURS);
    ask->command = (struct redis_command){.done = on_near};
    const str args[] = {
        STR("VSIM"),
        key_of(name, scope, STR("v"), STR("")),
        STR("FP32"),
        str_of(blob, sizeof blob),
        STR("WITHSCORES"),
        STR("COUNT"),
        str_of(number, (size_t)len),
    };
    return redis_send(a->options.redis, &ask->command, args, 7, within_ms);
}

void redis_answers_leave(struct redis_ask *ask)
{
    if (ask->from != NULL) {
        redis_cancel(ask->from->options.redis, &ask->command);
    }
}

/* ---- lifetime ---- */

struct redis_answers *redis_answers_new(const struct redis_answers_options *options)
{
    struct redis_answers *a = xcalloc(1, sizeof *a);
    a->options = *options;
    list_init(&a->writes);
    return a;
}

void redis_answers_free(struct redis_answers *a)
{
    for (struct list *node; (node = list_pop(&a->writes)) != NULL;) {
        free(LIST_ITEM(node, struct write, node));
    }
    free(a);
}

str redis_answers_trouble(const struct redis_answers *a)
{
    str trouble = redis_trouble(a->options.redis);
    return trouble.len > 0 ? trouble : str_of_c(a->trouble);
}
