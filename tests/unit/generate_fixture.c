/* Generation by the tiny model, which the tests of generation share. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "generate_fixture.h"

struct tiny_model generate_tiny;
static const uint32_t eos[] = {2};

struct l2_generate_opts generate_options(uint32_t k, uint32_t n)
{
    return (struct l2_generate_opts){.n_completions = k,
                                     .max_new_tokens = n,
                                     .sampler = l2_sampler_neutral(),
                                     .seed = 42,
                                     .eos = eos,
                                     .n_eos = 1,
                                     .model_name = "tiny",
                                     .keep_logprobs = true};
}

struct l2_record *generate_record(int64_t id)
{
    static const size_t lengths[] = {1, 3, 63, 64, 65, 17, 100, 2, 128, 5};
    return tiny_record(id, lengths[id % 10]);
}

void generate_drive(struct l2_worker *w, struct l2_record **in, size_t n, struct l2_record **out)
{
    struct l2_err err = {0};
    size_t fed = 0, got = 0;
    while (got < n) {
        struct l2_record *r;
        while (fed < n && w->ops->wants(w)) {
            int rc = w->ops->add(w, in[fed++], &err);
            if (rc != L2_OK)
                fail_msg("add: %s", err.text);
        }
        assert_true(w->ops->busy(w) || fed == n || w->ops->wants(w));
        if (w->ops->busy(w) && w->ops->step(w, &err) != L2_OK)
            fail_msg("step: %s", err.text);
        while ((r = w->ops->take(w)))
            out[got++] = r;
    }
    assert_false(w->ops->busy(w));
    assert_null(w->ops->take(w));
}

void generate_free(struct l2_record **r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tiny_record_free(r[i]);
}

void generate_all(const struct l2_generate_opts *o, uint32_t max_rows, uint32_t max_outputs,
                  uint32_t kv_blocks, int threads, struct l2_record **out)
{
    struct l2_err err = {0};
    struct l2_record *in[N_RECORDS];
    struct l2_worker *w;
    struct l2_pool *pool = NULL;
    struct l2_engine *e;
    struct l2_generate_opts with_pool = *o;
    assert_int_equal(l2_pool_new(&pool, threads, &err), L2_OK);
    with_pool.pool = pool;
    e = tiny_engine(&generate_tiny, max_rows, max_outputs, kv_blocks, pool);
    assert_int_equal(l2_generator_new(&w, e, &with_pool, &err), L2_OK);
    for (int64_t i = 0; i < N_RECORDS; i++)
        in[i] = generate_record(i);
    generate_drive(w, in, N_RECORDS, out);
    for (size_t i = 0; i < N_RECORDS; i++)
        assert_ptr_equal(in[i], out[i]); /* input order */
    assert_int_equal(w->ops->faults(w)->records, 0);
    assert_int_equal(l2_kv_pool_free_blocks(l2_engine_kv(e)), l2_kv_pool_blocks(l2_engine_kv(e)));
    w->ops->free(w);
    l2_engine_free(e);
    l2_pool_free(pool);
}

void generate_same_completion(const struct l2_completion *a, const struct l2_completion *b)
{
    assert_int_equal(a->tokens.n, b->tokens.n);
    assert_memory_equal(a->tokens.v, b->tokens.v, a->tokens.n * sizeof *a->tokens.v);
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->gen.k, b->gen.k);
    for (int s = 0; s < L2_N_SERIES; s++) {
        assert_int_equal(!a->series[s].v, !b->series[s].v);
        assert_int_equal(a->series[s].n, b->series[s].n);
        if (a->series[s].n)
            assert_memory_equal(a->series[s].v, b->series[s].v, a->series[s].n * sizeof(float));
    }
}

void generate_same(struct l2_record **a, struct l2_record **b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i]->n_completions, b[i]->n_completions);
        for (size_t c = 0; c < a[i]->n_completions; c++)
            generate_same_completion(&a[i]->completions[c], &b[i]->completions[c]);
    }
}

int generate_set_up(void **state)
{
    (void)state;
    tiny_model_open(&generate_tiny, L2_HEAD_VOCAB, false);
    return 0;
}

int generate_tear_down(void **state)
{
    (void)state;
    tiny_model_close(&generate_tiny);
    return 0;
}
