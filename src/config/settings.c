/* settings.c - the rows of settings.def as the table that everything else in config/ reads. */
#include "config/settings.h"

#define AT(member)    offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define COUNT(member) offsetof(struct config, member)

#define KIB       1024.0
#define MIB       (1024.0 * KIB)
#define GIB       (1024.0 * MIB)
#define TIB       (1024.0 * GIB)
#define SECOND    1000.0
#define MINUTE    (60.0 * SECOND)
#define HOUR      (60.0 * MINUTE)
#define DAY       (24.0 * HOUR)
#define YEARS_100 (36500.0 * DAY)

static const char *const when_full_words[] = {"drop", "refuse", NULL};
static const char *const unpriced_words[] = {"refuse", "allow", NULL};
static const char *const scope_words[] = {"key", "group", "global", NULL};
static const char *const away_words[] = {"refuse", "share", NULL};
static const char *const level_words[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const format_words[] = {"json", "text", NULL};

/* clang-format off */
#define SECTION(name)
#define END(name)
#define ROW(path, type, flags, place, count, fallback, min, max, zero, words, check, help) \
    {path, SETTING_##type, flags, place, count, fallback, min, max, zero, words, check, help},
#define TEXT(section, member, path, flags, fallback, check, help) \
    ROW(path, TEXT, flags, AT(section member), 0, fallback, 0, 0, NULL, NULL, check, help)
#define BOOL(section, member, path, flags, fallback, help) \
    ROW(path, BOOL, flags, AT(section member), 0, fallback, 0, 0, NULL, NULL, NULL, help)
#define NUMBER(section, member, type, written, path, flags, fallback, min, max, zero, help) \
    ROW(path, written, flags, AT(section member), 0, fallback, min, max, zero, NULL, NULL, help)
#define WORD(section, member, type, path, flags, fallback, words, help) \
    ROW(path, WORD, flags, AT(section member), 0, fallback, 0, 0, NULL, words, NULL, help)
#define LIST(section, member, n, path, flags, fallback, check, help) \
    ROW(path, LIST, flags, AT(section member), COUNT(section n), fallback, 0, 0, NULL, NULL, check, \
        help)
#define HEADERS(section, member, n, path, flags, fallback, help) \
    ROW(path, HEADERS, flags, AT(section member), COUNT(section n), fallback, 0, 0, NULL, NULL, \
        NULL, help)
/* clang-format on */

const struct setting config_settings[] = {
#include "config/settings.def"
    {0},
};
