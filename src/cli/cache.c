/* cache.c - `relay cache`: what is kept of answers, and forgetting it, with or without a running
 * gateway. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/shared.h"
#include "cli/tool.h"
#include "config/redis_url.h"
#include "store/answers_file.h"

static int parse_exit(enum args_result r)
{
    return r == ARGS_HELP ? 0 : EXIT_USAGE;
}

static int cache_stats(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false;
    const struct args_option options[] = {ARGS_CONFIG(&config), ARGS_JSON(&json), {0}};
    struct args args = {.usage = "relay cache stats [--json]",
                        .about = "The answers in the file of the cache. A running gateway's newest "
                                 "are there within a second.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    struct tool t = {0};
    struct answers_file_stats s;
    str why;
    int code = tool_open(&t, config, TOOL_NO_STORE);
    if (code != 0) {
        return tool_close(&t, code);
    }
    if (!answers_file_stats(t.config->local_store, &s, &t.arena, &why)) {
        return tool_close(&t, tool_fail(why));
    }
    if (json) {
        buf_add(&t.out, STR("{"));
        json_member_int(&t.out, "answers", s.answers);
        json_member_int(&t.out, "similar", s.similar);
        json_member_int(&t.out, "bytes", s.bytes);
        json_member_time(&t.out, "oldest", s.oldest_us);
        json_member_time(&t.out, "newest", s.newest_us);
        buf_add(&t.out, STR("}\n"));
    } else {
        str oldest = tool_time(&t.arena, s.oldest_us), newest = tool_time(&t.arena, s.newest_us);
        buf_printf(&t.out,
                   "answers  %lld\nsimilar  %lld may answer questions like their own\nbytes    "
                   "%lld\noldest   " STR_FMT "\nnewest   " STR_FMT "\n",
                   (long long)s.answers, (long long)s.similar, (long long)s.bytes, STR_ARG(oldest),
                   STR_ARG(newest));
    }
    return tool_close(&t, 0);
}

/* ---- purge ---- */

struct purge_options {
    const char *entry, *key, *group, *tag;
    bool all;
};

static int said(const struct purge_options *o)
{
    return (o->entry != NULL) + (o->key != NULL) + (o->group != NULL) + (o->tag != NULL) + o->all;
}

/* The owner whose answers a key's are: itself, or its group. */
static bool owner_of_key(struct tool *t, const char *name, struct uuid *owner, str *why)
{
    struct key_row row;
    if (!db_key_find(t->db, str_of_c(name), &t->arena, &row, why)) {
        return false;
    }
    if (row.cache_group.len > 0) {
        *why =
            arena_printf(&t->arena, "the key shares the cache of its group; use --group " STR_FMT,
                         STR_ARG(row.cache_group));
        return false;
    }
    *owner = row.id;
    return true;
}

/* Those in the file first: a gateway that starts in the meantime would bring them back. */
static int forget(struct tool *t, const struct answers_purge *p)
{
    str why = {0};
    int64_t count = answers_file_purge(t->config->local_store, p, &t->arena, &why);
    if (count < 0) {
        return tool_fail(why);
    }
    buf_printf(&t->out, "%lld answers forgotten\n", (long long)count);
    if (!redis_url_is(t->config->shared)) {
        return 0;
    }
    count = shared_purge(t->config, p, &t->arena, &why);
    if (count < 0) {
        return tool_fail(why);
    }
    buf_printf(&t->out,
               "%lld answers forgotten in Redis, which tells all gateways within a second\n",
               (long long)count);
    return 0;
}

static int purge(struct tool *t, const struct purge_options *o)
{
    struct uuid id;
    struct answers_purge p = {0};
    str why = {0};
    if (o->entry != NULL) {
        p.source_id = uuid_parse(str_of_c(o->entry), &id) ? &id : NULL;
        why = STR("--entry takes the id of a request, as x-relay-id and `relay logs` have it");
    } else if (o->key != NULL) {
        p.owner = owner_of_key(t, o->key, &id, &why) ? &id : NULL;
    } else if (o->group != NULL) {
        struct digest name = digest_of(str_of_c(o->group));
        memcpy(id.b, name.b, sizeof id.b);
        p.owner = &id;
    } else if (o->tag != NULL) {
        (void)str_cut(str_of_c(o->tag), '=', &p.tag, &p.tag_value);
    }
    if (!o->all && p.source_id == NULL && p.owner == NULL && p.tag.len == 0) {
        return tool_fail(why);
    }
    return forget(t, &p);
}

static int cache_purge(int argc, char **argv)
{
    const char *config = NULL;
    struct purge_options o = {0};
    const struct args_option options[] = {
        ARGS_CONFIG(&config),
        {"entry", "ID", "the answer that the request with this id brought", &o.entry, NULL},
        {"key", "KEY", "the answers of a key: its id, tag or name", &o.key, NULL},
        {"group", "NAME", "the answers of a cache group", &o.group, NULL},
        {"tag", "NAME=VALUE", "the answers to requests with this tag", &o.tag, NULL},
        {"all", NULL, "all answers", NULL, &o.all},
        {0}};
    struct args args = {
        .usage =
            "relay cache purge --entry ID | --key KEY | --group NAME | --tag NAME=VALUE | --all",
        .about =
            "Forgets cached answers: in the file, and in the Redis server that `shared` names, "
            "at once; in running gateways within a second.",
        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r != ARGS_OK) {
        return parse_exit(r);
    }
    bool tag_bad = o.tag != NULL && (strchr(o.tag, '=') == NULL || o.tag[0] == '=');
    if (said(&o) != 1 || tag_bad) {
        cli_error("say which answers; usage: %s", args.usage);
        return EXIT_USAGE;
    }
    struct tool t = {0};
    int code = tool_open(&t, config, o.key != NULL ? TOOL_STORE : TOOL_NO_STORE);
    return tool_close(&t, code != 0 ? code : purge(&t, &o));
}

int cli_cache(int argc, char **argv)
{
    static const char usage[] = "relay cache stats|purge [options]";
    const char *verb = args_take_verb(&argc, argv);
    if (verb != NULL && strcmp(verb, "stats") == 0) {
        return cache_stats(argc, argv);
    }
    if (verb != NULL && strcmp(verb, "purge") == 0) {
        return cache_purge(argc, argv);
    }
    if (verb != NULL) {
        cli_error("there is no \"relay cache %s\"; usage: %s", verb, usage);
        return EXIT_USAGE;
    }
    const struct args_option options[] = {{0}};
    struct args args = {.usage = usage,
                        .about = "The cached answers: how many, and forgetting some.",
                        .options = options};
    enum args_result r = args_parse(&args, argc, argv);
    if (r == ARGS_OK) {
        cli_error("say what to do with the cache; usage: %s", usage);
    }
    return parse_exit(r);
}
