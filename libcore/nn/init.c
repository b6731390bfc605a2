/* Random weights for new models. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/init.h"

#include <math.h>
#include <string.h>

#include "kern/math.h"
#include "util/philox.h"
#include "util/sha256.h"

#define TWO_PI 6.283185307179586

struct fill {
    struct l2_philox_key key;
    double std;
    uint32_t first_row, cols;
    float *out;
};

static struct l2_philox_key tensor_key(uint64_t seed, enum l2_role role, uint32_t layer)
{
    char name[128];
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 s;
    l2_tensor_name(role, layer, name, sizeof name);
    l2_sha256_init(&s);
    l2_sha256_update(&s, name, strlen(name));
    l2_sha256_final(&s, digest);
    return l2_philox_key_for(seed, digest);
}

static double deviation(const struct l2_init *in, enum l2_role role)
{
    switch (role) {
    case L2_T_O:
    case L2_T_DOWN:
        return in->std / sqrt(2.0 * in->hp->n_layers);
    case L2_T_SCORE:
        return 1.0 / sqrt(in->hp->dim + 1.0);
    default:
        return in->std;
    }
}

/* Box and Muller: two independent normal numbers from two uniform ones. */
static void normal_pair(const uint32_t word[2], double out[2])
{
    double s, c;
    double radius = sqrt(-2.0 * l2_log(((double)word[0] + 0.5) * 0x1p-32));
    l2_sincos(TWO_PI * (((double)word[1] + 0.5) * 0x1p-32), &s, &c);
    out[0] = radius * c;
    out[1] = radius * s;
}

/* Row i of the call; its first and last block may belong to its neighbours, too. */
static void fill_row(void *arg, size_t i)
{
    const struct fill *f = arg;
    uint64_t begin = ((uint64_t)f->first_row + i) * f->cols, end = begin + f->cols;
    float *out = f->out + i * f->cols;
    for (uint64_t block = begin / 4; block * 4 < end; block++) {
        uint32_t word[4];
        double value[4];
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
        l2_philox(f->key, counter, word);
        normal_pair(word, value);
        normal_pair(word + 2, value + 2);
        for (uint64_t k = 0; k < 4; k++)
            if (block * 4 + k >= begin && block * 4 + k < end)
                out[block * 4 + k - begin] = (float)(f->std * value[k]);
    }
}

int l2_init_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                 float *out, struct l2_err *err)
{
    const struct l2_init *in = arg;
    uint32_t rows, cols;
    (void)err;
    l2_role_shape(in->hp, role, &rows, &cols);
    if (!l2_roles[role].decayed) {
        for (size_t i = 0; i < (size_t)n_rows * cols; i++)
            out[i] = cols == 1 ? 0 : 1; /* biases, norms */
        return L2_OK;
    }
    struct fill f = {.key = tensor_key(in->seed, role, layer),
                     .std = deviation(in, role),
                     .first_row = row,
                     .cols = cols,
                     .out = out};
    l2_pool_run(in->pool, fill_row, &f, n_rows);
    return L2_OK;
}
