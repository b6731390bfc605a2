/* l2-model: shows, makes, converts, quantises, compares, checks and merges checkpoints. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/modelshow.h"
#include "common/rows.h"
#include "model/adapter.h"
#include "model/preset.h"
#include "nn/init.h"
#include "text/template.h"
#include "util/num.h"

static const char *const dtypes[] = {
    [L2_F32] = "F32", [L2_F16] = "F16", [L2_BF16] = "BF16", [L2_BF16 + 1] = NULL};
static const char *const conventions[] = {[L2_EOS_UNKNOWN] = "unknown",
                                          [L2_EOS_PRESENT] = "present",
                                          [L2_EOS_ABSENT] = "absent",
                                          [L2_EOS_ABSENT + 1] = NULL};

/* What convert and merge write: the model's own type, or one of model_types. */
static const char *const wanted_types[] = {"own",  "F32",  "F16",  "BF16",
                                           "Q8_0", "Q4_K", "Q6_K", NULL};
static const char *const quant_types[] = {"Q4_K", "Q6_K", "Q8_0", NULL};

/* A hyper-parameter on the command line. */
struct count {
    int64_t value;
    bool given;
};

static struct {
    bool json;
    bool template_text;
    const char *output;
    bool force;
    const char *vocab;
    uint64_t shard_size;
    uint64_t seed;
    int dtype;
    const char *presets;
    double std;
    struct count dim, hidden, n_layers, n_heads, n_kv_heads, head_dim, vocab_size, context, bos,
        eos;
    double norm_eps, rope_theta;
    bool norm_eps_given, rope_theta_given;
    bool tied, tied_given;
    int reward_eos;
    int type;
    int quant_type;
    struct l2_strings weights;
    const char *text;
    int64_t max_tokens;
    bool tensors;
    struct count batch, positions;
    int kv_type;         /* that memory is told for */
    int compare_kv_type; /* of the second model */
} opts = {.std = 0.02, .presets = L2_PRESETDIR, .max_tokens = 4096, .kv_type = L2_KV_BF16};

/* clang-format off */
#define OPT_OUTPUT                                                                                 \
    {.name = "output", .letter = 'o', .kind = L2_OPT_STRING, .arg = "DIR", .is_path = true,        \
     .target = &opts.output, .default_text = "",                                                   \
     .help = "the directory to make; one that exists is refused"}
#define OPT_FORCE                                                                                  \
    {.name = "force", .kind = L2_OPT_FLAG, .target = &opts.force,                                  \
     .help = "replace a model directory"}
#define OPT_VOCAB(text)                                                                            \
    {.name = "vocab", .letter = 'z', .kind = L2_OPT_STRING, .arg = "FILE", .is_path = true,        \
     .target = &opts.vocab, .help = text}
#define OPT_SHARD                                                                                  \
    {.name = "shard-size", .kind = L2_OPT_BYTES, .arg = "SIZE", .target = &opts.shard_size,        \
     .default_text = "one file", .help = "write files of at most SIZE bytes of tensors, and an index"}
#define OPT_SEED                                                                                   \
    {.name = "seed", .letter = 's', .kind = L2_OPT_SEED, .arg = "N", .target = &opts.seed,         \
     .help = "of the random weights"}
#define OPT_KV_TYPE(field, text)                                                                   \
    {.name = "kv-type", .kind = L2_OPT_CHOICE, .arg = "TYPE", .choices = l2_kv_type_names,         \
     .target = &opts.field, .help = text}
#define OPT_COUNT(opt, field, most, text)                                                          \
    {.name = opt, .kind = L2_OPT_INT, .arg = "N", .min = 1, .max = most,                           \
     .target = &opts.field.value, .given = &opts.field.given, .default_text = "", .help = text}
#define OPT_TOKEN(opt, field, text)                                                                \
    {.name = opt, .kind = L2_OPT_INT, .arg = "ID", .min = 0, .max = INT32_MAX,                     \
     .target = &opts.field.value, .given = &opts.field.given, .default_text = "", .help = text}
/* clang-format on */

static const struct l2_opt show_options[] = {
    {.name = "json", .kind = L2_OPT_FLAG, .target = &opts.json, .help = "print one JSON object"},
    {.name = "template",
     .kind = L2_OPT_FLAG,
     .target = &opts.template_text,
     .help = "print the text of the chat template, and nothing else"},
    OPT_COUNT("positions", positions, INT32_MAX,
              "positions of each sequence that the memory is for; the context by default"),
    OPT_COUNT("batch", batch, INT32_MAX, "sequences that the memory is for; 1 by default"),
    OPT_KV_TYPE(kv_type, "how their keys and values are kept: f32, bf16 or q8"),
    L2_OPT_TABLE_END,
};

static const struct l2_opt init_options[] = {
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

static const struct l2_opt reward_options[] = {
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

static const struct l2_opt convert_options[] = {
    OPT_OUTPUT_ANY,
    OPT_FORCE_ANY,
    OPT_VOCAB("take this vocabulary in, in place of the model's own"),
    OPT_TYPE,
    OPT_SHARD,
    L2_OPT_TABLE_END,
};

static const struct l2_opt quantize_options[] = {
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

static const struct l2_opt merge_options[] = {
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

static const struct l2_opt compare_options[] = {
    {.name = "json", .kind = L2_OPT_FLAG, .target = &opts.json, .help = "print one JSON object"},
    {.name = "text",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .is_path = true,
     .target = &opts.text,
     .help = "compare what both predict on this text, too"},
    {.name = "max-tokens",
     .kind = L2_OPT_INT,
     .arg = "N",
     .min = 2,
     .max = 1 << 30,
     .target = &opts.max_tokens,
     .help = "of the text's beginning"},
    OPT_KV_TYPE(compare_kv_type, "how the second model's keys and values are kept"),
    OPT_VOCAB("the vocabulary that the text is tokenised with, in place of the first model's"),
    L2_OPT_TABLE_END,
};

static const struct l2_opt no_options[] = {L2_OPT_TABLE_END};

static const struct l2_opt hash_options[] = {
    {.name = "tensors",
     .kind = L2_OPT_FLAG,
     .target = &opts.tensors,
     .help = "print the hash of each tensor, too"},
    L2_OPT_TABLE_END,
};

/* The one operand, or NULL after a usage error. */
static const char *only_operand(struct l2_cli *cli, const char *what)
{
    if (cli->operands.n == 1)
        return cli->operands.v[0];
    l2_cli_usage(cli, "want one %s, got %zu operands", what, cli->operands.n);
    return NULL;
}

/* The chat template of the model: its text, and its name, NULL where there is none. */
static int find_template(struct l2_buf *text, const char **name, const struct l2_model *m,
                         struct l2_err *err)
{
    bool found;
    *name = NULL;
    int r = l2_template_text(text, &found, m->vocab_path ? m->vocab_path : m->path, err);
    if (r == L2_OK && found) {
        const struct l2_template *t = l2_template_recognise((const char *)text->data, text->len);
        *name = t ? l2_template_name(t) : "unrecognised";
    }
    return r;
}

static int run_show(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_vocab *vocab = NULL;
    struct l2_buf out = {0}, chat = {0};
    struct l2_err err;
    const char *path = only_operand(cli, "model"), *template = NULL;
    const struct l2_modelshow_load load = {
        .kv_type = (enum l2_kv_type)opts.kv_type,
        .positions = opts.positions.given ? (uint32_t)opts.positions.value : 0,
        .batch = opts.batch.given ? (uint32_t)opts.batch.value : 1};
    if (!path)
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK && m->vocab_path)
        r = l2_vocab_open(&vocab, m->vocab_path, &err);
    if (r == L2_OK)
        r = find_template(&chat, &template, m, &err);
    if (r == L2_OK && opts.template_text && !template)
        r = l2_err_at(&err, L2_ARGUMENT, path, -1, "has no chat template");
    if (r == L2_OK && !opts.template_text)
        r = opts.json ? l2_modelshow_json(&out, m, vocab, template, &load, &err)
                      : l2_modelshow_text(&out, m, vocab, template, &load, &err);
    const struct l2_buf *shown = opts.template_text ? &chat : &out;
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", shown->data, shown->len, &err);
    l2_buf_release(&chat);
    l2_buf_release(&out);
    l2_vocab_free(vocab);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

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

static void apply_count(const struct count *c, uint32_t *field)
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

static bool has_output(struct l2_cli *cli)
{
    if (opts.output && strcmp(opts.output, "-") != 0)
        return true;
    l2_cli_usage(cli, "want -o PATH: a model is a directory or a file");
    return false;
}

static int run_init(struct l2_cli *cli)
{
    struct job job = {.cli = cli};
    struct l2_err err;
    const char *preset = only_operand(cli, "preset");
    if (!preset || !has_output(cli))
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

static int run_to_reward(struct l2_cli *cli)
{
    struct job job = {.cli = cli};
    struct l2_model *m = NULL;
    struct l2_err err;
    const char *path = only_operand(cli, "model");
    if (!path || !has_output(cli))
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

/* Where convert, quantize and merge write to. */
static struct model_out wanted_output(int type)
{
    return (struct model_out){.path = opts.output,
                              .force = opts.force,
                              .vocab = opts.vocab,
                              .shard_size = opts.shard_size,
                              .type = type};
}

static int open_models(struct l2_model **models, const struct l2_strings *paths, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < paths->n && r == L2_OK; i++)
        r = l2_model_open(&models[i], paths->v[i], err);
    return r;
}

static int convert_to(struct l2_cli *cli, int type)
{
    struct l2_model *m = NULL;
    struct l2_err err;
    const struct model_out out = wanted_output(type);
    const char *path = only_operand(cli, "model");
    if (!path || !has_output(cli))
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK)
        r = model_write_mean(cli, &out, &m, 1, NULL, &err);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

static int run_convert(struct l2_cli *cli)
{
    return convert_to(cli, opts.type - 1);
}

static int run_quantize(struct l2_cli *cli)
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

static int run_merge(struct l2_cli *cli)
{
    struct l2_err err;
    size_t n = cli->operands.n;
    double *weights = NULL;
    const struct model_out out = wanted_output(opts.type - 1);
    if (n < 2)
        return l2_cli_usage(cli, "want at least two models, got %zu", n);
    if (!has_output(cli))
        return 2;
    if (l2_adapter_detect(cli->operands.v[1]))
        return merge_adapter(cli, &out);
    struct l2_model **models = calloc(n, sizeof *models);
    int r = models ? read_weights(&weights, n, &err) : l2_err_memory(&err, n * sizeof *models);
    if (r == L2_OK)
        r = open_models(models, &cli->operands, &err);
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

static int run_compare(struct l2_cli *cli)
{
    struct l2_model *models[2] = {NULL, NULL};
    struct l2_err err;
    const struct model_compare c = {.json = opts.json,
                                    .text = opts.text,
                                    .vocab = opts.vocab,
                                    .max_tokens = opts.max_tokens,
                                    .kv_type = (enum l2_kv_type)opts.compare_kv_type};
    if (cli->operands.n != 2)
        return l2_cli_usage(cli, "want two models, got %zu operands", cli->operands.n);
    int r = open_models(models, &cli->operands, &err);
    if (r == L2_OK)
        r = model_compare(cli, &c, models[0], models[1], &err);
    l2_model_close(models[0]);
    l2_model_close(models[1]);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

/* Opening has checked shapes and sizes; left are the values and the vocabulary. */
static int run_check(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_vocab *vocab = NULL;
    struct l2_err err;
    uint64_t bad = 0;
    const char *path = only_operand(cli, "model");
    if (!path)
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK && m->vocab_path)
        r = l2_vocab_open(&vocab, m->vocab_path, &err);
    if (r == L2_OK && vocab && l2_vocab_size(vocab) > m->hp.vocab_size)
        r = l2_err_at(&err, L2_CORRUPT, path, -1, "has %u rows for the vocabulary's %u ids",
                      (unsigned)m->hp.vocab_size, (unsigned)l2_vocab_size(vocab));
    if (r == L2_OK)
        r = model_check(cli, m, &bad, &err);
    if (r == L2_OK) {
        json_object_set_new(cli->report, "parameters",
                            json_integer((json_int_t)l2_hparams_parameters(&m->hp)));
        json_object_set_new(cli->report, "not_finite", json_integer((json_int_t)bad));
        if (bad > 0)
            r = l2_err_at(&err, L2_CORRUPT, path, -1, "%llu values are not finite",
                          (unsigned long long)bad);
    }
    l2_vocab_free(vocab);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

static int run_hash(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_err err;
    const char *path = only_operand(cli, "model");
    if (!path)
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK)
        r = model_hash(cli, m, opts.tensors, &err);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}

static const char *const usage[] = {"show [OPTION]... MODEL",
                                    "init [OPTION]... -o DIR PRESET",
                                    "to-reward [OPTION]... -o DIR MODEL",
                                    "convert [OPTION]... -o PATH MODEL",
                                    "quantize [OPTION]... -o FILE.gguf MODEL",
                                    "merge [OPTION]... -o PATH MODEL MODEL...",
                                    "merge [OPTION]... -o PATH MODEL ADAPTERS",
                                    "compare [OPTION]... MODEL MODEL",
                                    "check [OPTION]... MODEL",
                                    "hash [OPTION]... MODEL",
                                    NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "show",
     .usage = "[OPTION]... MODEL",
     .summary = "Print a checkpoint's hyper-parameters, sizes and tensors.",
     .options = show_options,
     .run = run_show},
    {.name = "init",
     .usage = "[OPTION]... -o DIR PRESET",
     .summary = "Make a model with random weights from a preset.",
     .options = init_options,
     .rows = L2_ROWS_THREADS,
     .run = run_init},
    {.name = "to-reward",
     .usage = "[OPTION]... -o DIR MODEL",
     .summary = "Replace a model's vocabulary head by a new score head.",
     .options = reward_options,
     .rows = L2_ROWS_THREADS,
     .run = run_to_reward},
    {.name = "convert",
     .usage = "[OPTION]... -o PATH MODEL",
     .summary = "Write a checkpoint in another format or type.",
     .options = convert_options,
     .rows = L2_ROWS_THREADS,
     .run = run_convert},
    {.name = "quantize",
     .usage = "[OPTION]... -o FILE.gguf MODEL",
     .summary = "Write a checkpoint as a GGUF file of a quantised type.",
     .options = quantize_options,
     .rows = L2_ROWS_THREADS,
     .run = run_quantize},
    {.name = "merge",
     .usage = "[OPTION]... -o PATH MODEL MODEL...",
     .summary = "Write the mean of checkpoints.",
     .options = merge_options,
     .rows = L2_ROWS_THREADS,
     .run = run_merge},
    {.name = "compare",
     .usage = "[OPTION]... MODEL MODEL",
     .summary = "Print how far two checkpoints are apart, tensor by tensor and on a text.",
     .options = compare_options,
     .rows = L2_ROWS_THREADS,
     .run = run_compare},
    {.name = "check",
     .usage = "[OPTION]... MODEL",
     .summary = "Look at everything in a checkpoint: sizes, shapes, and that values are finite.",
     .options = no_options,
     .run = run_check},
    {.name = "hash",
     .usage = "[OPTION]... MODEL",
     .summary = "Print a hash of a checkpoint's values that does not depend on the format.",
     .options = hash_options,
     .run = run_hash},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-model",
        .usage = usage,
        .summary = "Show, make, convert, quantise, compare, check and merge checkpoints.",
        .subcommands = subcommands,
    };
    return l2_cli_main(&program, argc, argv);
}
