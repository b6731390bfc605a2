/* l2-generate: completions for prompts. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sampling.h"

#include "common/run.h"

static struct {
    int64_t completions;
    struct sampling sampling;
    bool no_logprobs;
    int64_t lookup;
    const char *name;
    int64_t round;
    bool has_round;
} opts = {.completions = 1, .sampling = SAMPLING_DEFAULTS};

static const struct l2_opt options[] = {
    {.name = "completions",
     .letter = 'k',
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "completions for each prompt",
     .target = &opts.completions,
     .min = 1,
     .max = 1 << 20},
    SAMPLING_OPTIONS(&opts.sampling),
    {.name = "lookup",
     .no_effect = true,
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "tokens guessed ahead at most, from what followed the last two before, while few "
             "completions are decoded at once; saves time where text repeats, and changes no "
             "result",
     .target = &opts.lookup,
     .min = 0,
     .max = 64},
    {.name = "no-logprobs",
     .kind = L2_OPT_FLAG,
     .help = "leave the log-probabilities of tokens out of the records",
     .target = &opts.no_logprobs},
    {.name = "as",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "name of the model in the records",
     .default_text = "the last part of the model's path",
     .target = &opts.name},
    {.name = "round",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "number of the round of sampling, kept in the records",
     .default_text = "",
     .target = &opts.round,
     .given = &opts.has_round},
    L2_OPT_TABLE_END,
};

struct generation {
    struct l2_cli *cli;
    struct l2_loaded loaded;
    struct l2_worker *worker;
    struct sampling_rules rules;
};

static int check_header(void *arg, const struct l2_header *h, struct l2_err *err)
{
    struct generation *g = arg;
    int r = l2_check_vocab(g->cli, &g->loaded, h, err);
    if (r == L2_OK)
        l2_generator_set_vocab_size(g->worker, h->has_vocab ? h->vocab_size : UINT32_MAX);
    return r;
}

static void report(struct generation *g)
{
    const struct l2_generate_counts *c = l2_generator_results(g->worker);
    json_t *report = g->cli->report;
    uint64_t n = 0;
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++)
        n += c->completions[i];
    json_object_set_new(report, "completions", json_integer((json_int_t)n));
    sampling_report(g->cli, g->worker);
    if (opts.lookup > 0) {
        json_object_set_new(report, "guessed", json_integer((json_int_t)c->guessed));
        json_object_set_new(report, "guessed_right", json_integer((json_int_t)c->right));
    }
}

static int set_up(struct generation *g, struct l2_err *err)
{
    struct l2_generate_opts go = {
        .n_completions = (uint32_t)opts.completions,
        .has_round = opts.has_round,
        .round = opts.round,
        .keep_logprobs = !opts.no_logprobs,
        .lookup = (uint32_t)opts.lookup,
    };
    int r = sampling_set_up(&g->rules, g->cli, &g->loaded, &opts.sampling, &go, err);
    if (r != L2_OK)
        return r;
    if (opts.name)
        go.model_name = opts.name;
    return l2_generator_new(&g->worker, g->loaded.engine, &go, err);
}

static int generate_streams(struct generation *g, struct l2_err *err)
{
    struct l2_pipe *pipe = NULL;
    int r = l2_pipe_open(&pipe, g->cli, false, g->loaded.kernels, err);
    if (r != L2_OK)
        return r;
    struct l2_run run = {
        .cli = g->cli, .pipe = pipe, .worker = g->worker, .header = check_header, .arg = g};
    l2_run_worker(&run);
    report(g);
    return L2_OK;
}

static int run(struct l2_cli *cli)
{
    struct generation g = {.cli = cli};
    struct l2_err err;
    int r = sampling_check(&opts.sampling, &err);
    if (r == L2_OK)
        r = l2_load(&g.loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, &err);
    if (r == L2_OK)
        r = set_up(&g, &err);
    if (r == L2_OK)
        r = generate_streams(&g, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    if (g.worker)
        g.worker->ops->free(g.worker);
    sampling_release(&g.rules);
    l2_unload(&g.loaded);
    return status;
}

static const char *const usage[] = {"-m MODEL [OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-generate",
        .usage = usage,
        .summary = "Add completions to the prompts of records, drawn from a model.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_RESUME | L2_ROWS_THREADS | L2_ROWS_MODEL,
        .backends = l2_model_backends,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
