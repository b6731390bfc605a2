/* How far two checkpoints are apart: their tensors' values, and what they predict on a text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/ops.h"
#include "nn/engine.h"
#include "stream/json.h"
#include "text/encode.h"
#include "util/map.h"
#include "model_options.h"

static struct {
    bool json;
    const char *text;
    const char *vocab;
    int64_t max_tokens;
    int kv_type, quantize, activations; /* of the second model */
} opts = {.max_tokens = 4096, .activations = 1};

const struct l2_opt model_compare_options[] = {
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
    OPT_KV_TYPE(kv_type, "how the second model's keys and values are kept"),
    {.name = "quantize",
     .kind = L2_OPT_CHOICE,
     .arg = "TYPE",
     .choices = l2_quantize_names,
     .target = &opts.quantize,
     .help = "what the second model's matrices are made while they are loaded"},
    {.name = "activations",
     .kind = L2_OPT_CHOICE,
     .arg = "TYPE",
     .choices = l2_activation_names,
     .target = &opts.activations,
     .help = "what they are multiplied with"},
    OPT_VOCAB("the vocabulary that the text is tokenised with, in place of the first model's"),
    L2_OPT_TABLE_END,
};

#define WINDOW 256 /* positions that are predicted from their own beginning */

/* ---- tensors ---- */

struct error {
    double max, mean, rms, relative; /* relative: the error's length over the first tensor's */
};

static struct error tensor_error(const struct l2_tensor *a, const struct l2_tensor *b,
                                 uint32_t head_dim, float *rows)
{
    struct error e = {0};
    double squares = 0, sum = 0, of_a = 0, n = (double)a->rows * a->cols;
    float *x = rows, *y = rows + a->cols;
    for (uint32_t row = 0; row < a->rows; row++) {
        l2_tensor_row(a, head_dim, row, x);
        l2_tensor_row(b, head_dim, row, y);
        for (uint32_t i = 0; i < a->cols; i++) {
            double d = fabs((double)x[i] - (double)y[i]);
            if (!(d <= e.max))
                e.max = d;
            sum += d;
            squares += d * d;
            of_a += (double)x[i] * (double)x[i];
        }
    }
    e.mean = sum / n;
    e.rms = sqrt(squares / n);
    e.relative = of_a > 0 ? sqrt(squares / of_a) : squares > 0 ? INFINITY : 0;
    return e;
}

static int put_tensor(struct l2_buf *out, bool json, const char *name, const struct l2_tensor *a,
                      const struct l2_tensor *b, const struct error *e, struct l2_err *err)
{
    const char *ta = l2_tensor_type_name(a), *tb = l2_tensor_type_name(b);
    if (!json)
        return l2_buf_printf(out, err, "%-48s %-5s %-5s %10.3g %10.3g %10.3g\n", name, ta, tb,
                             e->max, e->mean, e->relative);
    if (!isfinite(e->max) || !isfinite(e->rms) || !isfinite(e->relative))
        return l2_buf_printf(
            out, err, "{\"name\":\"%s\",\"types\":[\"%s\",\"%s\"],\"finite\":false}", name, ta, tb);
    return l2_buf_printf(out, err,
                         "{\"name\":\"%s\",\"types\":[\"%s\",\"%s\"],\"max\":%.9g,\"mean\":%.9g,"
                         "\"rms\":%.9g,\"relative\":%.9g}",
                         name, ta, tb, e->max, e->mean, e->rms, e->relative);
}

static int compare_tensors(struct l2_cli *cli, struct l2_buf *out, bool json,
                           const struct l2_model *a, const struct l2_model *b, struct l2_err *err)
{
    size_t n = l2_tensor_count(&a->hp), widest = 1;
    uint64_t done = 0, total = l2_hparams_parameters(&a->hp);
    int r = L2_OK;
    for (size_t i = 0; i < n; i++)
        widest = a->tensors[i].cols > widest ? a->tensors[i].cols : widest;
    float *rows = calloc(2 * widest, sizeof *rows);
    if (!rows)
        return l2_err_memory(err, 2 * widest * sizeof *rows);
    if (!json)
        r = l2_buf_printf(out, err, "%-48s %-5s %-5s %10s %10s %10s\n", "tensor", "", "", "max",
                          "mean", "relative");
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        char name[128];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&a->hp, i, &role, &layer);
        l2_tensor_name(role, layer, name, sizeof name);
        const struct l2_tensor *x = &a->tensors[i], *y = l2_model_tensor(b, role, layer);
        struct error e = tensor_error(x, y, a->hp.head_dim, rows);
        if (json && i > 0)
            r = l2_buf_append_byte(out, ',', err);
        if (r == L2_OK)
            r = put_tensor(out, json, name, x, y, &e, err);
        done += (uint64_t)x->rows * x->cols;
        l2_cli_progress(cli, done, total, "parameters");
    }
    free(rows);
    return r;
}

/* ---- predictions ---- */

/* Sums over positions. */
struct predictions {
    uint64_t n;
    double kl, kl_max; /* KL(a || b) of the next token's distribution */
    double nll_a, nll_b;
    uint64_t same_first; /* positions whose most likely token is the same */
};

static size_t most_likely(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static int add_position(struct predictions *p, const float *a, const float *b, size_t n,
                        uint32_t next, struct l2_err *err)
{
    float max_a, max_b;
    double lse_a, lse_b, kl = 0;
    if (!l2_logsumexp(a, n, &max_a, &lse_a) || !l2_logsumexp(b, n, &max_b, &lse_b))
        return l2_err_set(err, L2_CORRUPT, "a model predicts values that are not finite");
    for (size_t i = 0; i < n; i++) {
        double la = (double)a[i] - lse_a, lb = (double)b[i] - lse_b;
        kl += exp(la) * (la - lb);
    }
    p->n++;
    p->kl += kl;
    p->kl_max = kl > p->kl_max ? kl : p->kl_max;
    p->nll_a += lse_a - (double)a[next];
    p->nll_b += lse_b - (double)b[next];
    p->same_first += most_likely(a, n) == most_likely(b, n);
    return L2_OK;
}

/* Logits of tokens[0..n), all but the last one's. */
static int run_window(struct l2_engine *e, const uint32_t *tokens, size_t n, const float **logits,
                      struct l2_err *err)
{
    struct l2_row rows[WINDOW];
    struct l2_kv_seq seq = {0};
    for (size_t i = 0; i + 1 < n; i++)
        rows[i] = (struct l2_row){tokens[i], &seq, true};
    int r = l2_kv_seq_reserve(l2_engine_kv(e), &seq, (uint32_t)n, err);
    if (r == L2_OK)
        r = l2_engine_forward(e, rows, n - 1, L2_OUT_HEAD, logits, err);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    return r;
}

static int make_engine(struct l2_engine **out, const struct l2_model *m, enum l2_kv_type kv_type,
                       const struct l2_weights_opts *pack, struct l2_pool *pool, struct l2_err *err)
{
    uint64_t blocks = l2_kv_blocks_for(m->hp.context);
    const struct l2_engine_opts o = {.backend = &l2_backend_native,
                                     .pool = pool,
                                     .max_rows = WINDOW,
                                     .max_outputs = WINDOW,
                                     .pack = *pack,
                                     .kv_type = kv_type,
                                     .kv_bytes = blocks * l2_kv_block_bytes(&m->hp, kv_type)};
    return l2_engine_new(out, m, &o, err);
}

/* Windows that begin with BOS, where there is one. */
static int predict(struct l2_cli *cli, struct predictions *p, const struct l2_model *a,
                   const struct l2_model *b, const struct model_compare *c,
                   const struct l2_ids *ids, struct l2_err *err)
{
    const struct l2_weights_opts as_is = {0}, packed = {.type = c->quantize, .narrow = c->narrow};
    struct l2_engine *ea = NULL, *eb = NULL;
    struct l2_pool *pool = NULL;
    uint32_t window[WINDOW + 1];
    size_t most = a->hp.context < WINDOW ? a->hp.context : WINDOW, at = 0;
    bool bos = a->hp.bos != L2_NO_TOKEN;
    int r = l2_pool_new(&pool, (int)cli->threads, err);
    if (r == L2_OK)
        r = make_engine(&ea, a, L2_KV_F32, &as_is, pool, err);
    if (r == L2_OK)
        r = make_engine(&eb, b, c->kv_type, &packed, pool, err);
    window[0] = a->hp.bos;
    while (r == L2_OK && ids->n - at >= 2) {
        size_t n = ids->n - at < most - bos ? ids->n - at : most - bos;
        const float *la, *lb;
        memcpy(window + bos, ids->v + at, n * sizeof *window);
        r = run_window(ea, window, n + bos, &la, err);
        if (r == L2_OK)
            r = run_window(eb, window, n + bos, &lb, err);
        for (size_t i = 0; r == L2_OK && i + 1 < n + bos; i++)
            r = add_position(p, la + i * a->hp.vocab_size, lb + i * a->hp.vocab_size,
                             a->hp.vocab_size, window[i + 1], err);
        at += n;
        l2_cli_progress(cli, at, ids->n, "tokens");
    }
    l2_engine_free(ea);
    l2_engine_free(eb);
    l2_pool_free(pool);
    return r;
}

/* The text's first ids. */
static int read_text(struct l2_ids *ids, const struct model_compare *c, const struct l2_model *a,
                     struct l2_err *err)
{
    struct l2_vocab *vocab = NULL;
    struct l2_encoder *encoder = NULL;
    struct l2_map map = {0};
    const char *path = c->vocab ? c->vocab : a->vocab_path;
    if (!path)
        return l2_err_set(err, L2_ARGUMENT, "the model has no vocabulary: want -z");
    int r = l2_vocab_open(&vocab, path, err);
    if (r == L2_OK)
        r = l2_encoder_new(&encoder, vocab, err);
    if (r == L2_OK)
        r = l2_map_open(&map, c->text, err);
    if (r == L2_OK) {
        /* no token is longer than some hundred bytes, and few are longer than 16 */
        size_t n = map.size, most = (size_t)c->max_tokens * 16;
        r = l2_encode(encoder, (const char *)map.data, n < most ? n : most, 0, ids, err);
    }
    if (r == L2_OK && ids->n > (size_t)c->max_tokens)
        ids->n = (size_t)c->max_tokens;
    if (r == L2_OK && ids->n < 2)
        r = l2_err_at(err, L2_FORMAT, c->text, -1, "the text has fewer than 2 tokens");
    for (size_t i = 0; i < ids->n && r == L2_OK; i++)
        if (ids->v[i] >= a->hp.vocab_size)
            r = l2_err_at(err, L2_ARGUMENT, path, -1,
                          "id %u of the vocabulary has no row in the model", (unsigned)ids->v[i]);
    l2_map_release(&map);
    l2_encoder_free(encoder);
    l2_vocab_free(vocab);
    return r;
}

static int compare_text(struct l2_cli *cli, struct l2_buf *out, const struct model_compare *c,
                        const struct l2_model *a, const struct l2_model *b, struct l2_err *err)
{
    struct predictions p = {0};
    struct l2_ids ids = {0};
    int r = L2_OK;
    if (a->hp.head != L2_HEAD_VOCAB)
        return l2_err_at(err, L2_ARGUMENT, a->path, -1, "a model with labels predicts no text");
    r = read_text(&ids, c, a, err);
    if (r == L2_OK)
        r = predict(cli, &p, a, b, c, &ids, err);
    l2_ids_release(&ids);
    if (r != L2_OK)
        return r;
    double n = (double)p.n;
    return l2_buf_printf(out, err,
                         c->json ? ",\"text\":{\"positions\":%llu,\"kl\":%.9g,\"kl_max\":%.9g,"
                                   "\"nll\":[%.9g,%.9g],\"same_first\":%.9g}"
                                 : "\npositions %llu\nkl %.6g\nkl_max %.6g\nnll %.6g %.6g\n"
                                   "same_first %.6g\n",
                         (unsigned long long)p.n, p.kl / n, p.kl_max, p.nll_a / n, p.nll_b / n,
                         (double)p.same_first / n);
}

/* Tensors of the same roles and shapes. */
static int check_same_shape(const struct l2_model *a, const struct l2_model *b, struct l2_err *err)
{
    size_t n = l2_tensor_count(&a->hp);
    bool same = n == l2_tensor_count(&b->hp) && a->hp.head_dim == b->hp.head_dim;
    for (size_t i = 0; same && i < n; i++) {
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&a->hp, i, &role, &layer);
        const struct l2_tensor *t = l2_model_tensor(b, role, layer);
        same = t && t->rows == a->tensors[i].rows && t->cols == a->tensors[i].cols;
    }
    if (!same)
        return l2_err_at(err, L2_ARGUMENT, b->path, -1, "has not the shape of %.200s", a->path);
    return L2_OK;
}

int model_compare(struct l2_cli *cli, const struct model_compare *c, struct l2_model *a,
                  struct l2_model *b, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r = check_same_shape(a, b, err);
    if (r == L2_OK && c->json)
        r = l2_buf_append_str(&out, "{\"tensors\":[", err);
    if (r == L2_OK)
        r = compare_tensors(cli, &out, c->json, a, b, err);
    if (r == L2_OK && c->json)
        r = l2_buf_append_byte(&out, ']', err);
    if (r == L2_OK && c->text)
        r = compare_text(cli, &out, c, a, b, err);
    if (r == L2_OK && c->json)
        r = l2_buf_append_str(&out, "}\n", err);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}

int model_run_compare(struct l2_cli *cli)
{
    struct l2_model *models[2] = {NULL, NULL};
    struct l2_err err;
    const struct model_compare c = {.json = opts.json,
                                    .text = opts.text,
                                    .vocab = opts.vocab,
                                    .max_tokens = opts.max_tokens,
                                    .kv_type = (enum l2_kv_type)opts.kv_type,
                                    .quantize = (enum l2_pack_type)opts.quantize,
                                    .narrow = opts.activations == 0};
    if (cli->operands.n != 2)
        return l2_cli_usage(cli, "want two models, got %zu operands", cli->operands.n);
    int r = model_open_all(models, &cli->operands, &err);
    if (r == L2_OK)
        r = model_compare(cli, &c, models[0], models[1], &err);
    l2_model_close(models[0]);
    l2_model_close(models[1]);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}
