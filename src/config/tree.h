/* tree.h - the configuration file as a tree of scalars, lists and mappings with their places.
 *
 * parse.c makes it from YAML (or JSON, which is YAML's flow syntax); apply.c reads it. Nodes live
 * in the arena that was given; an alias (`*name`) is the anchored node itself, so a node may have
 * several parents, and `weight` counts what a walk would see. */
#ifndef RELAY_CONFIG_TREE_H
#define RELAY_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

#define TREE_TEXT_BYTES_MAX (4u << 20) /* of a file */
#define TREE_DEPTH_MAX      32u
#define TREE_NODES_MAX      100000u /* with every alias counted as often as it is used */
#define TREE_ANCHORS_MAX    256u
#define TREE_KEYS_MAX       8192u /* in one mapping */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool plain;            /* a scalar without quotes */
    unsigned line, column; /* from 1; 0: not from the file */
    const char *origin;    /* of a node that is not from the file: "RELAY_LOG_LEVEL", "--listen" */
    str text;              /* of a scalar, NUL-terminated beyond its length */
    struct node **keys;    /* of a mapping: scalars, each once */
    struct node **items;   /* of a list or mapping */
    size_t count;
    size_t weight;
};

struct tree_error {
    str what; /* one sentence without a full stop */
    unsigned line, column;
};

/* NULL with an empty error->what: the text holds nothing. NULL else: what is wrong, and where. */
struct node *tree_parse(struct arena *a, str text, struct tree_error *error);

/* `key:` without a value, `~` and `null`. */
bool node_is_null(const struct node *n);

/* The value of a key, or NULL. */
struct node *node_find(const struct node *map, str key);

#endif
