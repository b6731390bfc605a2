/* l2-generate: completions for prompts. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/modelopt.h"
#include "common/run.h"
#include "sample/generate.h"
#include "util/num.h"

static struct {
    int64_t completions;
    int64_t max_new_tokens;
    struct l2_sampler_opts sampler;
    int64_t top_k;
    uint64_t seed;
    const char *stop;
    struct l2_strings eos;
    bool ignore_eos;
    bool no_logprobs;
    int64_t lookup;
    const char *name;
    int64_t round;
    bool has_round;
} opts = {.completions = 1, .sampler = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}};

static const struct l2_opt options[] = {
    {.name = "completions",
     .letter = 'k',
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "completions for each prompt",
     .target = &opts.completions,
     .min = 1,
     .max = 1 << 20},
    {.name = "max-tokens",
     .letter = 'n',
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "new tokens of a completion at most, EOS included; 0: as many as the context holds",
     .target = &opts.max_new_tokens,
     .min = 0,
     .max = INT32_MAX},
    {.name = "temperature",
     .letter = 'T',
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "divide the logits by X; 0: always take the most likely token",
     .target = &opts.sampler.temperature,
     .min = 0,
     .max = 1e6},
    {.name = "top-k",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "draw from the N most likely tokens; 0: from all",
     .target = &opts.top_k,
     .min = 0,
     .max = INT32_MAX},
    {.name = "top-p",
     .kind = L2_OPT_REAL,
     .arg = "P",
     .help = "draw from the smallest set of most likely tokens that has probability P; 1: from all",
     .target = &opts.sampler.top_p,
     .min = 1e-9,
     .max = 1},
    {.name = "min-p",
     .kind = L2_OPT_REAL,
     .arg = "P",
     .help = "draw from the tokens that have P times the probability of the most likely one; 0: "
             "from all",
     .target = &opts.sampler.min_p,
     .min = 0,
     .max = 1},
    {.name = "repetition-penalty",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "divide the positive logits of tokens that have occurred by X and multiply the "
             "negative ones; 1: no penalty",
     .target = &opts.sampler.repetition_penalty,
     .min = 1e-3,
     .max = 1e3},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "seed of the random numbers",
     .target = &opts.seed},
    {.name = "stop",
     .kind = L2_OPT_STRING,
     .arg = "REGEX",
     .help = "end a completion where its text matches the PCRE2 pattern, and cut off the match "
             "and what follows it",
     .target = &opts.stop},
    {.name = "eos",
     .kind = L2_OPT_LIST,
     .arg = "ID",
     .help = "end a completion with this token, in place of the model's own EOS; may be repeated",
     .target = &opts.eos},
    {.name = "ignore-eos",
     .kind = L2_OPT_FLAG,
     .help = "end no completion because of a token",
     .target = &opts.ignore_eos},
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
    struct l2_stop *stop;
    uint32_t eos[L2_MAX_EOS];
    uint32_t n_eos;
    char name[256];
};

/* The last part of a path. */
static void base_name(const char *path, char *out, size_t size)
{
    size_t end = strlen(path), begin, n;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    n = end - begin < size ? end - begin : size - 1;
    memcpy(out, path + begin, n);
    out[n] = '\0';
}

static int parse_eos(struct generation *g, struct l2_err *err)
{
    uint32_t rows = g->loaded.model->hp.vocab_size;
    if (opts.eos.n > L2_MAX_EOS)
        return l2_err_set(err, L2_ARGUMENT, "--eos: want %d ids at most, got %zu", L2_MAX_EOS,
                          opts.eos.n);
    for (size_t i = 0; i < opts.eos.n; i++) {
        uint64_t id;
        if (!l2_parse_u64(opts.eos.v[i], &id) || id >= rows)
            return l2_err_set(err, L2_ARGUMENT, "--eos: want a token id below %u, got '%s'",
                              (unsigned)rows, opts.eos.v[i]);
        g->eos[g->n_eos++] = (uint32_t)id;
    }
    return L2_OK;
}

/* What ends a completion: --eos, else the model's ids, else the vocabulary's. */
static int choose_eos(struct generation *g, struct l2_err *err)
{
    const struct l2_hparams *hp = &g->loaded.model->hp;
    if (opts.ignore_eos)
        return L2_OK;
    if (opts.eos.n > 0)
        return parse_eos(g, err);
    memcpy(g->eos, hp->eos, sizeof g->eos);
    g->n_eos = hp->n_eos;
    if (g->n_eos == 0 && g->loaded.vocab && l2_vocab_eos(g->loaded.vocab) != L2_NO_ID)
        g->eos[g->n_eos++] = l2_vocab_eos(g->loaded.vocab);
    if (g->n_eos == 0)
        l2_cli_note(g->cli, "no EOS is known for this model: completions end by their length");
    return L2_OK;
}

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
    const struct l2_worker_faults *f = g->worker->ops->faults(g->worker);
    const struct l2_generate_counts *c = l2_generator_results(g->worker);
    json_t *report = g->cli->report, *finish = json_object();
    uint64_t n = 0;
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++) {
        n += c->completions[i];
        json_object_set_new(finish, l2_finish_names[i],
                            json_integer((json_int_t)c->completions[i]));
    }
    json_object_set_new(report, "completions", json_integer((json_int_t)n));
    json_object_set_new(report, "new_tokens", json_integer((json_int_t)c->tokens));
    json_object_set_new(report, "finish", finish);
    if (opts.lookup > 0) {
        json_object_set_new(report, "guessed", json_integer((json_int_t)c->guessed));
        json_object_set_new(report, "guessed_right", json_integer((json_int_t)c->right));
    }
    if (f->dropped > 0)
        json_object_set_new(report, "dropped", json_integer((json_int_t)f->dropped));
    if (f->truncated > 0)
        json_object_set_new(report, "truncated", json_integer((json_int_t)f->truncated));
}

static int set_up(struct generation *g, struct l2_err *err)
{
    struct l2_cli *cli = g->cli;
    int r = choose_eos(g, err);
    if (r == L2_OK && opts.stop && !g->loaded.vocab)
        r = l2_err_set(
            err, L2_ARGUMENT,
            "--stop wants a vocabulary: the model has none of its own, so give it with -z");
    if (r == L2_OK && opts.stop)
        r = l2_stop_new(&g->stop, opts.stop, err);
    if (r != L2_OK)
        return r;
    base_name(cli->model.model, g->name, sizeof g->name);
    struct l2_generate_opts go = {
        .n_completions = (uint32_t)opts.completions,
        .max_new_tokens = (uint32_t)opts.max_new_tokens,
        .sampler = opts.sampler,
        .seed = opts.seed,
        .eos = g->eos,
        .n_eos = g->n_eos,
        .stop = g->stop,
        .vocab = g->loaded.vocab,
        .model_name = opts.name ? opts.name : g->name,
        .has_round = opts.has_round,
        .round = opts.round,
        .overlong = (enum l2_overlong)cli->model.overlong,
        .keep_logprobs = !opts.no_logprobs,
        .lookup = (uint32_t)opts.lookup,
        .pool = g->loaded.pool,
    };
    go.sampler.top_k = (uint32_t)opts.top_k;
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
    if (opts.ignore_eos && opts.eos.n > 0)
        return l2_cli_usage(cli, "--eos and --ignore-eos contradict each other");
    int r = l2_load(&g.loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, &err);
    if (r == L2_OK)
        r = set_up(&g, &err);
    if (r == L2_OK)
        r = generate_streams(&g, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    if (g.worker)
        g.worker->ops->free(g.worker);
    l2_stop_free(g.stop);
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
