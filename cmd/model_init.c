/* l2-model init and to-reward: new weights. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/preset.h"
#include "model_options.h"
#include "nn/init.h"

static const char *const dtypes[] = {
    [L2_F32] = "F32", [L2_F16] = "F16", [L2_BF16] = "BF16", [L2_BF16 + 1] = NULL};
static const char *const conventions[] = {[L2_EOS_UNKNOWN] = "unknown",
                                          [L2_EOS_PRESENT] = "present",
                                          [L2_EOS_ABSENT] = "absent",
                                          [L2_EOS_ABSENT + 1] = NULL};

static struct {
    const char *output;
    bool force;
    const char *vocab;
    uint64_t shard_size;
    uint64_t seed;
    int dtype;
    const char *presets;
    double std;
    struct model_count dim, hidden, n_layers, n_heads, n_kv_heads, head_dim, vocab_size, context,
        bos, eos;
    double norm_eps, rope_theta;
    bool norm_eps_given, rope_theta_given;
    bool tied, tied_given;
    int reward_eos;
} opts = {.std = 0.02, .presets = L2_PRESETDIR};

const struct l2_opt model_init_options[] = {
    OPT_OUTPUT,
    OPT_FORCE,
    OPT_VOCAB("copy this vocabulary in, and take vocab-size, bos and eos from it"),
    OPT_SEED,
    {.name = "dtype",
     .kind = L2_OPT_CHOICE,
     .arg = "TYPE",
     .choices = dtypes,
     .target = &opts.dtype,
     .help = "how values are stored: F32, F16 or BF16"},
    OPT_SHARD,
    {.name = "std",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .min = 0,
     .max = 1,
     .target = &opts.std,
     .help = "standard deviation of the weights"},
    {.name = "presets",
     .kind = L2_OPT_STRING,
     .arg = "DIR",
     .is_path = true,
     .target = &opts.presets,
     .help = "where presets are looked up by name"},
    L2_OPT_TITLE("Fields in place of the preset's"),
    OPT_COUNT("dim", dim, INT32_MAX, "width of the residual stream"),
    OPT_COUNT("hidden", hidden, INT32_MAX, "width of the feed-forward layer"),
    OPT_COUNT("n-layers", n_layers, INT32_MAX, "layers"),
    OPT_COUNT("n-heads", n_heads, INT32_MAX, "query heads"),
    OPT_COUNT("n-kv-heads", n_kv_heads, INT32_MAX, "key and value heads"),
    OPT_COUNT("head-dim", head_dim, INT32_MAX, "width of a head"),
    OPT_COUNT("vocab-size", vocab_size, INT32_MAX, "rows of the embedding"),
    OPT_COUNT("context", context, INT32_MAX, "positions"),
    {.name = "norm-eps",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .min = 0,
     .max = 1,
     .target = &opts.norm_eps,
     .given = &opts.norm_eps_given,
     .default_text = "",
     .help = "added to the mean square in norms"},
    {.name = "rope-theta",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .min = 0,
     .max = 1e30,
     .target = &opts.rope_theta,
     .given = &opts.rope_theta_given,
     .default_text = "",
     .help = "base of the rotary position embedding"},
    {.name = "tied",
     .kind = L2_OPT_FLAG,
     .target = &opts.tied,
     .given = &opts.tied_given,
     .help = "the vocabulary head is the embedding"},
    OPT_TOKEN("bos", bos, "the token that begins a text"),
    OPT_TOKEN("eos", eos, "the token that ends a text"),
    L2_OPT_TABLE_END,
};

const struct l2_opt model_reward_options[] = {
    OPT_OUTPUT,
    OPT_FORCE,
    OPT_VOCAB("copy this vocabulary in, in place of the model's own"),
    OPT_SEED,
    OPT_SHARD,
    {.name = "eos",
     .kind = L2_OPT_CHOICE,
     .arg = "WHAT",
     .choices = conventions,
     .target = &opts.reward_eos,
     .help = "whether the completions that it will be trained on end in EOS: present or absent"},
    L2_OPT_TABLE_END,
};

/* Weights on their way to a file, counted for --progress. */
struct job {
    struct l2_cli *cli;
    struct l2_hparams hp;
    struct l2_init init;
    const struct l2_model *model; /* where weights come from that are not new; or NULL */
    uint64_t done, total;
};

static int job_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                    float *out, struct l2_err *err)
{
    struct job *job = arg;
    uint32_t rows, cols;
    int r = L2_OK;
    l2_role_shape(&job->hp, role, &rows, &cols);
    if (job->model && role != L2_T_SCORE) {
        const struct l2_tensor *t = l2_model_tensor(job->model, role, layer);
        for (uint32_t i = 0; i < n_rows; i++)
            l2_tensor_row(t, job->hp.head_dim, row + i, out + (size_t)i * cols);
    } else {
        r = l2_init_rows(&job->init, role, layer, row, n_rows, out, err);
    }
    job->done += (uint64_t)n_rows * cols;
    l2_cli_progress(job->cli, job->done, job->total, "parameters");
    return r;
}

static int write_model(struct job *job, enum l2_dtype dtype, const char *vocab, struct l2_err *err)
{
    struct l2_pool *pool = NULL;
    const struct l2_model_source source = {.rows = job_rows, .arg = job};
    const struct l2_model_write_opts wo = {
        .dtype = dtype, .shard_bytes = opts.shard_size, .vocab_path = vocab, .replace = opts.force};
    json_t *report = job->cli->report;
    job->total = l2_hparams_parameters(&job->hp);
    int r = l2_pool_new(&pool, (int)job->cli->threads, err);
    job->init = (struct l2_init){.hp = &job->hp, .seed = opts.seed, .std = opts.std, .pool = pool};
    if (r == L2_OK)
        r = l2_model_write(opts.output, &job->hp, &source, &wo, err);
    l2_pool_free(pool);
    if (r == L2_OK) {
        json_object_set_new(report, "output", json_string(opts.output));
        json_object_set_new(report, "dtype", json_string(l2_dtype_name(dtype)));
        json_object_set_new(report, "parameters", json_integer((json_int_t)job->total));
    }
    return r;
}

/* A preset is a name, or a path when it has a slash or a dot. */
static int read_preset(const char *name, struct l2_hparams *hp, struct l2_err *err)
{
    char path[4096];
    if (strpbrk(name, "/."))
        return l2_preset_read(name, hp, err);
    int n = snprintf(path, sizeof path, "%s/%s.yaml", opts.presets, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return l2_err_set(err, L2_ARGUMENT, "the preset's name is too long");
    if (access(path, F_OK) != 0)
        return l2_err_set(err, L2_ARGUMENT, "no preset %.100s: %.300s does not exist", name, path);
    return l2_preset_read(path, hp, err);
}

static void apply_count(const struct model_count *c, uint32_t *field)
{
    if (c->given)
        *field = (uint32_t)c->value;
}

static void apply_fields(struct l2_hparams *hp)
{
    apply_count(&opts.dim, &hp->dim);
    apply_count(&opts.hidden, &hp->hidden);
    apply_count(&opts.n_layers, &hp->n_layers);
    apply_count(&opts.n_heads, &hp->n_heads);
    apply_count(&opts.n_kv_heads, &hp->n_kv_heads);
    apply_count(&opts.head_dim, &hp->head_dim);
    apply_count(&opts.vocab_size, &hp->vocab_size);
    apply_count(&opts.context, &hp->context);
    apply_count(&opts.bos, &hp->bos);
    apply_count(&opts.eos, &hp->eos[0]);
    if (opts.norm_eps_given)
        hp->norm_eps = (float)opts.norm_eps;
    if (opts.rope_theta_given)
        hp->rope_theta = opts.rope_theta;
    if (opts.tied_given)
        hp->tied = opts.tied;
}

/* The model gets a row for each id; more rows may be asked for, fewer not. */
static int apply_vocab(struct l2_hparams *hp, struct l2_err *err)
{
    struct l2_vocab *vocab;
    int r = l2_vocab_open(&vocab, opts.vocab, err);
    if (r != L2_OK)
        return r;
    uint32_t size = l2_vocab_size(vocab), eos = l2_vocab_eos(vocab);
    if (!opts.vocab_size.given)
        hp->vocab_size = size;
    else if (hp->vocab_size < size)
        r = l2_err_set(err, L2_ARGUMENT, "--vocab-size %u is less than the vocabulary's %u ids",
                       (unsigned)hp->vocab_size, (unsigned)size);
    if (!opts.bos.given)
        hp->bos = l2_vocab_bos(vocab) == L2_NO_ID ? L2_NO_TOKEN : l2_vocab_bos(vocab);
    if (!opts.eos.given) {
        hp->eos[0] = eos;
        hp->n_eos = eos == L2_NO_ID ? 0 : 1;
    }
    l2_vocab_free(vocab);
    return r;
}

int model_run_init(struct l2_cli *cli)
{
    struct job job = {.cli = cli};
    struct l2_err err;
    const char *preset = model_operand(cli, "preset");
    if (!preset || !model_has_output(cli, opts.output))
        return 2;
    int r = read_preset(preset, &job.hp, &err);
    if (r == L2_OK) {
        apply_fields(&job.hp);
        r = opts.vocab ? apply_vocab(&job.hp, &err) : L2_OK;
    }
    if (r == L2_OK)
        r = l2_preset_finish(&job.hp, preset, &err);
    if (r == L2_OK)
        r = write_model(&job, (enum l2_dtype)opts.dtype, opts.vocab, &err);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

/* The type that all of the model's tensors have, or the one that holds all their values. */
static enum l2_dtype common_dtype(const struct l2_model *m)
{
    for (size_t i = 1; i < l2_tensor_count(&m->hp); i++)
        if (m->tensors[i].dtype != m->tensors[0].dtype)
            return L2_F32;
    return m->tensors[0].dtype == L2_QUANTISED ? L2_F32 : m->tensors[0].dtype;
}

int model_run_to_reward(struct l2_cli *cli)
{
    struct job job = {.cli = cli};
    struct l2_model *m = NULL;
    struct l2_err err;
    const char *path = model_operand(cli, "model");
    if (!path || !model_has_output(cli, opts.output))
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK && m->hp.head != L2_HEAD_VOCAB)
        r = l2_err_at(&err, L2_ARGUMENT, path, -1, "has label scores already");
    if (r == L2_OK) {
        job.model = m;
        job.hp = m->hp;
        job.hp.head = L2_HEAD_LABELS;
        job.hp.n_labels = 1;
        job.hp.tied = false;
        job.hp.reward_eos = (enum l2_eos_convention)opts.reward_eos;
        r = write_model(&job, common_dtype(m), opts.vocab ? opts.vocab : m->vocab_path, &err);
    }
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}
