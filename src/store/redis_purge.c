/* redis_purge.c - looking through what lies in Redis, and leaving the order for the gateways.
 *
 * One server of a cluster after the other, one page of SCAN after another; of each page a window of
 * answers is under way: the beginning of an answer is read, and where it is meant, a script removes
 * it with its element. Where all are meant nothing is read and whole keys go. */
#include "store/redis_purge.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/answer_codec.h"
#include "store/redis_answers.h"

#define PAGE_KEYS     "500"
#define PAGE_BYTES    (1u << 20)
#define WINDOW        64u
#define WITHIN_MS     900u /* of each command; the connection gives up after a second */
#define CURSOR_MAX    24u
#define ID_LEN        32u
#define KEY_BYTES_MAX 80u
#define SENTENCE_MAX  320u

static const char drop_script[] =
    "if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('VREM', KEYS[2], ARGV[1]) end\n"
    "redis.call('ZREM', KEYS[3], ARGV[1])\n"
    "return redis.call('UNLINK', KEYS[1])\n";

/* A key that is looked at. */
struct look {
    struct redis_command command;
    struct redis_purge *purge;
    char text[KEY_BYTES_MAX];
    size_t len;
};

struct redis_purge {
    struct redis *redis;
    struct answers_purge what;
    struct uuid source_id, owner;
    struct arena arena;
    void (*done)(void *ctx, int64_t forgotten, str why);
    void *ctx;
    int64_t forgotten;
    struct redis_command command; /* the next page, or the order */
    uint64_t version;             /* of the servers */
    unsigned server;              /* that is looked through */
    char cursor[CURSOR_MAX];
    struct buf page; /* keys, a line each */
    str rest;        /* of it */
    unsigned under_way;
    struct look looks[WINDOW];
};

/* ---- its end ---- */

void redis_purge_stop(struct redis_purge *p)
{
    redis_cancel(p->redis, &p->command);
    for (unsigned i = 0; i < WINDOW; i++) {
        redis_cancel(p->redis, &p->looks[i].command);
    }
    buf_deinit(&p->page);
    arena_deinit(&p->arena);
    free(p);
}

static void end(struct redis_purge *p, const char *what)
{
    char sentence[SENTENCE_MAX] = "";
    str address = redis_address(p->redis);
    if (what != NULL) {
        snprintf(sentence, sizeof sentence, "shared: the Redis server at " STR_FMT " %s",
                 STR_ARG(address), what);
    }
    void (*done)(void *, int64_t, str) = p->done;
    void *ctx = p->ctx;
    int64_t forgotten = p->forgotten;
    redis_purge_stop(p);
    done(ctx, forgotten, str_of_c(sentence));
}

/* True: the reply is none, and that was the end. */
static bool has_failed(struct redis_purge *p, const struct redis_value *value)
{
    if (value == NULL) {
        end(p, "did not answer in time; try again");
    } else if (value->kind == REDIS_REFUSAL) {
        end(p, redis_refusal_meaning(value->text, "refused to forget answers"));
    } else {
        return false;
    }
    return true;
}

/* ---- the order ---- */

static void on_ordered(struct redis_command *c, const struct redis_value *value)
{
    struct redis_purge *p = LIST_ITEM(c, struct redis_purge, command);
    if (!has_failed(p, value)) {
        end(p, NULL);
    }
}

static bool send_order(struct redis_purge *p)
{
    const struct answers_purge *what = &p->what;
    char source[UUID_TEXT_BYTES], owner[UUID_TEXT_BYTES], max[8];
    int max_len = snprintf(max, sizeof max, "%u", REDIS_PURGES_MAX);
    unsigned count = 5;
    str args[5 + 8] = {STR("XADD"), STR(REDIS_PURGES_KEY), STR("MAXLEN"),
                       str_of(max, (size_t)max_len), STR("*")};
    if (what->source_id != NULL) {
        args[count++] = STR("source");
        args[count++] = uuid_text(*what->source_id, source);
    }
    if (what->owner != NULL) {
        args[count++] = STR("owner");
        args[count++] = uuid_text(*what->owner, owner);
    }
    if (what->tag.len > 0) {
        args[count++] = STR("tag");
        args[count++] = what->tag;
        args[count++] = STR("value");
        args[count++] = what->tag_value;
    }
    if (count == 5) {
        args[count++] = STR("all");
        args[count++] = STR("1");
    }
    p->command.done = on_ordered;
    return redis_send(p->redis, &p->command, args, count, WITHIN_MS);
}

/* ---- looking at a key: "rl:{SCOPE}:r:ID", "rl:{SCOPE}:v" or "rl:{SCOPE}:x" ---- */

#define SCOPE_LEN (sizeof "rl:{" - 1 + ID_LEN + sizeof "}:" - 1)
#define NAME_LEN  (SCOPE_LEN + sizeof "r:" - 1 + ID_LEN)

static bool is_answer(str key)
{
    return key.len == NAME_LEN && key.p[SCOPE_LEN] == 'r' && key.p[SCOPE_LEN + 1] == ':';
}

static bool is_index(str key)
{
    return key.len == SCOPE_LEN + 1 && (key.p[SCOPE_LEN] == 'v' || key.p[SCOPE_LEN] == 'x');
}

static bool is_of_cache(str key)
{
    return str_starts(key, STR("rl:{")) && (is_answer(key) || is_index(key));
}

static void go_on(struct redis_purge *p);

static void on_dropped(struct redis_command *c, const struct redis_value *value)
{
    struct look *l = LIST_ITEM(c, struct look, command);
    struct redis_purge *p = l->purge;
    if (has_failed(p, value)) {
        return;
    }
    p->forgotten +=
        value->kind == REDIS_INTEGER && is_answer(str_of(l->text, l->len)) ? value->integer : 0;
    l->len = 0;
    p->under_way--;
    go_on(p);
}

static bool drop_answer(struct look *l)
{
    char vectors[KEY_BYTES_MAX], expiry[KEY_BYTES_MAX];
    str key = str_of(l->text, l->len), scope = str_head(key, SCOPE_LEN);
    int len = snprintf(vectors, sizeof vectors, STR_FMT "v", STR_ARG(scope));
    (void)snprintf(expiry, sizeof expiry, STR_FMT "x", STR_ARG(scope));
    const str args[] = {
        STR("EVAL"),
        str_of_c(drop_script),
        STR("3"),
        key,
        str_of(vectors, (size_t)len),
        str_of(expiry, (size_t)len),
        str_sub(key, NAME_LEN - ID_LEN, NAME_LEN),
    };
    l->command.done = on_dropped;
    return redis_send(l->purge->redis, &l->command, args, 7, WITHIN_MS);
}

static void on_head(struct redis_command *c, const struct redis_value *value)
{
    struct look *l = LIST_ITEM(c, struct look, command);
    struct redis_purge *p = l->purge;
    struct stored_answer s;
    if (has_failed(p, value)) {
        return;
    }
    bool meant = value->kind == REDIS_TEXT && answer_decode_head(value->text, &s) &&
                 answers_purge_means(&p->what, &s);
    if (!meant) {
        l->len = 0;
        p->under_way--;
        go_on(p);
    } else if (!drop_answer(l)) {
        end(p, "does not answer");
    }
}

static bool read_head(struct look *l)
{
    char last[16];
    int len = snprintf(last, sizeof last, "%u", ANSWER_HEAD_BYTES - 1);
    const str args[] = {STR("GETRANGE"), str_of(l->text, l->len), STR("0"),
                        str_of(last, (size_t)len)};
    l->command.done = on_head;
    return redis_send(l->purge->redis, &l->command, args, 4, WITHIN_MS);
}

static bool unlink_key(struct look *l)
{
    const str args[] = {STR("UNLINK"), str_of(l->text, l->len)};
    l->command.done = on_dropped;
    return redis_send(l->purge->redis, &l->command, args, 2, WITHIN_MS);
}

static bool is_all(const struct answers_purge *what)
{
    return what->source_id == NULL && what->owner == NULL && what->tag.len == 0;
}

/* ---- page after page ---- */

static void on_page(struct redis_command *c, const struct redis_value *value)
{
    struct redis_purge *p = LIST_ITEM(c, struct redis_purge, command);
    if (has_failed(p, value)) {
        return;
    }
    if (value->kind != REDIS_LIST || value->count != 2 || value->items[1].kind != REDIS_LIST ||
        value->items[0].text.len >= sizeof p->cursor) {
        end(p, "answered something else than was asked");
        return;
    }
    str cursor = value->items[0].text;
    const struct redis_value *keys = &value->items[1];
    snprintf(p->cursor, sizeof p->cursor, STR_FMT, STR_ARG(cursor));
    buf_clear(&p->page);
    for (unsigned i = 0; i < keys->count; i++) {
        str key = keys->items[i].text;
        if (is_of_cache(key) && (is_all(&p->what) || is_answer(key))) {
            (void)buf_add(&p->page, key);
            (void)buf_add_char(&p->page, '\n');
        }
    }
    p->rest = buf_str(&p->page);
    go_on(p);
}

static bool scan(struct redis_purge *p)
{
    const str args[] = {STR("SCAN"),          str_of_c(p->cursor), STR("MATCH"),
                        STR("rl:{*}:[rvx]*"), STR("COUNT"),        STR(PAGE_KEYS)};
    p->command.done = on_page;
    return redis_send_server(p->redis, p->server, &p->command, args, 6, WITHIN_MS);
}

/* The next page, of the next server where one is at its end; at last the order. */
static void next_page(struct redis_purge *p)
{
    bool sent;
    if (redis_servers_version(p->redis) != p->version) {
        end(p, "is one of a cluster whose slots move at this moment; try again");
        return;
    }
    if (strcmp(p->cursor, "0") == 0 && ++p->server == redis_servers(p->redis)) {
        sent = send_order(p);
    } else {
        sent = scan(p);
    }
    if (!sent) {
        end(p, "does not answer");
    }
}

static struct look *idle_look(struct redis_purge *p)
{
    unsigned i = 0;
    while (p->looks[i].len > 0) {
        i++;
    }
    return &p->looks[i];
}

/* Keeps the window full, and then asks for the next page, or leaves the order. */
static void go_on(struct redis_purge *p)
{
    bool sent = true;
    while (sent && p->rest.len > 0 && p->under_way < WINDOW) {
        struct look *l = idle_look(p);
        str key;
        (void)str_cut(p->rest, '\n', &key, &p->rest);
        memcpy(l->text, key.p, key.len);
        l->len = key.len;
        p->under_way++;
        sent = is_all(&p->what) ? unlink_key(l) : read_head(l);
    }
    if (!sent) {
        end(p, "does not answer");
    } else if (p->under_way == 0) {
        next_page(p);
    }
}

struct redis_purge *redis_purge_start(struct redis *redis, const struct answers_purge *what,
                                      void (*done)(void *ctx, int64_t forgotten, str why),
                                      void *ctx)
{
    struct redis_purge *p = xcalloc(1, sizeof *p);
    p->redis = redis;
    p->done = done;
    p->ctx = ctx;
    arena_init(&p->arena, 0);
    buf_init(&p->page, PAGE_BYTES);
    p->what.tag = arena_copy(&p->arena, what->tag);
    p->what.tag_value = arena_copy(&p->arena, what->tag_value);
    if (what->source_id != NULL) {
        p->source_id = *what->source_id;
        p->what.source_id = &p->source_id;
    }
    if (what->owner != NULL) {
        p->owner = *what->owner;
        p->what.owner = &p->owner;
    }
    for (unsigned i = 0; i < WINDOW; i++) {
        p->looks[i].purge = p;
    }
    snprintf(p->cursor, sizeof p->cursor, "0");
    p->version = redis_servers_version(redis);
    if (!scan(p)) {
        redis_purge_stop(p);
        return NULL;
    }
    return p;
}
