/* cli.h - the subcommands. Each gets its own name in argv[0] and its arguments after it, and
 * returns the exit code: 0 for success, 1 for a failure, 2 for usage and configuration errors. */
#ifndef RELAY_CLI_CLI_H
#define RELAY_CLI_CLI_H

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_keys(int argc, char **argv);
int cli_models(int argc, char **argv);
int cli_route(int argc, char **argv);
int cli_usage(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_cache(int argc, char **argv);
int cli_dashboard(int argc, char **argv);
int cli_embed(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_docs(int argc, char **argv); /* hidden: writes docs/generated/ */

#endif
