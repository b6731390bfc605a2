/* PPO: its memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>

#include "kern/aligned.h"
#include "rlhf/ppo_state.h"

static struct l2_net_opts net_opts(const struct l2_ppo_opts *o, bool frozen)
{
    return (struct l2_net_opts){.pool = o->pool,
                                .max_rows = o->max_rows,
                                .recompute = o->recompute,
                                .lora_rank = o->lora.rank,
                                .frozen = frozen,
                                .products = o->products};
}

struct l2_ppo_plan l2_ppo_plan(const struct l2_hparams *hp, const struct l2_ppo_opts *opts)
{
    struct l2_net_opts no = net_opts(opts, opts->lora.rank > 0);
    struct l2_ppo_plan plan = {.activations = l2_net_bytes(hp, &no)};
    uint64_t all = l2_hparams_parameters(hp) * sizeof(float);
    if (opts->lora.rank == 0) {
        plan.gradients = all;
        plan.moments = 2 * all;
    }
    for (int role = 0; role < L2_N_ROLES; role++) {
        uint32_t rows, cols;
        l2_role_shape(hp, (enum l2_role)role, &rows, &cols);
        if (opts->lora.rank > 0 && (opts->lora.roles & L2_LORA_BIT(role)))
            plan.adapters += ((uint64_t)rows + cols) * opts->lora.rank * hp->n_layers * 16;
    }
    return plan;
}

static float *floats(size_t n, struct l2_err *err)
{
    float *v = l2_aligned_alloc(n, sizeof *v, err);
    for (size_t i = 0; v && i < n; i++)
        v[i] = 0;
    return v;
}

static int new_arrays(struct l2_ppo *p, struct l2_err *err)
{
    size_t rows = p->opts.max_rows, head = (size_t)p->params->hp.dim + 1;
    float **of_rows[] = {&p->logprob, &p->entropy, &p->coefficient, &p->value};
    float **of_head[] = {&p->head, &p->head_grad, &p->head_m, &p->head_v};
    for (size_t i = 0; i < 4; i++) {
        *of_rows[i] = floats(rows, err);
        *of_head[i] = floats(head, err);
        if (!*of_rows[i] || !*of_head[i])
            return L2_MEMORY;
    }
    p->tokens = calloc(rows, sizeof *p->tokens);
    p->spans = calloc(rows, sizeof *p->spans);
    p->targets = calloc(rows, sizeof *p->targets);
    if (!p->tokens || !p->spans || !p->targets)
        return l2_err_memory(err, rows * sizeof *p->spans);
    return L2_OK;
}

static int new_adapters(struct l2_ppo *p, struct l2_err *err)
{
    struct l2_lora **all[] = {&p->lora, &p->lora_grads, &p->lora_m, &p->lora_v};
    int rc = L2_OK;
    for (size_t i = 0; i < 4 && rc == L2_OK; i++)
        rc = l2_lora_new(all[i], &p->params->hp, &p->opts.lora, err);
    if (rc == L2_OK)
        l2_lora_init(p->lora, p->opts.seed);
    return rc;
}

int l2_ppo_new(struct l2_ppo **out, struct l2_params *params, const struct l2_params *ref,
               const struct l2_ppo_opts *opts, struct l2_err *err)
{
    struct l2_net_opts no = net_opts(opts, params->frozen != NULL);
    *out = NULL;
    if (params->hp.head != L2_HEAD_VOCAB)
        return l2_err_set(err, L2_ARGUMENT, "the policy has labels: want a vocabulary head");
    if ((opts->lora.rank == 0) != (ref != NULL) || (params->frozen && opts->lora.rank == 0))
        return l2_err_set(err, L2_ARGUMENT, "want a reference, or adapters");
    if (opts->mini_batch == 0)
        return l2_err_set(err, L2_ARGUMENT, "a mini-batch of 0 rollouts");
    struct l2_ppo *p = calloc(1, sizeof *p);
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->opts = *opts;
    p->params = params;
    p->ref = ref;
    p->kl_coef = opts->kl_coef;
    p->adamw.opts = opts->adamw;
    int rc = l2_net_new(&p->net, &params->hp, &no, err);
    if (rc == L2_OK)
        rc = new_arrays(p, err);
    if (rc == L2_OK && opts->lora.rank > 0)
        rc = new_adapters(p, err);
    if (rc == L2_OK && opts->lora.rank == 0)
        rc = l2_params_new(&p->grads, &params->hp, err);
    if (rc == L2_OK && opts->lora.rank == 0)
        rc = l2_adamw_init(&p->adamw, &params->hp, &opts->adamw, err);
    if (rc == L2_OK)
        *out = p;
    else
        l2_ppo_free(p);
    return rc;
}

void l2_ppo_free(struct l2_ppo *p)
{
    if (!p)
        return;
    l2_net_free(p->net);
    l2_params_free(p->grads);
    l2_adamw_release(&p->adamw);
    l2_lora_free(p->lora);
    l2_lora_free(p->lora_grads);
    l2_lora_free(p->lora_m);
    l2_lora_free(p->lora_v);
    float *arrays[] = {p->head,    p->head_grad, p->head_m,      p->head_v,
                       p->logprob, p->entropy,   p->coefficient, p->value};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(p->tokens);
    free(p->spans);
    free(p->targets);
    free(p->order);
    free(p);
}

const struct l2_lora *l2_ppo_lora(const struct l2_ppo *p)
{
    return p->lora;
}

const float *l2_ppo_value_head(const struct l2_ppo *p)
{
    return p->head;
}

size_t l2_ppo_pieces(const struct l2_ppo *p, struct l2_ppo_piece out[L2_PPO_PIECES])
{
    size_t head = (size_t)p->params->hp.dim + 1, n = 0;
    if (p->lora) {
        const struct l2_lora *all[] = {p->lora, p->lora_m, p->lora_v};
        for (size_t i = 0; i < 3; i++)
            out[n++] = (struct l2_ppo_piece){all[i]->values, all[i]->n};
    } else {
        const struct l2_params *all[] = {p->params, p->adamw.m, p->adamw.v};
        for (size_t i = 0; i < 3; i++)
            out[n++] = (struct l2_ppo_piece){all[i]->values, all[i]->offset[all[i]->n_tensors]};
    }
    out[n++] = (struct l2_ppo_piece){p->head, head};
    out[n++] = (struct l2_ppo_piece){p->head_m, head};
    out[n++] = (struct l2_ppo_piece){p->head_v, head};
    return n;
}
