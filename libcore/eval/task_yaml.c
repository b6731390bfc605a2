/* YAML documents as JSON values, by libyaml. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/task_yaml.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "util/num.h"

enum { MAX_DEPTH = 16, MAX_NODES = 100000 };

struct reader {
    yaml_document_t doc;
    const char *file;
    size_t n_nodes; /* made so far: aliases multiply them */
    struct l2_err *err;
};

static int fail(const struct reader *rd, const yaml_node_t *node, const char *what)
{
    return l2_err_at_line(rd->err, L2_CORRUPT, rd->file, (int64_t)node->start_mark.line + 1,
                          (int64_t)node->start_mark.column + 1, "%s", what);
}

static json_t *scalar(const yaml_node_t *node)
{
    const char *s = (const char *)node->data.scalar.value;
    size_t n = node->data.scalar.length;
    int64_t i;
    double v;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || strlen(s) != n)
        return json_stringn(s, n);
    if (n == 0 || strcmp(s, "null") == 0 || strcmp(s, "~") == 0)
        return json_null();
    if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
        return json_boolean(s[0] == 't');
    if (l2_parse_i64(s, &i))
        return json_integer(i);
    if (l2_parse_f64(s, &v))
        return json_real(v);
    return json_stringn(s, n);
}

static int make(struct reader *rd, int index, unsigned depth, json_t **out);

static int make_list(struct reader *rd, const yaml_node_t *node, unsigned depth, json_t *list)
{
    const yaml_node_item_t *item = node->data.sequence.items.start;
    int r = L2_OK;
    for (; item < node->data.sequence.items.top && r == L2_OK; item++) {
        json_t *v;
        r = make(rd, *item, depth, &v);
        if (r == L2_OK && json_array_append_new(list, v) != 0)
            r = l2_err_memory(rd->err, 64);
    }
    return r;
}

static int make_mapping(struct reader *rd, const yaml_node_t *node, unsigned depth, json_t *object)
{
    const yaml_node_pair_t *p = node->data.mapping.pairs.start;
    int r = L2_OK;
    for (; p < node->data.mapping.pairs.top && r == L2_OK; p++) {
        const yaml_node_t *key = yaml_document_get_node(&rd->doc, p->key);
        json_t *v;
        if (key->type != YAML_SCALAR_NODE)
            return fail(rd, key, "want a text as key");
        const char *name = (const char *)key->data.scalar.value;
        if (json_object_get(object, name))
            return fail(rd, key, "a key that is given twice");
        r = make(rd, p->value, depth, &v);
        if (r == L2_OK && json_object_set_new(object, name, v) != 0)
            r = fail(rd, key, "a key that is not UTF-8");
    }
    return r;
}

static int make(struct reader *rd, int index, unsigned depth, json_t **out)
{
    const yaml_node_t *node = yaml_document_get_node(&rd->doc, index);
    int r = L2_OK;
    *out = NULL;
    if (depth == MAX_DEPTH || ++rd->n_nodes > MAX_NODES)
        return fail(rd, node, "nested too deep, or too large");
    if (node->type == YAML_SCALAR_NODE)
        *out = scalar(node);
    else if (node->type == YAML_SEQUENCE_NODE)
        *out = json_array();
    else
        *out = json_object();
    if (!*out)
        return fail(rd, node, "a text that is not UTF-8");
    if (node->type == YAML_SEQUENCE_NODE)
        r = make_list(rd, node, depth + 1, *out);
    else if (node->type == YAML_MAPPING_NODE)
        r = make_mapping(rd, node, depth + 1, *out);
    if (r != L2_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return r;
}

int l2_task_yaml(const char *text, size_t n, const char *file, json_t **out, struct l2_err *err)
{
    yaml_parser_t parser;
    struct reader rd = {.file = file, .err = err};
    int r = L2_OK;
    *out = NULL;
    if (!yaml_parser_initialize(&parser))
        return l2_err_memory(err, sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    if (!yaml_parser_load(&parser, &rd.doc)) {
        r = l2_err_at_line(err, L2_CORRUPT, file, (int64_t)parser.problem_mark.line + 1,
                           (int64_t)parser.problem_mark.column + 1, "%s",
                           parser.problem ? parser.problem : "not YAML");
        yaml_parser_delete(&parser);
        return r;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&rd.doc);
    if (!root || root->type != YAML_MAPPING_NODE)
        r = l2_err_at_line(err, L2_FORMAT, file, 1, 1, "not a task: want keys with values");
    if (r == L2_OK)
        r = make(&rd, 1, 0, out); /* the root is node 1 */
    yaml_document_delete(&rd.doc);
    yaml_parser_delete(&parser);
    return r;
}
