/* finish.c - checks across settings, and the folders that follow from the store's path. */
#include "config/loader.h"
#include "config/store_url.h"

#define LOCAL_STORE "sqlite:data/relay.db"

/* The node that set a dotted path, or NULL when the file did not. */
static const struct node *node_at(const struct node *root, str path)
{
    while (root != NULL && path.len > 0) {
        str head;
        str_cut(path, '.', &head, &path);
        root = node_find(root, head);
    }
    return root;
}

static bool was_set(const struct loader *l, const char *path)
{
    for (const struct setting *s = config_settings; s->path != NULL; s++) {
        if (strcmp(s->path, path) == 0) {
            return l->set[s - config_settings];
        }
    }
    return false;
}

static str folder_of(struct arena *a, str path)
{
    size_t slash = path.len;
    while (slash > 0 && path.p[slash - 1] != '/') {
        slash--;
    }
    if (slash == 0) {
        return STR(".");
    }
    return slash == 1 ? STR("/") : arena_copy(a, str_sub(path, 0, slash - 1));
}

bool loader_finish(struct loader *l, const struct node *root)
{
    struct config *c = l->config;
    c->local_store = store_url_is_postgres(c->store) ? STR(LOCAL_STORE) : c->store;
    c->data_dir = folder_of(&c->arena, store_url_path(c->local_store));
    if (!was_set(l, "journal.dir")) {
        const char *slash = str_ends(c->data_dir, STR("/")) ? "" : "/";
        c->journal.dir = arena_printf(&c->arena, STR_FMT "%sjournal", STR_ARG(c->data_dir), slash);
    }
    if (c->journal.dir.len == 0) {
        return loader_fail(l, node_at(root, STR("journal.dir")), STR("journal.dir"),
                           "must be the path of a folder.");
    }
    if ((c->server.tls_cert.len == 0) != (c->server.tls_key.len == 0)) {
        return loader_fail(l, node_at(root, STR("server.tls")), STR("server.tls"),
                           "needs both cert and key, or neither.");
    }
    if (c->admin.listen.len > 0 && str_eq(c->admin.listen, c->server.listen) &&
        !str_ends(c->server.listen, STR(":0"))) {
        return loader_fail(l, node_at(root, STR("admin.listen")), STR("admin.listen"),
                           "must be another address than server.listen, or empty.");
    }
    str provider;
    if (config_is_model_id(c->targets.baseline, &provider) &&
        loader_provider(l, provider) == NULL) {
        return loader_fail(l, node_at(root, STR("targets.baseline")), STR("targets.baseline"),
                           "names the provider \"" STR_FMT
                           "\", which is neither built in nor in providers.",
                           STR_ARG(provider));
    }
    return true;
}
