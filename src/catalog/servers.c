/* servers.c - what follows from a provider's kind or, for those built in, its row.
 *
 * A server of one's own (`kind: openai` under another name) may take addresses of images or not:
 * unknown, until the configuration says `image_urls`. */
#include "catalog/servers.h"

enum takes server_takes_image_urls(const struct provider_config *p)
{
    if (str_eq(p->kind, STR("ollama")) || str_eq(p->kind, STR("gemini")))
        return TAKES_NO;
    if (str_eq(p->kind, STR("anthropic")))
        return TAKES_YES;
    const struct builtin_provider *b = builtin_find(p->name);
    return b != NULL ? b->image_urls : TAKES_UNKNOWN;
}

struct speed server_speed(str provider_name)
{
    const struct builtin_provider *b = builtin_find(provider_name);
    return b != NULL ? b->speed : (struct speed){0, 0};
}
