/* Rules from YAML, by libyaml's documents; every value is checked, every error has its place. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "clean/charclass.h"
#include "clean/rules.h"
#include "util/num.h"
#include "util/utf8.h"

enum { MAX_RULES = 10000 };

struct reader {
    yaml_document_t *doc;
    const char *file;
    struct l2_rules *rules;
};

static int at(const struct reader *rd, const yaml_node_t *node, struct l2_err *err, const char *fmt,
              ...) L2_PRINTF(4, 5);

static int at(const struct reader *rd, const yaml_node_t *node, struct l2_err *err, const char *fmt,
              ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return l2_err_at_line(err, L2_CORRUPT, rd->file, (int64_t)node->start_mark.line + 1,
                          (int64_t)node->start_mark.column + 1, "%s", text);
}

static yaml_node_t *node_of(const struct reader *rd, int index)
{
    return yaml_document_get_node(rd->doc, index);
}

/* ---- single values ---- */

static int get_text(const struct reader *rd, const yaml_node_t *node, const char *key,
                    const char **out, struct l2_err *err)
{
    if (node->type != YAML_SCALAR_NODE)
        return at(rd, node, err, "%.64s: want a single value", key);
    const char *s = (const char *)node->data.scalar.value;
    if (strlen(s) != node->data.scalar.length)
        return at(rd, node, err, "%.64s: value holds a NUL character", key);
    *out = s;
    return L2_OK;
}

static int get_number(const struct reader *rd, const yaml_node_t *node, const char *key, double min,
                      double max, double *out, struct l2_err *err)
{
    const char *s = "";
    int r = get_text(rd, node, key, &s, err);
    if (r == L2_OK && (!l2_parse_f64(s, out) || !(*out >= min && *out <= max)))
        return at(rd, node, err, "%.64s: want a number from %g to %g, got '%.64s'", key, min, max,
                  s);
    return r;
}

static int get_count(const struct reader *rd, const yaml_node_t *node, const char *key,
                     uint32_t min, uint32_t max, uint32_t *out, struct l2_err *err)
{
    double v;
    int r = get_number(rd, node, key, min, max, &v, err);
    if (r == L2_OK && v != floor(v))
        return at(rd, node, err, "%.64s: want a whole number, got %g", key, v);
    if (r == L2_OK)
        *out = (uint32_t)v;
    return r;
}

/* names is NULL-terminated. */
static int get_choice(const struct reader *rd, const yaml_node_t *node, const char *key,
                      const char *const *names, int *out, struct l2_err *err)
{
    const char *s;
    char list[200] = "";
    int r = get_text(rd, node, key, &s, err);
    if (r != L2_OK)
        return r;
    for (int i = 0; names[i]; i++) {
        if (strcmp(s, names[i]) == 0) {
            *out = i;
            return L2_OK;
        }
        size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", names[i]);
    }
    return at(rd, node, err, "%.64s: want one of %s, got '%.64s'", key, list, s);
}

static int get_either(const struct reader *rd, const yaml_node_t *node, const char *key,
                      const char *no, const char *yes, bool *out, struct l2_err *err)
{
    const char *const names[] = {no, yes, NULL};
    int i = 0, r = get_choice(rd, node, key, names, &i, err);
    if (r == L2_OK)
        *out = i == 1;
    return r;
}

static int get_copy(const struct reader *rd, const yaml_node_t *node, const char *key, char **out,
                    struct l2_err *err)
{
    const char *s;
    int r = get_text(rd, node, key, &s, err);
    if (r != L2_OK)
        return r;
    char *copy = malloc(strlen(s) + 1);
    if (!copy)
        return l2_err_memory(err, strlen(s) + 1);
    free(*out);
    memcpy(copy, s, strlen(s) + 1);
    *out = copy;
    return L2_OK;
}

/* ---- mappings ---- */

/* Sets what key stands for. L2_END: it stands for nothing here. */
typedef int set_key(const struct reader *rd, void *to, const char *key, const yaml_node_t *key_node,
                    const yaml_node_t *value, struct l2_err *err);

static bool is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
}

static int read_mapping(const struct reader *rd, const yaml_node_t *map, const char *what,
                        set_key *set, void *to, struct l2_err *err)
{
    if (is_empty(map))
        return L2_OK;
    if (map->type != YAML_MAPPING_NODE)
        return at(rd, map, err, "%.64s: want keys with values", what);
    const yaml_node_pair_t *first = map->data.mapping.pairs.start;
    for (const yaml_node_pair_t *p = first; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = node_of(rd, p->key);
        const char *key;
        int r = get_text(rd, key_node, "key", &key, err);
        if (r != L2_OK)
            return r;
        for (const yaml_node_pair_t *q = first; q < p; q++)
            if (strcmp((const char *)node_of(rd, q->key)->data.scalar.value, key) == 0)
                return at(rd, key_node, err, "key '%.64s' is given twice", key);
        r = set(rd, to, key, key_node, node_of(rd, p->value), err);
        if (r == L2_END)
            return at(rd, key_node, err, "%.64s: unknown key '%.64s'", what, key);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

typedef int read_item(const struct reader *rd, const yaml_node_t *item, void *to,
                      struct l2_err *err);

static int read_sequence(const struct reader *rd, const yaml_node_t *list, const char *what,
                         read_item *read, void *to, struct l2_err *err)
{
    int r = L2_OK;
    if (is_empty(list))
        return L2_OK;
    if (list->type != YAML_SEQUENCE_NODE)
        return at(rd, list, err, "%.64s: want a list", what);
    const yaml_node_item_t *item = list->data.sequence.items.start;
    for (; item < list->data.sequence.items.top && r == L2_OK; item++)
        r = read(rd, node_of(rd, *item), to, err);
    return r;
}

/* ---- one rule ---- */

struct words {
    struct l2_rule *rule;
    size_t cap;
};

static int read_word(const struct reader *rd, const yaml_node_t *item, void *to, struct l2_err *err)
{
    struct words *list = to;
    struct l2_words w, more;
    const char *s;
    int r = get_text(rd, item, "words", &s, err);
    if (r != L2_OK)
        return r;
    l2_words_init(&w, s, strlen(s));
    more = w;
    if (!l2_utf8_valid(s, strlen(s), NULL) || !l2_words_next(&w))
        return at(rd, item, err, "words: '%.64s' is no word", s);
    more = w;
    if (l2_words_next(&more))
        return at(rd, item, err, "words: '%.64s' is more than one word", s);
    if (list->rule->n_words == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        uint64_t *v = realloc(list->rule->words, cap * sizeof *v);
        if (!v)
            return l2_err_memory(err, cap * sizeof *v);
        list->rule->words = v;
        list->cap = cap;
    }
    list->rule->words[list->rule->n_words++] = w.hash;
    return L2_OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum kind { REPLACEMENT, LINE, DOCUMENT, TERM };

struct rule_in {
    struct l2_rule *rule;
    enum kind kind;
    bool has_measure, has_limit;
};

static int set_rule_key(const struct reader *rd, void *to, const char *key,
                        const yaml_node_t *key_node, const yaml_node_t *value, struct l2_err *err)
{
    struct rule_in *in = to;
    struct l2_rule *rule = in->rule;
    bool counts = in->kind == LINE || in->kind == DOCUMENT;
    (void)key_node;
    if (strcmp(key, "name") == 0)
        return get_copy(rd, value, key, &rule->name, err);
    if (strcmp(key, "pattern") == 0) {
        const char *s;
        int r = get_text(rd, value, key, &s, err);
        if (r != L2_OK)
            return r;
        return l2_pattern_new(&rule->pattern, s, strlen(s), rd->file,
                              (int64_t)value->start_mark.line + 1,
                              (int64_t)value->start_mark.column + 1, err);
    }
    if (strcmp(key, "with") == 0 && in->kind == REPLACEMENT)
        return get_copy(rd, value, key, &rule->with, err);
    if (!counts)
        return L2_END;
    if (strcmp(key, "measure") == 0) {
        int measure = 0, r = get_choice(rd, value, key, l2_measure_names, &measure, err);
        rule->measure = (enum l2_measure)measure;
        in->has_measure = true;
        return r;
    }
    if (strcmp(key, "min") == 0 || strcmp(key, "max") == 0) {
        in->has_limit = true;
        return get_number(rd, value, key, 0, 1e15, key[1] == 'i' ? &rule->min : &rule->max, err);
    }
    if (strcmp(key, "ngram") == 0)
        return get_count(rd, value, key, 1, 64, &rule->ngram, err);
    if (strcmp(key, "words") == 0) {
        struct words list = {.rule = rule};
        int r = read_sequence(rd, value, key, read_word, &list, err);
        if (r == L2_OK && rule->n_words > 0)
            qsort(rule->words, rule->n_words, sizeof *rule->words, by_value);
        return r;
    }
    return L2_END;
}

static int wants(const struct reader *rd, const yaml_node_t *node, const struct l2_rule *rule,
                 const char *what, struct l2_err *err)
{
    return at(rd, node, err, "rule '%.64s' wants %s", rule->name, what);
}

/* A rule as a whole: what its measure needs is there, and nothing that it would not look at. */
static int check_rule(const struct reader *rd, const yaml_node_t *node, struct rule_in *in,
                      struct l2_err *err)
{
    struct l2_rule *rule = in->rule;
    if (!rule->name || !*rule->name || !l2_utf8_valid(rule->name, strlen(rule->name), NULL))
        return at(rd, node, err, "a rule wants a name");
    if (in->kind == REPLACEMENT || in->kind == TERM)
        return rule->pattern ? L2_OK : wants(rd, node, rule, "a pattern", err);
    if (!in->has_measure && !rule->pattern)
        return wants(rd, node, rule, "a measure or a pattern", err);
    if (!in->has_measure)
        rule->measure = L2_MEASURE_MATCHES;
    if (!in->has_limit && rule->measure == L2_MEASURE_MATCHES)
        rule->max = 0; /* a match drops it */
    else if (!in->has_limit)
        return wants(rd, node, rule, "min or max", err);
    bool matches = rule->measure == L2_MEASURE_MATCHES || rule->measure == L2_MEASURE_MATCH_SHARE;
    bool stops = rule->measure == L2_MEASURE_STOP_WORDS || rule->measure == L2_MEASURE_STOP_SHARE;
    bool ngrams =
        rule->measure == L2_MEASURE_REPEATED_NGRAMS || rule->measure == L2_MEASURE_TOP_NGRAM;
    if (matches != (rule->pattern != NULL))
        return wants(rd, node, rule, matches ? "a pattern" : "no pattern for its measure", err);
    if (stops != (rule->n_words > 0))
        return wants(rd, node, rule, stops ? "words" : "no words for its measure", err);
    if (ngrams != (rule->ngram > 0))
        return wants(rd, node, rule, ngrams ? "ngram" : "no ngram for its measure", err);
    if (rule->min > rule->max)
        return wants(rd, node, rule, "a min that is not above its max", err);
    return L2_OK;
}

struct list_in {
    struct l2_rule_list *list;
    enum kind kind;
};

static int read_rule(const struct reader *rd, const yaml_node_t *item, void *to, struct l2_err *err)
{
    struct list_in *in = to;
    if (in->list->n >= MAX_RULES)
        return at(rd, item, err, "more than %d rules", (int)MAX_RULES);
    struct l2_rule *v = realloc(in->list->v, (in->list->n + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (in->list->n + 1) * sizeof *v);
    in->list->v = v;
    struct rule_in one = {.rule = &v[in->list->n++], .kind = in->kind};
    *one.rule = (struct l2_rule){
        .min = -INFINITY, .max = INFINITY, .line = (int64_t)item->start_mark.line + 1};
    int r = read_mapping(rd, item, "rule", set_rule_key, &one, err);
    return r == L2_OK ? check_rule(rd, item, &one, err) : r;
}

static int read_list(const struct reader *rd, const yaml_node_t *node, const char *key,
                     struct l2_rule_list *list, enum kind kind, struct l2_err *err)
{
    struct list_in in = {list, kind};
    return read_sequence(rd, node, key, read_rule, &in, err);
}

/* ---- the sections ---- */

static int set_text_key(const struct reader *rd, void *to, const char *key,
                        const yaml_node_t *key_node, const yaml_node_t *value, struct l2_err *err)
{
    static const char *const forms[] = {"none", "nfc", "nfkc", NULL};
    struct l2_rules *rules = to;
    (void)key_node;
    if (strcmp(key, "unicode") == 0)
        return get_choice(rd, value, key, forms, &rules->unicode, err);
    if (strcmp(key, "controls") == 0)
        return get_either(rd, value, key, "keep", "remove", &rules->remove_controls, err);
    if (strcmp(key, "markup") == 0)
        return get_either(rd, value, key, "keep", "remove", &rules->remove_markup, err);
    if (strcmp(key, "spaces") == 0)
        return get_either(rd, value, key, "keep", "collapse", &rules->collapse_spaces, err);
    if (strcmp(key, "invalid") == 0)
        return get_either(rd, value, key, "drop", "replace", &rules->replace_invalid, err);
    return L2_END;
}

static int set_duplicates_key(const struct reader *rd, void *to, const char *key,
                              const yaml_node_t *key_node, const yaml_node_t *value,
                              struct l2_err *err)
{
    struct l2_rules *rules = to;
    (void)key_node;
    if (strcmp(key, "lines") == 0)
        return get_either(rd, value, key, "keep", "drop", &rules->drop_lines, err);
    if (strcmp(key, "documents") == 0)
        return get_either(rd, value, key, "keep", "drop", &rules->drop_documents, err);
    if (strcmp(key, "min-line") == 0)
        return get_count(rd, value, key, 0, 1000000, &rules->min_line, err);
    return L2_END;
}

static int set_near_key(const struct reader *rd, void *to, const char *key,
                        const yaml_node_t *key_node, const yaml_node_t *value, struct l2_err *err)
{
    struct l2_rules *rules = to;
    (void)key_node;
    if (strcmp(key, "similarity") == 0)
        return get_number(rd, value, key, 0.1, 1, &rules->similarity, err);
    if (strcmp(key, "ngram") == 0)
        return get_count(rd, value, key, 1, 64, &rules->near_ngram, err);
    if (strcmp(key, "bands") == 0)
        return get_count(rd, value, key, 1, 256, &rules->bands, err);
    if (strcmp(key, "rows") == 0)
        return get_count(rd, value, key, 1, 64, &rules->rows, err);
    return L2_END;
}

static int set_contamination_key(const struct reader *rd, void *to, const char *key,
                                 const yaml_node_t *key_node, const yaml_node_t *value,
                                 struct l2_err *err)
{
    struct l2_rules *rules = to;
    (void)key_node;
    if (strcmp(key, "span") == 0)
        return get_count(rd, value, key, 2, L2_ROLLING_MAX, &rules->span, err);
    if (strcmp(key, "skip") == 0)
        return get_count(rd, value, key, 0, 1000, &rules->skip, err);
    if (strcmp(key, "share") == 0)
        return get_number(rd, value, key, 0, 1, &rules->share, err);
    return L2_END;
}

static int set_group_key(const struct reader *rd, void *to, const char *key,
                         const yaml_node_t *key_node, const yaml_node_t *value, struct l2_err *err)
{
    struct l2_term_group *group = to;
    (void)key_node;
    if (strcmp(key, "group") == 0)
        return get_copy(rd, value, key, &group->name, err);
    if (strcmp(key, "terms") == 0)
        return read_list(rd, value, key, &group->terms, TERM, err);
    return L2_END;
}

static int read_group(const struct reader *rd, const yaml_node_t *item, void *to,
                      struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (rules->n_groups >= MAX_RULES)
        return at(rd, item, err, "more than %d groups", (int)MAX_RULES);
    struct l2_term_group *v = realloc(rules->groups, (rules->n_groups + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (rules->n_groups + 1) * sizeof *v);
    rules->groups = v;
    struct l2_term_group *group = &v[rules->n_groups++];
    *group = (struct l2_term_group){0};
    int r = read_mapping(rd, item, "terms", set_group_key, group, err);
    if (r == L2_OK &&
        (!group->name || !*group->name || !l2_utf8_valid(group->name, strlen(group->name), NULL)))
        r = at(rd, item, err, "terms: want a group");
    if (r == L2_OK && group->terms.n == 0)
        r = at(rd, item, err, "terms: group '%.64s' has no terms", group->name);
    return r;
}

static int set_section(const struct reader *rd, void *to, const char *key,
                       const yaml_node_t *key_node, const yaml_node_t *value, struct l2_err *err)
{
    struct l2_rules *rules = to;
    (void)key_node;
    if (strcmp(key, "text") == 0)
        return read_mapping(rd, value, key, set_text_key, rules, err);
    if (strcmp(key, "replace") == 0)
        return read_list(rd, value, key, &rules->replace, REPLACEMENT, err);
    if (strcmp(key, "lines") == 0)
        return read_list(rd, value, key, &rules->lines, LINE, err);
    if (strcmp(key, "documents") == 0)
        return read_list(rd, value, key, &rules->documents, DOCUMENT, err);
    if (strcmp(key, "duplicates") == 0)
        return read_mapping(rd, value, key, set_duplicates_key, rules, err);
    if (strcmp(key, "near") == 0) {
        rules->near = true;
        return read_mapping(rd, value, key, set_near_key, rules, err);
    }
    if (strcmp(key, "contamination") == 0)
        return read_mapping(rd, value, key, set_contamination_key, rules, err);
    if (strcmp(key, "terms") == 0)
        return read_sequence(rd, value, key, read_group, rules, err);
    return L2_END;
}

/* ---- the file ---- */

static int yaml_error(const yaml_parser_t *parser, const char *file, struct l2_err *err)
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

int l2_rules_parse(struct l2_rules *rules, const char *text, size_t n, const char *name,
                   struct l2_err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    struct reader rd = {&doc, name, rules};
    if (!yaml_parser_initialize(&parser))
        return l2_err_memory(err, sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int r = L2_OK;
    if (!yaml_parser_load(&parser, &doc)) {
        r = yaml_error(&parser, name, err);
        goto out;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (!root)
        r = l2_err_at(err, L2_FORMAT, name, -1, "no rules: the file is empty");
    else
        r = read_mapping(&rd, root, "rules", set_section, rules, err);
    yaml_document_delete(&doc);
    if (r != L2_OK)
        goto out;
    if (!yaml_parser_load(&parser, &doc)) {
        r = yaml_error(&parser, name, err);
        goto out;
    }
    root = yaml_document_get_root_node(&doc);
    if (root)
        r = at(&rd, root, err, "a second document");
    yaml_document_delete(&doc);
    if (r == L2_OK && rules->near && rules->bands * rules->rows > 4096)
        r = l2_err_at(err, L2_CORRUPT, name, -1,
                      "near: %u bands of %u rows: want at most 4096 in all", rules->bands,
                      rules->rows);
out:
    yaml_parser_delete(&parser);
    return r;
}
