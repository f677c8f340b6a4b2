/* args.c - reads arguments by a table. The help text is made from the same table that is parsed. */
#include "cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/table.h"

#define HELP_COLUMN    26
#define HELP_CELLS_MAX 100u

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("relay: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* As wide as the terminal, and never so wide that nobody likes to read it. */
static struct screen help_screen(void)
{
    struct screen s = screen_look();
    s.columns = s.columns > 0 && s.columns < HELP_CELLS_MAX ? s.columns : HELP_CELLS_MAX;
    return s;
}

static void print_help(const struct args *args)
{
    static const char usage[] = "usage: ";
    struct screen screen = help_screen();
    struct buf out;
    buf_init(&out, 65536);
    buf_printf(&out, usage);
    screen_add_wrapped(&out, &screen, sizeof usage - 1, sizeof usage - 1, str_of_c(args->usage));
    buf_add_char(&out, '\n');
    screen_add_wrapped(&out, &screen, 0, 0, str_of_c(args->about));
    buf_printf(&out, "\noptions:\n");
    for (const struct args_option *o = args->options; o->name != NULL; o++) {
        char left[80];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        buf_printf(&out, "  %-*s ", HELP_COLUMN, left);
        screen_add_wrapped(&out, &screen, HELP_COLUMN + 3, HELP_COLUMN + 3, str_of_c(o->help));
    }
    buf_printf(&out, "  %-*s %s\n", HELP_COLUMN, "--help", "print this");
    fwrite(out.p, 1, out.len, stdout);
    buf_deinit(&out);
}

static const struct args_option *find(const struct args *args, str name)
{
    for (const struct args_option *o = args->options; o->name != NULL; o++) {
        if (str_eq(name, str_of_c(o->name))) {
            return o;
        }
    }
    return NULL;
}

static enum args_result unknown(const struct args *args, str name)
{
    const char *best = NULL;
    size_t best_distance = 1 + name.len / 3;
    for (const struct args_option *o = args->options; o->name != NULL; o++) {
        size_t distance = str_distance(name, str_of_c(o->name));
        if (distance <= best_distance && (best == NULL || distance < best_distance)) {
            best = o->name;
            best_distance = distance;
        }
    }
    cli_error("there is no option --" STR_FMT "%s%s; usage: %s", STR_ARG(name),
              best != NULL ? ", did you mean --" : "", best != NULL ? best : "", args->usage);
    return ARGS_BAD;
}

/* One option at argv[*i]; a value may be the next argument. */
static enum args_result take_option(const struct args *args, int argc, char **argv, int *i)
{
    str name, value;
    bool has_value = str_cut(str_of_c(argv[*i] + 2), '=', &name, &value);
    if (str_eq(name, STR("help"))) {
        print_help(args);
        return ARGS_HELP;
    }
    const struct args_option *o = find(args, name);
    if (o == NULL) {
        return unknown(args, name);
    }
    if (o->value == NULL) {
        if (has_value) {
            cli_error("--%s takes no value.", o->name);
            return ARGS_BAD;
        }
        *o->flag = true;
        return ARGS_OK;
    }
    if (*o->text != NULL) {
        cli_error("--%s is given twice; give it once.", o->name);
        return ARGS_BAD;
    }
    if (has_value) {
        *o->text = value.p;
    } else if (*i + 1 < argc) {
        *o->text = argv[++*i];
    } else {
        cli_error("--%s needs a value: --%s %s.", o->name, o->name, o->value);
        return ARGS_BAD;
    }
    return ARGS_OK;
}

const char *args_take_verb(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--config") == 0) {
            i++;
        } else if (argv[i][0] != '-') {
            const char *verb = argv[i];
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
            --*argc;
            return verb;
        }
    }
    return NULL;
}

enum args_result args_parse(struct args *args, int argc, char **argv)
{
    bool options = true;
    args->operand_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
        } else if (options && (strncmp(arg, "--", 2) == 0 || strcmp(arg, "-h") == 0)) {
            char help[] = "--help";
            char *one[] = {help};
            int zero = 0;
            enum args_result r = arg[1] == 'h' ? take_option(args, 1, one, &zero)
                                               : take_option(args, argc, argv, &i);
            if (r != ARGS_OK) {
                return r;
            }
        } else if (options && arg[0] == '-' && arg[1] != '\0' &&
                   !(arg[1] >= '0' && arg[1] <= '9')) {
            cli_error("there is no option %s; usage: %s", arg, args->usage);
            return ARGS_BAD;
        } else if (args->operand_count == args->operands_max) {
            cli_error("\"%s\" is one argument too many; usage: %s", arg, args->usage);
            return ARGS_BAD;
        } else {
            args->operands[args->operand_count++] = arg;
        }
    }
    if (args->operand_count < args->operands_min) {
        cli_error("an argument is missing; usage: %s", args->usage);
        return ARGS_BAD;
    }
    return ARGS_OK;
}
