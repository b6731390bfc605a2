/* Unit tests of libcore/util: numbers, text, hashes, random numbers, memory, input and threads. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/grow.h"
#include "util/str.h"
#include "util/arena.h"
#include "util/buf.h"
#include "util/input.h"
#include "util/map.h"
#include "util/num.h"
#include "util/philox.h"
#include "util/pool.h"
#include "util/sha256.h"
#include "util/utf8.h"

static void test_err_format(void **state)
{
    struct l2_err err;
    char out[256];
    (void)state;
    assert_int_equal(l2_err_at(&err, L2_CORRUPT, "a.bin", 12, "want %d, got %d", 4, 5), L2_CORRUPT);
    l2_err_format(&err, out, sizeof out);
    assert_string_equal(out, "a.bin: byte 12: want 4, got 5");
    assert_int_equal(l2_err_at_line(&err, L2_FORMAT, "x.yaml", 3, 7, "unknown key"), L2_FORMAT);
    l2_err_format(&err, out, sizeof out);
    assert_string_equal(out, "x.yaml:3:7: unknown key");
    assert_int_equal(l2_err_sys(&err, 2, "f", "cannot open"), L2_SYSTEM);
    l2_err_format(&err, out, sizeof out);
    assert_string_equal(out, "f: cannot open: No such file or directory");
    l2_err_format(&err, out, 8);
    assert_string_equal(out, "f: cann");
    assert_int_equal(l2_err_set(NULL, L2_LIMIT, "nobody asked"), L2_LIMIT);
}

static void test_checked_sizes(void **state)
{
    size_t v;
    (void)state;
    assert_true(l2_mul_size(1u << 20, 1u << 20, &v));
    assert_int_equal(v, (size_t)1 << 40);
    assert_false(l2_mul_size(SIZE_MAX / 2, 3, &v));
    assert_int_equal(v, 0);
    assert_false(l2_add_size(SIZE_MAX, 1, &v));
    assert_true(l2_add_size(SIZE_MAX - 1, 1, &v));
}

static void test_parse_numbers(void **state)
{
    int64_t i;
    uint64_t u;
    double d;
    (void)state;
    assert_true(l2_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(l2_parse_i64("9223372036854775808", &i));
    assert_false(l2_parse_i64("", &i));
    assert_false(l2_parse_i64(" 1", &i));
    assert_false(l2_parse_i64("1x", &i));
    assert_false(l2_parse_i64("-", &i));
    assert_true(l2_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    assert_false(l2_parse_u64("-1", &u));
    assert_true(l2_parse_f64("1e-3", &d) && d == 1e-3);
    assert_true(l2_parse_f64("5e-324", &d) && d > 0);
    assert_false(l2_parse_f64("nan", &d));
    assert_false(l2_parse_f64("inf", &d));
    assert_false(l2_parse_f64("1e999", &d));
    assert_false(l2_parse_f64("0x10", &d));
    assert_false(l2_parse_f64("1 ", &d));
    assert_true(l2_parse_bytes("3K", &u) && u == 3072);
    assert_true(l2_parse_bytes("2T", &u) && u == (uint64_t)2 << 40);
    assert_false(l2_parse_bytes("99999999999G", &u));
    assert_false(l2_parse_bytes("G", &u));
    assert_false(l2_parse_bytes("1KB", &u));
}

static void check_f64(double v, const char *want)
{
    char out[32];
    assert_int_equal(l2_format_f64(out, v), strlen(want));
    assert_string_equal(out, want);
}

static void test_format_numbers(void **state)
{
    char out[32];
    (void)state;
    check_f64(0.1, "0.1");
    check_f64(1, "1.0");
    check_f64(-0.0, "-0.0");
    check_f64(1.0 / 3, "0.3333333333333333");
    check_f64(1e300, "1e+300");
    check_f64(123456789012345680.0, "1.2345678901234568e+17");
    l2_format_f32(out, 0.1f);
    assert_string_equal(out, "0.1");
    l2_format_f32(out, 16777216.0f);
    assert_string_equal(out, "16777216.0");
    /* random bit patterns read back as themselves */
    for (uint32_t n = 0; n < 20000; n++) {
        struct l2_philox_key key = {{7, 0}};
        uint32_t counter[4] = {n, 0, 0, 0}, r[4];
        float f, g;
        double d, e;
        l2_philox(key, counter, r);
        memcpy(&f, r, sizeof f);
        memcpy(&d, r + 2, sizeof d);
        if (isfinite(f)) {
            l2_format_f32(out, f);
            g = strtof(out, NULL);
            assert_memory_equal(&f, &g, sizeof f);
        }
        if (isfinite(d)) {
            l2_format_f64(out, d);
            e = strtod(out, NULL);
            assert_memory_equal(&d, &e, sizeof d);
        }
    }
}

static void test_half_floats(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = l2_f32_from_f16((uint16_t)h);
        if (isnan(f))
            assert_true(isnan(l2_f32_from_f16(l2_f16_from_f32(f))));
        else
            assert_int_equal(l2_f16_from_f32(f), h);
        float b = l2_f32_from_bf16((uint16_t)h);
        if (isnan(b))
            assert_true(isnan(l2_f32_from_bf16(l2_bf16_from_f32(b))));
        else
            assert_int_equal(l2_bf16_from_f32(b), h);
    }
    assert_true(l2_f32_from_f16(0x3C00) == 1.0f);
    assert_true(l2_f32_from_f16(0x0001) == 0x1p-24f);
    assert_true(l2_f32_from_f16(0x7BFF) == 65504.0f);
    /* ties go to even */
    assert_int_equal(l2_f16_from_f32(1.0f + 0x1p-11f), 0x3C00);
    assert_int_equal(l2_f16_from_f32(1.0f + 0x3p-11f), 0x3C02);
    assert_int_equal(l2_f16_from_f32(65519.0f), 0x7BFF);
    assert_int_equal(l2_f16_from_f32(65520.0f), 0x7C00);
    assert_int_equal(l2_f16_from_f32(0x1p-25f), 0);
    assert_int_equal(l2_f16_from_f32(0x3p-25f), 2);
    assert_int_equal(l2_bf16_from_f32(1.0f + 0x1p-8f), 0x3F80);
    assert_int_equal(l2_bf16_from_f32(1.0f + 0x3p-8f), 0x3F82);
}

static void check_sha(const char *text, size_t repeat, const char *want)
{
    struct l2_sha256 s;
    uint8_t digest[L2_SHA256_SIZE];
    char hex[65];
    l2_sha256_init(&s);
    for (size_t i = 0; i < repeat; i++)
        l2_sha256_update(&s, text, strlen(text));
    l2_sha256_final(&s, digest);
    l2_sha256_hex(digest, hex);
    assert_string_equal(hex, want);
}

static void test_sha256(void **state)
{
    (void)state; /* the examples of FIPS 180-4 */
    check_sha("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha("aaaaaaaaaa", 100000,
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_philox(void **state)
{
    /* the known answers published with Random123 */
    static const struct {
        uint32_t counter[4];
        struct l2_philox_key key;
        uint32_t want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {{0, 0}}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {{0xffffffff, 0xffffffff}},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {{0xa4093822, 0x299f31d0}},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        l2_philox(cases[i].key, cases[i].counter, out);
        assert_memory_equal(out, cases[i].want, sizeof out);
    }
    uint8_t hash[32] = {1};
    struct l2_philox_key a = l2_philox_key_for(1, hash), b = l2_philox_key_for(2, hash);
    assert_memory_not_equal(&a, &b, sizeof a);
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = l2_philox_uniform(a, 3, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);
}

static void test_utf8(void **state)
{
    static const char *const good[] = {"", "a", "é", "€", "𝄞", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",
        "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82",
        "a\xFF",        "\xE2(\xA1"};
    size_t at;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(l2_utf8_valid(good[i], strlen(good[i]), NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(l2_utf8_valid(bad[i], strlen(bad[i]), &at));
    assert_false(l2_utf8_valid("ab\xFF", 3, &at));
    assert_int_equal(at, 2);
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char s[4];
        uint32_t back;
        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        size_t n = l2_utf8_encode(cp, s);
        assert_int_equal(l2_utf8_decode(s, n, &back), n);
        assert_int_equal(back, cp);
        if (n > 1)
            assert_true(l2_utf8_incomplete(s, n - 1));
        assert_false(l2_utf8_incomplete(s, n));
    }
    assert_false(l2_utf8_incomplete("\xED\xA0", 2));
    assert_false(l2_utf8_incomplete("\x80", 1));
}

static void test_arena(void **state)
{
    struct l2_arena a;
    struct l2_err err;
    (void)state;
    l2_arena_init(&a);
    for (int round = 0; round < 3; round++) {
        uint8_t *p[200];
        for (size_t i = 0; i < 200; i++) {
            size_t n = i * i * 7 % 90000;
            p[i] = l2_arena_alloc(&a, n, 1, &err);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            memset(p[i], (int)i, n);
        }
        for (size_t i = 0; i < 200; i++) {
            size_t n = i * i * 7 % 90000;
            for (size_t j = 0; j < n; j += 997)
                assert_int_equal(p[i][j], (uint8_t)i);
        }
        l2_arena_reset(&a);
    }
    assert_null(l2_arena_alloc(&a, SIZE_MAX / 2, 3, &err));
    assert_int_equal(err.code, L2_MEMORY);
    assert_null(l2_arena_alloc(&a, SIZE_MAX, 1, &err));
    assert_string_equal(l2_arena_strdup(&a, "xyz", 2, &err), "xy");
    l2_arena_release(&a);
}

static void write_all(int fd, const char *s)
{
    assert_int_equal(write(fd, s, strlen(s)), (ssize_t)strlen(s));
}

static void test_input_lines(void **state)
{
    int fd[2];
    struct l2_input in;
    struct l2_err err;
    const char *line;
    size_t len;
    bool terminated;
    (void)state;
    assert_int_equal(pipe(fd), 0);
    l2_input_init(&in, fd[0], "pipe");
    assert_int_equal(l2_input_line(&in, false, 100, &line, &len, &terminated, &err), L2_AGAIN);
    write_all(fd[1], "one\n\ntw");
    assert_int_equal(l2_input_line(&in, false, 100, &line, &len, &terminated, &err), L2_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(line, "one", 3);
    assert_int_equal(l2_input_line(&in, false, 100, &line, &len, &terminated, &err), L2_OK);
    assert_int_equal(len, 0);
    assert_int_equal(l2_input_line(&in, false, 100, &line, &len, &terminated, &err), L2_AGAIN);
    write_all(fd[1], "o\nlast");
    close(fd[1]);
    assert_int_equal(l2_input_line(&in, true, 100, &line, &len, &terminated, &err), L2_OK);
    assert_memory_equal(line, "two", 3);
    assert_true(terminated);
    assert_int_equal(l2_input_line(&in, true, 100, &line, &len, &terminated, &err), L2_OK);
    assert_memory_equal(line, "last", 4);
    assert_false(terminated);
    assert_int_equal(l2_input_line(&in, true, 100, &line, &len, &terminated, &err), L2_END);
    assert_int_equal(in.offset, 13);
    l2_input_release(&in);
    close(fd[0]);

    assert_int_equal(pipe(fd), 0);
    l2_input_init(&in, fd[0], "pipe");
    write_all(fd[1], "0123456789");
    assert_int_equal(l2_input_line(&in, false, 9, &line, &len, &terminated, &err), L2_LIMIT);
    close(fd[1]);
    close(fd[0]);
    l2_input_release(&in);
}

static int idle_due(void *arg)
{
    return *(int *)arg > 0 ? 0 : -1;
}

static int idle_flush(void *arg, struct l2_err *err)
{
    (void)err;
    *(int *)arg -= 1;
    return L2_OK;
}

static void test_grow(void **state)
{
    (void)state;
    uint64_t *v = NULL;
    size_t cap = 0;
    struct l2_err err;
    for (size_t n = 0; n < 1000; n++) {
        size_t before = cap;
        assert_int_equal(l2_grow(&v, n, &cap, 1, sizeof *v, &err), L2_OK);
        assert_true(cap > n && (cap == before || cap >= 2 * before));
        v[n] = n * n;
    }
    assert_int_equal(l2_grow(&v, 1000, &cap, 5000, sizeof *v, &err), L2_OK);
    assert_true(cap >= 6000 && v[999] == 998001);
    assert_int_equal(l2_grow(&v, 1000, &cap, SIZE_MAX / 2, sizeof *v, &err), L2_MEMORY);
    assert_int_equal(l2_resize(&v, SIZE_MAX / 4, sizeof *v, &err), L2_MEMORY);
    assert_true(cap >= 6000 && v[999] == 998001);
    assert_int_equal(l2_resize(&v, 1000, sizeof *v, &err), L2_OK);
    assert_true(v[999] == 998001);
    free(v);
}

static void test_ends_in(void **state)
{
    (void)state;
    assert_true(l2_ends_in("a.jsonl", ".jsonl") && l2_ends_in(".x", ".x") && l2_ends_in("a", ""));
    assert_false(l2_ends_in("jsonl", ".jsonl") || l2_ends_in("a.jsonl.gz", ".jsonl"));
}

/* What lies behind the line does not count: a last line has no end of its own. */
static void test_blank_line(void **state)
{
    (void)state;
    assert_true(l2_line_is_blank("", 0));
    assert_true(l2_line_is_blank("x", 0));
    assert_true(l2_line_is_blank(" \t\rx", 3));
    assert_false(l2_line_is_blank(" x ", 3));
    assert_false(l2_line_is_blank("\0 ", 2));
}

static void test_input_idle(void **state)
{
    int fd[2], pending = 1;
    struct l2_input in;
    struct l2_err err;
    struct l2_idle idle = {idle_due, idle_flush, &pending};
    (void)state;
    assert_int_equal(pipe(fd), 0);
    l2_input_init(&in, fd[0], "pipe");
    in.idle = &idle;
    assert_int_equal(l2_input_fill(&in, false, &err), L2_AGAIN);
    assert_int_equal(pending, 0); /* what was due has been flushed before giving up */
    close(fd[1]);
    assert_int_equal(l2_input_fill(&in, true, &err), L2_END);
    close(fd[0]);
    l2_input_release(&in);
}

static void count_index(void *arg, size_t i)
{
    atomic_int *seen = arg;
    atomic_fetch_add(&seen[i], 1);
}

static void test_pool(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct l2_pool *pool;
        struct l2_err err;
        static atomic_int seen[1000];
        assert_int_equal(l2_pool_new(&pool, threads, &err), L2_OK);
        assert_int_equal(l2_pool_threads(pool), threads);
        for (size_t n = 0; n < 300; n++) {
            memset(seen, 0, sizeof seen);
            l2_pool_run(pool, count_index, seen, n);
            for (size_t i = 0; i < 1000; i++)
                assert_int_equal(atomic_load(&seen[i]), i < n);
        }
        l2_pool_free(pool);
    }
}

static void test_map(void **state)
{
    char name[] = "/tmp/l2-test-XXXXXX";
    struct l2_map m;
    struct l2_err err;
    (void)state;
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(l2_map_open(&m, name, &err), L2_OK);
    assert_int_equal(m.size, 0);
    l2_map_release(&m);
    write_all(fd, "hello");
    assert_int_equal(l2_map_open(&m, name, &err), L2_OK);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    l2_map_release(&m);
    close(fd);
    unlink(name);
    assert_int_equal(l2_map_open(&m, name, &err), L2_SYSTEM);
    assert_int_equal(l2_map_open(&m, "/", &err), L2_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_format),    cmocka_unit_test(test_checked_sizes),
        cmocka_unit_test(test_parse_numbers), cmocka_unit_test(test_format_numbers),
        cmocka_unit_test(test_half_floats),   cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_philox),        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_arena),         cmocka_unit_test(test_input_lines),
        cmocka_unit_test(test_grow),          cmocka_unit_test(test_ends_in),
        cmocka_unit_test(test_blank_line),    cmocka_unit_test(test_input_idle),
        cmocka_unit_test(test_pool),          cmocka_unit_test(test_map),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
