/* resp.c - hiredis's reader, given functions that build our values and know our bounds.
 *
 * A function that returns NULL makes the reader fail, which is how a list that announces millions
 * of elements is refused before memory is taken for them. hiredis gathers the bytes of a reply
 * until they are whole; how many it may gather is looked at here. */
#include "net/resp.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct resp_reader {
    redisReader *reader;
    redisReplyObjectFunctions functions;
    struct arena arena;
    size_t items; /* of the reply under way */
    bool given;   /* the arena holds a value that was handed out */
    bool bad;
};

static struct redis_value *value_at(const redisReadTask *task)
{
    struct resp_reader *r = task->privdata;
    if (task->parent != NULL) {
        struct redis_value *list = task->parent->obj;
        return &list->items[task->idx];
    }
    return arena_new(&r->arena, struct redis_value, 1);
}

static enum redis_kind kind_of(int type)
{
    return type == REDIS_REPLY_ERROR    ? REDIS_REFUSAL
           : type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                        : REDIS_TEXT;
}

static void *make_text(const redisReadTask *task, char *p, size_t len)
{
    struct resp_reader *r = task->privdata;
    struct redis_value *v = value_at(task);
    v->kind = kind_of(task->type);
    v->text = arena_copy(&r->arena, str_of(p, len));
    return v;
}

#if HIREDIS_MAJOR >= 1
typedef size_t list_size;
#else
typedef int list_size;
#endif

static void *make_list(const redisReadTask *task, list_size count)
{
    struct resp_reader *r = task->privdata;
    size_t n = count > 0 ? (size_t)count : 0;
    if (n > REDIS_ITEMS_MAX - r->items) {
        return NULL;
    }
    r->items += n;
    struct redis_value *v = value_at(task);
    v->kind = REDIS_LIST;
    v->count = (unsigned)n;
    v->items = arena_new(&r->arena, struct redis_value, n);
    return v;
}

static void *make_integer(const redisReadTask *task, long long number)
{
    struct redis_value *v = value_at(task);
    v->kind = REDIS_INTEGER;
    v->integer = number;
    return v;
}

static void *make_nil(const redisReadTask *task)
{
    struct redis_value *v = value_at(task);
    v->kind = REDIS_NIL;
    return v;
}

#if HIREDIS_MAJOR >= 1
/* Of RESP3, which is never asked for. */
static void *make_double(const redisReadTask *task, double number, char *p, size_t len)
{
    (void)number;
    return make_text(task, p, len);
}

static void *make_bool(const redisReadTask *task, int truth)
{
    return make_integer(task, truth);
}
#endif

static void free_nothing(void *value)
{
    (void)value; /* it is the arena's */
}

struct resp_reader *resp_reader_new(void)
{
    struct resp_reader *r = xcalloc(1, sizeof *r);
    r->functions = (redisReplyObjectFunctions)
    {
        .createString = make_text, .createArray = make_list, .createInteger = make_integer,
#if HIREDIS_MAJOR >= 1
        .createDouble = make_double, .createBool = make_bool,
#endif
        .createNil = make_nil, .freeObject = free_nothing,
    };
    arena_init(&r->arena, 0);
    r->reader = redisReaderCreateWithFunctions(&r->functions);
    if (r->reader == NULL) {
        abort(); /* out of memory */
    }
    r->reader->privdata = r;
    return r;
}

void resp_reader_free(struct resp_reader *r)
{
    redisReaderFree(r->reader);
    arena_deinit(&r->arena);
    free(r);
}

void resp_reader_feed(struct resp_reader *r, str bytes)
{
    if (bytes.len > 0 && redisReaderFeed(r->reader, bytes.p, bytes.len) != REDIS_OK) {
        r->bad = true;
    }
}

enum resp_result resp_reader_next(struct resp_reader *r, const struct redis_value **value)
{
    if (r->given) {
        arena_reset(&r->arena);
        r->items = 0;
        r->given = false;
    }
    void *reply = NULL;
    if (r->bad || redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
        r->bad = true;
        return RESP_BAD;
    }
    if (reply == NULL) {
        r->bad = r->reader->len - r->reader->pos > REDIS_REPLY_BYTES_MAX ||
                 r->arena.bytes > REDIS_REPLY_BYTES_MAX * 2u;
        return r->bad ? RESP_BAD : RESP_MORE;
    }
    r->given = true;
    *value = reply;
    return RESP_VALUE;
}
