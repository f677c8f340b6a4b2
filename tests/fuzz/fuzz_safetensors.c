/* Any bytes as a safetensors file, and as the header of one: what is accepted lies inside of the
 * file, in order, each byte in one tensor. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read(str bytes)
{
    struct arena a;
    struct safetensors s;
    struct embed_error error = {""};
    arena_init(&a, 0);
    if (safetensors_read(&s, &a, bytes, &error)) {
        const unsigned char *at = NULL;
        for (size_t i = 0; i < s.count; i++) {
            const struct tensor *t = &s.tensors[i];
            assert(at == NULL || t->data == at);
            at = t->data + (t->end - t->begin);
            assert(safetensors_find(&s, t->name) == t);
        }
        assert(at == NULL || at == (const unsigned char *)bytes.p + bytes.len);
        (void)safetensors_floats(&s, "a", 1, 2, &error);
    } else {
        assert(error.text[0] != 0);
    }
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > (64u << 10))
        return 0;
    read(str_of((const char *)data, size));
    /* The rest as a header, with as many bytes of data as the first byte says. */
    size_t header = size - 1, len = 8 + header + data[0];
    unsigned char *file = xcalloc(len, 1);
    file[0] = (unsigned char)(header & 255);
    file[1] = (unsigned char)(header >> 8);
    memcpy(file + 8, data + 1, header);
    read(str_of((const char *)file, len));
    free(file);
    return 0;
}
