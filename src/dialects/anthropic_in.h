/* anthropic_in.h - between the two files that read a client's Anthropic request: fields and
 * messages. */
#ifndef RELAY_DIALECTS_ANTHROPIC_IN_H
#define RELAY_DIALECTS_ANTHROPIC_IN_H

#include "dialects/anthropic.h"
#include "dialects/reader.h"

/* The reader stands at the field. False: a fault is noted. */
bool anthropic_read_messages(struct reader *r, yyjson_val *v);
bool anthropic_read_tools(struct reader *r, yyjson_val *v);

/* After the messages: the system's text becomes the first of them. */
bool anthropic_read_system(struct reader *r, yyjson_val *v);

#endif
