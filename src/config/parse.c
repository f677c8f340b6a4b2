/* parse.c - text to tree, over libyaml's events.
 *
 * The events are used in place of libyaml's own documents so that aliases, depth and the number of
 * nodes are bounded here, and a key that stands twice is an error. JSON passes through the same
 * parser; only its surrogate pairs, which YAML does not have, are written as UTF-8 first. */
#include "config/tree.h"

#include <string.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/json.h"

struct anchor {
    str name;
    struct node *node;
};

struct parse {
    yaml_parser_t yaml;
    struct arena *arena;
    struct tree_error *error;
    str text;
    struct anchor anchors[TREE_ANCHORS_MAX];
    unsigned anchor_count;
    size_t nodes;
};

static struct node *parse_node(struct parse *p, yaml_event_t *event, unsigned depth);

static void fail(struct parse *p, const char *what, yaml_mark_t mark)
{
    if (str_is_empty(p->error->what)) {
        p->error->what = arena_printf(p->arena, "%s", what);
        p->error->line = (unsigned)mark.line + 1;
        p->error->column = (unsigned)mark.column + 1;
    }
}

/* A line of the text, from 0. */
static str line_at(str text, size_t number)
{
    str line = {NULL, 0};
    for (size_t i = 0; i <= number && text.len > 0; i++) {
        str_cut(text, '\n', &line, &text);
    }
    return line;
}

static bool next_event(struct parse *p, yaml_event_t *event)
{
    if (yaml_parser_parse(&p->yaml, event)) {
        return true;
    }
    const char *problem = p->yaml.problem != NULL ? p->yaml.problem : "unreadable";
    yaml_mark_t mark = p->yaml.problem_mark;
    if (p->yaml.error == YAML_READER_ERROR) {
        mark =
            p->yaml
                .mark; /* the reader knows a byte offset only; the scanner's place is close to it */
    }
    /* The brace of a variable ends a mapping in braces: the likeliest mistake where there is one.
     */
    bool variable = str_find(line_at(p->text, mark.line), STR("${"), 0) != SIZE_MAX;
    fail(p,
         arena_printf(p->arena, "this is not valid YAML: %s%s", problem,
                      variable ? "; inside { } a variable needs quotes: \"${NAME}\"" : "")
             .p,
         mark);
    return false;
}

static str copy_yaml(struct arena *a, const yaml_char_t *text, size_t len)
{
    return arena_copy(a, str_of((const char *)text, len));
}

/* Puts the node under its anchor, if it has one. */
static bool anchor_node(struct parse *p, const yaml_char_t *name, struct node *node,
                        yaml_mark_t mark)
{
    if (name == NULL) {
        return true;
    }
    if (p->anchor_count == TREE_ANCHORS_MAX) {
        fail(p, "there are more than 256 anchors", mark);
        return false;
    }
    str text = copy_yaml(p->arena, name, strlen((const char *)name));
    p->anchors[p->anchor_count++] = (struct anchor){text, node};
    return true;
}

static bool count_nodes(struct parse *p, size_t weight, yaml_mark_t mark)
{
    p->nodes += weight;
    if (p->nodes > TREE_NODES_MAX) {
        fail(p, "the file is too large once its aliases are put in (100000 values at most)", mark);
        return false;
    }
    return true;
}

static struct node *find_alias(struct parse *p, const yaml_event_t *event)
{
    str name = str_of_c((const char *)event->data.alias.anchor);
    for (unsigned i = p->anchor_count; i-- > 0;) {
        if (str_eq(p->anchors[i].name, name)) {
            struct node *node = p->anchors[i].node;
            return count_nodes(p, node->weight, event->start_mark) ? node : NULL;
        }
    }
    fail(p,
         arena_printf(p->arena, "the alias *" STR_FMT " has no anchor before it", STR_ARG(name)).p,
         event->start_mark);
    return NULL;
}

static struct node *new_node(struct parse *p, enum node_kind kind, yaml_mark_t mark)
{
    struct node *node = arena_new(p->arena, struct node, 1);
    node->kind = kind;
    node->line = (unsigned)mark.line + 1;
    node->column = (unsigned)mark.column + 1;
    node->weight = 1;
    return count_nodes(p, 1, mark) ? node : NULL;
}

/* Appends to keys (of a mapping) and items; arrays double, their old copies stay in the arena. */
static void add_child(struct parse *p, struct node *parent, struct node *key, struct node *item)
{
    size_t count = parent->count;
    if ((count & (count - 1)) == 0) {
        size_t room = count == 0 ? 1 : count * 2;
        struct node **items = arena_new(p->arena, struct node *, room);
        struct node **keys = arena_new(p->arena, struct node *, room);
        for (size_t i = 0; i < count; i++) {
            items[i] = parent->items[i];
            keys[i] = parent->keys[i];
        }
        parent->items = items;
        parent->keys = keys;
    }
    parent->keys[count] = key;
    parent->items[count] = item;
    parent->count++;
    parent->weight += item->weight + (key != NULL ? 1 : 0);
}

static bool check_key(struct parse *p, const struct node *map, const struct node *key,
                      yaml_mark_t mark)
{
    if (key->kind != NODE_SCALAR) {
        fail(p, "a key must be plain text", mark);
        return false;
    }
    if (map->count == TREE_KEYS_MAX) {
        fail(p, "a mapping holds more than 8192 keys", mark);
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (str_eq(map->keys[i]->text, key->text)) {
            fail(p,
                 arena_printf(p->arena,
                              "the key \"" STR_FMT
                              "\" stands here a second time (first in line %u); "
                              "remove one of them",
                              STR_ARG(str_sub(key->text, 0, 64)), map->keys[i]->line)
                     .p,
                 mark);
            return false;
        }
    }
    return true;
}

/* The children of a list or mapping up to its end event. */
static bool parse_children(struct parse *p, struct node *parent, unsigned depth)
{
    yaml_event_type_t end =
        parent->kind == NODE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct node *key = NULL;
    for (;;) {
        yaml_event_t event;
        if (!next_event(p, &event)) {
            return false;
        }
        if (event.type == end) {
            yaml_event_delete(&event);
            return true;
        }
        yaml_mark_t mark = event.start_mark;
        struct node *child = parse_node(p, &event, depth + 1);
        yaml_event_delete(&event);
        if (child == NULL) {
            return false;
        }
        if (parent->kind == NODE_LIST) {
            add_child(p, parent, NULL, child);
        } else if (key == NULL) {
            if (!check_key(p, parent, child, mark)) {
                return false;
            }
            key = child;
        } else {
            add_child(p, parent, key, child);
            key = NULL;
        }
    }
}

/* The event belongs to the caller. */
static struct node *parse_node(struct parse *p, yaml_event_t *event, unsigned depth)
{
    struct node *node;
    if (depth > TREE_DEPTH_MAX) {
        fail(p, "this is nested more than 32 levels deep", event->start_mark);
        return NULL;
    }
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return find_alias(p, event);
    case YAML_SCALAR_EVENT:
        node = new_node(p, NODE_SCALAR, event->start_mark);
        if (node == NULL) {
            return NULL;
        }
        node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->text = copy_yaml(p->arena, event->data.scalar.value, event->data.scalar.length);
        return anchor_node(p, event->data.scalar.anchor, node, event->start_mark) ? node : NULL;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: {
        bool is_map = event->type == YAML_MAPPING_START_EVENT;
        node = new_node(p, is_map ? NODE_MAP : NODE_LIST, event->start_mark);
        if (node == NULL || !parse_children(p, node, depth)) {
            return NULL;
        }
        /* After its children: an alias inside a node to the node itself finds no anchor. */
        const yaml_char_t *name =
            is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
        return anchor_node(p, name, node, event->start_mark) ? node : NULL;
    }
    default:
        fail(p, "this is not a value", event->start_mark);
        return NULL;
    }
}

static struct node *parse_stream(struct parse *p)
{
    struct node *root = NULL;
    for (;;) {
        yaml_event_t event;
        if (!next_event(p, &event)) {
            return NULL;
        }
        bool done = event.type == YAML_STREAM_END_EVENT;
        bool skip = event.type == YAML_STREAM_START_EVENT ||
                    event.type == YAML_DOCUMENT_START_EVENT ||
                    event.type == YAML_DOCUMENT_END_EVENT;
        if (!done && !skip) {
            if (root != NULL) {
                fail(p, "the file holds more than one YAML document; keep one", event.start_mark);
            } else {
                root = parse_node(p, &event, 0);
            }
        }
        yaml_event_delete(&event);
        if (done || !str_is_empty(p->error->what)) {
            return str_is_empty(p->error->what) ? root : NULL;
        }
    }
}

static int hex_at(str s, size_t at)
{
    int value = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = s.p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* The character of a surrogate pair "\ud83d\ude00" at `at`, or 0. */
static unsigned pair_at(str s, size_t at)
{
    if (at + 12 > s.len || s.p[at] != '\\' || s.p[at + 1] != 'u' || s.p[at + 6] != '\\' ||
        s.p[at + 7] != 'u') {
        return 0;
    }
    int high = hex_at(s, at + 2);
    int low = hex_at(s, at + 8);
    if (high < 0xd800 || high > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    return 0x10000u + (((unsigned)high - 0xd800u) << 10) + ((unsigned)low - 0xdc00u);
}

/* JSON writes characters beyond U+FFFF as two escapes, which YAML refuses. Only text that is JSON
 * as a whole is touched; everything else comes back as it is. */
static str without_surrogates(struct arena *a, str text)
{
    str start = str_trim(text);
    if (start.len == 0 || start.p[0] != '{' || str_find(text, STR("\\u"), 0) == SIZE_MAX ||
        json_parse(a, text, NULL) == NULL) {
        return text;
    }
    char *out = arena_alloc(a, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        unsigned c = pair_at(text, i);
        if (c != 0) {
            out[len++] = (char)(0xf0u | c >> 18);
            out[len++] = (char)(0x80u | (c >> 12 & 0x3fu));
            out[len++] = (char)(0x80u | (c >> 6 & 0x3fu));
            out[len++] = (char)(0x80u | (c & 0x3fu));
            i += 12;
            continue;
        }
        size_t step = text.p[i] == '\\' && i + 1 < text.len ? 2 : 1;
        memcpy(out + len, text.p + i, step);
        len += step;
        i += step;
    }
    return str_of(out, len);
}

struct node *tree_parse(struct arena *a, str text, struct tree_error *error)
{
    *error = (struct tree_error){{NULL, 0}, 0, 0};
    struct parse *p = arena_new(a, struct parse, 1);
    p->arena = a;
    p->error = error;
    text = without_surrogates(a, text);
    p->text = text;
    if (!yaml_parser_initialize(&p->yaml)) {
        fail(p, "the YAML parser could not start", p->yaml.mark);
        return NULL;
    }
    yaml_parser_set_input_string(&p->yaml, (const unsigned char *)(text.len > 0 ? text.p : ""),
                                 text.len);
    struct node *root = parse_stream(p);
    yaml_parser_delete(&p->yaml);
    return root;
}

bool node_is_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && n->plain &&
           (n->text.len == 0 || str_eq(n->text, STR("~")) || str_eq_nocase(n->text, STR("null")));
}

struct node *node_find(const struct node *map, str key)
{
    if (map->kind != NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (str_eq(map->keys[i]->text, key)) {
            return map->items[i];
        }
    }
    return NULL;
}
