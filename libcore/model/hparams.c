/* Checking and counting with hyper-parameters. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/hparams.h"

#include <math.h>

#include "model/tensors.h"
#include "util/num.h"

/* Far above any Llama; below them products of two sizes stay well inside 64 bits. */
#define MAX_LAYERS  4096
#define MAX_WIDTH   (1u << 20)
#define MAX_HIDDEN  (1u << 22)
#define MAX_VOCAB   (1u << 24)
#define MAX_CONTEXT (1u << 27)
#define MAX_LABELS  (1u << 16)

static int check_sizes(const struct l2_hparams *hp, const char *name, struct l2_err *err)
{
    const struct {
        const char *what;
        uint32_t value, max;
    } sizes[] = {
        {"dim", hp->dim, MAX_WIDTH},
        {"hidden", hp->hidden, MAX_HIDDEN},
        {"n_layers", hp->n_layers, MAX_LAYERS},
        {"n_heads", hp->n_heads, MAX_WIDTH},
        {"n_kv_heads", hp->n_kv_heads, MAX_WIDTH},
        {"head_dim", hp->head_dim, MAX_WIDTH},
        {"vocab_size", hp->vocab_size, MAX_VOCAB},
        {"context", hp->context, MAX_CONTEXT},
        {"n_labels", hp->n_labels, MAX_LABELS},
    };
    size_t n = sizeof sizes / sizeof sizes[0];
    if (hp->head == L2_HEAD_VOCAB)
        n--;
    for (size_t i = 0; i < n; i++) {
        if (sizes[i].value == 0)
            return l2_err_at(err, L2_CORRUPT, name, -1, "%s is 0", sizes[i].what);
        if (sizes[i].value > sizes[i].max)
            return l2_err_at(err, L2_LIMIT, name, -1, "%s is %u, more than %u", sizes[i].what,
                             (unsigned)sizes[i].value, (unsigned)sizes[i].max);
    }
    return L2_OK;
}

static bool is_positive(double v)
{
    return isfinite(v) && v > 0;
}

static int check_rope(const struct l2_hparams *hp, const char *name, struct l2_err *err)
{
    if (!is_positive(hp->rope_theta))
        return l2_err_at(err, L2_CORRUPT, name, -1, "rope_theta %g is not above 0", hp->rope_theta);
    if ((hp->rope_scaling == L2_ROPE_LINEAR || hp->rope_scaling == L2_ROPE_LLAMA3) &&
        !is_positive(hp->rope_factor))
        return l2_err_at(err, L2_CORRUPT, name, -1, "the RoPE scaling factor %g is not above 0",
                         hp->rope_factor);
    if (hp->rope_scaling == L2_ROPE_LLAMA3) {
        if (!is_positive(hp->rope_low_freq) || !is_positive(hp->rope_high_freq) ||
            hp->rope_low_freq >= hp->rope_high_freq)
            return l2_err_at(err, L2_CORRUPT, name, -1,
                             "RoPE scaling from frequency factor %g to %g makes no sense",
                             hp->rope_low_freq, hp->rope_high_freq);
        if (hp->rope_original_context == 0 || hp->rope_original_context > MAX_CONTEXT)
            return l2_err_at(err, L2_CORRUPT, name, -1, "the original context of RoPE is %u",
                             (unsigned)hp->rope_original_context);
    }
    if (hp->rope_scaling == L2_ROPE_FACTORS && hp->head_dim / 2 > L2_MAX_ROPE_FACTORS)
        return l2_err_at(err, L2_LIMIT, name, -1, "%u RoPE factors, more than %d",
                         (unsigned)hp->head_dim / 2, L2_MAX_ROPE_FACTORS);
    for (uint32_t i = 0; hp->rope_scaling == L2_ROPE_FACTORS && i < hp->head_dim / 2; i++)
        if (!is_positive(hp->rope_factors[i]))
            return l2_err_at(err, L2_CORRUPT, name, -1, "RoPE factor %u is %g: want above 0",
                             (unsigned)i, (double)hp->rope_factors[i]);
    return L2_OK;
}

static int check_heads(const struct l2_hparams *hp, const char *name, struct l2_err *err)
{
    if (hp->n_heads % hp->n_kv_heads != 0)
        return l2_err_at(err, L2_CORRUPT, name, -1,
                         "%u query heads are not a multiple of %u key/value heads",
                         (unsigned)hp->n_heads, (unsigned)hp->n_kv_heads);
    if (hp->head_dim % 2 != 0)
        return l2_err_at(err, L2_CORRUPT, name, -1, "head_dim %u is not even",
                         (unsigned)hp->head_dim);
    if ((uint64_t)hp->n_heads * hp->head_dim > MAX_WIDTH)
        return l2_err_at(err, L2_LIMIT, name, -1, "%u heads of %u are wider than %u",
                         (unsigned)hp->n_heads, (unsigned)hp->head_dim, MAX_WIDTH);
    return L2_OK;
}

int l2_hparams_check(const struct l2_hparams *hp, const char *name, struct l2_err *err)
{
    int r = check_sizes(hp, name, err);
    if (r == L2_OK)
        r = check_heads(hp, name, err);
    if (r != L2_OK)
        return r;
    if (!(isfinite(hp->norm_eps) && hp->norm_eps > 0))
        return l2_err_at(err, L2_CORRUPT, name, -1, "norm_eps %g is not above 0",
                         (double)hp->norm_eps);
    r = check_rope(hp, name, err);
    if (r != L2_OK)
        return r;
    if (hp->bos != L2_NO_TOKEN && hp->bos >= hp->vocab_size)
        return l2_err_at(err, L2_CORRUPT, name, -1, "BOS is token %u, but the vocabulary has %u",
                         (unsigned)hp->bos, (unsigned)hp->vocab_size);
    if (hp->n_eos > L2_MAX_EOS)
        return l2_err_at(err, L2_LIMIT, name, -1, "%u EOS tokens, more than %d",
                         (unsigned)hp->n_eos, L2_MAX_EOS);
    for (uint32_t i = 0; i < hp->n_eos; i++)
        if (hp->eos[i] >= hp->vocab_size)
            return l2_err_at(err, L2_CORRUPT, name, -1,
                             "EOS is token %u, but the vocabulary has %u", (unsigned)hp->eos[i],
                             (unsigned)hp->vocab_size);
    return L2_OK;
}

/* LLAMA3 looks at how many turns a pair makes within the original context: above rope_high_freq
 * nothing changes, below rope_low_freq the divisor is the factor. */
double l2_rope_divisor(const struct l2_hparams *hp, uint32_t pair, double frequency)
{
    const double two_pi = 6.283185307179586;
    switch (hp->rope_scaling) {
    case L2_ROPE_LINEAR:
        return hp->rope_factor;
    case L2_ROPE_FACTORS:
        return (double)hp->rope_factors[pair];
    case L2_ROPE_LLAMA3: {
        double turns = hp->rope_original_context * frequency / two_pi;
        double share = (turns - hp->rope_low_freq) / (hp->rope_high_freq - hp->rope_low_freq);
        if (share <= 0)
            return hp->rope_factor;
        if (share >= 1)
            return 1;
        return 1 / ((1 - share) / hp->rope_factor + share);
    }
    case L2_ROPE_PLAIN:
        break;
    }
    return 1;
}

static uint64_t count(const struct l2_hparams *hp, bool matrices_only)
{
    uint64_t total = 0;
    for (int i = 0; i < L2_N_ROLES; i++) {
        enum l2_role role = (enum l2_role)i;
        uint32_t rows, cols;
        if (!l2_role_present(hp, role))
            continue;
        if (matrices_only && (role == L2_T_EMBED || !l2_roles[role].decayed))
            continue;
        l2_role_shape(hp, role, &rows, &cols);
        total += (uint64_t)rows * cols * (l2_roles[role].per_layer ? hp->n_layers : 1);
    }
    return total;
}

uint64_t l2_hparams_parameters(const struct l2_hparams *hp)
{
    return count(hp, false);
}

uint64_t l2_hparams_matrix_parameters(const struct l2_hparams *hp)
{
    uint64_t total = count(hp, true);
    if (hp->head == L2_HEAD_VOCAB && hp->tied)
        total += (uint64_t)hp->vocab_size * hp->dim; /* the embedding at work as the head */
    return total;
}
