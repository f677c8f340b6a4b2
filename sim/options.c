/* options.c - the table of flags. A flag that sets something for every answer is only a shorter way
 * to write a member of the configuration document. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 16 * 1024 * 1024 };

enum flag_kind {
    FLAG_LISTEN,
    FLAG_SETTING, /* one member of the document */
    FLAG_LIST,    /* the same, an array of strings separated by commas */
    FLAG_SET,
    FLAG_CONFIG,
    FLAG_CERT,
    FLAG_KEY,
    FLAG_READY,
    FLAG_SWITCH, /* no value */
};

struct flag {
    const char *name;
    const char *value; /* its name in the help, NULL: takes none */
    enum flag_kind kind;
    const char *setting;
    const char *help;
};

static const struct flag flags[] = {
    {"--listen", "HOST:PORT", FLAG_LISTEN, NULL, "default 127.0.0.1:9100; port 0 takes a free one"},
    {"--latency", "MS|DIST", FLAG_SETTING, "ttft", "250, uniform:100:300, lognormal:p50:p95"},
    {"--tps", "N", FLAG_SETTING, "tps", "tokens per second after the first"},
    {"--gap-ms", "N", FLAG_SETTING, "gap_ms", "milliseconds between events, instead of --tps"},
    {"--tokens", "N", FLAG_SETTING, "tokens", "length of every answer"},
    {"--flavour", "NAME", FLAG_SETTING, "flavour", "openai groq openrouter xai deepseek mistral"},
    {"--bench", NULL, FLAG_SWITCH, NULL, "fixed answers, nothing recorded: the least CPU"},
    {"--keys", "A,B", FLAG_LIST, "keys", "accept only these API keys"},
    {"--models", "A,B", FLAG_LIST, "models", "names in the lists of models"},
    {"--record", "N", FLAG_SETTING, "record", "requests kept for /__sim/requests (256)"},
    {"--seed", "N", FLAG_SETTING, "seed", "of the latency distributions"},
    {"--set", "NAME=VALUE", FLAG_SET, NULL, "any setting of --fields"},
    {"--config", "FILE", FLAG_CONFIG, NULL, "a JSON document with settings and rules"},
    {"--tls-cert", "FILE", FLAG_CERT, NULL, "PEM; with --tls-key: https"},
    {"--tls-key", "FILE", FLAG_KEY, NULL, "PEM"},
    {"--ready-fd", "N", FLAG_READY, NULL, "write the address there too, when listening"},
    {"--with-parent", NULL, FLAG_SWITCH, NULL, "stop when the parent process ends"},
    {"--quiet", NULL, FLAG_SWITCH, NULL, "no ready line"},
    {"--fields", NULL, FLAG_SWITCH, NULL, "list the settings and stop"},
    {"--help", NULL, FLAG_SWITCH, NULL, "this text"},
};

enum { FLAG_COUNT = sizeof flags / sizeof flags[0] };

static bool fail(struct bytes *why, const char *text, const char *subject)
{
    bytes_clear(why);
    bytes_add_format(why, "%s %s", text, subject);
    return false;
}

static bool read_listen(struct options *o, const char *value, struct bytes *why)
{
    const char *colon = strrchr(value, ':');
    int64_t port;
    size_t size = colon ? (size_t)(colon - value) : 0;
    if (size && value[0] == '[' && value[size - 1] == ']') {
        value++;
        size -= 2;
    }
    if (!colon || size == 0 || size >= sizeof o->host || !slice_int(slice_of(colon + 1), &port) ||
        port < 0 || port > 65535)
        return fail(why, "--listen wants HOST:PORT, not", value);
    memcpy(o->host, value, size);
    o->host[size] = 0;
    o->port = (int)port;
    return true;
}

static void add_member(struct options *o, struct slice name, struct slice value)
{
    bytes_add_text(&o->config, o->config.size > 1 ? "," : "");
    bytes_add_json(&o->config, name);
    bytes_add_text(&o->config, ":");
    bytes_add_json(&o->config, value);
}

static void add_list(struct options *o, const char *name, struct slice value)
{
    bytes_add_text(&o->config, o->config.size > 1 ? "," : "");
    bytes_add_json(&o->config, slice_of(name));
    bytes_add_text(&o->config, ":[");
    for (bool first = true; value.size; first = false) {
        bytes_add_text(&o->config, first ? "" : ",");
        bytes_add_json(&o->config, slice_trim(slice_cut(&value, ',')));
    }
    bytes_add_text(&o->config, "]");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Lines too, which slice_trim() leaves. */
static struct slice trim_blanks(struct slice s)
{
    while (s.size && is_blank(s.at[s.size - 1]))
        s.size--;
    while (s.size && is_blank(s.at[0])) {
        s.at++;
        s.size--;
    }
    return s;
}

/* The document's members are put in front of those of the flags, which so win. */
static bool read_config(struct options *o, const char *path, struct bytes *why)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(why, "cannot read", path);
    struct bytes text;
    bytes_init(&text, CONFIG_BYTES_MAX);
    char block[4096];
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;)
        bytes_add(&text, block, got);
    (void)fclose(file);
    struct slice all = trim_blanks(bytes_slice(&text));
    bool good = !text.full && all.size >= 2 && all.at[0] == '{' && all.at[all.size - 1] == '}';
    if (good) {
        struct slice inside = trim_blanks((struct slice){all.at + 1, all.size - 2});
        if (inside.size) {
            bytes_add_text(&o->config, o->config.size > 1 ? "," : "");
            bytes_add_slice(&o->config, inside);
        }
    }
    bytes_free(&text);
    return good || fail(why, "no JSON object in", path);
}

static void read_switch(struct options *o, const char *name)
{
    if (strcmp(name, "--bench") == 0) {
        add_member(o, slice_of("bench"), slice_of("true"));
        bytes_add_text(&o->config, ",\"record\":0");
    } else if (strcmp(name, "--with-parent") == 0) {
        o->with_parent = true;
    } else if (strcmp(name, "--quiet") == 0) {
        o->quiet = true;
    } else if (strcmp(name, "--fields") == 0) {
        o->show_fields = true;
    } else {
        o->show_help = true;
    }
}

static bool read_flag(struct options *o, const struct flag *f, const char *value, struct bytes *why)
{
    struct slice text = slice_of(value);
    int64_t number;
    switch (f->kind) {
    case FLAG_LISTEN:
        return read_listen(o, value, why);
    case FLAG_SETTING:
        if (slice_int(text, &number)) { /* record and seed must be numbers */
            bytes_add_format(&o->config, "%s\"%s\":%lld", o->config.size > 1 ? "," : "", f->setting,
                             (long long)number);
            return true;
        }
        add_member(o, slice_of(f->setting), text);
        return true;
    case FLAG_LIST:
        add_list(o, f->setting, text);
        return true;
    case FLAG_SET: {
        struct slice name = slice_cut(&text, '=');
        add_member(o, name, text.at ? text : slice_of("true"));
        return true;
    }
    case FLAG_CONFIG:
        return read_config(o, value, why);
    case FLAG_CERT:
        o->tls_cert = value;
        return true;
    case FLAG_KEY:
        o->tls_key = value;
        return true;
    case FLAG_READY:
        if (!slice_int(text, &number) || number < 0 || number > 65535)
            return fail(why, "--ready-fd wants a number, not", value);
        o->ready_fd = (int)number;
        return true;
    case FLAG_SWITCH:
        read_switch(o, f->name);
        return true;
    }
    return false;
}

bool options_read(struct options *o, int argc, char **argv, struct bytes *why)
{
    *o = (struct options){.host = "127.0.0.1", .port = 9100, .ready_fd = -1};
    bytes_init(&o->config, CONFIG_BYTES_MAX);
    bytes_add_text(&o->config, "{");
    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t size = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const struct flag *f = NULL;
        for (size_t k = 0; k < FLAG_COUNT && !f; k++)
            if (slice_same((struct slice){argv[i], size}, slice_of(flags[k].name)))
                f = &flags[k];
        if (!f)
            return fail(why, "unknown option", argv[i]);
        const char *value = NULL;
        if (f->value)
            value = equals ? equals + 1 : (i + 1 < argc ? argv[++i] : NULL);
        if (f->value ? !value : equals != NULL)
            return fail(why, f->value ? "a value is missing for" : "no value is taken by", f->name);
        if (!read_flag(o, f, value ? value : "", why))
            return false;
    }
    bytes_add_text(&o->config, "}");
    if (!o->tls_cert != !o->tls_key)
        return fail(why, "--tls-cert and --tls-key go together", "");
    return true;
}

void options_help(struct bytes *out)
{
    bytes_add_text(out, "relay-sim: a simulator of language model providers (OpenAI, Anthropic, "
                        "Gemini and Ollama dialects)\n\n");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char left[40];
        (void)snprintf(left, sizeof left, "%s%s%s", flags[i].name, flags[i].value ? " " : "",
                       flags[i].value ? flags[i].value : "");
        bytes_add_format(out, "  %-24s %s\n", left, flags[i].help);
    }
    bytes_add_text(out, "\nControl at run time: GET and POST /__sim/config, POST /__sim/reset,\n"
                        "GET /__sim/stats, GET /__sim/requests?limit=N. Per request: headers "
                        "x-sim-NAME: VALUE,\nor [[sim:NAME=VALUE;...]] in the user's text.\n");
}
