/* Unit tests of CBOR items: goldens, round trips, unknown fields, hostile input. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stream_samples.h"
#include "util/sha256.h"

static void assert_bytes(const struct l2_buf *got, const char *hex)
{
    struct l2_buf want = {0};
    bytes_from_hex(&want, hex);
    assert_int_equal(got->len, want.len);
    assert_memory_equal(got->data, want.data, want.len);
    l2_buf_release(&want);
}

/* The examples of l2-stream(5), byte by byte. */
static void test_goldens(void **state)
{
    struct l2_buf b = {0};
    struct l2_header h;
    struct l2_stream_end end = {true, 0, 0, ""};
    struct l2_record r;
    uint32_t prompt[] = {1, 15043};
    (void)state;
    l2_header_init(&h);
    assert_int_equal(l2_encode_header(&b, &h, NULL), L2_OK);
    assert_bytes(&b, "a4 656d61676963 636c3273 6776657273696f6e 01 6a766f636162756c617279 f6"
                     "67686973746f7279 80");
    b.len = 0;
    assert_int_equal(l2_encode_end(&b, &end, NULL), L2_OK);
    assert_bytes(&b, "a3 68636f6d706c657465 f5 677265636f726473 00 66746f6b656e73 00");
    b.len = 0;
    l2_record_init(&r);
    r.prompt = (struct l2_u32s){prompt, 2};
    assert_int_equal(l2_encode_record(&b, &r, NULL), L2_OK);
    assert_bytes(&b, "a3 626964 00 6670726f6d7074 d846 48 01000000 c33a0000"
                     "6b636f6d706c6574696f6e73 80");
    l2_record_release(&r);
    l2_header_release(&h);
    l2_buf_release(&b);
}

static void assert_completion(const struct l2_completion *c)
{
    assert_int_equal(c->tokens.n, 4);
    assert_int_equal(c->tokens.v[0], 31999);
    for (int i = 0; i < L2_N_SERIES; i++) {
        float first = i % 2 ? 1.0f : -0.1f;
        assert_int_equal(c->series[i].n, 4);
        for (int k = 0; k < 4; k++)
            assert_true(c->series[i].v[k] == first / (float)(k + 3));
    }
    assert_int_equal(c->finish, L2_FINISH_EOS);
    assert_int_equal(c->n_scores, 2);
    assert_true(*l2_completion_score(c, "helpful") == -0.1);
    assert_true(*l2_completion_score(c, "s\xc3\xa4"
                                        "fe") == 1e300);
    assert_null(l2_completion_score(c, "help"));
    assert_int_equal(c->labels.n, 1);
    assert_int_equal(c->gen.k, 3);
    assert_true(c->gen.seed == UINT64_MAX);
    assert_true(c->gen.temperature == 0.7);
    assert_string_equal(c->gen.model.s, "chat");
    assert_true(c->gen.round == INT64_MIN);
    assert_int_equal(c->gen.other.n, 1);
    assert_int_equal(c->embedding.n, 6);
    assert_int_equal(c->embedding_rows, 2);
    assert_int_equal(c->spans.n, 2);
    assert_int_equal(c->other.n, 5);
}

static void test_record_round_trip(void **state)
{
    struct l2_record a, b;
    struct l2_buf first = {0}, second = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&a);
    l2_record_init(&b);
    sample_record(&a);
    assert_int_equal(l2_encode_record(&first, &a, &err), L2_OK);
    assert_int_equal(l2_decode_record(first.data, first.len, &b, &err), L2_OK);
    assert_string_equal(b.id.text.s, "row 1");
    assert_int_equal(b.prompt.v[2], 31000);
    assert_int_equal(b.n_messages, 2);
    assert_string_equal(b.messages[1].role.s, "assistant");
    assert_non_null(b.messages[1].content.s);
    assert_int_equal(b.messages[1].other.n, 1);
    assert_int_equal(b.n_completions, 2);
    assert_completion(&b.completions[0]);
    assert_non_null(b.completions[1].tokens.v);
    assert_int_equal(b.completions[1].tokens.n, 0);
    assert_non_null(b.completions[1].series[L2_LOGPROBS].v);
    assert_null(b.completions[1].series[L2_VALUES].v);
    assert_false(b.completions[1].gen.present);
    assert_int_equal(b.completions[1].embedding_rows, 0);
    assert_true(b.has_margin && signbit(b.margin));
    assert_int_equal(b.meta.n, 4);
    assert_int_equal(b.embedding.n, 3);
    assert_int_equal(b.embedding_rows, 3);
    assert_int_equal(b.other.n, 2);
    assert_int_equal(l2_record_tokens(&b), 7);
    assert_int_equal(l2_encode_record(&second, &b, &err), L2_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    l2_record_release(&a);
    l2_record_release(&b);
    l2_buf_release(&first);
    l2_buf_release(&second);
}

static void test_header_round_trip(void **state)
{
    struct l2_header a, b, c;
    struct l2_buf first = {0}, second = {0};
    struct l2_err err;
    (void)state;
    l2_header_init(&a);
    l2_header_init(&b);
    l2_header_init(&c);
    sample_header(&a);
    assert_int_equal(l2_encode_header(&first, &a, &err), L2_OK);
    assert_int_equal(l2_decode_header(first.data, first.len, &b, &err), L2_OK);
    assert_int_equal(b.vocab_size, 32000);
    assert_int_equal(b.history.n, 2);
    assert_int_equal(l2_header_check_vocab(&a, &b, "b", &err), L2_OK);
    assert_int_equal(l2_header_copy(&c, &b, &err), L2_OK);
    assert_int_equal(l2_encode_header(&second, &c, &err), L2_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_int_equal(l2_header_join_history(&c, &a, &err), L2_OK);
    assert_int_equal(c.history.n, 4);
    b.vocab_hash[31] ^= 1;
    assert_int_equal(l2_header_check_vocab(&a, &b, "b", &err), L2_ARGUMENT);
    b.has_vocab = false;
    assert_int_equal(l2_header_check_vocab(&a, &b, "b", &err), L2_ARGUMENT);
    l2_header_release(&a);
    l2_header_release(&b);
    l2_header_release(&c);
    l2_buf_release(&first);
    l2_buf_release(&second);
}

/* Unknown fields between known ones, at every level, in every encoding. */
static void test_unknown_fields(void **state)
{
    /* {"id": 1 (two bytes), "z": [_ 1, 2], "completions": [_ {_ "q": (_ "a", "b"), "tokens": [],
     * "r": {_ "m": 1.0 f16}}], "meta": {_ "x": 1}, "y": 24(h'00')} in forms that no writer uses */
    static const char in[] =
        "bf 626964 1801 617a 9f0102ff"
        "6b636f6d706c6574696f6e73 9f bf 6171 7f61616162ff 66746f6b656e73 d846 40"
        "6172 bf616df93c00ff ff ff 646d657461 bf617801ff 6179 d8184100 ff";
    static const char out[] = "a5 626964 01 6b636f6d706c6574696f6e73 81 a3 66746f6b656e73 d846 40"
                              "6171 7f61616162ff 6172 bf616df93c00ff 646d657461 a1617801"
                              "617a 9f0102ff 6179 d8184100";
    struct l2_buf data = {0}, again = {0};
    struct l2_record r;
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    bytes_from_hex(&data, in);
    assert_int_equal(l2_decode_record(data.data, data.len, &r, &err), L2_OK);
    assert_int_equal(l2_encode_record(&again, &r, &err), L2_OK);
    assert_bytes(&again, out);
    l2_record_release(&r);
    l2_buf_release(&data);
    l2_buf_release(&again);
}

#define COMPLETIONS "6b636f6d706c6574696f6e73"
#define TOKENS      "66746f6b656e73"

/* Items that a reader must refuse, and how. Most follow the head {"id": 0, ...}. */
static const struct {
    const char *what, *hex;
    int code;
} hostile[] = {
    {"nothing", "", L2_CORRUPT},
    {"not a map", "00", L2_CORRUPT},
    {"no id", "a1 616100", L2_CORRUPT},
    {"key is not text", "a1 00 00", L2_CORRUPT},
    {"key of indefinite length", "a1 7f626964ff 00", L2_CORRUPT},
    {"key with a NUL", "a2 626964 00 6100 00", L2_CORRUPT},
    {"byte string of 2^64-1 bytes", "a2 626964 00 6161 5bffffffffffffffff", L2_CORRUPT},
    {"text of 4 GiB", "a2 626964 00 6161 7affffffff 61", L2_CORRUPT},
    {"array of 2^64-1", "a2 626964 00 6161 9bffffffffffffffff", L2_CORRUPT},
    {"array of 4 G completions", "a2 626964 00 " COMPLETIONS "9affffffff a0", L2_CORRUPT},
    {"map of 2^63 pairs", "bb8000000000000000 626964 00", L2_CORRUPT},
    {"map of more pairs than bytes", "a3 626964 00", L2_CORRUPT},
    {"map of an odd number of items", "bf 626964 00 6161 ff", L2_CORRUPT},
    {"no break", "bf 626964 00", L2_CORRUPT},
    {"break in a definite array", "a2 626964 00 6161 82 00 ff", L2_CORRUPT},
    {"break as a value", "a2 626964 00 6161 ff", L2_CORRUPT},
    {"break in a tag", "a2 626964 00 6161 c1 ff", L2_CORRUPT},
    {"chunk of another type", "a2 626964 00 6161 7f 4161 ff", L2_CORRUPT},
    {"chunk of indefinite length", "a2 626964 00 6161 7f 7f 6161 ff ff", L2_CORRUPT},
    {"chunk that splits a character", "a2 626964 00 6161 7f 61c3 61a4 ff", L2_CORRUPT},
    {"reserved initial byte", "a2 626964 00 6161 1c", L2_CORRUPT},
    {"reserved break-like byte", "a2 626964 00 6161 1f", L2_CORRUPT},
    {"simple value 0", "a2 626964 00 6161 e0", L2_CORRUPT},
    {"simple value 255", "a2 626964 00 6161 f8ff", L2_CORRUPT},
    {"duplicate known key", "a2 626964 00 626964 00", L2_CORRUPT},
    {"duplicate unknown key", "a3 626964 00 6161 00 6161 00", L2_CORRUPT},
    {"duplicate key in meta", "a2 626964 00 646d657461 a2 6161 00 6161 00", L2_CORRUPT},
    {"duplicate key deep in an unknown field", "a2 626964 00 6161 81 a2 6100 00 6162 00",
     L2_CORRUPT},
    {"duplicate key deep in a map", "a2 626964 00 6161 81 a2 6162 00 6162 00", L2_CORRUPT},
    {"overlong UTF-8", "a1 626964 62c080", L2_CORRUPT},
    {"surrogate", "a1 626964 63eda080", L2_CORRUPT},
    {"above U+10FFFF", "a1 626964 64f4908080", L2_CORRUPT},
    {"bad UTF-8 in an unknown field", "a2 626964 00 6161 61ff", L2_CORRUPT},
    {"bad UTF-8 in a key", "a2 626964 00 61ff 00", L2_CORRUPT},
    {"id null", "a1 626964 f6", L2_CORRUPT},
    {"id 2^63", "a1 626964 1b8000000000000000", L2_CORRUPT},
    {"id -2^63-1", "a1 626964 3b8000000000000000", L2_CORRUPT},
    {"id as bytes", "a1 626964 4161", L2_CORRUPT},
    {"prompt as array", "a2 626964 00 6670726f6d7074 80", L2_CORRUPT},
    {"prompt as f32", "a2 626964 00 6670726f6d7074 d855 40", L2_CORRUPT},
    {"prompt as big-endian u32", "a2 626964 00 6670726f6d7074 d842 40", L2_CORRUPT},
    {"prompt as bytes", "a2 626964 00 6670726f6d7074 40", L2_CORRUPT},
    {"prompt as tagged text", "a2 626964 00 6670726f6d7074 d846 60", L2_CORRUPT},
    {"prompt in chunks", "a2 626964 00 6670726f6d7074 d846 5fff", L2_CORRUPT},
    {"prompt of 3 bytes", "a2 626964 00 6670726f6d7074 d846 43000000", L2_CORRUPT},
    {"prompt null", "a2 626964 00 6670726f6d7074 f6", L2_CORRUPT},
    {"completions as map", "a2 626964 00 " COMPLETIONS " a0", L2_CORRUPT},
    {"completion as number", "a2 626964 00 " COMPLETIONS " 81 00", L2_CORRUPT},
    {"NaN in logprobs",
     "a2 626964 00 " COMPLETIONS " 81 a2 " TOKENS
     " d846 4400000000 686c6f6770726f6273 d855 44 0000c07f",
     L2_CORRUPT},
    {"infinity in values",
     "a2 626964 00 " COMPLETIONS " 81 a2 " TOKENS
     " d846 4400000000 6676616c756573 d855 44 000080ff",
     L2_CORRUPT},
    {"fewer logprobs than tokens",
     "a2 626964 00 " COMPLETIONS " 81 a2 " TOKENS " d846 4400000000 686c6f6770726f6273 d855 40",
     L2_CORRUPT},
    {"logprobs without tokens",
     "a2 626964 00 " COMPLETIONS " 81 a1 686c6f6770726f6273 d855 44 00000000", L2_CORRUPT},
    {"score as f32", "a2 626964 00 " COMPLETIONS " 81 a1 6673636f726573 a1 6161 fa3f800000",
     L2_CORRUPT},
    {"score as integer", "a2 626964 00 " COMPLETIONS " 81 a1 6673636f726573 a1 6161 01",
     L2_CORRUPT},
    {"score NaN", "a2 626964 00 " COMPLETIONS " 81 a1 6673636f726573 a1 6161 fb7ff8000000000000",
     L2_CORRUPT},
    {"no score", "a2 626964 00 " COMPLETIONS " 81 a1 6673636f726573 a0", L2_CORRUPT},
    {"one score twice",
     "a2 626964 00 " COMPLETIONS
     " 81 a1 6673636f726573 a2 6161 fb3ff0000000000000 6161 fb3ff0000000000000",
     L2_CORRUPT},
    {"finish unknown", "a2 626964 00 " COMPLETIONS " 81 a1 6666696e697368 63656e64", L2_CORRUPT},
    {"finish empty", "a2 626964 00 " COMPLETIONS " 81 a1 6666696e697368 60", L2_CORRUPT},
    {"labels as array", "a2 626964 00 " COMPLETIONS " 81 a1 666c6162656c73 80", L2_CORRUPT},
    {"gen.k negative", "a2 626964 00 " COMPLETIONS " 81 a1 6367656e a1 616b 20", L2_CORRUPT},
    {"gen.temperature infinite",
     "a2 626964 00 " COMPLETIONS " 81 a1 6367656e a1 6b74656d7065726174757265 fb7ff0000000000000",
     L2_CORRUPT},
    {"gen.round 2^63",
     "a2 626964 00 " COMPLETIONS " 81 a1 6367656e a1 65726f756e64 1b8000000000000000", L2_CORRUPT},
    {"matrix of 2 x 2 with 3 numbers",
     "a2 626964 00 " COMPLETIONS
     " 81 a1 69656d62656464696e67 d828 82 82 02 02 d855 4c 000000000000000000000000",
     L2_CORRUPT},
    {"matrix of no rows",
     "a2 626964 00 " COMPLETIONS " 81 a1 69656d62656464696e67 d828 82 82 00 02 d855 40",
     L2_CORRUPT},
    {"matrix whose size overflows",
     "a2 626964 00 " COMPLETIONS
     " 81 a1 69656d62656464696e67 d828 82 82 1b8000000000000000 02 d855 40",
     L2_CORRUPT},
    {"matrix of three dimensions",
     "a2 626964 00 " COMPLETIONS " 81 a1 69656d62656464696e67 d828 82 83 01 01 01 d855 4400000000",
     L2_CORRUPT},
    {"matrix with more behind it",
     "a2 626964 00 " COMPLETIONS " 81 a1 69656d62656464696e67 d828 83 82 01 01 d855 4400000000 00",
     L2_CORRUPT},
    {"spans beyond the prompt",
     "a3 626964 00 6670726f6d7074 d846 4400000000 657370616e73 d846 48 00000000 02000000",
     L2_CORRUPT},
    {"spans backwards",
     "a3 626964 00 6670726f6d7074 d846 4400000000 657370616e73 d846 48 01000000 00000000",
     L2_CORRUPT},
    {"spans odd", "a3 626964 00 6670726f6d7074 d846 4400000000 657370616e73 d846 44 00000000",
     L2_CORRUPT},
    {"spans without a prompt", "a2 626964 00 657370616e73 d846 48 00000000 01000000", L2_CORRUPT},
    {"margin as f64", "a2 626964 00 666d617267696e fb3ff0000000000000", L2_CORRUPT},
    {"margin NaN", "a2 626964 00 666d617267696e fa7fc00000", L2_CORRUPT},
    {"shape as number", "a2 626964 00 657368617065 01", L2_CORRUPT},
    {"meta as array", "a2 626964 00 646d657461 80", L2_CORRUPT},
    {"message without content", "a2 626964 00 686d65737361676573 81 a1 64726f6c65 60", L2_CORRUPT},
    {"text in chunks", "a2 626964 00 " COMPLETIONS " 81 a1 6474657874 7f6161ff", L2_CORRUPT},
    {"bytes after the item", "a1 626964 00 00", L2_CORRUPT},
};

static void test_hostile(void **state)
{
    struct l2_record r;
    struct l2_buf b = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        b.len = 0;
        bytes_from_hex(&b, hostile[i].hex);
        /* an exact copy, so that sanitizers see reads behind it */
        struct l2_buf exact = {0};
        assert_int_equal(l2_buf_append(&exact, b.data, b.len, NULL), L2_OK);
        int rc = l2_decode_record(exact.data, exact.len, &r, &err);
        if (rc != hostile[i].code)
            fail_msg("%s: want %d, got %d", hostile[i].what, hostile[i].code, rc);
        assert_true(strlen(err.text) > 0);
        l2_buf_release(&exact);
    }
    l2_record_release(&r);
    l2_buf_release(&b);
}

/* Every beginning of a valid item is refused. */
static void test_prefixes(void **state)
{
    struct l2_record r;
    struct l2_buf b = {0};
    struct l2_err err;
    (void)state;
    l2_record_init(&r);
    sample_record(&r);
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_OK);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(l2_decode_record(b.data, n, &r, &err), L2_CORRUPT);
    assert_int_equal(l2_decode_record(b.data, b.len, &r, &err), L2_OK);
    l2_record_release(&r);
    l2_buf_release(&b);
}

/* {"id": 0, "a": n containers, one inside the other, around 0}. */
static int decode_nested(const char *open, size_t n, const char *close)
{
    struct l2_buf b = {0};
    struct l2_record r;
    struct l2_err err;
    l2_record_init(&r);
    bytes_from_hex(&b, "a2 626964 00 6161");
    for (size_t i = 0; i < n; i++)
        bytes_from_hex(&b, open);
    bytes_from_hex(&b, "00");
    for (size_t i = 0; i < n; i++)
        bytes_from_hex(&b, close);
    int rc = l2_decode_record(b.data, b.len, &r, &err);
    l2_record_release(&r);
    l2_buf_release(&b);
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    /* the record is level 1, the outermost container 2, so 62 of them hold level 64 */
    assert_int_equal(decode_nested("81", 62, ""), L2_OK);
    assert_int_equal(decode_nested("81", 63, ""), L2_LIMIT);
    assert_int_equal(decode_nested("9f", 62, "ff"), L2_OK);
    assert_int_equal(decode_nested("9f", 63, "ff"), L2_LIMIT);
    assert_int_equal(decode_nested("a16161", 62, ""), L2_OK);
    assert_int_equal(decode_nested("a16161", 63, ""), L2_LIMIT);
    assert_int_equal(decode_nested("c1", 62, ""), L2_OK);
    assert_int_equal(decode_nested("c1", 63, ""), L2_LIMIT);
    assert_int_equal(decode_nested("81", 1000000, ""), L2_LIMIT);
}

/* A map of n keys of three bytes. */
static int decode_keys(size_t n, bool twice)
{
    struct l2_buf b = {0};
    struct l2_cbor_out o = {&b, NULL, L2_OK};
    struct l2_record r;
    struct l2_err err;
    char key[32];
    l2_record_init(&r);
    l2_cbor_put_map(&o, 2);
    l2_cbor_put_str(&o, "id");
    l2_cbor_put_int(&o, -1);
    l2_cbor_put_str(&o, "meta");
    l2_cbor_put_map(&o, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%05zx", twice && i == n - 1 ? i / 2 : i);
        l2_cbor_put_str(&o, key);
        l2_cbor_put_null(&o);
    }
    assert_int_equal(o.rc, L2_OK);
    int rc = l2_decode_record(b.data, b.len, &r, &err);
    l2_record_release(&r);
    l2_buf_release(&b);
    return rc;
}

static void test_many_keys(void **state)
{
    (void)state;
    for (size_t n = 2; n < 20; n++) {
        assert_int_equal(decode_keys(n, false), L2_OK);
        assert_int_equal(decode_keys(n, true), L2_CORRUPT);
    }
    assert_int_equal(decode_keys(65536, false), L2_OK);
    assert_int_equal(decode_keys(65536, true), L2_CORRUPT);
    assert_int_equal(decode_keys(65537, false), L2_LIMIT);
}

/* A record of n empty completions, one byte each, with definite or indefinite length. */
static int decode_completions(size_t n, bool definite)
{
    struct l2_buf b = {0};
    struct l2_cbor_out o = {&b, NULL, L2_OK};
    struct l2_record r;
    struct l2_err err;
    l2_record_init(&r);
    bytes_from_hex(&b, "a2 626964 00 " COMPLETIONS);
    if (definite)
        l2_cbor_put_array(&o, n);
    else
        bytes_from_hex(&b, "9f");
    for (size_t i = 0; i < n; i++)
        l2_cbor_put_map(&o, 0);
    if (!definite)
        bytes_from_hex(&b, "ff");
    int rc = l2_decode_record(b.data, b.len, &r, &err);
    if (rc == L2_OK)
        assert_int_equal(r.n_completions, n);
    l2_record_release(&r);
    l2_buf_release(&b);
    return rc;
}

static void test_many_completions(void **state)
{
    (void)state;
    assert_int_equal(decode_completions(65536, true), L2_OK);
    assert_int_equal(decode_completions(65537, true), L2_LIMIT);
    assert_int_equal(decode_completions(65536, false), L2_OK);
    assert_int_equal(decode_completions(65537, false), L2_LIMIT);
}

static const struct {
    const char *hex;
    int code;
} headers[] = {
    /* magic l2s, version 1, vocabulary null, history [] in an order of their own */
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279 f6",
     L2_OK},
    {"a4 656d61676963 636c3274 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279 f6",
     L2_FORMAT},
    {"a4 656d61676963 636c3273 6776657273696f6e 02 67686973746f7279 80 6a766f636162756c617279 f6",
     L2_UNSUPPORTED},
    /* another version may differ in everything behind it */
    {"a2 656d61676963 636c3273 6776657273696f6e 02 ff", L2_UNSUPPORTED},
    {"a4 656d61676963 636c3273 67686973746f7279 80 6776657273696f6e 01 6a766f636162756c617279 f6",
     L2_CORRUPT},
    {"a3 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80", L2_CORRUPT},
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 8100 6a766f636162756c617279 f6",
     L2_CORRUPT},
    /* a vocabulary without a hash, with a short one, with size 0, with a field more */
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279"
     "a1 6473697a65 01",
     L2_CORRUPT},
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279"
     "a2 6473697a65 01 6468617368 4100",
     L2_CORRUPT},
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279"
     "a2 6473697a65 00 6468617368 "
     "58200000000000000000000000000000000000000000000000000000000000000000",
     L2_CORRUPT},
    {"a4 656d61676963 636c3273 6776657273696f6e 01 67686973746f7279 80 6a766f636162756c617279"
     "a3 6473697a65 01 6468617368 "
     "58200000000000000000000000000000000000000000000000000000000000000000"
     "6161 00",
     L2_CORRUPT},
};

static void test_headers(void **state)
{
    struct l2_buf b = {0};
    struct l2_header h;
    struct l2_err err;
    (void)state;
    l2_header_init(&h);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        b.len = 0;
        bytes_from_hex(&b, headers[i].hex);
        int rc = l2_decode_header(b.data, b.len, &h, &err);
        if (rc != headers[i].code)
            fail_msg("header %zu: want %d, got %d (%s)", i, headers[i].code, rc, err.text);
    }
    l2_header_release(&h);
    l2_buf_release(&b);
}

static void test_ends(void **state)
{
    static const char *const bad[] = {
        "a2 68636f6d706c657465 f5 677265636f726473 00",                   /* no tokens */
        "a3 68636f6d706c657465 01 677265636f726473 00 66746f6b656e73 00", /* not a bool */
        "a3 68636f6d706c657465 f5 677265636f726473 20 66746f6b656e73 00", /* -1 */
        "a4 68636f6d706c657465 f5 677265636f726473 00 66746f6b656e73 00 656572726f72 6161", /* error
                                                                                             */
    };
    struct l2_buf b = {0};
    struct l2_stream_end end;
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        b.len = 0;
        bytes_from_hex(&b, bad[i]);
        assert_int_equal(l2_decode_end(b.data, b.len, &end, &err), L2_CORRUPT);
    }
    /* a long error is cut between characters */
    struct l2_cbor_out o = {&b, NULL, L2_OK};
    char text[1024];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    b.len = 0;
    l2_cbor_put_map(&o, 5);
    l2_cbor_put_str(&o, "complete");
    l2_cbor_put_bool(&o, false);
    l2_cbor_put_str(&o, "error");
    l2_cbor_put_str(&o, text);
    l2_cbor_put_str(&o, "new");
    l2_cbor_put_null(&o);
    l2_cbor_put_str(&o, "records");
    l2_cbor_put_uint(&o, UINT64_MAX);
    l2_cbor_put_str(&o, "tokens");
    l2_cbor_put_uint(&o, 5);
    assert_int_equal(l2_decode_end(b.data, b.len, &end, &err), L2_OK);
    assert_int_equal(strlen(end.error), 510);
    assert_true(end.records == UINT64_MAX);
    l2_buf_release(&b);
}

/* What a reader would refuse is not written. */
static void test_encode_refuses(void **state)
{
    struct l2_record r;
    struct l2_buf b = {0};
    struct l2_err err;
    float nan_value[1] = {NAN};
    uint32_t span[2] = {0, 9};
    (void)state;
    l2_record_init(&r);
    sample_record(&r);
    r.margin = INFINITY;
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    sample_record(&r);
    r.embedding = (struct l2_f32s){nan_value, 1};
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    sample_record(&r);
    r.completions[0].series[0].n = 3;
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "row 1"));
    sample_record(&r);
    r.spans = (struct l2_u32s){span, 2};
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    sample_record(&r);
    r.completions[0].text = (struct l2_str){"\xff", 1};
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    sample_record(&r);
    r.completions[0].embedding_rows = 4;
    assert_int_equal(l2_encode_record(&b, &r, &err), L2_ARGUMENT);
    assert_int_equal(b.len, 0);
    sample_record(&r);
    assert_int_equal(l2_record_set_score(&r, &r.completions[0], "x", NAN, &err), L2_ARGUMENT);
    l2_record_release(&r);
    l2_buf_release(&b);
}

static void test_item_kind(void **state)
{
    static const struct {
        const char *hex;
        int kind; /* or a failure */
    } table[] = {
        {"a1 656d61676963 636c3273", L2_ITEM_HEADER},
        {"bf 626964 00 ff", L2_ITEM_RECORD},
        {"a1 68636f6d706c657465 f5", L2_ITEM_END},
        {"a1 626965 00", L2_CORRUPT},
        {"a0", L2_CORRUPT},
        {"bfff", L2_CORRUPT},
        {"80", L2_CORRUPT},
        {"", L2_CORRUPT},
    };
    struct l2_buf b = {0};
    struct l2_err err;
    enum l2_item kind;
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        b.len = 0;
        bytes_from_hex(&b, table[i].hex);
        int rc = l2_item_kind(b.data, b.len, &kind, &err);
        assert_int_equal(rc == L2_OK ? (int)kind : rc, table[i].kind);
    }
    l2_buf_release(&b);
}

static void test_ids(void **state)
{
    struct l2_id number = {.number = 7}, text = {.is_text = true, .text = {"7", 1}};
    struct l2_id below = {.number = -500};
    struct l2_id longer = {.is_text = true, .text = {"aaaaaaa\xc3\xa4zzzz\n", 14}};
    uint8_t hash[32], want[32];
    struct l2_sha256 s;
    char out[13];
    (void)state;
    l2_id_hash(&number, hash);
    l2_sha256_init(&s);
    l2_sha256_update(&s, "\x07", 1);
    l2_sha256_final(&s, want);
    assert_memory_equal(hash, want, 32);
    l2_id_hash(&text, hash);
    l2_sha256_init(&s);
    l2_sha256_update(&s, "\x61\x37", 2);
    l2_sha256_final(&s, want);
    assert_memory_equal(hash, want, 32);
    l2_id_hash(&below, hash);
    l2_sha256_init(&s);
    l2_sha256_update(&s, "\x39\x01\xf3", 3);
    l2_sha256_final(&s, want);
    assert_memory_equal(hash, want, 32);
    l2_id_format(&below, out, sizeof out);
    assert_string_equal(out, "-500");
    l2_id_format(&longer, out, sizeof out);
    assert_string_equal(out, "aaaaaaa\xc3\xa4...");
}

/* Completions added to a decoded record, and scores replaced, leave the others alone. */
static void test_record_edits(void **state)
{
    struct l2_record r;
    struct l2_err err;
    struct l2_completion *c;
    (void)state;
    l2_record_init(&r);
    sample_record(&r);
    for (int i = 2; i < 100; i++) {
        c = l2_record_add_completion(&r, &err);
        assert_non_null(c);
        assert_int_equal(c->n_scores, 0);
        assert_int_equal(l2_record_set_score(&r, c, "i", i, &err), L2_OK);
        assert_int_equal(l2_record_set_score(&r, c, "j", -i, &err), L2_OK);
        assert_int_equal(l2_record_set_score(&r, c, "i", i + 1, &err), L2_OK);
    }
    assert_int_equal(r.n_completions, 100);
    assert_completion(&r.completions[0]);
    for (int i = 2; i < 100; i++) {
        assert_int_equal(r.completions[i].n_scores, 2);
        assert_true(*l2_completion_score(&r.completions[i], "i") == i + 1);
        assert_true(*l2_completion_score(&r.completions[i], "j") == -i);
    }
    /* an array of the caller's own is copied before it grows */
    struct l2_completion own[1] = {{.finish = L2_FINISH_EOS}};
    r.completions = own;
    r.n_completions = 1;
    c = l2_record_add_completion(&r, &err);
    assert_non_null(c);
    assert_ptr_not_equal(r.completions, own);
    assert_int_equal(r.completions[0].finish, L2_FINISH_EOS);
    l2_record_release(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_record_round_trip),
        cmocka_unit_test(test_header_round_trip),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_many_completions),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_item_kind),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_record_edits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
