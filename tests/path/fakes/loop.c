/* loop.c - the worker's loop: timers by the world's time, posts in order, the end of a turn. */
#include "world.h"

void fake_loop_init(struct loop *l, struct world *w)
{
    *l = (struct loop){.world = w};
    list_init(&l->timers);
    l->posts_last = &l->posts;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->world->now_ms;
}

void loop_on_turn_end(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->turn_end = fn;
    l->turn_end_arg = arg;
}

void loop_wake(struct loop *l)
{
    l->awake = true;
}

void loop_on_alarm(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->alarmed = fn;
    l->alarmed_arg = arg;
    l->alarm_ms = UINT64_MAX;
}

void loop_set_alarm(struct loop *l, uint64_t at_ms)
{
    l->alarm_ms = at_ms;
}

void loop_post(struct loop *l, struct loop_post_node *node)
{
    node->next = NULL;
    *l->posts_last = node;
    l->posts_last = &node->next;
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(struct loop_timer *t))
{
    list_init(&t->node);
    t->loop = l;
    t->fn = fn;
}

void loop_timer_start(struct loop_timer *t, uint64_t after_ms)
{
    list_remove(&t->node);
    t->due_ms = t->loop->world->now_ms + after_ms;
    list_add_before(&t->loop->timers, &t->node);
}

void loop_timer_stop(struct loop_timer *t)
{
    list_remove(&t->node);
}

bool loop_timer_running(const struct loop_timer *t)
{
    return !list_is_empty(&t->node);
}

static struct loop_timer *due(struct loop *l)
{
    for (struct list *n = l->timers.next; n != &l->timers; n = n->next) {
        struct loop_timer *t = LIST_ITEM(n, struct loop_timer, node);
        if (t->due_ms <= l->world->now_ms)
            return t;
    }
    return NULL;
}

bool fake_loop_timers(struct loop *l)
{
    bool any = l->alarm_ms <= l->world->now_ms;
    if (any) {
        l->alarm_ms = UINT64_MAX;
        l->alarmed(l->alarmed_arg);
    }
    /* One that starts itself again for now would never end: the next turn is early enough. */
    for (unsigned i = 0; i < 100; i++) {
        struct loop_timer *t = due(l);
        if (t == NULL)
            break;
        list_remove(&t->node);
        t->fn(t);
        any = true;
    }
    return any;
}

bool fake_loop_posts(struct loop *l)
{
    struct loop_post_node *first = l->posts;
    l->posts = NULL;
    l->posts_last = &l->posts;
    bool any = first != NULL;
    while (first != NULL) {
        struct loop_post_node *node = first;
        first = first->next;
        node->fn(node->arg);
    }
    return any;
}

uint64_t fake_loop_next_ms(const struct loop *l)
{
    uint64_t next = l->alarm_ms;
    for (const struct list *n = l->timers.next; n != &l->timers; n = n->next) {
        const struct loop_timer *t = LIST_ITEM(n, const struct loop_timer, node);
        next = t->due_ms < next ? t->due_ms : next;
    }
    return next;
}

void fake_loop_turn_end(struct loop *l)
{
    l->awake = false;
    l->turn_end(l->turn_end_arg);
}
