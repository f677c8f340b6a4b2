/* answer_codec.h - a stored answer as bytes, for other processes, and back. */
#ifndef RELAY_STORE_ANSWER_CODEC_H
#define RELAY_STORE_ANSWER_CODEC_H

#include "base/buf.h"
#include "store/answers.h"

/* False: the buffer's maximum is in the way. The features are left out: whoever reads makes them.
 */
bool answer_encode(const struct stored_answer *a, struct buf *out);

/* False: not such bytes. Texts borrow `bytes`; the question's vector, where there is one, is copied
 * to `vector`. */
bool answer_decode(str bytes, struct stored_answer *out, float vector[VECTOR_DIM]);

/* Of such bytes, or of their first ANSWER_HEAD_BYTES: all but the body and the question. */
#define ANSWER_HEAD_BYTES 4096u
bool answer_decode_head(str bytes, struct stored_answer *out);

/* The numbers as four bytes each, little end first: as VADD and VSIM take them. */
void vector_encode(const float vector[VECTOR_DIM], char out[VECTOR_DIM * 4]);

#endif
