/* Runs a fuzz target over the files of its corpus, without libFuzzer.
 *
 * Every input a fuzzer ever kept is part of the ordinary test run this way, under gcc and every
 * sanitizer. An absent corpus is an error: a fuzz target without one tests nothing here. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (16u << 20)

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    /* Exactly the file's bytes in a block of their own, so that a sanitizer sees every overrun. */
    uint8_t *all = malloc(INPUT_BYTES_MAX);
    size_t len = all ? fread(all, 1, INPUT_BYTES_MAX, file) : 0;
    uint8_t *exact = all ? realloc(all, len ? len : 1) : NULL;
    fclose(file);
    if (!exact) {
        fprintf(stderr, "%s: out of memory\n", path);
        free(all);
        return -1;
    }
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    int replayed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (!directory) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            char path[4096];
            struct stat info;
            int n = snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (n < 0 || (size_t)n >= sizeof path || stat(path, &info) != 0 ||
                !S_ISREG(info.st_mode)) {
                continue;
            }
            if (replay_file(path) != 0) {
                closedir(directory);
                return 1;
            }
            replayed++;
        }
        closedir(directory);
    }
    printf("%d inputs replayed\n", replayed);
    return replayed > 0 ? 0 : 1;
}
