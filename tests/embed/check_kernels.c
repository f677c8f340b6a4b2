/* check_kernels.c - the fastest kernels of the processor this is compiled for against the portable
 * ones. It stands alone (no library but the C library's), so that scripts/neon.sh can run it for
 * another processor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/kernels.h"

void *xcalloc(size_t count, size_t bytes)
{
    void *result = calloc(count, bytes);
    if (result == NULL)
        abort();
    return result;
}

int main(int argc, char **argv)
{
    const char *failed;
    const struct kernels *k = kernels_choose(NULL, &failed);
    if (failed != NULL) {
        const struct kernels *wrong = kernels_neon() != NULL ? kernels_neon() : kernels_avx2();
        printf("the %s kernels are wrong in %s\n", failed, kernels_check(wrong));
        return 1;
    }
    printf("%s kernels\n", k->name);
    return argc > 1 && strcmp(argv[1], k->name) != 0;
}
