/* What Ollama may send: as a stream, as a plain answer and as an error. */
#include "dialect_stream.h"

#define MUTATE_PREFIX_BYTES 1
#include "mutate_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(&dialect_ollama, data, size);
    return 0;
}
