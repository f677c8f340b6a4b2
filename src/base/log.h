/* log.h - structured log lines: one JSON object or one line of key=value per event.
 *
 * The sink is a file descriptor; a line is one write(2). Values never contain secrets: callers pass
 * ids, names, numbers. A struct log may be used by every thread; the level may be changed while it
 * runs. */
#ifndef RELAY_BASE_LOG_H
#define RELAY_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_JSON, LOG_TEXT };

struct log {
    int fd;
    _Atomic int level;
    _Atomic int format;
};

void log_init(struct log *l, int fd, enum log_level level, enum log_format format);

struct log_field {
    const char *name;
    enum { LOG_F_STR, LOG_F_INT, LOG_F_NUM, LOG_F_BOOL, LOG_F_RAW } kind; /* RAW: valid JSON */
    union {
        str s;
        int64_t i;
        double d;
    } v;
};

#define LOG_S(field, value) ((struct log_field){field, LOG_F_STR, {.s = (value)}})
#define LOG_I(field, value) ((struct log_field){field, LOG_F_INT, {.i = (int64_t)(value)}})
#define LOG_D(field, value) ((struct log_field){field, LOG_F_NUM, {.d = (value)}})
#define LOG_B(field, value) ((struct log_field){field, LOG_F_BOOL, {.i = (value)}})
#define LOG_R(field, value) ((struct log_field){field, LOG_F_RAW, {.s = (value)}})

static inline bool log_enabled(const struct log *l, enum log_level level)
{
    return (int)level >= atomic_load_explicit(&l->level, memory_order_relaxed);
}

/* {"time":…,"level":…,"msg":message, fields…}; nothing below the level. Lines are cut at 16 KiB. */
void log_write(struct log *l, enum log_level level, const char *message,
               const struct log_field *fields, size_t count);

#define LOG(l, level, message, ...)                                                                \
    do {                                                                                           \
        if (log_enabled((l), (level))) {                                                           \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write((l), (level), (message), log_fields_,                                        \
                      sizeof log_fields_ / sizeof *log_fields_);                                   \
        }                                                                                          \
    } while (0)
#define LOG0(l, level, message) log_write((l), (level), (message), NULL, 0)

#endif
