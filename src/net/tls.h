/* tls.h - OpenSSL contexts: one for the listener (reloadable), one per trust for upstreams,
 * sessions reused. Memory BIOs; the error queue is cleared before every SSL call. TLS 1.2 and
 * newer. Shared by all workers. */
#ifndef RELAY_NET_TLS_H
#define RELAY_NET_TLS_H

#include <stdbool.h>

#include "base/str.h"

struct tls_server;
/* NULL: *why says what is wrong, for people (allocated, caller frees). */
struct tls_server *tls_server_new(str cert_file, str key_file, char **why);
/* Reads the files again (SIGHUP); on failure the old ones stay. Connections under way keep theirs.
 */
bool tls_server_reload(struct tls_server *t, str cert_file, str key_file, char **why);
void tls_server_free(struct tls_server *t);

/* Trusts the system's certificates, and per origin those of a ca_file in their place. */
struct tls_client;
struct tls_client *tls_client_new(void);
void tls_client_free(struct tls_client *t);

#endif
