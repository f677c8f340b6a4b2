/* settings.h - the settings as data: tables that everything else in config/ reads.
 *
 * A setting is a path, a type, a place in a struct, a default written as in the file, a range, and
 * one sentence for people. There are three tables: the file's sections (struct config), one entry
 * of `providers` (struct provider_config), one entry of `models` (struct model_config). value.c
 * reads and writes single values by type, apply.c walks the file along a table, print.c and
 * reference.c show it. */
#ifndef RELAY_CONFIG_SETTINGS_H
#define RELAY_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum setting_type {
    SETTING_TEXT,    /* str */
    SETTING_BOOL,    /* bool */
    SETTING_WHOLE,   /* int64_t or unsigned */
    SETTING_SIZE,    /* int64_t, bytes */
    SETTING_TIME,    /* int64_t, milliseconds */
    SETTING_NUMBER,  /* double */
    SETTING_MONEY,   /* pusd, from dollars */
    SETTING_PRICE,   /* pusd per token, from dollars per million tokens */
    SETTING_WORD,    /* index into `words`, as bool or enum */
    SETTING_FLAGS,   /* a list of `words`: one bool each, one after the other */
    SETTING_LIST,    /* str * at `offset`, unsigned count at `offset2` */
    SETTING_HEADERS, /* struct header[CONFIG_HEADERS_MAX] at `offset`, unsigned count at `offset2`
                      */
    SETTING_KEYS,    /* a provider's api_key */
};

enum setting_flag {
    SETTING_RESTART = 1,        /* a reload cannot change it */
    SETTING_RESTART_SWITCH = 8, /* a reload can change it, but neither set nor empty it */
    SETTING_SECRET = 2,         /* never shown */
    SETTING_LOCATOR = 4, /* a URL or address that may hold credentials: shown only without them */
};

struct setting {
    const char *path; /* dotted: "server.tls.cert" */
    enum setting_type type;
    unsigned flags;
    size_t offset, bytes;     /* in the table's struct */
    size_t offset2;           /* the count, or the `has_` member, or 0 */
    const char *fallback;     /* as written in the file; NULL: nothing is set */
    double min, max;          /* numbers, in stored units; money in dollars */
    const char *zero_word;    /* a word that stands for 0: "auto", "always" */
    const char *const *words; /* NULL-terminated */
    /* Checks, and may rewrite, a text. NULL: it is good; else what is allowed. */
    const char *(*check)(struct arena *a, str *text);
    const char *help;
};

/* Ended by a row with a NULL path. */
extern const struct setting config_settings[];
extern const struct setting config_provider_settings[];
extern const struct setting config_model_settings[];

#define CONFIG_SETTINGS_MAX 96u /* rows of any table */

/* One value: false when the text does not fit the setting (allowed() says what would). `base` is
 * the table's struct, strings go into the arena. SETTING_LIST and SETTING_HEADERS take "a,b" and
 * "name=value,name=value" here: the form of environment variables. */
bool setting_parse(const struct setting *s, void *base, str text, struct arena *a);

/* What setting_parse() takes: "a size such as 32MiB, from 1KiB to 1GiB". */
str setting_allowed(const struct setting *s, struct arena *a);

/* The value as it would be written in the file; secrets as "(set)". */
str setting_text(const struct setting *s, const void *base, struct arena *a);

/* Appends to a SETTING_HEADERS value; false when the name or value cannot be a header, or it is
 * full. */
bool config_add_header(const struct setting *s, void *base, str name, str value, struct arena *a);

/* Values from text, for others in config/. */
bool config_parse_time_ms(str text, int64_t *ms);
bool config_parse_size(str text, int64_t *bytes);
str config_time_text(struct arena *a, int64_t ms);
str config_size_text(struct arena *a, int64_t bytes);

/* Checks for `check` of a setting. */
const char *check_listen(struct arena *a, str *text);
const char *check_listen_or_empty(struct arena *a, str *text);
const char *check_admin_key(struct arena *a, str *text);
const char *check_store(struct arena *a, str *text);
const char *check_shared(struct arena *a, str *text);
const char *check_collector(struct arena *a, str *text);
const char *check_origin(struct arena *a, str *text);
const char *check_model_or_empty(struct arena *a, str *text);
const char *check_model(struct arena *a, str *text);
const char *check_kind(struct arena *a, str *text);
const char *check_proxy(struct arena *a, str *text);

/* "provider/model" with both parts; no blanks. */
bool config_is_model_id(str id, str *provider);

#endif
