/* YAML files that are read by hand, node by node, so that every error has its line and column. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_YAMLDOC_H
#define L2_YAMLDOC_H

#include <yaml.h>
#include "util/err.h"

/* Caller's storage. */
struct l2_yaml {
    yaml_document_t doc;
    const char *file;        /* borrowed, for messages */
    const yaml_node_t *root; /* NULL: there is nothing in the file */
};

/* Reads text[0..n), one document at most. What is no YAML is L2_FORMAT. Close what was opened. */
int l2_yaml_open(struct l2_yaml *y, const char *text, size_t n, const char *file,
                 struct l2_err *err) L2_MUST_CHECK;
void l2_yaml_close(struct l2_yaml *y);

/* L2_CORRUPT at the node's place. */
int l2_yaml_at(const struct l2_yaml *y, const yaml_node_t *node, struct l2_err *err,
               const char *fmt, ...) L2_PRINTF(4, 5);

/* key is the name of what the node stands for, in messages. Texts are borrowed from the document
 * and hold no NUL. */
int l2_yaml_text(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                 const char **out, struct l2_err *err) L2_MUST_CHECK;

/* Sets in `to` what key stands for. L2_END: it stands for nothing here. */
typedef int l2_yaml_set(const struct l2_yaml *y, void *to, const char *key,
                        const yaml_node_t *value, struct l2_err *err);
/* Every pair of a mapping to set; keys that are given twice and unknown ones are errors. An empty
 * value is an empty mapping. */
int l2_yaml_mapping(const struct l2_yaml *y, const yaml_node_t *node, const char *what,
                    l2_yaml_set *set, void *to, struct l2_err *err) L2_MUST_CHECK;

typedef int l2_yaml_item(const struct l2_yaml *y, void *to, const yaml_node_t *item,
                         struct l2_err *err);
/* Every item of a list to take. An empty value is an empty list. */
int l2_yaml_list(const struct l2_yaml *y, const yaml_node_t *node, const char *what,
                 l2_yaml_item *take, void *to, struct l2_err *err) L2_MUST_CHECK;

#endif
