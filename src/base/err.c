/* err.c - the table of errors, made from err.def. */
#include "base/err.h"

#include <assert.h>

static const struct err_info infos[ERR_COUNT] = {
    [OK] = {"OK", 200, "", "", false, LOG_INFO, ""},
#define ERR(name, status, type, code, elsewhere, level, sentence)                                  \
    [ERR_##name] = {#name, status, type, code, elsewhere, level, sentence},
#include "base/err.def"
#undef ERR
};

const struct err_info *err_info(enum err err)
{
    assert((int)err >= 0 && err < ERR_COUNT);
    return &infos[err];
}
