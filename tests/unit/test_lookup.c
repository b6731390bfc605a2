/* Unit tests of guesses out of what was written before: where they come from, that they change no
 * bit, and that they save passes. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "generate_fixture.h"
#include "sample/lookup.h"

static struct l2_err err;

static void test_lookup_places(void **state)
{
    static const uint32_t a[] = {5, 6, 7, 8, 5, 6, 9}, b[] = {1, 5, 6};
    uint32_t out[8];
    (void)state;
    assert_int_equal(l2_lookup(a, 7, b, 3, out, 8), 4); /* the last place */
    assert_int_equal(out[0], 9);
    assert_int_equal(out[3], 6);
    assert_int_equal(l2_lookup(a, 7, b, 3, out, 2), 2);
    assert_int_equal(l2_lookup(a, 7, b, 3, out, 0), 0);
    assert_int_equal(l2_lookup(a, 7, b, 2, out, 8), 0);     /* 1 5: not before */
    assert_int_equal(l2_lookup(a, 5, a + 5, 1, out, 8), 4); /* 5 6, over the border */
    assert_int_equal(out[0], 7);
    assert_int_equal(out[3], 6);
    static const uint32_t same[] = {4, 4, 4};
    assert_int_equal(l2_lookup(same, 2, same, 1, out, 8), 1); /* it may overlap */
    assert_int_equal(l2_lookup(same, 1, same, 1, out, 8), 0);
    assert_int_equal(l2_lookup(NULL, 0, same, 1, out, 8), 0);
}

/* The tiny model without attention: what follows depends on the last token alone, so that it comes
 * back to where it was, and guesses are right. generate_tiny.model is put back by forgetful_end. */
static struct {
    struct l2_model model, *before;
    struct l2_tensor tensors[64];
} forgetful;

static void forgetful_begin(void)
{
    static const float zero[32 * 32];
    size_t n = l2_tensor_count(&generate_tiny.model->hp);
    assert_true(n <= 64);
    forgetful.before = generate_tiny.model;
    forgetful.model = *generate_tiny.model;
    memcpy(forgetful.tensors, generate_tiny.model->tensors, n * sizeof *forgetful.tensors);
    forgetful.model.tensors = forgetful.tensors;
    for (uint32_t layer = 0; layer < generate_tiny.model->hp.n_layers; layer++) {
        struct l2_tensor *t =
            &forgetful.tensors[l2_tensor_index(&generate_tiny.model->hp, L2_T_O, layer)];
        assert_true((size_t)t->rows * t->cols <= sizeof zero / sizeof *zero);
        t->data = (const uint8_t *)zero;
    }
    generate_tiny.model = &forgetful.model;
}

static void forgetful_end(void)
{
    generate_tiny.model = forgetful.before;
}

/* Guesses change no bit, right or wrong, whatever room there is. */
static void test_lookup(void **state)
{
    static const struct {
        uint32_t lookup, rows, outputs, blocks;
        int threads;
    } ways[] = {{1, 64, 64, 0, 1}, {3, 64, 64, 3, 2}, {7, 64, 16, 5, 1},
                {8, 5, 3, 3, 1},   {7, 8, 8, 0, 2},   {100, 1, 1, 3, 1}};
    (void)state;
    forgetful_begin();
    for (int greedy = 0; greedy < 2; greedy++)
        for (uint32_t k = 1; k <= 3; k += 2) {
            struct l2_record *want[N_RECORDS], *got[N_RECORDS];
            struct l2_generate_opts o = generate_options(k, 70);
            o.sampler.temperature = greedy ? 0 : 0.3;
            generate_all(&o, 512, 512, 0, 1, want);
            for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
                o.lookup = ways[i].lookup;
                generate_all(&o, ways[i].rows, ways[i].outputs, ways[i].blocks, ways[i].threads,
                             got);
                generate_same(want, got, N_RECORDS);
                generate_free(got, N_RECORDS);
            }
            generate_free(want, N_RECORDS);
        }
    forgetful_end();
}

/* Of guesses some are right and some are not; right ones save passes; a penalty allows none. */
static void test_lookup_counts(void **state)
{
    (void)state;
    forgetful_begin();
    for (int way = 0; way < 3; way++) { /* no guesses; guesses; guesses with a penalty */
        struct l2_generate_opts o = generate_options(1, 100);
        struct l2_engine *e = tiny_engine(&generate_tiny, 64, 64, 0, NULL);
        struct l2_record *in = generate_record(1);
        struct l2_worker *w;
        static uint64_t plain;
        uint64_t steps = 0;
        o.sampler.temperature = 0.3;
        o.lookup = way > 0 ? 7 : 0;
        if (way == 2)
            o.sampler.repetition_penalty = 1.1;
        assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
        assert_int_equal(w->ops->add(w, in, &err), L2_OK);
        for (; w->ops->busy(w); steps++)
            assert_int_equal(w->ops->step(w, &err), L2_OK);
        const struct l2_generate_counts *c = l2_generator_results(w);
        if (way == 0)
            plain = steps;
        if (way == 1) {
            printf("# %d of %d guesses right, %d passes in place of %d\n", (int)c->right,
                   (int)c->guessed, (int)steps, (int)plain);
            assert_true(c->right > 0 && c->right < c->guessed);
            assert_int_equal(steps + c->right, plain);
        } else {
            assert_int_equal(c->guessed, 0);
        }
        tiny_record_free(w->ops->take(w));
        w->ops->free(w);
        l2_engine_free(e);
    }
    forgetful_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup_places),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_lookup_counts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, generate_set_up, generate_tear_down);
}
