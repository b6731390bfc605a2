/* l2-train: what a run consists of: model, data, steps and the memory for them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "model/fingerprint.h"
#include "model/preset.h"
#include "nn/init.h"
#include "util/num.h"
#include "util/str.h"

/* The paper's: tokens of a pretraining step, sequences and pairs of the others'. */
#define PRETRAIN_TOKENS 4194304
#define SFT_CONTEXT     4096
static const int64_t batches[] = {0, 64, 512};
static const double rates[] = {3e-4, 2e-5, 1e-5};

/* ---- the model ---- */

static bool is_frozen(const struct l2_train *t)
{
    return t->opts->param_type_given ? t->opts->param_type == 1 : t->opts->optimiser.lora_rank > 0;
}

/* A reward model has the tensors of the model it is made from; its score head is random. */
static int load_params(struct l2_train *t, struct l2_err *err)
{
    const struct l2_hparams *hp = &t->hp;
    int r = is_frozen(t) ? l2_params_new_frozen(&t->params, hp, err)
                         : l2_params_new(&t->params, hp, err);
    if (r != L2_OK)
        return r;
    l2_params_load(t->params, t->model, t->pool);
    if (t->model->hp.head == hp->head)
        return L2_OK;
    struct l2_init init = {.hp = hp, .seed = t->opts->seed, .std = 0.02};
    return l2_init_rows(&init, L2_T_SCORE, 0, 0, hp->n_labels,
                        l2_params_at(t->params, L2_T_SCORE, 0), err);
}

int l2_train_open_model(struct l2_train *t, struct l2_err *err)
{
    const char *path = t->opts->model;
    uint8_t digest[L2_SHA256_SIZE];
    int r;
    if (t->opts->plan && l2_ends_in(path, ".yaml")) {
        r = l2_preset_read(path, &t->hp, err);
        if (r == L2_OK)
            r = l2_preset_finish(&t->hp, path, err);
    } else {
        r = l2_model_open(&t->model, path, err);
        if (r == L2_OK)
            t->hp = t->model->hp;
    }
    if (r != L2_OK)
        return r;
    if (t->kind == L2_DATA_PAIRS && t->hp.head == L2_HEAD_VOCAB) {
        t->hp.head = L2_HEAD_LABELS;
        t->hp.n_labels = 1;
        t->hp.tied = false;
    }
    if (t->opts->context > t->hp.context)
        return l2_err_set(err, L2_ARGUMENT, "--context %lld: the model has %u positions",
                          (long long)t->opts->context, (unsigned)t->hp.context);
    if (t->model) {
        l2_model_fingerprint(t->model, digest);
        l2_sha256_hex(digest, t->start);
    }
    return L2_OK;
}

/* ---- the data ---- */

static int open_inputs(struct l2_train *t, struct l2_err *err)
{
    const struct l2_train_opts *o = t->opts;
    size_t n = o->data.n;
    t->fds = malloc(n * sizeof *t->fds);
    t->inputs = calloc(n, sizeof *t->inputs);
    if (!t->fds || !t->inputs)
        return l2_err_memory(err, n * sizeof *t->inputs);
    for (size_t i = 0; i < n; i++)
        t->fds[i] = -1;
    for (size_t i = 0; i < n; i++) {
        int r = l2_cli_open_input(t->cli, o->data.v[i], &t->fds[i], &t->inputs[i].name, err);
        if (r != L2_OK)
            return r;
        t->inputs[i].fd = t->fds[i];
        if (o->weights.n > 0 &&
            (!l2_parse_f64(o->weights.v[i], &t->inputs[i].weight) || t->inputs[i].weight < 0))
            return l2_err_set(err, L2_ARGUMENT,
                              "--weight: want a number of 0 or more, got '%.100s'",
                              o->weights.v[i]);
    }
    return L2_OK;
}

/* The vocabulary of the streams is the model's. */
static int open_vocab(struct l2_train *t, struct l2_err *err)
{
    const struct l2_header *h = l2_data_header(t->data);
    if (!t->model->vocab_path || (!h->has_vocab && t->opts->sample_every == 0))
        return L2_OK;
    int r = l2_vocab_open(&t->vocab, t->model->vocab_path, err);
    if (r == L2_OK && h->has_vocab &&
        memcmp(l2_vocab_hash(t->vocab), h->vocab_hash, sizeof h->vocab_hash) != 0)
        r = l2_err_at(err, L2_ARGUMENT, t->inputs[0].name, -1,
                      "is of another vocabulary than the model");
    return r;
}

static uint32_t choose_context(const struct l2_train *t)
{
    if (t->opts->context_given)
        return (uint32_t)t->opts->context;
    return t->kind == L2_DATA_ANSWERS && t->hp.context > SFT_CONTEXT ? SFT_CONTEXT : t->hp.context;
}

static uint64_t choose_epochs(const struct l2_train *t)
{
    const struct l2_train_opts *o = t->opts;
    if (o->epochs_given)
        return (uint64_t)o->epochs;
    if (o->steps > 0 || o->tokens > 0)
        return 0;
    return t->kind == L2_DATA_ANSWERS ? 2 : 1;
}

static void set_data_opts(struct l2_train *t)
{
    const struct l2_train_opts *o = t->opts;
    t->data_opts = (struct l2_data_opts){
        .kind = t->kind,
        .context = choose_context(t),
        .sequences = (uint32_t)o->micro,
        .vocab_size = t->hp.vocab_size,
        .bos = t->hp.bos,
        .eos = t->hp.n_eos > 0 ? t->hp.eos[0] : L2_NO_TOKEN,
        .keep_order = o->keep_order,
        .seed = o->seed,
        .epochs = choose_epochs(t),
        .cut_documents = o->cut_documents,
        .earlier_turns = o->earlier_turns,
        .overlong = (enum l2_data_overlong)o->overlong,
        .use_margin = !o->no_margin,
        .held_out = o->held_out,
        .partial = t->cli->partial,
        .memory = o->memory,
        .tmpdir = o->tmpdir,
        .limits = {.max_record = (size_t)t->cli->max_record},
    };
    if (o->margins > 0)
        memcpy(t->data_opts.margins, o->margins == 1 ? l2_margins_small : l2_margins_large,
               sizeof t->data_opts.margins);
}

int l2_train_open_data(struct l2_train *t, struct l2_err *err)
{
    set_data_opts(t);
    int r = open_inputs(t, err);
    if (r == L2_OK)
        r = l2_data_new(&t->data, &t->data_opts, t->inputs, t->opts->data.n, err);
    if (r == L2_OK)
        r = l2_data_new_held(&t->held, t->data, err);
    return r == L2_OK ? open_vocab(t, err) : r;
}

/* ---- the steps ---- */

static int64_t choose_batch(const struct l2_train *t)
{
    int64_t micro = t->opts->micro, n = batches[t->kind];
    if (t->opts->batch_given)
        return t->opts->batch;
    if (t->kind == L2_DATA_TEXT)
        n = PRETRAIN_TOKENS / choose_context(t);
    n -= n % micro;
    return n > 0 ? n : micro;
}

/* Packs the data once without computing, so that schedule and time are right: how many steps the
 * epochs have depends on how well examples fit into sequences and on which are left out. Nothing to
 * pack where the steps are given, or where text without end is cut into full windows. */
static int count_steps(struct l2_train *t, uint64_t micro, struct l2_err *err)
{
    const struct l2_train_opts *o = t->opts;
    uint64_t most = o->steps > 0 ? (uint64_t)o->steps : UINT64_MAX, n = 0;
    uint64_t tokens = o->tokens > 0 ? (uint64_t)o->tokens : UINT64_MAX, rows = 0;
    uint64_t per_step = micro * l2_data_max_rows(&t->data_opts);
    int r = L2_OK;
    if (t->data_opts.epochs == 0 && (t->kind == L2_DATA_TEXT || o->tokens == 0)) {
        uint64_t by_tokens = tokens == UINT64_MAX ? most : (tokens - 1) / per_step + 1;
        t->total = by_tokens < most ? by_tokens : most;
        return L2_OK;
    }
    while (r == L2_OK && n < most && rows < tokens) {
        struct l2_data_batch b;
        bool any = false;
        for (uint64_t i = 0; i < micro && r == L2_OK; i++) {
            r = l2_data_next(t->data, &b, err);
            any = any || r == L2_OK;
            rows += r == L2_OK ? b.net.n_rows : 0;
        }
        n += any;
    }
    l2_data_rewind(t->data);
    t->total = n;
    return r == L2_END ? L2_OK : r;
}

/* The paper's: 2000 steps of pretraining, though not more than a tenth of a short one; of reward
 * models 3 % and 5 steps at least. */
static uint64_t choose_warmup(const struct l2_train *t)
{
    uint64_t n = 0;
    if (t->opts->warmup >= 0)
        return (uint64_t)t->opts->warmup;
    if (t->kind == L2_DATA_TEXT)
        return t->total / 10 < 2000 ? t->total / 10 : 2000;
    if (t->kind == L2_DATA_PAIRS)
        n = t->total * 3 / 100 > 5 ? t->total * 3 / 100 : 5;
    return n < t->total ? n : t->total;
}

static void set_trainer_opts(struct l2_train *t)
{
    const struct l2_train_opts *o = t->opts;
    t->trainer_opts = (struct l2_trainer_opts){
        .kind = t->kind,
        .max_rows = l2_data_max_rows(&t->data_opts),
        .micro = (uint32_t)(choose_batch(t) / o->micro),
        .adamw = o->optimiser.adamw,
        .schedule = {.kind = (enum l2_schedule_kind)o->schedule,
                     .peak = o->lr_given ? o->lr : rates[t->kind],
                     .least = o->least,
                     .warmup = choose_warmup(t),
                     .total = t->total},
        .clip = o->optimiser.clip,
        .centre = o->centre,
        .safety = o->safety,
        .recompute = o->optimiser.recompute,
        .products = o->optimiser.bf16 ? L2_BF16 : L2_F32,
        .weights = is_frozen(t) ? L2_BF16 : L2_F32,
        .moments = o->moment_type == 1 ? L2_BF16 : L2_F32,
        .lora = optimiser_lora(&o->optimiser),
        .seed = o->seed,
        .start = t->start,
        .pool = t->pool,
    };
}

/* Model FLOPs of a position, forward and backward: each parameter of a matrix counts 6, and
 * attention sees half of the context. */
static double flops_per_row(const struct l2_train *t)
{
    double attention = 4.0 * t->hp.n_layers * t->hp.n_heads * t->hp.head_dim;
    return 6 * (double)l2_hparams_matrix_parameters(&t->hp) +
           3 * attention * t->data_opts.context / 2;
}

int l2_train_open_trainer(struct l2_train *t, struct l2_err *err)
{
    int r = L2_OK;
    if (t->opts->plan)
        set_data_opts(t);
    else
        r = count_steps(t, (uint64_t)(choose_batch(t) / t->opts->micro), err);
    if (r != L2_OK)
        return r;
    set_trainer_opts(t);
    t->flops_per_row = flops_per_row(t);
    l2_train_report_plan(t);
    if (t->opts->plan)
        return L2_OK;
    r = load_params(t, err);
    return r == L2_OK ? l2_trainer_new(&t->trainer, t->params, &t->trainer_opts, err) : r;
}

void l2_train_report_plan(struct l2_train *t)
{
    struct l2_memory_plan p = l2_trainer_plan(&t->hp, &t->trainer_opts);
    const struct l2_memory_part parts[] = {{"weights", p.weights},
                                           {"gradients", p.gradients},
                                           {"moments", p.moments},
                                           {"adapters", p.adapters},
                                           {"activations", p.activations}};
    l2_report_memory(t->cli, parts, sizeof parts / sizeof *parts);
    if (!t->opts->plan)
        l2_cli_note(t->cli, "%" PRIu64 " parameters, %" PRIu64 " steps of %u micro-batches",
                    l2_hparams_parameters(&t->hp), t->total, (unsigned)t->trainer_opts.micro);
}
