/* The matrix products of the differentiable model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/net_state.h"

#include "kern/ops.h"

#define MAX_PARTS 3
#define SUM_COLS  64 /* columns of a bias gradient that a task sums */

/* Matrices that lie one behind the other in memory count as one. */
struct part {
    size_t offset; /* into values */
    size_t row, rows;
};

static size_t find_parts(const struct l2_params *p, const enum l2_role *roles, size_t n_roles,
                         uint32_t layer, struct part parts[MAX_PARTS], size_t *all_rows)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < n_roles; i++) {
        uint32_t rows, cols;
        size_t offset = p->offset[l2_tensor_index(&p->hp, roles[i], layer)];
        l2_role_shape(&p->hp, roles[i], &rows, &cols);
        if (n > 0 && parts[n - 1].offset + parts[n - 1].rows * cols == offset)
            parts[n - 1].rows += rows;
        else
            parts[n++] = (struct part){offset, at, rows};
        at += rows;
    }
    *all_rows = at;
    return n;
}

#define EXPAND 16384 /* values that a task converts */

struct expand {
    float *out;
    const uint16_t *in;
    size_t n;
};

static void expand(void *arg, size_t i)
{
    const struct expand *e = arg;
    size_t first = i * EXPAND, left = e->n - first;
    l2_from_bf16(e->out + first, e->in + first, left < EXPAND ? left : EXPAND);
}

const float *l2_net_matrix(struct l2_net *net, size_t offset, size_t n, size_t place)
{
    if (!net->params->frozen)
        return net->params->values + offset;
    struct expand e = {net->dense + place, net->params->frozen + offset, n};
    l2_pool_run(net->opts.pool, expand, &e, (n + EXPAND - 1) / EXPAND);
    return e.out;
}

static enum l2_role bias_of(enum l2_role role)
{
    switch (role) {
    case L2_T_Q:
        return L2_T_Q_BIAS;
    case L2_T_K:
        return L2_T_K_BIAS;
    case L2_T_V:
        return L2_T_V_BIAS;
    case L2_T_O:
        return L2_T_O_BIAS;
    case L2_T_GATE:
        return L2_T_GATE_BIAS;
    case L2_T_UP:
        return L2_T_UP_BIAS;
    case L2_T_DOWN:
        return L2_T_DOWN_BIAS;
    default:
        return L2_N_ROLES;
    }
}

struct bias_job {
    const float *dy;
    float *y, *dbias;
    const float *bias;
    size_t ld, n, n_rows;
};

/* The bias of roles[i] in p, NULL where there is none; *n values. */
static float *bias_at(const struct l2_params *p, enum l2_role role, uint32_t layer, size_t *n)
{
    uint32_t rows, cols;
    enum l2_role bias = bias_of(role);
    l2_role_shape(&p->hp, role, &rows, &cols);
    *n = rows;
    return bias != L2_N_ROLES && l2_role_present(&p->hp, bias) ? l2_params_at(p, bias, layer)
                                                               : NULL;
}

static void add_bias(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct bias_job *job = arg;
    (void)net;
    for (size_t i = first; i < first + n; i++)
        l2_add_fwd(job->y + i * job->ld, job->bias, job->n);
}

static void sum_bias(void *arg, size_t i)
{
    const struct bias_job *job = arg;
    size_t first = i * SUM_COLS, n = job->n - first < SUM_COLS ? job->n - first : SUM_COLS;
    for (size_t row = 0; row < job->n_rows; row++)
        l2_add_fwd(job->dbias + first, job->dy + row * job->ld + first, n);
}

void l2_net_linear(struct l2_net *net, float *y, const float *x, size_t cols,
                   const enum l2_role *roles, size_t n_roles, uint32_t layer, bool add)
{
    struct part parts[MAX_PARTS];
    struct l2_gemm jobs[MAX_PARTS];
    size_t all, n = find_parts(net->params, roles, n_roles, layer, parts, &all);
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct l2_gemm){
            .op = L2_GEMM_NT,
            .add = add,
            .m = net->n_rows,
            .n = parts[i].rows,
            .k = cols,
            .a = x,
            .lda = cols,
            .b = l2_net_matrix(net, parts[i].offset, parts[i].rows * cols, parts[i].row * cols),
            .ldb = cols,
            .c = y + parts[i].row,
            .ldc = all};
    l2_gemm_run(net->opts.pool, jobs, n, net->opts.products == L2_BF16);
    for (size_t i = 0, at = 0, n_bias; i < n_roles; i++, at += n_bias) {
        const float *bias = bias_at(net->params, roles[i], layer, &n_bias);
        struct bias_job job = {.y = y + at, .bias = bias, .ld = all, .n = n_bias};
        l2_net_lora_fwd(net, y + at, all, x, roles[i], layer);
        if (bias)
            l2_net_rows(net, add_bias, &job, net->n_rows);
    }
}

static void bias_bwd(struct l2_net *net, const float *dy, size_t ld, const enum l2_role *roles,
                     size_t n_roles, uint32_t layer, struct l2_params *grads)
{
    for (size_t i = 0, at = 0, n_bias; i < n_roles; i++, at += n_bias) {
        float *dbias = bias_at(grads, roles[i], layer, &n_bias);
        struct bias_job job = {
            .dy = dy + at, .dbias = dbias, .ld = ld, .n = n_bias, .n_rows = net->n_rows};
        if (dbias)
            l2_pool_run(net->opts.pool, sum_bias, &job, (n_bias + SUM_COLS - 1) / SUM_COLS);
    }
}

/* The gradients of the weights and the first part's share of dx in one go; what the other parts add
 * to dx comes after it. */
void l2_net_linear_bwd(struct l2_net *net, float *dx, const float *dy, const float *x, size_t cols,
                       const enum l2_role *roles, size_t n_roles, uint32_t layer,
                       struct l2_params *grads, bool add)
{
    struct part parts[MAX_PARTS], grad_parts[MAX_PARTS]; /* alike; frozen ones have other offsets */
    struct l2_gemm jobs[2];
    bool bf16 = net->opts.products == L2_BF16;
    size_t all, n_jobs = 0, n = find_parts(net->params, roles, n_roles, layer, parts, &all);
    if (grads)
        (void)find_parts(grads, roles, n_roles, layer, grad_parts, &all);
    for (size_t i = 0; i < n; i++) {
        const struct part *p = &parts[i];
        struct l2_gemm input = {.op = L2_GEMM_NN,
                                .add = add || i > 0,
                                .m = net->n_rows,
                                .n = cols,
                                .k = p->rows,
                                .a = dy + p->row,
                                .lda = all,
                                .b = l2_net_matrix(net, p->offset, p->rows * cols, 0),
                                .ldb = cols,
                                .c = dx,
                                .ldc = cols};
        jobs[n_jobs++] = input;
        if (grads)
            jobs[n_jobs++] = (struct l2_gemm){.op = L2_GEMM_TN,
                                              .add = true,
                                              .m = p->rows,
                                              .n = cols,
                                              .k = net->n_rows,
                                              .a = dy + p->row,
                                              .lda = all,
                                              .b = x,
                                              .ldb = cols,
                                              .c = grads->values + grad_parts[i].offset,
                                              .ldc = cols};
        l2_gemm_run(net->opts.pool, jobs, n_jobs, bf16);
        n_jobs = 0;
    }
    for (size_t i = 0, at = 0; i < n_roles; i++) {
        uint32_t rows, unused;
        l2_role_shape(&net->hp, roles[i], &rows, &unused);
        l2_net_lora_bwd(net, dx, dy + at, all, x, roles[i], layer);
        at += rows;
    }
    if (grads)
        bias_bwd(net, dy, all, roles, n_roles, layer, grads);
}
