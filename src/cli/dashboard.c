/* dashboard.c - `relay dashboard`: an address that signs in once, made from the admin key alone,
 * with or without a running gateway. */
#include <stdio.h>

#include "admin/files.h"
#include "admin/secrets.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/runtime.h"
#include "cli/tool.h"
#include "config/url.h"

/* Where a browser on this machine finds what listens there: every address is also 127.0.0.1. */
static str address_for_browser(struct arena *a, str listen)
{
    struct url u;
    if (!url_parse_authority(listen, &u))
        return listen;
    if (u.host.len == 0 || str_eq(u.host, STR("0.0.0.0")))
        return arena_printf(a, "127.0.0.1:%d", u.port);
    if (str_eq(u.host, STR("::")))
        return arena_printf(a, "[::1]:%d", u.port);
    return listen;
}

int cli_dashboard(int argc, char **argv)
{
    const char *config = NULL;
    const struct args_option options[] = {ARGS_CONFIG(&config), {0}};
    struct args args = {
        .usage = "relay dashboard [--config FILE]",
        .about =
            "Prints the dashboard's address with a token that signs in once, within ten minutes. "
            "It is made from the admin key (admin.key, or the file admin-key in the data folder), "
            "so "
            "whoever may read that may use it. Behind a proxy put its name in the place of the "
            "host.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK)
        return r == ARGS_HELP ? 0 : EXIT_USAGE;
    struct tool t = {0};
    int code = tool_open(&t, config, TOOL_NO_STORE);
    if (code != 0)
        return tool_close(&t, code);
    str key = firstrun_admin_key(t.config, &t.arena);
    if (key.p == NULL)
        return tool_close(&t, 1);
    if (key.len == 0)
        return tool_close(&t, tool_fail(STR("there is no admin key yet; relay serve makes it")));
    const struct config *c = t.config;
    bool apart = c->admin.listen.len > 0;
    struct secrets secrets = secrets_of(key);
    char token[TOKEN_TEXT_BYTES];
    str shown = token_new(&secrets, clock_utc_us(), token);
    str address = address_for_browser(&t.arena, apart ? c->admin.listen : c->server.listen);
    buf_printf(&t.out, "%s://" STR_FMT "/#/enter?token=" STR_FMT "\n",
               !apart && c->server.tls_cert.len > 0 ? "https" : "http", STR_ARG(address),
               STR_ARG(shown));
    if (relay_dashboard[0].path == NULL)
        fputs("This program was built without the dashboard's pages (web/dist); POST the token to "
              "/admin/v1/session.\n",
              stderr);
    return tool_close(&t, 0);
}
