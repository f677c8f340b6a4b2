/* facts.c - the built-in data file, read with numbers as text. */
#include "catalog/facts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

extern const unsigned char relay_catalog_json[];
extern const size_t relay_catalog_json_len;

struct fact {
    str id;
    yyjson_val *value;
};

struct facts {
    yyjson_doc *doc;
    str date;
    yyjson_val *sources, *local;
    struct fact *list;
    size_t count;
};

static str text_of(yyjson_val *value)
{
    if (yyjson_is_raw(value))
        return str_of(yyjson_get_raw(value), yyjson_get_len(value));
    return yyjson_is_str(value) ? str_of(yyjson_get_str(value), yyjson_get_len(value)) : (str){0};
}

static str member_text(yyjson_val *object, const char *key)
{
    return text_of(yyjson_obj_get(object, key));
}

static int compare_facts(const void *a, const void *b)
{
    return str_compare(((const struct fact *)a)->id, ((const struct fact *)b)->id);
}

struct facts *facts_open(void)
{
    struct facts *f = xcalloc(1, sizeof *f);
    f->doc = yyjson_read((const char *)relay_catalog_json, relay_catalog_json_len,
                         YYJSON_READ_NUMBER_AS_RAW);
    assert(f->doc != NULL);
    yyjson_val *root = yyjson_doc_get_root(f->doc);
    yyjson_val *models = yyjson_obj_get(root, "models");
    f->date = member_text(root, "date");
    f->sources = yyjson_obj_get(root, "sources");
    f->local = yyjson_obj_get(root, "local_quality");
    f->count = yyjson_arr_size(models);
    assert(f->count > 0 && f->count < CATALOG_MODELS_MAX);
    f->list = xcalloc(f->count, sizeof *f->list);
    size_t i, max;
    yyjson_val *value;
    yyjson_arr_foreach(models, i, max, value)
    {
        f->list[i] = (struct fact){member_text(value, "id"), value};
    }
    qsort(f->list, f->count, sizeof *f->list, compare_facts);
    return f;
}

void facts_close(struct facts *f)
{
    yyjson_doc_free(f->doc);
    free(f->list);
    free(f);
}

str facts_date(const struct facts *f)
{
    return f->date;
}

size_t facts_count(const struct facts *f)
{
    return f->count;
}

str facts_id(const struct facts *f, size_t i)
{
    return f->list[i].id;
}

size_t facts_find(const struct facts *f, str id)
{
    struct fact wanted = {.id = id};
    const struct fact *found = bsearch(&wanted, f->list, f->count, sizeof *f->list, compare_facts);
    return found != NULL ? (size_t)(found - f->list) : SIZE_MAX;
}

static const struct prices unknown_prices = {
    PUSD_UNKNOWN, PUSD_UNKNOWN, PUSD_UNKNOWN, PUSD_UNKNOWN, PUSD_UNKNOWN,
};

void facts_blank(struct model *m)
{
    *m = (struct model){
        .prices = unknown_prices,
        .later = {INT64_MAX, unknown_prices},
        .context = -1,
        .max_output = -1,
        .capabilities_unknown = CAP_TOOLS | CAP_VISION | CAP_JSON | CAP_REASONING | CAP_IMAGE_URLS |
                                CAP_AUDIO | CAP_FILES | CAP_EMBEDDINGS,
        .capabilities = CAP_CHAT,
        .quality = NAN,
    };
}

static void read_price(yyjson_val *object, const char *key, pusd *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (value != NULL) {
        bool ok = pusd_parse_price(text_of(value), out);
        assert(ok);
    }
}

/* What `object` names replaces what is in p. */
static void read_prices(yyjson_val *object, struct prices *p)
{
    read_price(object, "input", &p->input);
    read_price(object, "output", &p->output);
    read_price(object, "cached_input", &p->cached_input);
    read_price(object, "cache_write", &p->cache_write);
    read_price(object, "cache_write_1h", &p->cache_write_1h);
}

static int64_t read_int(yyjson_val *object, const char *key, int64_t fallback)
{
    (void)str_to_i64(member_text(object, key), &fallback);
    return fallback;
}

static void fill_prices(yyjson_val *value, struct model *m)
{
    if (yyjson_obj_get(value, "input") == NULL)
        return;
    m->prices =
        (struct prices){PUSD_UNKNOWN, PUSD_UNKNOWN, FACTS_AS_INPUT, FACTS_AS_INPUT, FACTS_AS_INPUT};
    read_prices(value, &m->prices);
    /* Writes are billed apart here, and nobody says what an hour costs. */
    if (m->prices.cache_write != FACTS_AS_INPUT && m->prices.cache_write_1h == FACTS_AS_INPUT)
        m->prices.cache_write_1h = PUSD_UNKNOWN;

    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(value, "tiers"), i, max, item)
    {
        assert(m->tier_count < TIERS_MAX);
        struct price_tier *tier = &m->tiers[m->tier_count++];
        tier->above_prompt_tokens = read_int(item, "above_input_tokens", INT64_MAX);
        tier->prices = m->prices;
        read_prices(item, &tier->prices);
    }
    yyjson_arr_foreach(yyjson_obj_get(value, "windows"), i, max, item)
    {
        assert(m->window_count < WINDOWS_MAX);
        struct price_window *window = &m->windows[m->window_count++];
        window->from_minute = (int)read_int(item, "from_minute", 0);
        window->to_minute = (int)read_int(item, "to_minute", 0);
        window->prices = m->prices;
        read_prices(item, &window->prices);
    }
    yyjson_val *later = yyjson_obj_get(value, "later");
    if (later != NULL && clock_utc_parse(member_text(later, "from"), &m->later.from_us)) {
        m->later.prices = m->prices;
        read_prices(later, &m->later.prices);
    }
}

static void fill_capability(yyjson_val *value, const char *key, unsigned bit, struct model *m)
{
    yyjson_val *told = yyjson_obj_get(value, key);
    if (told == NULL)
        return;
    m->capabilities_unknown &= ~bit;
    if (yyjson_is_true(told))
        m->capabilities |= bit;
}

void facts_fill(const struct facts *f, size_t i, struct arena *a, struct model *m)
{
    yyjson_val *value = f->list[i].value;
    fill_prices(value, m);
    m->context = read_int(value, "context", -1);
    m->max_output = read_int(value, "max_output", -1);
    fill_capability(value, "tools", CAP_TOOLS, m);
    fill_capability(value, "vision", CAP_VISION, m);
    fill_capability(value, "json", CAP_JSON, m);
    fill_capability(value, "reasoning", CAP_REASONING, m);
    m->capabilities_unknown &= ~(unsigned)CAP_EMBEDDINGS; /* the data is of chat models only */
    m->no_temperature = yyjson_is_true(yyjson_obj_get(value, "no_temperature"));
    if (str_to_double(member_text(value, "quality"), &m->quality)) {
        m->quality_estimated = yyjson_is_true(yyjson_obj_get(value, "quality_estimated"));
        m->quality_source = arena_copy(a, member_text(value, "quality_source"));
    }
    str key = member_text(value, "price_source");
    str what = member_text(yyjson_obj_getn(f->sources, key.p, key.len), "what");
    str note = member_text(value, "price_note");
    if (str_is_empty(note))
        m->price_source = arena_copy(a, what);
    else
        m->price_source = arena_printf(a, STR_FMT "; " STR_FMT, STR_ARG(what), STR_ARG(note));
}

bool facts_local_quality(const struct facts *f, str name, double *quality)
{
    size_t longest = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(f->local);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
        str start = text_of(key);
        if (start.len > longest && str_starts_nocase(name, start) &&
            str_to_double(text_of(yyjson_obj_iter_get_val(key)), quality))
            longest = start.len;
    }
    return longest > 0;
}

static void settle(struct prices *p)
{
    if (p->cached_input == FACTS_AS_INPUT)
        p->cached_input = p->input;
    if (p->cache_write == FACTS_AS_INPUT)
        p->cache_write = p->input;
    if (p->cache_write_1h == FACTS_AS_INPUT)
        p->cache_write_1h = p->input;
}

void facts_settle(struct model *m)
{
    settle(&m->prices);
    settle(&m->later.prices);
    for (unsigned i = 0; i < m->tier_count; i++)
        settle(&m->tiers[i].prices);
    for (unsigned i = 0; i < m->window_count; i++)
        settle(&m->windows[i].prices);
}
