/* Writes SentencePiece models for tests. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spm_writer.h"
#include "text/vocab_impl.h"
#include "util/num.h"

static void put(struct l2_buf *b, const void *s, size_t n)
{
    assert_int_equal(l2_buf_append(b, s, n, NULL), L2_OK);
}

void pb_varint(struct l2_buf *b, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
        put(b, &byte, 1);
        v >>= 7;
    } while (v > 0);
}

void pb_int(struct l2_buf *b, unsigned field, uint64_t v)
{
    pb_varint(b, field << 3);
    pb_varint(b, v);
}

void pb_float(struct l2_buf *b, unsigned field, float v)
{
    uint8_t bits[4];
    l2_put_f32le(bits, v);
    pb_varint(b, field << 3 | 5);
    put(b, bits, sizeof bits);
}

void pb_bytes(struct l2_buf *b, unsigned field, const void *s, size_t n)
{
    pb_varint(b, field << 3 | 2);
    pb_varint(b, n);
    put(b, s, n);
}

void spm_piece(struct l2_buf *b, const char *text, float score, enum l2_piece_kind kind)
{
    struct l2_buf piece = {0};
    pb_bytes(&piece, 1, text, strlen(text));
    pb_float(&piece, 2, score);
    if (kind != L2_PIECE_NORMAL)
        pb_int(&piece, 3, kind);
    pb_bytes(b, 1, piece.data, piece.len);
    l2_buf_release(&piece);
}

void spm_specials(struct l2_buf *b, bool bytes)
{
    spm_piece(b, "<unk>", 0, L2_PIECE_UNKNOWN);
    spm_piece(b, "<s>", 0, L2_PIECE_CONTROL);
    spm_piece(b, "</s>", 0, L2_PIECE_CONTROL);
    for (unsigned i = 0; bytes && i < 256; i++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", i);
        spm_piece(b, text, 0, L2_PIECE_BYTE);
    }
}

void spm_specs(struct l2_buf *b, const struct spm_settings *s)
{
    struct l2_buf spec = {0};
    pb_int(&spec, 3, s->type);
    pb_int(&spec, 24, s->suffix);
    pb_int(&spec, 35, s->byte_fallback);
    pb_bytes(b, 2, spec.data, spec.len);
    spec.len = 0;
    pb_bytes(&spec, 1, s->charsmap ? "nmt_nfkc" : "identity", 8);
    if (s->charsmap)
        pb_bytes(&spec, 2, s->charsmap, strlen(s->charsmap));
    pb_int(&spec, 3, s->dummy_prefix);
    pb_int(&spec, 4, s->remove_extra);
    pb_int(&spec, 5, !s->no_escape);
    pb_bytes(b, 3, spec.data, spec.len);
    if (s->denormalizer) {
        spec.len = 0;
        pb_bytes(&spec, 2, s->denormalizer, strlen(s->denormalizer));
        pb_bytes(b, 5, spec.data, spec.len);
    }
    l2_buf_release(&spec);
}

int open_bytes(const char *name, const struct l2_buf *b, struct l2_vocab **out, struct l2_err *err)
{
    char file[64];
    snprintf(file, sizeof file, "%s", name);
    /* a copy of the very size, so that reading past its end is found out */
    uint8_t *copy = malloc(b->len > 0 ? b->len : 1);
    assert_non_null(copy);
    if (b->len > 0)
        memcpy(copy, b->data, b->len);
    struct l2_map m = {.data = copy, .size = b->len, .name = file};
    int r = l2_vocab_read(out, &m, err);
    free(copy);
    return r;
}
