/* facts.h - reads the built-in data file; for catalog.c only.
 *
 * The text of every number is kept as it stands, so that a price never passes through a double.
 * What the file does not say stays unknown; a token kind that a price list does not name costs what
 * uncached input costs (FACTS_AS_INPUT until facts_settle()). */
#ifndef RELAY_CATALOG_FACTS_H
#define RELAY_CATALOG_FACTS_H

#include "base/arena.h"
#include "catalog/catalog.h"

#define FACTS_AS_INPUT (INT64_MIN + 1)

struct facts; /* the parsed file */

/* Never NULL: a file that cannot be read is a mistake of the build and aborts. */
struct facts *facts_open(void);
void facts_close(struct facts *f);

str facts_date(const struct facts *f); /* borrowed */
size_t facts_count(const struct facts *f);
str facts_id(const struct facts *f, size_t i); /* "provider/model", borrowed; sorted by bytes */

/* The place of that id, or SIZE_MAX. */
size_t facts_find(const struct facts *f, str id);

/* Everything unknown: what a model is before anybody said something about it. */
void facts_blank(struct model *m);

/* Fills what the file says about entry i into m; strings are copied into the arena. */
void facts_fill(const struct facts *f, size_t i, struct arena *a, struct model *m);

/* The estimate for a model of a local server by the longest start of its name; false: none. */
bool facts_local_quality(const struct facts *f, str name, double *quality);

/* Puts the input price where a kind is not billed apart. */
void facts_settle(struct model *m);

#endif
