/* Unit tests of reading vocabularies: what they hold, their hash, and files that are wrong. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "spm_writer.h"
#include "text/encode.h"
#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

static char dir[SCRATCH_PATH];

static const struct spm_settings llama = {.type = 2, .byte_fallback = true, .dummy_prefix = true};

static struct l2_vocab *open_good(const char *path)
{
    struct l2_vocab *v;
    struct l2_err err;
    char text[1024] = "";
    int r = l2_vocab_open(&v, path, &err);
    if (r != L2_OK)
        l2_err_format(&err, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(r, L2_OK);
    return v;
}

/* The hash as vocab.h describes it, from the accessors alone. */
static void hash_by_hand(const struct l2_vocab *v, uint8_t out[L2_SHA256_SIZE])
{
    struct l2_sha256 s;
    l2_sha256_init(&s);
    for (uint32_t id = 0; id < l2_vocab_size(v); id++) {
        size_t n;
        const char *bytes = l2_vocab_bytes(v, id, &n);
        enum l2_piece_kind kind = l2_vocab_kind(v, id);
        uint8_t head[5] = {1};
        if (kind == L2_PIECE_UNKNOWN || kind == L2_PIECE_CONTROL || kind == L2_PIECE_BYTE)
            head[0] = (uint8_t)kind;
        head[1] = (uint8_t)n;
        head[2] = (uint8_t)(n >> 8);
        l2_sha256_update(&s, head, sizeof head);
        l2_sha256_update(&s, bytes, n);
    }
    l2_sha256_final(&s, out);
}

static void test_small_model(void **state)
{
    struct l2_vocab *v = open_good(source_path("tests/golden/small.model"));
    uint8_t hash[L2_SHA256_SIZE];
    size_t n;
    (void)state;
    assert_int_equal(l2_vocab_size(v), 512);
    assert_int_equal(l2_vocab_unk(v), 0);
    assert_int_equal(l2_vocab_bos(v), 1);
    assert_int_equal(l2_vocab_eos(v), 2);
    assert_int_equal(l2_vocab_kind(v, 0), L2_PIECE_UNKNOWN);
    assert_int_equal(l2_vocab_kind(v, 2), L2_PIECE_CONTROL);
    assert_int_equal(l2_vocab_kind(v, 3), L2_PIECE_BYTE);
    assert_int_equal(l2_vocab_kind(v, 400), L2_PIECE_NORMAL);
    const char *s = l2_vocab_bytes(v, 3 + 0x41, &n);
    assert_int_equal(n, 1);
    assert_memory_equal(s, "A", 1);
    s = l2_vocab_piece(v, 3 + 0x41, &n);
    assert_int_equal(n, 6);
    assert_memory_equal(s, "<0x41>", 6);
    l2_vocab_bytes(v, 1, &n);
    assert_int_equal(n, 0);
    hash_by_hand(v, hash);
    assert_memory_equal(hash, l2_vocab_hash(v), sizeof hash);
    l2_vocab_free(v);
}

/* v as a llama2.c tokenizer.bin. */
static void to_tokbin(const struct l2_vocab *v, struct l2_buf *out)
{
    uint8_t head[8];
    uint32_t longest = 0;
    out->len = 0;
    l2_put_u32le(head, 0);
    assert_int_equal(l2_buf_append(out, head, 4, NULL), L2_OK);
    for (uint32_t id = 0; id < v->n; id++) {
        size_t n;
        char text[256];
        const char *s = l2_vocab_bytes(v, id, &n);
        if (v->pieces[id].kind != L2_PIECE_NORMAL)
            s = l2_vocab_piece(v, id, &n);
        /* that program puts newlines around BOS and EOS */
        bool control = v->pieces[id].kind == L2_PIECE_CONTROL;
        n = (size_t)snprintf(text, sizeof text, control ? "\n%.*s\n" : "%.*s", (int)n, s);
        longest = n > longest ? (uint32_t)n : longest;
        l2_put_f32le(head, v->pieces[id].score);
        l2_put_u32le(head + 4, (uint32_t)n);
        assert_int_equal(l2_buf_append(out, head, 8, NULL), L2_OK);
        assert_int_equal(l2_buf_append(out, text, n, NULL), L2_OK);
    }
    l2_put_u32le(out->data, longest);
}

static void assert_same_ids(const struct l2_vocab *a, const struct l2_vocab *b, const char *text)
{
    struct l2_encoder *ea, *eb;
    struct l2_ids ia = {0}, ib = {0};
    assert_int_equal(l2_encoder_new(&ea, a, NULL), L2_OK);
    assert_int_equal(l2_encoder_new(&eb, b, NULL), L2_OK);
    assert_int_equal(l2_encode(ea, text, strlen(text), 0, &ia, NULL), L2_OK);
    assert_int_equal(l2_encode(eb, text, strlen(text), 0, &ib, NULL), L2_OK);
    assert_int_equal(ia.n, ib.n);
    assert_memory_equal(ia.v, ib.v, ia.n * sizeof *ia.v);
    l2_ids_release(&ia);
    l2_ids_release(&ib);
    l2_encoder_free(ea);
    l2_encoder_free(eb);
}

static void test_tokbin_is_the_same(void **state)
{
    struct l2_vocab *v = open_good(source_path("tests/golden/small.model")), *bin;
    struct l2_buf b = {0};
    (void)state;
    to_tokbin(v, &b);
    scratch_write(dir, "tokenizer.bin", b.data, b.len);
    bin = open_good(scratch_path(dir, "tokenizer.bin"));
    assert_int_equal(l2_vocab_bos(bin), 1);
    assert_int_equal(l2_vocab_eos(bin), 2);
    assert_memory_equal(l2_vocab_hash(v), l2_vocab_hash(bin), L2_SHA256_SIZE);
    assert_same_ids(v, bin,
                    "The stream's header names the vocabulary; caf\xC3\xA9  \xF0\x9F\x98\x80\n");
    l2_vocab_free(bin);

    /* a directory stands for what is in it */
    bin = open_good(dir);
    assert_memory_equal(l2_vocab_hash(v), l2_vocab_hash(bin), L2_SHA256_SIZE);
    l2_vocab_free(bin);
    l2_vocab_free(v);
    l2_buf_release(&b);
}

static void test_shared_vocabularies(void **state)
{
    const char *model = shared_path("data/stories260K/tok512.model");
    (void)state;
    if (!model)
        skip();
    struct l2_vocab *v = open_good(model);
    struct l2_vocab *bin = open_good(shared_path("data/stories260K/tok512.bin"));
    assert_memory_equal(l2_vocab_hash(v), l2_vocab_hash(bin), L2_SHA256_SIZE);
    l2_vocab_free(v);
    l2_vocab_free(bin);
    v = open_good(shared_path("data/llama2-tokenizer/tokenizer.model"));
    assert_int_equal(l2_vocab_size(v), 32000);
    assert_int_equal(l2_vocab_bos(v), 1);
    assert_int_equal(l2_vocab_eos(v), 2);
    l2_vocab_free(v);
}

/* ---- wrong files ---- */

/* One fault: how to write the file, and what is said of it. */
struct fault {
    const char *text; /* in the message */
    enum l2_code code;
    void (*write)(struct l2_buf *b);
};

static void normal(struct l2_buf *b)
{
    spm_specials(b, true);
    spm_piece(b, "a", -1, L2_PIECE_NORMAL);
}

static void specs(struct l2_buf *b, const struct spm_settings *changed)
{
    normal(b);
    spm_specs(b, changed);
}

static void write_unigram(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.type = 1;
    specs(b, &s);
}

static void write_charsmap(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.charsmap = "xxxx";
    specs(b, &s);
}

static void write_denormalizer(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.denormalizer = "xxxx";
    specs(b, &s);
}

static void write_suffix(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.suffix = true;
    specs(b, &s);
}

static void write_no_escape(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.no_escape = true;
    specs(b, &s);
}

static void write_kind(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "b", -1, (enum l2_piece_kind)7);
}

static void write_no_specs(struct l2_buf *b)
{
    normal(b);
}

static void write_nothing(struct l2_buf *b)
{
    (void)b;
}

static void write_prose(struct l2_buf *b)
{
    assert_int_equal(l2_buf_append_str(b, "\n\nThis is not a vocabulary.\n", NULL), L2_OK);
}

static void write_json(struct l2_buf *b)
{
    assert_int_equal(l2_buf_append_str(b, "{\"version\":\"1.0\",\"model\":{}}", NULL), L2_OK);
}

static void write_twice(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "a", -2, L2_PIECE_NORMAL);
    spm_specs(b, &llama);
}

static void write_two_unknown(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "<unk2>", -2, L2_PIECE_UNKNOWN);
    spm_specs(b, &llama);
}

static void write_no_unknown(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.byte_fallback = false;
    spm_piece(b, "a", -2, L2_PIECE_NORMAL);
    spm_specs(b, &s);
}

static void write_few_bytes(struct l2_buf *b)
{
    spm_specials(b, false);
    spm_piece(b, "<0x41>", 0, L2_PIECE_BYTE);
    spm_specs(b, &llama);
}

static void write_bytes_unasked(struct l2_buf *b)
{
    struct spm_settings s = llama;
    s.byte_fallback = false;
    specs(b, &s);
}

static void write_odd_byte(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "<0x4g>", 0, L2_PIECE_BYTE);
    spm_specs(b, &llama);
}

static void write_nan(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "b", NAN, L2_PIECE_NORMAL);
}

static void write_empty_piece(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "", -1, L2_PIECE_NORMAL);
}

static void write_not_utf8(struct l2_buf *b)
{
    normal(b);
    spm_piece(b, "ab\xC3", -1, L2_PIECE_NORMAL);
}

static void write_group(struct l2_buf *b)
{
    normal(b);
    pb_varint(b, 9 << 3 | 3);
}

static void write_field_0(struct l2_buf *b)
{
    normal(b);
    pb_varint(b, 0);
    pb_varint(b, 0);
}

static void write_long_varint(struct l2_buf *b)
{
    normal(b);
    for (int i = 0; i < 11; i++)
        assert_int_equal(l2_buf_append_byte(b, 0xFF, NULL), L2_OK);
}

static void write_wire_type(struct l2_buf *b)
{
    normal(b);
    pb_int(b, 1, 5); /* pieces as a number */
}

static void write_huge_length(struct l2_buf *b)
{
    normal(b);
    pb_varint(b, 1 << 3 | 2);
    pb_varint(b, UINT64_MAX);
}

static void write_inner_length(struct l2_buf *b)
{
    /* a piece whose text is longer than the piece */
    static const char piece[] = {1 << 3 | 2, 100, 'x'};
    normal(b);
    pb_bytes(b, 1, piece, sizeof piece);
    spm_specs(b, &llama);
}

static const struct fault faults[] = {
    {"type unigram is not supported", L2_UNSUPPORTED, write_unigram},
    {"normalizer 'nmt_nfkc' is not supported", L2_UNSUPPORTED, write_charsmap},
    {"denormalizer", L2_UNSUPPORTED, write_denormalizer},
    {"treat_whitespace_as_suffix", L2_UNSUPPORTED, write_suffix},
    {"escape_whitespaces", L2_UNSUPPORTED, write_no_escape},
    {"unknown kind 7", L2_UNSUPPORTED, write_kind},
    {"ends before its trainer_spec", L2_TRUNCATED, write_no_specs},
    {"neither a SentencePiece model", L2_FORMAT, write_nothing},
    {"neither a SentencePiece model", L2_FORMAT, write_prose},
    {"no tokenizer.json: model.vocab", L2_FORMAT, write_json},
    {"pieces 259 and 260 are both 'a'", L2_CORRUPT, write_twice},
    {"want one unknown piece, got two: 0 and 260", L2_CORRUPT, write_two_unknown},
    {"no unknown piece", L2_CORRUPT, write_no_unknown},
    {"byte pieces: want 256, got 1", L2_CORRUPT, write_few_bytes},
    {"byte pieces: want 0, got 256", L2_CORRUPT, write_bytes_unasked},
    {"want '<0xNN>', got '<0x4g>'", L2_CORRUPT, write_odd_byte},
    {"score is not finite", L2_CORRUPT, write_nan},
    {"piece 260 is empty", L2_CORRUPT, write_empty_piece},
    {"piece 260 is not UTF-8", L2_CORRUPT, write_not_utf8},
    {"unknown wire type", L2_CORRUPT, write_group},
    {"field number 0", L2_CORRUPT, write_field_0},
    {"integer of more than 64 bits", L2_CORRUPT, write_long_varint},
    {"want wire type 2, got 0", L2_CORRUPT, write_wire_type},
    {"field ends past its file", L2_TRUNCATED, write_huge_length},
    {"field ends past its message", L2_CORRUPT, write_inner_length},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct l2_buf b = {0};
        struct l2_vocab *v;
        struct l2_err err = {0};
        faults[i].write(&b);
        int r = open_bytes("fault.model", &b, &v, &err);
        if (r != (int)faults[i].code || !strstr(err.text, faults[i].text))
            fail_msg("fault %zu: want %d '%s', got %d '%s'", i, faults[i].code, faults[i].text, r,
                     err.text);
        assert_null(v);
        assert_non_null(strstr(err.file, "fault.model"));
        l2_buf_release(&b);
    }
}

static void test_absent(void **state)
{
    struct l2_vocab *v;
    struct l2_err err;
    char empty[SCRATCH_PATH];
    (void)state;
    assert_int_equal(l2_vocab_open(&v, scratch_path(dir, "absent"), &err), L2_SYSTEM);
    assert_int_equal(err.sys_errno, ENOENT);
    scratch_make(empty);
    assert_int_equal(l2_vocab_open(&v, empty, &err), L2_SYSTEM);
    assert_int_equal(err.sys_errno, ENOENT);
    scratch_remove(empty);
}

/* A vocabulary cut anywhere is refused, and never as an error of the system. The end of the last
 * field that is needed is the one place where a cut does no harm. */
static void check_cuts(const struct l2_buf *whole, const char *name, const uint8_t *hash)
{
    size_t harmless = 0;
    for (size_t n = 0; n < whole->len; n++) {
        struct l2_buf cut = {.data = whole->data, .len = n};
        struct l2_vocab *v;
        struct l2_err err;
        int r = open_bytes(name, &cut, &v, &err);
        if (r == L2_OK) {
            assert_memory_equal(l2_vocab_hash(v), hash, L2_SHA256_SIZE);
            harmless++;
        } else if (r != L2_TRUNCATED && r != L2_FORMAT) {
            fail_msg("cut at %zu: %d: %s", n, r, err.text);
        }
        l2_vocab_free(v);
    }
    assert_true(harmless <= 2);
}

/* A changed byte is refused, or makes a vocabulary that works. */
static void check_flips(struct l2_buf *whole, const char *name)
{
    static const char text[] = "A vocabulary\xE2\x96\x81of \xC3\xA9\xFF 12 pieces, more or less.";
    size_t opened = 0;
    for (size_t i = 0; i < whole->len; i++) {
        struct l2_vocab *v;
        struct l2_err err;
        uint8_t flip = (uint8_t)(1u << i % 8);
        whole->data[i] ^= flip;
        int r = open_bytes(name, whole, &v, &err);
        whole->data[i] ^= flip;
        if (r != L2_OK) {
            assert_int_not_equal(r, L2_SYSTEM);
            assert_int_not_equal(r, L2_MEMORY);
            continue;
        }
        opened++;
        struct l2_encoder *e;
        struct l2_ids ids = {0};
        struct l2_buf out = {0};
        assert_int_equal(l2_encoder_new(&e, v, &err), L2_OK);
        assert_int_equal(l2_encode(e, text, sizeof text - 1, 0, &ids, &err), L2_OK);
        assert_int_equal(l2_decode(v, ids.v, ids.n, false, &out, &err), L2_OK);
        assert_true(l2_utf8_valid((char *)out.data, out.len, NULL));
        l2_buf_release(&out);
        l2_ids_release(&ids);
        l2_encoder_free(e);
        l2_vocab_free(v);
    }
    assert_true(opened > 0);
}

static void test_damaged_model(void **state)
{
    struct l2_buf b = {0};
    (void)state;
    b.data = (uint8_t *)scratch_read(source_path("tests/golden/small.model"), &b.len);
    struct l2_vocab *v = open_good(source_path("tests/golden/small.model"));
    check_cuts(&b, "damaged.model", l2_vocab_hash(v));
    check_flips(&b, "damaged.model");
    l2_vocab_free(v);
    free(b.data);
}

static void test_damaged_tokbin(void **state)
{
    struct l2_vocab *v = open_good(source_path("tests/golden/small.model"));
    struct l2_buf b = {0};
    struct l2_vocab *cut;
    (void)state;
    to_tokbin(v, &b);
    /* a .bin has no end mark: cut between two pieces behind the bytes it is a smaller vocabulary */
    for (size_t n = 0; n < b.len; n++) {
        struct l2_buf part = {.data = b.data, .len = n};
        struct l2_err err;
        int r = open_bytes("damaged.bin", &part, &cut, &err);
        if (r == L2_OK)
            assert_memory_not_equal(l2_vocab_hash(v), l2_vocab_hash(cut), L2_SHA256_SIZE);
        else if (r != L2_TRUNCATED && r != L2_FORMAT)
            assert_int_equal(r, L2_CORRUPT); /* some of the byte pieces */
        l2_vocab_free(cut);
    }
    check_flips(&b, "damaged.bin");
    l2_vocab_free(v);
    l2_buf_release(&b);
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_model),
        cmocka_unit_test(test_tokbin_is_the_same),
        cmocka_unit_test(test_shared_vocabularies),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_damaged_model),
        cmocka_unit_test(test_damaged_tokbin),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("vocab", tests, set_up, tear_down);
}
