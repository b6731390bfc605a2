/* The settings of a training run as text, so that a checkpoint can say which one has changed. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <string.h>

#include "train/data_state.h"
#include "train/trainer_state.h"
#include "util/num.h"

static int put_real(struct l2_buf *out, const char *name, double v, struct l2_err *err)
{
    char digits[32];
    l2_format_f64(digits, v);
    return l2_buf_printf(out, err, "%s %s\n", name, digits);
}

static int put_count(struct l2_buf *out, const char *name, uint64_t v, struct l2_err *err)
{
    return l2_buf_printf(out, err, "%s %" PRIu64 "\n", name, v);
}

struct count {
    const char *name;
    uint64_t v;
};

static int put_counts(struct l2_buf *out, const struct count *c, size_t n, struct l2_err *err)
{
    int rc = L2_OK;
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = put_count(out, c[i].name, c[i].v, err);
    return rc;
}

struct real {
    const char *name;
    double v;
};

static int put_reals(struct l2_buf *out, const struct real *v, size_t n, struct l2_err *err)
{
    int rc = L2_OK;
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = put_real(out, v[i].name, v[i].v, err);
    return rc;
}

#define N(array) (sizeof(array) / sizeof *(array))

/* What the arrays of the checkpoint are. */
static int put_shape(const struct l2_trainer *t, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_hparams *hp = &t->hp;
    const struct l2_trainer_opts *o = &t->opts;
    const struct count counts[] = {{"dim", hp->dim},
                                   {"hidden", hp->hidden},
                                   {"layers", hp->n_layers},
                                   {"heads", hp->n_heads},
                                   {"kv-heads", hp->n_kv_heads},
                                   {"head-dim", hp->head_dim},
                                   {"vocabulary", hp->vocab_size},
                                   {"labels", hp->head == L2_HEAD_LABELS ? hp->n_labels : 0},
                                   {"tied", hp->tied},
                                   {"attention-bias", hp->attention_bias},
                                   {"mlp-bias", hp->mlp_bias},
                                   {"lora-rank", o->lora.rank},
                                   {"lora-targets", o->lora.rank > 0 ? o->lora.roles : 0}};
    static const char *const kinds[] = {"pretrain", "sft", "reward"};
    int rc = l2_buf_printf(out, err, "training %s\n", kinds[o->kind]);
    if (rc == L2_OK)
        rc = put_counts(out, counts, N(counts), err);
    if (rc == L2_OK)
        rc = l2_buf_printf(out, err, "weights %s\nmoments %s\n", l2_dtype_name(o->weights),
                           l2_dtype_name(o->moments));
    return rc;
}

static int put_optimiser(const struct l2_trainer *t, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_trainer_opts *o = &t->opts;
    static const char *const schedules[] = {"cosine", "linear", "constant"};
    const struct real reals[] = {{"norm-eps", t->hp.norm_eps},
                                 {"rope-theta", t->hp.rope_theta},
                                 {"rope-factor", t->hp.rope_factor},
                                 {"lr", o->schedule.peak},
                                 {"min-lr", o->schedule.least},
                                 {"weight-decay", o->adamw.weight_decay},
                                 {"beta1", o->adamw.beta1},
                                 {"beta2", o->adamw.beta2},
                                 {"eps", o->adamw.eps},
                                 {"clip", o->clip},
                                 {"centre", o->centre},
                                 {"safety", o->safety},
                                 {"lora-alpha", o->lora.rank > 0 ? o->lora.alpha : 0}};
    const struct count counts[] = {{"warmup", o->schedule.warmup},
                                   {"steps", o->schedule.total},
                                   {"micro-batches", o->micro},
                                   {"bf16", o->products == L2_BF16}};
    int rc = l2_buf_printf(out, err, "start %s\nschedule %s\n", o->start ? o->start : "unknown",
                           schedules[o->schedule.kind]);
    if (rc == L2_OK)
        rc = put_reals(out, reals, N(reals), err);
    return rc == L2_OK ? put_counts(out, counts, N(counts), err) : rc;
}

static int put_data(const struct l2_data *d, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_data_opts *o = &d->opts;
    static const char *const overlong[] = {"error", "drop", "truncate-left", "truncate-right"};
    const struct count counts[] = {{"streams", d->n_inputs},
                                   {"context", o->context},
                                   {"micro-batch", o->sequences},
                                   {"seed", o->seed},
                                   {"epochs", o->epochs},
                                   {"keep-order", o->keep_order},
                                   {"cut-documents", o->cut_documents},
                                   {"earlier-turns", o->earlier_turns},
                                   {"record-margins", o->use_margin},
                                   {"memory", o->memory}};
    int rc = put_counts(out, counts, N(counts), err);
    if (rc == L2_OK)
        rc = l2_buf_printf(out, err, "overlong %s\n", overlong[o->overlong]);
    if (rc == L2_OK)
        rc = put_real(out, "held-out", o->held_out, err);
    for (size_t i = 0; i < N(o->margins) && rc == L2_OK; i++)
        rc = put_real(out, "margins", o->margins[i], err);
    for (size_t i = 0; i < d->n_inputs && rc == L2_OK; i++)
        rc = put_real(out, "weight", d->by_weight ? d->mix[i].share : 0, err);
    return rc;
}

int l2_settings_write(const struct l2_trainer *t, const struct l2_data *d, struct l2_buf *out,
                      struct l2_err *err)
{
    int rc = put_shape(t, out, err);
    if (rc == L2_OK)
        rc = l2_buf_append_str(out, "\n", err);
    if (rc == L2_OK)
        rc = put_optimiser(t, out, err);
    return rc == L2_OK ? put_data(d, out, err) : rc;
}
