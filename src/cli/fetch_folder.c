/* fetch_folder.c - a model's folder in the making, beside the place it is for, which it takes by a
 * rename only once it is whole. Knows no network. */
#include "cli/fetch_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB           1024u
#define CONFIG_BYTES  (1024u * KIB)
#define WORDS_BYTES   (4u * 1024u * KIB)
#define WEIGHTS_BYTES (100u * 1024u * KIB) /* they have 90,868,376 */

const struct fetch_file fetch_files[FETCH_FILES] = {
    {"config.json", NULL, CONFIG_BYTES},
    {"1_Pooling/config.json", NULL, CONFIG_BYTES},
    {"sentence_bert_config.json", NULL, CONFIG_BYTES},
    {"vocab.txt", "tokenizer.json", WORDS_BYTES},
    {"model.safetensors", NULL, WEIGHTS_BYTES},
};

static const char inner[] = "1_Pooling";

static const char *path_of(struct arena *a, const char *folder, const char *name)
{
    return arena_printf(a, "%s/%s", folder, name).p;
}

static bool fail(struct arena *a, str *why, const char *path)
{
    *why = arena_printf(a, "%s: %s", path, strerror(errno));
    return false;
}

void fetch_folder_remove(const char *folder, struct arena *a)
{
    struct stat st;
    if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return; /* behind a link is somebody else's */
    for (size_t i = 0; i < FETCH_FILES; i++) {
        (void)unlink(path_of(a, folder, fetch_files[i].name));
        if (fetch_files[i].instead != NULL)
            (void)unlink(path_of(a, folder, fetch_files[i].instead));
    }
    (void)rmdir(path_of(a, folder, inner));
    (void)rmdir(folder);
}

static const char *above(struct arena *a, const char *folder)
{
    const char *slash = strrchr(folder, '/');
    return slash == NULL ? "." : arena_copy(a, str_of(folder, (size_t)(slash - folder))).p;
}

bool fetch_folder_make(const char *folder, struct arena *a, str *why)
{
    const char *parent = above(a, folder), *within = path_of(a, folder, inner);
    fetch_folder_remove(folder, a);
    if (mkdir(parent, 0700) != 0 && errno != EEXIST)
        return fail(a, why, parent);
    if (mkdir(folder, 0700) != 0)
        return fail(a, why, folder);
    return mkdir(within, 0700) == 0 || fail(a, why, within);
}

int fetch_folder_open(const char *folder, const char *name, struct arena *a, str *why)
{
    const char *path = path_of(a, folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        (void)fail(a, why, path);
    return fd;
}

bool fetch_folder_write(int fd, str bytes, struct arena *a, str *why)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.p, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(a, why, "it cannot be written");
        bytes = str_sub(bytes, (size_t)n, bytes.len);
    }
    return true;
}

bool fetch_folder_close(int fd, struct arena *a, str *why)
{
    bool good = fsync(fd) == 0 || fail(a, why, "it cannot be written");
    if (close(fd) != 0 && good)
        good = fail(a, why, "it cannot be written");
    return good;
}

/* The names in it are on the disk. */
static bool sync_folder(const char *folder, struct arena *a, str *why)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        (void)fail(a, why, folder);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

bool fetch_folder_rename(const char *from, const char *to, struct arena *a, str *why)
{
    if (!sync_folder(path_of(a, from, inner), a, why) || !sync_folder(from, a, why))
        return false;
    fetch_folder_remove(to, a);
    if (rename(from, to) != 0)
        return fail(a, why, to);
    return sync_folder(above(a, to), a, why);
}
