/* provider.c - what was asked for, to and from a provider: a chat, embeddings, or how many tokens a
 * prompt has. */
#include "dialects/dialect.h"

/* A refusal names the field as the client wrote it. */
static void name_for_door(struct arena *a, const struct dialect *door, str *why, str *param)
{
    str old = *param;
    str quoted = arena_printf(a, "'" STR_FMT "'", STR_ARG(old));
    *param = door->field_name(a, old);
    if (str_starts(*why, quoted))
        *why = arena_printf(a, "'" STR_FMT "'" STR_FMT, STR_ARG(*param),
                            STR_ARG(str_sub(*why, quoted.len, why->len)));
}

enum err provider_request_out(const struct dialect *provider, struct arena *a,
                              const struct chat *chat, const struct target *target,
                              struct outgoing *out, str *why, str *param)
{
    enum err err = ERR_INVALID_REQUEST;
    switch (chat->asked) {
    case ASKED_CHAT:
        err = provider->request_out(a, chat, target, out, why, param);
        break;
    case ASKED_EMBEDDINGS:
        if (provider->embed_out != NULL)
            return provider->embed_out(a, chat, target, out, why, param);
        *param = STR("model");
        *why = STR("'model': this provider has no embeddings.");
        return err;
    case ASKED_COUNT:
        if (provider->count_out != NULL)
            err = provider->count_out(a, chat, target, out, why, param);
        break;
    }
    if (err != OK && chat->door->field_name != NULL)
        name_for_door(a, chat->door, why, param);
    return err;
}

enum err provider_answer_in(const struct dialect *provider, struct arena *a,
                            const struct chat *chat, const struct target *target, str body,
                            struct answer *out, str *why)
{
    switch (chat->asked) {
    case ASKED_CHAT:
        break;
    case ASKED_EMBEDDINGS:
        return provider->embed_in(a, chat, target, body, out, why);
    case ASKED_COUNT:
        *out = (struct answer){.usage = usage_free(), .choices = 1};
        return provider->count_in(a, body, out, why);
    }
    return provider->answer_in(a, target, body, out, why);
}

/* That a server has no embeddings, or does not count, says nothing of its chats: 404, 405 and 501
 * (llama.cpp) concern this request alone. Of counting, which has limits of its own, only that the
 * provider failed is more than that. */
void provider_error_in(const struct dialect *provider, struct arena *a, const struct chat *chat,
                       const struct target *target, int status, str body,
                       struct provider_error *out)
{
    provider->error_in(a, target, status, body, out);
    bool none = out->kind == REFUSAL_NO_MODEL || status == 405 || status == 501;
    if ((chat->asked == ASKED_EMBEDDINGS && none) ||
        (chat->asked == ASKED_COUNT && (none || out->kind != REFUSAL_SERVER)))
        out->kind = REFUSAL_MODERATION;
}
