/* Unit tests of tokenizer.json: ids against another implementation's, what is refused, damaged
 * files, splitting. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "tokenizers.h"
#include "text/encode.h"
#include "text/vocab_impl.h"
#include "text/tokjson_write.h"
#include "text/vocab_write.h"
#include "util/gguf_build.h"
#include "util/utf8.h"

static const char *const names[] = {"bytes-llama3", "bytes-smollm", "spm-prepend", "spm-metaspace"};

/* ---- ids ---- */

static void compare_ids(const json_t *want, const struct l2_ids *got, const char *name,
                        const char *text)
{
    bool same = json_array_size(want) == got->n;
    for (size_t i = 0; i < got->n && same; i++)
        same = (json_int_t)got->v[i] == json_integer_value(json_array_get(want, i));
    if (same)
        return;
    for (size_t i = 0; i < json_array_size(want); i++)
        fprintf(stderr, "%lld ", (long long)json_integer_value(json_array_get(want, i)));
    fprintf(stderr, "<- want, got -> ");
    for (size_t i = 0; i < got->n; i++)
        fprintf(stderr, "%u ", (unsigned)got->v[i]);
    fail_msg("%s: '%s'", name, text);
}

/* One line of a golden file: the ids, and the text again from them. */
static void check_line(struct l2_encoder *e, const char *name, const char *line, size_t n)
{
    const struct l2_vocab *v = l2_encoder_vocab(e);
    struct l2_ids ids = {0};
    struct l2_buf back = {0};
    json_t *row = json_loadb(line, n, 0, NULL);
    const char *text = json_string_value(json_object_get(row, "text"));
    size_t len = json_string_length(json_object_get(row, "text"));
    assert_non_null(text);
    assert_int_equal(l2_encode(e, text, len, 0, &ids, NULL), L2_OK);
    compare_ids(json_object_get(row, "ids"), &ids, name, text);
    /* the prefix loses a first space, or puts one behind an added token */
    if (!v->prefix_once && !strstr(text, "<mask>")) {
        assert_int_equal(l2_decode(v, ids.v, ids.n, false, &back, NULL), L2_OK);
        assert_int_equal(back.len, len);
        if (len > 0)
            assert_memory_equal(back.data, text, len);
    }
    json_decref(row);
    l2_ids_release(&ids);
    l2_buf_release(&back);
}

/* All lines of a golden file. */
static void check_file(struct l2_vocab *v, const char *name)
{
    struct l2_encoder *e;
    size_t size, lines = 0;
    char *all = scratch_read(golden_tokenizer(name, ".jsonl"), &size);
    assert_int_equal(l2_encoder_new(&e, v, NULL), L2_OK);
    for (char *s = all; s < all + size; lines++) {
        char *end = strchr(s, '\n');
        check_line(e, name, s, (size_t)(end - s));
        s = end + 1;
    }
    assert_true(lines > 90);
    free(all);
    l2_encoder_free(e);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct l2_vocab *v = open_tokenizer(golden_tokenizer(names[i], ".json"));
        check_file(v, names[i]);
        l2_vocab_free(v);
    }
}

/* The vocabulary as a GGUF file has it, tokenizer.ggml.pre being what is given or its own. */
static void write_gguf(const struct l2_vocab *v, const char *pre, const char *dir)
{
    struct l2_gguf_values values = {0};
    const struct l2_gguf_values *list[] = {&values};
    struct l2_gguf_writer w;
    struct l2_buf out = {0};
    assert_int_equal(l2_vocab_to_gguf(&values, v, l2_vocab_size(v), NULL), L2_OK);
    if (pre) {
        const char *own = l2_vocab_pre(v);
        size_t n = strlen(own);
        assert_int_equal(strlen(pre), n);
        for (size_t i = 0; i + n <= values.bytes.len; i++)
            if (memcmp(values.bytes.data + i, own, n) == 0) {
                memcpy(values.bytes.data + i, pre, n);
                break;
            }
    }
    assert_int_equal(l2_gguf_write_begin(&w, &out, list, 1, 0, NULL), L2_OK);
    assert_int_equal(l2_gguf_write_end(&w, NULL), L2_OK);
    scratch_write(dir, "v.gguf", out.data, out.len);
    l2_buf_release(&values.bytes);
    l2_buf_release(&out);
}

/* Byte-level vocabularies in GGUF files: the same pieces, the same ids. */
static void test_gguf(void **state)
{
    (void)state;
    char dir[SCRATCH_PATH];
    struct l2_vocab *from_gguf;
    struct l2_err err;
    scratch_make(dir);
    for (size_t i = 0; i < 2; i++) {
        struct l2_vocab *v = open_tokenizer(golden_tokenizer(names[i], ".json"));
        write_gguf(v, NULL, dir);
        from_gguf = open_tokenizer(scratch_path(dir, "v.gguf"));
        assert_memory_equal(l2_vocab_hash(v), l2_vocab_hash(from_gguf), L2_SHA256_SIZE);
        assert_string_equal(l2_vocab_pre(v), l2_vocab_pre(from_gguf));
        check_file(from_gguf, names[i]);
        l2_vocab_free(from_gguf);
        write_gguf(v, i == 0 ? "llama-bad" : "smoggy", dir);
        assert_int_equal(l2_vocab_open(&from_gguf, scratch_path(dir, "v.gguf"), &err),
                         L2_UNSUPPORTED);
        assert_non_null(strstr(err.text, i == 0 ? "llama-bad" : "smoggy"));
        l2_vocab_free(v);
    }
    scratch_remove(dir);
}

/* Byte-level vocabularies written as a tokenizer.json: the same pieces, the same ids. */
static void test_written(void **state)
{
    (void)state;
    char dir[SCRATCH_PATH];
    struct l2_buf out = {0}, config = {0};
    struct l2_err err;
    scratch_make(dir);
    for (size_t i = 0; i < 2; i++) {
        struct l2_vocab *v = open_tokenizer(golden_tokenizer(names[i], ".json"));
        out.len = config.len = 0;
        assert_int_equal(l2_vocab_to_tokjson(&out, v, &err), L2_OK);
        assert_int_equal(l2_vocab_to_tokconfig(&config, v, "{{ x }}", 7, &err), L2_OK);
        scratch_write(dir, "tokenizer.json", out.data, out.len);
        scratch_write(dir, "tokenizer_config.json", config.data, config.len);
        struct l2_vocab *back = open_tokenizer(scratch_path(dir, "tokenizer.json"));
        assert_memory_equal(l2_vocab_hash(v), l2_vocab_hash(back), L2_SHA256_SIZE);
        assert_int_equal(l2_vocab_bos(v), l2_vocab_bos(back));
        assert_int_equal(l2_vocab_eos(v), l2_vocab_eos(back));
        assert_int_equal(l2_vocab_unk(v), l2_vocab_unk(back));
        assert_int_equal(l2_vocab_add_bos(v), l2_vocab_add_bos(back));
        assert_string_equal(l2_vocab_pre(v), l2_vocab_pre(back));
        for (uint32_t id = 0; id < l2_vocab_size(v); id++)
            assert_int_equal(l2_vocab_kind(v, id), l2_vocab_kind(back, id));
        check_file(back, names[i]);
        l2_vocab_free(back);
        l2_vocab_free(v);
    }
    struct l2_vocab *pieces = open_tokenizer(golden_tokenizer("spm-prepend", ".json"));
    assert_int_equal(l2_vocab_to_tokjson(&out, pieces, &err), L2_UNSUPPORTED);
    l2_vocab_free(pieces);
    l2_buf_release(&config);
    l2_buf_release(&out);
    scratch_remove(dir);
}

static void test_facts(void **state)
{
    (void)state;
    size_t n;
    struct l2_vocab *v = open_tokenizer(golden_tokenizer("bytes-llama3", ".json"));
    assert_true(l2_vocab_byte_level(v));
    assert_string_equal(l2_vocab_pre(v), "llama-bpe");
    assert_true(l2_vocab_add_bos(v));
    assert_int_equal(l2_vocab_bos(v), l2_vocab_special(v, "<|begin_of_text|>"));
    assert_int_equal(l2_vocab_eos(v), l2_vocab_special(v, "<|end_of_text|>"));
    assert_int_equal(l2_vocab_special(v, "<|absent|>"), L2_NO_ID);
    assert_non_null(l2_vocab_merges(v, &n));
    assert_true(n > 100);
    l2_vocab_free(v);
    v = open_tokenizer(golden_tokenizer("bytes-smollm", ".json"));
    assert_string_equal(l2_vocab_pre(v), "smollm");
    assert_false(l2_vocab_add_bos(v));
    assert_int_equal(l2_vocab_kind(v, l2_vocab_special(v, "[PAD]")), L2_PIECE_USER_DEFINED);
    l2_vocab_free(v);
    v = open_tokenizer(golden_tokenizer("spm-prepend", ".json"));
    assert_false(l2_vocab_byte_level(v));
    assert_null(l2_vocab_pre(v));
    assert_true(l2_vocab_dummy_prefix(v));
    assert_int_equal(l2_vocab_bos(v), 1);
    assert_int_equal(l2_vocab_eos(v), 2);
    assert_int_equal(l2_vocab_unk(v), 0);
    l2_vocab_free(v);
}

/* Every byte has a character, and back. */
static void test_alphabet(void **state)
{
    (void)state;
    bool seen[512] = {false};
    for (unsigned b = 0; b < 256; b++) {
        uint32_t c = l2_byte_char((uint8_t)b);
        assert_true(c < 512 && !seen[c]);
        seen[c] = true;
        assert_int_equal(l2_byte_of_char(c), b);
    }
    for (uint32_t c = 0; c < 600; c++)
        if (c >= 512 || !seen[c])
            assert_int_equal(l2_byte_of_char(c), -1);
    assert_int_equal(l2_byte_char(' '), 0x120);
    assert_int_equal(l2_byte_char('\n'), 0x10A);
}

/* A character whose bytes are several pieces comes out whole, when its last byte is there. */
static void test_partial_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xF0\x9F\x99\x82z";
    struct l2_vocab *v = open_tokenizer(golden_tokenizer("bytes-smollm", ".json"));
    struct l2_decoder d;
    struct l2_buf out = {0};
    static const size_t lengths[] = {1, 1, 1, 1, 5, 6};
    l2_decoder_init(&d, v, false);
    for (size_t i = 0; i < 6; i++) {
        uint32_t id = v->byte_symbols[(uint8_t)text[i]];
        assert_int_equal(l2_decode_id(&d, id, &out, NULL), L2_OK);
        assert_int_equal(out.len, lengths[i]);
    }
    assert_memory_equal(out.data, text, 6);
    /* half of one at the end, and a byte that is never part of one */
    out.len = 0;
    assert_int_equal(l2_decode_id(&d, v->byte_symbols[0xFF], &out, NULL), L2_OK);
    assert_int_equal(l2_decode_id(&d, v->byte_symbols[0xE4], &out, NULL), L2_OK);
    assert_int_equal(l2_decode_id(&d, v->byte_symbols[0xBD], &out, NULL), L2_OK);
    assert_int_equal(l2_decode_finish(&d, &out, NULL), L2_OK);
    assert_int_equal(out.len, 9);
    assert_memory_equal(out.data, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 9);
    l2_buf_release(&out);
    l2_vocab_free(v);
}

/* ---- splitting ---- */

static uint32_t random_state = 7;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

static void random_text(struct l2_buf *out)
{
    static const char *const parts[] = {
        " ",        "  ",           "\n",       "\r\n", "\t", "a",    "Bc",   "'s",
        "'",        "'LL",          "'re",      "1",    "23", "4567", ".",    "!?",
        "\xC3\xA4", "\xE4\xBD\xA0", "\xC2\xA0", "_",    "\v", "\f",   "\x1F", "\xC5\xBF",
        "\xC2\xBD", "\xE1\xA0\x8E", "\xC2\x85"};
    out->len = 0;
    for (uint32_t i = random_below(12) + 1; i > 0; i--)
        assert_int_equal(
            l2_buf_append_str(out, parts[random_below(sizeof parts / sizeof *parts)], NULL), L2_OK);
}

/* The short cuts in ASCII match what the expressions match, at every position. */
static void test_short_cuts(void **state)
{
    (void)state;
    const char *const patterns[] = {l2_split_gpt2, l2_split_llama3};
    struct l2_split_work *fast, *slow;
    struct l2_buf text = {0};
    size_t taken = 0;
    assert_int_equal(l2_split_work_new(&fast, NULL), L2_OK);
    assert_int_equal(l2_split_work_new(&slow, NULL), L2_OK);
    l2_split_work_set_fast(slow, false);
    for (size_t k = 0; k < 2; k++) {
        struct l2_splitter s = {0};
        assert_int_equal(l2_splitter_add(&s, patterns[k], strlen(patterns[k]), NULL, NULL), L2_OK);
        for (int i = 0; i < 20000; i++) {
            random_text(&text);
            const char *t = (const char *)text.data;
            for (size_t pos = 0, b1, e1, b2, e2; pos < text.len; pos = e1) {
                assert_int_equal(l2_split_next(&s, fast, 0, t, text.len, pos, &b1, &e1, NULL),
                                 L2_OK);
                assert_int_equal(l2_split_next(&s, slow, 0, t, text.len, pos, &b2, &e2, NULL),
                                 L2_OK);
                if (b1 != b2 || e1 != e2)
                    fail_msg("'%.*s' at %zu: [%zu,%zu) is not [%zu,%zu)", (int)text.len, t, pos, b1,
                             e1, b2, e2);
                taken++;
            }
        }
        l2_splitter_release(&s);
    }
    assert_true(taken > 40000);
    l2_split_work_free(fast);
    l2_split_work_free(slow);
    l2_buf_release(&text);
}

/* U+180E is no space since Unicode 6.3, whatever PCRE2 says; U+0085 is one. */
static void test_spaces(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        size_t begin, end;
    } cases[] = {
        {"\\s+", "a\xE1\xA0\x8E", 4, 4},
        {"[^\\sa]+", "a\xE1\xA0\x8E", 1, 4},
        {"\\s+", "a\xC2\x85", 1, 3},
        {"\\S+", " \xE1\xA0\x8E ", 1, 4},
        {"\\s+", "a\xE3\x80\x80\xE2\x80\x83", 1, 7},
        {"\\\\s", "a\\s", 1, 3},
    };
    struct l2_split_work *w;
    assert_int_equal(l2_split_work_new(&w, NULL), L2_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct l2_splitter s = {0};
        size_t b, e;
        assert_int_equal(
            l2_splitter_add(&s, cases[i].pattern, strlen(cases[i].pattern), NULL, NULL), L2_OK);
        assert_int_equal(
            l2_split_next(&s, w, 0, cases[i].text, strlen(cases[i].text), 0, &b, &e, NULL), L2_OK);
        assert_int_equal(b, cases[i].begin);
        assert_int_equal(e, cases[i].end);
        l2_splitter_release(&s);
    }
    l2_split_work_free(w);
}

/* ---- what is refused ---- */

struct fault {
    const char *from, *to; /* in the golden file: what is replaced */
    enum l2_code code;
    const char *text;
};

static const struct fault byte_faults[] = {
    {"\"dropout\":null", "\"dropout\":0.1", L2_UNSUPPORTED, "model.dropout"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", L2_UNSUPPORTED, "model.type Unigram"},
    {"\"fuse_unk\"", "\"fuse_it\"", L2_UNSUPPORTED, "\"fuse_it\""},
    {"\"padding\"", "\"stuffing\"", L2_UNSUPPORTED, "\"stuffing\""},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", L2_UNSUPPORTED,
     "normalizer NFKC"},
    {"\"behavior\":\"Isolated\"", "\"behavior\":\"Removed\"", L2_UNSUPPORTED, "behavior"},
    {"(?i:'s", "(?i:'s[", L2_UNSUPPORTED, "class inside a class"},
    {"(?i:'s", "(?i:(?<'s", L2_UNSUPPORTED, "split pattern"},
    {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", L2_UNSUPPORTED,
     "decoder WordPiece"},
    {"\"type\":\"TemplateProcessing\"", "\"type\":\"BertProcessing\"", L2_UNSUPPORTED,
     "post-processor BertProcessing"},
    {"{\"id\":\"<|begin_of_text|>\"", "{\"id\":\"<|begin|>\"", L2_CORRUPT, "TemplateProcessing"},
    {"\"merges\":[\"", "\"merges\":[\"q#q q\",\"", L2_CORRUPT, "is not of pieces"},
    {"\"merges\":[\"", "\"merges\":[\"a b c\",\"", L2_CORRUPT, "want two pieces"},
    {"\"merges\":[", "\"merges\":[7,", L2_CORRUPT, "want two pieces"},
    {"\"!\":33", "\"!\":1", L2_CORRUPT, "both"},
    {"\"!\":33", "\"!\":100000", L2_CORRUPT, "want an id below"},
    {"\"!\":33", "\"!\":-1", L2_CORRUPT, "want an id below"},
    {"\"single_word\"", "\"single_worm\"", L2_UNSUPPORTED, "single_worm"},
};

static const struct fault spm_faults[] = {
    {"\"byte_fallback\":true", "\"byte_fallback\":false", L2_OK, NULL}, /* <0x0A> is a piece then */
    {"\"start\":1", "\"start\":2", L2_UNSUPPORTED, "decoder Strip"},
    {"\"type\":\"Prepend\"", "\"type\":\"Lowercase\"", L2_UNSUPPORTED, "normalizer Lowercase"},
    {"\"pre_tokenizer\":null",
     "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"split\":true}",
     L2_UNSUPPORTED, "splits"},
    {"\"unk_token\":\"<unk>\"", "\"unk_token\":\"<what>\"", L2_CORRUPT, "unk_token '<what>'"},
    {"\"<0x41>\"", "\"<0x4x>\"", L2_CORRUPT, "byte pieces: want 256, got 255"},
    {"\"ignore_merges\":true", "", L2_OK, NULL}, /* not there: nothing changes */
};

/* text with the first `from` replaced by `to`. Owned. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    size_t n = strlen(text) + strlen(to) + 1;
    char *out = malloc(n);
    assert_non_null(out);
    if (at)
        snprintf(out, n, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    else
        snprintf(out, n, "%s", text);
    return out;
}

static int read_text(const char *text, size_t n, struct l2_err *err)
{
    char name[] = "tokenizer.json";
    struct l2_map m = {.data = (const uint8_t *)text, .size = n, .name = name};
    struct l2_vocab *v;
    int r = l2_vocab_read(&v, &m, err);
    l2_vocab_free(v);
    return r;
}

static void check_faults(const char *name, const struct fault *faults, size_t n)
{
    size_t size;
    char *good = scratch_read(golden_tokenizer(name, ".json"), &size);
    for (size_t i = 0; i < n; i++) {
        struct l2_err err = {0};
        char *bad = replaced(good, faults[i].from, faults[i].to);
        int r = read_text(bad, strlen(bad), &err);
        if (r != (int)faults[i].code || (faults[i].text && !strstr(err.text, faults[i].text)))
            fail_msg("%s -> %s: got %d, '%s'", faults[i].from, faults[i].to, r, err.text);
        free(bad);
    }
    free(good);
}

static void test_faults(void **state)
{
    (void)state;
    check_faults("bytes-llama3", byte_faults, sizeof byte_faults / sizeof *byte_faults);
    check_faults("spm-prepend", spm_faults, sizeof spm_faults / sizeof *spm_faults);
}

/* A file that is cut says so; one with a changed byte is an error or is read. */
static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size;
        struct l2_err err;
        char *all = scratch_read(golden_tokenizer(names[i], ".json"), &size);
        for (size_t n = 0; n < size; n += n < 64 || n + 64 > size ? 1 : 97) {
            int r = read_text(all, n, &err);
            /* of less than a brace nothing can be said */
            if (r != L2_TRUNCATED && !(n == 0 && r == L2_FORMAT))
                fail_msg("%s cut at %zu: %d, '%s'", names[i], n, r, err.text);
        }
        for (size_t k = 0; k < size; k += 61) {
            char was = all[k];
            all[k] = (char)(was ^ (1 << random_below(8)));
            int r = read_text(all, size, &err);
            assert_true(r == L2_OK || err.text[0] != '\0');
            all[k] = was;
        }
        free(all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_facts),      cmocka_unit_test(test_written),
        cmocka_unit_test(test_alphabet),   cmocka_unit_test(test_partial_characters),
        cmocka_unit_test(test_short_cuts), cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_faults),     cmocka_unit_test(test_damage),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("tokjson", tests, NULL, NULL);
}
