/* redis.c - commands on their way: sent in the order of the calls, answered in the same order.
 *
 * The idea: a ring holds a slot for every command whose reply has not come; replies are matched by
 * order alone, so a slot stays when its command was cancelled or came too late. What a turn sends
 * goes out in one write, and with it what waited for company. One timer looks after the deadlines;
 * a reply that is late stalls the connection: nothing more is taken until the late ones are here.
 */
#include "net/redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/redis_internal.h"

#define OUT_BYTES_KEPT  (256u << 10)
#define ALONG_MS        8u /* for company; and a slot of the loop's timers */
#define ALONG_MS_MAX    24u
#define WORD_MORE_BYTES 32u /* that a word takes besides its own, at most */

static struct redis_slot *slot_of(struct redis *r, uint64_t sequence)
{
    return &r->slots[sequence % REDIS_PIPELINE_MAX];
}

static void count(_Atomic int64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- sending ---- */

static void flush(struct redis *r)
{
    if (r->link != NULL && r->out.len > 0) {
        str all = buf_str(&r->out);
        conn_write(&r->link->io, &all, 1);
    }
    if (r->out.cap > OUT_BYTES_KEPT) {
        buf_deinit(&r->out);
        buf_init(&r->out, REDIS_QUEUE_BYTES_MAX);
    }
    buf_clear(&r->out);
}

static void on_flush(struct loop_task *t)
{
    flush(LIST_ITEM(t, struct redis, flush));
}

/* Nobody came. The timer is not stopped by a command that does, since the next one that waits would
 * start it again: so it may find nothing, or what has waited less than its time. */
static void on_company(struct loop_timer *t)
{
    flush(LIST_ITEM(t, struct redis, company));
}

static void arm(struct redis *r, uint64_t due_ms)
{
    uint64_t now = loop_now_ms(r->loop);
    if (!loop_timer_running(&r->timer) || due_ms < r->armed_ms) {
        r->armed_ms = due_ms;
        loop_timer_start(&r->timer, due_ms > now ? due_ms - now : 0);
    }
}

/* "*2", "$3": there is room for it. */
static void add_size(struct buf *out, char mark, size_t size)
{
    (void)buf_add_char(out, mark);
    (void)buf_add_u64(out, size);
    (void)buf_add(out, STR("\r\n"));
}

/* What a server of a cluster is sent is kept until it has answered, to be sent on. */
static struct redis_words *words_of(const struct redis *r, str command)
{
    if (r->top == r) {
        return NULL;
    }
    struct redis_words *words = xmalloc(sizeof *words + command.len);
    words->len = command.len;
    words->hops = 0;
    memcpy(words->bytes, command.p, command.len);
    return words;
}

static bool has_room(const struct redis *r, size_t bytes)
{
    return r->tail - r->head < REDIS_PIPELINE_MAX &&
           bytes + r->out.len + conn_unsent(&r->link->io) <= REDIS_QUEUE_BYTES_MAX;
}

/* The command as it is sent, at the end of what this turn sends. */
static bool format(struct redis *r, const str *args, unsigned count_of_args,
                   struct redis_words **words)
{
    size_t bytes = WORD_MORE_BYTES;
    assert(count_of_args > 0 && count_of_args <= REDIS_ARGS_MAX);
    for (unsigned i = 0; i < count_of_args; i++) {
        bytes += args[i].len + WORD_MORE_BYTES;
    }
    if (!has_room(r, bytes)) {
        return false;
    }
    size_t before = r->out.len;
    (void)buf_reserve(&r->out, bytes);
    add_size(&r->out, '*', count_of_args);
    for (unsigned i = 0; i < count_of_args; i++) {
        add_size(&r->out, '$', args[i].len);
        (void)buf_add(&r->out, args[i]);
        (void)buf_add(&r->out, STR("\r\n"));
    }
    *words = words_of(r, str_sub(buf_str(&r->out), before, r->out.len));
    return true;
}

static void await(struct redis *r, struct redis_command *c, struct redis_words *words,
                  uint64_t due_ms)
{
    struct redis_slot *slot = slot_of(r, r->tail);
    *slot = (struct redis_slot){c, loop_now_ms(r->loop), due_ms, words};
    if (c != NULL) {
        assert(!c->flying);
        c->sequence = r->tail;
        c->on = r;
        c->flying = true;
    }
    r->tail++;
    arm(r, due_ms);
}

static bool put(struct redis *r, struct redis_command *c, const str *args, unsigned count_of_args,
                unsigned within_ms)
{
    struct redis_words *words;
    if (!format(r, args, count_of_args, &words)) {
        return false;
    }
    await(r, c, words, loop_now_ms(r->loop) + within_ms);
    return true;
}

static void push(struct redis *r)
{
    loop_defer(r->loop, &r->flush);
}

bool redis_put(struct redis *r, struct redis_command *c, const str *args, unsigned count_of_args,
               unsigned within_ms)
{
    bool taken = put(r, c, args, count_of_args, c != NULL ? within_ms : REDIS_SILENCE_MS);
    if (taken) {
        push(r);
    }
    return taken;
}

bool redis_put_along(struct redis *r, struct redis_command *c, const str *args,
                     unsigned count_of_args, unsigned within_ms)
{
    unsigned due_ms = ALONG_MS_MAX + (c != NULL ? within_ms : REDIS_SILENCE_MS);
    if (!put(r, c, args, count_of_args, due_ms)) {
        return false;
    }
    if (r->out.len > REDIS_ALONG_BYTES_MAX) {
        push(r);
    } else if (!loop_timer_running(&r->company)) {
        loop_timer_start(&r->company, ALONG_MS);
    }
    return true;
}

bool redis_put_words(struct redis *r, struct redis_command *c, struct redis_words *words,
                     uint64_t due_ms)
{
    if (!has_room(r, words->len) || !buf_add(&r->out, str_of(words->bytes, words->len))) {
        return false;
    }
    await(r, c, words, due_ms);
    push(r);
    return true;
}

bool redis_send(struct redis *r, struct redis_command *c, const str *args, unsigned count_of_args,
                unsigned within_ms)
{
    if (r->cluster != NULL) {
        return redis_cluster_send(r, c, args, count_of_args, within_ms, false);
    }
    return redis_takes(r) && redis_put(r, c, args, count_of_args, within_ms);
}

unsigned redis_servers(const struct redis *r)
{
    return r->cluster != NULL ? redis_cluster_servers(r->cluster) : 1;
}

uint64_t redis_servers_version(const struct redis *r)
{
    return r->cluster != NULL ? redis_cluster_version(r->cluster) : 0;
}

bool redis_send_server(struct redis *r, unsigned server, struct redis_command *c, const str *args,
                       unsigned count_of_args, unsigned within_ms)
{
    struct redis *to = r->cluster != NULL ? redis_cluster_server(r->cluster, server) : r;
    return to != NULL && redis_takes(to) && redis_put(to, c, args, count_of_args, within_ms);
}

bool redis_send_along(struct redis *r, struct redis_command *c, const str *args,
                      unsigned count_of_args, unsigned within_ms)
{
    if (r->cluster != NULL) {
        return redis_cluster_send(r, c, args, count_of_args, within_ms, true);
    }
    return redis_takes(r) && redis_put_along(r, c, args, count_of_args, within_ms);
}

void redis_push(struct redis *r)
{
    push(r);
    if (r->cluster != NULL) {
        redis_cluster_push(r->cluster);
    }
}

void redis_cancel(struct redis *r, struct redis_command *c)
{
    (void)r;
    if (c->flying) {
        struct redis_slot *slot = slot_of(c->on, c->sequence);
        assert(slot->command == c);
        slot->command = NULL;
        c->flying = false;
    }
}

/* ---- replies ---- */

static void finish(struct redis_slot *slot, const struct redis_value *value,
                   enum redis_failure failure)
{
    struct redis_command *c = slot->command;
    free(slot->words);
    slot->words = NULL;
    if (c == NULL) {
        return;
    }
    slot->command = NULL;
    c->flying = false;
    c->failure = failure;
    c->done(c, value);
}

/* The late replies are here: commands are taken again. */
static void look_for_recovery(struct redis *r)
{
    uint64_t now = loop_now_ms(r->loop);
    if (r->stalled && (r->head == r->tail || slot_of(r, r->head)->due_ms > now)) {
        r->stalled = false;
        redis_set_trouble(r, r->notice);
    }
}

void redis_take(struct redis *r, str bytes)
{
    const struct redis_link *link = r->link;
    resp_reader_feed(r->reader, bytes);
    while (r->link == link) {
        const struct redis_value *value = NULL;
        enum resp_result result = resp_reader_next(r->reader, &value);
        if (result == RESP_MORE) {
            look_for_recovery(r);
            return;
        }
        if (result == RESP_BAD || r->head == r->tail) {
            redis_lose(r, "what answers at " STR_FMT " does not speak Redis's protocol",
                       STR_ARG(r->options.url.address));
            return;
        }
        struct redis_slot *slot = slot_of(r, r->head++);
        if (value->kind == REDIS_REFUSAL && slot->words != NULL &&
            redis_cluster_redirect(r, slot, value->text)) {
            continue;
        }
        /* Else it came too late, or nobody wants it, or it is the greeting's. */
        if (slot->command != NULL && r->state == REDIS_UP) {
            count(value->kind == REDIS_REFUSAL ? &r->top->refused : &r->top->answered);
        }
        finish(slot, value, REDIS_LOST);
    }
}

void redis_fail_all(struct redis *r, bool was_up)
{
    loop_undefer(&r->flush);
    buf_clear(&r->out);
    r->stalled = false;
    while (r->head != r->tail) {
        struct redis_slot *slot = slot_of(r, r->head++);
        if (slot->command != NULL && was_up) {
            count(&r->top->lost);
        }
        finish(slot, NULL, REDIS_LOST);
    }
}

/* ---- deadlines ---- */

/* When the timer must look again; UINT64_MAX: nothing is awaited. */
static uint64_t next_look(struct redis *r)
{
    uint64_t next =
        r->head != r->tail ? slot_of(r, r->head)->sent_ms + REDIS_SILENCE_MS : UINT64_MAX;
    for (uint64_t i = r->head; i != r->tail; i++) {
        const struct redis_slot *slot = slot_of(r, i);
        if (slot->command != NULL && slot->due_ms < next) {
            next = slot->due_ms;
        }
    }
    return next;
}

static void on_timer(struct loop_timer *t)
{
    struct redis *r = LIST_ITEM(t, struct redis, timer);
    const struct redis_link *link = r->link;
    uint64_t now = loop_now_ms(r->loop);
    if (r->head != r->tail && slot_of(r, r->head)->sent_ms + REDIS_SILENCE_MS <= now) {
        redis_lose(r, "the Redis server at " STR_FMT " has not answered for a second",
                   STR_ARG(r->options.url.address));
        return;
    }
    if (r->state == REDIS_UP && r->head != r->tail && slot_of(r, r->head)->due_ms <= now) {
        r->stalled = true;
    }
    for (uint64_t i = r->head; r->link == link && i != r->tail; i++) {
        struct redis_slot *slot = slot_of(r, i);
        if (slot->command != NULL && slot->due_ms <= now) {
            if (r->state == REDIS_UP) {
                count(&r->top->late);
            }
            finish(slot, NULL, REDIS_LATE);
        }
    }
    if (r->link != link) {
        return;
    }
    if (r->stalled) {
        char sentence[REDIS_SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, "the Redis server at " STR_FMT " answers too late",
                 STR_ARG(r->options.url.address));
        redis_set_trouble(r, sentence);
    }
    uint64_t next = next_look(r);
    if (next != UINT64_MAX) {
        arm(r, next);
    }
}

/* ---- lifetime ---- */

struct redis *redis_make(struct loop *l, const struct redis_options *options, struct redis *top)
{
    struct redis *r = xcalloc(1, sizeof *r);
    r->loop = l;
    r->top = top != NULL ? top : r;
    r->options = *options;
    arena_init(&r->arena, 0);
    struct redis_url *url = &r->options.url;
    str *texts[] = {&url->user, &url->password, &url->host, &url->ca_file, &url->address};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_copy(&r->arena, *texts[i]);
    }
    r->slots = xcalloc(REDIS_PIPELINE_MAX, sizeof *r->slots);
    r->reader = resp_reader_new();
    buf_init(&r->out, REDIS_QUEUE_BYTES_MAX);
    loop_task_init(&r->flush, on_flush);
    loop_timer_init(&r->timer, l, on_timer);
    loop_timer_init(&r->company, l, on_company);
    snprintf(r->own, sizeof r->own, "the Redis server at " STR_FMT " has not answered yet",
             STR_ARG(url->address));
    snprintf(r->trouble, sizeof r->trouble,
             "%s: the Redis server at " STR_FMT " has not answered yet", options->setting,
             STR_ARG(url->address));
    r->since_us = clock_utc_us();
    redis_dial(r);
    return r;
}

struct redis *redis_new(struct loop *l, const struct redis_options *options)
{
    return redis_make(l, options, NULL);
}

void redis_close(struct redis *r)
{
    flush(r); /* what nobody waited for is sent all the same */
    redis_cluster_close(r);
    r->state = REDIS_CLOSED;
    redis_hang_up(r);
    for (uint64_t i = r->head; i != r->tail; i++) {
        struct redis_command *c = slot_of(r, i)->command;
        if (c != NULL) {
            redis_cancel(r, c);
        }
    }
    redis_fail_all(r, false);
    loop_timer_stop(&r->timer);
    loop_timer_stop(&r->company);
    loop_timer_stop(&r->dial_timer);
}

void redis_free(struct redis *r)
{
    assert(r->state == REDIS_CLOSED);
    redis_cluster_free(r);
    resp_reader_free(r->reader);
    buf_deinit(&r->out);
    arena_deinit(&r->arena);
    free(r->slots);
    free(r);
}

/* ---- what others ask ---- */

bool redis_takes(const struct redis *r)
{
    return r->state == REDIS_UP && !r->stalled;
}

bool redis_is_up(const struct redis *r)
{
    return r->cluster != NULL ? redis_cluster_is_up(r->cluster) : redis_takes(r);
}

int64_t redis_since_us(const struct redis *r)
{
    return r->since_us;
}

bool redis_was_refused(const struct redis *r)
{
    return r->state == REDIS_RESTING;
}

bool redis_has_vectors(const struct redis *r)
{
    return r->vectors;
}

str redis_trouble(const struct redis *r)
{
    return str_of_c(r->trouble);
}

str redis_server(const struct redis *r)
{
    return str_of_c(r->cluster != NULL ? redis_cluster_name(r->cluster) : r->server);
}

str redis_address(const struct redis *r)
{
    return r->options.url.address;
}

uint64_t redis_now_ms(const struct redis *r)
{
    return loop_now_ms(r->loop);
}

struct redis_counts redis_counts(const struct redis *r)
{
    return (struct redis_counts){
        .answered = atomic_load_explicit(&r->answered, memory_order_relaxed),
        .refused = atomic_load_explicit(&r->refused, memory_order_relaxed),
        .late = atomic_load_explicit(&r->late, memory_order_relaxed),
        .lost = atomic_load_explicit(&r->lost, memory_order_relaxed),
        .connects = atomic_load_explicit(&r->connects, memory_order_relaxed),
        .up = atomic_load_explicit(&r->shown_up, memory_order_relaxed),
    };
}
