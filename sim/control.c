/* control.c - the control API under /__sim/, in JSON.
 *
 *   GET  config    the running configuration        POST config   change members (PUT: all)
 *   POST reset     back to the start                GET  stats    counters
 *   GET  requests  the last requests (?limit=N)     GET  fields   what can be set */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { REQUESTS_DEFAULT = 100 };

static int control_error(struct bytes *out, int status, struct slice text)
{
    bytes_add_text(out, "{\"error\":");
    bytes_add_json(out, text);
    bytes_add_text(out, "}");
    return status;
}

static void write_config(struct sim *s, struct bytes *out)
{
    size_t size = 0;
    char *text = yyjson_write(s->config.doc, 0, &size);
    if (text)
        bytes_add(out, text, size);
    free(text);
}

static void write_stats(struct sim *s, struct bytes *out)
{
    const struct stats *t = &s->stats;
    bytes_add_format(
        out,
        "{\"requests\":%llu,\"chats\":%llu,\"streams\":%llu,\"bad\":%llu,"
        "\"errors\":%llu,\"complete\":%llu,\"cut\":%llu,\"client_closed\":%llu,"
        "\"bytes_sent\":%llu,\"connections\":%llu,\"connections_open\":%zu,",
        (unsigned long long)t->requests, (unsigned long long)t->chats,
        (unsigned long long)t->streams, (unsigned long long)t->bad, (unsigned long long)t->errors,
        (unsigned long long)t->by_outcome[OUTCOME_COMPLETE],
        (unsigned long long)t->by_outcome[OUTCOME_CUT],
        (unsigned long long)t->by_outcome[OUTCOME_CLIENT_CLOSED], (unsigned long long)t->bytes_sent,
        (unsigned long long)s->conns.accepted, s->conns.count);
    bytes_add_text(out, "\"rule_hits\":[");
    for (size_t i = 0; i < yyjson_arr_size(s->config.rules); i++)
        bytes_add_format(out, "%s%llu", i ? "," : "", (unsigned long long)s->config.hits[i]);
    bytes_add_text(out, "]}");
}

static int change_config(struct sim *s, const struct http_request *req, struct bytes *out)
{
    struct bytes why;
    bytes_init(&why, 4096);
    bool whole = slice_is(req->method, "PUT");
    bool good = whole ? config_load(s, req->body, NULL, &why) : config_merge(s, req->body, &why);
    int status = 200;
    if (good)
        write_config(s, out);
    else
        status = control_error(out, 400, bytes_slice(&why));
    bytes_free(&why);
    return status;
}

static int reset(struct sim *s, struct bytes *out)
{
    struct bytes why;
    bytes_init(&why, 4096);
    bool good = config_load(s, bytes_slice(&s->start), NULL, &why);
    seen_clear(s);
    memset(&s->stats, 0, sizeof s->stats);
    memset(s->limits, 0, sizeof s->limits);
    if (good)
        write_config(s, out);
    else
        (void)control_error(out, 500, bytes_slice(&why));
    bytes_free(&why);
    return good ? 200 : 500;
}

int control_answer(struct sim *s, const struct http_request *req, struct bytes *out)
{
    struct slice name = {req->path.at + 7, req->path.size - 7}; /* behind /__sim/ */
    bool get = slice_is(req->method, "GET");
    bool change = slice_is(req->method, "POST") || slice_is(req->method, "PUT");
    if (slice_is(name, "config") && get) {
        write_config(s, out);
        return 200;
    }
    if (slice_is(name, "config") && change)
        return change_config(s, req, out);
    if (slice_is(name, "reset") && change)
        return reset(s, out);
    if (slice_is(name, "stats") && get) {
        write_stats(s, out);
        return 200;
    }
    if (slice_is(name, "requests") && get) {
        int64_t limit;
        if (!slice_int(http_query_find(req->query, "limit"), &limit) || limit < 0)
            limit = REQUESTS_DEFAULT;
        seen_write(s, out, (uint64_t)limit);
        return 200;
    }
    if (slice_is(name, "fields") && get) {
        struct bytes text;
        bytes_init(&text, CONTROL_BYTES_MAX);
        plan_describe(&text);
        bytes_add_text(out, "{\"fields\":");
        bytes_add_json(out, bytes_slice(&text));
        bytes_add_text(out, "}");
        bytes_free(&text);
        return 200;
    }
    return control_error(out, 404, slice_of("relay-sim: there is no such control path and method"));
}
