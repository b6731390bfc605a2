/* l2-eval choices: rows of a context, its continuations and which of them is right. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <string.h>

static struct {
    const char *delimiter, *task;
    struct eval_run how;
} opts = {.delimiter = " ", .task = "choices"};

const struct l2_opt eval_choices_options[] = {
    {.name = "delimiter",
     .kind = L2_OPT_STRING,
     .arg = "TEXT",
     .help = "what stands between a context and each of its choices",
     .target = &opts.delimiter},
    {.name = "name",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "name of the task in the results",
     .target = &opts.task},
    {.name = "limit",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "take the first N rows only; 0: all",
     .target = &opts.how.limit,
     .min = 0,
     .max = INT32_MAX},
    EVAL_NO_BOS_OPTION(&opts.how.no_bos),
    EVAL_OUT_OPTIONS(&opts.how.samples, "write a row for each sample", &opts.how.resume,
                     &opts.how.json),
    L2_OPT_TABLE_END,
};

/* The task that such rows are. */
static const char definition[] =
    "task: choices\n"
    "output_type: multiple_choice\n"
    "doc_to_text: '{{context}}'\n"
    "doc_to_choice: '{{choices}}'\n"
    "doc_to_target: '{{gold}}'\n"
    "metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}, {metric: exact_match},\n"
    "  {metric: mc2}, {metric: brier_score}]\n";

int eval_run_choices(struct l2_cli *cli)
{
    struct l2_task task;
    struct l2_err err;
    if (opts.how.resume && !opts.how.samples)
        return l2_cli_usage(cli, "--resume wants --samples");
    int r = l2_task_read(&task, definition, strlen(definition), "choices", &err);
    task.name = opts.task;
    task.target_delimiter = opts.delimiter;
    if (r == L2_OK)
        r = eval_run(cli, &task, &opts.how, &err);
    l2_task_release(&task);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
