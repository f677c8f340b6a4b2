/* sqlite_answers.h - the connection to the file of cached answers, for the two sources that use it.
 */
#ifndef RELAY_STORE_SQLITE_ANSWERS_H
#define RELAY_STORE_SQLITE_ANSWERS_H

#include "store/answers_file.h"
#include "store/sqlite_internal.h"

#define ANSWERS_PATH_MAX 1024u

enum answers_statement {
    ANSWERS_ADD,
    ANSWERS_ADD_CONTENT,
    ANSWERS_DROP,
    ANSWERS_DROP_KEY,
    ANSWERS_READ,
    ANSWERS_KEYS,
    ANSWERS_DATA_VERSION,
    ANSWERS_ORDERS,
    ANSWERS_DROP_ORDERS,
    ANSWERS_STATEMENTS
};

struct answers_db {
    sqlite3 *sql;
    sqlite3_stmt *kept[ANSWERS_STATEMENTS];
};

/* Of the store's URL. False: it has no path. */
bool answers_path_of(str store_url, char out[ANSWERS_PATH_MAX]);

/* False: there is none (without `create`), it is of another version, or SQLite refuses it. To be
 * closed in either case. */
bool answers_db_open(struct answers_db *d, const char *path, bool create);
void answers_db_close(struct answers_db *d);
bool answers_db_run(struct answers_db *d, const char *sql);

/* The file and what SQLite puts beside it. */
void answers_remove_files(const char *path);

#endif
