/* gate.c - step one of a decision: who can do the job and may do it.
 *
 * Allow-list entries are a provider ("groq", "groq/asterisk"), a model
 * ("groq/llama-3.3-70b-versatile"), a model's own name at any provider ("gpt-4o"), an alias (its
 * models), "auto" (whatever auto picks) or an asterisk (all). */
#include "catalog/gate.h"

#include <math.h>

static const char *const reason_texts[REFUSED_REASON_COUNT] = {
    [REFUSED_NONE] = "none",
    [REFUSED_TOOLS] = "tools",
    [REFUSED_VISION] = "vision",
    [REFUSED_IMAGE_URLS] = "image_urls",
    [REFUSED_JSON] = "json",
    [REFUSED_AUDIO] = "audio",
    [REFUSED_FILES] = "files",
    [REFUSED_CONTEXT] = "context",
    [REFUSED_MAX_OUTPUT] = "max_output",
    [REFUSED_NOT_ALLOWED] = "not_allowed",
    [REFUSED_ONLY] = "only",
    [REFUSED_IGNORED] = "ignored",
    [REFUSED_UNHEALTHY] = "unhealthy",
    [REFUSED_KEY_RESTS] = "key_rests",
    [REFUSED_MODEL_OUT] = "model_out",
    [REFUSED_BUDGET] = "budget",
    [REFUSED_MAX_COST] = "max_cost",
    [REFUSED_UNPRICED] = "unpriced",
    [REFUSED_NO_QUALITY] = "no_quality",
    [REFUSED_QUALITY] = "quality",
    [REFUSED_LATENCY] = "latency",
    [REFUSED_NOT_ENABLED] = "not_enabled",
    [REFUSED_REASONING] = "reasoning",
    [REFUSED_EMBEDDINGS] = "embeddings",
    [REFUSED_CHAT] = "chat",
};

const char *refusal_reason_text(enum refusal_reason r)
{
    return reason_texts[r];
}

struct subject subject_of(const struct catalog *c, const struct ask *ask, const struct model *m)
{
    if (m != NULL)
        return (struct subject){m, m->provider_name, m->name};
    return (struct subject){NULL, c->config->providers[ask->among->provider].name,
                            ask->among->name};
}

bool asked_by_name(const struct ask *ask)
{
    return ask->ordered != NULL || ask->among->kind == RESOLVED_PINNED ||
           ask->among->kind == RESOLVED_PASS;
}

/* "provider", "provider/asterisk" or "provider/model". */
static bool entry_names(str entry, struct subject s)
{
    if (!str_starts(entry, s.provider))
        return false;
    if (entry.len == s.provider.len)
        return true;
    if (entry.p[s.provider.len] != '/')
        return false;
    str rest = str_sub(entry, s.provider.len + 1, entry.len);
    return str_eq(rest, s.name) || str_eq(rest, STR("*"));
}

static bool list_names(const str *list, unsigned count, struct subject s)
{
    for (unsigned i = 0; i < count; i++)
        if (entry_names(list[i], s))
            return true;
    return false;
}

static bool alias_names(const struct config *config, str name, struct subject s)
{
    for (unsigned i = 0; i < config->alias_count; i++) {
        const struct alias_config *alias = &config->aliases[i];
        if (str_eq(alias->name, name))
            return list_names(alias->models, alias->model_count, s);
    }
    return false;
}

static bool allowed(const struct catalog *c, const struct ask *ask, struct subject s)
{
    for (unsigned i = 0; i < ask->allow_count; i++) {
        str entry = ask->allow[i];
        bool chosen_by_auto = ask->ordered == NULL && ask->among->kind == RESOLVED_AUTO;
        if (str_eq(entry, STR("*")) || str_eq(entry, s.name) || entry_names(entry, s) ||
            (chosen_by_auto && str_eq(entry, STR("auto"))) || alias_names(c->config, entry, s))
            return true;
    }
    return ask->allow_count == 0;
}

enum refusal_reason gate_lists(const struct catalog *c, const struct ask *ask, struct subject s)
{
    if (!allowed(c, ask, s))
        return REFUSED_NOT_ALLOWED;
    if (ask->only_count > 0 && !list_names(ask->only, ask->only_count, s))
        return REFUSED_ONLY;
    if (list_names(ask->ignore, ask->ignore_count, s))
        return REFUSED_IGNORED;
    return REFUSED_NONE;
}

enum refusal_reason gate_capabilities(const struct ask *ask, const struct model *m,
                                      enum unsure unsure)
{
    static const struct {
        unsigned bit;
        enum refusal_reason reason;
    } reasons[] = {
        {CAP_TOOLS, REFUSED_TOOLS},
        {CAP_VISION, REFUSED_VISION},
        {CAP_IMAGE_URLS, REFUSED_IMAGE_URLS},
        {CAP_JSON, REFUSED_JSON},
        {CAP_AUDIO, REFUSED_AUDIO},
        {CAP_FILES, REFUSED_FILES},
        {CAP_REASONING, REFUSED_REASONING},
        {CAP_EMBEDDINGS, REFUSED_EMBEDDINGS},
        {CAP_CHAT, REFUSED_CHAT},
    };
    unsigned missing = ask->needs & ~m->capabilities;
    if (unsure != UNKNOWN_IS_ABSENT)
        missing &= ~m->capabilities_unknown;
    if (unsure == ALL_IS_PRESENT)
        missing &= CAP_IMAGE_URLS | CAP_EMBEDDINGS | CAP_CHAT;
    for (size_t i = 0; missing != 0 && i < sizeof reasons / sizeof *reasons; i++)
        if (missing & reasons[i].bit)
            return reasons[i].reason;
    return REFUSED_NONE;
}

static bool is_among(const struct ask *ask, const struct model *m)
{
    const struct model **list = ask->ordered;
    unsigned count = ask->ordered_count;
    if (list == NULL) {
        if (ask->among->kind == RESOLVED_AUTO || ask->among->kind == RESOLVED_PASS)
            return true;
        list = ask->among->models;
        count = ask->among->count;
    }
    for (unsigned i = 0; i < count; i++)
        if (list[i] == m)
            return true;
    return false;
}

enum refusal_reason admissible(const struct catalog *c, const struct ask *ask,
                               const struct model *m)
{
    enum refusal_reason reason = gate_lists(c, ask, subject_of(c, ask, m));
    if (reason != REFUSED_NONE || m == NULL)
        return reason;
    if (!is_among(ask, m))
        return REFUSED_NOT_ENABLED;
    bool by_name = asked_by_name(ask);
    bool group = ask->among->kind == RESOLVED_GROUP;
    reason = gate_capabilities(
        ask, m, by_name ? ALL_IS_PRESENT : (group ? UNKNOWN_IS_PRESENT : UNKNOWN_IS_ABSENT));
    if (reason != REFUSED_NONE || by_name || ask->min_quality <= 0)
        return reason;
    if (isnan(m->quality))
        return group ? REFUSED_NONE : REFUSED_NO_QUALITY;
    return m->quality < ask->min_quality ? REFUSED_QUALITY : REFUSED_NONE;
}
