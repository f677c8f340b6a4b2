/* discover.c - asks Ollama and the OpenAI-compatible servers of one's own what they have installed:
 * at start and every minute, all at once, each answer bounded. A server that does not answer has
 * nothing; what it had before is forgotten then.
 *
 * Ollama: GET /api/tags, then POST /api/show for each model (context length and capabilities).
 * Others: GET /models. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/runtime.h"

#define ANSWER_BYTES_MAX      (4u << 20)
#define MODELS_PER_SERVER_MAX 256u
#define CONNECT_MS            1000
#define FOUND_MAX             4096u

struct question {
    struct discovery *d;
    const struct provider_config *provider;
    struct http_call *call;
    struct buf body;
    size_t show; /* index + 1 of the model that /api/show was asked for; 0: the list */
    struct question *next;
};

struct discovery {
    struct runtime *rt;
    struct config *config; /* a reference: a reload may come meanwhile */
    void (*done)(struct runtime *rt);
    struct question *questions;
    unsigned open;
    struct loop_timer late;
    struct arena arena;
    struct discovered_model *found;
    size_t count;
};

static void ask(struct discovery *d, const struct provider_config *p, const char *method,
                const char *path, str body, size_t show);

static void finish(struct discovery *d)
{
    struct runtime *rt = d->rt;
    loop_timer_stop(&d->late);
    while (d->questions != NULL) {
        struct question *q = d->questions;
        d->questions = q->next;
        if (q->call != NULL)
            call_cancel(q->call);
        buf_deinit(&q->body);
        free(q);
    }
    arena_deinit(&rt->discovered_arena);
    free(rt->discovered);
    rt->discovered_arena = d->arena;
    rt->discovered = d->found;
    rt->discovered_count = d->count;
    rt->discovery = NULL;
    void (*done)(struct runtime *) = d->done;
    config_unref(d->config);
    free(d);
    done(rt);
}

static void closed(struct question *q)
{
    q->call = NULL;
    q->d->open--;
    if (q->d->open == 0)
        finish(q->d);
}

static struct discovered_model *add(struct discovery *d, const struct provider_config *p, str name)
{
    if (d->count == FOUND_MAX || name.len == 0 || name.len > 200 || str_has_control(name))
        return NULL;
    struct discovered_model *m = &d->found[d->count++];
    *m = (struct discovered_model){
        .provider = arena_copy(&d->arena, p->name),
        .name = arena_copy(&d->arena, name),
        .context = -1,
        .capabilities = CAP_CHAT,
        .capabilities_unknown = CAP_TOOLS | CAP_VISION | CAP_JSON | CAP_REASONING | CAP_EMBEDDINGS,
    };
    return m;
}

/* {"models":[{"name":"llama3.2:latest"}]}; each is asked for its details. */
static void take_tags(struct question *q, yyjson_val *root)
{
    yyjson_val *list = json_get(root, "models"), *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (unsigned n = 0; yyjson_is_arr(list) && n < MODELS_PER_SERVER_MAX &&
                         (item = yyjson_arr_iter_next(&it)) != NULL;
         n++) {
        str name = {0};
        if (!json_get_str(item, "name", &name, NULL) && !json_get_str(item, "model", &name, NULL))
            continue;
        struct discovered_model *m = add(q->d, q->provider, name);
        if (m == NULL)
            continue;
        struct buf body;
        buf_init(&body, 1024);
        (void)buf_add(&body, STR("{\"model\":"));
        (void)json_add_str(&body, name);
        (void)buf_add_char(&body, '}');
        ask(q->d, q->provider, "POST", "/api/show", arena_copy(&q->d->arena, buf_str(&body)),
            q->d->count);
        buf_deinit(&body);
    }
}

static unsigned capability_of(str word)
{
    return str_eq(word, STR("tools"))        ? CAP_TOOLS
           : str_eq(word, STR("vision"))     ? CAP_VISION
           : str_eq(word, STR("thinking"))   ? CAP_REASONING
           : str_eq(word, STR("embedding"))  ? CAP_EMBEDDINGS
           : str_eq(word, STR("completion")) ? CAP_CHAT
                                             : 0;
}

/* {"capabilities":["completion","tools"],"model_info":{"llama.context_length":131072}} */
static void take_show(struct question *q, yyjson_val *root)
{
    struct discovered_model *m = &q->d->found[q->show - 1];
    yyjson_val *words = json_get(root, "capabilities"), *info = json_get(root, "model_info"), *key,
               *word;
    if (yyjson_is_arr(words)) {
        /* Ollama lists all that it knows; JSON schema works for every model (its grammar does it).
         */
        m->capabilities_unknown = 0;
        m->capabilities = CAP_JSON;
        yyjson_arr_iter it = yyjson_arr_iter_with(words);
        while ((word = yyjson_arr_iter_next(&it)) != NULL)
            m->capabilities |= capability_of(json_str(word));
        if (!(m->capabilities & CAP_EMBEDDINGS))
            m->capabilities |= CAP_CHAT; /* older versions do not say "completion" */
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(info);
    while (yyjson_is_obj(info) && (key = yyjson_obj_iter_next(&it)) != NULL) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (str_ends(json_str(key), STR(".context_length")) && yyjson_is_uint(value))
            m->context = (int64_t)(yyjson_get_uint(value) & INT64_MAX);
    }
}

/* {"data":[{"id":"qwen3-8b"}]}; vLLM adds max_model_len, llama.cpp meta.n_ctx (of one slot). */
static void take_models(struct question *q, yyjson_val *root)
{
    yyjson_val *list = json_get(root, "data"), *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (unsigned n = 0; yyjson_is_arr(list) && n < MODELS_PER_SERVER_MAX &&
                         (item = yyjson_arr_iter_next(&it)) != NULL;
         n++) {
        str name = {0};
        if (!json_get_str(item, "id", &name, NULL))
            continue;
        struct discovered_model *m = add(q->d, q->provider, name);
        int64_t context = 0;
        if (m == NULL)
            continue;
        if (json_get_i64(item, "max_model_len", &context, NULL) ||
            json_get_i64(json_get(item, "meta"), "n_ctx", &context, NULL))
            m->context = context > 0 ? context : -1;
    }
}

static void on_head(struct http_call *call)
{
    (void)call;
}

static void on_body(struct http_call *call, str bytes)
{
    struct question *q = call->user;
    (void)buf_add(&q->body, bytes);
}

static void on_end(struct http_call *call)
{
    struct question *q = call->user;
    struct arena a;
    arena_init(&a, 0);
    yyjson_val *root =
        call->status == 200 && !q->body.full ? json_parse(&a, buf_str(&q->body), NULL) : NULL;
    if (root != NULL && q->show != 0)
        take_show(q, root);
    else if (root != NULL && str_eq(q->provider->kind, STR("ollama")))
        take_tags(q, root);
    else if (root != NULL)
        take_models(q, root);
    arena_deinit(&a);
    closed(q);
}

static void on_failed(struct http_call *call, enum call_failure failure, str detail)
{
    (void)failure;
    (void)detail;
    closed(call->user);
}

static const struct call_handler handler = {on_head, on_body, on_end, on_failed};

static void ask(struct discovery *d, const struct provider_config *p, const char *method,
                const char *path, str body, size_t show)
{
    struct origin *origin = client_origin(d->rt->control_client, p->base_url, p->proxy, p->ca_file);
    if (origin == NULL)
        return;
    struct question *q = xcalloc(1, sizeof *q);
    q->d = d;
    q->provider = p;
    q->show = show;
    q->next = d->questions;
    d->questions = q;
    buf_init(&q->body, ANSWER_BYTES_MAX);
    str headers = STR("accept: application/json\r\ncontent-type: application/json\r\n");
    if (p->api_key_count > 0)
        headers = arena_printf(&d->arena, STR_FMT "authorization: Bearer " STR_FMT "\r\n",
                               STR_ARG(headers), STR_ARG(p->api_keys[0]));
    struct call_request request = {
        .method = str_of_c(method),
        .path = str_of_c(path),
        .headers = headers,
        .body = body,
        .connect_timeout_ms = CONNECT_MS,
    };
    d->open++;
    q->call = call_start(origin, &request, &handler, q);
}

static void on_late(struct loop_timer *t)
{
    finish(LIST_ITEM(t, struct discovery, late));
}

void discover_start(struct runtime *rt, void (*done)(struct runtime *rt))
{
    if (rt->discovery != NULL) {
        rt->discovery->done = done; /* one at a time; this one's answers will do */
        return;
    }
    struct discovery *d = xcalloc(1, sizeof *d);
    rt->discovery = d;
    d->rt = rt;
    d->config = config_ref(rt->config);
    d->done = done;
    d->found = xcalloc(FOUND_MAX, sizeof *d->found);
    arena_init(&d->arena, 0);
    loop_timer_init(&d->late, rt->control, on_late);
    loop_timer_start(&d->late, DISCOVER_MS);
    d->open++; /* held, so that an answer cannot end it while questions are still being asked */
    for (unsigned i = 0; i < d->config->provider_count; i++) {
        const struct provider_config *p = &d->config->providers[i];
        if (p->state != PROVIDER_ON)
            continue;
        if (str_eq(p->kind, STR("ollama")))
            ask(d, p, "GET", "/api/tags", (str){0}, 0);
        else if (str_eq(p->kind, STR("openai")) && !p->built_in)
            ask(d, p, "GET", "/models", (str){0}, 0);
    }
    d->open--;
    if (d->open == 0) /* nobody to ask: on a later turn, like everything else */
        loop_timer_start(&d->late, 0);
}
