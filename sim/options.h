/* options.h - the command line. Settings become the start document, the rest stays here. */
#ifndef RELAY_SIM_OPTIONS_H
#define RELAY_SIM_OPTIONS_H

#include "bytes.h"

struct options {
    char host[64];
    int port;
    const char *tls_cert, *tls_key;
    int ready_fd;
    bool quiet;
    bool with_parent;
    bool show_help, show_fields;
    struct bytes config; /* a JSON document */
};

/* false: `why` has one sentence. */
bool options_read(struct options *o, int argc, char **argv, struct bytes *why);
void options_help(struct bytes *out);

#endif
