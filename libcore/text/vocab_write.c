/* Writing vocabularies: GGUF's metadata, and SentencePiece's protocol buffer. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/vocab_write.h"

#include <stdio.h>
#include <string.h>

#include "text/vocab_impl.h"
#include "util/num.h"

#define PAD_SCORE (-10000.0f)

/* ---- GGUF ---- */

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static int put_tokens(struct l2_gguf_values *out, const struct l2_vocab *v, uint32_t rows,
                      struct l2_err *err)
{
    int r = l2_gguf_put_array(out, "tokenizer.ggml.tokens", L2_GGUF_STRING, rows, err);
    for (uint32_t i = 0; i < rows && r == L2_OK; i++) {
        char pad[32];
        size_t n;
        const char *text = i < v->n ? l2_piece_text(v, i, &n) : pad;
        if (i >= v->n)
            n = (size_t)snprintf(pad, sizeof pad, "[PAD%u]", (unsigned)i);
        r = l2_gguf_put_element_str(out, text, n, err);
    }
    return r;
}

static int put_scores(struct l2_gguf_values *out, const struct l2_vocab *v, uint32_t rows,
                      struct l2_err *err)
{
    int r = l2_gguf_put_array(out, "tokenizer.ggml.scores", L2_GGUF_F32, rows, err);
    for (uint32_t i = 0; i < rows && r == L2_OK; i++)
        r = l2_gguf_put_element_u32(out, float_bits(i < v->n ? v->pieces[i].score : PAD_SCORE),
                                    err);
    return r;
}

static int put_types(struct l2_gguf_values *out, const struct l2_vocab *v, uint32_t rows,
                     struct l2_err *err)
{
    int r = l2_gguf_put_array(out, "tokenizer.ggml.token_type", L2_GGUF_I32, rows, err);
    for (uint32_t i = 0; i < rows && r == L2_OK; i++)
        r = l2_gguf_put_element_u32(out, (uint32_t)(i < v->n ? v->pieces[i].kind : L2_PIECE_UNUSED),
                                    err);
    return r;
}

/* "left right" for each merge, in order. */
static int put_merges(struct l2_gguf_values *out, const struct l2_vocab *v, struct l2_err *err)
{
    size_t n;
    const struct l2_merge *merges = l2_vocab_merges(v, &n);
    struct l2_buf text = {0};
    int r = l2_gguf_put_array(out, "tokenizer.ggml.merges", L2_GGUF_STRING, n, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        size_t n_left, n_right;
        const char *left = l2_piece_text(v, merges[i].left, &n_left);
        const char *right = l2_piece_text(v, merges[i].right, &n_right);
        text.len = 0;
        r = l2_buf_append(&text, left, n_left, err);
        if (r == L2_OK)
            r = l2_buf_append_byte(&text, ' ', err);
        if (r == L2_OK)
            r = l2_buf_append(&text, right, n_right, err);
        if (r == L2_OK)
            r = l2_gguf_put_element_str(out, (const char *)text.data, text.len, err);
    }
    l2_buf_release(&text);
    return r;
}

/* Which algorithm the pieces are for. */
static int put_model(struct l2_gguf_values *out, const struct l2_vocab *v, struct l2_err *err)
{
    bool bytes = l2_vocab_byte_level(v);
    const char *model = bytes ? "gpt2" : "llama", *pre = bytes ? l2_vocab_pre(v) : "default";
    if (!pre)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "the way in which the vocabulary cuts words has no name in GGUF files");
    int r = l2_gguf_put_str(out, "tokenizer.ggml.model", model, strlen(model), err);
    return r == L2_OK ? l2_gguf_put_str(out, "tokenizer.ggml.pre", pre, strlen(pre), err) : r;
}

int l2_vocab_to_gguf(struct l2_gguf_values *out, const struct l2_vocab *v, uint32_t rows,
                     struct l2_err *err)
{
    if (rows < v->n)
        return l2_err_set(err, L2_ARGUMENT, "the model has %u rows for the vocabulary's %u ids",
                          (unsigned)rows, (unsigned)v->n);
    int r = put_model(out, v, err);
    if (r == L2_OK)
        r = put_tokens(out, v, rows, err);
    if (r == L2_OK)
        r = l2_vocab_byte_level(v) ? put_merges(out, v, err) : put_scores(out, v, rows, err);
    if (r == L2_OK)
        r = put_types(out, v, rows, err);
    if (r == L2_OK && v->unk != L2_NO_ID)
        r = l2_gguf_put_u32(out, "tokenizer.ggml.unknown_token_id", v->unk, err);
    if (r == L2_OK)
        r = l2_gguf_put_bool(out, "tokenizer.ggml.add_bos_token", l2_vocab_add_bos(v), err);
    if (r == L2_OK)
        r = l2_gguf_put_bool(out, "tokenizer.ggml.add_eos_token", false, err);
    if (r == L2_OK && !l2_vocab_byte_level(v))
        r = l2_gguf_put_bool(out, "tokenizer.ggml.add_space_prefix", l2_vocab_dummy_prefix(v), err);
    if (r == L2_OK && v->remove_extra_spaces)
        r = l2_gguf_put_bool(out, "tokenizer.ggml.remove_extra_whitespaces", true, err);
    return r;
}

/* ---- SentencePiece: sentencepiece_model.proto ---- */

/* Fields of ModelProto, SentencePiece, TrainerSpec and NormalizerSpec. */
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_TYPE = 3,
    TRAINER_VOCAB_SIZE = 4,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK = 40,
    TRAINER_BOS = 41,
    TRAINER_EOS = 42,
    TRAINER_PAD = 43
};
enum { NORMALIZER_NAME = 1, NORMALIZER_PREFIX = 3, NORMALIZER_EXTRA = 4, NORMALIZER_ESCAPE = 5 };
enum { TYPE_BPE = 2 };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32_BIT = 5 };

/* Keeps the first failure; what comes after it is dropped. */
struct proto {
    struct l2_buf *out;
    struct l2_err *err;
    int r;
};

static void put_varint(struct proto *p, uint64_t v)
{
    do {
        if (p->r == L2_OK)
            p->r = l2_buf_append_byte(p->out, (uint8_t)((v & 127) | (v > 127 ? 128 : 0)), p->err);
        v >>= 7;
    } while (v > 0);
}

static void put_number(struct proto *p, unsigned field, uint64_t v)
{
    put_varint(p, field << 3 | WIRE_VARINT);
    put_varint(p, v);
}

/* An id, or -1 as protocol buffers have it. */
static void put_id(struct proto *p, unsigned field, uint32_t id)
{
    put_number(p, field, id == L2_NO_ID ? UINT64_MAX : id);
}

static void put_bytes(struct proto *p, unsigned field, const void *s, size_t n)
{
    put_varint(p, field << 3 | WIRE_BYTES);
    put_varint(p, n);
    if (p->r == L2_OK)
        p->r = l2_buf_append(p->out, s, n, p->err);
}

static void put_piece(struct proto *p, const struct l2_vocab *v, uint32_t id, struct l2_buf *piece)
{
    uint8_t score[4];
    size_t n;
    struct proto inner = {.out = piece, .err = p->err, .r = p->r};
    const char *text = l2_piece_text(v, id, &n);
    piece->len = 0;
    put_bytes(&inner, PIECE_TEXT, text, n);
    put_varint(&inner, PIECE_SCORE << 3 | WIRE_32_BIT);
    l2_put_f32le(score, v->pieces[id].score);
    if (inner.r == L2_OK)
        inner.r = l2_buf_append(piece, score, sizeof score, p->err);
    if (v->pieces[id].kind != L2_PIECE_NORMAL)
        put_number(&inner, PIECE_TYPE, v->pieces[id].kind);
    p->r = inner.r;
    put_bytes(p, MODEL_PIECE, piece->data, piece->len);
}

int l2_vocab_to_spm(struct l2_buf *out, const struct l2_vocab *v, struct l2_err *err)
{
    struct l2_buf part = {0};
    struct proto p = {.out = out, .err = err, .r = L2_OK};
    struct proto inner = {.out = &part, .err = err, .r = L2_OK};
    if (l2_vocab_byte_level(v))
        return l2_err_set(err, L2_UNSUPPORTED,
                          "a byte-level vocabulary has no form as a SentencePiece model");
    for (uint32_t i = 0; i < v->n; i++)
        put_piece(&p, v, i, &part);
    part.len = 0;
    put_number(&inner, TRAINER_TYPE, TYPE_BPE);
    put_number(&inner, TRAINER_VOCAB_SIZE, v->n);
    put_number(&inner, TRAINER_BYTE_FALLBACK, v->byte_fallback);
    put_id(&inner, TRAINER_UNK, v->unk);
    put_id(&inner, TRAINER_BOS, v->bos);
    put_id(&inner, TRAINER_EOS, v->eos);
    put_id(&inner, TRAINER_PAD, L2_NO_ID);
    put_bytes(&p, MODEL_TRAINER, part.data, part.len);
    part.len = 0;
    put_bytes(&inner, NORMALIZER_NAME, "identity", 8);
    put_number(&inner, NORMALIZER_PREFIX, v->dummy_prefix);
    put_number(&inner, NORMALIZER_EXTRA, v->remove_extra_spaces);
    put_number(&inner, NORMALIZER_ESCAPE, 1);
    put_bytes(&p, MODEL_NORMALIZER, part.data, part.len);
    l2_buf_release(&part);
    return p.r != L2_OK ? p.r : inner.r;
}
