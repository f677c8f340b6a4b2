/* servers.c - two tables about providers.
 *
 * Image addresses: from the providers' API references as of 2026-11. A server of one's own
 * (`kind: openai` under another name) may or may not: unknown, until the configuration says
 * `image_urls`.
 *
 * Speeds: classes set by hand, not measurements, mildly optimistic on purpose: three measured
 * requests weigh as much. docs/guides/routing.md shows what follows from them. */
#include "catalog/servers.h"

struct server {
    const char *name;
    enum takes image_urls;
    struct speed speed;
};

static const struct server servers[] = {
    {"openai", TAKES_YES, {450, 80}},     {"anthropic", TAKES_YES, {700, 60}},
    {"gemini", TAKES_NO, {400, 150}},     {"groq", TAKES_YES, {200, 300}},
    {"cerebras", TAKES_NO, {200, 1000}},  {"mistral", TAKES_YES, {350, 80}},
    {"deepseek", TAKES_NO, {1000, 40}},   {"xai", TAKES_YES, {500, 80}},
    {"together", TAKES_YES, {400, 90}},   {"fireworks", TAKES_YES, {350, 120}},
    {"openrouter", TAKES_YES, {700, 60}}, {"cohere", TAKES_YES, {350, 70}},
};

static const struct server *find(str name)
{
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++)
        if (str_eq(name, str_of_c(servers[i].name)))
            return &servers[i];
    return NULL;
}

enum takes server_takes_image_urls(const struct provider_config *p)
{
    if (str_eq(p->kind, STR("ollama")) || str_eq(p->kind, STR("gemini")))
        return TAKES_NO;
    if (str_eq(p->kind, STR("anthropic")))
        return TAKES_YES;
    const struct server *s = find(p->name);
    return s != NULL ? s->image_urls : TAKES_UNKNOWN;
}

struct speed server_speed(str provider_name)
{
    const struct server *s = find(provider_name);
    return s != NULL ? s->speed : (struct speed){0, 0};
}
