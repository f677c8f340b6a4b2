/* Any bytes as a configuration file: refused with a sentence, or accepted, printed, and read back
 * from what was printed. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *fuzz_env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "A") == 0 ? "a: ${B}\n" : strcmp(name, "GROQ_API_KEY") == 0 ? "key" : NULL;
}

static struct config *load(int fd, str text, char **error)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    struct config_source source = {.path = path, .env = fuzz_env};
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text.p, text.len, 0) != (ssize_t)text.len ||
        lseek(fd, 0, SEEK_SET) != 0) {
        abort();
    }
    return config_load(&source, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *file = tmpfile();
    char *error;
    assert(file != NULL);
    struct config *c = load(fileno(file), str_of((const char *)data, size), &error);
    assert((c == NULL) == (error != NULL));
    if (error != NULL) {
        assert(error[0] != '\0' && error[strlen(error) - 1] == '.');
    }
    free(error);
    if (c != NULL) {
        struct buf out;
        buf_init(&out, 64u << 20);
        config_print(c, &out, true);
        config_unref(load(fileno(file), buf_str(&out), &error));
        free(error);
        buf_deinit(&out);
    }
    config_unref(c);
    fclose(file);
    return 0;
}
