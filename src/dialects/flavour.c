/* flavour.c - which flavour of OpenAI's API a provider speaks: the row of the built-in provider of
 * that name (config/builtin.c), else none. */
#include "config/builtin.h"
#include "dialects/dialect.h"

/* What is said by the client goes on as it is: vLLM, llama.cpp, LM Studio and everything unknown.
 */
static const struct flavour flavour_any = {.reasoning_back = true};

const struct flavour *flavour_find(str provider_name, str kind)
{
    const struct builtin_provider *b =
        str_eq(kind, STR("openai")) ? builtin_find(provider_name) : NULL;
    return b != NULL && str_eq(kind, str_of_c(b->kind)) ? &b->flavour : &flavour_any;
}
