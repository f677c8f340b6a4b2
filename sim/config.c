/* config.c - the running configuration is one JSON document. A change names members: a value
 * replaces what was there, null puts the default back; the new document takes effect whole or not
 * at all. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* Members of the document that are no settings of an answer. */
static bool is_global(struct slice name)
{
    static const char *const names[] = {"rules",       "keys", "models",        "record",
                                        "refuse_next", "seed", "read_pause_ms", "idle_close_ms"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is(name, names[i]))
            return true;
    return false;
}

void config_deinit(struct config *c)
{
    plan_deinit(&c->plan);
    yyjson_doc_free(c->doc);
    wire_unref(c->cached_plain);
    wire_unref(c->cached_stream);
    memset(c, 0, sizeof *c);
}

static struct wire *bench_wire(const struct plan *p, bool stream)
{
    struct frames f;
    frames_init(&f, p, stream ? STYLE_SSE : STYLE_PLAIN);
    bench_frames(&f, stream);
    struct wire_head head = {
        200, stream ? openai_dialect.stream_type : "application/json", {NULL, 0}, true, p->ttft.a};
    struct wire *w = wire_new(&f, &head);
    frames_deinit(&f);
    return w;
}

/* With nothing left to decide per request, both answers are made once. */
static void cache_bench(struct config *c)
{
    const struct plan *p = &c->plan;
    bool plain_200 = p->status == 0 && p->error == FAILURE_NONE && !p->raw.size;
    c->cached = p->bench && plain_200 && c->record == 0 && yyjson_arr_size(c->rules) == 0 &&
                !c->keys && p->ttft.shape == SPREAD_FIXED && p->limit_requests == 0;
    if (!c->cached)
        return;
    c->cached_plain = bench_wire(p, false);
    c->cached_stream = bench_wire(p, true);
    c->cached = c->cached_plain && c->cached_stream;
}

static bool is_array_of_text(yyjson_val *list)
{
    size_t i, count;
    yyjson_val *item;
    if (!list)
        return true;
    yyjson_arr_foreach(list, i, count, item)
    {
        if (!yyjson_is_str(item))
            return false;
    }
    return yyjson_is_arr(list);
}

static bool read_document(struct config *c, struct bytes *why)
{
    yyjson_val *root = yyjson_doc_get_root(c->doc);
    if (!yyjson_is_obj(root))
        return ask_fail(why, "relay-sim: the configuration must be a JSON object");
    c->rules = yyjson_obj_get(root, "rules");
    c->keys = yyjson_obj_get(root, "keys");
    c->models = yyjson_obj_get(root, "models");
    if (!is_array_of_text(c->keys) || !is_array_of_text(c->models))
        return ask_fail(why, "relay-sim: keys and models must be arrays of strings");
    c->record = json_int(root, "record", SEEN_DEFAULT);
    if (c->record < 0 || c->record > SEEN_MAX)
        return ask_fail(why, "relay-sim: record must be 0 to 4096");
    if (!script_check(c->rules, why) || !plan_set_all(&c->plan, root, is_global, why))
        return false;
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(c->rules, i, count, item) c->times_left[i] =
        json_int(item, "times", PLAN_UNSET);
    cache_bench(c);
    return true;
}

static uint64_t read_ms(const struct config *c, const char *name)
{
    int64_t ms = json_int(yyjson_doc_get_root(c->doc), name, 0);
    return ms > 0 && ms < 3600 * 1000 ? (uint64_t)ms : 0;
}

bool config_load(struct sim *s, struct slice json, yyjson_val *changes, struct bytes *why)
{
    if (!json_is_shallow(json))
        return ask_fail(why, "relay-sim: the document is nested too deeply");
    struct config next = {.record = SEEN_DEFAULT};
    plan_init(&next.plan);
    next.doc = yyjson_read(json.at, json.size, YYJSON_READ_NUMBER_AS_RAW);
    if (!read_document(&next, why)) {
        config_deinit(&next);
        return false;
    }
    if (changes && !yyjson_obj_get(changes, "rules")) {
        memcpy(next.times_left, s->config.times_left, sizeof next.times_left);
        memcpy(next.hits, s->config.hits, sizeof next.hits);
    }
    /* What runs down by itself is set again only when the change names it. */
    yyjson_val *named = changes ? changes : yyjson_doc_get_root(next.doc);
    s->random = (uint64_t)json_int(named, "seed", changes ? (int64_t)s->random : 1);
    s->refuse_next = json_int(named, "refuse_next", changes ? s->refuse_next : 0);
    s->conns.read_pause_ms = read_ms(&next, "read_pause_ms");
    s->conns.idle_close_ms = read_ms(&next, "idle_close_ms");
    config_deinit(&s->config);
    s->config = next;
    return true;
}

/* Member by member: what the patch names replaces what was there, null takes it away. */
static yyjson_mut_val *merge_members(yyjson_mut_doc *doc, yyjson_val *base, yyjson_val *patch)
{
    yyjson_mut_val *merged = yyjson_mut_obj(doc);
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(base, i, count, key, value)
    {
        if (!yyjson_obj_getn(patch, yyjson_get_str(key), yyjson_get_len(key)))
            yyjson_mut_obj_put(merged, yyjson_val_mut_copy(doc, key),
                               yyjson_val_mut_copy(doc, value));
    }
    yyjson_obj_foreach(patch, i, count, key, value)
    {
        if (!yyjson_is_null(value))
            yyjson_mut_obj_put(merged, yyjson_val_mut_copy(doc, key),
                               yyjson_val_mut_copy(doc, value));
    }
    return merged;
}

bool config_merge(struct sim *s, struct slice json, struct bytes *why)
{
    if (!json_is_shallow(json))
        return ask_fail(why, "relay-sim: the document is nested too deeply");
    yyjson_doc *patch = yyjson_read(json.at ? json.at : "", json.size, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_val *root = yyjson_doc_get_root(patch);
    if (!yyjson_is_obj(root)) {
        yyjson_doc_free(patch);
        return ask_fail(why, "relay-sim: the body must be a JSON object");
    }
    yyjson_mut_doc *merged = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *value = merge_members(merged, yyjson_doc_get_root(s->config.doc), root);
    size_t size = 0;
    char *text = value ? yyjson_mut_val_write(value, 0, &size) : NULL;
    bool good = text && config_load(s, (struct slice){text, size}, root, why);
    free(text);
    yyjson_mut_doc_free(merged);
    yyjson_doc_free(patch);
    return good;
}
