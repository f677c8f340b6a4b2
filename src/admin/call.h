/* call.h - one call of the admin API, and what a row of the routing table is made of.
 *
 * ask() runs on the worker: it reads the query and the body, and answers where memory is enough.
 * work() runs on a thread of the store's own, with a connection; it knows the call and nothing of
 * the worker's. answer() runs on the worker again. Each may end the call with admin_fail(). Memory
 * is in the call's arena, which one thread has at a time. */
#ifndef RELAY_ADMIN_CALL_H
#define RELAY_ADMIN_CALL_H

#include "admin/admin.h"
#include "admin/query.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/json_members.h"
#include "store/store.h"

#define CALL_BODY_MAX   65536u
#define CALL_ANSWER_MAX (32u << 20)

struct admin_call;

/* A parameter of the query. */
struct admin_param {
    const char *name;
    const char *type; /* "string", "integer", "date-time", "uuid" */
    const char *about;
};

enum admin_who { ADMIN_SIGNED_IN, ADMIN_ANYONE };
enum admin_store { ADMIN_MEMORY, ADMIN_READS, ADMIN_WRITES };

struct admin_route {
    const char *method, *path; /* "{id}" stands for one segment */
    enum admin_who who;
    enum admin_store store;
    bool takes_body;                   /* a JSON object */
    bool (*ask)(struct admin_call *c); /* false: admin_fail() */
    bool (*work)(struct admin_call *c, struct db *d);
    void (*answer)(struct admin_call *c);
    const struct admin_param *params; /* up to one without a name; NULL: none */
    /* For the description: the names of schemas; NULL: none. */
    const char *summary, *body_schema, *answer_schema;
    int status;   /* of the answer; 0: 200 */
    bool streams; /* server-sent events */
};

struct admin_call {
    struct worker *worker;
    struct admin *admin;
    struct exchange *x; /* NULL: the client has left */
    const struct admin_route *route;
    struct arena arena;
    struct query query;
    str id;           /* what stands in the place of {id} */
    yyjson_val *body; /* an object */
    int64_t now_us;
    bool by_session;
    struct session session;
    void *data; /* the handler's */
    bool waits; /* the handler answers by itself, and ends the call with admin_finish() */
    /* Of one that waits, may be NULL: the client has left, and its exchange is over. It frees the
     * call; without it the call is freed by admin_finish(). */
    void (*gone)(struct admin_call *c);
    bool no_store; /* ask() says that memory is enough for this one */
    /* the answer */
    int status;
    struct buf head, out;
    bool failed;
    struct store_job job;
    char id_text[UUID_TEXT_BYTES];
};

/* The error answer; false, to be returned. `param` may be NULL. */
bool admin_fail(struct admin_call *c, enum err err, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Sends what there is and ends the call. Worker only. */
void admin_finish(struct admin_call *c);

/* Ends a call whose exchange is over: frees it. Worker only. */
void admin_call_free(struct admin_call *c);

/* Typed parameters of the query. Without the parameter *out stays as it is. False: admin_fail(). */
bool admin_time(struct admin_call *c, const char *name, int64_t *out);
bool admin_count(struct admin_call *c, const char *name, int64_t max, int64_t *out);
bool admin_id(struct admin_call *c, const char *name, struct uuid *out, bool *given);

/* The id in the path; false: 404. */
bool admin_path_id(struct admin_call *c, struct uuid *out);

/* Somebody offers the admin key, or a token, and it is right or not: false where it is not, or
 * where too many were wrong (admin_fail()). */
bool admin_try_key(struct admin_call *c, bool right);

/* The session's cookie, for the answer's head. */
void admin_set_cookie(struct admin_call *c, str value, int64_t seconds);

/* ---- admin.c ---- */

struct doorman;
struct feed;
struct admin {
    struct admin_options options;
    str client_url;
    struct doorman *doorman;
    struct feed *feed;
    int64_t started_us;
    _Atomic int64_t loaded_us;
};

/* ---- routes.c ---- */

extern const struct admin_route admin_routes[]; /* the last has no method */

/* The row for this method and path; *id is what stands for {id}. NULL: ERR_NOT_FOUND or
 * ERR_METHOD_NOT_ALLOWED in *err, with *allow for the latter. */
const struct admin_route *route_find(str method, str path, str *id, enum err *err, str *allow,
                                     struct arena *a);

/* ---- files.c ---- */

/* The dashboard's files: true when this path is one of them, or `/`, and was answered. */
bool files_serve(struct worker *w, struct exchange *x);

#endif
