/* l2-score: scores of completions, by a reward model or as log-probabilities under a policy. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/modelopt.h"
#include "common/run.h"
#include "common/tally.h"
#include "sample/score.h"

static const char *const units[] = {"sum", "mean", "bits-per-byte", NULL};

static struct {
    const char *name;
    int unit;
    bool logprob; /* given */
    bool per_token;
    const char *by_field;
} opts;

static const struct l2_opt options[] = {
    {.name = "as",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "name of the score in the records",
     .default_text = "reward, or logprob with --logprob",
     .target = &opts.name},
    {.name = "logprob",
     .kind = L2_OPT_CHOICE,
     .arg = "UNIT",
     .help =
         "score by the log-probability of each completion given its prompt: sum (in nats), mean "
         "(a token), bits-per-byte (of the completion's text)",
     .choices = units,
     .default_text = "",
     .target = &opts.unit,
     .given = &opts.logprob},
    {.name = "per-token",
     .kind = L2_OPT_FLAG,
     .help = "with --logprob: keep the log-probability of each token as well",
     .target = &opts.per_token},
    {.name = "by-field",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "report the accuracy on pairs for each value of a field of meta",
     .target = &opts.by_field},
    L2_OPT_TABLE_END,
};

struct scoring {
    struct l2_cli *cli;
    struct l2_loaded loaded;
    struct l2_tally *tally;
};

static int check_header(void *arg, const struct l2_header *h, struct l2_err *err)
{
    struct scoring *s = arg;
    return l2_check_vocab(s->cli, &s->loaded, h, err);
}

static int count_record(void *arg, struct l2_record *rec, bool *write, struct l2_err *err)
{
    struct scoring *s = arg;
    (void)write;
    return l2_tally_add(s->tally, rec, err);
}

static void report_faults(struct l2_cli *cli, const struct l2_worker_faults *f)
{
    if (f->dropped > 0)
        json_object_set_new(cli->report, "dropped", json_integer((json_int_t)f->dropped));
    if (f->truncated > 0)
        json_object_set_new(cli->report, "truncated", json_integer((json_int_t)f->truncated));
    if (f->eos_mismatches > 0) {
        json_object_set_new(cli->report, "eos_mismatches",
                            json_integer((json_int_t)f->eos_mismatches));
        l2_cli_note(cli,
                    "%llu completions do not end as the reward model's training data did "
                    "(l2_reward_eos in its config.json)",
                    (unsigned long long)f->eos_mismatches);
    }
}

static int score_streams(struct scoring *s, struct l2_err *err)
{
    struct l2_worker *worker = NULL;
    struct l2_pipe *pipe = NULL;
    struct l2_score_opts so = {
        .kind = opts.logprob ? L2_SCORE_LOGPROB : L2_SCORE_REWARD,
        .unit = (enum l2_logprob_unit)opts.unit,
        .vocab = s->loaded.vocab,
        .name = opts.name,
        .per_token = opts.per_token,
        .overlong = (enum l2_overlong)s->cli->model.overlong,
    };
    int r = l2_scorer_new(&worker, s->loaded.engine, &so, err);
    if (r == L2_OK)
        r = l2_pipe_open(&pipe, s->cli, false, s->loaded.kernels, err);
    if (r == L2_OK) {
        struct l2_run run = {.cli = s->cli,
                             .pipe = pipe,
                             .worker = worker,
                             .header = check_header,
                             .done = count_record,
                             .arg = s};
        l2_run_worker(&run);
        report_faults(s->cli, worker->ops->faults(worker));
        r = l2_tally_report(s->tally, s->cli->report, err);
    }
    if (worker)
        worker->ops->free(worker);
    return r;
}

static int run(struct l2_cli *cli)
{
    struct scoring s = {.cli = cli};
    struct l2_err err;
    if (!opts.name)
        opts.name = opts.logprob ? "logprob" : "reward";
    if (opts.name[0] == '\0')
        return l2_cli_usage(cli, "--as: want a name, got an empty string");
    if (opts.per_token && !opts.logprob)
        return l2_cli_usage(cli, "--per-token wants --logprob");
    int r = l2_tally_new(&s.tally, opts.name, opts.by_field, &err);
    if (r == L2_OK)
        r = l2_load(&s.loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, &err);
    if (r == L2_OK)
        r = score_streams(&s, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    l2_tally_free(s.tally);
    l2_unload(&s.loaded);
    return status;
}

static const char *const usage[] = {"-m MODEL [OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-score",
        .usage = usage,
        .summary =
            "Score the completions of records with a reward model, or by their log-probability.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_RESUME | L2_ROWS_THREADS | L2_ROWS_MODEL,
        .backends = l2_model_backends,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
