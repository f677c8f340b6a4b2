/* args.h - command-line arguments from a table: options anywhere, `--name value` or `--name=value`,
 * `--` ends them. */
#ifndef RELAY_CLI_ARGS_H
#define RELAY_CLI_ARGS_H

#include <stdbool.h>

#define EXIT_USAGE 2

struct args_option {
    const char *name;  /* without the dashes */
    const char *value; /* "FILE"; NULL: a flag */
    const char *help;
    const char **text; /* of an option with a value; NULL stays where it is not given */
    bool *flag;
};

struct args {
    const char *usage;                 /* "relay keys revoke ID [ID ...]" */
    const char *about;                 /* a few sentences */
    const struct args_option *options; /* ended by a NULL name; --help is added */
    unsigned operands_min, operands_max;
    const char **operands;  /* room for operands_max */
    unsigned operand_count; /* filled */
};

enum args_result {
    ARGS_OK,
    ARGS_HELP /* printed to standard output */,
    ARGS_BAD /* said on standard error */
};

/* argv[0] is not looked at. */
enum args_result args_parse(struct args *args, int argc, char **argv);

/* Takes the first argument that is neither an option nor the value of --config out of argv: the
 * subcommand's name. NULL: there is none. */
const char *args_take_verb(int *argc, char **argv);

/* "relay: sentence" on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ARGS_CONFIG(target)                                                                        \
    {                                                                                              \
        "config", "FILE", "configuration file (default: relay.yaml, if it exists)", (target), 0    \
    }
#define ARGS_JSON(target)                                                                          \
    {                                                                                              \
        "json", 0, "print JSON", 0, (target)                                                       \
    }
#define ARGS_TABLE(target)                                                                         \
    {                                                                                              \
        "table", 0, "print a table, also where standard output is no terminal", 0, (target)        \
    }

#endif
