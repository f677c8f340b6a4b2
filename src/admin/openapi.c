/* openapi.c - the description of the admin API, from the routing table and the schemas of what goes
 * in and out (schemas.json). */
#include "admin/handlers.h"

extern const unsigned char relay_admin_schemas[];
extern const size_t relay_admin_schemas_len;

static void add_ref(struct buf *b, const char *schema)
{
    buf_printf(b, "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}",
               schema);
}

static void add_parameter(struct buf *b, const char *name, const char *place, const char *type,
                          const char *about)
{
    bool formatted =
        str_eq(str_of_c(type), STR("uuid")) || str_eq(str_of_c(type), STR("date-time"));
    json_next(b);
    buf_add_char(b, '{');
    json_member_str(b, "name", str_of_c(name));
    json_member_str(b, "in", str_of_c(place));
    json_member_bool(b, "required", place[0] == 'p');
    json_member_str(b, "description", str_of_c(about));
    json_begin_object(b, "schema");
    json_member_str(b, "type", formatted ? STR("string") : str_of_c(type));
    if (formatted)
        json_member_str(b, "format", str_of_c(type));
    buf_add(b, STR("}}"));
}

static void add_responses(struct buf *b, const struct admin_route *r)
{
    static const char *const others = "default";
    char status[8];
    struct buf number = {.p = status, .cap = sizeof status - 1, .max = sizeof status - 1};
    buf_add_i64(&number, r->status != 0 ? r->status : 200);
    status[number.len] = '\0';
    json_begin_object(b, "responses");
    json_begin_object(b, status);
    json_member_str(b, "description", str_of_c(r->summary));
    if (r->streams) {
        json_key(b, "content");
        buf_add(b, STR("{\"text/event-stream\":{\"schema\":{\"type\":\"string\"}}}"));
    } else if (r->answer_schema != NULL) {
        json_key(b, "content");
        add_ref(b, r->answer_schema);
    }
    buf_add_char(b, '}');
    json_begin_object(b, others);
    json_member_str(b, "description", STR("What went wrong, in one sentence"));
    json_key(b, "content");
    add_ref(b, "Error");
    buf_add(b, STR("}}"));
}

static void add_operation(struct buf *b, struct arena *a, const struct admin_route *r)
{
    char method[8] = {0};
    for (size_t i = 0; r->method[i] != '\0' && i < sizeof method - 1; i++)
        method[i] = (char)(r->method[i] | 0x20);
    json_begin_object(b, method);
    json_member_str(b, "summary", str_of_c(r->summary));
    json_member_str(b, "operationId", arena_printf(a, "%s %s", method, r->path));
    if (r->who == ADMIN_ANYONE)
        json_member_json(b, "security", STR("[]"));
    json_begin_list(b, "parameters");
    if (str_find(str_of_c(r->path), STR("{id}"), 0) != SIZE_MAX)
        add_parameter(b, "id", "path", "string", "its id");
    for (const struct admin_param *p = r->params; p != NULL && p->name != NULL; p++)
        add_parameter(b, p->name, "query", p->type, p->about);
    buf_add_char(b, ']');
    if (r->takes_body) {
        json_begin_object(b, "requestBody");
        json_key(b, "content");
        add_ref(b, r->body_schema != NULL ? r->body_schema : "Nothing");
        buf_add_char(b, '}');
    }
    add_responses(b, r);
    buf_add_char(b, '}');
}

/* Rows of one path stand together in the description, wherever they are in the table. */
static bool is_first_of_path(const struct admin_route *r)
{
    for (const struct admin_route *before = admin_routes; before != r; before++) {
        if (str_eq(str_of_c(before->path), str_of_c(r->path)))
            return false;
    }
    return true;
}

void openapi_answer(struct admin_call *c)
{
    struct buf *b = &c->out;
    buf_add(b, STR("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Relay's admin API\""));
    json_member_str(b, "version", str_of_c(c->admin->options.version));
    buf_add(b,
            STR("},\"servers\":[{\"url\":\"/admin/v1\"}],\"security\":[{\"key\":[]},{\"session\":"
                "[]}]"));
    json_begin_object(b, "paths");
    for (const struct admin_route *r = admin_routes; r->method != NULL; r++) {
        if (!is_first_of_path(r))
            continue;
        json_begin_object(b, arena_printf(&c->arena, "/%s", r->path).p);
        for (const struct admin_route *same = r; same->method != NULL; same++) {
            if (str_eq(str_of_c(same->path), str_of_c(r->path)))
                add_operation(b, &c->arena, same);
        }
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
    json_begin_object(b, "components");
    json_member_json(b, "securitySchemes",
                     STR("{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                         "\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":"
                         "\"relay_session\"}}"));
    json_key(b, "schemas");
    buf_add(b, str_trim(str_of((const char *)relay_admin_schemas, relay_admin_schemas_len)));
    buf_add(b, STR("}}"));
}
