/* Any bytes as measurements, or as the health of providers, of another process: what is taken
 * leaves shares that are shares and providers that at worst are probed, and nothing is read beyond
 * the bytes. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "catalog/peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct live *l, str id)
{
    unsigned slot = live_slot(l, id);
    for (unsigned streamed = 0; streamed < 2; streamed++) {
        for (double ms = 1; ms < 1e6; ms *= 10) {
            double chance = live_chance(l, slot, streamed, ms, 0.5);
            assert(chance >= 0 && chance <= 1.001);
        }
        assert(isfinite(live_latency(l, slot, streamed).samples));
    }
    assert(live_answer_tokens(l, slot, 100) >= 0);
}

static bool knows(void *ctx, str provider, const struct digest *key)
{
    (void)ctx;
    return provider.len < 8 && (key == NULL || key->b[0] < 128);
}

static void heard(void *ctx, str provider, bool up_again)
{
    assert(health_of(ctx, provider, 1000) == HEALTH_PROBE && !up_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct live *l = live_new(1);
    struct uuid peer = {{7}};
    char *copy = xmemdup0((const char *)data, size);
    (void)live_slot(l, STR("p/m"));
    (void)live_slot(l, STR("q/n"));
    if (live_import(l, &peer, 0, str_of(copy, size), size, 1000)) {
        live_merge(l, 2000);
        look(l, STR("p/m"));
        look(l, STR("q/n"));
    }
    const struct health_listener listener = {knows, heard, l};
    (void)health_import(l, &listener, str_of(copy, size), size % 200000, 1000);
    free(copy);
    live_free(l);
    return 0;
}
