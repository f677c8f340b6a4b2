/* answers_fixture.h - answers for the tests of the exact cache, by number; stored at 1000, over at
 * 5000. */
#ifndef RELAY_TESTS_UNIT_STORE_ANSWERS_FIXTURE_H
#define RELAY_TESTS_UNIT_STORE_ANSWERS_FIXTURE_H

#include "check.h"
#include "store_fixture.h"

#include "store/answers.h"

static inline struct digest key_of(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    return digest_of(str_of_c(text));
}

static inline struct stored_answer answer_of(int number, const char *body)
{
    struct stored_answer t;
    memset(&t, 0, sizeof t);
    t.key = key_of(number);
    t.source_id = sample_id(1000, (uint64_t)number);
    t.owner = sample_id(2000, (uint64_t)number % 2);
    t.provider = STR("groq");
    t.model = STR("m");
    t.body = str_of_c(body);
    t.finish_reason = STR("stop");
    t.usage = usage_none();
    t.stored_us = 1000;
    t.expires_us = 5000;
    return t;
}

static inline void keep(struct answers *a, int number, const char *body, bool replace,
                        int64_t now_us)
{
    struct stored_answer t = answer_of(number, body);
    stored_answer_unref(answers_keep(a, &t, replace, now_us));
}

static inline bool has(struct answers *a, int number)
{
    struct digest key = key_of(number);
    struct stored_answer *found = answers_find(a, &key, 2000, 0);
    stored_answer_unref(found);
    return found != NULL;
}

/* No use of it. */
static inline bool expects(struct answers *a, int number)
{
    struct digest key = key_of(number);
    return answers_expects(a, &key, 2000, 0);
}

/* In dimension `number`, and a little in the last one, so that neighbours are of known cosine. */
static inline void vector_of(unsigned number, float lean, float out[VECTOR_DIM])
{
    memset(out, 0, VECTOR_DIM * sizeof *out);
    out[number] = sqrtf(1 - lean * lean);
    out[VECTOR_DIM - 1] = lean;
}

#endif
