/* flavour.c - the table of OpenAI-compatible providers.
 *
 * A field is dropped only if the answer does not depend on it (it labels or observes). A field that
 * shapes the answer and that a provider refuses is left alone: the refusal names the field, and the
 * next candidate is asked.
 *
 * Sources, as of November 2026: the providers' own API references; OpenAI: openai-node 7.57
 * (max_tokens is deprecated, the o-series and GPT-5 refuse it); Mistral refuses unknown members,
 * reasoning_content among them: BerriAI/litellm#30835, charmbracelet/crush#1590; Cohere refuses
 * stream_options: strandsagents.com, "Cohere"; xAI's usage: Wei-Shaw/sub2api#5771. */
#include "dialects/flavour.h"
#include "dialects/dialect.h"

static const struct flavour flavours[] = {
    {.provider = "openai", .max_tokens = "max_completion_tokens", .takes_own_words = true},
    /* Groq: max_completion_tokens is the current name; usage also in x_groq (read for everyone). */
    {.provider = "groq", .max_tokens = "max_completion_tokens", .no_reasoning_back = true},
    /* Mistral: usage is on the last chunk unasked; unknown members are refused with 422. */
    {.provider = "mistral",
     .max_tokens = "max_tokens",
     .no_stream_options = true,
     .random_seed = true,
     .required_is_any = true,
     .system_only = true,
     .no_reasoning_back = true,
     .short_call_ids = true,
     .drops = {"user", "store", "safety_identifier", "prompt_cache_retention"}},
    {.provider = "deepseek",
     .max_tokens = "max_tokens",
     .system_only = true,
     .reasoning_back = true},
    {.provider = "xai",
     .max_tokens = "max_completion_tokens",
     .reasoning_outside = true,
     .states_ticks = true},
    {.provider = "together", .max_tokens = "max_tokens", .system_only = true},
    {.provider = "fireworks", .max_tokens = "max_tokens", .system_only = true},
    {.provider = "openrouter", .max_tokens = "max_tokens", .states_cost = true},
    {.provider = "cerebras", .max_tokens = "max_completion_tokens"},
    {.provider = "cohere", .max_tokens = "max_tokens", .no_stream_options = true},
};

/* What is said by the client goes on as it is: vLLM, llama.cpp, LM Studio and everything unknown.
 */
static const struct flavour flavour_any = {.provider = NULL, .reasoning_back = true};

const struct flavour *flavour_find(str provider_name, str kind)
{
    if (str_eq(kind, STR("openai"))) {
        for (size_t i = 0; i < sizeof flavours / sizeof *flavours; i++) {
            if (str_eq(provider_name, str_of_c(flavours[i].provider))) {
                return &flavours[i];
            }
        }
    }
    return &flavour_any;
}
