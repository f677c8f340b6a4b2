/* scenario.h - a request, what its providers do, and what must come of it: one row of a table.
 *
 * scenario_play() runs it and checks what it says. scenario_torture() runs it again with the client
 * leaving at every turn there is, before and after what the turn brings, with every event of its
 * calls turned into a reset, and with its time up or its gateway giving up after every turn; the
 * answer is then whatever it is, but the books must balance. */
#ifndef RELAY_TESTS_PATH_FAKES_SCENARIO_H
#define RELAY_TESTS_PATH_FAKES_SCENARIO_H

#include "world.h"

/* Texts to find are lists of parts separated by '|'; a part that begins with '!' must be absent. */
struct scenario {
    const char *title;
    const char *config;  /* more YAML */
    const char *line;    /* "GET /v1/models"; NULL: the chat endpoint */
    const char *key;     /* NULL: alice; "": none */
    const char *headers; /* of the request */
    const char *body;
    struct reply replies[6];
    unsigned body_late;
    enum err body_err;
    bool warm;             /* the same request was answered before, plain */
    const char *warm_body; /* this one was; and there is an encoder */
    unsigned encoder_ms;   /* a text from then on */
    /* There is a shared cache, which has what was answered before, and this process has not. */
    enum shared_mood shared;
    unsigned shared_ms;
    /* Limits are counted there, until the request comes: then it is like this. */
    enum shared_mood limits;
    unsigned limits_ms;

    int status;        /* to the client; of a stream that was cut: 200 */
    const char *code;  /* of the error that the client gets; NULL: none */
    const char *trail; /* "authenticate receive …"; NULL: not looked at */
    const char *calls; /* "one/small two/mid"; NULL: none */
    const char *row;   /* NULL: there is none */
    const char *head, *answer, *sent, *order;
    bool cut; /* the stream ends without its end */
};

void scenario_play(const struct scenario *s);
void scenario_torture(const struct scenario *s);

/* What must hold in any world at rest: one row per authenticated chat request, nothing reserved,
 * money and tokens as the rows say. Returns false after printing what is wrong. */
bool world_balances(struct world *w, const char *title, const char *key);

/* The two tests of a table: as it must end, and under torture. */
#define SCENARIO_TESTS(table)                                                                      \
    TEST(scenarios_end_as_they_must)                                                               \
    {                                                                                              \
        for (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)                               \
            scenario_play(&(table)[i]);                                                            \
        CHECK_INT(fake_failures(), 0);                                                             \
    }                                                                                              \
    TEST(scenarios_survive_torture)                                                                \
    {                                                                                              \
        unsigned before = fake_failures();                                                         \
        for (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)                               \
            scenario_torture(&(table)[i]);                                                         \
        CHECK_INT(fake_failures(), before);                                                        \
    }

/* clang-format off */
#define ANSWERS(provider, text)         {provider, CALL_OK, 200, NULL, PLAIN(text), 0}
#define STREAMS(provider)               {provider, CALL_OK, 200, NULL, STREAM, 0}
#define REFUSES(provider, status, body) {provider, CALL_OK, status, NULL, body, 0}
#define FAILS(provider, failure)        {provider, failure, 0, NULL, NULL, 0}
/* clang-format on */

#define TRAIL_MISS "authenticate receive limit route recall resemble call stream account reply"
#define TRAIL_MISS_2                                                                               \
    "authenticate receive limit route recall resemble call call stream account reply"
#define TRAIL_MISS_3                                                                               \
    "authenticate receive limit route recall resemble call call call stream account reply"
#define TRAIL_HIT      "authenticate receive limit route recall account reply"
#define TRAIL_NO_ROUTE "authenticate receive limit route account reply"
#define TRAIL_NO_LIMIT "authenticate receive limit account reply"
#define TRAIL_NO_BODY  "authenticate receive account reply"
#define TRAIL_NO_KEY   "authenticate account reply"

#endif
