/* postgres_internal.h - what the postgres*.c files share: the connection, statements and values.
 *
 * A connection belongs to one thread at a time. Nothing here waits longer than the connection's
 * limit, also when the server is frozen or the network is cut: sockets are never blocking, and
 * whoever waits sleeps in poll(). A call that fails notes why; a connection that was lost fails
 * from then on, and whoever has it opens another one.
 *
 * Values go in as parameters and never into the text of a statement; both ways they are binary, as
 * PostgreSQL keeps them. Texts that leave are made UTF-8 by their writer. */
#ifndef RELAY_STORE_POSTGRES_INTERNAL_H
#define RELAY_STORE_POSTGRES_INTERNAL_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "store/db_internal.h"

#define POSTGRES_ARGS_MAX 24
#define POSTGRES_VERSION  150000 /* the oldest server */
#define POSTGRES_LOCKS                                                                             \
    "1919249505" /* of advisory locks: 1 schema, 2 days, 3 retention, 4 summaries */
#define POSTGRES_CHANNEL    "relay_keys"
#define POSTGRES_WRITE_MS   10000u /* how long the store thread waits for one answer */
#define POSTGRES_TOOL_MS    30000u
#define POSTGRES_CONNECT_MS 5000u /* for each of the URL's hosts */

/* Statements that are prepared once for each connection. */
enum postgres_statement {
    POSTGRES_ONCE, /* not kept */
    POSTGRES_READ_COUNTERS,
    POSTGRES_KEYS_CHANGED,
    POSTGRES_KEY_BY_HASH,
    POSTGRES_STATEMENTS
};

struct postgres_db {
    struct db base;
    PGconn *conn;
    enum db_role role;
    const struct db_waiter *waiter; /* may be NULL */
    unsigned limit_ms;              /* for one answer */
    bool lost;                      /* it was given up while it may still send something */
    bool kept[POSTGRES_STATEMENTS];
    bool has_constraint;          /* the last failure names one */
    char state[6];                /* SQLSTATE of the last failure; empty: the connection's */
    char problem[512];            /* one line, without anything secret */
    struct postgres_batch *batch; /* of the ledger (postgres_ledger.c) */
    uint64_t usage_until_ns;      /* for all that is asked of the summaries */
    bool tends;                   /* it has the summaries' lock */
};

static inline struct postgres_db *postgres_of(struct db *d)
{
    return (struct postgres_db *)(void *)d;
}

/* ---- postgres_connect.c ---- */

/* A connection that is ready, with its session's settings; else NULL and *why and *away as
 * db_driver.open has them. */
struct postgres_db *postgres_connect(str url, enum db_role role, const struct db_waiter *waiter,
                                     bool *away, char **why);
void postgres_disconnect(struct postgres_db *d);

/* ---- postgres_call.c ---- */

enum postgres_wait { POSTGRES_WAIT_READY, POSTGRES_WAIT_LATE, POSTGRES_WAIT_STOPPED };
/* Until the socket is ready for POLLIN or POLLOUT. */
enum postgres_wait postgres_wait(struct postgres_db *d, short events, uint64_t until_ns);

/* The connection's message becomes the problem. */
void postgres_note_connection(struct postgres_db *d);

/* ---- postgres_values.c ---- */

/* PostgreSQL's own numbers of types, which never change. */
enum { OID_BYTEA = 17, OID_BIGINT = 20, OID_TEXT = 25, OID_UUID = 2950 };

struct postgres_args {
    int count;
    Oid types[POSTGRES_ARGS_MAX];
    const char *values[POSTGRES_ARGS_MAX];
    int lengths[POSTGRES_ARGS_MAX];
    char numbers[POSTGRES_ARGS_MAX][8];
};
/* In the order of $1, $2, …; texts and bytes are borrowed until the call. */
void arg_text(struct postgres_args *a, str value);         /* as it is, also empty */
void arg_text_or_null(struct postgres_args *a, str value); /* empty: NULL */
void arg_uuid(struct postgres_args *a, const struct uuid *id);
void arg_bytes(struct postgres_args *a, const void *bytes, size_t len); /* bytea */
void arg_int(struct postgres_args *a, int64_t value);                   /* bigint */
void arg_count(struct postgres_args *a, int64_t value);                 /* negative: NULL */
void arg_time(struct postgres_args *a, int64_t us);                     /* bigint; 0: NULL */
void arg_money(struct postgres_args *a, pusd value);                    /* bigint; unknown: NULL */

/* Values of a result, binary. The type must be the one named; cast in the statement. */
int64_t value_int(const PGresult *r, int row, int column); /* bigint, integer, smallint; NULL: 0 */
int64_t value_count(const PGresult *r, int row, int column); /* the same; NULL: -1 */
pusd value_money(const PGresult *r, int row, int column);    /* bigint; NULL: unknown */
double value_num(const PGresult *r, int row, int column);    /* double precision; NULL: NAN */
bool value_bool(const PGresult *r, int row, int column);     /* NULL: false */
str value_text(const PGresult *r, int row, int column); /* text, bytea; borrowed; NULL: empty */
struct uuid value_uuid(const PGresult *r, int row, int column); /* NULL: none */

/* ---- postgres_call.c ---- */

/* One statement; `args` may be NULL. `which` other than POSTGRES_ONCE is prepared at its first use,
 * always with the same text. Its rows, to be cleared with PQclear(); NULL: it failed. */
PGresult *postgres_query(struct postgres_db *d, enum postgres_statement which, const char *sql,
                         const struct postgres_args *args);

/* The same where no rows are wanted. *rows, unless NULL: how many it touched. */
bool postgres_do(struct postgres_db *d, enum postgres_statement which, const char *sql,
                 const struct postgres_args *args, int64_t *rows);

/* Several statements without parameters, separated by semicolons: one transaction, unless they say
 * otherwise. */
bool postgres_script(struct postgres_db *d, const char *sql);

/* COPY … FROM STDIN: begin, any number of pieces, end. A failure ends it too. The script may have
 * other statements before and after it; after the end of one copy the next is begun. */
bool postgres_copy_begin(struct postgres_db *d, const char *sql);
bool postgres_copy_put(struct postgres_db *d, str bytes);
bool postgres_copy_end(struct postgres_db *d);

/* "what: why it failed", in the arena. Always false, to be returned. */
bool postgres_fail(struct postgres_db *d, const char *what, struct arena *a, str *why);

/* Takes in what the server has sent without being asked; true: keys have changed. */
bool postgres_take_notices(struct postgres_db *d);

/* ---- postgres_schema.c ---- */

/* Brings the tables to this program's version, under an advisory lock. False: *why. */
bool postgres_migrate(struct postgres_db *d, char **why);
/* Of tables that are there, without changing them. */
bool postgres_check(struct postgres_db *d, char **why);

/* ---- postgres_keys.c ---- */

bool postgres_keys_read(struct db *base, struct keys_seen *seen, bool *all, key_loaded_fn *fn,
                        void *ctx);
bool postgres_key_by_hash(struct db *base, const struct digest *hash, struct key **out,
                          int64_t *changed);
bool postgres_key_create(struct db *base, const struct key_draft *draft, str key_text,
                         int64_t now_us, struct arena *a, struct uuid *id, str *why);
bool postgres_key_find(struct db *base, str wanted, struct arena *a, struct key_row *out, str *why);
bool postgres_keys_list(struct db *base, const struct key_query *q, struct arena *a,
                        struct key_row **out, size_t *count, str *why);
bool postgres_key_update(struct db *base, const struct uuid *id, const struct key_draft *draft,
                         struct arena *a, str *why);
bool postgres_key_revoke(struct db *base, const struct uuid *id, int64_t at_us, struct arena *a,
                         str *why);
bool postgres_key_rotate(struct db *base, const struct uuid *id, str new_key_text, int64_t now_us,
                         int64_t grace_ms, struct arena *a, struct uuid *new_id, str *why);

/* ---- postgres_ledger.c ---- */

bool postgres_begin(struct db *base);
bool postgres_add_rows(struct db *base, const struct record *rows, unsigned count,
                       struct ledger_sum *sum);
bool postgres_commit(struct db *base, struct ledger_sum *sum);
void postgres_rollback(struct db *base);
void postgres_batch_free(struct postgres_batch *batch); /* may be NULL */
/* The session's own tables, which rows are sent to. */
bool postgres_set_up(struct postgres_db *d);
bool postgres_load_spend(struct db *base, struct limits *l, int64_t now_us);

/* The tables of a UTC day, counted from 1970: made, unless this connection knows that they are
 * there. */
bool postgres_make_day(struct postgres_db *d, int64_t day);
void postgres_forget_days(struct postgres_db *d);

/* ---- postgres_retain.c ---- */

bool postgres_retain(struct db *base, int64_t requests_from_us, int64_t contents_from_us,
                     bool *more);

/* ---- postgres_query.c ---- */

/* Rows of the log: parameters 1 to 9, which postgres_filter() adds. What it is given lives until
 * the call. */
#define POSTGRES_LOG_FILTER                                                                        \
    "id >= $1 AND id < $2 AND ($3 = 0 OR key_id = $4) AND ($5 = '' OR provider = $5)"              \
    " AND ($6 = '' OR model = $6) AND ($8 = 0 OR status BETWEEN $7 AND $8)"                        \
    " AND ($9 = '' OR position(' ' || cache || ' ' IN $9) > 0)"
void postgres_filter(struct postgres_args *args, const struct uuid *from, const struct uuid *before,
                     const struct log_filter *f, str caches);

bool postgres_logs(struct db *base, const struct log_range *range, struct arena *a,
                   struct record **rows, size_t *count, str *why);
bool postgres_content(struct db *base, const struct uuid *id, struct arena *a, bool *found,
                      str *request, str *answer, str *why);

/* ---- postgres_usage.c ---- */

extern const struct usage_driver postgres_usage;

#endif
