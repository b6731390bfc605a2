/* Unit tests of the forward pass: native's promise that an output depends on its sequence alone,
 * bit for bit. */
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

#include "engine_fixture.h"
#include "kern/ops.h"
#include "nn/lora.h"
#include "nn/params_view.h"
#include "util/num.h"

#define LENGTH 160 /* tokens of the test sequences: several blocks */
#define N_SEQS 5

static const struct l2_hparams small_hp = {.dim = 40,
                                           .hidden = 72,
                                           .n_layers = 3,
                                           .n_heads = 6,
                                           .n_kv_heads = 2,
                                           .head_dim = 12,
                                           .vocab_size = 90,
                                           .context = 256,
                                           .norm_eps = 1e-5f,
                                           .rope_theta = 10000,
                                           .bos = 1};

static struct l2_model *model_new(const struct l2_hparams *hp, enum l2_dtype dtype)
{
    struct l2_model *m = calloc(1, sizeof *m);
    uint32_t seed = 12345;
    assert_non_null(m);
    m->hp = *hp;
    size_t n = l2_tensor_count(hp);
    m->tensors = calloc(n, sizeof *m->tensors);
    assert_non_null(m->tensors);
    for (size_t i = 0; i < n; i++) {
        struct l2_tensor *t = &m->tensors[i];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &t->rows, &t->cols);
        t->dtype = dtype;
        size_t values = (size_t)t->rows * t->cols, size = l2_dtype_size(dtype);
        uint8_t *data = malloc(values * size);
        assert_non_null(data);
        for (size_t j = 0; j < values; j++) {
            seed = seed * 1664525u + 1013904223u;
            float v = (float)(seed >> 8) * 0x1p-23f - 1;
            v = l2_roles[role].decayed ? 0.4f * v : 1 + 0.3f * v;
            if (dtype == L2_F32)
                l2_put_f32le(data + 4 * j, v);
            else
                l2_put_u16le(data + 2 * j, l2_bf16_from_f32(v));
        }
        t->data = data;
    }
    return m;
}

static void model_free(struct l2_model *m)
{
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++)
        free((void *)(uintptr_t)m->tensors[i].data);
    free(m->tensors);
    free(m);
}

static uint32_t token_of(const struct l2_engine *e, uint32_t seq, uint32_t pos)
{
    return (seq * 131 + pos * 37 + pos * pos % 11) % l2_engine_hparams(e)->vocab_size;
}

/* The test sequences' logits, one token a pass: what every other way must reproduce. */
static float *one_by_one(struct l2_engine *e)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    float *want = malloc(N_SEQS * LENGTH * vocab * sizeof *want);
    assert_non_null(want);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        struct l2_kv_seq seq = {0};
        for (uint32_t i = 0; i < LENGTH; i++) {
            uint32_t token = token_of(e, s, i);
            engine_feed(e, &seq, &token, 1, L2_OUT_HEAD, want + (s * LENGTH + i) * vocab);
        }
        assert_int_equal(seq.len, LENGTH);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
    }
    return want;
}

/* Sequence s in chunks of the given size. */
static void check_chunks(struct l2_engine *e, const float *want, uint32_t s, uint32_t chunk)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    float *got = malloc(LENGTH * vocab * sizeof *got);
    struct l2_kv_seq seq = {0};
    uint32_t tokens[LENGTH];
    assert_non_null(got);
    for (uint32_t i = 0; i < LENGTH; i++)
        tokens[i] = token_of(e, s, i);
    for (uint32_t i = 0; i < LENGTH; i += chunk)
        engine_feed(e, &seq, tokens + i, LENGTH - i < chunk ? LENGTH - i : chunk, L2_OUT_HEAD,
                    got + i * vocab);
    assert_memory_equal(got, want + s * LENGTH * vocab, LENGTH * vocab * sizeof *got);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    free(got);
}

/* All sequences at once, each with a varying number of rows a pass, interleaved, some rows without
 * output. */
static void check_ragged(struct l2_engine *e, const float *want, uint32_t seed)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    struct l2_kv_seq seqs[N_SEQS] = {0};
    for (uint32_t s = 0; s < N_SEQS; s++)
        engine_reserve(e, &seqs[s], LENGTH);
    for (bool more = true; more;) {
        struct l2_row rows[MAX_ROWS];
        const float *wanted[MAX_ROWS], *values;
        uint32_t next[N_SEQS];
        size_t n = 0, n_outputs = 0;
        for (uint32_t s = 0; s < N_SEQS; s++)
            next[s] = seqs[s].len;
        for (int turn = 0; turn < 2; turn++)
            for (uint32_t s = 0; s < N_SEQS; s++) {
                seed = seed * 1664525u + 1013904223u;
                for (uint32_t k = (seed >> 16) % 24; k > 0 && next[s] < LENGTH; k--) {
                    bool output = (seed >> k) & 1;
                    if (output)
                        wanted[n_outputs++] = want + (s * LENGTH + next[s]) * vocab;
                    rows[n++] = (struct l2_row){token_of(e, s, next[s]), &seqs[s], output};
                    next[s]++;
                }
            }
        engine_forward(e, rows, n, L2_OUT_HEAD, &values);
        for (size_t i = 0; i < n_outputs; i++)
            assert_memory_equal(values + i * vocab, wanted[i], vocab * sizeof *values);
        more = false;
        for (uint32_t s = 0; s < N_SEQS; s++)
            more = more || seqs[s].len < LENGTH;
    }
    for (uint32_t s = 0; s < N_SEQS; s++)
        l2_kv_seq_release(l2_engine_kv(e), &seqs[s]);
}

/* Sequence s forked at len from a prompt, after the prompt went on differently. */
static void check_fork(struct l2_engine *e, const float *want, uint32_t s, uint32_t len)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    float *got = malloc(LENGTH * vocab * sizeof *got);
    struct l2_kv_seq prompt = {0}, fork = {0};
    struct l2_err err;
    uint32_t tokens[LENGTH];
    assert_non_null(got);
    for (uint32_t i = 0; i < LENGTH; i++)
        tokens[i] = token_of(e, s, i);
    engine_feed(e, &prompt, tokens, len, L2_OUT_HEAD, NULL);
    assert_int_equal(l2_kv_seq_fork(l2_engine_kv(e), &fork, &prompt, len, &err), L2_OK);
    engine_feed(e, &prompt, tokens, 40, L2_OUT_HEAD, got);
    engine_feed(e, &fork, tokens + len, LENGTH - len, L2_OUT_HEAD, got);
    assert_memory_equal(got, want + (s * LENGTH + len) * vocab,
                        (LENGTH - len) * vocab * sizeof *got);
    /* and the prompt itself, cut back into what it shares */
    l2_kv_seq_truncate(l2_engine_kv(e), &prompt, len - 1);
    engine_feed(e, &prompt, tokens + len - 1, LENGTH - len + 1, L2_OUT_HEAD, got);
    assert_memory_equal(got, want + (s * LENGTH + len - 1) * vocab,
                        (LENGTH - len + 1) * vocab * sizeof *got);
    l2_kv_seq_truncate(l2_engine_kv(e), &fork, len);
    engine_feed(e, &fork, tokens + len, LENGTH - len, L2_OUT_HEAD, got);
    assert_memory_equal(got, want + (s * LENGTH + len) * vocab,
                        (LENGTH - len) * vocab * sizeof *got);
    l2_kv_seq_release(l2_engine_kv(e), &prompt);
    l2_kv_seq_release(l2_engine_kv(e), &fork);
    free(got);
}

/* N_SEQS continuations of one prompt, each computed on its own: prompt tokens of sequence 0, then
 * tokens of sequence s. */
static float *continuations(struct l2_engine *e, uint32_t prompt)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    float *want = malloc(N_SEQS * LENGTH * vocab * sizeof *want);
    assert_non_null(want);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        struct l2_kv_seq seq = {0};
        for (uint32_t i = 0; i < LENGTH; i++) {
            uint32_t token = token_of(e, i < prompt ? 0 : s, i);
            engine_feed(e, &seq, &token, 1, L2_OUT_HEAD, want + (s * LENGTH + i) * vocab);
        }
        l2_kv_seq_release(l2_engine_kv(e), &seq);
    }
    return want;
}

/* The same as forks, in batches of which each has at most `turns` turns of one row of every fork:
 * neighbours that share blocks, interleaved, and at different positions after a while. */
static void check_shared(struct l2_engine *e, const float *want, uint32_t prompt, int turns)
{
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    struct l2_kv_seq first = {0}, seqs[N_SEQS] = {0};
    struct l2_err err;
    uint32_t tokens[LENGTH], seed = prompt;
    for (uint32_t i = 0; i < prompt; i++)
        tokens[i] = token_of(e, 0, i);
    engine_feed(e, &first, tokens, prompt, L2_OUT_HEAD, NULL);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        assert_int_equal(l2_kv_seq_fork(l2_engine_kv(e), &seqs[s], &first, prompt, &err), L2_OK);
        engine_reserve(e, &seqs[s], LENGTH);
    }
    l2_kv_seq_release(l2_engine_kv(e), &first);
    for (bool more = true; more;) {
        struct l2_row rows[MAX_ROWS];
        const float *wanted[MAX_ROWS], *values;
        uint32_t next[N_SEQS];
        size_t n = 0;
        for (uint32_t s = 0; s < N_SEQS; s++)
            next[s] = seqs[s].len;
        for (int turn = 0; turn < turns; turn++)
            for (uint32_t s = 0; s < N_SEQS; s++) {
                seed = seed * 1664525u + 1013904223u;
                if (next[s] == LENGTH || (turn > 0 && seed >> 30 == 0))
                    continue;
                wanted[n] = want + (s * LENGTH + next[s]) * vocab;
                rows[n++] = (struct l2_row){token_of(e, s, next[s]), &seqs[s], true};
                next[s]++;
            }
        engine_forward(e, rows, n, L2_OUT_HEAD, &values);
        for (size_t i = 0; i < n; i++)
            assert_memory_equal(values + i * vocab, wanted[i], vocab * sizeof *values);
        more = false;
        for (uint32_t s = 0; s < N_SEQS; s++)
            more = more || seqs[s].len < LENGTH;
    }
    for (uint32_t s = 0; s < N_SEQS; s++)
        l2_kv_seq_release(l2_engine_kv(e), &seqs[s]);
}

static void check_equal_bits(const struct l2_model *m, enum l2_kv_type kv)
{
    static const uint32_t chunks[] = {2, 3, 7, 63, 64, 65, 128, LENGTH};
    static const uint32_t forks[] = {1, 64, 65, 150};
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    opts.kv_type = kv;
    struct l2_engine *alone = engine_of(m, opts);
    float *want = one_by_one(alone), *want_shared = continuations(alone, 130);
    l2_engine_free(alone);
    for (int threads = 1; threads <= 3; threads++) {
        struct l2_pool *pool;
        struct l2_err err;
        assert_int_equal(l2_pool_new(&pool, threads, &err), L2_OK);
        opts.pool = pool;
        struct l2_engine *e = engine_of(m, opts);
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
            check_chunks(e, want, (uint32_t)i % N_SEQS, chunks[i]);
        for (uint32_t seed = 1; seed < 6; seed++)
            check_ragged(e, want, seed);
        for (size_t i = 0; i < sizeof forks / sizeof *forks; i++)
            check_fork(e, want, (uint32_t)i % N_SEQS, forks[i]);
        for (int turns = 1; turns <= 9; turns += 4)
            check_shared(e, want_shared, 130, turns);
        assert_int_equal(l2_kv_pool_free_blocks(l2_engine_kv(e)),
                         l2_kv_pool_blocks(l2_engine_kv(e)));
        l2_engine_free(e);
        l2_pool_free(pool);
    }
    free(want);
    free(want_shared);
}

static void test_equal_bits(void **state)
{
    (void)state;
    for (int kv = L2_KV_F32; kv <= L2_KV_Q8; kv++) {
        struct l2_model *m = model_new(&small_hp, kv == L2_KV_F32 ? L2_F32 : L2_BF16);
        check_equal_bits(m, (enum l2_kv_type)kv);
        model_free(m);
    }
}

/* How far logits move, as a share of their size, when keys and values are kept as type. */
static double moved_by(const struct l2_model *m, enum l2_kv_type type)
{
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    struct l2_engine *exact = engine_of(m, opts), *rounded;
    size_t n = N_SEQS * LENGTH * (size_t)m->hp.vocab_size;
    double difference = 0, size = 0;
    opts.kv_type = type;
    rounded = engine_of(m, opts);
    assert_int_equal(l2_kv_pool_type(l2_engine_kv(rounded)), type);
    float *a = one_by_one(exact), *b = one_by_one(rounded);
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)a[i] * a[i];
    }
    free(a);
    free(b);
    l2_engine_free(exact);
    l2_engine_free(rounded);
    return sqrt(difference / size);
}

/* Narrow keys and values change logits a little, and not by nothing, and take the less memory. */
static void test_kv_types(void **state)
{
    struct l2_hparams hp = small_hp;
    struct l2_model *m = model_new(&hp, L2_F32);
    double bf16 = moved_by(m, L2_KV_BF16), q8 = moved_by(m, L2_KV_Q8);
    (void)state;
    printf("# logits move by %.2g of their size with bf16, %.2g with 8 bits\n", bf16, q8);
    assert_true(bf16 > 0 && bf16 < 0.02);
    assert_true(q8 > 0 && q8 < 0.04);
    model_free(m);
    assert_int_equal(2 * l2_kv_block_bytes(&hp, L2_KV_BF16), l2_kv_block_bytes(&hp, L2_KV_F32));
    hp.head_dim = 64; /* 64 bytes and a scale for what takes 128 */
    assert_int_equal(32 * l2_kv_block_bytes(&hp, L2_KV_Q8),
                     17 * l2_kv_block_bytes(&hp, L2_KV_BF16));
}

/* Wide enough that every product and every row operation is split over threads. */
static void test_equal_bits_wide(void **state)
{
    struct l2_hparams hp = small_hp;
    (void)state;
    hp.dim = 320;
    hp.hidden = 700;
    hp.n_heads = 5;
    hp.n_kv_heads = 5;
    hp.head_dim = 72;
    hp.n_layers = 2;
    hp.tied = true;
    struct l2_model *m = model_new(&hp, L2_BF16);
    check_equal_bits(m, L2_KV_F32);
    model_free(m);
}

static void test_backends_agree(void **state)
{
    struct l2_model *m = model_new(&small_hp, L2_F32);
    uint32_t tokens[LENGTH];
    float *logits[2];
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct l2_engine *e = engine_of(m, engine_opts_of(backends[b], NULL));
        struct l2_kv_seq seq = {0};
        logits[b] = malloc(LENGTH * small_hp.vocab_size * sizeof(float));
        assert_non_null(logits[b]);
        for (uint32_t i = 0; i < LENGTH; i++)
            tokens[i] = token_of(e, 3, i);
        engine_feed(e, &seq, tokens, 100, L2_OUT_HEAD, logits[b]);
        for (uint32_t i = 100; i < LENGTH; i++)
            engine_feed(e, &seq, tokens + i, 1, L2_OUT_HEAD, logits[b] + i * small_hp.vocab_size);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        l2_engine_free(e);
    }
    for (size_t i = 0; i < LENGTH * small_hp.vocab_size; i++)
        assert_true(fabsf(logits[0][i] - logits[1][i]) < 1e-4f);
    free(logits[0]);
    free(logits[1]);
    model_free(m);
}

/* The state after all layers, normed here, is the engine's final hidden state; and the layers
 * before do not know of those behind. */
static void test_layers(void **state)
{
    struct l2_model *m = model_new(&small_hp, L2_F32);
    size_t dim = small_hp.dim, n = 70;
    float *whole = malloc(n * dim * sizeof *whole), *part = malloc(n * dim * sizeof *part);
    float norm[40];
    uint32_t tokens[70];
    (void)state;
    assert_true(whole && part);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (i * 29) % small_hp.vocab_size;
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    struct l2_engine *e = engine_of(m, opts);
    struct l2_kv_seq seq = {0};
    engine_feed(e, &seq, tokens, n, L2_OUT_HIDDEN, whole);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);

    opts.n_layers = 3;
    e = engine_of(m, opts);
    engine_feed(e, &seq, tokens, n, L2_OUT_HIDDEN, part);
    l2_tensor_row(l2_model_tensor(m, L2_T_NORM, 0), 12, 0, norm);
    for (size_t i = 0; i < n; i++)
        l2_rmsnorm_fwd(part + i * dim, part + i * dim, norm, dim, small_hp.norm_eps);
    assert_memory_equal(part, whole, n * dim * sizeof *part);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);

    opts.n_layers = 1;
    e = engine_of(m, opts);
    engine_feed(e, &seq, tokens, n, L2_OUT_HIDDEN, part);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);
    struct l2_hparams one_hp = small_hp;
    one_hp.n_layers = 1;
    struct l2_model *one = model_new(&one_hp, L2_F32); /* the same seed: the same first layer */
    opts.n_layers = 0;
    e = engine_of(one, opts);
    engine_feed(e, &seq, tokens, n, L2_OUT_HIDDEN, whole);
    l2_tensor_row(l2_model_tensor(one, L2_T_NORM, 0), 12, 0, norm);
    for (size_t i = 0; i < n; i++)
        l2_rmsnorm_fwd(part + i * dim, part + i * dim, norm, dim, small_hp.norm_eps);
    assert_memory_equal(part, whole, n * dim * sizeof *part);
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);
    model_free(one);
    model_free(m);
    free(whole);
    free(part);
}

/* Weights that are not finite give outputs that are not, without harm to other sequences. */
static void test_nan_token(void **state)
{
    struct l2_model *m = model_new(&small_hp, L2_F32);
    struct l2_tensor *embed = &m->tensors[0];
    struct l2_kv_seq a = {0}, b = {0};
    const float *values;
    float want[90];
    (void)state;
    l2_put_f32le((uint8_t *)(uintptr_t)embed->data + 4 * (7 * 40 + 3), NAN);
    struct l2_engine *e = engine_of(m, engine_opts_of(&l2_backend_native, NULL));
    engine_feed(e, &a, (uint32_t[]){5}, 1, L2_OUT_HEAD, want);
    l2_kv_seq_truncate(l2_engine_kv(e), &a, 0);
    engine_reserve(e, &a, 2);
    engine_reserve(e, &b, 1);
    const struct l2_row rows[] = {{5, &a, true}, {7, &a, true}, {5, &b, true}};
    engine_forward(e, rows, 3, L2_OUT_HEAD, &values);
    assert_memory_equal(values, want, sizeof want); /* a position before the bad one */
    assert_true(isnan(values[90]));
    assert_memory_equal(values + 2 * 90, want, sizeof want);
    l2_kv_seq_release(l2_engine_kv(e), &a);
    l2_kv_seq_release(l2_engine_kv(e), &b);
    l2_engine_free(e);
    model_free(m);
}

static void assert_refused(struct l2_engine *e, const struct l2_row *rows, size_t n,
                           enum l2_output what, const char *text)
{
    uint32_t before[MAX_ROWS + 1];
    const float *values = (const float *)before;
    struct l2_err err;
    for (size_t i = 0; i < n; i++)
        before[i] = rows[i].seq->len;
    assert_int_equal(l2_engine_forward(e, rows, n, what, &values, &err), L2_ARGUMENT);
    assert_string_equal(err.text, text);
    assert_null(values);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].seq->len, before[i]);
}

static void test_refusals(void **state)
{
    struct l2_hparams hp = small_hp;
    struct l2_row rows[MAX_ROWS + 1];
    struct l2_kv_seq a = {0}, b = {0};
    const float *values;
    struct l2_err err;
    struct l2_engine *e;
    (void)state;
    hp.context = 10;
    struct l2_model *m = model_new(&hp, L2_F32);
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    opts.max_outputs = 3;
    e = engine_of(m, opts);
    assert_int_equal(l2_engine_max_rows(e), MAX_ROWS);
    assert_int_equal(l2_engine_max_outputs(e), 3);
    engine_reserve(e, &a, 11);
    for (size_t i = 0; i <= MAX_ROWS; i++)
        rows[i] = (struct l2_row){1, &a, i < 4};
    assert_refused(e, rows, 11, L2_OUT_HEAD, "4 outputs in one pass, at most 3");
    rows[0].wants_output = false;
    assert_refused(e, rows, 11, L2_OUT_HEAD, "position 10 is outside of the context of 10");
    assert_refused(e, rows, MAX_ROWS + 1, L2_OUT_HEAD, "257 rows in one pass, at most 256");
    rows[5].token = 90;
    assert_refused(e, rows, 10, L2_OUT_HEAD, "token 90 is not in the model's vocabulary of 90");
    rows[5].token = 89;
    rows[2].seq = &b;
    assert_refused(e, rows, 10, L2_OUT_HEAD, "no room was reserved in the KV cache for position 0");
    rows[2].seq = &a;
    engine_forward(e, rows, 10, L2_OUT_HEAD, &values);
    assert_non_null(values);
    engine_forward(e, rows, 0, L2_OUT_HEAD, &values);
    assert_null(values);
    l2_kv_seq_release(l2_engine_kv(e), &a);
    l2_engine_free(e);

    opts.no_head = true;
    e = engine_of(m, opts);
    engine_reserve(e, &a, 1);
    rows[0] = (struct l2_row){1, &a, true};
    assert_refused(e, rows, 1, L2_OUT_HEAD, "the engine was made without the model's head");
    engine_forward(e, rows, 1, L2_OUT_HIDDEN, &values);
    l2_kv_seq_release(l2_engine_kv(e), &a);
    l2_engine_free(e);

    opts.n_layers = 4;
    assert_int_equal(l2_engine_new(&e, m, &opts, &err), L2_ARGUMENT);
    assert_string_equal(err.text, "the model has 3 layers, asked for 4");
    assert_null(e);
    opts.n_layers = 0;
    opts.kv_bytes = 100;
    assert_int_equal(l2_engine_new(&e, m, &opts, &err), L2_LIMIT);
    opts.max_rows = 0;
    assert_int_equal(l2_engine_new(&e, m, &opts, &err), L2_ARGUMENT);
    model_free(m);
}

static void test_memory(void **state)
{
    struct l2_hparams hp = small_hp;
    (void)state;
    hp.tied = true;
    struct l2_model *m = model_new(&hp, L2_BF16);
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    struct l2_engine *e = engine_of(m, opts);
    struct l2_engine_memory all = l2_engine_memory(e);
    /* rows are padded to 16: q, k, v 120 -> 128, o and down 40 -> 48, gate and up 144, head 90 ->
     * 96 */
    uint64_t layer = 2 * (128 * 40 + 48 * 72 + 144 * 40 + 48 * 72) + 2 * 40 * 4;
    assert_int_equal(all.weights, 3 * layer + 40 * 4 + 2 * 96 * 40);
    assert_true(all.kv <= opts.kv_bytes &&
                all.kv + l2_kv_block_bytes(&hp, L2_KV_F32) > opts.kv_bytes);
    assert_int_equal(all.lent, 0);
    struct l2_engine_memory plan = l2_engine_plan(&hp, L2_BF16, &opts);
    assert_int_equal(plan.kv, all.kv);
    assert_true(plan.work <= all.work && plan.work > all.work / 2);
    assert_true(plan.weights >= all.weights && plan.weights < all.weights * 5 / 4);
    l2_engine_free(e);
    opts.max_rows = 8;
    e = engine_of(m, opts);
    assert_true(l2_engine_memory(e).work < all.work / 8);
    l2_engine_free(e);
    model_free(m);
}

/* Packed weights are lent where tensors are the same to the byte, and nothing else changes. */
static void test_lender(void **state)
{
    struct l2_hparams hp = small_hp, scores = small_hp;
    (void)state;
    scores.head = L2_HEAD_LABELS;
    scores.n_labels = 1;
    struct l2_model *policy = model_new(&hp, L2_BF16), *reward = model_new(&scores, L2_BF16);
    struct l2_engine_opts opts = engine_opts_of(&l2_backend_native, NULL);
    struct l2_engine *lender = engine_of(policy, opts), *alone = engine_of(reward, opts);
    struct l2_engine_memory all = l2_engine_memory(alone);
    float want[LENGTH], got[LENGTH];
    uint32_t tokens[LENGTH];
    struct l2_kv_seq seq = {0};
    for (uint32_t i = 0; i < LENGTH; i++)
        tokens[i] = i * 7 % hp.vocab_size;
    engine_feed(alone, &seq, tokens, LENGTH, L2_OUT_HEAD, want);
    l2_kv_seq_release(l2_engine_kv(alone), &seq);
    uint64_t lent[3];
    for (int i = 0; i < 3; i++) {
        struct l2_tensor *down = &reward->tensors[l2_tensor_index(&scores, L2_T_DOWN, 1)];
        struct l2_tensor *norm = &reward->tensors[l2_tensor_index(&scores, L2_T_NORM, 0)];
        if (i == 1) /* a vector is never lent */
            *(uint8_t *)(uintptr_t)norm->data ^= 1;
        if (i == 2) /* the last value of a matrix */
            *(uint8_t *)(uintptr_t)(down->data + 2 * (40 * 72 - 1)) ^= 1;
        opts.lender = lender;
        struct l2_engine *e = engine_of(reward, opts);
        struct l2_engine_memory m = l2_engine_memory(e);
        lent[i] = m.lent;
        assert_int_equal(m.weights + m.lent, all.weights);
        engine_feed(e, &seq, tokens, LENGTH, L2_OUT_HEAD, got);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        assert_int_equal(memcmp(want, got, sizeof want) == 0, i == 0);
        l2_engine_free(e);
    }
    assert_int_equal(lent[0], 3 * 2 * (128 * 40 + 48 * 72 + 144 * 40 + 48 * 72));
    assert_int_equal(lent[1], lent[0]);
    assert_int_equal(lent[0] - lent[2], 2 * 48 * 72);
    opts.pack.type = L2_PACK_Q8_0; /* packed in another way */
    struct l2_engine *other = engine_of(reward, opts);
    assert_int_equal(l2_engine_memory(other).lent, 0);
    l2_engine_free(other);
    l2_engine_free(alone);
    l2_engine_free(lender);
    model_free(reward);
    model_free(policy);
}

/* Adapters beside the weights give what weights do that have them merged; and none is left behind.
 */
static void test_adapters(void **state)
{
    const struct l2_lora_opts lora_opts = {3, 6, L2_LORA_ALL & ~L2_LORA_BIT(L2_T_K)};
    struct l2_model *m = model_new(&small_hp, L2_F32), *view;
    struct l2_params *merged;
    struct l2_lora *lora;
    struct l2_err err;
    float plain[LENGTH * 90], with[LENGTH * 90], want[LENGTH * 90];
    uint32_t tokens[LENGTH], seed = 5;
    struct l2_kv_seq seq = {0};
    (void)state;
    for (uint32_t i = 0; i < LENGTH; i++)
        tokens[i] = i * 7 % small_hp.vocab_size;
    assert_int_equal(l2_params_new(&merged, &small_hp, &err), L2_OK);
    l2_params_load(merged, m, NULL);
    assert_int_equal(l2_lora_new(&lora, &small_hp, &lora_opts, &err), L2_OK);
    for (size_t i = 0; i < lora->n; i++) {
        seed = seed * 1664525u + 1013904223u;
        lora->values[i] = 0.1f * ((float)(seed >> 8) * 0x1p-23f - 1);
    }
    l2_lora_merge(merged, lora, NULL);
    assert_int_equal(l2_params_view(&view, merged, &err), L2_OK);
    for (int backend = 0; backend < 2; backend++) {
        struct l2_engine_opts opts = engine_opts_of(backends[backend], NULL);
        struct l2_engine *e = engine_of(m, opts), *reference = engine_of(view, opts);
        engine_feed(e, &seq, tokens, LENGTH, L2_OUT_HEAD, plain);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        engine_feed(reference, &seq, tokens, LENGTH, L2_OUT_HEAD, want);
        l2_kv_seq_release(l2_engine_kv(reference), &seq);
        assert_int_equal(l2_engine_set_lora(e, lora, &err), L2_OK);
        engine_feed(e, &seq, tokens, LENGTH, L2_OUT_HEAD, with);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        double off = 0, moved = 0;
        for (size_t i = 0; i < LENGTH * 90; i++) {
            off = fmax(off, fabs((double)with[i] - want[i]));
            moved = fmax(moved, fabs((double)with[i] - plain[i]));
        }
        assert_true(off < 2e-4 && moved > 0.1);
        assert_int_equal(l2_engine_set_lora(e, NULL, &err), L2_OK);
        engine_feed(e, &seq, tokens, LENGTH, L2_OUT_HEAD, with);
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        if (backend == 0)
            assert_memory_equal(with, plain, sizeof plain);
        l2_engine_free(e);
        l2_engine_free(reference);
    }
    struct l2_hparams other = small_hp;
    other.hidden += 8;
    l2_lora_free(lora);
    assert_int_equal(l2_lora_new(&lora, &other, &lora_opts, &err), L2_OK);
    struct l2_engine *e = engine_of(m, engine_opts_of(&l2_backend_native, NULL));
    assert_int_equal(l2_engine_set_lora(e, lora, &err), L2_ARGUMENT);
    l2_engine_free(e);
    l2_lora_free(lora);
    l2_model_close(view);
    l2_params_free(merged);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_bits),      cmocka_unit_test(test_kv_types),
        cmocka_unit_test(test_equal_bits_wide), cmocka_unit_test(test_backends_agree),
        cmocka_unit_test(test_layers),          cmocka_unit_test(test_nan_token),
        cmocka_unit_test(test_refusals),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_lender),          cmocka_unit_test(test_adapters),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
