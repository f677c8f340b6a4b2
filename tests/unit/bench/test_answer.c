/* What relay-load takes for a right answer, where the meaning counts and not the bytes. */
#include "bench/answer.h"

#include <stdlib.h>

#include "base/mem.h"
#include "bench/meaning.h"
#include "check.h"

#define PLAIN                                                                                      \
    "{\"id\":\"1\",\"choices\":[{\"message\":{\"content\":\"so it "                                \
    "is\"},\"finish_reason\":\"stop\"}],"                                                          \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}"
#define STREAM                                                                                     \
    "data: {\"choices\":[{\"delta\":{\"content\":\"so it\"}}]}\n\n"                                \
    "data: {\"choices\":[{\"delta\":{\"content\":\" is\"},\"finish_reason\":\"stop\"}]}\n\n"       \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,"                \
    "\"total_tokens\":7}}\n\n"                                                                     \
    "data: [DONE]\n\n"

/* NULL: the answer, with that body in one piece or in chunks, is right; else what is wrong. */
static const char *look(const char *reference, const char *body, bool chunked)
{
    struct meaning wanted, read;
    struct answer *a = xcalloc(1, sizeof *a);
    struct buf answer;
    meaning_init(&wanted);
    meaning_init(&read);
    buf_init(&answer, 1u << 16);
    answer_init(a);
    CHECK(meaning_read(&wanted, str_of_c(reference)));
    size_t half = strlen(body) / 2, rest = strlen(body) - half;
    if (chunked)
        buf_printf(&answer,
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n%zx\r\n%.*s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                   half, (int)half, body, rest, body + half);
    else
        buf_printf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    const struct answer_wanted right = {.meaning = &wanted, .read = &read};
    const char *why = NULL;
    for (size_t i = 0; i < answer.len && why == NULL; i++) {
        if (!answer_take(a, &right, answer.p + i, 1))
            why = a->why;
    }
    if (why == NULL && a->at != ANSWER_WHOLE)
        why = "not whole";
    answer_deinit(a);
    buf_deinit(&answer);
    meaning_deinit(&wanted);
    meaning_deinit(&read);
    free(a);
    return why;
}

TEST(the_same_said_otherwise_is_right)
{
    const char *other =
        "{ \"usage\": {\"total_tokens\":7,\"completion_tokens\":4,\"prompt_tokens\":3,\"cost\":1},"
        "\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
        "\"content\":\"so \\u0069t is\"}}]}";
    CHECK(look(PLAIN, PLAIN, false) == NULL);
    CHECK(look(PLAIN, other, false) == NULL);
    CHECK(look(PLAIN, other, true) == NULL);
    CHECK(look(STREAM, STREAM, true) == NULL);
    CHECK(look(STREAM,
               "data: {\"choices\":[{\"delta\":{\"content\":\"so it is\"}}]}\r\n\r\n"
               ": alive\r\n\r\n"
               "data: "
               "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
               "tokens\":3,"
               "\"completion_tokens\":4,\"total_tokens\":7}}\r\n\r\ndata: [DONE]\r\n\r\n",
               true) == NULL);
}

TEST(another_answer_is_wrong)
{
    CHECK_CSTR(
        look(PLAIN,
             "{\"choices\":[{\"message\":{\"content\":\"so it was\"},\"finish_reason\":\"stop\"}]}",
             false),
        "text");
    CHECK_CSTR(
        look(
            PLAIN,
            "{\"choices\":[{\"message\":{\"content\":\"so it is\"},\"finish_reason\":\"length\"}]}",
            false),
        "finish_reason");
    CHECK_CSTR(
        look(PLAIN,
             "{\"choices\":[{\"message\":{\"content\":\"so it is\"},\"finish_reason\":\"stop\"}],"
             "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}}",
             false),
        "usage");
    CHECK_CSTR(
        look(PLAIN,
             "{\"choices\":[{\"message\":{\"content\":\"so it is\"},\"finish_reason\":\"stop\"}]}",
             true),
        "usage");
    CHECK_CSTR(look(PLAIN, "{\"error\":{\"message\":\"no\"}}", false), "no choices");
    CHECK_CSTR(look(PLAIN, "{\"choices\":", false), "no JSON");
    CHECK_CSTR(look(PLAIN, STREAM, true), "plain or stream");
}

TEST(a_stream_has_its_end_and_nothing_behind_it)
{
    const char *whole = STREAM;
    char cut[sizeof STREAM] = "";
    memcpy(cut, whole, strlen(whole) - strlen("data: [DONE]\n\n"));
    CHECK_CSTR(look(STREAM, cut, true), "no [DONE]");
    CHECK_CSTR(look(STREAM, STREAM "data: {\"choices\":[]}\n\n", true), "an event behind [DONE]");
    CHECK_CSTR(look(STREAM, "data: {\"error\":{}}\n\ndata: [DONE]\n\n", true), "no choices");
}

CHECK_MAIN
