/* main.c - the table of subcommands. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/cli.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about; /* NULL: not in the help */
};

static const struct command commands[] = {
    {"serve", cli_serve, "run the gateway"},
    {"check", cli_check, "validate the configuration and print what would run"},
    {"keys", cli_keys, "create, list, update, rotate and revoke client keys"},
    {"models", cli_models, "the catalogue: prices, quality, capabilities, latency"},
    {"route", cli_route, "dry run: how a prompt would be routed, and why"},
    {"usage", cli_usage, "spend and savings from the request log"},
    {"logs", cli_logs, "the request log"},
    {"cache", cli_cache, "cached answers: how many, and forgetting some"},
    {"dashboard", cli_dashboard, "print an address that signs in once"},
    {"embed", cli_embed, "vectors of texts, made here; of two texts their cosine"},
    {"version", cli_version, "print the version"},
    {"docs", cli_docs, NULL},
    {NULL, NULL, NULL},
};

static void print_help(FILE *out)
{
    fputs("usage: relay COMMAND [options]\n\n"
          "Relay is a gateway for language models: one address and one key for many providers.\n\n"
          "commands:\n",
          out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (c->about != NULL) {
            fprintf(out, "  %-9s %s\n", c->name, c->about);
        }
    }
    fputs("\nEvery command takes --config FILE and --help. Without a file, providers are taken "
          "from the\n"
          "environment (GROQ_API_KEY, OPENAI_API_KEY, ...). Start with: relay serve\n",
          out);
}

static int unknown(const char *name)
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (const struct command *c = commands; c->name != NULL; c++) {
        size_t distance = str_distance(str_of_c(name), str_of_c(c->name));
        if (c->about != NULL && distance < best_distance) {
            best = c->name;
            best_distance = distance;
        }
    }
    if (best != NULL) {
        cli_error("there is no command \"%s\"; did you mean \"%s\"?", name, best);
    } else {
        cli_error("there is no command \"%s\"; relay --help lists them.", name);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const char *name = args_take_verb(&argc, argv);
    if (name == NULL) {
        bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        if (argc > 1 && strcmp(argv[1], "--version") == 0) {
            return cli_version(1, argv);
        }
        print_help(help ? stdout : stderr);
        return help ? 0 : EXIT_USAGE;
    }
    if (strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strcmp(name, c->name) == 0) {
            return c->run(argc, argv);
        }
    }
    return unknown(name);
}
