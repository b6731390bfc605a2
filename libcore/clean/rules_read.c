/* Rules from YAML, by libyaml's documents; every value is checked, every error has its place. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "clean/rules.h"
#include "util/num.h"
#include "util/utf8.h"
#include "util/yamldoc.h"

enum { MAX_RULES = 10000 };

/* ---- single values ---- */

static int get_number(const struct l2_yaml *y, const yaml_node_t *node, const char *key, double min,
                      double max, double *out, struct l2_err *err)
{
    const char *s = "";
    int r = l2_yaml_text(y, node, key, &s, err);
    if (r == L2_OK && (!l2_parse_f64(s, out) || !(*out >= min && *out <= max)))
        return l2_yaml_at(y, node, err, "%.64s: want a number from %g to %g, got '%.64s'", key, min,
                          max, s);
    return r;
}

static int get_count(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                     uint32_t min, uint32_t max, uint32_t *out, struct l2_err *err)
{
    double v;
    int r = get_number(y, node, key, min, max, &v, err);
    if (r == L2_OK && v != floor(v))
        return l2_yaml_at(y, node, err, "%.64s: want a whole number, got %g", key, v);
    if (r == L2_OK)
        *out = (uint32_t)v;
    return r;
}

/* names is NULL-terminated. */
static int get_choice(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                      const char *const *names, int *out, struct l2_err *err)
{
    const char *s;
    char list[200] = "";
    int r = l2_yaml_text(y, node, key, &s, err);
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
    return l2_yaml_at(y, node, err, "%.64s: want one of %s, got '%.64s'", key, list, s);
}

static int get_either(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                      const char *no, const char *yes, bool *out, struct l2_err *err)
{
    const char *const names[] = {no, yes, NULL};
    int i = 0, r = get_choice(y, node, key, names, &i, err);
    if (r == L2_OK)
        *out = i == 1;
    return r;
}

static int get_copy(const struct l2_yaml *y, const yaml_node_t *node, const char *key, char **out,
                    struct l2_err *err)
{
    const char *s;
    int r = l2_yaml_text(y, node, key, &s, err);
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

/* ---- one rule ---- */

struct words {
    struct l2_rule *rule;
    size_t cap;
};

static int read_word(const struct l2_yaml *y, void *to, const yaml_node_t *item, struct l2_err *err)
{
    struct words *list = to;
    struct l2_words w, more;
    const char *s;
    int r = l2_yaml_text(y, item, "words", &s, err);
    if (r != L2_OK)
        return r;
    l2_words_init(&w, s, strlen(s));
    more = w;
    if (!l2_utf8_valid(s, strlen(s), NULL) || !l2_words_next(&w))
        return l2_yaml_at(y, item, err, "words: '%.64s' is no word", s);
    more = w;
    if (l2_words_next(&more))
        return l2_yaml_at(y, item, err, "words: '%.64s' is more than one word", s);
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

static int set_rule_key(const struct l2_yaml *y, void *to, const char *key,
                        const yaml_node_t *value, struct l2_err *err)
{
    struct rule_in *in = to;
    struct l2_rule *rule = in->rule;
    bool counts = in->kind == LINE || in->kind == DOCUMENT;
    if (strcmp(key, "name") == 0)
        return get_copy(y, value, key, &rule->name, err);
    if (strcmp(key, "pattern") == 0) {
        const char *s;
        int r = l2_yaml_text(y, value, key, &s, err);
        if (r != L2_OK)
            return r;
        return l2_pattern_new(&rule->pattern, s, strlen(s), y->file,
                              (int64_t)value->start_mark.line + 1,
                              (int64_t)value->start_mark.column + 1, err);
    }
    if (strcmp(key, "with") == 0 && in->kind == REPLACEMENT)
        return get_copy(y, value, key, &rule->with, err);
    if (!counts)
        return L2_END;
    if (strcmp(key, "measure") == 0) {
        int measure = 0, r = get_choice(y, value, key, l2_measure_names, &measure, err);
        rule->measure = (enum l2_measure)measure;
        in->has_measure = true;
        return r;
    }
    if (strcmp(key, "min") == 0 || strcmp(key, "max") == 0) {
        in->has_limit = true;
        return get_number(y, value, key, 0, 1e15, key[1] == 'i' ? &rule->min : &rule->max, err);
    }
    if (strcmp(key, "ngram") == 0)
        return get_count(y, value, key, 1, 64, &rule->ngram, err);
    if (strcmp(key, "words") == 0) {
        struct words list = {.rule = rule};
        int r = l2_yaml_list(y, value, key, read_word, &list, err);
        if (r == L2_OK && rule->n_words > 0)
            qsort(rule->words, rule->n_words, sizeof *rule->words, by_value);
        return r;
    }
    return L2_END;
}

static int wants(const struct l2_yaml *y, const yaml_node_t *node, const struct l2_rule *rule,
                 const char *what, struct l2_err *err)
{
    return l2_yaml_at(y, node, err, "rule '%.64s' wants %s", rule->name, what);
}

/* A rule as a whole: what its measure needs is there, and nothing that it would not look at. */
static int check_rule(const struct l2_yaml *y, const yaml_node_t *node, struct rule_in *in,
                      struct l2_err *err)
{
    struct l2_rule *rule = in->rule;
    if (!rule->name || !*rule->name || !l2_utf8_valid(rule->name, strlen(rule->name), NULL))
        return l2_yaml_at(y, node, err, "a rule wants a name");
    if (in->kind == REPLACEMENT || in->kind == TERM)
        return rule->pattern ? L2_OK : wants(y, node, rule, "a pattern", err);
    if (!in->has_measure && !rule->pattern)
        return wants(y, node, rule, "a measure or a pattern", err);
    if (!in->has_measure)
        rule->measure = L2_MEASURE_MATCHES;
    if (!in->has_limit && rule->measure == L2_MEASURE_MATCHES)
        rule->max = 0; /* a match drops it */
    else if (!in->has_limit)
        return wants(y, node, rule, "min or max", err);
    bool matches = rule->measure == L2_MEASURE_MATCHES || rule->measure == L2_MEASURE_MATCH_SHARE;
    bool stops = rule->measure == L2_MEASURE_STOP_WORDS || rule->measure == L2_MEASURE_STOP_SHARE;
    bool ngrams =
        rule->measure == L2_MEASURE_REPEATED_NGRAMS || rule->measure == L2_MEASURE_TOP_NGRAM;
    if (matches != (rule->pattern != NULL))
        return wants(y, node, rule, matches ? "a pattern" : "no pattern for its measure", err);
    if (stops != (rule->n_words > 0))
        return wants(y, node, rule, stops ? "words" : "no words for its measure", err);
    if (ngrams != (rule->ngram > 0))
        return wants(y, node, rule, ngrams ? "ngram" : "no ngram for its measure", err);
    if (rule->min > rule->max)
        return wants(y, node, rule, "a min that is not above its max", err);
    return L2_OK;
}

struct list_in {
    struct l2_rule_list *list;
    enum kind kind;
};

static int read_rule(const struct l2_yaml *y, void *to, const yaml_node_t *item, struct l2_err *err)
{
    struct list_in *in = to;
    if (in->list->n >= MAX_RULES)
        return l2_yaml_at(y, item, err, "more than %d rules", (int)MAX_RULES);
    struct l2_rule *v = realloc(in->list->v, (in->list->n + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (in->list->n + 1) * sizeof *v);
    in->list->v = v;
    struct rule_in one = {.rule = &v[in->list->n++], .kind = in->kind};
    *one.rule = (struct l2_rule){
        .min = -INFINITY, .max = INFINITY, .line = (int64_t)item->start_mark.line + 1};
    int r = l2_yaml_mapping(y, item, "rule", set_rule_key, &one, err);
    return r == L2_OK ? check_rule(y, item, &one, err) : r;
}

static int read_list(const struct l2_yaml *y, const yaml_node_t *node, const char *key,
                     struct l2_rule_list *list, enum kind kind, struct l2_err *err)
{
    struct list_in in = {list, kind};
    return l2_yaml_list(y, node, key, read_rule, &in, err);
}

/* ---- the sections ---- */

static int set_text_key(const struct l2_yaml *y, void *to, const char *key,
                        const yaml_node_t *value, struct l2_err *err)
{
    static const char *const forms[] = {"none", "nfc", "nfkc", NULL};
    struct l2_rules *rules = to;
    if (strcmp(key, "unicode") == 0)
        return get_choice(y, value, key, forms, &rules->unicode, err);
    if (strcmp(key, "controls") == 0)
        return get_either(y, value, key, "keep", "remove", &rules->remove_controls, err);
    if (strcmp(key, "markup") == 0)
        return get_either(y, value, key, "keep", "remove", &rules->remove_markup, err);
    if (strcmp(key, "spaces") == 0)
        return get_either(y, value, key, "keep", "collapse", &rules->collapse_spaces, err);
    if (strcmp(key, "invalid") == 0)
        return get_either(y, value, key, "drop", "replace", &rules->replace_invalid, err);
    return L2_END;
}

static int set_duplicates_key(const struct l2_yaml *y, void *to, const char *key,
                              const yaml_node_t *value, struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (strcmp(key, "lines") == 0)
        return get_either(y, value, key, "keep", "drop", &rules->drop_lines, err);
    if (strcmp(key, "documents") == 0)
        return get_either(y, value, key, "keep", "drop", &rules->drop_documents, err);
    if (strcmp(key, "min-line") == 0)
        return get_count(y, value, key, 0, 1000000, &rules->min_line, err);
    return L2_END;
}

static int set_near_key(const struct l2_yaml *y, void *to, const char *key,
                        const yaml_node_t *value, struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (strcmp(key, "similarity") == 0)
        return get_number(y, value, key, 0.1, 1, &rules->similarity, err);
    if (strcmp(key, "ngram") == 0)
        return get_count(y, value, key, 1, 64, &rules->near_ngram, err);
    if (strcmp(key, "bands") == 0)
        return get_count(y, value, key, 1, 256, &rules->bands, err);
    if (strcmp(key, "rows") == 0)
        return get_count(y, value, key, 1, 64, &rules->rows, err);
    return L2_END;
}

static int set_contamination_key(const struct l2_yaml *y, void *to, const char *key,
                                 const yaml_node_t *value, struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (strcmp(key, "span") == 0)
        return get_count(y, value, key, 2, L2_ROLLING_MAX, &rules->span, err);
    if (strcmp(key, "skip") == 0)
        return get_count(y, value, key, 0, 1000, &rules->skip, err);
    if (strcmp(key, "share") == 0)
        return get_number(y, value, key, 0, 1, &rules->share, err);
    return L2_END;
}

static int set_group_key(const struct l2_yaml *y, void *to, const char *key,
                         const yaml_node_t *value, struct l2_err *err)
{
    struct l2_term_group *group = to;
    if (strcmp(key, "group") == 0)
        return get_copy(y, value, key, &group->name, err);
    if (strcmp(key, "terms") == 0)
        return read_list(y, value, key, &group->terms, TERM, err);
    return L2_END;
}

static int read_group(const struct l2_yaml *y, void *to, const yaml_node_t *item,
                      struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (rules->n_groups >= MAX_RULES)
        return l2_yaml_at(y, item, err, "more than %d groups", (int)MAX_RULES);
    struct l2_term_group *v = realloc(rules->groups, (rules->n_groups + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (rules->n_groups + 1) * sizeof *v);
    rules->groups = v;
    struct l2_term_group *group = &v[rules->n_groups++];
    *group = (struct l2_term_group){0};
    int r = l2_yaml_mapping(y, item, "terms", set_group_key, group, err);
    if (r == L2_OK &&
        (!group->name || !*group->name || !l2_utf8_valid(group->name, strlen(group->name), NULL)))
        r = l2_yaml_at(y, item, err, "terms: want a group");
    if (r == L2_OK && group->terms.n == 0)
        r = l2_yaml_at(y, item, err, "terms: group '%.64s' has no terms", group->name);
    return r;
}

static int set_section(const struct l2_yaml *y, void *to, const char *key, const yaml_node_t *value,
                       struct l2_err *err)
{
    struct l2_rules *rules = to;
    if (strcmp(key, "text") == 0)
        return l2_yaml_mapping(y, value, key, set_text_key, rules, err);
    if (strcmp(key, "replace") == 0)
        return read_list(y, value, key, &rules->replace, REPLACEMENT, err);
    if (strcmp(key, "lines") == 0)
        return read_list(y, value, key, &rules->lines, LINE, err);
    if (strcmp(key, "documents") == 0)
        return read_list(y, value, key, &rules->documents, DOCUMENT, err);
    if (strcmp(key, "duplicates") == 0)
        return l2_yaml_mapping(y, value, key, set_duplicates_key, rules, err);
    if (strcmp(key, "near") == 0) {
        rules->near = true;
        return l2_yaml_mapping(y, value, key, set_near_key, rules, err);
    }
    if (strcmp(key, "contamination") == 0)
        return l2_yaml_mapping(y, value, key, set_contamination_key, rules, err);
    if (strcmp(key, "terms") == 0)
        return l2_yaml_list(y, value, key, read_group, rules, err);
    return L2_END;
}

/* ---- the file ---- */

int l2_rules_parse(struct l2_rules *rules, const char *text, size_t n, const char *name,
                   struct l2_err *err)
{
    struct l2_yaml y;
    int r = l2_yaml_open(&y, text, n, name, err);
    if (r != L2_OK)
        return r;
    if (!y.root)
        r = l2_err_at(err, L2_FORMAT, name, -1, "no rules: the file is empty");
    else
        r = l2_yaml_mapping(&y, y.root, "rules", set_section, rules, err);
    l2_yaml_close(&y);
    if (r == L2_OK && rules->near && rules->bands * rules->rows > 4096)
        r = l2_err_at(err, L2_CORRUPT, name, -1,
                      "near: %u bands of %u rows: want at most 4096 in all", rules->bands,
                      rules->rows);
    return r;
}
