/* builtin.c - the table of built-in providers: to add one, add a row here.
 *
 * Addresses and variables are those of the providers' own documentation, and so is who fetches
 * images (as of 2026-11). Speeds are classes set by hand, not measurements, mildly optimistic on
 * purpose: three measured requests weigh as much. docs/guides/routing.md shows what follows from
 * them.
 *
 * Of a flavour: a field is dropped only if the answer does not depend on it (it labels or
 * observes). A field that shapes the answer and that a provider refuses is left alone: the refusal
 * names the field, and the next candidate is asked. Sources, as of November 2026: the providers'
 * own API references; OpenAI: openai-node 7.57 (max_tokens is deprecated, the o-series and GPT-5
 * refuse it); Mistral refuses unknown members, reasoning_content among them: BerriAI/litellm#30835,
 * charmbracelet/crush#1590; Cohere refuses stream_options: strandsagents.com, "Cohere"; xAI's
 * usage: Wei-Shaw/sub2api#5771. */
#include "config/builtin.h"

const struct builtin_provider builtin_providers[] = {
    /* max_completion_tokens is the current name; usage also in x_groq (read for everyone). */
    {.name = "groq",
     .kind = "openai",
     .base_url = "https://api.groq.com/openai/v1",
     .key_variable = "GROQ_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {200, 300},
     .flavour = {.max_tokens = "max_completion_tokens", .no_reasoning_back = true}},
    {.name = "gemini",
     .kind = "gemini",
     .base_url = "https://generativelanguage.googleapis.com/v1beta",
     .key_variable = "GEMINI_API_KEY",
     .image_urls = TAKES_NO,
     .speed = {400, 150}},
    {.name = "ollama",
     .kind = "ollama",
     .base_url = "http://127.0.0.1:11434",
     .url_variable = "OLLAMA_HOST"},
    {.name = "anthropic",
     .kind = "anthropic",
     .base_url = "https://api.anthropic.com/v1",
     .key_variable = "ANTHROPIC_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {700, 60}},
    {.name = "openai",
     .kind = "openai",
     .base_url = "https://api.openai.com/v1",
     .key_variable = "OPENAI_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {450, 80},
     .flavour = {.max_tokens = "max_completion_tokens", .takes_own_words = true}},
    /* Usage is on the last chunk unasked; unknown members are refused with 422. */
    {.name = "mistral",
     .kind = "openai",
     .base_url = "https://api.mistral.ai/v1",
     .key_variable = "MISTRAL_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {350, 80},
     .flavour = {.max_tokens = "max_tokens",
                 .no_stream_options = true,
                 .random_seed = true,
                 .required_is_any = true,
                 .system_only = true,
                 .no_reasoning_back = true,
                 .short_call_ids = true,
                 .drops = {"user", "store", "safety_identifier", "prompt_cache_retention"}}},
    {.name = "deepseek",
     .kind = "openai",
     .base_url = "https://api.deepseek.com/v1",
     .key_variable = "DEEPSEEK_API_KEY",
     .image_urls = TAKES_NO,
     .speed = {1000, 40},
     .flavour = {.max_tokens = "max_tokens", .system_only = true, .reasoning_back = true}},
    {.name = "xai",
     .kind = "openai",
     .base_url = "https://api.x.ai/v1",
     .key_variable = "XAI_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {500, 80},
     .flavour = {.max_tokens = "max_completion_tokens",
                 .reasoning_outside = true,
                 .states_ticks = true}},
    {.name = "together",
     .kind = "openai",
     .base_url = "https://api.together.xyz/v1",
     .key_variable = "TOGETHER_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {400, 90},
     .flavour = {.max_tokens = "max_tokens", .system_only = true}},
    {.name = "fireworks",
     .kind = "openai",
     .base_url = "https://api.fireworks.ai/inference/v1",
     .key_variable = "FIREWORKS_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {350, 120},
     .flavour = {.max_tokens = "max_tokens", .system_only = true}},
    {.name = "openrouter",
     .kind = "openai",
     .base_url = "https://openrouter.ai/api/v1",
     .key_variable = "OPENROUTER_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {700, 60},
     .flavour = {.max_tokens = "max_tokens", .states_cost = true}},
    {.name = "cerebras",
     .kind = "openai",
     .base_url = "https://api.cerebras.ai/v1",
     .key_variable = "CEREBRAS_API_KEY",
     .image_urls = TAKES_NO,
     .speed = {200, 1000},
     .flavour = {.max_tokens = "max_completion_tokens"}},
    {.name = "cohere",
     .kind = "openai",
     .base_url = "https://api.cohere.ai/compatibility/v1",
     .key_variable = "COHERE_API_KEY",
     .image_urls = TAKES_YES,
     .speed = {350, 70},
     .flavour = {.max_tokens = "max_tokens", .no_stream_options = true}},
    {.name = NULL},
};

const struct builtin_provider *builtin_find(str name)
{
    for (const struct builtin_provider *b = builtin_providers; b->name != NULL; b++) {
        if (str_eq(name, str_of_c(b->name))) {
            return b;
        }
    }
    return NULL;
}
