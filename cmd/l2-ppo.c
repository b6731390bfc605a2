/* l2-ppo: reinforcement learning from reward models. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ppo.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/progress.h"
#include "common/report.h"
#include "common/signals.h"
#include "util/philox.h"

static struct l2_ppo_args args = {.batch = 512,
                                  .completions = 1,
                                  .iterations = 200,
                                  .mini_batch = 64,
                                  .epochs = 1,
                                  .eval_every = 10,
                                  .save_every = 1,
                                  .temperature = 1,
                                  .lr = 1e-6,
                                  .optimiser = OPTIMISER_DEFAULTS,
                                  .cliprange = 0.2,
                                  .cliprange_value = 0.2,
                                  .vf_coef = 0.1,
                                  .gamma = 1,
                                  .lambda = 0.95,
                                  .kl_horizon = 10000};

static const char *const estimators[] = {"k1", "k2", "k3", NULL};

/* clang-format off */
#define COUNT(opt, field, least_, text, ...)                                                       \
    {.name = opt, .kind = L2_OPT_INT, .arg = "N", .min = least_, .max = INT32_MAX,                 \
     .target = &args.field, .help = text, __VA_ARGS__}
#define REAL(opt, field, most, text, ...)                                                          \
    {.name = opt, .kind = L2_OPT_REAL, .arg = "X", .min = 0, .max = most,                          \
     .target = &args.field, .help = text, __VA_ARGS__}
#define FLAG(opt, field, text, ...)                                                                \
    {.name = opt, .kind = L2_OPT_FLAG, .target = &args.field, .help = text, __VA_ARGS__}
#define TEXT(opt, field, arg_, text, ...)                                                          \
    {.name = opt, .kind = L2_OPT_STRING, .arg = arg_, .target = &args.field, .help = text,         \
     __VA_ARGS__}
static const struct l2_opt options[] = {
    TEXT("model", model, "DIR", "the checkpoint to start from, which is the reference, too",
         .letter = 'm', .is_path = true, .no_effect = true),
    TEXT("output", output, "DIR", "the model directory to make; the run's checkpoint is DIR.ckpt",
         .letter = 'o', .is_path = true, .no_effect = true, .default_text = ""),
    FLAG("force", force, "replace a model directory, and forget its checkpoint", .no_effect = true),
    FLAG("resume", resume, "go on from the checkpoint, if there is one", .no_effect = true),
    L2_OPT_TITLE("Rewards"),
    TEXT("reward", reward, "DIR", "the (helpfulness) reward model", .is_path = true,
         .no_effect = true),
    TEXT("safety", safety, "DIR", "the safety reward model", .is_path = true, .no_effect = true),
    TEXT("safety-tag", safety_tag, "FIELD",
         "a true or false field of meta: prompts that are rewarded by safety alone"),
    TEXT("reward-pattern", pattern, "REGEX",
         "in place of --reward: 1 for a completion in whose text the PCRE2 pattern occurs, else 0"),
    TEXT("reward-command", command, "COMMAND",
         "in place of --reward: a command that reads a stream and writes it with scores named reward"),
    REAL("missing-eos-penalty", missing_eos, 1e9,
         "is taken from the score of a completion that does not end in EOS"),
    FLAG("no-whiten-scores", raw_scores, "scores as they are: mean and deviation are not taken out"),
    L2_OPT_TITLE("Rollouts"),
    COUNT("batch", batch, 1, "completions of an iteration"),
    COUNT("completions", completions, 1, "completions of each prompt; divides the batch",
          .letter = 'k'),
    COUNT("max-tokens", max_tokens, 0,
          "new tokens of a completion at most, EOS included; 0: as many as the context holds",
          .letter = 'n'),
    REAL("temperature", temperature, 1e6, "divide the logits by X when drawing", .letter = 'T'),
    TEXT("rollouts", rollouts, "DIR", "write the records of each iteration N to DIR/N.l2s",
         .is_path = true, .no_effect = true),
    {.name = "seed", .letter = 's', .kind = L2_OPT_SEED, .arg = "N", .target = &args.seed,
     .help = "of the order of prompts, of draws and of adapters"},
    {.name = "kv-memory", .kind = L2_OPT_BYTES, .arg = "SIZE", .target = &args.kv_bytes,
     .default_text = "1G at most", .no_effect = true,
     .help = "memory for keys and values of each engine"},
    L2_OPT_TITLE("Objective"),
    REAL("kl-coef", kl_coef, 1e6, "beta: what a nat of KL to the reference costs",
         .given = &args.kl_coef_given, .default_text = "0.01; 0.005 from 30e9 parameters on"),
    {.name = "kl-estimator", .kind = L2_OPT_CHOICE, .arg = "KIND", .choices = estimators,
     .target = &args.kl, .help = "of the KL in the rewards: k1, k2 or k3"},
    REAL("kl-target", kl_target, 1e6, "KL of a completion that beta is adapted to reach; 0: beta stays"),
    REAL("kl-horizon", kl_horizon, 1e12, "completions in which beta adapts"),
    REAL("max-kl", max_kl, 1e9, "stop where the KL of a completion is above this; 0: no limit"),
    REAL("cliprange", cliprange, 1e3, "how far the ratio of policies may be from 1"),
    REAL("cliprange-value", cliprange_value, 1e9, "how far values may move; 0: no limit"),
    REAL("vf-coef", vf_coef, 1e6, "weight of the value loss"),
    REAL("gamma", gamma, 1, "discount of later rewards"),
    REAL("lam", lambda, 1, "lambda of generalised advantage estimation"),
    L2_OPT_TITLE("Steps"),
    COUNT("iterations", iterations, 1, "batches to learn from at most", .no_effect = true),
    COUNT("mini-batch", mini_batch, 1, "completions of an optimiser step"),
    COUNT("num-ppo-epochs", epochs, 1, "passes over each batch"),
    REAL("held-out", held_out, 0.99, "share of the prompts to evaluate on and not to train on; the "
         "model with the best score on them is kept"),
    COUNT("eval-every", eval_every, 1, "iterations between evaluations"),
    COUNT("patience", patience, 0, "stop after N evaluations without a better one; 0: never"),
    REAL("lr", lr, 10, "learning rate, which is constant"),
    ADAMW_OPTIONS(args.optimiser),
    L2_OPT_TITLE("Computation"),
    COUNT("rows", rows, 0, "positions that training computes at once; at least the longest rollout",
          .default_text = "1024"),
    COMPUTE_OPTIONS(args.optimiser),
    LORA_OPTIONS(args.optimiser, "train low-rank adapters of this rank, so that policy and reference "
                 "share one copy, in bf16"),
    FLAG("plan", plan, "say what memory the run takes, and do nothing", .no_effect = true),
    L2_OPT_TITLE("Checkpoints and reports"),
    COUNT("save-every", save_every, 1, "iterations between checkpoints", .no_effect = true),
    TEXT("log", log, "FILE", "append every iteration to FILE, as JSON lines with the names that TRL has",
         .is_path = true, .no_effect = true),
    L2_OPT_TABLE_END,
};
/* clang-format on */

/* ---- an iteration ---- */

/* Draws of different iterations, and evaluations, are different. */
static uint64_t seed_of(uint64_t iteration, bool evaluation)
{
    struct l2_philox_key key = l2_philox_key_of(args.seed);
    uint32_t out[4];
    const uint32_t counter[4] = {(uint32_t)iteration, (uint32_t)(iteration >> 32), evaluation, 2};
    l2_philox(key, counter, out);
    return ((uint64_t)out[1] << 32) | out[0];
}

static int series(struct l2_record *rec, struct l2_completion *c, enum l2_series s, float **out,
                  struct l2_err *err)
{
    float *v = l2_arena_alloc(&rec->arena, c->tokens.n, sizeof *v, err);
    if (!v)
        return L2_MEMORY;
    c->series[s] = (struct l2_f32s){v, c->tokens.n};
    *out = v;
    return L2_OK;
}

static int rollout_of(struct l2_record *rec, struct l2_completion *c, struct l2_rollout *out,
                      struct l2_err *err)
{
    *out = (struct l2_rollout){.prompt = rec->prompt.v,
                               .n_prompt = rec->prompt.n,
                               .tokens = c->tokens.v,
                               .n = c->tokens.n,
                               .score = *l2_completion_score(c, "score")};
    const struct {
        enum l2_series series;
        float **out;
    } all[] = {{L2_LOGPROBS, &out->logprob},     {L2_REF_LOGPROBS, &out->ref_logprob},
               {L2_VALUES, &out->value},         {L2_REWARDS, &out->reward},
               {L2_ADVANTAGES, &out->advantage}, {L2_RETURNS, &out->returns}};
    int rc = L2_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && rc == L2_OK; i++)
        rc = series(rec, c, all[i].series, all[i].out, err);
    return rc;
}

/* The rollouts of a batch; their arrays are its records' series. */
static int rollouts_of(struct l2_prompts *batch, struct l2_rollout **out, size_t *n,
                       struct l2_err *err)
{
    size_t most = 0;
    int rc = L2_OK;
    *n = 0;
    for (size_t i = 0; i < batch->n; i++)
        most += batch->v[i]->n_completions;
    *out = calloc(most > 0 ? most : 1, sizeof **out);
    if (!*out)
        return l2_err_memory(err, most * sizeof **out);
    for (size_t i = 0; i < batch->n; i++)
        for (size_t k = 0; k < batch->v[i]->n_completions && rc == L2_OK; k++)
            if (batch->v[i]->completions[k].tokens.n > 0)
                rc = rollout_of(batch->v[i], &batch->v[i]->completions[k], &(*out)[(*n)++], err);
    return rc;
}

static double sampled_kl(const struct l2_prompts *batch)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < batch->n; i++)
        for (size_t k = 0; k < batch->v[i]->n_completions; k++, n++) {
            const struct l2_f32s *s = batch->v[i]->completions[k].series;
            for (size_t t = 0; t < s[L2_LOGPROBS].n && t < s[L2_SAMPLED_LOGPROBS].n; t++)
                sum += (double)s[L2_SAMPLED_LOGPROBS].v[t] - s[L2_LOGPROBS].v[t];
        }
    return n > 0 ? sum / n : 0;
}

static int write_rollouts(struct l2_ppo_run *r, const struct l2_prompts *batch, struct l2_err *err)
{
    char path[4096];
    if (!args.rollouts)
        return L2_OK;
    snprintf(path, sizeof path, "%s/%06" PRIu64 ".l2s", args.rollouts, r->iteration + 1);
    return l2_ppo_write_rollouts(r, batch, path, err);
}

static int iterate(struct l2_ppo_run *r, struct l2_ppo_scores *scores, struct l2_ppo_stats *stats,
                   struct l2_err *err)
{
    struct l2_prompts batch;
    struct l2_rollout *rollouts = NULL;
    size_t n;
    int rc = l2_ppo_batch(r, &batch, err);
    if (rc == L2_OK)
        rc = l2_ppo_generate(r, &batch, (uint32_t)args.completions, seed_of(r->iteration, false),
                             err);
    if (rc == L2_OK)
        rc = l2_ppo_score(r, &batch, scores, err);
    if (rc == L2_OK)
        rc = rollouts_of(&batch, &rollouts, &n, err);
    if (rc == L2_OK) {
        double begin = l2_seconds();
        rc = l2_ppo_step(r->ppo, rollouts, n, args.max_kl, stats, err);
        r->training += l2_seconds() - begin;
        r->out_of_bounds = rc == L2_LIMIT || rc == L2_CORRUPT;
        r->episodes += n;
        scores->sampled_kl = sampled_kl(&batch);
    }
    if (rc == L2_OK)
        rc = write_rollouts(r, &batch, err);
    free(rollouts);
    l2_ppo_batch_free(&batch);
    return rc;
}

/* ---- reports ---- */

static int report(struct l2_ppo_run *r, const struct l2_ppo_scores *s,
                  const struct l2_ppo_stats *st, struct l2_err *err)
{
    json_t *o = json_object();
    const struct {
        const char *name;
        double v;
    } reals[] = {{"objective/kl", st->kl},
                 {"objective/entropy", st->entropy},
                 {"objective/non_score_reward", st->non_score_reward},
                 {"objective/rlhf_reward", st->rlhf_reward},
                 {"objective/scores", s->score},
                 {"policy/approxkl_avg", st->approxkl},
                 {"policy/clipfrac_avg", st->clipfrac},
                 {"policy/entropy_avg", st->policy_entropy},
                 {"loss/policy_avg", st->policy_loss},
                 {"loss/value_avg", st->value_loss},
                 {"val/clipfrac_avg", st->value_clipfrac},
                 {"val/ratio", st->ratio},
                 {"val/ratio_var", st->ratio_var},
                 {"val/first_ratio_off", st->first_ratio_off},
                 {"val/sampled_kl", s->sampled_kl},
                 {"val/num_eos_tokens", s->eos * (double)args.batch},
                 {"completions/mean_length", s->length},
                 {"grad_norm", st->grad_norm},
                 {"kl_coef", st->kl_coef},
                 {"lr", args.lr},
                 {"time/generation", r->generating},
                 {"time/scoring", r->scoring},
                 {"time/training", r->training},
                 {"time/saving", r->saving}};
    l2_report_count(o, "step", r->iteration);
    l2_report_count(o, "episode", r->episodes);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        l2_report_real(o, reals[i].name, reals[i].v);
    if (r->safety.engine) {
        l2_report_real(o, "objective/helpfulness", s->helpfulness);
        l2_report_real(o, "objective/safety", s->safety);
    }
    l2_cli_note(r->cli,
                "iteration %" PRIu64 " of %lld: score %.4f, KL %.4f, entropy %.3f, policy loss "
                "%.4f, value loss %.4f, %.1f tokens, %.0f %% end in EOS",
                r->iteration, (long long)args.iterations, s->score, st->kl, st->policy_entropy,
                st->policy_loss, st->value_loss, s->length, 100 * s->eos);
    return l2_report_line(r->log, args.log, o, err);
}

static void summarize(struct l2_ppo_run *r)
{
    json_t *o = r->cli->report;
    l2_report_count(o, "iterations", r->iteration);
    l2_report_count(o, "new_tokens", r->new_tokens);
    l2_report_real(o, "generation_seconds", r->generating);
    l2_report_real(o, "scoring_seconds", r->scoring);
    l2_report_real(o, "training_seconds", r->training);
    l2_report_real(o, "saving_seconds", r->saving);
    if (r->has_best)
        l2_report_real(o, "held_out_score", r->best);
}

/* ---- models ---- */

static int write_model(struct l2_ppo_run *r, struct l2_err *err)
{
    double begin = l2_seconds();
    struct l2_lora_merged merged = {r->params, l2_ppo_lora(r->ppo)};
    struct l2_model_source source = {.rows = l2_params_rows, .arg = r->params};
    if (merged.lora)
        source = (struct l2_model_source){.rows = l2_lora_merged_rows, .arg = &merged};
    struct l2_model_write_opts o = {
        .dtype = L2_F32, .vocab_path = r->model->vocab_path, .replace = true};
    int rc = l2_model_write(args.output, &r->params->hp, &source, &o, err);
    r->saving += l2_seconds() - begin;
    return rc;
}

/* The score on what is held out; the best model so far is the output. */
static int evaluate(struct l2_ppo_run *r, struct l2_err *err)
{
    struct l2_prompts batch;
    struct l2_ppo_scores s;
    uint64_t tokens = r->new_tokens;
    int rc = l2_ppo_held(r, &batch, err);
    if (rc == L2_OK)
        rc = l2_ppo_generate(r, &batch, 1, seed_of(0, true), err);
    if (rc == L2_OK)
        rc = l2_ppo_score(r, &batch, &s, err);
    l2_ppo_batch_free(&batch);
    r->new_tokens = tokens;
    if (rc != L2_OK)
        return rc;
    l2_cli_note(r->cli, "iteration %" PRIu64 ": score %.4f on %zu held-out prompts", r->iteration,
                s.score, r->held.n);
    json_t *o = json_object();
    l2_report_count(o, "step", r->iteration);
    l2_report_real(o, "eval_objective/scores", s.score);
    rc = l2_report_line(r->log, args.log, o, err);
    if (r->has_best && s.score <= r->best) {
        r->worse++;
        return rc;
    }
    r->has_best = true;
    r->best = s.score;
    r->worse = 0;
    return rc == L2_OK ? write_model(r, err) : rc;
}

/* ---- the run ---- */

static bool has_patience(const struct l2_ppo_run *r)
{
    return args.patience == 0 || r->worse < (uint64_t)args.patience;
}

static int train(struct l2_ppo_run *r, const struct l2_ppo_paths *p, struct l2_err *err)
{
    uint64_t total = (uint64_t)args.iterations;
    int rc = L2_OK;
    while (!l2_stop_asked() && r->iteration < total && has_patience(r) && rc == L2_OK) {
        struct l2_ppo_scores scores;
        struct l2_ppo_stats stats;
        rc = iterate(r, &scores, &stats, err);
        if (rc != L2_OK)
            break;
        r->iteration++;
        l2_cli_progress(r->cli, r->iteration, total, "iterations");
        rc = report(r, &scores, &stats, err);
        bool last = r->iteration == total;
        if (rc == L2_OK && r->held.n > 0 && (last || r->iteration % (uint64_t)args.eval_every == 0))
            rc = evaluate(r, err);
        if (rc == L2_OK &&
            (last || l2_stop_asked() || r->iteration % (uint64_t)args.save_every == 0))
            rc = l2_ppo_save_run(r, p, err);
    }
    l2_cli_progress_done(r->cli);
    return rc;
}

/* What would fail after the first iteration is to fail before it. */
static int check_output(struct l2_err *err)
{
    char *copy = strdup(args.output);
    if (!copy)
        return l2_err_memory(err, strlen(args.output) + 1);
    int rc = L2_OK;
    const char *parent = dirname(copy);
    if (access(parent, W_OK | X_OK) != 0)
        rc = l2_err_sys(err, errno, parent, "cannot write here");
    free(copy);
    if (rc == L2_OK && args.rollouts && mkdir(args.rollouts, 0777) != 0 && errno != EEXIST)
        rc = l2_err_sys(err, errno, args.rollouts, "cannot create directory");
    return rc;
}

static int begin(struct l2_ppo_run *r, const struct l2_ppo_paths *p, struct l2_err *err)
{
    struct stat st;
    bool found = stat(p->checkpoint, &st) == 0;
    int rc = check_output(err);
    if (rc != L2_OK)
        return rc;
    if (found && args.resume)
        return l2_ppo_restore_run(r, p->checkpoint, err);
    if (found && !args.force)
        return l2_err_at(err, L2_ARGUMENT, p->checkpoint, -1,
                         "checkpoint of an earlier run (see --resume and --force)");
    if (stat(args.output, &st) == 0 && !args.force && !args.resume)
        return l2_err_at(err, L2_ARGUMENT, args.output, -1, "exists (see --force)");
    rc = l2_ppo_forget(p->checkpoint, err);
    return rc == L2_OK ? l2_ppo_forget(p->before, err) : rc;
}

static int run_all(struct l2_ppo_run *r, struct l2_err *err)
{
    struct l2_ppo_paths p;
    int rc = l2_ppo_paths_make(&p, args.output, err);
    if (rc == L2_OK)
        rc = begin(r, &p, err);
    if (rc == L2_OK && args.log && !(r->log = fopen(args.log, "a")))
        rc = l2_err_sys(err, errno, args.log, "cannot open");
    if (rc == L2_OK)
        rc = train(r, &p, err);
    if (r->out_of_bounds)
        l2_ppo_keep_good(r, &p);
    else if (rc == L2_OK && l2_stop_asked())
        l2_cli_note(r->cli, "stopped after iteration %" PRIu64 "; --resume goes on", r->iteration);
    else if (rc == L2_OK && r->held.n == 0)
        rc = write_model(r, err);
    if (rc == L2_OK && !l2_stop_asked())
        rc = l2_ppo_forget(p.before, err);
    summarize(r);
    l2_ppo_paths_release(&p);
    return rc;
}

static int check_usage(struct l2_cli *cli)
{
    int sources = (args.reward != NULL) + (args.pattern != NULL) + (args.command != NULL);
    if (!args.model || (!args.output && !args.plan))
        return l2_cli_usage(cli, "want -m and -o");
    if (sources != 1)
        return l2_cli_usage(cli, "want one of --reward, --reward-pattern and --reward-command");
    if (args.batch % args.completions != 0)
        return l2_cli_usage(cli, "--batch %lld is no multiple of --completions %lld",
                            (long long)args.batch, (long long)args.completions);
    if (args.safety_tag && !args.safety)
        return l2_cli_usage(cli, "--safety-tag wants --safety");
    if (args.temperature == 0)
        return l2_cli_usage(cli, "--temperature 0 draws nothing: want more");
    if (args.kl_target > 0 && args.kl_horizon == 0)
        return l2_cli_usage(cli, "--kl-target wants a --kl-horizon above 0");
    if (args.patience > 0 && args.held_out == 0)
        return l2_cli_usage(cli, "--patience wants --held-out");
    return 0;
}

static int run(struct l2_cli *cli)
{
    struct l2_ppo_run r = {.cli = cli, .args = &args};
    struct l2_err err;
    if (check_usage(cli) != 0)
        return 2;
    l2_stop_at_signals();
    int rc = l2_ppo_open(&r, &err);
    if (rc == L2_OK && !args.plan)
        rc = run_all(&r, &err);
    int status = rc < 0 ? l2_cli_error(cli, &err) : cli->status;
    l2_ppo_close(&r);
    return status;
}

static const char *const usage[] = {"-m DIR -o DIR --reward DIR [OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-ppo",
        .usage = usage,
        .summary = "Train a model by reinforcement learning (PPO) against reward models, on the "
                   "prompts of records.",
        .options = options,
        .rows = L2_ROWS_THREADS | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
        .backends = l2_model_backends,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
