/* PPO: micro-batches of rollouts through the model and the value head. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "rlhf/ppo_state.h"

static bool same_prompt(const struct l2_rollout *a, const struct l2_rollout *b)
{
    return a->prompt == b->prompt && a->n_prompt == b->n_prompt && a->n_prompt > 1;
}

/* Positions that a rollout takes: nothing follows its last token. Behind a shared prompt it begins
 * with the prompt's last token, from which its first one is predicted. */
static size_t rows_of(const struct l2_rollout *r, bool shares)
{
    return shares ? r->n : r->n_prompt + r->n - 1;
}

static void put_rows(struct l2_ppo *p, struct l2_ppo_micro *m, const uint32_t *tokens, size_t n)
{
    memcpy(p->tokens + m->n_rows, tokens, n * sizeof *tokens);
    m->n_rows += n;
}

/* The prompt without its last token, for the rollouts behind it. */
static uint32_t put_prompt(struct l2_ppo *p, struct l2_ppo_micro *m, const struct l2_rollout *r)
{
    uint32_t n = (uint32_t)r->n_prompt - 1;
    p->spans[m->n_spans] = (struct l2_span){(uint32_t)m->n_rows, n, L2_NO_PARENT};
    put_rows(p, m, r->prompt, n);
    return (uint32_t)m->n_spans++;
}

static void put(struct l2_ppo *p, struct l2_ppo_micro *m, const struct l2_rollout *r,
                uint32_t parent)
{
    uint32_t first = (uint32_t)m->n_rows;
    size_t own = parent == L2_NO_PARENT ? r->n_prompt : 1; /* tokens of the prompt */
    put_rows(p, m, r->prompt + r->n_prompt - own, own);
    for (size_t i = 0; i < r->n; i++)
        p->targets[m->n_targets++] =
            (struct l2_target){(uint32_t)(m->n_rows - 1 + i), r->tokens[i]};
    put_rows(p, m, r->tokens, r->n - 1);
    p->spans[m->n_spans++] = (struct l2_span){first, (uint32_t)m->n_rows - first, parent};
    m->n++;
}

int l2_ppo_pack(struct l2_ppo *p, const struct l2_rollout *rollouts, size_t first, size_t end,
                struct l2_ppo_micro *m, struct l2_err *err)
{
    uint32_t parent = L2_NO_PARENT;
    *m = (struct l2_ppo_micro){.first = first};
    for (size_t i = first; i < end; i++) {
        const struct l2_rollout *r = &rollouts[p->order[i]];
        bool shares = i > first && same_prompt(r, &rollouts[p->order[i - 1]]);
        if (m->n_rows + rows_of(r, shares) > p->opts.max_rows)
            break;
        if (!shares)
            parent = i + 1 < end && same_prompt(r, &rollouts[p->order[i + 1]]) ? put_prompt(p, m, r)
                                                                               : L2_NO_PARENT;
        put(p, m, r, parent);
    }
    if (m->n == 0)
        return l2_err_set(err, L2_LIMIT, "a rollout of %zu positions: want %u at most",
                          rows_of(&rollouts[p->order[first]], false), (unsigned)p->opts.max_rows);
    return L2_OK;
}

/* v = w h + b at each target's row. */
static void values(struct l2_ppo *p, const struct l2_ppo_micro *m)
{
    size_t dim = p->params->hp.dim;
    const float *hidden = l2_net_hidden(p->net);
    for (size_t i = 0; i < m->n_targets; i++) {
        const float *h = hidden + p->targets[i].row * dim;
        double sum = p->head[dim];
        for (size_t k = 0; k < dim; k++)
            sum += (double)h[k] * p->head[k];
        p->value[i] = (float)sum;
    }
}

int l2_ppo_run(struct l2_ppo *p, const struct l2_ppo_micro *m, bool reference, bool entropy,
               struct l2_err *err)
{
    struct l2_net_batch b = {p->tokens, m->n_rows, p->spans, m->n_spans};
    const struct l2_params *params = reference && p->ref ? p->ref : p->params;
    int rc =
        l2_net_set_lora(p->net, reference ? NULL : p->lora, reference ? NULL : p->lora_grads, err);
    if (rc == L2_OK)
        rc = l2_net_forward(p->net, params, &b, err);
    if (rc == L2_OK)
        rc = l2_net_vocab_head(p->net, p->targets, m->n_targets, NULL, NULL, p->logprob,
                               entropy ? p->entropy : NULL, err);
    if (rc == L2_OK && !reference)
        values(p, m);
    return rc;
}
