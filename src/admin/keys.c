/* keys.c - client keys: listed, made, changed, revoked. */
#include <string.h>

#include "admin/handlers.h"
#include "admin/key_json.h"

#define LIST_DEFAULT 50
#define LIST_MAX     200

/* ---- the list ---- */

struct keys_list {
    struct key_query query;
    struct uuid id, before;
    int64_t limit;
    struct key_row *rows;
    size_t count;
};

static bool read_state(struct admin_call *c, enum key_state *out)
{
    static const char *const words[] = {
        [KEYS_ACTIVE] = "active", [KEYS_REVOKED] = "revoked", [KEYS_EXPIRED] = "expired"};
    str text = query_get(&c->query, "state");
    for (int i = KEYS_ACTIVE; i <= KEYS_EXPIRED; i++) {
        if (str_eq(text, str_of_c(words[i])))
            *out = (enum key_state)i;
    }
    return text.len == 0 || *out != KEYS_ALL ||
           admin_fail(c, ERR_INVALID_REQUEST, "state",
                      "'state' must be active, revoked or expired.");
}

bool keys_list_ask(struct admin_call *c)
{
    struct keys_list *l = arena_new(&c->arena, struct keys_list, 1);
    bool has_id, has_before;
    c->data = l;
    l->limit = LIST_DEFAULT;
    l->query.now_us = c->now_us;
    l->query.part = query_get(&c->query, "q");
    if (!admin_count(c, "limit", LIST_MAX, &l->limit) || !admin_id(c, "id", &l->id, &has_id) ||
        !admin_id(c, "after", &l->before, &has_before) || !read_state(c, &l->query.state))
        return false;
    l->query.id = has_id ? &l->id : NULL;
    l->query.before = has_before ? &l->before : NULL;
    l->query.limit = (size_t)l->limit + 1; /* one more tells whether there are more */
    return true;
}

bool keys_list_work(struct admin_call *c, struct db *d)
{
    struct keys_list *l = c->data;
    str why;
    return db_keys_list(d, &l->query, &c->arena, &l->rows, &l->count, &why);
}

void keys_list_answer(struct admin_call *c)
{
    const struct keys_list *l = c->data;
    size_t shown = l->count < (size_t)l->limit ? l->count : (size_t)l->limit;
    key_page_json(&c->out, l->rows, shown, shown < l->count ? &l->rows[shown - 1].id : NULL,
                  c->worker->view->config);
}

/* ---- one key ---- */

struct one_key {
    struct uuid id;
    struct key_draft draft;
    struct key_row row;
    char text[KEY_TEXT_BYTES]; /* of a new one */
};

/* True without c->failed: it is in k->row. */
static bool read_row(struct admin_call *c, struct db *d, struct one_key *k)
{
    struct key_query one = {.now_us = c->now_us, .id = &k->id, .limit = 1};
    struct key_row *rows;
    size_t count;
    str why;
    if (!db_keys_list(d, &one, &c->arena, &rows, &count, &why))
        return false;
    if (count == 0)
        (void)admin_fail(c, ERR_NOT_FOUND, NULL, "There is no key with this id.");
    else
        k->row = rows[0];
    return true;
}

bool keys_post_ask(struct admin_call *c)
{
    struct one_key *k = arena_new(&c->arena, struct one_key, 1);
    const char *param;
    str why;
    c->data = k;
    k->draft = key_draft_new();
    if (!key_draft_read(c->body, &k->draft, c->now_us, &c->arena, &param, &why))
        return admin_fail(c, ERR_INVALID_REQUEST, param, STR_FMT, STR_ARG(why));
    if (k->draft.name.len == 0)
        return admin_fail(c, ERR_INVALID_REQUEST, "name", "A key needs a 'name'.");
    (void)key_generate("glw_", k->text);
    return true;
}

bool keys_post_work(struct admin_call *c, struct db *d)
{
    struct one_key *k = c->data;
    str why;
    return db_key_create(d, &k->draft, str_of_c(k->text), c->now_us, &c->arena, &k->id, &why) &&
           read_row(c, d, k);
}

bool keys_patch_ask(struct admin_call *c)
{
    struct one_key *k = arena_new(&c->arena, struct one_key, 1);
    c->data = k;
    return admin_path_id(c, &k->id);
}

bool keys_patch_work(struct admin_call *c, struct db *d)
{
    struct one_key *k = c->data;
    const char *param;
    str why;
    if (!read_row(c, d, k))
        return false;
    if (c->failed)
        return true;
    k->draft = key_draft_of(&k->row, &c->arena);
    if (!key_draft_read(c->body, &k->draft, c->now_us, &c->arena, &param, &why)) {
        (void)admin_fail(c, ERR_INVALID_REQUEST, param, STR_FMT, STR_ARG(why));
        return true;
    }
    return db_key_update(d, &k->id, &k->draft, &c->arena, &why) && read_row(c, d, k);
}

bool keys_delete_ask(struct admin_call *c)
{
    return keys_patch_ask(c);
}

bool keys_delete_work(struct admin_call *c, struct db *d)
{
    struct one_key *k = c->data;
    str why;
    if (!read_row(c, d, k))
        return false;
    return c->failed || (db_key_revoke(d, &k->id, c->now_us, &c->arena, &why) && read_row(c, d, k));
}

void key_answer(struct admin_call *c)
{
    const struct one_key *k = c->data;
    key_row_json(&c->out, &k->row);
    if (k->text[0] != '\0')
        json_member_str(&c->out, "key", str_of_c(k->text));
    buf_add_char(&c->out, '}');
}
