/* authenticate.c - who is it? Decided from the head alone, before any byte of the body is kept.
 *
 * - asks: the key table in memory; a well-formed key that is not there is looked up in the store
 * - answers: the key, if it is neither revoked nor expired
 * - fails with: MISSING_KEY, INVALID_KEY, EXPIRED_KEY, INVALID_REQUEST (two keys that differ),
 *   OVERLOADED (the store is away)
 * - may jump to: account, for resources that need a key and nothing else */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "path/request.h"

#define STORE_AWAY_RETRY_MS 1000

static const enum http_header key_headers[] = {HEADER_X_API_KEY, HEADER_API_KEY,
                                               HEADER_X_GOOG_API_KEY};

static str bearer_of(str authorization)
{
    str scheme, rest;
    if (!str_cut(authorization, ' ', &scheme, &rest) || !str_eq_nocase(scheme, STR("bearer")))
        return (str){0};
    return str_trim(rest);
}

/* The one key that the head carries; false when two of them differ. */
static bool key_of_head(const struct exchange *x, str *out)
{
    if (exchange_header_differs(x, HEADER_AUTHORIZATION))
        return false;
    str found = bearer_of(exchange_header(x, HEADER_AUTHORIZATION));
    for (size_t i = 0; i < sizeof key_headers / sizeof *key_headers; i++) {
        str value = exchange_header(x, key_headers[i]);
        if (exchange_header_differs(x, key_headers[i]) ||
            (value.len > 0 && found.len > 0 && !str_eq(value, found)))
            return false;
        if (value.len > 0)
            found = value;
    }
    *out = found;
    return true;
}

static void key_found(struct key_wait *w)
{
    struct request *r = w->arg;
    if (r == NULL) { /* the request has gone meanwhile */
        if (w->key != NULL)
            key_unref(w->key);
        free(w);
        return;
    }
    r->key_find = w->result;
    r->key = w->key;
    r->key_wait = NULL;
    free(w);
    path_ready(r);
}

/* It leaves before its key was looked at: whoever it was, nobody was let in. */
static void key_forget(struct request *r)
{
    if (r->key_wait != NULL)
        r->key_wait->arg = NULL;
    r->key_wait = NULL;
    if (r->key != NULL)
        key_unref(r->key);
    r->key = NULL;
}

/* Who is refused has no key as far as the rest of the path is concerned: no row, no limits. */
static enum flow refuse_key(struct request *r, enum err err)
{
    if (r->key != NULL)
        key_unref(r->key);
    r->key = NULL;
    return request_fail(r, err, "%s", "");
}

enum flow authenticate_ask(struct request *r)
{
    str text;
    if (!key_of_head(r->x, &text))
        return request_fail(r, ERR_INVALID_REQUEST,
                            "The request carries two different API keys; send one.");
    if (text.len == 0)
        return request_fail(r, ERR_MISSING_KEY, "%s", "");
    if (text.len != KEY_TEXT_BYTES - 1)
        return request_fail(r, ERR_INVALID_KEY, "%s", "");
    /* A key that is in memory was given out by somebody, so only others have to prove their form
     * before the store is asked. */
    struct keys *keys = r->worker->gateway->keys;
    struct digest hash = digest_of(text);
    r->key_find = keys_find(keys, &hash, NULL, &r->key);
    if (r->key_find == KEY_FOUND)
        return FLOW_ANSWER;
    if (!key_is_well_formed(text, "glw_"))
        return request_fail(r, ERR_INVALID_KEY, "%s", "");
    struct key_wait *w = xcalloc(1, sizeof *w);
    w->loop = r->worker->loop;
    w->done = key_found;
    w->arg = r;
    r->key_find = keys_find(keys, &hash, w, &r->key);
    if (r->key_find == KEY_PENDING) {
        r->key_wait = w;
        return request_wait(r, key_forget);
    }
    free(w);
    return FLOW_ANSWER;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* SDKs write the slash of "provider/model" as %2F. */
static str percent_decode(struct arena *a, str s)
{
    char *out = arena_alloc(a, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = s.p[i] == '%' && i + 2 < s.len ? hex_value(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.p[i + 2]) : -1;
        out[len++] = low >= 0 ? (char)(high * 16 + low) : s.p[i];
        i += low >= 0 ? 2 : 0;
    }
    return str_of(out, len);
}

enum flow authenticate_answer(struct request *r)
{
    if (r->key_wait != NULL)
        return request_wait(r, key_forget);
    if (r->key_find == KEY_STORE_AWAY) {
        r->retry_after_ms = STORE_AWAY_RETRY_MS;
        return request_fail(r, ERR_OVERLOADED, "The key store cannot be reached; try again.");
    }
    if (r->key_find != KEY_FOUND || r->key->revoked_us != 0)
        return refuse_key(r, ERR_INVALID_KEY);
    if (r->key->expires_us != 0 && r->key->expires_us <= r->at_us)
        return refuse_key(r, ERR_EXPIRED_KEY);
    if (r->endpoint->kind != ENDPOINT_MODELS)
        return FLOW_NEXT;

    str id = percent_decode(&r->arena, str_sub(r->x->path, sizeof "/v1/models/" - 1, SIZE_MAX));
    struct buf out;
    buf_init(&out, SIZE_MAX);
    bool found = models_body(r, id, &out);
    r->resource = arena_copy(&r->arena, buf_str(&out));
    buf_deinit(&out);
    if (!found)
        return request_fail(r, ERR_MODEL_NOT_FOUND, "There is no model '" STR_FMT "'.",
                            STR_ARG(str_head(id, SHOWN_NAME_BYTES_MAX)));
    return request_jump(r, STEP_ACCOUNT);
}
