/* The parts of l2-eval. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_EVAL_H
#define L2_CMD_EVAL_H

#include "common/cli.h"
#include "common/modelopt.h"
#include "eval/task.h"
#include "sample/generate.h"
#include "sample/worker.h"
#include "text/encode.h"
#include "util/ids.h"

/* The options and the programs of the subcommands. */
extern const struct l2_opt eval_choices_options[], eval_perplexity_options[], eval_task_options[];
int eval_run_choices(struct l2_cli *cli);
int eval_run_perplexity(struct l2_cli *cli);
int eval_run_task(struct l2_cli *cli);

/* ---- rows in ---- */

/* Appends the rows of a JSONL file ("-": standard input), objects, to the array rows. */
int eval_read_rows(struct l2_cli *cli, const char *path, json_t *rows,
                   struct l2_err *err) L2_MUST_CHECK;
/* All of a file ("-": standard input); *name, for messages, lives as long as path. */
int eval_read_file(struct l2_cli *cli, const char *path, struct l2_buf *out, const char **name,
                   struct l2_err *err) L2_MUST_CHECK;
/* Appends the documents of the files (of standard input where n is 0). labels (or NULL) is a file
 * of as many lines, which become the field "label". */
int eval_read_docs(struct l2_cli *cli, const struct l2_docs_form *form, const char *const *paths,
                   size_t n, const char *labels, json_t *docs, struct l2_err *err) L2_MUST_CHECK;

/* ---- results out ---- */

/* Option rows that several subcommands have: the last three are --samples, with its own help,
 * --resume and --json. */
/* clang-format off */
#define EVAL_NO_BOS_OPTION(target_no_bos)                                                          \
    {.name = "no-bos", .kind = L2_OPT_FLAG, .target = target_no_bos,                               \
     .help = "put no BOS before a context, unless it is empty"}
#define EVAL_OUT_OPTIONS(target_samples, help_samples, target_resume, target_json)                 \
    {.name = "samples", .kind = L2_OPT_STRING, .arg = "FILE", .target = target_samples,            \
     .help = help_samples, .is_path = true, .no_effect = true},                                    \
    {.name = "resume", .kind = L2_OPT_FLAG, .target = target_resume, .no_effect = true,            \
     .help = "go on with the rows of --samples that were made in the same way"},                   \
    {.name = "json", .kind = L2_OPT_FLAG, .target = target_json, .no_effect = true,                \
     .help = "write the results as lm-evaluation-harness's JSON object, not as a table"}
/* clang-format on */

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
/* How the task is defined. */
int eval_results_config(struct eval_results *res, const struct l2_task *task,
                        struct l2_err *err) L2_MUST_CHECK;
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
    bool skip;       /* its result is known already */
};
/* Sees that number item has its result: resps is a list of what the model said, borrowed. */
typedef int eval_answered(void *arg, size_t item, const json_t *resps, struct l2_err *err);

/* Sets logprob and greedy of all choices by the loaded model; resps has [logprob, greedy] of each.
 * Choices of one context share its computation. */
int eval_score_choices(struct l2_cli *cli, struct l2_loaded *loaded, bool bos,
                       struct eval_question *q, size_t n, eval_answered *answered, void *arg,
                       struct l2_err *err) L2_MUST_CHECK;

/* A prompt to go on from. */
struct eval_prompt {
    struct l2_str context;
    bool skip;
};
/* Generates the answers to prompts; resps has the texts. Of opts, what the loaded model decides is
 * filled in here. until: n_until texts at each of which an answer ends. */
int eval_generate(struct l2_cli *cli, struct l2_loaded *loaded, bool bos,
                  const struct l2_generate_opts *opts, const char *const *until, size_t n_until,
                  const struct eval_prompt *p, size_t n, eval_answered *answered, void *arg,
                  struct l2_err *err) L2_MUST_CHECK;

/* ---- tasks ---- */

/* How a task is run. */
struct eval_run {
    const char *shots_from, *labels, *shots_labels;
    const char *samples; /* file of sample rows, or NULL */
    bool resume;         /* goes on with that file */
    const char *check;   /* command, or NULL */
    double check_limit;  /* seconds */
    int64_t limit;       /* documents at most; 0: all */
    uint64_t seed;
    bool no_bos, json;
};
/* Runs the task, which is read, on the operands. */
int eval_run(struct l2_cli *cli, struct l2_task *task, const struct eval_run *how,
             struct l2_err *err) L2_MUST_CHECK;

/* Whether the command, by sh, ends with status 0 when it reads text: within seconds, else no. Its
 * output goes nowhere, and what it leaves running is ended. */
int eval_check(const char *command, double seconds, const char *text, size_t n, bool *good,
               struct l2_err *err) L2_MUST_CHECK;

/* Sample rows as they come, in a file that a later run goes on with. */
struct eval_samples {
    const char *path;
    int fd;
    json_t *kept; /* of an earlier run: fingerprint to its resps; owned */
};
/* Creates the file, or with resume reads its whole rows and cuts off the rest. path may be NULL.
 */
int eval_samples_open(struct eval_samples *s, struct l2_cli *cli, const char *path, bool resume,
                      struct l2_err *err) L2_MUST_CHECK;
/* What an earlier run has under this fingerprint, borrowed, or NULL. */
const json_t *eval_samples_find(const struct eval_samples *s, const char *fingerprint);
int eval_samples_add(struct eval_samples *s, const json_t *row, struct l2_err *err) L2_MUST_CHECK;
/* Where complete, the file's rows become those of the list, in that order. */
int eval_samples_close(struct eval_samples *s, const json_t *rows, bool complete,
                       struct l2_err *err) L2_MUST_CHECK;

#endif
