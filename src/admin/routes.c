/* routes.c - what the admin API serves where: one table, from which its description is made too. */
#include "admin/handlers.h"
#include "admin/log_query.h"

#define BASE "/admin/v1/"

/* clang-format off */
static const struct admin_param keys_params[] = {
    {"limit", "integer", "keys in the answer: 50, at most 200"},
    {"after", "string", "`next` of the answer before"},
    {"q", "string", "a part of the name or the tag, in any case"},
    {"state", "string", "active, revoked or expired"},
    {"id", "uuid", "this key alone"},
    {0}};
static const struct admin_param usage_params[] = {
    LOG_RANGE_PARAMS,
    {"by", "string", "minute (ranges up to 3 hours), hour, day, provider, model, key or tag; hour"},
    LOG_FILTER_PARAMS, LOG_OUTCOME_PARAMS,
    {"limit", "integer", "groups in the answer: 100, at most 1000; not of times"},
    {0}};
static const struct admin_param requests_params[] = {
    {"limit", "integer", "rows in the answer: 50, at most 200"},
    {"before", "uuid", "`next` of the answer before"},
    LOG_RANGE_PARAMS, LOG_FILTER_PARAMS, LOG_OUTCOME_PARAMS,
    {0}};
static const struct admin_param live_params[] = {LOG_FILTER_PARAMS, LOG_OUTCOME_PARAMS, {0}};
static const struct admin_param purge_params[] = {
    {"scope", "string", "all, key:ID or group:NAME"},
    {"tag", "string", "NAME=VALUE, of the requests that brought the answers"},
    {0}};

const struct admin_route admin_routes[] = {
    {.method = "POST", .path = "session", .who = ADMIN_ANYONE, .takes_body = true,
     .ask = session_post_ask,
     .summary = "Signs in, with the admin key or the token of a one-time address",
     .body_schema = "SignIn", .answer_schema = "Session"},
    {.method = "GET", .path = "session", .answer = session_get_answer,
     .summary = "Who is signed in", .answer_schema = "Session"},
    {.method = "DELETE", .path = "session", .answer = session_delete_answer, .status = 204,
     .summary = "Signs out"},

    {.method = "GET", .path = "usage", .params = usage_params, .store = ADMIN_READS,
     .ask = usage_ask, .work = usage_work, .answer = usage_answer,
     .summary = "Sums over the request log", .answer_schema = "Usage"},
    {.method = "GET", .path = "requests", .params = requests_params, .store = ADMIN_READS,
     .ask = requests_ask, .work = requests_work, .answer = requests_answer,
     .summary = "Rows of the request log, newest first; one without rows and with `next`: go on",
     .answer_schema = "RequestPage"},
    {.method = "GET", .path = "requests/live", .params = live_params, .ask = live_ask,
     .streams = true, .summary = "Rows as they come, as server-sent events"},
    {.method = "GET", .path = "requests/{id}", .store = ADMIN_READS,
     .ask = request_ask, .work = request_work, .answer = request_answer,
     .summary = "One request, with attempts, decision, times and content",
     .answer_schema = "RequestDetail"},

    {.method = "GET", .path = "keys", .params = keys_params, .store = ADMIN_READS,
     .ask = keys_list_ask, .work = keys_list_work, .answer = keys_list_answer,
     .summary = "Client keys, newest first", .answer_schema = "KeyPage"},
    {.method = "POST", .path = "keys", .takes_body = true, .store = ADMIN_WRITES, .status = 201,
     .ask = keys_post_ask, .work = keys_post_work, .answer = key_answer,
     .summary = "Makes a client key; the answer is the only one that ever has it",
     .body_schema = "KeyDraft", .answer_schema = "NewKey"},
    {.method = "PATCH", .path = "keys/{id}", .takes_body = true, .store = ADMIN_WRITES,
     .ask = keys_patch_ask, .work = keys_patch_work, .answer = key_answer,
     .summary = "Changes what the body names and leaves the rest",
     .body_schema = "KeyDraft", .answer_schema = "Key"},
    {.method = "DELETE", .path = "keys/{id}", .store = ADMIN_WRITES,
     .ask = keys_delete_ask, .work = keys_delete_work, .answer = key_answer,
     .summary = "Revokes a client key", .answer_schema = "Key"},

    {.method = "GET", .path = "models", .store = ADMIN_READS,
     .work = models_work, .answer = models_answer,
     .summary = "The catalogue, with latency of the last 24 hours and health",
     .answer_schema = "Catalogue"},
    {.method = "POST", .path = "route", .takes_body = true, .store = ADMIN_READS,
     .ask = route_ask, .work = route_work, .answer = route_answer,
     .summary = "A dry run: how a request would be routed, and why",
     .body_schema = "RouteAsk", .answer_schema = "RouteAnswer"},

    {.method = "GET", .path = "cache", .store = ADMIN_READS,
     .ask = cache_ask, .work = cache_work, .answer = cache_answer,
     .summary = "What is kept of answers, and what became of it",
     .answer_schema = "CacheState"},
    {.method = "DELETE", .path = "cache/entries/{id}", .ask = cache_delete_entry_ask,
     .summary = "Forgets the answer that the request with this id brought",
     .answer_schema = "Purged"},
    {.method = "DELETE", .path = "cache", .params = purge_params, .ask = cache_delete_ask,
     .summary = "Forgets the answers of a scope or with a tag", .answer_schema = "Purged"},

    {.method = "GET", .path = "config", .answer = config_answer,
     .summary = "The configuration in force, without secrets, and the gateway's state",
     .answer_schema = "Config"},
    {.method = "POST", .path = "config/reload", .takes_body = true, .ask = config_reload_ask,
     .summary = "Reads the configuration anew", .answer_schema = "Reloaded"},

    {.method = "GET", .path = "openapi.json", .answer = openapi_answer,
     .summary = "This description"},
    {0}};
/* clang-format on */

/* Segment by segment; *id is the raw text that stands for {id}. */
static bool path_matches(str pattern, str path, str *id)
{
    str want, have;
    while (pattern.len > 0 && path.len > 0) {
        bool more_want = str_cut(pattern, '/', &want, &pattern);
        bool more_have = str_cut(path, '/', &have, &path);
        if (str_eq(want, STR("{id}")) && have.len > 0)
            *id = have;
        else if (!str_eq(want, have))
            return false;
        if (more_want != more_have)
            return false;
    }
    return pattern.len == 0 && path.len == 0;
}

const struct admin_route *route_find(str method, str path, str *id, enum err *err, str *allow,
                                     struct arena *a)
{
    *err = ERR_NOT_FOUND;
    if (!str_starts(path, STR(BASE)))
        return NULL;
    path = str_sub(path, sizeof BASE - 1, path.len);
    for (const struct admin_route *r = admin_routes; r->method != NULL; r++) {
        str raw = {0};
        if (!path_matches(str_of_c(r->path), path, &raw))
            continue;
        if (str_eq(method, str_of_c(r->method))) {
            *err = ERR_NOT_FOUND;
            *allow = (str){0};
            return percent_decode(a, raw, false, id) ? r : NULL;
        }
        *err = ERR_METHOD_NOT_ALLOWED;
        *allow =
            arena_printf(a, STR_FMT "%s%s", STR_ARG(*allow), allow->len > 0 ? ", " : "", r->method);
    }
    return NULL;
}
