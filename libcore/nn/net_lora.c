/* Adapters in the differentiable model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/net_state.h"

#include "kern/ops.h"

/* One projection's adapters: u = alpha / rank x A^T, y += u B^T. */
struct adapter {
    float *a, *b, *da, *db;
    size_t rows, cols, rank;
};

static bool find(const struct l2_net *net, enum l2_role role, uint32_t layer, struct adapter *out)
{
    uint32_t rows, cols;
    if (!net->lora || !l2_lora_at(net->lora, role, layer, &out->a, &out->b))
        return false;
    out->da = out->db = NULL;
    if (net->lora_grads)
        (void)l2_lora_at(net->lora_grads, role, layer, &out->da, &out->db);
    l2_role_shape(&net->hp, role, &rows, &cols);
    out->rows = rows;
    out->cols = cols;
    out->rank = net->lora->opts.rank;
    return true;
}

static void scale_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    float *u = arg;
    size_t rank = net->lora->opts.rank;
    l2_scale_fwd(u + first * rank, u + first * rank, n * rank, net->lora->opts.alpha / (float)rank);
}

static void run(struct l2_net *net, const struct l2_gemm *jobs, size_t n)
{
    l2_gemm_run(net->opts.pool, jobs, n, net->opts.products == L2_BF16);
}

/* C (m, n) = op(A) op(B), or += with add. */
static struct l2_gemm gemm(enum l2_gemm_op op, bool add, size_t m, size_t n, size_t k,
                           const float *a, size_t lda, const float *b, size_t ldb, float *c,
                           size_t ldc)
{
    return (struct l2_gemm){op, add, m, n, k, a, b, c, lda, ldb, ldc};
}

static void inner(struct l2_net *net, const struct adapter *ad, const float *x)
{
    struct l2_gemm g = gemm(L2_GEMM_NT, false, net->n_rows, ad->rank, ad->cols, x, ad->cols, ad->a,
                            ad->cols, net->lora_u, ad->rank);
    run(net, &g, 1);
    l2_net_rows(net, scale_rows, net->lora_u, net->n_rows);
}

void l2_net_lora_fwd(struct l2_net *net, float *y, size_t ld, const float *x, enum l2_role role,
                     uint32_t layer)
{
    struct adapter ad;
    if (!find(net, role, layer, &ad))
        return;
    inner(net, &ad, x);
    struct l2_gemm g = gemm(L2_GEMM_NT, true, net->n_rows, ad.rows, ad.rank, net->lora_u, ad.rank,
                            ad.b, ad.rank, y, ld);
    run(net, &g, 1);
}

/* dB += dy^T u, du = alpha / rank dy B, dA += du^T x, dx += du A. */
void l2_net_lora_bwd(struct l2_net *net, float *dx, const float *dy, size_t ld, const float *x,
                     enum l2_role role, uint32_t layer)
{
    struct adapter ad;
    size_t n = net->n_rows;
    if (!find(net, role, layer, &ad))
        return;
    inner(net, &ad, x);
    struct l2_gemm g[2];
    g[0] =
        gemm(L2_GEMM_NN, false, n, ad.rank, ad.rows, dy, ld, ad.b, ad.rank, net->lora_du, ad.rank);
    g[1] =
        gemm(L2_GEMM_TN, true, ad.rows, ad.rank, n, dy, ld, net->lora_u, ad.rank, ad.db, ad.rank);
    run(net, g, ad.db ? 2 : 1);
    l2_net_rows(net, scale_rows, net->lora_du, n);
    g[0] = gemm(L2_GEMM_NN, true, n, ad.cols, ad.rank, net->lora_du, ad.rank, ad.a, ad.cols, dx,
                ad.cols);
    g[1] = gemm(L2_GEMM_TN, true, ad.rank, ad.cols, n, net->lora_du, ad.rank, x, ad.cols, ad.da,
                ad.cols);
    run(net, g, ad.da ? 2 : 1);
}

int l2_net_set_lora(struct l2_net *net, const struct l2_lora *lora, struct l2_lora *grads,
                    struct l2_err *err)
{
    if (lora && lora->opts.rank > net->opts.lora_rank)
        return l2_err_set(err, L2_ARGUMENT, "adapters of rank %u; the net has memory for %u",
                          (unsigned)lora->opts.rank, (unsigned)net->opts.lora_rank);
    net->lora = lora;
    net->lora_grads = grads;
    return L2_OK;
}
