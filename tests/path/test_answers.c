/* Whole requests, one row each: what a client asks, what the providers do, what must come of it.
 * Each is then tortured: its client leaves at every turn, its calls break at every event. */
#include "check.h"
#include "scenario.h"


static const struct scenario scenarios[] = {
    {.title = "a plain answer",
     .body = ASK("one/small"),
     .replies = {{"one", CALL_OK, 200, NULL, PLAIN("Hello"), 0}},
     .status = 200,
     .trail = TRAIL_MISS,
     .calls = "one/small",
     .row = "provider=one model=small asked=one/small route=pinned stream=0 status=200 code= prompt=10 "
            "completion=5 usage=provider cost=0.00002 priced=catalog cache=miss attempts=1 "
            "attempt_rows=0 finish=stop",
     .head = "x-relay-provider: one|x-relay-model: small|x-relay-route: pinned|x-relay-attempts: "
             "1|x-relay-cache: miss|x-relay-cost-usd: 0.00002\r|x-relay-overhead-ms: |content-type: "
             "application/json|!x-relay-similarity|!age:|!retry-after",
     .answer = "\"content\":\"Hello\"|\"id\":\"a1\"",
     .sent = "/chat/completions|Authorization: Bearer key-one-a|\"model\":\"small\"|!stream"},
    {.title = "a streamed answer",
     .body = ASK_STREAM("one/small"),
     .replies = {{"one", CALL_OK, 200, NULL, STREAM, 0}},
     .status = 200,
     .trail = TRAIL_MISS,
     .calls = "one/small",
     .row = "stream=1 status=200 prompt=10 completion=5 usage=provider cost=0.00002 cache=miss "
            "finish=stop",
     .head = "content-type: text/event-stream|cache-control: no-cache|x-accel-buffering: "
             "no|x-relay-ttft-ms: |!x-relay-cost-usd|x-relay-provider: one",
     .answer = "\"content\":\"Hel\"|\"content\":\"lo\"|\"finish_reason\":\"stop\"|data: "
               "[DONE]|!prompt_tokens",
     .sent = "\"include_usage\":true",
     .order = "head data row end"},
};

SCENARIO_TESTS(scenarios)

CHECK_MAIN
