/* Requests that end before any provider is called: keys, bodies, limits, budgets, models. */
#include "check.h"
#include "scenario.h"

#define CHAT(more) "{\"model\":\"one/small\"," more "}"
#define HI         "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* clang-format off */
static const struct scenario scenarios[] = {
    /* ---- who is it? ---- */
    {.title = "no key", .key = "", .body = ASK("auto"),
     .status = 401, .code = "missing_api_key", .trail = TRAIL_NO_KEY,
     .answer = "\"step\":\"authenticate\"", .head = "!x-ratelimit|!x-relay-provider"},
    {.title = "a key of the wrong form", .key = "", .headers = "x-api-key: glw_nonsense\n", .body = ASK("auto"),
     .status = 401, .code = "invalid_api_key", .trail = TRAIL_NO_KEY},
    {.title = "two keys that differ", .headers = "api-key: glw_other\n", .body = ASK("auto"),
     .status = 400, .code = "invalid_request", .trail = TRAIL_NO_KEY, .answer = "two different API keys"},
    {.title = "one key in two headers", .key = "", .headers = "x-api-key: glw_no\napi-key: glw_no\n", .body = ASK("auto"),
     .status = 401, .code = "invalid_api_key"},
    {.title = "two keys in one header name", .key = "", .headers = "x-api-key: glw_a\nx-api-key: glw_b\n", .body = ASK("auto"),
     .status = 400, .code = "invalid_request"},
    {.title = "a revoked key", .key = "revoked", .body = ASK("auto"),
     .status = 401, .code = "invalid_api_key", .trail = TRAIL_NO_KEY},
    {.title = "an expired key", .key = "expired", .body = ASK("auto"),
     .status = 401, .code = "expired_api_key", .trail = TRAIL_NO_KEY},
    {.title = "a key that the store has", .key = "pending", .body = ASK("one/small"),
     .replies = {ANSWERS("one", "Hello")},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small", .row = "status=200"},
    {.title = "a key that the store does not have", .key = "unknown", .body = ASK("auto"),
     .status = 401, .code = "invalid_api_key", .trail = TRAIL_NO_KEY},
    {.title = "the store is away", .key = "away", .body = ASK("auto"),
     .status = 503, .code = "overloaded", .trail = TRAIL_NO_KEY, .head = "retry-after: 1\r"},

    /* ---- the body ---- */
    {.title = "no JSON", .body = "{\"model\":", .status = 400, .code = "invalid_json",
     .trail = TRAIL_NO_BODY, .row = "status=400 code=invalid_json provider= attempts=0 cost=0 cache=bypass"},
    {.title = "an empty body", .body = "", .status = 400, .code = "invalid_json", .row = "status=400"},
    {.title = "no object", .body = "[1]", .status = 400, .code = "invalid_json", .row = "status=400"},
    {.title = "no messages", .body = "{\"model\":\"auto\"}", .status = 400, .code = "invalid_request",
     .row = "status=400 code=invalid_request asked=auto", .answer = "messages"},
    {.title = "messages of the wrong type", .body = CHAT("\"messages\":3"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "\"param\":\"messages\""},
    {.title = "an unknown role", .body = CHAT("\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]"),
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "role"},
    {.title = "a part without its content",
     .body = CHAT("\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]"),
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "text"},
    {.title = "a member that is there twice", .body = CHAT(HI ",\"model\":\"two/mid\""), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "model"},
    {.title = "max_tokens of zero", .body = CHAT(HI ",\"max_tokens\":0"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "max_tokens"},
    {.title = "a negative temperature", .body = CHAT(HI ",\"temperature\":-1"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "temperature"},
    {.title = "stream is no boolean", .body = CHAT(HI ",\"stream\":\"yes\""), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "stream"},
    {.title = "an unknown cache mode", .body = CHAT(HI ",\"cache\":{\"mode\":\"warm\"}"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "\"param\":\"cache.mode\""},
    {.title = "routing is no object", .body = CHAT(HI ",\"routing\":3"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "\"param\":\"routing\""},
    {.title = "a deadline below zero", .body = CHAT(HI ",\"routing\":{\"deadline_ms\":-1}"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "routing.deadline_ms"},
    {.title = "max cost as text", .body = CHAT(HI ",\"routing\":{\"max_cost_usd\":\"much\"}"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "routing.max_cost_usd"},
    {.title = "a bad header", .headers = "x-relay-min-quality: high\n", .body = ASK("auto"), .status = 400,
     .code = "invalid_request", .row = "status=400", .answer = "x-relay-min-quality"},
    {.title = "a late body", .body = ASK("one/small"), .body_late = 3, .replies = {ANSWERS("one", "Hello")},
     .status = 200, .trail = TRAIL_MISS, .calls = "one/small", .row = "status=200"},
    {.title = "a body that does not come", .body = ASK("auto"), .body_err = ERR_REQUEST_TIMEOUT, .body_late = 4,
     .status = 408, .code = "request_timeout", .trail = TRAIL_NO_BODY, .row = "status=408 code=request_timeout"},
    {.title = "a body that is too large on its way", .body = ASK("auto"), .body_err = ERR_BODY_TOO_LARGE,
     .status = 413, .code = "body_too_large", .row = "status=413"},
    {.title = "a body that says it is too large", .config = "server: {max_body: 1KiB}\n",
     .body = CHAT(HI ",\"x\":\""
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\""),
     .status = 413, .code = "body_too_large", .row = "status=413"},
    {.title = "another media type", .headers = "content-type: text/plain\n", .body = ASK("auto"),
     .status = 415, .code = "unsupported_media_type", .row = "status=415"},
    {.title = "a compressed body", .headers = "content-encoding: gzip\n", .body = ASK("auto"),
     .status = 415, .code = "unsupported_media_type", .row = "status=415"},

    /* ---- limits and budgets ---- */
    {.title = "more than tpm itself", .key = "tpm1100", .body = CHAT(HI ",\"max_tokens\":500,\"n\":4"),
     .status = 429, .code = "rate_limit_tokens", .trail = TRAIL_NO_LIMIT, .row = "status=429",
     .head = "x-should-retry: false|!retry-after|x-ratelimit-limit-tokens: 1100", .answer = "waiting will not help"},
    {.title = "a budget that does not pay for it", .key = "poor", .body = ASK("one/small"),
     .status = 402, .code = "budget_exceeded", .row = "status=402 code=budget_exceeded cost=0 attempts=0",
     .head = "x-should-retry: false"},

    /* ---- models ---- */
    {.title = "no such model", .body = ASK("one/smal"), .replies = {REFUSES("one", 404, REFUSED("no such model"))},
     .status = 404, .code = "model_not_found", .calls = "one/smal", .row = "status=404 route=pinned"},
    {.title = "a name near to others", .body = ASK("smal"), .status = 404, .code = "model_not_found",
     .trail = TRAIL_NO_ROUTE, .row = "status=404 asked=smal", .answer = "one/small|two/small|\"param\":\"model\""},
    {.title = "a name near to nothing", .body = ASK("zzzzzzzzzzzz"), .status = 404, .code = "model_not_found",
     .row = "status=404", .answer = "!Nearest"},
    {.title = "not on the key's list", .key = "listed", .body = ASK("one/small"), .status = 403,
     .code = "model_not_allowed", .trail = TRAIL_NO_ROUTE, .row = "status=403"},
    {.title = "anything of a provider that is not on the list", .key = "listed", .body = ASK("one/other"),
     .status = 403, .code = "model_not_allowed", .row = "status=403"},
    {.title = "a field that chooses another price, with a list", .key = "listed",
     .body = ASK_WITH("two/mid", "\"service_tier\":\"priority\""),
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "service_tier"},
    {.title = "a field that chooses another price, with a budget", .key = "rich",
     .body = ASK_WITH("two/mid", "\"models\":[\"x\"]"),
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "'models'"},
    {.title = "an image by URL, pinned to a model without", .body =
     "{\"model\":\"lama/native\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
     "\"image_url\":{\"url\":\"https://a.test/i.png\"}}]}]}",
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "data: URI"},
    {.title = "strict, and no one clears the bar",
     .body = ASK_WITH("auto", "\"routing\":{\"min_quality\":99,\"strict\":true}"),
     .status = 503, .code = "no_model_available", .row = "status=503 attempts=0", .answer = "quality"},
    {.title = "only a provider that is not there",
     .body = ASK_WITH("auto", "\"routing\":{\"only\":[\"nobody\"]}"),
     .status = 503, .code = "no_model_available", .row = "status=503", .head = "!retry-after"},
    {.title = "routing.models that names nothing",
     .body = ASK_WITH("auto", "\"routing\":{\"models\":[\"nothing\"]}"),
     .status = 400, .code = "invalid_request", .row = "status=400", .answer = "routing.models"},

    /* ---- other resources ---- */
    {.title = "the list of models", .line = "GET /v1/models", .body = "", .status = 200,
     .trail = TRAIL_NO_KEY, .answer = "\"object\":\"list\"|one/small|price_usd_per_million"},
    {.title = "one model", .line = "GET /v1/models/one/small", .body = "", .status = 200,
     .answer = "\"id\":\"one/small\"|!two/mid"},
    {.title = "a model that is not there", .line = "GET /v1/models/none", .body = "", .status = 404,
     .code = "model_not_found"},
    {.title = "the list of models without a key", .line = "GET /v1/models", .key = "", .body = "",
     .status = 401, .code = "missing_api_key"},
    {.title = "another method", .line = "GET /v1/chat/completions", .body = "", .status = 405,
     .code = "method_not_allowed", .head = "allow: POST"},
    {.title = "another path", .line = "POST /v1/chats", .body = "", .status = 404, .code = "not_found"},
};
/* clang-format on */

SCENARIO_TESTS(scenarios)

TEST(requests_per_minute_are_counted)
{
    struct world w;
    world_open(&w, NULL);
    for (int i = 0; i < 3; i++) {
        struct visit *v = world_visit(&w, NULL, "rpm2", NULL, ASK("nothing"));
        world_run(&w);
        CHECK_INT(v->status, i < 2 ? 404 : 429);
        if (i == 2) {
            text_has(buf_str(&v->body), "rate_limit_requests|2 requests per minute", "rpm", "body");
            text_has(buf_str(&v->head), "retry-after: |x-ratelimit-remaining-requests: 0\r", "rpm",
                     "head");
        }
    }
    CHECK_INT(w.row_count, 3);
    world_run_ms(&w, 62000);
    struct visit *v = world_visit(&w, NULL, "rpm2", NULL, ASK("nothing"));
    world_run(&w);
    CHECK_INT(v->status, 404);
    CHECK_INT(fake_failures(), 0);
    world_close(&w);
}

TEST(a_full_journal_refuses_new_requests)
{
    struct world w;
    world_open(&w, NULL);
    w.journal_refusing = true;
    struct visit *v = world_visit(&w, NULL, "alice", NULL, ASK("one/small"));
    world_run(&w);
    CHECK_INT(v->status, 503);
    text_has(buf_str(&v->head), "retry-after: 1\r", "full", "head");
    CHECK_INT(w.calls.len, 0);
    CHECK_INT(fake_failures(), 0);
    world_close(&w);
}

CHECK_MAIN
