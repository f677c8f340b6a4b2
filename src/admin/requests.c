/* requests.c - the request log: searched, and one request with all that is known of it. */
#include <string.h>

#include "admin/handlers.h"
#include "admin/log_json.h"
#include "admin/log_query.h"
#include "path/path.h"

#define LIST_DEFAULT 50
#define LIST_MAX     200
/* What a search may take until its first answer; the page goes on from where it stopped. */
#define BUDGET_MS 200
/* Rows begin with their time, and nothing was written before this. */
#define FIRST_US 0

/* ---- the search ---- */

struct search {
    struct log_asked log;
    struct log_search query;
    struct uuid before;
    struct log_page page;
    const struct key_row **keys; /* of the rows */
};

bool requests_ask(struct admin_call *c)
{
    struct search *s = arena_new(&c->arena, struct search, 1);
    int64_t limit = LIST_DEFAULT;
    bool has_before;
    c->data = s;
    if (!log_query_read(c, &s->log) || !admin_count(c, "limit", LIST_MAX, &limit) ||
        !admin_id(c, "before", &s->before, &has_before))
        return false;
    bool has_from = query_get(&c->query, "from").p != NULL;
    s->query = (struct log_search){.from_us = has_from ? s->log.from_us : FIRST_US,
                                   .to_us = s->log.to_us,
                                   .before = has_before ? &s->before : NULL,
                                   .filter = s->log.filter,
                                   .limit = (size_t)limit,
                                   .budget_ms = BUDGET_MS};
    return true;
}

static bool name_keys(struct admin_call *c, struct db *d, const struct record *rows, size_t count,
                      const struct key_row ***out)
{
    struct key_names names;
    bool ok = true;
    *out = arena_new(&c->arena, const struct key_row *, count + 1);
    key_names_init(&names, &c->arena);
    for (size_t i = 0; i < count && ok; i++)
        ok = key_names_find(&names, d, &rows[i].key_id, &(*out)[i]);
    key_names_deinit(&names);
    return ok;
}

bool requests_work(struct admin_call *c, struct db *d)
{
    struct search *s = c->data;
    str why;
    return db_search(d, &s->query, &c->arena, &s->page, &why) &&
           name_keys(c, d, s->page.rows, s->page.count, &s->keys);
}

void requests_answer(struct admin_call *c)
{
    static const struct uuid none;
    const struct search *s = c->data;
    const struct log_page *p = &s->page;
    buf_add_char(&c->out, '{');
    json_begin_list(&c->out, "rows");
    for (size_t i = 0; i < p->count; i++) {
        json_next(&c->out);
        record_json(&c->out, &p->rows[i], s->keys[i]);
        buf_add_char(&c->out, '}');
    }
    buf_add_char(&c->out, ']');
    json_member_id(&c->out, "next", p->more ? &p->next : &none);
    json_member_time(&c->out, "searched_to", p->searched_to_us);
    buf_add_char(&c->out, '}');
}

/* ---- one request ---- */

struct one_request {
    struct uuid id;
    struct record *row;
    const struct key_row **key;
    bool has_content;
    str request, answer;
};

bool request_ask(struct admin_call *c)
{
    struct one_request *r = arena_new(&c->arena, struct one_request, 1);
    c->data = r;
    return admin_path_id(c, &r->id);
}

bool request_work(struct admin_call *c, struct db *d)
{
    struct one_request *r = c->data;
    size_t count;
    str why;
    if (!db_log(d, &r->id, &c->arena, &r->row, &count, &why))
        return false;
    if (count == 0) {
        (void)admin_fail(c, ERR_NOT_FOUND, NULL,
                         "There is no request with this id in the log; rows are kept for "
                         "log.retention.");
        return true;
    }
    return name_keys(c, d, r->row, 1, &r->key) &&
           db_content(d, &r->id, &c->arena, &r->has_content, &r->request, &r->answer, &why);
}

static void add_timeline(struct buf *b, const struct record *row)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++)
        sum += row->step_us[i];
    if (sum == 0) {
        json_member_json(b, "timeline", (str){NULL, 0});
        return;
    }
    json_begin_object(b, "timeline");
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        if (row->step_us[i] > 0)
            json_member_int(b, step_text((enum step_name)i), row->step_us[i]);
    }
    buf_add_char(b, '}');
}

void request_answer(struct admin_call *c)
{
    const struct one_request *r = c->data;
    struct buf *b = &c->out;
    buf_add_char(b, '{');
    json_key(b, "request");
    record_json(b, r->row, r->key[0]);
    buf_add_char(b, '}');
    json_key(b, "attempts");
    attempts_json(b, r->row);
    json_member_json(b, "decision", r->row->decision);
    add_timeline(b, r->row);
    if (r->has_content) {
        json_begin_object(b, "content");
        json_member_str(b, "request", r->request);
        json_member_str_or_null(b, "answer", r->answer);
        buf_add_char(b, '}');
    } else {
        json_member_json(b, "content", (str){NULL, 0});
    }
    buf_add_char(b, '}');
}
