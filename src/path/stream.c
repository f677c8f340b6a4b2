/* stream.c - from the first content on: every turn's bytes go to the client as they came; those of
 * the turn that brings the end are held back for account, and go out with it in one write.
 *
 * - asks: writes the head and the first bytes; a plain answer has nothing to stream
 * - answers: each turn with new bytes, until the provider's terminator
 * - fails with: UPSTREAM_TRUNCATED, UPSTREAM_ERROR, UPSTREAM_INVALID, UPSTREAM_TIMEOUT. There is no
 *   fallback from here on. */
#include "base/clock.h"
#include "path/audit.h"
#include "path/request.h"

static enum flow broken(struct request *r, enum err err, const char *what)
{
    upstream_stop(r);
    attempt_end(r, err);
    const struct attempt *t = request_try(r);
    if (r->stream_why.len > 0)
        return request_fail(r, err, STR_FMT ": " STR_FMT, STR_ARG(t->upstream->config->name),
                            STR_ARG(error_text_clean(&r->arena, r->stream_why)));
    return request_fail(r, err, STR_FMT " %s.", STR_ARG(t->upstream->config->name), what);
}

/* What this turn brought goes out in one write. */
static void pass_on(struct request *r)
{
    if (r->out == NULL || r->out->len == 0)
        return;
    if (!r->gone && r->answer_state == ANSWER_NONE)
        reply_begin_stream(r, buf_str(r->out));
    else if (!r->gone)
        exchange_stream_data(r->x, buf_str(r->out));
    if (r->answer_state != ANSWER_CONTENT_SENT && !r->view->config->log.content &&
        !r->chat.door->repeats_question)
        request_forget_question(r);
    r->answer_state = ANSWER_CONTENT_SENT;
    r->last_out_ms = loop_now_ms(r->worker->loop);
    worker_buf_put(r->worker, r->out);
    r->out = NULL;
}

/* A slow client slows its provider: what waits for its socket is bounded. */
static void apply_pressure(struct request *r)
{
    if (r->call == NULL || r->gone)
        return;
    bool high = exchange_queued(r->x) > EXCHANGE_QUEUE_HIGH;
    if (!high || r->paused)
        return;
    call_pause(r->call);
    r->paused = true;
    r->idle_ms = 0; /* the silence is ours now, until the client has taken what it has (on_drain) */
}

enum flow stream_ask(struct request *r)
{
    if (r->audit != NULL)
        return audit_ask(r);
    return r->chat.stream ? FLOW_ANSWER : FLOW_NEXT;
}

enum flow stream_answer(struct request *r)
{
    if (r->audit != NULL)
        return audit_answer(r);
    bool whole = r->end_seen && !r->stream_broken && r->finish != FINISH_ERROR;
    if (!whole)
        pass_on(r);
    if (r->stream_broken)
        return broken(r, r->stream_err, "sent something that is not an answer");
    if (r->end_seen && !whole)
        return broken(r, ERR_UPSTREAM_ERROR, "says that the model failed");
    if (whole) {
        upstream_let_go(r);
        attempt_end(r, OK);
        return FLOW_NEXT;
    }
    if (r->out_of_time || r->timed_out)
        return broken(r, ERR_UPSTREAM_TIMEOUT, "fell silent");
    if (r->call_failed || r->call_ended)
        return broken(r, ERR_UPSTREAM_TRUNCATED, "ended the stream before its end");
    apply_pressure(r);
    return request_wait(r, upstream_stop);
}
