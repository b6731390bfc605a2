/* A task: how documents become questions, and answers become numbers. Read from YAML, with
 * lm-evaluation-harness's names where it has such. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TASK_H
#define L2_TASK_H

#include "eval/answer.h"
#include "eval/docs.h"
#include "eval/metrics.h"

enum l2_task_metric_kind {
    L2_METRIC_MATCH, /* exact_match, numeric_match: the first answer equals a reference */
    L2_METRIC_F1,    /* f1, em: SQuAD's, the best over the references */
    L2_METRIC_EM,
    L2_METRIC_MAJ, /* maj@K: the most frequent of the first K answers is right */
    L2_METRIC_PASS /* pass@K: unbiased, from all answers; by the check where there is one */
};

struct l2_task_metric {
    char name[40]; /* as in results */
    enum l2_task_metric_kind kind;
    uint32_t k; /* MAJ, PASS */
    struct l2_match match;
};

struct l2_task_filter {
    const char *name;
    struct l2_take_step *steps; /* owned, as their patterns */
    size_t n;
};

/* Strings are borrowed from config. Templates are l2_subst_text's. */
struct l2_task {
    json_t *config; /* owned: the whole file */
    const char *name;
    bool choices; /* output_type multiple_choice, else generate_until */
    struct l2_docs_form form;
    const char *description;       /* before everything */
    const char *text;              /* doc_to_text */
    const char *target;            /* doc_to_target */
    const char *continuation;      /* doc_to_continuation: of a choice, {{choice}} */
    const json_t *choice;          /* doc_to_choice: a template of a list, or a list of templates */
    const char *target_delimiter;  /* before continuations and the answers of examples */
    const char *fewshot_delimiter; /* behind examples */
    const char *shot_target;       /* fewshot_target: an example's answer; NULL: as target */
    const char *check;             /* what a checking command reads; NULL: the answer */
    uint32_t n_shots;              /* num_fewshot */
    bool first_shots;              /* fewshot: first, else drawn by seed */
    const char **until;            /* generation ends at each of them; owned array */
    size_t n_until;
    uint32_t max_new;
    double temperature, top_p;
    uint32_t repeats;
    struct l2_task_filter *filters; /* owned; one at least for answers */
    size_t n_filters;
    unsigned choice_metrics;        /* bits of enum l2_choice_metric */
    struct l2_task_metric *metrics; /* owned */
    size_t n_metrics;
};

/* Reads the YAML text[0..n). Unknown keys, wrong types and patterns that do not compile are
 * L2_CORRUPT and named by their way. Release also after a failure. */
int l2_task_read(struct l2_task *t, const char *text, size_t n, const char *file,
                 struct l2_err *err) L2_MUST_CHECK;
void l2_task_release(struct l2_task *t);

/* One question about a document. */
struct l2_task_question {
    struct l2_str context;     /* of a generation, with everything before it */
    struct l2_choice *choices; /* n; in arena */
    size_t n;
    json_t *target; /* owned: the rendered target; of an answer, a list of references */
};

/* Renders document number self of docs, after its examples, which are taken from shots (may be
 * docs, then never itself) by seed. Strings go into arena. */
int l2_task_ask(const struct l2_task *t, const json_t *docs, size_t self, const json_t *shots,
                uint64_t seed, struct l2_arena *arena, struct l2_task_question *out,
                struct l2_err *err) L2_MUST_CHECK;

#endif
