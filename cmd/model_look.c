/* What checkpoints hold: values that are not finite, and a hash that does not depend on the format.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/num.h"

static struct {
    bool tensors;
} opts;

const struct l2_opt model_hash_options[] = {
    {.name = "tensors",
     .kind = L2_OPT_FLAG,
     .target = &opts.tensors,
     .help = "print the hash of each tensor, too"},
    L2_OPT_TABLE_END,
};

/* Calls fn for every tensor, and drops its pages behind it. */
static int each_tensor(struct l2_cli *cli, const struct l2_model *m,
                       int (*fn)(void *arg, const char *name, const struct l2_tensor *t,
                                 struct l2_err *err),
                       void *arg, struct l2_err *err)
{
    uint64_t done = 0, total = l2_hparams_parameters(&m->hp);
    int r = L2_OK;
    for (size_t i = 0; i < l2_tensor_count(&m->hp) && r == L2_OK; i++) {
        const struct l2_tensor *t = &m->tensors[i];
        char name[128];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&m->hp, i, &role, &layer);
        l2_tensor_name(role, layer, name, sizeof name);
        r = fn(arg, name, t, err);
        l2_model_drop_tensor(m, t);
        done += (uint64_t)t->rows * t->cols;
        l2_cli_progress(cli, done, total, "parameters");
    }
    return r;
}

struct check {
    struct l2_cli *cli;
    const struct l2_model *m;
    float *row;
    uint64_t bad;
};

static float *alloc_row(const struct l2_model *m, struct l2_err *err)
{
    size_t widest = 1;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++)
        if (m->tensors[i].cols > widest)
            widest = m->tensors[i].cols;
    float *row = calloc(widest, sizeof *row);
    if (!row)
        (void)l2_err_memory(err, widest * sizeof *row);
    return row;
}

static int check_tensor(void *arg, const char *name, const struct l2_tensor *t, struct l2_err *err)
{
    struct check *c = arg;
    uint64_t bad = 0;
    (void)err;
    for (uint32_t row = 0; row < t->rows; row++) {
        l2_tensor_row(t, c->m->hp.head_dim, row, c->row);
        for (uint32_t i = 0; i < t->cols; i++)
            bad += !isfinite(c->row[i]);
    }
    if (bad > 0)
        l2_cli_note(c->cli, "%s: %s: %llu of %llu values are not finite", c->m->path, name,
                    (unsigned long long)bad, (unsigned long long)t->rows * t->cols);
    c->bad += bad;
    return L2_OK;
}

int model_check(struct l2_cli *cli, const struct l2_model *m, uint64_t *bad, struct l2_err *err)
{
    struct check c = {.cli = cli, .m = m, .row = alloc_row(m, err)};
    *bad = 0;
    if (!c.row)
        return L2_MEMORY;
    int r = each_tensor(cli, m, check_tensor, &c, err);
    free(c.row);
    *bad = c.bad;
    return r;
}

struct hash {
    const struct l2_model *m;
    struct l2_sha256 all;
    struct l2_buf lines; /* a line for each tensor, where wanted */
    bool tensors;
    float *row;
    uint8_t *bytes;
};

static int hash_tensor(void *arg, const char *name, const struct l2_tensor *t, struct l2_err *err)
{
    struct hash *h = arg;
    struct l2_sha256 s;
    uint8_t digest[L2_SHA256_SIZE];
    char hex[65];
    l2_sha256_init(&s);
    for (uint32_t row = 0; row < t->rows; row++) {
        l2_tensor_row(t, h->m->hp.head_dim, row, h->row);
        l2_put_f32le_array(h->bytes, h->row, t->cols);
        l2_sha256_update(&s, h->bytes, 4 * (size_t)t->cols);
    }
    l2_sha256_final(&s, digest);
    l2_sha256_update(&h->all, name, strlen(name) + 1);
    l2_sha256_update(&h->all, digest, sizeof digest);
    l2_sha256_hex(digest, hex);
    return h->tensors ? l2_buf_printf(&h->lines, err, "%s  %s\n", hex, name) : L2_OK;
}

/* What the results depend on besides tensors, as text. The context is none of it: files of one
 * model say it differently. */
static void hash_hparams(struct l2_sha256 *s, const struct l2_hparams *hp)
{
    char text[256], eps[32];
    l2_format_f32(eps, hp->norm_eps);
    int n = snprintf(text, sizeof text, "%u %u %u %u %u %u %u %u %u %s\n", (unsigned)hp->head,
                     (unsigned)hp->n_labels, (unsigned)hp->dim, (unsigned)hp->hidden,
                     (unsigned)hp->n_layers, (unsigned)hp->n_heads, (unsigned)hp->n_kv_heads,
                     (unsigned)hp->head_dim, (unsigned)hp->vocab_size, eps);
    l2_sha256_update(s, text, (size_t)n);
    for (uint32_t i = 0; i < hp->head_dim / 2; i++) {
        double f = pow(hp->rope_theta, -2.0 * i / hp->head_dim);
        n = snprintf(text, sizeof text, "%.4g\n", f / l2_rope_divisor(hp, i, f));
        l2_sha256_update(s, text, (size_t)n);
    }
}

int model_hash(struct l2_cli *cli, const struct l2_model *m, bool tensors, struct l2_err *err)
{
    struct hash h = {.m = m, .tensors = tensors, .row = alloc_row(m, err)};
    uint8_t digest[L2_SHA256_SIZE];
    char hex[65];
    size_t widest = 1;
    if (!h.row)
        return L2_MEMORY;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++)
        widest = m->tensors[i].cols > widest ? m->tensors[i].cols : widest;
    h.bytes = malloc(4 * widest);
    l2_sha256_init(&h.all);
    hash_hparams(&h.all, &m->hp);
    int r = h.bytes ? each_tensor(cli, m, hash_tensor, &h, err) : l2_err_memory(err, 4 * widest);
    l2_sha256_final(&h.all, digest);
    l2_sha256_hex(digest, hex);
    if (r == L2_OK)
        r = l2_buf_printf(&h.lines, err, "%s  %s\n", hex, m->path);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", h.lines.data, h.lines.len, err);
    l2_buf_release(&h.lines);
    free(h.bytes);
    free(h.row);
    return r;
}

/* Opening has checked shapes and sizes; left are the values and the vocabulary. */
int model_run_check(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_vocab *vocab = NULL;
    struct l2_err err;
    uint64_t bad = 0;
    const char *path = model_operand(cli, "model");
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

int model_run_hash(struct l2_cli *cli)
{
    struct l2_model *m = NULL;
    struct l2_err err;
    const char *path = model_operand(cli, "model");
    if (!path)
        return 2;
    int r = l2_model_open(&m, path, &err);
    if (r == L2_OK)
        r = model_hash(cli, m, opts.tensors, &err);
    l2_model_close(m);
    return r == L2_OK ? 0 : l2_cli_error(cli, &err);
}
