/* What l2-clean is asked to do: rules from YAML. The keys are in l2-clean(1). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RULES_H
#define L2_RULES_H

#include "clean/pattern.h"

/* What a rule measures of a line or a document. Shares are 0 to 1; of an empty text 0. */
enum l2_measure {
    L2_MEASURE_CHARS,
    L2_MEASURE_WORDS,
    L2_MEASURE_LINES,
    L2_MEASURE_WORD_LENGTH,  /* characters a word */
    L2_MEASURE_LINE_LENGTH,  /* characters a line that is not blank */
    L2_MEASURE_LETTER_SHARE, /* of the characters that are not blank; so the next two */
    L2_MEASURE_DIGIT_SHARE,
    L2_MEASURE_SYMBOL_SHARE,
    L2_MEASURE_UPPER_SHARE,     /* capitals, of the letters */
    L2_MEASURE_REPEATED_LINES,  /* lines that stood before in the document, of its lines */
    L2_MEASURE_REPEATED_NGRAMS, /* runs of `ngram` words that stood before, of all of them */
    L2_MEASURE_TOP_NGRAM,       /* the most frequent run's words, of all words */
    L2_MEASURE_STOP_WORDS,      /* words that are in the list */
    L2_MEASURE_STOP_SHARE,      /* of all words */
    L2_MEASURE_MATCHES,         /* matches of the pattern */
    L2_MEASURE_MATCH_SHARE,     /* characters in matches, of the characters that are not blank */
    L2_N_MEASURES
};
extern const char *const l2_measure_names[L2_N_MEASURES + 1]; /* and NULL */

/* Drops what is below min or above max. */
struct l2_rule {
    char *name; /* owned, like all of it */
    enum l2_measure measure;
    double min, max; /* infinite where not given */
    uint32_t ngram;
    struct l2_pattern *pattern; /* or NULL */
    char *with;                 /* of a replacement */
    uint64_t *words;            /* hashes of the stop words, sorted */
    size_t n_words;
    int64_t line; /* of the file, for messages */
};

struct l2_rule_list {
    struct l2_rule *v;
    size_t n;
};

/* A group of the table of terms: the share of documents that mention any of its terms. */
struct l2_term_group {
    char *name;
    struct l2_rule_list terms; /* of each name and pattern */
};

enum l2_unicode_form { L2_UNICODE_NONE, L2_UNICODE_NFC, L2_UNICODE_NFKC };

struct l2_rules {
    /* text */
    int unicode; /* enum l2_unicode_form */
    bool remove_controls, remove_markup, collapse_spaces, replace_invalid;
    /* rules */
    struct l2_rule_list replace, lines, documents;
    /* duplicates */
    bool drop_lines, drop_documents;
    uint32_t min_line; /* characters; shorter lines may repeat */
    /* near duplicates */
    bool near;
    double similarity;
    uint32_t near_ngram, bands, rows;
    /* contamination */
    uint32_t span, skip;
    double share;
    /* terms */
    struct l2_term_group *groups;
    size_t n_groups;
};

/* Nothing is changed, nothing dropped. */
void l2_rules_init(struct l2_rules *r);
void l2_rules_release(struct l2_rules *r);

/* Adds the rules of YAML text[0..n): lists grow, other settings are replaced. Errors carry name and
 * line:column: L2_FORMAT where it is not YAML, L2_CORRUPT where it is not rules. */
int l2_rules_parse(struct l2_rules *r, const char *text, size_t n, const char *name,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
