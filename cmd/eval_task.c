/* l2-eval task: a task from YAML over the files of its test set. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <string.h>

#include "util/str.h"

static struct {
    const char *task, *tasks;
    bool list;
    struct eval_run how;
    int64_t shots, completions, max_new;
    bool has_shots, has_completions, has_max_new, has_temperature;
    double temperature;
} opts = {.tasks = L2_TASKDIR, .how = {.check_limit = 10}};

const struct l2_opt eval_task_options[] = {
    {.name = "task",
     .letter = 't',
     .kind = L2_OPT_STRING,
     .arg = "TASK",
     .help = "a task's YAML file, or the name of one that is installed",
     .target = &opts.task},
    {.name = "tasks",
     .kind = L2_OPT_STRING,
     .arg = "DIR",
     .help = "where tasks are looked up by name",
     .target = &opts.tasks,
     .is_path = true,
     .no_effect = true},
    {.name = "labels",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "a file with a line for each document, which becomes its field label",
     .target = &opts.how.labels,
     .is_path = true},
    {.name = "limit",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "take the first N documents only; 0: all",
     .target = &opts.how.limit,
     .min = 0,
     .max = INT32_MAX},
    {.name = "shots",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "examples before each question, in place of the task's number",
     .default_text = "",
     .target = &opts.shots,
     .given = &opts.has_shots,
     .min = 0,
     .max = 10000},
    {.name = "shots-from",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "where examples come from, in place of the other documents",
     .target = &opts.how.shots_from,
     .is_path = true},
    {.name = "shots-labels",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "labels of --shots-from",
     .target = &opts.how.shots_labels,
     .is_path = true},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "seed of the choice of examples and of generation",
     .target = &opts.how.seed},
    {.name = "completions",
     .letter = 'k',
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "answers to each question, in place of the task's number",
     .default_text = "",
     .target = &opts.completions,
     .given = &opts.has_completions,
     .min = 1,
     .max = 1 << 20},
    {.name = "max-tokens",
     .letter = 'n',
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "new tokens of an answer at most, in place of the task's number",
     .default_text = "",
     .target = &opts.max_new,
     .given = &opts.has_max_new,
     .min = 1,
     .max = INT32_MAX},
    {.name = "temperature",
     .letter = 'T',
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "temperature of answers, in place of the task's",
     .default_text = "",
     .target = &opts.temperature,
     .given = &opts.has_temperature,
     .min = 0,
     .max = 1e6},
    {.name = "check",
     .kind = L2_OPT_STRING,
     .arg = "COMMAND",
     .help = "an answer is right where this command, which reads it, ends with status 0 (pass@K)",
     .target = &opts.how.check},
    {.name = "check-limit",
     .kind = L2_OPT_REAL,
     .arg = "SECONDS",
     .help = "a check that takes longer has failed",
     .target = &opts.how.check_limit,
     .min = 0.01,
     .max = 1e6},
    EVAL_NO_BOS_OPTION(&opts.how.no_bos),
    EVAL_OUT_OPTIONS(&opts.how.samples, "write a row for each sample", &opts.how.resume,
                     &opts.how.json),
    L2_OPT_TABLE_END,
};

/* A name without a slash and an ending is looked up. */
static int read_task(struct l2_cli *cli, struct l2_task *task, struct l2_err *err)
{
    struct l2_buf path = {0}, text = {0};
    const char *name;
    bool is_file = strchr(opts.task, '/') || l2_ends_in(opts.task, ".yaml");
    int r = is_file ? l2_buf_printf(&path, err, "%s%c", opts.task, '\0')
                    : l2_buf_printf(&path, err, "%s/%s.yaml%c", opts.tasks, opts.task, '\0');
    *task = (struct l2_task){.config = NULL};
    if (r == L2_OK)
        r = eval_read_file(cli, (const char *)path.data, &text, &name, err);
    if (r == L2_OK)
        r = l2_task_read(task, (const char *)text.data, text.len, name, err);
    l2_buf_release(&path);
    l2_buf_release(&text);
    return r;
}

int eval_run_task(struct l2_cli *cli)
{
    struct l2_task task;
    struct l2_err err;
    if (!opts.task)
        return l2_cli_usage(cli, "want a task: --task TASK");
    if (opts.how.resume && !opts.how.samples)
        return l2_cli_usage(cli, "--resume wants --samples");
    if (opts.how.shots_labels && !opts.how.shots_from)
        return l2_cli_usage(cli, "--shots-labels wants --shots-from");
    int r = read_task(cli, &task, &err);
    if (opts.has_shots)
        task.n_shots = (uint32_t)opts.shots;
    if (opts.has_completions)
        task.repeats = (uint32_t)opts.completions;
    if (opts.has_max_new)
        task.max_new = (uint32_t)opts.max_new;
    if (opts.has_temperature)
        task.temperature = opts.temperature;
    if (r == L2_OK)
        r = eval_run(cli, &task, &opts.how, &err);
    l2_task_release(&task);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
