/* YAML files that are read by hand, by libyaml's documents. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/yamldoc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int parser_error(const yaml_parser_t *parser, const char *file, struct l2_err *err)
{
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR)
        return l2_err_memory(err, 1);
    if (parser->error == YAML_READER_ERROR)
        return l2_err_at(err, L2_FORMAT, file, (int64_t)parser->problem_offset, "not YAML: %s",
                         problem);
    return l2_err_at_line(err, L2_FORMAT, file, (int64_t)parser->problem_mark.line + 1,
                          (int64_t)parser->problem_mark.column + 1, "not YAML: %s", problem);
}

/* Nothing may come behind the first document. */
static int check_end(const struct l2_yaml *y, yaml_parser_t *parser, struct l2_err *err)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second))
        return parser_error(parser, y->file, err);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    int r = root ? l2_yaml_at(y, root, err, "a second document") : L2_OK;
    yaml_document_delete(&second);
    return r;
}

int l2_yaml_open(struct l2_yaml *y, const char *text, size_t n, const char *file,
                 struct l2_err *err)
{
    yaml_parser_t parser;
    *y = (struct l2_yaml){.file = file};
    if (!yaml_parser_initialize(&parser))
        return l2_err_memory(err, sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int r = L2_OK;
    if (!yaml_parser_load(&parser, &y->doc)) {
        r = parser_error(&parser, file, err);
    } else {
        y->root = yaml_document_get_root_node(&y->doc);
        if (y->root)
            r = check_end(y, &parser, err);
        if (r != L2_OK)
            l2_yaml_close(y);
    }
    yaml_parser_delete(&parser);
    return r;
}

void l2_yaml_close(struct l2_yaml *y)
{
    yaml_document_delete(&y->doc);
    y->root = NULL;
}

int l2_yaml_at(const struct l2_yaml *y, const yaml_node_t *node, struct l2_err *err,
               const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return l2_err_at_line(err, L2_CORRUPT, y->file, (int64_t)node->start_mark.line + 1,
                          (int64_t)node->start_mark.column + 1, "%s", text);
}

int l2_yaml_text(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                 const char **out, struct l2_err *err)
{
    if (node->type != YAML_SCALAR_NODE)
        return l2_yaml_at(y, node, err, "%.64s: want a single value", key);
    const char *s = (const char *)node->data.scalar.value;
    if (strlen(s) != node->data.scalar.length)
        return l2_yaml_at(y, node, err, "%.64s: value holds a NUL character", key);
    *out = s;
    return L2_OK;
}

static const yaml_node_t *node_of(const struct l2_yaml *y, int index)
{
    yaml_document_t *doc = (yaml_document_t *)&y->doc; /* libyaml knows no const */
    return yaml_document_get_node(doc, index);
}

static bool is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
}

int l2_yaml_mapping(const struct l2_yaml *y, const yaml_node_t *node, const char *what,
                    l2_yaml_set *set, void *to, struct l2_err *err)
{
    if (is_empty(node))
        return L2_OK;
    if (node->type != YAML_MAPPING_NODE)
        return l2_yaml_at(y, node, err, "%.64s: want keys with values", what);
    const yaml_node_pair_t *first = node->data.mapping.pairs.start;
    for (const yaml_node_pair_t *p = first; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = node_of(y, p->key);
        const char *key;
        int r = l2_yaml_text(y, key_node, "key", &key, err);
        if (r != L2_OK)
            return r;
        for (const yaml_node_pair_t *q = first; q < p; q++)
            if (strcmp((const char *)node_of(y, q->key)->data.scalar.value, key) == 0)
                return l2_yaml_at(y, key_node, err, "key '%.64s' is given twice", key);
        r = set(y, to, key, node_of(y, p->value), err);
        if (r == L2_END)
            return l2_yaml_at(y, key_node, err, "%.64s: unknown key '%.64s'", what, key);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

int l2_yaml_list(const struct l2_yaml *y, const yaml_node_t *node, const char *what,
                 l2_yaml_item *take, void *to, struct l2_err *err)
{
    int r = L2_OK;
    if (is_empty(node))
        return L2_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return l2_yaml_at(y, node, err, "%.64s: want a list", what);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top && r == L2_OK; item++)
        r = take(y, to, node_of(y, *item), err);
    return r;
}
