/* err.h - every error there is, and how the world sees it (err.def). */
#ifndef RELAY_BASE_ERR_H
#define RELAY_BASE_ERR_H

#include <stdbool.h>

#include "base/log.h"
#include "base/str.h"

enum err {
    OK = 0,
#define ERR(name, status, type, code, elsewhere, level, sentence) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

struct err_info {
    const char *name; /* "INVALID_JSON" */
    int status;       /* HTTP */
    const char *type, *code;
    bool try_elsewhere;
    enum log_level level;
    const char *sentence;
};

/* Never NULL; err must be a member of the enum. */
const struct err_info *err_info(enum err err);

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
