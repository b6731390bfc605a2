/* Unit tests of encoding, decoding and chat templates. */
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
#include "spm_writer.h"
#include "text/template.h"
#include "text/vocab_impl.h"
#include "util/utf8.h"

#define SPACE L2_SPACE_SYMBOL

static struct l2_vocab *open_good(const char *path)
{
    struct l2_vocab *v;
    struct l2_err err;
    if (l2_vocab_open(&v, path, &err) != L2_OK)
        fail_msg("%s: %s", path, err.text);
    return v;
}

/* One vocabulary with what is needed to encode. */
struct kit {
    struct l2_vocab *v;
    struct l2_encoder *e;
    struct l2_ids ids;
};

static void kit_new(struct kit *k, struct l2_vocab *v)
{
    *k = (struct kit){.v = v};
    assert_int_equal(l2_encoder_new(&k->e, v, NULL), L2_OK);
}

static void kit_free(struct kit *k)
{
    l2_ids_release(&k->ids);
    l2_encoder_free(k->e);
    l2_vocab_free(k->v);
}

static void encode(struct kit *k, const char *text, size_t n, unsigned flags)
{
    k->ids.n = 0;
    assert_int_equal(l2_encode(k->e, text, n, flags, &k->ids, NULL), L2_OK);
}

/* ---- against a second implementation ---- */

/* Byte-pair merging as its definition says, on strings: of all neighbours that make a piece
 * together merge those with the highest score, the leftmost of equal ones, until there are none.
 * Slow. */
struct naive {
    const struct l2_vocab *v;
    const char *part[4096];
    size_t len[4096];
    uint32_t user[4096]; /* the user-defined piece that a part is, or L2_NO_ID */
    size_t n;
};

static uint32_t naive_find(const struct l2_vocab *v, const char *s, size_t n)
{
    for (uint32_t id = 0; id < v->n; id++) {
        size_t m;
        const char *piece = l2_vocab_piece(v, id, &m);
        enum l2_piece_kind kind = l2_vocab_kind(v, id);
        if (kind != L2_PIECE_CONTROL && kind != L2_PIECE_UNKNOWN && kind != L2_PIECE_BYTE &&
            m == n && memcmp(piece, s, n) == 0)
            return id;
    }
    return L2_NO_ID;
}

static size_t naive_user(const struct l2_vocab *v, const char *s, size_t n, uint32_t *id)
{
    size_t best = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        size_t m;
        const char *piece = l2_vocab_piece(v, i, &m);
        if (l2_vocab_kind(v, i) == L2_PIECE_USER_DEFINED && m <= n && m > best &&
            memcmp(piece, s, m) == 0) {
            best = m;
            *id = i;
        }
    }
    return best;
}

static void naive_put(const struct naive *a, const char *s, size_t n, uint32_t user,
                      struct l2_ids *out)
{
    const struct l2_vocab *v = a->v;
    uint32_t id = user != L2_NO_ID ? user : naive_find(v, s, n);
    if (id != L2_NO_ID) {
        assert_int_equal(l2_ids_append(out, id, NULL), L2_OK);
    } else if (v->byte_fallback) {
        for (size_t i = 0; i < n; i++)
            assert_int_equal(l2_ids_append(out, v->byte_ids[(uint8_t)s[i]], NULL), L2_OK);
    } else if (out->n == 0 || out->v[out->n - 1] != v->unk) {
        assert_int_equal(l2_ids_append(out, v->unk, NULL), L2_OK);
    }
}

/* text is normalised: no spaces, valid UTF-8. */
static void naive_encode(struct naive *a, const char *text, size_t n, struct l2_ids *out)
{
    a->n = 0;
    out->n = 0;
    for (size_t i = 0; i < n;) {
        assert_true(a->n < 4096);
        uint32_t user = L2_NO_ID;
        size_t len = naive_user(a->v, text + i, n - i, &user);
        a->part[a->n] = text + i;
        a->len[a->n] = len ? len : l2_utf8_length(text + i, n - i);
        a->user[a->n] = user;
        i += a->len[a->n++];
    }
    for (;;) {
        size_t best = SIZE_MAX;
        float best_score = 0;
        for (size_t i = 0; i + 1 < a->n; i++) {
            if (a->user[i] != L2_NO_ID || a->user[i + 1] != L2_NO_ID)
                continue;
            uint32_t id = naive_find(a->v, a->part[i], a->len[i] + a->len[i + 1]);
            if (id != L2_NO_ID && (best == SIZE_MAX || a->v->pieces[id].score > best_score)) {
                best = i;
                best_score = a->v->pieces[id].score;
            }
        }
        if (best == SIZE_MAX)
            break;
        a->len[best] += a->len[best + 1];
        a->n--;
        for (size_t i = best + 1; i < a->n; i++) {
            a->part[i] = a->part[i + 1];
            a->len[i] = a->len[i + 1];
            a->user[i] = a->user[i + 1];
        }
    }
    for (size_t i = 0; i < a->n; i++)
        naive_put(a, a->part[i], a->len[i], a->user[i], out);
}

static uint32_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static const char *const letters[] = {"a", "b", "c", SPACE, "\xC3\xA9", "\xE4\xB8\x96", "\n", "1"};
#define N_LETTERS (sizeof letters / sizeof *letters)

static void append(char *out, const char *s)
{
    strncat(out, s, 4000 - strlen(out));
}

/* A vocabulary of random pieces over few letters, with few scores so that there are ties; letters
 * that are no pieces of their own; pieces that no merge can reach. */
static struct l2_vocab *random_vocab(bool bytes, bool user)
{
    static char seen[128][64];
    struct l2_buf b = {0};
    struct l2_vocab *v;
    struct l2_err err;
    struct spm_settings s = {.type = 2, .byte_fallback = bytes, .dummy_prefix = pick(2)};
    size_t n = 0;
    spm_specials(&b, bytes);
    for (unsigned tries = 0; tries < 60; tries++) {
        char text[4096] = "";
        for (unsigned i = 0, len = 1 + pick(4); i < len; i++)
            append(text, letters[pick(N_LETTERS)]);
        bool twice = false;
        for (size_t i = 0; i < n; i++)
            twice = twice || strcmp(seen[i], text) == 0;
        if (twice)
            continue;
        assert_true(strlen(text) < sizeof *seen);
        memcpy(seen[n++], text, strlen(text) + 1);
        spm_piece(&b, text, -(float)pick(8),
                  user && pick(5) == 0 ? L2_PIECE_USER_DEFINED : L2_PIECE_NORMAL);
    }
    spm_specs(&b, &s);
    if (open_bytes("random.model", &b, &v, &err) != L2_OK)
        fail_msg("%s", err.text);
    l2_buf_release(&b);
    return v;
}

static void compare_texts(struct kit *k, unsigned n_texts, unsigned longest)
{
    static struct naive a;
    struct l2_ids want = {0};
    a.v = k->v;
    for (unsigned t = 0; t < n_texts; t++) {
        char raw[4096] = "", normal[4096 + 4] = "";
        for (unsigned i = 0, len = 1 + pick(longest); i < len; i++) {
            const char *s = letters[pick(N_LETTERS)];
            append(raw, strcmp(s, SPACE) == 0 && pick(2) ? " " : s);
            append(normal, s);
        }
        bool continuation = pick(2);
        char prefixed[4096 + 8];
        snprintf(prefixed, sizeof prefixed, "%s%s",
                 k->v->dummy_prefix && !continuation ? SPACE : "", normal);
        naive_encode(&a, prefixed, strlen(prefixed), &want);
        encode(k, raw, strlen(raw), continuation ? L2_ENCODE_CONTINUE : 0);
        if (k->ids.n != want.n || memcmp(k->ids.v, want.v, want.n * sizeof *want.v) != 0)
            fail_msg("ids differ for '%s'", raw);
    }
    l2_ids_release(&want);
}

static void test_random_vocabularies(void **state)
{
    (void)state;
    seed = 1;
    for (unsigned i = 0; i < 120; i++) {
        struct kit k;
        kit_new(&k, random_vocab(i % 3 != 0, i % 4 == 1));
        compare_texts(&k, 60, 12);
        compare_texts(&k, 3, 120); /* long enough for the heap */
        kit_free(&k);
    }
}

static void test_small_model_by_definition(void **state)
{
    static const char *const words[] = {"stream", SPACE, SPACE "the", "record", "vocabulary", ",",
                                        "\n",     "7",   "-",         "token",  "\xC3\xA9"};
    static struct naive a;
    struct kit k;
    struct l2_ids want = {0};
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    a.v = k.v;
    seed = 7;
    for (unsigned t = 0; t < 60; t++) {
        char text[4096] = SPACE;
        for (unsigned i = 0; i < 12; i++)
            append(text, words[pick(sizeof words / sizeof *words)]);
        naive_encode(&a, text, strlen(text), &want);
        encode(&k, text + strlen(SPACE), strlen(text) - strlen(SPACE), 0);
        assert_int_equal(k.ids.n, want.n);
        assert_memory_equal(k.ids.v, want.v, want.n * sizeof *want.v);
    }
    l2_ids_release(&want);
    kit_free(&k);
}

/* ---- fixed cases ---- */

static void check_ids(struct kit *k, const char *text, const uint32_t *want, size_t n)
{
    encode(k, text, strlen(text), 0);
    assert_int_equal(k->ids.n, n);
    assert_memory_equal(k->ids.v, want, n * sizeof *want);
}

/* Unused pieces take part in merging and come apart again, in the way they were last made. */
static void test_unused_pieces(void **state)
{
    struct l2_buf b = {0};
    struct kit k;
    struct l2_vocab *v;
    struct spm_settings s = {.type = 2};
    (void)state;
    spm_specials(&b, false);
    spm_piece(&b, "a", -9, L2_PIECE_NORMAL);    /* 3 */
    spm_piece(&b, "b", -9, L2_PIECE_NORMAL);    /* 4 */
    spm_piece(&b, "c", -9, L2_PIECE_NORMAL);    /* 5 */
    spm_piece(&b, "ab", -1, L2_PIECE_NORMAL);   /* 6 */
    spm_piece(&b, "abc", -2, L2_PIECE_UNUSED);  /* 7 */
    spm_piece(&b, "abcc", -3, L2_PIECE_UNUSED); /* 8 */
    spm_piece(&b, "x", -9, L2_PIECE_UNUSED);    /* 9: a character stays what it is */
    spm_specs(&b, &s);
    assert_int_equal(open_bytes("unused.model", &b, &v, NULL), L2_OK);
    kit_new(&k, v);
    check_ids(&k, "abc", (const uint32_t[]){6, 5}, 2);
    check_ids(&k, "abccab", (const uint32_t[]){6, 5, 5, 6}, 4);
    check_ids(&k, "x?!abc", (const uint32_t[]){9, 0, 6, 5}, 4);
    kit_free(&k);
    l2_buf_release(&b);
}

static void test_removed_spaces(void **state)
{
    struct l2_buf b = {0};
    struct kit k;
    struct l2_vocab *v;
    struct spm_settings s = {.type = 2, .dummy_prefix = true, .remove_extra = true};
    (void)state;
    spm_specials(&b, false);
    spm_piece(&b, "a", -9, L2_PIECE_NORMAL);                /* 3 */
    spm_piece(&b, SPACE, -9, L2_PIECE_NORMAL);              /* 4 */
    spm_piece(&b, SPACE "a", -1, L2_PIECE_NORMAL);          /* 5 */
    spm_piece(&b, "b  b", -1, L2_PIECE_USER_DEFINED);       /* 6: with spaces that stay */
    spm_piece(&b, "[" SPACE "]", 0, L2_PIECE_USER_DEFINED); /* 7 */
    spm_specs(&b, &s);
    assert_int_equal(open_bytes("spaces.model", &b, &v, NULL), L2_OK);
    kit_new(&k, v);
    check_ids(&k, "  a   a  ", (const uint32_t[]){5, 5}, 2);
    check_ids(&k, "    ", NULL, 0);
    check_ids(&k, "a  [ ]", (const uint32_t[]){5, 4, 7}, 3);
    check_ids(&k, "ab  ba", (const uint32_t[]){5, 0, 4, 4, 0, 3}, 6);
    encode(&k, "  a", 3, L2_ENCODE_CONTINUE);
    assert_int_equal(k.ids.n, 1);
    assert_int_equal(k.ids.v[0], 5);
    kit_free(&k);
    l2_buf_release(&b);
}

static void test_golden(void **state)
{
    const char *path = shared_path("data/llama2-tokenizer/tokenizer.model");
    struct kit k;
    char line[65536];
    size_t n = 0;
    (void)state;
    if (!path)
        skip();
    kit_new(&k, open_good(path));
    FILE *f = fopen(shared_path("golden/tokenizer/llama2-spm.jsonl"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *j = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(j);
        const json_t *text = json_object_get(j, "text"), *ids = json_object_get(j, "ids");
        const json_t *decoded = json_object_get(j, "decoded");
        struct l2_buf out = {0};
        encode(&k, json_string_value(text), json_string_length(text), 0);
        assert_int_equal(k.ids.n, json_array_size(ids));
        for (size_t i = 0; i < k.ids.n; i++)
            assert_int_equal(k.ids.v[i], json_integer_value(json_array_get(ids, i)));
        assert_int_equal(l2_decode(k.v, k.ids.v, k.ids.n, false, &out, NULL), L2_OK);
        assert_int_equal(out.len, json_string_length(decoded));
        if (out.len > 0)
            assert_memory_equal(out.data, json_string_value(decoded), out.len);
        l2_buf_release(&out);
        json_decref(j);
        n++;
    }
    fclose(f);
    assert_true(n >= 100);
    kit_free(&k);
}

/* A megabyte without a break: merging is n log n, or this test does not come to an end. */
static void test_long_words(void **state)
{
    static const char *const units[] = {"a", "ab", " ", "\xE4\xB8\x96", "=-", "\xFF"};
    const size_t n = 1 << 20;
    struct kit k;
    char *text = malloc(n + 4);
    (void)state;
    assert_non_null(text);
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t len = strlen(units[u]), used = 0;
        struct l2_buf out = {0};
        for (; used + len <= n; used += len)
            memcpy(text + used, units[u], len);
        encode(&k, text, used, 0);
        assert_int_equal(l2_decode(k.v, k.ids.v, k.ids.n, false, &out, NULL), L2_OK);
        if (units[u][0] != '\xFF') {
            assert_int_equal(out.len, used);
            assert_memory_equal(out.data, text, used);
        }
        l2_buf_release(&out);
    }
    free(text);
    kit_free(&k);
}

/* ---- round trips ---- */

static void check_round_trip(struct kit *k, const char *text, size_t n, bool continuation)
{
    struct l2_buf out = {0};
    encode(k, text, n, continuation ? L2_ENCODE_CONTINUE : 0);
    assert_int_equal(l2_decode(k->v, k->ids.v, k->ids.n, continuation, &out, NULL), L2_OK);
    assert_int_equal(out.len, n);
    if (n > 0)
        assert_memory_equal(out.data, text, n);
    l2_buf_release(&out);
}

static void test_round_trips(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    check_round_trip(&k, "", 0, false);
    check_round_trip(&k, "\0a\0", 3, false);
    seed = 3;
    for (unsigned t = 0; t < 4000; t++) {
        char text[512];
        size_t n = 0;
        for (unsigned i = 0, len = pick(60); i < len; i++) {
            static const uint32_t limits[] = {0x20, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
            uint32_t cp = pick(4) == 0 ? ' ' : pick(limits[pick(5)] + 1);
            if ((cp >= 0xD800 && cp <= 0xDFFF) || cp == L2_SPACE_CP)
                continue;
            n += l2_utf8_encode(cp, text + n);
        }
        check_round_trip(&k, text, n, pick(2));
    }
    kit_free(&k);
}

/* Bytes of any kind encode as if each byte that is no UTF-8 were U+FFFD. */
static void test_invalid_utf8(void **state)
{
    struct kit k, other;
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    kit_new(&other, open_good(source_path("tests/golden/small.model")));
    seed = 5;
    for (unsigned t = 0; t < 4000; t++) {
        char raw[64], clean[3 * 64];
        size_t n = pick(24), m = 0;
        for (size_t i = 0; i < n; i++)
            raw[i] = (char)(pick(3) ? "\xE2\x96\x81\xF0\x9F a\xC3"[pick(8)] : (char)pick(256));
        for (size_t i = 0; i < n;) {
            size_t len = l2_utf8_length(raw + i, n - i);
            memcpy(clean + m, len ? raw + i : "\xEF\xBF\xBD", len ? len : 3);
            m += len ? len : 3;
            i += len ? len : 1;
        }
        encode(&k, raw, n, 0);
        encode(&other, clean, m, 0);
        assert_int_equal(k.ids.n, other.ids.n);
        if (k.ids.n > 0)
            assert_memory_equal(k.ids.v, other.ids.v, k.ids.n * sizeof *k.ids.v);
    }
    kit_free(&k);
    kit_free(&other);
}

/* ---- decoding ---- */

/* Decodes the ids and returns the text, to be compared at once. */
static const char *decoded(const struct l2_vocab *v, const uint32_t *ids, size_t n,
                           bool continuation)
{
    static struct l2_buf out;
    out.len = 0;
    assert_int_equal(l2_decode(v, ids, n, continuation, &out, NULL), L2_OK);
    assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
    return (char *)out.data;
}

#define BYTE(b) (3 + (b))

static void test_decode(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    encode(&k, "the", 3, 0);
    assert_string_equal(decoded(k.v, k.ids.v, k.ids.n, false), "the");
    assert_string_equal(decoded(k.v, k.ids.v, k.ids.n, true), " the");
    /* BOS does not end the start; a byte does */
    uint32_t ids[8] = {1, k.ids.v[0], 2};
    assert_int_equal(k.ids.n, 1);
    assert_string_equal(decoded(k.v, ids, 3, false), "the");
    ids[0] = BYTE('\n');
    assert_string_equal(decoded(k.v, ids, 3, false), "\n the");
    /* bytes make characters, or U+FFFD each */
    static const uint32_t euro[] = {BYTE(0xE2), BYTE(0x82), BYTE(0xAC)};
    assert_string_equal(decoded(k.v, euro, 3, false), "\xE2\x82\xAC");
    assert_string_equal(decoded(k.v, euro, 2, false), "\xEF\xBF\xBD\xEF\xBF\xBD");
    static const uint32_t broken[] = {BYTE(0xE2), BYTE('x'), BYTE(0x82), BYTE(0xC3), 1, BYTE(0xA9)};
    assert_string_equal(decoded(k.v, broken, 6, false),
                        "\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    /* the space that <0x20> stands for is not the dummy prefix */
    static const uint32_t space[] = {BYTE(' '), BYTE('a')};
    assert_string_equal(decoded(k.v, space, 2, false), " a");
    kit_free(&k);
}

/* Whatever the ids, what has come out at any moment is whole characters, and all of it together is
 * what decoding at once gives. */
static void test_decode_in_steps(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    seed = 11;
    for (unsigned t = 0; t < 2000; t++) {
        struct l2_decoder d;
        struct l2_buf out = {0};
        uint32_t ids[24];
        size_t n = pick(24);
        bool continuation = pick(2);
        l2_decoder_init(&d, k.v, continuation);
        for (size_t i = 0; i < n; i++) {
            ids[i] = pick(2) ? BYTE(pick(2) ? 0x80 + pick(0x80) : pick(256)) : pick(k.v->n);
            assert_int_equal(l2_decode_id(&d, ids[i], &out, NULL), L2_OK);
            assert_true(l2_utf8_valid((char *)out.data, out.len, NULL));
        }
        assert_int_equal(l2_decode_finish(&d, &out, NULL), L2_OK);
        assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
        struct l2_buf all = {0};
        assert_int_equal(l2_decode(k.v, ids, n, continuation, &all, NULL), L2_OK);
        assert_int_equal(all.len, out.len - 1);
        if (all.len > 0)
            assert_memory_equal(all.data, out.data, all.len);
        l2_buf_release(&all);
        l2_buf_release(&out);
    }
    kit_free(&k);
}

/* ---- templates ---- */

static void put(struct kit *k, struct l2_ids *out, const char *text, unsigned flags)
{
    assert_int_equal(l2_encode(k->e, text, strlen(text), flags, out, NULL), L2_OK);
}

static void put_id(struct l2_ids *out, uint32_t id)
{
    assert_int_equal(l2_ids_append(out, id, NULL), L2_OK);
}

static struct l2_turn turn(const char *role, const char *content)
{
    return (struct l2_turn){.role = role, .content = content, .content_len = strlen(content)};
}

static void test_template_llama2(void **state)
{
    const struct l2_template *t = l2_template_find("llama2");
    struct kit k;
    struct l2_ids want = {0}, spans = {0};
    (void)state;
    assert_non_null(t);
    assert_null(l2_template_find("none"));
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    /* the system prompt and the user's text are stripped together, white space of Unicode too */
    const struct l2_turn turns[] = {
        turn("system", " be brief "),
        turn("user", " hi </s> \xE3\x80\x80\n"),
        turn("assistant", "\xC2\xA0hello\t"),
        turn("user", "and you?"),
    };
    assert_int_equal(l2_template_prompt(t, k.e, turns, 4, &k.ids, &spans, NULL), L2_OK);
    put_id(&want, 1);
    put(&k, &want, "[INST] <<SYS>>\n be brief \n<</SYS>>\n\n hi </s> [/INST]", 0);
    size_t begin = want.n;
    put(&k, &want, " hello ", L2_ENCODE_CONTINUE);
    put_id(&want, 2);
    size_t end = want.n;
    put_id(&want, 1);
    put(&k, &want, "[INST] and you? [/INST]", 0);
    assert_int_equal(k.ids.n, want.n);
    assert_memory_equal(k.ids.v, want.v, want.n * sizeof *want.v);
    assert_int_equal(spans.n, 2);
    assert_int_equal(spans.v[0], begin);
    assert_int_equal(spans.v[1], end);

    /* an answer that was generated is spliced in; its EOS is not doubled; spans are relative */
    const uint32_t generated[] = {300, 301, 2};
    const struct l2_turn after[] = {{.role = "assistant", .ids = generated, .n_ids = 3},
                                    turn("user", "x"),
                                    turn("assistant", "y")};
    k.ids.n = want.n = spans.n = 0;
    put_id(&k.ids, 77);
    assert_int_equal(l2_template_completion(t, k.e, after, 3, false, &k.ids, &spans, NULL), L2_OK);
    put_id(&want, 77);
    for (int i = 0; i < 3; i++)
        put_id(&want, generated[i]);
    put_id(&want, 1);
    put(&k, &want, "[INST] x [/INST]", 0);
    begin = want.n;
    put(&k, &want, " y ", L2_ENCODE_CONTINUE);
    assert_int_equal(k.ids.n, want.n);
    assert_memory_equal(k.ids.v, want.v, want.n * sizeof *want.v);
    assert_int_equal(spans.n, 4);
    assert_int_equal(spans.v[0], 0);
    assert_int_equal(spans.v[1], 3);
    assert_int_equal(spans.v[2], begin - 1);
    assert_int_equal(spans.v[3], want.n - 1);
    l2_ids_release(&want);
    l2_ids_release(&spans);
    kit_free(&k);
}

static void test_template_errors(void **state)
{
    static const struct {
        const char *roles[4];
        bool completion;
        const char *text;
    } cases[] = {
        {{NULL}, false, "without a user turn"},
        {{"system"}, false, "without a user turn"},
        {{"assistant"}, false, "turn 1 of the dialogue: want role user, got assistant"},
        {{"user", "user"}, false, "turn 2 of the dialogue: want role assistant, got user"},
        {{"system", "system"}, false, "want role user, got system"},
        {{"user", "tool"}, false, "want role assistant, got tool"},
        {{"user"}, true, "want role assistant, got user"},
    };
    struct kit k;
    (void)state;
    kit_new(&k, open_good(source_path("tests/golden/small.model")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct l2_turn turns[4];
        struct l2_err err = {0};
        const struct l2_template *t = l2_template_find("llama2");
        size_t n = 0;
        for (; n < 4 && cases[i].roles[n]; n++)
            turns[n] = turn(cases[i].roles[n], "x");
        int r = cases[i].completion
                    ? l2_template_completion(t, k.e, turns, n, true, &k.ids, NULL, &err)
                    : l2_template_prompt(t, k.e, turns, n, &k.ids, NULL, &err);
        assert_int_equal(r, L2_ARGUMENT);
        assert_non_null(strstr(err.text, cases[i].text));
    }
    kit_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_vocabularies),
        cmocka_unit_test(test_small_model_by_definition),
        cmocka_unit_test(test_unused_pieces),
        cmocka_unit_test(test_removed_spaces),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_in_steps),
        cmocka_unit_test(test_template_llama2),
        cmocka_unit_test(test_template_errors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
