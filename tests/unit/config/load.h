/* Loads a configuration from text in a temporary folder, with an environment of the test's own. */
#ifndef RELAY_TESTS_UNIT_CONFIG_LOAD_H
#define RELAY_TESTS_UNIT_CONFIG_LOAD_H

#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"

/* "NAME=value" strings, ended by NULL. */
static inline const char *test_env(void *ctx, const char *name)
{
    const char *const *list = ctx;
    size_t len = strlen(name);
    for (; list != NULL && *list != NULL; list++) {
        if (strncmp(*list, name, len) == 0 && (*list)[len] == '=') {
            return *list + len + 1;
        }
    }
    return NULL;
}

/* text NULL: no file. The caller frees *error and unrefs the result. */
static inline struct config *load_with(const char *text, const char *const *env,
                                       const struct config_override *overrides, unsigned count,
                                       char **error)
{
    char folder[] = "/tmp/relay-config-XXXXXX";
    char before[4096];
    struct config *c = NULL;
    *error = NULL;
    if (getcwd(before, sizeof before) == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0) {
        CHECK(!"a temporary folder can be made");
        return NULL;
    }
    FILE *file = text != NULL ? fopen("relay.yaml", "wb") : NULL;
    if (file != NULL) {
        fputs(text, file);
        fclose(file);
    }
    struct config_source source = {
        .env = test_env, .env_ctx = (void *)env, .overrides = overrides, .override_count = count};
    c = config_load(&source, error);
    CHECK((c == NULL) == (*error != NULL));
    unlink("relay.yaml");
    CHECK_INT(chdir(before), 0);
    CHECK_INT(rmdir(folder), 0); /* so it also holds nothing that config_load() made */
    return c;
}

static inline struct config *load_text(const char *text, const char *const *env)
{
    char *error;
    struct config *c = load_with(text, env, NULL, 0, &error);
    if (c == NULL) {
        fprintf(stderr, "refused: %s\n", error != NULL ? error : "?");
    }
    free(error);
    return c;
}

static inline void check_refused(const char *text, const char *const *env, const char *want,
                                 int line)
{
    char *error;
    struct config *c = load_with(text, env, NULL, 0, &error);
    check_cstr(error, want, __FILE__, line, text);
    free(error);
    config_unref(c);
}

static inline const struct provider_config *provider_of(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->provider_count; i++) {
        if (str_eq(c->providers[i].name, str_of_c(name))) {
            return &c->providers[i];
        }
    }
    return NULL;
}

#endif
