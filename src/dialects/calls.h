/* calls.h - tool calls where the dialects differ: names that an answer must repeat, ids that were
 * not given, and signatures that have no other place than the id.
 *
 * Gemini signs its calls (thoughtSignature) and wants the signature back with the call, byte for
 * byte. Every client gives the id of a call back, and hardly any gives back members that it does
 * not know: so the signature travels inside the id, as letters, digits, '-' and '_' only, which
 * every dialect takes. */
#ifndef RELAY_DIALECTS_CALLS_H
#define RELAY_DIALECTS_CALLS_H

#include "dialects/chat.h"

/* An id for a call that has none: the same for the same answer (`seed`) and place in it, and unlike
 * any other's, for clients put it into the next turn. */
str call_id_make(struct arena *a, str seed, unsigned index, str name, str arguments);

/* True for ids of call_id_make(), which no provider needs to know. */
bool call_id_is_made(str id);

/* The id with the signature inside it; the id alone when there is no signature. */
str call_id_join(struct arena *a, str id, str signature);

/* Is there a signature in it? */
bool call_id_is_joined(str id);

/* The two apart again; *signature is empty when there is none in it. */
void call_id_split(struct arena *a, str joined, str *id, str *signature);

/* The name of the tool whose answer messages[index] is, looked up by the call's id; empty when it
 * cannot be known. */
str call_name_of(const struct chat *chat, unsigned index);

#endif
