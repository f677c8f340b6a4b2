/* builtin.c - names, addresses and variables of the built-in providers, as their own documentation
 * gives them. */
#include "config/builtin.h"

const struct builtin_provider builtin_providers[] = {
    {"groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", NULL},
    {"gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY",
     NULL},
    {"ollama", "ollama", "http://127.0.0.1:11434", NULL, "OLLAMA_HOST"},
    {"anthropic", "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", NULL},
    {"openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", NULL},
    {"mistral", "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", NULL},
    {"deepseek", "openai", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", NULL},
    {"xai", "openai", "https://api.x.ai/v1", "XAI_API_KEY", NULL},
    {"together", "openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY", NULL},
    {"fireworks", "openai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", NULL},
    {"openrouter", "openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", NULL},
    {"cerebras", "openai", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", NULL},
    {"cohere", "openai", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", NULL},
    {NULL, NULL, NULL, NULL, NULL},
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
