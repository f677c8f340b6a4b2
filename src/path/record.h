/* record.h - the row of the request log, from what the request has become. */
#ifndef RELAY_PATH_RECORD_H
#define RELAY_PATH_RECORD_H

#include "path/request.h"
#include "store/record.h"

/* Borrows from the request; sets r->overhead_us besides. After r->cost is known. */
void record_fill(struct request *r, struct record *out);

/* How the request was routed, as the header, the log and the metrics say it. */
enum route_kind route_kind_of(const struct request *r);

#endif
