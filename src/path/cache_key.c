/* cache_key.c - what must be equal for two requests to share an answer.
 *
 * The key covers the whole question; the scope all of it but the text of the last message, which
 * the semantic cache compares by its meaning. Both begin with whose cache it is. Every member of
 * the body counts, known to Relay or not, but for the few that cannot shape an answer. */
#include <assert.h>

#include "path/request.h"

/* Members of the body that do not shape the answer. */
static bool is_shaping(str key)
{
    static const str others[] = {
        STR_INIT("stream"),       STR_INIT("stream_options"),   STR_INIT("routing"),
        STR_INIT("cache"),        STR_INIT("metadata"),         STR_INIT("store"),
        STR_INIT("service_tier"), STR_INIT("prompt_cache_key"), STR_INIT("prompt_cache_retention"),
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (str_eq(key, others[i]))
            return false;
    }
    return true;
}

struct cache_owner cache_owner_of(const struct request *r)
{
    if (r->view->config->cache.scope == CACHE_SCOPE_GLOBAL)
        return (struct cache_owner){.kind = 'o'};
    /* An administrator's group wins over the key alone; a client cannot choose it. */
    if (r->key->cache_group.len == 0)
        return (struct cache_owner){.kind = 'k', .id = r->key->id};
    struct cache_owner owner = {.kind = 'g'};
    struct digest name = digest_of(r->key->cache_group);
    memcpy(owner.id.b, name.b, sizeof owner.id.b);
    return owner;
}

static void add_text(struct digest_stream *d, str s)
{
    uint64_t len = s.len;
    digest_add(d, &len, sizeof len);
    digest_add(d, s.p, s.len);
}

/* Whose cache, which door, which namespace, and whose end user: Anthropic's `metadata` names one
 * outside of the members below. */
static void begin(struct digest_stream *d, const struct request *r, str kind)
{
    struct cache_owner owner = cache_owner_of(r);
    digest_begin(d);
    add_text(d, kind);
    digest_add(d, &owner.kind, 1);
    digest_add(d, owner.id.b, sizeof owner.id.b);
    add_text(d, str_of_c(r->endpoint->path));
    add_text(d, r->wants.cache_namespace);
    add_text(d, r->chat.user);
}

/* Of a body with at most CACHE_MEMBERS_MAX members. */
struct digest cache_key_of(struct request *r)
{
    yyjson_val *keys[CACHE_MEMBERS_MAX];
    size_t count = yyjson_obj_size(r->chat.doc.root);
    assert(count <= CACHE_MEMBERS_MAX);
    json_keys_sorted(r->chat.doc.root, keys);

    struct digest_stream d;
    begin(&d, r, STR("relay-exact-1"));
    for (size_t i = 0; i < count; i++) {
        if (!is_shaping(json_str(keys[i])))
            continue;
        add_text(&d, json_str(keys[i]));
        json_digest(&d, yyjson_obj_iter_get_val(keys[i]));
    }
    return digest_end(&d);
}

/* An object without its member `left_out`, which it must have once, as a text or a list. NULL:
 * it has not, or has more members than a question's. */
static yyjson_val *add_object_but(struct digest_stream *d, yyjson_val *object, str left_out)
{
    yyjson_val *keys[CACHE_MEMBERS_MAX], *found = NULL;
    size_t count = yyjson_obj_size(object);
    if (!yyjson_is_obj(object) || count > CACHE_MEMBERS_MAX)
        return NULL;
    json_keys_sorted(object, keys);
    digest_add(d, "{", 1);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *value = yyjson_obj_iter_get_val(keys[i]);
        if (str_eq(json_str(keys[i]), left_out)) {
            if (found != NULL)
                return NULL; /* which of them counts is the provider's secret */
            found = value;
            continue;
        }
        add_text(d, json_str(keys[i]));
        json_digest(d, value);
    }
    digest_add(d, "}", 1);
    return found;
}

/* The last message without its text. */
static bool add_last(struct digest_stream *d, yyjson_val *message)
{
    yyjson_val *content = add_object_but(d, message, STR("content"));
    if (yyjson_is_str(content)) {
        digest_add(d, "s", 1);
        return true;
    }
    size_t count = yyjson_arr_size(content);
    if (!yyjson_is_arr(content) || count == 0)
        return false;
    uint64_t parts = count;
    digest_add(d, "l", 1);
    digest_add(d, &parts, sizeof parts);
    for (yyjson_arr_iter it = yyjson_arr_iter_with(content); yyjson_arr_iter_has_next(&it);) {
        if (!yyjson_is_str(add_object_but(d, yyjson_arr_iter_next(&it), STR("text"))))
            return false;
    }
    return true;
}

static bool add_conversation(struct digest_stream *d, yyjson_val *messages)
{
    size_t count = yyjson_arr_size(messages);
    if (yyjson_is_str(messages)) { /* Responses: one question, and that is all */
        digest_add(d, "s", 1);
        return true;
    }
    if (!yyjson_is_arr(messages) || count == 0)
        return false;
    uint64_t earlier = count - 1;
    digest_add(d, "l", 1);
    digest_add(d, &earlier, sizeof earlier);
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    for (uint64_t i = 0; i < earlier; i++)
        json_digest(d, yyjson_arr_iter_next(&it));
    return add_last(d, yyjson_arr_iter_next(&it));
}

bool cache_scope_of(struct request *r, struct digest *out)
{
    yyjson_val *keys[CACHE_MEMBERS_MAX];
    size_t count = yyjson_obj_size(r->chat.doc.root);
    str conversation = r->endpoint->door == &dialect_responses ? STR("input") : STR("messages");
    bool seen = false;
    assert(count <= CACHE_MEMBERS_MAX);
    json_keys_sorted(r->chat.doc.root, keys);

    struct digest_stream d;
    begin(&d, r, STR("relay-like-1"));
    add_text(&d, r->worker->gateway->encoder_version);
    for (size_t i = 0; i < count; i++) {
        str key = json_str(keys[i]);
        yyjson_val *value = yyjson_obj_iter_get_val(keys[i]);
        if (!is_shaping(key))
            continue;
        add_text(&d, key);
        if (!str_eq(key, conversation)) {
            json_digest(&d, value);
            continue;
        }
        if (seen || !add_conversation(&d, value))
            return false;
        seen = true;
    }
    *out = digest_end(&d);
    return seen;
}
