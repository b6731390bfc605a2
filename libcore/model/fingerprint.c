/* Hashing samples of a model: a few megabytes even of the largest. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/fingerprint.h"

#include <math.h>
#include <string.h>

#include "util/num.h"

#define SAMPLE ((size_t)4096) /* bytes */

static void add_u32(struct l2_sha256 *s, uint32_t v)
{
    uint8_t bytes[4];
    l2_put_u32le(bytes, v);
    l2_sha256_update(s, bytes, sizeof bytes);
}

static void add_f64(struct l2_sha256 *s, double v)
{
    uint8_t bytes[8];
    l2_put_f64le(bytes, v);
    l2_sha256_update(s, bytes, sizeof bytes);
}

static void add_hparams(struct l2_sha256 *s, const struct l2_hparams *hp)
{
    const uint32_t sizes[] = {(uint32_t)hp->head,
                              hp->n_labels,
                              hp->dim,
                              hp->hidden,
                              hp->n_layers,
                              hp->n_heads,
                              hp->n_kv_heads,
                              hp->head_dim,
                              hp->vocab_size,
                              hp->context,
                              hp->tied,
                              hp->bos,
                              hp->n_eos,
                              (uint32_t)hp->reward_eos};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        add_u32(s, sizes[i]);
    for (uint32_t i = 0; i < hp->n_eos; i++)
        add_u32(s, hp->eos[i]);
    add_f64(s, (double)hp->norm_eps);
    add_f64(s, hp->rope_theta);
    add_u32(s, (uint32_t)hp->rope_scaling);
    for (uint32_t i = 0; hp->rope_scaling != L2_ROPE_PLAIN && i < hp->head_dim / 2; i++)
        add_f64(s, l2_rope_divisor(hp, i, pow(hp->rope_theta, -2.0 * i / hp->head_dim)));
}

static void add_tensor(struct l2_sha256 *s, const struct l2_tensor *t)
{
    const char *type = l2_tensor_type_name(t);
    size_t size = l2_tensor_row_size(t) * t->rows; /* checked when the model was opened */
    l2_sha256_update(s, type, strlen(type) + 1);
    add_u32(s, t->rows);
    add_u32(s, t->cols);
    add_u32(s, t->interleaved);
    if (size <= 3 * SAMPLE) {
        l2_sha256_update(s, t->data, size);
        return;
    }
    l2_sha256_update(s, t->data, SAMPLE);
    l2_sha256_update(s, t->data + (size - SAMPLE) / 2, SAMPLE);
    l2_sha256_update(s, t->data + size - SAMPLE, SAMPLE);
}

void l2_model_fingerprint(const struct l2_model *m, uint8_t out[L2_SHA256_SIZE])
{
    struct l2_sha256 s;
    size_t n = l2_tensor_count(&m->hp);
    l2_sha256_init(&s);
    add_hparams(&s, &m->hp);
    for (size_t i = 0; i < n; i++)
        add_tensor(&s, &m->tensors[i]);
    l2_sha256_final(&s, out);
}
