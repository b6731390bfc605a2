/* l2-eval choices: rows of a context, its continuations and which of them is right. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <stdlib.h>
#include <string.h>

#include "common/report.h"

static struct {
    const char *delimiter, *task;
    bool no_bos, json;
} opts = {.delimiter = " ", .task = "choices"};

const struct l2_opt eval_choices_options[] = {
    {.name = "delimiter",
     .kind = L2_OPT_STRING,
     .arg = "TEXT",
     .help = "what stands between a context and each of its choices",
     .target = &opts.delimiter},
    {.name = "task",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "name of the task in the results",
     .target = &opts.task},
    {.name = "no-bos",
     .kind = L2_OPT_FLAG,
     .help = "put no BOS before a context, unless it is empty",
     .target = &opts.no_bos},
    {.name = "json",
     .kind = L2_OPT_FLAG,
     .help = "write the results as lm-evaluation-harness's JSON object, not as a table",
     .target = &opts.json},
    L2_OPT_TABLE_END,
};

struct choosing {
    struct l2_cli *cli;
    struct l2_loaded loaded;
    struct l2_arena arena; /* of the questions and their texts */
    struct eval_question *q;
    size_t n;
    struct eval_results results;
};

static int take_text(struct l2_arena *a, const json_t *v, const char *before, struct l2_str *out,
                     struct l2_err *err)
{
    size_t n = strlen(before), m = json_string_length(v);
    char *s = l2_arena_alloc(a, n + m + 1, 1, err);
    if (!s)
        return L2_MEMORY;
    memcpy(s, before, n);
    memcpy(s + n, json_string_value(v), m);
    s[n + m] = '\0';
    *out = (struct l2_str){s, n + m};
    return L2_OK;
}

/* gold is the number of the right choice, or a list of numbers. */
static int mark(struct eval_question *q, const json_t *gold, struct l2_err *err)
{
    size_t n = json_is_array(gold) ? json_array_size(gold) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_array(gold) ? json_array_get(gold, i) : gold;
        json_int_t k = json_is_integer(v) ? json_integer_value(v) : -1;
        if (k < 0 || (size_t)k >= q->n)
            return l2_err_set(err, L2_FORMAT, "gold: want a number from 0 to %zu", q->n - 1);
        q->choice[k].right = true;
    }
    return n > 0 ? L2_OK : l2_err_set(err, L2_FORMAT, "gold: want one right choice at least");
}

static int take_row(struct choosing *c, const json_t *row, struct eval_question *q,
                    struct l2_err *err)
{
    const json_t *context = json_object_get(row, "context");
    const json_t *choices = json_object_get(row, "choices");
    if (!json_is_string(context))
        return l2_err_set(err, L2_FORMAT, "context: want a text");
    if (!json_is_array(choices) || json_array_size(choices) == 0)
        return l2_err_set(err, L2_FORMAT, "choices: want a list of texts");
    q->n = json_array_size(choices);
    q->choice = l2_arena_alloc(&c->arena, q->n, sizeof *q->choice, err);
    if (!q->choice)
        return L2_MEMORY;
    struct l2_str shared;
    int r = take_text(&c->arena, context, "", &shared, err);
    for (size_t i = 0; i < q->n && r == L2_OK; i++) {
        const json_t *text = json_array_get(choices, i);
        struct l2_choice *choice = &q->choice[i];
        *choice = (struct l2_choice){.context = shared};
        if (!json_is_string(text) || json_string_length(text) == 0)
            return l2_err_set(err, L2_FORMAT, "choices: want texts that are not empty");
        r = take_text(&c->arena, text, "", &choice->text, err);
        if (r == L2_OK)
            r = take_text(&c->arena, text, opts.delimiter, &choice->continuation, err);
    }
    return r == L2_OK ? mark(q, json_object_get(row, "gold"), err) : r;
}

static int take_rows(struct choosing *c, const json_t *rows, struct l2_err *err)
{
    size_t n = json_array_size(rows);
    if (n == 0)
        return l2_err_set(err, L2_CORRUPT, "the input is empty: nothing to measure");
    c->q = calloc(n, sizeof *c->q);
    if (!c->q)
        return l2_err_memory(err, n * sizeof *c->q);
    c->n = n;
    for (size_t i = 0; i < n; i++) {
        int r = take_row(c, json_array_get(rows, i), &c->q[i], err);
        if (r != L2_OK && r != L2_MEMORY) {
            char text[sizeof err->text];
            memcpy(text, err->text, sizeof text);
            return l2_err_set(err, (enum l2_code)r, "row %zu: %.400s", i + 1, text);
        }
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

static int measure(struct choosing *c, struct l2_err *err)
{
    double *v = malloc(L2_N_CHOICE_METRICS * c->n * sizeof *v);
    size_t n = 0;
    int r = v ? L2_OK : l2_err_memory(err, L2_N_CHOICE_METRICS * c->n * sizeof *v);
    for (size_t i = 0; i < c->n && r == L2_OK; i++) {
        double one[L2_N_CHOICE_METRICS];
        if (c->q[i].n_scored < c->q[i].n)
            continue;
        l2_choice_metrics(c->q[i].choice, c->q[i].n, one);
        for (int m = 0; m < L2_N_CHOICE_METRICS; m++)
            v[(size_t)m * c->n + n] = one[m];
        n++;
    }
    if (r == L2_OK)
        r = eval_results_task(&c->results, opts.task, 0, c->n, n, err);
    for (int m = 0; m < L2_N_CHOICE_METRICS && r == L2_OK; m++) {
        struct l2_mean mean = l2_mean_of(v + (size_t)m * c->n, n);
        r = eval_results_metric(&c->results, opts.task, l2_choice_metric_names[m], "none", &mean,
                                m != L2_BRIER, err);
    }
    l2_report_count(c->cli->report, "samples", n);
    free(v);
    return r;
}

static int choose(struct choosing *c, struct l2_err *err)
{
    json_t *rows = json_array();
    int r = rows ? eval_read_operands(c->cli, rows, err) : l2_err_memory(err, 64);
    if (r == L2_OK)
        r = take_rows(c, rows, err);
    json_decref(rows);
    if (r == L2_OK)
        r = l2_load(&c->loaded, c->cli, &c->cli->model, (uint32_t)c->cli->model.batch, 0, err);
    if (r == L2_OK && !c->loaded.vocab)
        r = l2_err_set(err, L2_ARGUMENT, "the model has no vocabulary of its own: give it with -z");
    if (r == L2_OK)
        r = eval_results_init(&c->results, c->cli, err);
    if (r == L2_OK)
        r = eval_score_choices(c->cli, &c->loaded, !opts.no_bos, c->q, c->n, err);
    if (r == L2_OK)
        r = measure(c, err);
    return r == L2_OK ? eval_results_write(&c->results, opts.json, err) : r;
}

int eval_run_choices(struct l2_cli *cli)
{
    struct choosing c = {.cli = cli};
    struct l2_err err;
    l2_arena_init(&c.arena);
    int r = choose(&c, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    eval_results_release(&c.results);
    l2_unload(&c.loaded);
    l2_arena_release(&c.arena);
    free(c.q);
    return status;
}
