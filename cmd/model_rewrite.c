/* l2-model convert, quantize and merge: what is written, and from which checkpoints. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "model/adapter.h"
#include "model_options.h"
#include "util/num.h"

/* What convert and merge write: the model's own type, or one of model_types. */
static const char *const wanted_types[] = {"own",  "F32",  "F16",  "BF16",
                                           "Q8_0", "Q4_K", "Q6_K", NULL};
static const char *const quant_types[] = {"Q4_K", "Q6_K", "Q8_0", NULL};

static struct {
    const char *output;
    bool force;
    const char *vocab;
    uint64_t shard_size;
    int type;
    int quant_type;
    struct l2_strings weights;
} opts;

/* clang-format off */
#define OPT_OUTPUT_ANY                                                                             \
    {.name = "output", .letter = 'o', .kind = L2_OPT_STRING, .arg = "PATH", .is_path = true,       \
     .target = &opts.output, .default_text = "",                                                   \
     .help = "a GGUF file where it ends in .gguf, else a directory; one that exists is refused"}
#define OPT_FORCE_ANY                                                                              \
    {.name = "force", .kind = L2_OPT_FLAG, .target = &opts.force,                                  \
     .help = "replace what is there"}
#define OPT_TYPE                                                                                   \
    {.name = "dtype", .kind = L2_OPT_CHOICE, .arg = "TYPE", .choices = wanted_types,               \
     .target = &opts.type,                                                                         \
     .help = "how matrices are stored: own (as the model has them), F32, F16, BF16; Q8_0, Q4_K or " \
             "Q6_K in a file"}
/* clang-format on */

const struct l2_opt model_convert_options[] = {
    OPT_OUTPUT_ANY,
    OPT_FORCE_ANY,
    OPT_VOCAB("take this vocabulary in, in place of the model's own"),
    OPT_TYPE,
    OPT_SHARD,
    L2_OPT_TABLE_END,
};

const struct l2_opt model_quantize_options[] = {
    OPT_OUTPUT_ANY,
    OPT_FORCE_ANY,
    OPT_VOCAB("take this vocabulary in, in place of the model's own"),
    {.name = "type",
     .kind = L2_OPT_CHOICE,
     .arg = "TYPE",
     .choices = quant_types,
     .target = &opts.quant_type,
     .help = "of matrices: Q4_K, Q6_K or Q8_0"},
    L2_OPT_TABLE_END,
};

const struct l2_opt model_merge_options[] = {
    OPT_OUTPUT_ANY,
    OPT_FORCE_ANY,
    OPT_VOCAB("take this vocabulary in, in place of the first model's"),
    OPT_TYPE,
    OPT_SHARD,
    {.name = "weight",
     .kind = L2_OPT_LIST,
     .arg = "X",
     .target = &opts.weights,
     .help = "of a model, in the order of the models; they are divided by their sum; equal ones by "
             "default"},
    L2_OPT_TABLE_END,
};

/* Where convert, quantize and merge write to. */
static struct model_out wanted_output(int type)
{
    return (struct model_out){.path = opts.output,
                              .force = opts.force,
                              .vocab = opts.vocab,
                              .shard_size = opts.shard_size,
                              .type = type};
}

static int convert_to(struct l2_cli *cli, int type)
{
    struct l2_model *m = NULL;
    struct l2_err err;
    const struct model_out out = wanted_output(type);
    const char *path = model_operand(cli, "model");
    if (!path || !model_has_output(cli, opts.output))
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK)
        r = model_write_mean(cli, &out, &m, 1, NULL, &err);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

int model_run_convert(struct l2_cli *cli)
{
    return convert_to(cli, opts.type - 1);
}

int model_run_quantize(struct l2_cli *cli)
{
    int type = 0;
    while (strcmp(model_types[type], quant_types[opts.quant_type]) != 0)
        type++;
    return convert_to(cli, type);
}

/* The weights that were given, divided by their sum; NULL where none were. */
static int read_weights(double **out, size_t n, struct l2_err *err)
{
    double sum = 0;
    *out = NULL;
    if (opts.weights.n == 0)
        return L2_OK;
    if (opts.weights.n != n)
        return l2_err_set(err, L2_ARGUMENT, "%zu weights for %zu models", opts.weights.n, n);
    double *w = calloc(n, sizeof *w);
    if (!w)
        return l2_err_memory(err, n * sizeof *w);
    *out = w;
    for (size_t i = 0; i < n; i++) {
        if (!l2_parse_f64(opts.weights.v[i], &w[i]) || !(w[i] > -1e9 && w[i] < 1e9))
            return l2_err_set(err, L2_ARGUMENT, "--weight %.100s: want a number",
                              opts.weights.v[i]);
        sum += w[i];
    }
    if (!(sum > 1e-9 || sum < -1e-9))
        return l2_err_set(err, L2_ARGUMENT, "the weights' sum is 0");
    for (size_t i = 0; i < n; i++)
        w[i] /= sum;
    return L2_OK;
}

/* What the mean is taken over must be one model at different times. */
static int check_mergeable(struct l2_model *const *models, size_t n, struct l2_err *err)
{
    const struct l2_hparams *a = &models[0]->hp;
    for (size_t i = 1; i < n; i++) {
        const struct l2_hparams *b = &models[i]->hp;
        bool same = a->head == b->head && a->n_labels == b->n_labels && a->dim == b->dim &&
                    a->hidden == b->hidden && a->n_layers == b->n_layers &&
                    a->n_heads == b->n_heads && a->n_kv_heads == b->n_kv_heads &&
                    a->head_dim == b->head_dim && a->vocab_size == b->vocab_size &&
                    a->tied == b->tied && a->attention_bias == b->attention_bias &&
                    a->mlp_bias == b->mlp_bias && a->rope_theta == b->rope_theta &&
                    a->rope_scaling == b->rope_scaling && a->rope_factor == b->rope_factor;
        if (!same)
            return l2_err_at(err, L2_ARGUMENT, models[i]->path, -1,
                             "its hyper-parameters are not those of %.200s", models[0]->path);
    }
    return L2_OK;
}

static int merge_adapter(struct l2_cli *cli, const struct model_out *out)
{
    struct l2_model *base = NULL;
    struct l2_err err;
    if (cli->operands.n != 2 || opts.weights.n > 0)
        return l2_cli_usage(cli, "want one model, its adapters, and no weights");
    int r = l2_model_open(&base, cli->operands.v[0], &err);
    if (r == L2_OK)
        r = model_write_adapted(cli, out, base, cli->operands.v[1], &err);
    l2_model_close(base);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

int model_run_merge(struct l2_cli *cli)
{
    struct l2_err err;
    size_t n = cli->operands.n;
    double *weights = NULL;
    const struct model_out out = wanted_output(opts.type - 1);
    if (n < 2)
        return l2_cli_usage(cli, "want at least two models, got %zu", n);
    if (!model_has_output(cli, opts.output))
        return 2;
    if (l2_adapter_detect(cli->operands.v[1]))
        return merge_adapter(cli, &out);
    struct l2_model **models = calloc(n, sizeof *models);
    int r = models ? read_weights(&weights, n, &err) : l2_err_memory(&err, n * sizeof *models);
    if (r == L2_OK)
        r = model_open_all(models, &cli->operands, &err);
    if (r == L2_OK)
        r = check_mergeable(models, n, &err);
    if (r == L2_OK)
        r = model_write_mean(cli, &out, models, n, weights, &err);
    for (size_t i = 0; models && i < n; i++)
        l2_model_close(models[i]);
    free(models);
    free(weights);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}
