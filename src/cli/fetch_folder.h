/* fetch_folder.h - what fetch.c does with files: a model's folder in the making. */
#ifndef RELAY_CLI_FETCH_FOLDER_H
#define RELAY_CLI_FETCH_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct fetch_file {
    const char *name;
    const char *instead; /* where the server has no such file; or NULL */
    size_t bytes_max;
};

/* In the order in which they are fetched, the small ones first. */
#define FETCH_FILES 5u
extern const struct fetch_file fetch_files[FETCH_FILES];

/* False: *why is a sentence in the arena. All names are absolute or from the working folder. */

/* A fresh empty folder, and the ones above it and in it. */
bool fetch_folder_make(const char *folder, struct arena *a, str *why);
/* Opens a file in it for writing; -1: *why. */
int fetch_folder_open(const char *folder, const char *name, struct arena *a, str *why);
/* Writes all of it. */
bool fetch_folder_write(int fd, str bytes, struct arena *a, str *why);
/* The file's bytes are on the disk; closes it in any case. */
bool fetch_folder_close(int fd, struct arena *a, str *why);
/* Puts the folder in the place of another one, which goes when it holds nothing but a model. */
bool fetch_folder_rename(const char *from, const char *to, struct arena *a, str *why);
/* The model's files and the folder, if nothing else is in it. */
void fetch_folder_remove(const char *folder, struct arena *a);

#endif
