/* openai_in.h - between the two files that read a client's OpenAI request: fields and messages. */
#ifndef RELAY_DIALECTS_OPENAI_IN_H
#define RELAY_DIALECTS_OPENAI_IN_H

#include "dialects/openai.h"
#include "dialects/reader.h"

/* The reader stands at the field. False: a fault is noted. */
bool openai_read_messages(struct reader *r, yyjson_val *v);
bool openai_read_tools(struct reader *r, yyjson_val *v);
bool openai_read_functions(struct reader *r, yyjson_val *v);

#endif
