/* Unit tests of contexts of more than 4096 positions: against plain loops in double, with memory
 * that does not grow with the context, and with completions that share what they follow. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/ops.h"
#include "model/model.h"
#include "nn/engine.h"
#include "nn/params.h"
#include "ref_net.h"
#include "scratch.h"

#define LENGTH   4500
#define PROMPT   4200 /* not at the end of a block */
#define CHUNK    100
#define N_FORKS  16
#define N_VALUES 24

static const struct l2_hparams hp = {.dim = 16,
                                     .hidden = 24,
                                     .n_layers = 2,
                                     .n_heads = 2,
                                     .n_kv_heads = 1,
                                     .head_dim = 8,
                                     .vocab_size = N_VALUES,
                                     .context = LENGTH,
                                     .norm_eps = 1e-5f,
                                     .rope_theta = 10000,
                                     .bos = 1};

static const uint32_t probes[] = {0, 63, 64, 2047, 2048, 4095, 4096, 4097, 4300, LENGTH - 2};
#define N_PROBES (sizeof probes / sizeof *probes)

struct fixture {
    char dir[SCRATCH_PATH];
    struct l2_params *params;
    struct l2_model *model;
    struct l2_pool *pool;
    uint32_t tokens[LENGTH];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct l2_model_write_opts opts = {.dtype = L2_F32};
    struct l2_err err;
    uint32_t seed = 77;
    assert_non_null(f);
    assert_int_equal(l2_params_new(&f->params, &hp, &err), L2_OK);
    for (size_t i = 0; i < f->params->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&hp, i, &role, &layer);
        l2_role_shape(&hp, role, &rows, &cols);
        for (size_t j = 0; j < (size_t)rows * cols; j++) {
            seed = seed * 1664525u + 1013904223u;
            float v = (float)(seed >> 8) * 0x1p-23f - 1;
            f->params->values[f->params->offset[i] + j] =
                l2_roles[role].decayed ? 0.5f * v : 1 + 0.2f * v;
        }
    }
    for (size_t i = 0; i < LENGTH; i++) {
        seed = seed * 1664525u + 1013904223u;
        f->tokens[i] = (seed >> 16) % N_VALUES;
    }
    scratch_make(f->dir);
    struct l2_model_source source = {l2_params_rows, f->params};
    assert_int_equal(l2_model_write(scratch_path(f->dir, "m"), &hp, &source, &opts, &err), L2_OK);
    assert_int_equal(l2_model_open(&f->model, scratch_path(f->dir, "m"), &err), L2_OK);
    assert_int_equal(l2_pool_new(&f->pool, 2, &err), L2_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    l2_pool_free(f->pool);
    l2_model_close(f->model);
    l2_params_free(f->params);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

/* Exactly so many blocks. */
static struct l2_engine *engine_of(const struct fixture *f, enum l2_kv_type type, uint32_t blocks)
{
    const struct l2_engine_opts opts = {.backend = &l2_backend_native,
                                        .pool = f->pool,
                                        .max_rows = CHUNK,
                                        .max_outputs = CHUNK,
                                        .kv_type = type,
                                        .kv_bytes = blocks * l2_kv_block_bytes(&hp, type)};
    struct l2_engine *e;
    struct l2_err err;
    if (l2_engine_new(&e, f->model, &opts, &err) != L2_OK)
        fail_msg("%s", err.text);
    assert_int_equal(l2_kv_pool_blocks(l2_engine_kv(e)), blocks);
    return e;
}

/* Tokens [seq->len, end) in chunks; logits (LENGTH, N_VALUES) of each where not NULL. */
static void run(struct l2_engine *e, struct l2_kv_seq *seq, const uint32_t *tokens, uint32_t end,
                float *logits)
{
    struct l2_row rows[CHUNK];
    struct l2_err err;
    const float *values;
    while (seq->len < end) {
        uint32_t at = seq->len, n = end - at < CHUNK ? end - at : CHUNK;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = (struct l2_row){tokens[at + i], seq, logits != NULL};
        assert_int_equal(l2_kv_seq_reserve(l2_engine_kv(e), seq, at + n, &err), L2_OK);
        assert_int_equal(l2_engine_forward(e, rows, n, L2_OUT_HEAD, &values, &err), L2_OK);
        if (logits)
            memcpy(logits + (size_t)at * N_VALUES, values, n * N_VALUES * sizeof *values);
    }
}

static void reference(const struct fixture *f, double want[N_PROBES])
{
    const struct l2_span span = {0, LENGTH, L2_NO_PARENT};
    const struct l2_net_batch batch = {f->tokens, LENGTH, &span, 1};
    struct l2_target targets[N_PROBES];
    float coefficient[N_PROBES];
    size_t n = f->params->offset[f->params->n_tensors];
    double *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = f->params->values[i];
    for (size_t i = 0; i < N_PROBES; i++) {
        targets[i] = (struct l2_target){probes[i], f->tokens[probes[i] + 1]};
        coefficient[i] = 1;
    }
    const struct ref_loss loss = {&batch, targets, coefficient, N_PROBES};
    (void)ref_loss(f->params, values, &loss, want);
    free(values);
}

static double logprob(const float *logits, uint32_t token)
{
    float max;
    double lse;
    assert_true(l2_logsumexp(logits, N_VALUES, &max, &lse));
    return (double)logits[token] - lse;
}

static void test_reference(void **state)
{
    static const double most[] = {[L2_KV_F32] = 1e-4, [L2_KV_BF16] = 0.02, [L2_KV_Q8] = 0.05};
    const struct fixture *f = *state;
    float *logits = malloc((size_t)LENGTH * N_VALUES * sizeof *logits);
    double want[N_PROBES];
    assert_non_null(logits);
    reference(f, want);
    for (int type = L2_KV_F32; type <= L2_KV_Q8; type++) {
        struct l2_engine *e = engine_of(f, (enum l2_kv_type)type, l2_kv_blocks_for(LENGTH));
        struct l2_kv_seq seq = {0};
        double worst = 0;
        run(e, &seq, f->tokens, LENGTH, logits);
        for (size_t i = 0; i < N_PROBES; i++) {
            double got = logprob(logits + (size_t)probes[i] * N_VALUES, f->tokens[probes[i] + 1]);
            worst = fmax(worst, fabs(got - want[i]));
        }
        printf("# type %d: log-probabilities are off by %.2g at most\n", type, worst);
        assert_true(worst < most[type]);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        l2_engine_free(e);
    }
    free(logits);
}

/* Completions of one prompt hold its blocks once, and have the bits that each has by itself. */
static void test_completions(void **state)
{
    const struct fixture *f = *state;
    uint32_t blocks = l2_kv_blocks_for(LENGTH);
    uint32_t own = blocks - PROMPT / L2_KV_BLOCK;
    float *logits = malloc((size_t)LENGTH * N_VALUES * sizeof *logits);
    assert_non_null(logits);
    for (int type = L2_KV_F32; type <= L2_KV_Q8; type++) {
        struct l2_engine *e =
            engine_of(f, (enum l2_kv_type)type, PROMPT / L2_KV_BLOCK + 1 + N_FORKS * own);
        struct l2_kv_pool *kv = l2_engine_kv(e);
        struct l2_kv_seq prompt = {0}, forks[N_FORKS] = {{0}};
        struct l2_row rows[N_FORKS];
        struct l2_err err;
        const float *values;
        run(e, &prompt, f->tokens, PROMPT, NULL);
        for (int i = 0; i < N_FORKS; i++) {
            assert_int_equal(l2_kv_seq_fork(kv, &forks[i], &prompt, PROMPT, &err), L2_OK);
            assert_int_equal(l2_kv_seq_reserve(kv, &forks[i], LENGTH, &err), L2_OK);
        }
        assert_int_equal(l2_kv_pool_free_blocks(kv), 0);
        run(e, &forks[3], f->tokens, LENGTH, logits); /* by itself, in chunks */
        for (uint32_t at = PROMPT; at < LENGTH; at += 1 + at % 3) {
            uint32_t n = 0;
            for (uint32_t i = 0; i < N_FORKS; i++)
                if (i != 3 && forks[i].len < LENGTH)
                    rows[n++] = (struct l2_row){f->tokens[forks[i].len], &forks[i], true};
            assert_int_equal(l2_engine_forward(e, rows, n, L2_OUT_HEAD, &values, &err), L2_OK);
            for (uint32_t i = 0; i < n; i++)
                assert_memory_equal(values + (size_t)i * N_VALUES,
                                    logits + (size_t)(rows[i].seq->len - 1) * N_VALUES,
                                    N_VALUES * sizeof *values);
        }
        for (int i = 0; i < N_FORKS; i++)
            l2_kv_seq_release(kv, &forks[i]);
        l2_kv_seq_release(kv, &prompt);
        l2_engine_free(e);
    }
    free(logits);
}

/* Working memory depends on the rows of a pass, not on the context. */
static void test_memory(void **state)
{
    const struct fixture *f = *state;
    uint64_t work[2];
    for (int i = 0; i < 2; i++) {
        struct l2_model m = *f->model;
        struct l2_engine_opts opts = {
            .backend = &l2_backend_native, .max_rows = CHUNK, .max_outputs = CHUNK};
        struct l2_engine *e;
        struct l2_err err;
        m.hp.context = i == 0 ? 100 : 1 << 20;
        opts.kv_bytes = l2_kv_blocks_for(m.hp.context) * l2_kv_block_bytes(&m.hp, L2_KV_F32);
        assert_int_equal(l2_engine_new(&e, &m, &opts, &err), L2_OK);
        work[i] = l2_engine_memory(e).work;
        l2_engine_free(e);
    }
    assert_int_equal(work[0], work[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_completions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("long", tests, NULL, NULL);
}
