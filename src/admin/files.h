/* files.h - the dashboard's files, which are part of the program (cmake/EmbedFile.cmake). */
#ifndef RELAY_ADMIN_FILES_H
#define RELAY_ADMIN_FILES_H

#include <stddef.h>

struct embedded_file {
    const char *path; /* "/assets/index-7p5sfO12.js" */
    const unsigned char *plain;
    const size_t *plain_bytes;
    const unsigned char *gzip;
    const size_t *gzip_bytes;
};

/* The last has no path. Empty in a program that was built without web/dist. */
extern const struct embedded_file relay_dashboard[];

#endif
