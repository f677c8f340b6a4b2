/* exporter.h - sends finished spans to a collector: OTLP over HTTP, in JSON, in batches.
 *
 * It has a thread, a loop and a client of its own, so that a collector that is slow or away costs
 * requests nothing: what it does not take in time stays in the bounded queue, and then is dropped
 * and counted (path/trace_queue.h). A batch goes out when it is full, or a
 * quarter of a second after the last one. */
#ifndef RELAY_CLI_EXPORTER_H
#define RELAY_CLI_EXPORTER_H

#include "base/log.h"
#include "config/config.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "path/trace_queue.h"

struct exporter;

struct exporter_options {
    struct trace_queue *queue;
    struct log *log;
    struct tls_client *tls;
    struct resolver *resolver;
    const char *version; /* Relay's */
};

struct exporter *exporter_start(const struct exporter_options *options);

/* The control thread: from now on to where this configuration says, which may be nowhere. The proxy
 * is the one that the source's environment names. */
void exporter_use(struct exporter *e, const struct config *c, const struct config_source *source);

/* Sends what is left, for at most EXPORTER_STOP_MS, and ends the thread. */
#define EXPORTER_STOP_MS 3000u
void exporter_stop(struct exporter *e);

#endif
