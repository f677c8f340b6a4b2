/* redis_limits_internal.h - between redis_limits.c (questions) and redis_settlements.c (what is
 * told until it is confirmed). */
#ifndef RELAY_STORE_REDIS_LIMITS_INTERNAL_H
#define RELAY_STORE_REDIS_LIMITS_INTERNAL_H

#include <stdatomic.h>

#include "store/redis_limits.h"

#define LIMIT_WORDS_MAX      16u
#define LIMIT_WORD_BYTES_MAX 64u
#define LIMIT_SHA_LEN        40u
#define LIMIT_TROUBLE_MAX    320u

struct settlement {
    struct redis_command command;
    struct list node;
    struct redis_limits *limits;
    struct shared_reservation reservation;
    int64_t used;
    pusd cost, spent;
    int64_t ttl_ms;
    uint64_t dead_ms; /* its reservation is given back by then */
    bool whole_script;
};

struct redis_limits {
    struct redis_limits_options options;
    str script;
    char sha[LIMIT_SHA_LEN + 1];
    int64_t connects;    /* of the connection that the script was loaded on */
    struct list waiting; /* settlements to send, oldest first */
    struct list flying;  /* sent */
    struct list spare;
    unsigned spare_count;
    struct loop_timer timer;
    int64_t lost_unsaid;
    _Atomic int64_t unconfirmed, lost;
    char trouble[LIMIT_TROUBLE_MAX];
};

/* A command, word by word. */
struct words {
    str at[LIMIT_WORDS_MAX];
    unsigned count;
    char text[LIMIT_WORDS_MAX][LIMIT_WORD_BYTES_MAX];
};

/* ---- redis_limits.c ---- */

void words_add_number(struct words *w, int64_t number);
/* The script by its sum, or all of it; its keys; and what every operation begins with. */
void words_begin(const struct redis_limits *l, struct words *w, bool whole, str operation,
                 const struct shared_reservation *r);

/* A connection's first command loads the script, so that none of those behind it misses it. */
void limits_load_script(struct redis_limits *l);
/* The server has forgotten the script all the same. */
bool limits_script_is_missing(const struct redis_value *value);
/* What Redis said, if it said something: redis_limits_trouble() follows. */
void limits_note_reply(struct redis_limits *l, const struct redis_value *value, bool useful);

/* The money of a period is kept a little longer than the period. */
int64_t reservation_ttl_ms(const struct shared_reservation *r, int64_t now_us);
bool reservation_is_over(const struct shared_reservation *r, int64_t now_us);

/* ---- redis_settlements.c ---- */

void settlements_init(struct redis_limits *l);
void settlements_free(struct redis_limits *l);
/* Sends what waits, as far as Redis takes it. */
void settlements_send(struct redis_limits *l);

#endif
