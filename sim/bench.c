/* bench.c - two fixed answers, so that a benchmark can use the simulator as its bare upstream: a
 * plain completion with a body of exactly 600 bytes, and a stream of 34 events (role, 31 deltas,
 * finish, usage) and [DONE]. */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { BENCH_BODY_BYTES = 600, BENCH_DELTAS = 31 };

#define BENCH_FRONT(object)                                                                        \
    "{\"id\":\"chatcmpl-sim00000000000000bench\",\"object\":\"" object                             \
    "\",\"created\":1767225600,\"model\":\"sim-bench\","
#define BENCH_USAGE                                                                                \
    "\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":31,\"total_tokens\":55,"                \
    "\"prompt_tokens_details\":{\"cached_tokens\":0},"                                             \
    "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}"

static void bench_plain(struct frames *f)
{
    static const char front[] =
        BENCH_FRONT("chat.completion") "\"choices\":[{\"index\":0,\"message\":{\"role\":"
                                       "\"assistant\",\"content\":\"";
    static const char back[] =
        "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]," BENCH_USAGE;
    static const char words[] = "the answer of the bench ";
    char body[BENCH_BODY_BYTES];
    size_t text = sizeof body - (sizeof front - 1) - (sizeof back - 1);
    memcpy(body, front, sizeof front - 1);
    for (size_t i = 0; i < text; i++)
        body[sizeof front - 1 + i] = words[i % (sizeof words - 1)];
    memcpy(body + sizeof front - 1 + text, back, sizeof back - 1);
    frames_add(f, NULL, (struct slice){body, sizeof body}, BENCH_DELTAS);
}

static void bench_event(struct frames *f, const char *delta, const char *finish, size_t tokens)
{
    char event[512];
    int size = snprintf(event, sizeof event,
                        "%s\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,"
                        "\"finish_reason\":%s}]}",
                        BENCH_FRONT("chat.completion.chunk"), delta, finish);
    frames_add(f, NULL, (struct slice){event, (size_t)size}, tokens);
}

static void bench_stream(struct frames *f)
{
    bench_event(f, "{\"role\":\"assistant\",\"content\":\"\"}", "null", 0);
    for (int i = 0; i < BENCH_DELTAS; i++) {
        char delta[64];
        (void)snprintf(delta, sizeof delta, "{\"content\":\" bench %02d\"}", i);
        bench_event(f, delta, "null", 1);
    }
    bench_event(f, "{}", "\"stop\"", 0);
    static const char usage[] = BENCH_FRONT("chat.completion.chunk") "\"choices\":[]," BENCH_USAGE;
    frames_add(f, NULL, (struct slice){usage, sizeof usage - 1}, 0);
    frames_add_literal(f, slice_of("[DONE]"));
}

void bench_frames(struct frames *f, bool stream)
{
    if (stream)
        bench_stream(f);
    else
        bench_plain(f);
    frames_end(f);
}
