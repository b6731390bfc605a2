/* The parts of l2-eval. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_EVAL_H
#define L2_CMD_EVAL_H

#include "common/cli.h"
#include "common/modelopt.h"
#include "eval/metrics.h"
#include "sample/worker.h"
#include "text/encode.h"
#include "util/ids.h"

/* The options and the programs of the subcommands. */
extern const struct l2_opt eval_choices_options[];
int eval_run_choices(struct l2_cli *cli);

/* ---- rows in ---- */

/* Appends the rows of a JSONL file ("-": standard input), objects, to the array rows. */
int eval_read_rows(struct l2_cli *cli, const char *path, json_t *rows,
                   struct l2_err *err) L2_MUST_CHECK;
/* The same of all operands, or of standard input without one. */
int eval_read_operands(struct l2_cli *cli, json_t *rows, struct l2_err *err) L2_MUST_CHECK;

/* ---- results out ---- */

/* lm-evaluation-harness's result object, and the table that is made from it. */
struct eval_results {
    struct l2_cli *cli;
    json_t *json; /* owned */
    double start; /* of the run, in seconds */
};
int eval_results_init(struct eval_results *res, struct l2_cli *cli,
                      struct l2_err *err) L2_MUST_CHECK;
void eval_results_release(struct eval_results *res);
/* A task of original samples of which effective count; n_shot examples before each. */
int eval_results_task(struct eval_results *res, const char *task, size_t n_shot, size_t original,
                      size_t effective, struct l2_err *err) L2_MUST_CHECK;
/* One of its metrics; filter is how answers were taken out, "none" where they were not. A mean of
 * nothing and an error that is not known (NAN) are "N/A". */
int eval_results_metric(struct eval_results *res, const char *task, const char *metric,
                        const char *filter, const struct l2_mean *mean, bool higher_is_better,
                        struct l2_err *err) L2_MUST_CHECK;
/* The table, or with as_json the object, to -o or standard output. */
int eval_results_write(struct eval_results *res, bool as_json, struct l2_err *err) L2_MUST_CHECK;

/* ---- the engine ---- */

/* One record for the engine: a prompt, and the continuations that are scored after it. */
struct eval_ask {
    size_t item;           /* whose it is: the record's id */
    struct l2_ids prompt;  /* owned, as all of it */
    struct l2_ids *answer; /* n of them; to generate from the prompt: none */
    size_t *which;         /* the number of each in the item */
    size_t n;
    uint64_t cost; /* tokens to compute at most */
};
struct eval_asks {
    struct eval_ask *v;
    size_t n, cap;
};
void eval_asks_release(struct eval_asks *a);
/* A new ask of that prompt, which is taken over (and emptied). *out is valid until the next. */
int eval_asks_add(struct eval_asks *a, size_t item, struct l2_ids *prompt, struct eval_ask **out,
                  struct l2_err *err) L2_MUST_CHECK;
/* One continuation more, taken over. */
int eval_ask_answer(struct eval_ask *ask, size_t which, struct l2_ids *answer,
                    struct l2_err *err) L2_MUST_CHECK;

/* Sees an ask's record when it is finished. */
typedef int eval_taken(void *arg, const struct eval_ask *ask, const struct l2_record *rec,
                       struct l2_err *err);
/* Runs all asks through the worker, those of the largest cost first, so that what has no room is
 * known at once and the time left is not promised too short. Records that went without a result are
 * told and make the status 1. */
int eval_asks_run(struct eval_asks *a, struct l2_cli *cli, struct l2_worker *w, eval_taken *taken,
                  void *arg, struct l2_err *err) L2_MUST_CHECK;

/* A question with choices. */
struct eval_question {
    struct l2_choice *choice;
    size_t n;
    size_t n_scored; /* choices that have a log-probability */
};
/* Sets logprob and greedy of all choices by the loaded model. Choices of one context share its
 * computation. */
int eval_score_choices(struct l2_cli *cli, struct l2_loaded *loaded, bool bos,
                       struct eval_question *q, size_t n, struct l2_err *err) L2_MUST_CHECK;

#endif
