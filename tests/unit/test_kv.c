/* Unit tests of the KV cache's blocks: reserving, sharing, copying, giving back. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/ops.h"
#include "nn/kv.h"

static const struct l2_hparams hp = {
    .n_layers = 3, .n_kv_heads = 2, .head_dim = 24, .context = 200};

/* 3 layers, 2 heads, keys of 24 and values in rows of 32 floats. */
#define BLOCK_BYTES ((uint64_t)3 * 2 * 64 * (24 + 32) * 4)

static struct l2_kv_pool *pool_of(uint32_t blocks)
{
    struct l2_kv_pool *p;
    struct l2_err err;
    assert_int_equal(l2_kv_pool_new(&p, &hp, L2_KV_F32, blocks * BLOCK_BYTES + 100, &err), L2_OK);
    assert_int_equal(l2_kv_pool_blocks(p), blocks);
    assert_int_equal(l2_kv_pool_free_blocks(p), blocks);
    return p;
}

static void reserve(struct l2_kv_pool *p, struct l2_kv_seq *s, uint32_t positions)
{
    struct l2_err err;
    assert_int_equal(l2_kv_seq_reserve(p, s, positions, &err), L2_OK);
}

static void test_size(void **state)
{
    struct l2_kv_pool *p;
    struct l2_err err;
    (void)state;
    assert_int_equal(l2_kv_block_bytes(&hp, L2_KV_F32), BLOCK_BYTES);
    assert_int_equal(l2_kv_pool_new(&p, &hp, L2_KV_F32, 4 * BLOCK_BYTES - 1, &err), L2_LIMIT);
    assert_null(p);
    assert_string_equal(err.text, "the KV cache needs 344064 bytes for a context of 200 positions, "
                                  "got 344063");
    l2_kv_pool_free(pool_of(4));
    l2_kv_pool_free(NULL);
}

/* Every float of the cache has a place of its own. */
static void test_places(void **state)
{
    struct l2_kv_pool *p = pool_of(5);
    size_t n_keys = 64 * 24, n_values = 64 * l2_kv_stride(24);
    (void)state;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t b = 0; b < 5; b++)
            for (uint32_t l = 0; l < 3; l++)
                for (uint32_t h = 0; h < 2; h++) {
                    struct l2_kv_head at = l2_kv_pool_head(p, b, l, h);
                    float *k = at.k, *v = at.v;
                    float mark = (float)(b * 100 + l * 10 + h);
                    for (size_t i = 0; i < n_keys; i++)
                        if (pass == 0)
                            k[i] = mark;
                        else
                            assert_true(k[i] == mark);
                    for (size_t i = 0; i < n_values; i++)
                        if (pass == 0)
                            v[i] = -1 - mark;
                        else
                            assert_true(v[i] == -1 - mark);
                }
    l2_kv_pool_free(p);
}

static void test_reserve(void **state)
{
    struct l2_kv_pool *p = pool_of(4);
    struct l2_kv_seq a = {0}, b = {0};
    struct l2_err err;
    (void)state;
    reserve(p, &a, 0);
    assert_int_equal(a.n_blocks, 0);
    reserve(p, &a, 1);
    reserve(p, &a, 64);
    assert_int_equal(a.n_blocks, 1);
    assert_int_equal(a.len, 0);
    assert_true(l2_kv_seq_writable(p, &a, 63));
    assert_false(l2_kv_seq_writable(p, &a, 64));
    reserve(p, &a, 65);
    assert_int_equal(l2_kv_pool_free_blocks(p), 2);
    assert_int_equal(l2_kv_seq_reserve(p, &b, 129, &err), L2_LIMIT);
    assert_string_equal(err.text, "the KV cache is full: want 3 blocks, got 2");
    assert_int_equal(b.n_blocks, 0);
    reserve(p, &b, 128);
    assert_true(b.blocks[0] != b.blocks[1] && b.blocks[0] != a.blocks[0]);
    l2_kv_seq_release(p, &a);
    l2_kv_seq_release(p, &a); /* empty */
    assert_int_equal(l2_kv_pool_free_blocks(p), 2);
    l2_kv_seq_truncate(p, &b, 0);
    assert_int_equal(l2_kv_pool_free_blocks(p), 4);
    l2_kv_seq_release(p, &b);
    l2_kv_pool_free(p);
}

static void test_fork(void **state)
{
    struct l2_kv_pool *p = pool_of(6);
    struct l2_kv_seq a = {0}, b = {0}, c = {0}, d = {0};
    struct l2_err err;
    (void)state;
    reserve(p, &a, 150);
    a.len = 150;
    ((float *)l2_kv_pool_head(p, a.blocks[2], 1, 1).k)[5] = 12.5f;
    ((float *)l2_kv_pool_head(p, a.blocks[2], 2, 0).v)[7] = 13.5f;
    assert_int_equal(l2_kv_seq_fork(p, &b, &a, 140, &err), L2_OK);
    assert_int_equal(b.len, 140);
    assert_int_equal(b.n_blocks, 3);
    assert_int_equal(b.blocks[0], a.blocks[0]);
    assert_int_equal(b.blocks[1], a.blocks[1]);
    assert_int_not_equal(b.blocks[2], a.blocks[2]);
    assert_true(((float *)l2_kv_pool_head(p, b.blocks[2], 1, 1).k)[5] == 12.5f);
    assert_true(((float *)l2_kv_pool_head(p, b.blocks[2], 2, 0).v)[7] == 13.5f);
    assert_true(l2_kv_seq_writable(p, &b, 140));
    assert_false(l2_kv_seq_writable(p, &b, 100));
    assert_int_equal(l2_kv_seq_fork(p, &c, &a, 128, &err), L2_OK); /* nothing to copy */
    assert_int_equal(c.n_blocks, 2);
    assert_int_equal(l2_kv_pool_free_blocks(p), 2);
    assert_int_equal(l2_kv_seq_fork(p, &d, &a, 0, &err), L2_OK);
    assert_int_equal(d.n_blocks, 0);
    reserve(p, &c, 250);
    assert_int_equal(l2_kv_pool_free_blocks(p), 0);
    assert_int_equal(l2_kv_seq_fork(p, &d, &a, 10, &err), L2_LIMIT);
    assert_int_equal(d.n_blocks, 0);
    assert_int_equal(d.len, 0);
    /* shared blocks live as long as the last that has them */
    l2_kv_seq_release(p, &a);
    assert_int_equal(l2_kv_pool_free_blocks(p), 1);
    l2_kv_seq_release(p, &c);
    assert_int_equal(l2_kv_pool_free_blocks(p), 3);
    assert_true(l2_kv_seq_writable(p, &b, 100));
    l2_kv_seq_release(p, &b);
    l2_kv_seq_release(p, &d);
    assert_int_equal(l2_kv_pool_free_blocks(p), 6);
    l2_kv_pool_free(p);
}

/* A sequence that is cut inside of a block it shares gets a copy before it writes there. */
static void test_truncate_shared(void **state)
{
    struct l2_kv_pool *p = pool_of(4);
    struct l2_kv_seq a = {0}, b = {0};
    struct l2_err err;
    (void)state;
    reserve(p, &a, 128);
    a.len = 128;
    ((float *)l2_kv_pool_head(p, a.blocks[1], 0, 0).k)[3] = 7;
    assert_int_equal(l2_kv_seq_fork(p, &b, &a, 128, &err), L2_OK);
    l2_kv_seq_truncate(p, &b, 70);
    assert_int_equal(b.n_blocks, 2);
    assert_false(l2_kv_seq_writable(p, &b, 70));
    reserve(p, &b, 70); /* nothing is going to be written */
    assert_false(l2_kv_seq_writable(p, &b, 70));
    reserve(p, &b, 71);
    assert_true(l2_kv_seq_writable(p, &b, 70) && l2_kv_seq_writable(p, &a, 70));
    assert_int_equal(b.blocks[0], a.blocks[0]);
    assert_int_not_equal(b.blocks[1], a.blocks[1]);
    assert_true(((float *)l2_kv_pool_head(p, b.blocks[1], 0, 0).k)[3] == 7);
    l2_kv_seq_truncate(p, &b, 64); /* at a boundary there is nothing to copy */
    assert_int_equal(b.n_blocks, 1);
    reserve(p, &b, 192);
    assert_int_equal(l2_kv_pool_free_blocks(p), 0);
    l2_kv_seq_truncate(p, &b, 100); /* beyond its length: only the reserved blocks go */
    assert_int_equal(b.len, 64);
    assert_int_equal(l2_kv_pool_free_blocks(p), 2);
    l2_kv_seq_release(p, &a);
    l2_kv_seq_release(p, &b);
    assert_int_equal(l2_kv_pool_free_blocks(p), 4);
    l2_kv_pool_free(p);
}

static void publish(struct l2_kv_pool *p, struct l2_kv_seq *s, const uint32_t *tokens, uint32_t n)
{
    struct l2_err err;
    reserve(p, s, n);
    s->len = n;
    assert_int_equal(l2_kv_prefix_publish(p, s, tokens, n, &err), L2_OK);
}

/* Known blocks are found by all tokens before them, whole, also after their sequence is gone. */
static void test_prefix(void **state)
{
    struct l2_kv_pool *p = pool_of(8);
    struct l2_kv_seq a = {0}, b = {0}, c = {0};
    uint32_t x[192], y[192], blocks[2];
    struct l2_err err;
    (void)state;
    for (uint32_t i = 0; i < 192; i++)
        x[i] = y[i] = i % 7;
    y[70] = 9;
    assert_int_equal(l2_kv_prefix_find(p, x, 192), 0);
    publish(p, &a, x, 150);
    memcpy(blocks, a.blocks, sizeof blocks);
    assert_int_equal(l2_kv_prefix_find(p, x, 192), 128);
    assert_int_equal(l2_kv_prefix_find(p, x, 127), 64);
    assert_int_equal(l2_kv_prefix_find(p, x, 63), 0);
    assert_int_equal(l2_kv_prefix_find(p, y, 192), 64);
    assert_int_equal(l2_kv_prefix_find(p, x + 1, 128), 0); /* elsewhere in the text */
    assert_int_equal(l2_kv_prefix_find(p, x + 64, 128), 0);
    assert_false(l2_kv_seq_writable(p, &a, 100));
    assert_true(l2_kv_seq_writable(p, &a, 150));
    l2_kv_seq_release(p, &a);
    assert_int_equal(l2_kv_pool_free_blocks(p), 8);

    assert_int_equal(l2_kv_prefix_share(p, &b, y, 192, &err), L2_OK);
    assert_int_equal(b.len, 64);
    assert_int_equal(b.blocks[0], blocks[0]);
    publish(p, &b, y, 128);
    assert_int_equal(l2_kv_prefix_share(p, &c, x, 150, &err), L2_OK);
    assert_int_equal(c.len, 128);
    assert_memory_equal(c.blocks, blocks, sizeof blocks);
    assert_int_equal(l2_kv_pool_free_blocks(p), 8 - 3);
    l2_kv_seq_truncate(p, &c, 100); /* what is known is copied before it is written */
    reserve(p, &c, 101);
    assert_int_not_equal(c.blocks[1], blocks[1]);
    assert_true(l2_kv_seq_writable(p, &c, 100));
    l2_kv_seq_release(p, &b);
    l2_kv_seq_release(p, &c);
    assert_int_equal(l2_kv_pool_free_blocks(p), 8);
    l2_kv_pool_free(p);
}

/* The same tokens run twice: what comes second stays its owner's, and what hangs on it too. */
static void test_prefix_twice(void **state)
{
    struct l2_kv_pool *p = pool_of(8);
    struct l2_kv_seq a = {0}, b = {0}, c = {0};
    uint32_t x[128] = {0};
    struct l2_err err;
    (void)state;
    publish(p, &a, x, 64);
    publish(p, &b, x, 128);
    assert_int_equal(l2_kv_prefix_find(p, x, 128), 64);
    assert_int_equal(l2_kv_prefix_share(p, &c, x, 128, &err), L2_OK);
    assert_int_equal(c.blocks[0], a.blocks[0]);
    assert_true(l2_kv_seq_writable(p, &b, 127));
    l2_kv_seq_release(p, &a);
    l2_kv_seq_release(p, &b);
    assert_int_equal(l2_kv_pool_free_blocks(p), 7);
    l2_kv_seq_release(p, &c);
    l2_kv_pool_free(p);
}

/* A full pool forgets what has been idle for longest, the ends before the beginnings. */
static void test_prefix_evicted(void **state)
{
    struct l2_kv_pool *p = pool_of(6);
    struct l2_kv_seq a = {0}, b = {0}, c = {0};
    uint32_t x[128], y[128];
    struct l2_err err;
    (void)state;
    for (uint32_t i = 0; i < 128; i++) {
        x[i] = i;
        y[i] = 1000 + i;
    }
    publish(p, &a, x, 128);
    publish(p, &b, y, 128);
    l2_kv_seq_release(p, &b);
    l2_kv_seq_release(p, &a);
    assert_int_equal(l2_kv_pool_free_blocks(p), 6);
    reserve(p, &c, 3 * 64);
    assert_int_equal(l2_kv_prefix_find(p, y, 128), 64);
    assert_int_equal(l2_kv_prefix_find(p, x, 128), 128);
    assert_int_equal(l2_kv_prefix_share(p, &b, y, 64, &err), L2_OK); /* found again, so not idle */
    reserve(p, &c, 5 * 64);
    assert_int_equal(l2_kv_prefix_find(p, x, 128), 0);
    assert_int_equal(l2_kv_prefix_find(p, y, 128), 64);
    assert_int_equal(l2_kv_pool_free_blocks(p), 0);
    assert_int_equal(l2_kv_seq_reserve(p, &c, 6 * 64, &err), L2_LIMIT);
    l2_kv_seq_release(p, &b);
    reserve(p, &c, 6 * 64);
    assert_int_equal(l2_kv_prefix_find(p, y, 128), 0);
    l2_kv_seq_release(p, &c);
    assert_int_equal(l2_kv_pool_free_blocks(p), 6);
    l2_kv_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_truncate_shared),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_prefix_twice),
        cmocka_unit_test(test_prefix_evicted),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
