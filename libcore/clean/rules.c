/* Rules: their names, defaults and release. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/rules.h"

#include <stdlib.h>

const char *const l2_measure_names[L2_N_MEASURES + 1] = {
    [L2_MEASURE_CHARS] = "chars",
    [L2_MEASURE_WORDS] = "words",
    [L2_MEASURE_LINES] = "lines",
    [L2_MEASURE_WORD_LENGTH] = "word-length",
    [L2_MEASURE_LINE_LENGTH] = "line-length",
    [L2_MEASURE_LETTER_SHARE] = "letter-share",
    [L2_MEASURE_DIGIT_SHARE] = "digit-share",
    [L2_MEASURE_SYMBOL_SHARE] = "symbol-share",
    [L2_MEASURE_UPPER_SHARE] = "upper-share",
    [L2_MEASURE_REPEATED_LINES] = "repeated-lines",
    [L2_MEASURE_REPEATED_NGRAMS] = "repeated-ngrams",
    [L2_MEASURE_TOP_NGRAM] = "top-ngram",
    [L2_MEASURE_STOP_WORDS] = "stop-words",
    [L2_MEASURE_STOP_SHARE] = "stop-share",
    [L2_MEASURE_MATCHES] = "matches",
    [L2_MEASURE_MATCH_SHARE] = "match-share",
};

void l2_rules_init(struct l2_rules *r)
{
    *r = (struct l2_rules){.similarity = 0.8,
                           .near_ngram = 5,
                           .bands = 32,
                           .rows = 8,
                           .min_line = 30,
                           .span = 10,
                           .skip = 4};
}

static void release_list(struct l2_rule_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct l2_rule *rule = &list->v[i];
        free(rule->name);
        free(rule->with);
        free(rule->words);
        l2_pattern_free(rule->pattern);
    }
    free(list->v);
    *list = (struct l2_rule_list){0};
}

void l2_rules_release(struct l2_rules *r)
{
    release_list(&r->replace);
    release_list(&r->lines);
    release_list(&r->documents);
    for (size_t i = 0; i < r->n_groups; i++) {
        free(r->groups[i].name);
        release_list(&r->groups[i].terms);
    }
    free(r->groups);
    l2_rules_init(r);
}
