/* receive.c - the body: read up to the limit, parsed once, understood once.
 *
 * - asks: for the body, after what the head says about it was checked
 * - answers: the neutral chat and Relay's own fields
 * - fails with: UNSUPPORTED_MEDIA, BODY_TOO_LARGE, REQUEST_TIMEOUT, INVALID_JSON, INVALID_REQUEST,
 *   OVERLOADED (the journal is full) */
#include "base/clock.h"
#include "path/request.h"

#define FULL_RETRY_MS 1000

static bool is_json_type(str type)
{
    str media, rest;
    (void)str_cut(type, ';', &media, &rest);
    media = str_trim(media);
    return type.len == 0 || str_eq_nocase(media, STR("application/json"));
}

enum flow receive_ask(struct request *r)
{
    /* A row that could not be kept must not begin: reference 4.6, when_full. */
    if (journal_is_refusing(r->worker->gateway->journal)) {
        r->retry_after_ms = FULL_RETRY_MS;
        return request_fail(r, ERR_OVERLOADED,
                            "The request log cannot take more rows; try again later.");
    }
    str encoding = exchange_header(r->x, HEADER_CONTENT_ENCODING);
    if (encoding.len > 0 && !str_eq_nocase(encoding, STR("identity")))
        return request_fail(r, ERR_UNSUPPORTED_MEDIA, "Send the body without content-encoding.");
    if (!is_json_type(exchange_header(r->x, HEADER_CONTENT_TYPE)))
        return request_fail(r, ERR_UNSUPPORTED_MEDIA, "%s", "");
    size_t max = (size_t)r->view->config->server.max_body_bytes;
    if (r->x->content_length > 0 && (uint64_t)r->x->content_length > max)
        return request_fail(r, ERR_BODY_TOO_LARGE,
                            "The body is larger than the %zu bytes allowed here.", max);
    r->body_here = exchange_read_body(r->x, max);
    if (r->body_here)
        return FLOW_ANSWER;
    return request_wait(r, NULL);
}

/* A message about a field may hold what the client sent: it goes back to that client only. */
enum flow receive_understand(struct request *r)
{
    str why = {0}, param = {0};
    struct json_doc body;
    if (!json_read(&r->question, r->x->body, &body, &why))
        return request_fail(r, ERR_INVALID_JSON, "The body is not valid JSON: " STR_FMT ".",
                            STR_ARG(why));
    if (!yyjson_is_obj(body.root))
        return request_fail(r, ERR_INVALID_JSON, "The body must be a JSON object.");
    r->chat.door = r->endpoint->door;
    enum err err = r->endpoint->door->request_in(&r->question, &body, &r->chat, &why, &param);
    if (err == OK)
        err = wants_read(r, body.root, &why, &param);
    if (err != OK)
        return request_fail_param(r, err, why, param);
    r->chat.door = r->endpoint->door;
    uint64_t now = loop_now_ms(r->worker->loop);
    r->total_at_ms = now + (uint64_t)r->view->config->timeouts.total_ms;
    if (r->wants.deadline_ms > 0)
        r->deadline_at_ms = now + (uint64_t)r->wants.deadline_ms;
    return FLOW_NEXT;
}

enum flow receive_answer(struct request *r)
{
    if (!r->body_here)
        return request_wait(r, NULL);
    r->waited_ns += clock_mono_ns() - r->step_ns;
    if (r->body_err != OK)
        return request_fail(r, r->body_err, "%s", "");
    return receive_understand(r);
}
