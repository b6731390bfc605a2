/* l2-train: pretraining, supervised fine-tuning and reward models. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/progress.h"
#include "common/report.h"
#include "common/signals.h"
#include "model/adapter.h"

static struct l2_train_opts opts = {.least = 0.1,
                                    .optimiser = OPTIMISER_DEFAULTS,
                                    .micro = 1,
                                    .sample_tokens = 64,
                                    .pue = 1,
                                    .keep = 2,
                                    .log_every = 10,
                                    .save_every = 500,
                                    .warmup = -1,
                                    .memory = (uint64_t)256 << 20};

/* In the order of enum l2_data_overlong, enum l2_schedule_kind and of the paper's tables. */
static const char *const overlong[] = {"error", "drop", "truncate-left", "truncate-right", NULL};
static const char *const schedules[] = {"cosine", "linear", "constant", NULL};
static const char *const margins[] = {"none", "small", "large", NULL};
static const char *const types[] = {"f32", "bf16", NULL};

/* clang-format off */
#define ROW_COUNT(opt, field, least_, text, ...)                                                   \
    {.name = opt, .kind = L2_OPT_INT, .arg = "N", .min = least_, .max = INT32_MAX, \
     .target = &opts.field, .help = text, __VA_ARGS__}
#define ROW_REAL(opt, field, most, text, ...)                                                      \
    {.name = opt, .kind = L2_OPT_REAL, .arg = "X", .min = 0, .max = most,                          \
     .target = &opts.field, .help = text, __VA_ARGS__}
#define ROW_FLAG(opt, field, text)                                                                 \
    {.name = opt, .kind = L2_OPT_FLAG, .target = &opts.field, .help = text}
#define ROWS_FILES                                                                                 \
    {.name = "model", .letter = 'm', .kind = L2_OPT_STRING, .arg = "DIR", .is_path = true,         \
     .target = &opts.model, .help = "the checkpoint to start from (l2-model init makes one)"},     \
    {.name = "output", .letter = 'o', .kind = L2_OPT_STRING, .arg = "DIR", .is_path = true,        \
     .target = &opts.output, .default_text = "",                                                   \
     .help = "the model directory to make; checkpoints of the run are in DIR.ckpt"},               \
    ROW_FLAG("force", force, "replace a model directory, and forget its checkpoints"),             \
    {.name = "data", .kind = L2_OPT_LIST, .arg = "FILE", .is_path = true, .target = &opts.data,    \
     .help = "a stream to train on; may be given several times"},                                  \
    {.name = "weight", .kind = L2_OPT_LIST, .arg = "X", .target = &opts.weights,                   \
     .default_text = "by their sizes",                                                             \
     .help = "share of each stream in the mix, in the order of --data"},                           \
    {.name = "memory", .kind = L2_OPT_BYTES, .arg = "SIZE", .target = &opts.memory,                \
     .help = "records that are shuffled together"},                                                \
    {.name = "tmpdir", .kind = L2_OPT_STRING, .arg = "DIR", .is_path = true,                       \
     .target = &opts.tmpdir, .default_text = "/tmp", .help = "where pipes are spooled to"},        \
    ROW_FLAG("keep-order", keep_order, "no shuffling"),                                            \
    ROW_REAL("held-out", held_out, 0.99,                                                           \
             "share of the prompts, or documents, to evaluate on and not to train on")

#define ROWS_STEPS                                                                                 \
    L2_OPT_TITLE("Steps"),                                                                         \
    ROW_COUNT("steps", steps, 1, "optimiser steps at most", .default_text = "what the epochs take"), \
    ROW_COUNT("epochs", epochs, 1, "passes over the data", .given = &opts.epochs_given,            \
              .default_text = "1; sft: 2; without end where --steps or --tokens is given"),        \
    {.name = "tokens", .kind = L2_OPT_INT, .arg = "N", .min = 1, .max = 1e18,                      \
     .target = &opts.tokens, .default_text = "", .help = "tokens to train on at most"},            \
    ROW_COUNT("batch", batch, 1, "sequences, or pairs, of a step", .given = &opts.batch_given,     \
              .default_text = "the paper's: pretrain as many as have 4194304 tokens; sft: 64; reward: 512"), \
    ROW_COUNT("micro-batch", micro, 1,                                                             \
              "sequences, or pairs, that are computed at once; divides the batch"),                \
    ROW_COUNT("context", context, 2, "positions of a sequence", .given = &opts.context_given,      \
              .default_text = "the model's; sft: at most 4096"),                                   \
    {.name = "seed", .letter = 's', .kind = L2_OPT_SEED, .arg = "N", .target = &opts.seed,         \
     .help = "of the order of the data, and of a new score head"},                                 \
    L2_OPT_TITLE("Optimiser"),                                                                     \
    ROW_REAL("lr", lr, 10, "peak of the learning rate", .given = &opts.lr_given,                   \
             .default_text = "3e-4; sft: 2e-5; reward: 1e-5"),                                     \
    {.name = "schedule", .kind = L2_OPT_CHOICE, .arg = "KIND", .choices = schedules,               \
     .target = &opts.schedule, .help = "how the learning rate falls: cosine, linear or constant"}, \
    ROW_REAL("min-lr", least, 1, "where it ends, as a share of the peak"),                         \
    ROW_COUNT("warmup", warmup, 0, "steps in which it rises",                                      \
              .default_text = "pretrain: 2000, at most a tenth of the steps; sft: 0; reward: 3 % of the steps, 5 at least"), \
    ADAMW_OPTIONS(opts.optimiser),                                                                 \
    L2_OPT_TITLE("Computation"),                                                                   \
    COMPUTE_OPTIONS(opts.optimiser),                                                               \
    {.name = "param-type", .kind = L2_OPT_CHOICE, .arg = "TYPE", .choices = types,                 \
     .target = &opts.param_type, .given = &opts.param_type_given,                                  \
     .default_text = "f32; bf16 with --lora-rank",                                                 \
     .help = "what matrices are kept in: f32, or bf16, which steps round at random"},              \
    {.name = "moment-type", .kind = L2_OPT_CHOICE, .arg = "TYPE", .choices = types,                \
     .target = &opts.moment_type,                                                                  \
     .help = "what AdamW's moments of matrices are kept in: f32 or bf16"},                         \
    ROW_FLAG("plan", plan, "say what memory the run takes, and do nothing; --model may be a preset's .yaml"), \
    L2_OPT_TITLE("Adapters"),                                                                      \
    LORA_OPTIONS(opts.optimiser,                                                                   \
                 "train low-rank adapters of this rank and nothing else"),                         \
    ROW_FLAG("merge", merge, "write a model with the adapters merged into it, not the adapters"),  \
    L2_OPT_TITLE("Checkpoints and reports"),                                                       \
    ROW_COUNT("save-every", save_every, 1, "steps between checkpoints"),                           \
    ROW_COUNT("keep", keep, 1, "checkpoints to keep"),                                             \
    ROW_FLAG("resume", resume, "go on from the newest checkpoint, if there is one"),               \
    ROW_FLAG("resume-changed", resume_changed,                                                     \
             "the same, though settings or data are not those of the checkpoint"),                 \
    ROW_COUNT("eval-every", eval_every, 1, "steps between evaluations on what is held out",        \
              .default_text = "at the end only"),                                                  \
    ROW_COUNT("eval-batches", eval_batches, 1, "micro-batches of an evaluation at most",           \
              .default_text = "all"),                                                              \
    ROW_REAL("watts", watts, 1e9, "power of the machine, for energy_kwh in the summary",           \
             .default_text = "the processor's energy counters, where they can be read"),           \
    ROW_REAL("pue", pue, 100, "energy of the building by that of the machine"),                    \
    ROW_REAL("co2-per-kwh", co2_per_kwh, 1e3, "kg of CO2-equivalent of a kWh, for co2_kg",         \
             .default_text = "not told"),                                                          \
    ROW_COUNT("log-every", log_every, 1, "steps between lines on standard error"),                 \
    {.name = "log", .kind = L2_OPT_STRING, .arg = "FILE", .is_path = true, .target = &opts.log,    \
     .help = "append every step and evaluation to FILE, as JSON lines with the names that TRL has"}, \
    {.name = "dump-grads", .kind = L2_OPT_STRING, .arg = "FILE", .is_path = true,                  \
     .target = &opts.dump_grads,                                                                   \
     .help = "write loss and gradients of the first batch as safetensors, and take no step"}
#define ROWS_SAMPLES                                                                               \
    ROW_COUNT("sample-every", sample_every, 1, "steps between texts that the model makes",         \
              .default_text = "none"),                                                             \
    {.name = "sample-prompt", .kind = L2_OPT_STRING, .arg = "TEXT", .target = &opts.sample_prompt, \
     .default_text = "none", .help = "what they begin with"},                                      \
    ROW_COUNT("sample-tokens", sample_tokens, 1, "tokens of each at most")
#define ROW_OVERLONG                                                                               \
    {.name = "overlong", .kind = L2_OPT_CHOICE, .arg = "WHAT", .choices = overlong,                \
     .target = &opts.overlong,                                                                     \
     .help = "what to do with an example that is longer than the context: error, drop, "           \
             "truncate-left (the prompt's oldest tokens; BOS stays) or truncate-right"}

static const struct l2_opt pretrain_options[] = {
    ROWS_FILES,
    ROW_FLAG("cut-documents", cut_documents, "no attention across documents"),
    ROWS_STEPS,
    ROWS_SAMPLES,
    L2_OPT_TABLE_END,
};
static const struct l2_opt sft_options[] = {
    ROWS_FILES,
    ROW_OVERLONG,
    ROW_FLAG("earlier-turns", earlier_turns, "train on the answers inside of prompts, too"),
    ROWS_STEPS,
    ROWS_SAMPLES,
    L2_OPT_TABLE_END,
};
static const struct l2_opt reward_options[] = {
    ROWS_FILES,
    ROW_OVERLONG,
    {.name = "margins", .kind = L2_OPT_CHOICE, .arg = "TABLE", .choices = margins,
     .target = &opts.margins,
     .help = "margin of a rated pair in the loss: none, or the Llama 2 paper's small (1, 2/3, 1/3, "
             "0) or large (3, 2, 1, 0) table"},
    ROW_FLAG("no-margin", no_margin, "ignore the margins of records"),
    ROW_REAL("centre", centre, 1e3, "weight of the square of both scores' sum in the loss"),
    ROW_REAL("safety", safety, 1e3, "weight of the safety labels in the loss"),
    ROWS_STEPS,
    L2_OPT_TABLE_END,
};
/* clang-format on */

/* ---- the run ---- */

/* Once after a step, though the data may end there, unexpectedly. */
static int evaluate(struct l2_train *t, struct l2_err *err)
{
    uint64_t n = l2_trainer_steps(t->trainer);
    if (!t->held || t->evaluated == n + 1)
        return L2_OK;
    int r = l2_trainer_evaluate(t->trainer, t->held, (uint64_t)opts.eval_batches, &t->eval, err);
    t->evaluated = n + 1;
    return r == L2_OK ? l2_train_report_eval(t, err) : r;
}

/* Steps until the run is over or a signal came, with checkpoints in dir. */
static int train(struct l2_train *t, const char *dir, struct l2_err *err)
{
    struct l2_step step;
    int r = L2_OK;
    while (!l2_stop_asked() && l2_trainer_steps(t->trainer) < t->total) {
        r = l2_trainer_step(t->trainer, t->data, &step, err);
        if (r != L2_OK)
            break;
        uint64_t n = l2_trainer_steps(t->trainer);
        l2_cli_progress(t->cli, n, t->total, "steps");
        r = l2_train_report_step(t, &step, err);
        if (r == L2_OK && opts.eval_every > 0 && n % (uint64_t)opts.eval_every == 0)
            r = evaluate(t, err);
        if (r == L2_OK && opts.sample_every > 0 && n % (uint64_t)opts.sample_every == 0)
            r = l2_train_sample(t, err);
        if (r == L2_OK && n % (uint64_t)opts.save_every == 0)
            r = l2_train_save(t, dir, err);
        if (r != L2_OK)
            break;
    }
    l2_cli_progress_done(t->cli);
    if (r == L2_END)
        r = L2_OK;
    return r;
}

/* Whether completions ended in EOS is part of what a reward model has learnt. */
static enum l2_eos_convention find_convention(const struct l2_train *t)
{
    uint64_t answers = 0, eos = 0;
    for (size_t i = 0; i < l2_data_n_inputs(t->data); i++) {
        struct l2_data_input_info info = l2_data_input_info(t->data, i);
        answers += info.answers;
        eos += info.answers_eos;
    }
    return eos == answers ? L2_EOS_PRESENT : eos == 0 ? L2_EOS_ABSENT : L2_EOS_UNKNOWN;
}

static bool adapter_at(const void *arg, enum l2_role role, uint32_t layer, const float **a,
                       const float **b)
{
    float *values[2];
    if (!l2_lora_at(arg, role, layer, &values[0], &values[1]))
        return false;
    *a = values[0];
    *b = values[1];
    return true;
}

static int write_adapters(struct l2_train *t, struct l2_err *err)
{
    const struct l2_lora *lora = l2_trainer_lora(t->trainer);
    struct l2_adapter_source source = {.rank = lora->opts.rank,
                                       .alpha = lora->opts.alpha,
                                       .at = adapter_at,
                                       .arg = lora,
                                       .base = opts.model};
    if (t->kind == L2_DATA_PAIRS)
        source.score = l2_params_at(t->params, L2_T_SCORE, 0);
    return l2_adapter_write(opts.output, &t->hp, &source, opts.force || opts.resume, err);
}

static int write_model(struct l2_train *t, struct l2_err *err)
{
    struct l2_hparams hp = t->params->hp;
    struct l2_lora_merged merged = {t->params, l2_trainer_lora(t->trainer)};
    struct l2_model_source source = {.rows = l2_params_rows, .arg = t->params};
    if (merged.lora)
        source = (struct l2_model_source){.rows = l2_lora_merged_rows, .arg = &merged};
    struct l2_model_write_opts wo = {
        .dtype = L2_F32, .vocab_path = t->model->vocab_path, .replace = opts.force || opts.resume};
    if (t->kind == L2_DATA_PAIRS)
        hp.reward_eos = find_convention(t);
    return l2_model_write(opts.output, &hp, &source, &wo, err);
}

static int resume(struct l2_train *t, const char *path, struct l2_err *err)
{
    bool data_changed;
    int r = l2_checkpoint_read(t->trainer, t->data, path, opts.resume_changed, &data_changed, err);
    if (r == L2_ARGUMENT && !opts.resume_changed) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, " (see --resume-changed)");
    }
    if (r == L2_OK && data_changed)
        l2_cli_note(t->cli, "the data are others: they are read from their beginning");
    return r;
}

static int run_steps(struct l2_train *t, struct l2_err *err)
{
    size_t size = strlen(opts.output) + sizeof ".ckpt";
    char *dir = malloc(size), *found = NULL;
    int r = dir ? L2_OK : l2_err_memory(err, size);
    if (r != L2_OK)
        goto out;
    snprintf(dir, size, "%s.ckpt", opts.output);
    r = l2_train_tidy(dir, err);
    if (r == L2_OK)
        r = l2_train_find_checkpoint(dir, &found, err);
    if (r == L2_OK && found && opts.resume)
        r = resume(t, found, err);
    else if (r == L2_OK && found && !opts.force)
        r = l2_err_at(err, L2_ARGUMENT, found, -1,
                      "checkpoint of an earlier run (see --resume and --force)");
    else if (r == L2_OK && found)
        r = l2_train_forget(dir, err);
    t->first_step = l2_trainer_steps(t->trainer);
    t->has_rapl = opts.watts == 0 && l2_rapl_open(&t->rapl, L2_RAPL_DIR);
    t->started = l2_seconds();
    if (r == L2_OK)
        r = train(t, dir, err);
    if (r == L2_OK && l2_stop_asked()) {
        r = l2_train_save(t, dir, err);
        l2_cli_note(t->cli, "stopped after step %llu; --resume goes on",
                    (unsigned long long)l2_trainer_steps(t->trainer));
    } else if (r == L2_OK) {
        r = evaluate(t, err);
        l2_train_summarise_eval(t);
        if (r == L2_OK)
            r = opts.optimiser.lora_rank > 0 && !opts.merge ? write_adapters(t, err)
                                                            : write_model(t, err);
    }
    l2_report_count(t->cli->report, "steps", l2_trainer_steps(t->trainer));
    l2_train_report_data(t);
    l2_train_report_energy(t);
out:
    free(found);
    free(dir);
    return r;
}

static int dump(struct l2_train *t, struct l2_err *err)
{
    struct l2_step step;
    int r = l2_trainer_gradients(t->trainer, t->data, &step, err);
    if (r == L2_END)
        r = l2_err_set(err, L2_ARGUMENT, "no batch to take gradients of");
    if (r == L2_OK)
        r = l2_train_dump_gradients(t, &step, opts.dump_grads, err);
    if (r == L2_OK)
        l2_report_real(t->cli->report, "loss", step.sums.loss / (double)step.sums.n);
    return r;
}

static void release(struct l2_train *t)
{
    l2_trainer_free(t->trainer);
    l2_data_free(t->held);
    l2_data_free(t->data);
    l2_params_free(t->params);
    l2_vocab_free(t->vocab);
    l2_model_close(t->model);
    l2_pool_free(t->pool);
    for (size_t i = 0; t->fds && i < opts.data.n; i++)
        if (t->fds[i] >= 0)
            l2_cli_close_input(t->fds[i]);
    free(t->fds);
    free(t->inputs);
    if (t->log)
        fclose(t->log);
}

static int open_log(struct l2_train *t, struct l2_err *err)
{
    if (!opts.log)
        return L2_OK;
    t->log = fopen(opts.log, "a");
    return t->log ? L2_OK : l2_err_sys(err, errno, opts.log, "cannot open");
}

static int check_usage(struct l2_cli *cli)
{
    if (cli->operands.n > 0)
        return l2_cli_usage(cli, "unexpected operand '%s' (data are given by --data)",
                            cli->operands.v[0]);
    if (!opts.model || (!opts.plan && ((!opts.output && !opts.dump_grads) || opts.data.n == 0)))
        return l2_cli_usage(cli, "want -m, -o and --data");
    if (opts.weights.n > 0 && opts.weights.n != opts.data.n)
        return l2_cli_usage(cli, "want one --weight for each --data, got %zu for %zu",
                            opts.weights.n, opts.data.n);
    if (opts.batch_given && opts.batch % opts.micro != 0)
        return l2_cli_usage(cli, "--batch %lld is no multiple of --micro-batch %lld",
                            (long long)opts.batch, (long long)opts.micro);
    if (opts.optimiser.lora_rank > 0 && opts.dump_grads)
        return l2_cli_usage(cli, "--dump-grads is for all parameters, not for adapters");
    if (opts.optimiser.lora_rank == 0 && opts.merge)
        return l2_cli_usage(cli, "--merge wants --lora-rank");
    return 0;
}

static int run(struct l2_cli *cli, enum l2_data_kind kind)
{
    struct l2_train t = {.cli = cli, .opts = &opts, .kind = kind};
    struct l2_err err;
    if (check_usage(cli) != 0)
        return 2;
    opts.resume = opts.resume || opts.resume_changed;
    l2_stop_at_signals();
    int r = l2_pool_new(&t.pool, (int)cli->threads, &err);
    if (r == L2_OK)
        r = l2_train_open_model(&t, &err);
    if (r == L2_OK && !opts.plan)
        r = l2_train_open_data(&t, &err);
    if (r == L2_OK)
        r = l2_train_open_trainer(&t, &err);
    if (r == L2_OK && !opts.plan)
        r = open_log(&t, &err);
    if (r == L2_OK && !opts.plan)
        r = opts.dump_grads ? dump(&t, &err) : run_steps(&t, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    release(&t);
    return status;
}

static int run_pretrain(struct l2_cli *cli)
{
    return run(cli, L2_DATA_TEXT);
}

static int run_sft(struct l2_cli *cli)
{
    return run(cli, L2_DATA_ANSWERS);
}

static int run_reward(struct l2_cli *cli)
{
    return run(cli, L2_DATA_PAIRS);
}

static const char *const usage[] = {"pretrain [OPTION]... -m DIR -o DIR --data FILE",
                                    "sft [OPTION]... -m DIR -o DIR --data FILE",
                                    "reward [OPTION]... -m DIR -o DIR --data FILE", NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "pretrain",
     .usage = "[OPTION]... -m DIR -o DIR --data FILE",
     .summary = "Train on texts: each token predicts the next.",
     .options = pretrain_options,
     .rows = L2_ROWS_THREADS | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = run_pretrain},
    {.name = "sft",
     .usage = "[OPTION]... -m DIR -o DIR --data FILE",
     .summary = "Train on answers: only their tokens are predicted.",
     .options = sft_options,
     .rows = L2_ROWS_THREADS | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = run_sft},
    {.name = "reward",
     .usage = "[OPTION]... -m DIR -o DIR --data FILE",
     .summary = "Train a reward model on pairs of answers, of which the first was chosen.",
     .options = reward_options,
     .rows = L2_ROWS_THREADS | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = run_reward},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-train",
        .usage = usage,
        .summary = "Train a model: pretraining, supervised fine-tuning, reward models.",
        .subcommands = subcommands,
    };
    return l2_cli_main(&program, argc, argv);
}
