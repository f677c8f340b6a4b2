/* journal_segment.c - segment files: their heads, their names, and those found at start.
 *
 * Head: "RELAYJNL", a version as u32, and the CRC-32C of these twelve bytes; little end first. */
#include "store/journal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"

#define SEGMENT_VERSION    1u
#define SEGMENTS_FOUND_MAX 65536u

void segment_head_print(char out[SEGMENT_HEAD_BYTES])
{
    memcpy(out, "RELAYJNL", 8);
    put_u32(out + 8, SEGMENT_VERSION);
    put_u32(out + 12, crc32c(0, out, 12));
}

bool segment_head_ok(const char head[SEGMENT_HEAD_BYTES])
{
    char want[SEGMENT_HEAD_BYTES];
    segment_head_print(want);
    return memcmp(head, want, sizeof want) == 0;
}

struct segment *segment_new(struct journal *j, char *take_path, int fd, bool inherited, int64_t end)
{
    struct segment *s = xcalloc(1, sizeof *s);
    s->path = take_path;
    s->fd = fd;
    s->inherited = inherited;
    s->end = end;
    s->sealed = inherited;
    s->read_at = s->committed_at = inherited ? 0 : SEGMENT_HEAD_BYTES;
    pthread_mutex_lock(&j->lock);
    list_add_before(&j->segments, &s->node);
    pthread_mutex_unlock(&j->lock);
    return s;
}

void segment_free(struct segment *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->path);
    free(s);
}

/* ---- those of an earlier process ---- */

struct found {
    uint64_t sequence, worker;
    char *name;
};

static bool parse_name(const char *name, struct found *out)
{
    str rest = str_of_c(name), worker, sequence;
    if (!str_ends(rest, STR(".journal")) ||
        !str_cut(str_sub(rest, 0, rest.len - 8), '-', &worker, &sequence)) {
        return false;
    }
    return str_to_u64(worker, &out->worker) && str_to_u64(sequence, &out->sequence);
}

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->sequence != y->sequence) {
        return x->sequence < y->sequence ? -1 : 1;
    }
    return x->worker < y->worker ? -1 : x->worker > y->worker;
}

static char *inherit_one(struct journal *j, const struct found *f)
{
    size_t len = strlen(j->dir) + strlen(f->name) + 2;
    char *path = xmalloc(len);
    snprintf(path, len, "%s/%s", j->dir, f->name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        char text[512];
        snprintf(text, sizeof text, "cannot open the journal's %s: %s", f->name, strerror(errno));
        free(path);
        if (fd >= 0) {
            close(fd);
        }
        return xmemdup0(text, strlen(text));
    }
    atomic_fetch_add_explicit(&j->bytes, info.st_size, memory_order_relaxed);
    segment_new(j, path, fd, true, info.st_size);
    return NULL;
}

char *segments_inherit(struct journal *j, uint64_t *last)
{
    DIR *dir = opendir(j->dir);
    if (dir == NULL) {
        char text[512];
        snprintf(text, sizeof text, "cannot list the journal's directory %s: %s", j->dir,
                 strerror(errno));
        return xmemdup0(text, strlen(text));
    }
    struct found *all = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < SEGMENTS_FOUND_MAX;) {
        struct found f;
        if (!parse_name(entry->d_name, &f)) {
            continue;
        }
        if (count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            all = xrealloc(all, cap * sizeof *all);
        }
        f.name = xmemdup0(entry->d_name, strlen(entry->d_name));
        all[count++] = f;
    }
    closedir(dir);
    if (count > 1) {
        qsort(all, count, sizeof *all, compare_found);
    }
    char *why = NULL;
    for (size_t i = 0; i < count; i++) {
        *last = all[i].sequence > *last ? all[i].sequence : *last;
        if (why == NULL) {
            why = inherit_one(j, &all[i]);
        }
        free(all[i].name);
    }
    free(all);
    return why;
}
