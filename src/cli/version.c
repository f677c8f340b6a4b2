/* version.c - `relay version`, and the hidden `relay docs` that writes the generated documentation.
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/tool.h"

int cli_version(int argc, char **argv)
{
    const char *config = NULL;
    const struct args_option options[] = {ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay version", .about = "Prints the version.", .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    puts("relay " RELAY_VERSION);
    return fflush(stdout) == 0 ? 0 : 1;
}

int cli_docs(int argc, char **argv)
{
    const char *config = NULL, *operand = NULL;
    const struct args_option options[] = {ARGS_CONFIG(&config), {0}};
    struct args args = {.usage = "relay docs configuration",
                        .about = "Prints docs/reference/settings.md from the table of settings.",
                        .options = options,
                        .operands_min = 1,
                        .operands_max = 1,
                        .operands = &operand};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    }
    if (strcmp(operand, "configuration") != 0) {
        cli_error("there is no generated page \"%s\"; usage: %s", operand, args.usage);
        return EXIT_USAGE;
    }
    struct buf page;
    buf_init(&page, CLI_OUTPUT_BYTES_MAX);
    config_print_reference(&page);
    size_t written = fwrite(page.p, 1, page.len, stdout);
    bool ok = written == page.len && fflush(stdout) == 0;
    buf_deinit(&page);
    return ok ? 0 : 1;
}
