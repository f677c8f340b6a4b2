/* sqlite_answers.c - the file of cached answers: opening it, and what the store thread does with
 * it.
 *
 * Two tables: `answer` has what is looked through (keys, owners, tags), `content` the rest, under a
 * checksum. Nothing is deleted for each answer that memory drops: when some were dropped, all keys
 * are compared with memory, a few hundred at a time. */
#include "store/sqlite_answers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/answer_codec.h"

#define WRITE_MAX        128u /* answers in one transaction, and in one call */
#define BODY_BYTES_MAX   (1u << 20)
#define ANSWER_BYTES_MAX (2u << 20)
#define SWEEP_ROWS       500
#define SWEEP_EVERY_US   (INT64_C(20) * 1000000)

struct answers_file {
    struct answers_file_options o;
    struct answers_db db;
    struct buf bytes; /* of the answer that is written */
    int lock_fd;
    bool failing;
    int64_t data_version;
    int64_t removed, next_sweep_us; /* the cache's count of what it dropped, at the last sweep */
    int64_t sweep_at;               /* row; -1: none is under way */
};

/* ---- rows ---- */

static void bind_bytes(sqlite3_stmt *q, int at, str bytes)
{
    sqlite3_bind_blob(q, at, bytes.p, (int)bytes.len, SQLITE_STATIC);
}

static bool run(sqlite3_stmt *q)
{
    bool ok = sqlite3_step(q) == SQLITE_DONE;
    sqlite3_reset(q);
    return ok;
}

static bool write_answer(struct answers_file *f, const struct stored_answer *s)
{
    str key = str_of((const char *)s->key.b, sizeof s->key.b);
    sqlite3_stmt *drop = f->db.kept[ANSWERS_DROP_KEY];
    bind_bytes(drop, 1, key);
    if (!run(drop)) {
        return false;
    }
    sqlite3_stmt *a = f->db.kept[ANSWERS_ADD];
    bind_bytes(a, 1, key);
    bind_uuid(a, 2, &s->source_id);
    bind_uuid(a, 3, &s->owner);
    bind_str(a, 4, s->tags);
    sqlite3_bind_int64(a, 5, s->stored_us);
    sqlite3_bind_int64(a, 6, s->expires_us);
    bind_str(a, 7, s->question.vector != NULL ? f->o.encoder_version : (str){0});
    sqlite3_bind_int64(a, 8, (int64_t)s->body.len);
    buf_clear(&f->bytes);
    if (!run(a) || !answer_encode(s, &f->bytes)) {
        return false;
    }
    sqlite3_stmt *c = f->db.kept[ANSWERS_ADD_CONTENT];
    sqlite3_bind_int64(c, 1, sqlite3_last_insert_rowid(f->db.sql));
    bind_bytes(c, 2, buf_str(&f->bytes));
    sqlite3_bind_int64(c, 3, crc32c(0, f->bytes.p, f->bytes.len));
    return run(c);
}

static str column_bytes(sqlite3_stmt *q, int at)
{
    const char *p = sqlite3_column_blob(q, at);
    return str_of(p, (size_t)sqlite3_column_bytes(q, at));
}

/* A row of ANSWERS_READ; false: it is not whole. */
static bool read_answer(struct answers_file *f, struct arena *a, sqlite3_stmt *q,
                        struct stored_answer *out, float vector[VECTOR_DIM])
{
    str bytes = column_bytes(q, 2);
    if (crc32c(0, bytes.p, bytes.len) != (uint32_t)sqlite3_column_int64(q, 3) ||
        !answer_decode(bytes, out, vector)) {
        return false;
    }
    out->tags = column_str(q, 0);
    if (out->question.vector != NULL && str_eq(column_str(q, 1), f->o.encoder_version)) {
        out->question.features = f->o.features(a, out->question.text);
    } else {
        out->question = (struct stored_question){0};
    }
    return true;
}

static bool load(struct answers_file *f)
{
    int64_t now = clock_utc_us(), count = 0, damaged = 0;
    struct arena a;
    sqlite3_stmt *q = f->db.kept[ANSWERS_READ];
    int step;
    arena_init(&a, 32768);
    sqlite3_bind_int64(q, 1, now);
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        struct stored_answer s;
        float vector[VECTOR_DIM];
        if (read_answer(f, &a, q, &s, vector)) {
            stored_answer_unref(answers_keep(f->o.answers, &s, true, now));
            count++;
        } else {
            damaged++;
        }
        arena_reset(&a);
    }
    sqlite3_reset(q);
    arena_deinit(&a);
    if (count > 0 || damaged > 0) {
        LOG(f->o.log, damaged > 0 ? LOG_WARN : LOG_INFO, "cached answers of an earlier run",
            LOG_I("answers", count), LOG_I("damaged", damaged));
    }
    return step == SQLITE_DONE;
}

/* ---- work ---- */

/* Orders of `relay cache purge`; its process has deleted the rows already. */
static bool take_purges(struct answers_file *f)
{
    int64_t version = 0;
    sqlite3_stmt *v = f->db.kept[ANSWERS_DATA_VERSION];
    if (sqlite3_step(v) == SQLITE_ROW) {
        version = sqlite3_column_int64(v, 0);
    }
    sqlite3_reset(v);
    if (version == f->data_version) {
        return true;
    }
    sqlite3_stmt *q = f->db.kept[ANSWERS_ORDERS];
    int64_t last = 0;
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        struct uuid source = column_uuid(q, 1), owner = column_uuid(q, 2);
        const struct answers_purge p = {
            .source_id = sqlite3_column_type(q, 1) != SQLITE_NULL ? &source : NULL,
            .owner = sqlite3_column_type(q, 2) != SQLITE_NULL ? &owner : NULL,
            .tag = column_str(q, 3),
            .tag_value = column_str(q, 4),
        };
        last = sqlite3_column_int64(q, 0);
        (void)answers_purge(f->o.answers, &p);
    }
    sqlite3_reset(q);
    sqlite3_stmt *drop = f->db.kept[ANSWERS_DROP_ORDERS];
    sqlite3_bind_int64(drop, 1, last);
    bool ok = step == SQLITE_DONE && (last == 0 || run(drop));
    f->data_version = ok ? version : 0;
    return ok;
}

/* *wrote: how many were new. */
static bool write_new(struct answers_file *f, int64_t now_us, unsigned *wrote)
{
    struct stored_answer *s[WRITE_MAX];
    unsigned count = answers_take_new(f->o.answers, s, WRITE_MAX);
    *wrote = count;
    if (count == 0) {
        return true;
    }
    bool ok = answers_db_run(&f->db, "BEGIN IMMEDIATE");
    for (unsigned i = 0; i < count; i++) {
        /* What was purged or replaced meanwhile is not written. */
        if (ok && s[i]->body.len <= BODY_BYTES_MAX &&
            answers_holds(f->o.answers, &s[i]->key, &s[i]->source_id, now_us)) {
            ok = write_answer(f, s[i]);
        }
        stored_answer_unref(s[i]);
    }
    ok = ok && answers_db_run(&f->db, "COMMIT");
    if (!ok) {
        (void)answers_db_run(&f->db, "ROLLBACK");
    }
    return ok;
}

/* The next few rows, without those that memory has no more. */
static bool sweep(struct answers_file *f, int64_t now_us)
{
    int64_t gone[SWEEP_ROWS], last = f->sweep_at;
    unsigned count = 0, seen = 0;
    sqlite3_stmt *q = f->db.kept[ANSWERS_KEYS], *drop = f->db.kept[ANSWERS_DROP];
    int step;
    sqlite3_bind_int64(q, 1, f->sweep_at);
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        struct digest key = {{0}};
        str bytes = column_bytes(q, 1);
        struct uuid source = column_uuid(q, 2);
        last = sqlite3_column_int64(q, 0);
        seen++;
        if (bytes.len == sizeof key.b) {
            memcpy(key.b, bytes.p, sizeof key.b);
        }
        if (!answers_holds(f->o.answers, &key, &source, now_us)) {
            gone[count++] = last;
        }
    }
    sqlite3_reset(q);
    bool ok = step == SQLITE_DONE && (count == 0 || answers_db_run(&f->db, "BEGIN IMMEDIATE"));
    for (unsigned i = 0; i < count && ok; i++) {
        sqlite3_bind_int64(drop, 1, gone[i]);
        ok = run(drop);
    }
    if (count > 0 && !(ok && answers_db_run(&f->db, "COMMIT"))) {
        (void)answers_db_run(&f->db, "ROLLBACK");
        return false;
    }
    f->sweep_at = seen == SWEEP_ROWS ? last : -1;
    return ok;
}

static bool sweep_when_due(struct answers_file *f, int64_t now_us)
{
    if (f->sweep_at < 0) {
        int64_t removed = answers_stats(f->o.answers).removed;
        if (now_us < f->next_sweep_us) {
            return true;
        }
        f->next_sweep_us = now_us + SWEEP_EVERY_US;
        if (removed == f->removed) {
            return true;
        }
        f->removed = removed;
        f->sweep_at = 0;
    }
    return sweep(f, now_us);
}

void answers_file_work(struct answers_file *f, int64_t now_us)
{
    unsigned wrote = 0;
    bool ok = take_purges(f) && write_new(f, now_us, &wrote) && sweep_when_due(f, now_us);
    if (!ok && !f->failing) {
        LOG(f->o.log, LOG_WARN, "the file of cached answers does not work; they stay in memory",
            LOG_S("reason", str_of_c(sqlite3_errmsg(f->db.sql))));
    }
    f->failing = !ok;
}

/* ---- lifetime ---- */

/* One gateway at a time: what another one holds is not in this one's memory. */
static bool take_lock(struct answers_file *f, const char *path)
{
    char name[ANSWERS_PATH_MAX + 8];
    snprintf(name, sizeof name, "%s-lock", path);
    f->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return f->lock_fd >= 0 && flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0;
}

static bool open_and_load(struct answers_file *f, const char *path)
{
    return answers_db_open(&f->db, path, true) && load(f);
}

struct answers_file *answers_file_open(const struct answers_file_options *o, char **why)
{
    char path[ANSWERS_PATH_MAX];
    struct answers_file *f = xcalloc(1, sizeof *f);
    const char *problem = NULL;
    f->o = *o;
    f->lock_fd = -1;
    buf_init(&f->bytes, ANSWER_BYTES_MAX);
    if (!answers_path_of(o->store_url, path)) {
        problem = "the store is not a file";
    } else if (!take_lock(f, path)) {
        problem = "another gateway keeps its answers there, or the folder cannot be written";
    } else if (!open_and_load(f, path)) {
        /* Of another version, or damaged: it is begun anew. */
        answers_db_close(&f->db);
        answers_remove_files(path);
        (void)answers_purge(o->answers, &(struct answers_purge){0});
        LOG(o->log, LOG_WARN, "the file of cached answers cannot be used and is begun anew",
            LOG_S("file", str_of_c(path)));
        problem = open_and_load(f, path) ? NULL : "it cannot be made";
    }
    if (problem != NULL) {
        *why = xmemdup0(problem, strlen(problem));
        answers_db_close(&f->db);
        answers_file_close(f);
        return NULL;
    }
    f->sweep_at = 0; /* rows that the cache did not take */
    answers_watch(o->answers);
    return f;
}

void answers_file_close(struct answers_file *f)
{
    if (f == NULL) {
        return;
    }
    for (unsigned wrote = f->db.sql != NULL; wrote > 0;) {
        if (!take_purges(f) || !write_new(f, clock_utc_us(), &wrote)) {
            break;
        }
    }
    answers_db_close(&f->db);
    buf_deinit(&f->bytes);
    if (f->lock_fd >= 0) {
        close(f->lock_fd);
    }
    free(f);
}

void answers_file_remove(str store_url)
{
    char path[ANSWERS_PATH_MAX];
    if (answers_path_of(store_url, path)) {
        answers_remove_files(path);
    }
}
