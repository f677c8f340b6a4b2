/* desk.h - a store on either backend, with what is put into it, for the tests of questions. */
#ifndef RELAY_TESTS_UNIT_STORE_DESK_H
#define RELAY_TESTS_UNIT_STORE_DESK_H

#include "backends.h"
#include "check.h"

struct desk {
    struct place place;
    struct db *db;
    struct arena a;
    str why;
};

/* False: the test ends here. */
static inline bool desk_open(struct desk *t, enum backend kind)
{
    if (!place_make(&t->place, kind)) {
        return false;
    }
    arena_init(&t->a, 0);
    t->why = (str){0};
    t->db = place_open(&t->place, DB_WRITER);
    return t->db != NULL;
}

static inline void desk_close(struct desk *t)
{
    db_close(t->db);
    arena_deinit(&t->a);
    place_remove(&t->place);
}

static inline void put(struct desk *t, const struct record *r)
{
    struct ledger_sum sum = {0};
    CHECK(ledger_begin(t->db));
    CHECK(ledger_add_rows(t->db, r, 1, &sum));
    CHECK(ledger_commit(t->db, &sum));
    CHECK_INT(sum.stored, 1);
}

static inline struct uuid make_key(struct desk *t, const char *name, int64_t now_us,
                                   char text[KEY_TEXT_BYTES])
{
    struct uuid id = {{0}};
    struct key_draft draft = {.name = str_of_c(name),
                              .rpm = 60,
                              .tpm = -1,
                              .budget = PUSD_PER_USD,
                              .period = BUDGET_MONTH};
    key_generate("glw_", text);
    CHECK(db_key_create(t->db, &draft, str_of_c(text), now_us, &t->a, &id, &t->why));
    return id;
}

#endif
