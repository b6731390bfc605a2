/* Writing CBOR in its shortest form, by libcbor's encoders. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/cbor.h"

#include <cbor.h>
#include <string.h>

#include "util/num.h"
#include "util/utf8.h"

#define HEAD_BYTES 9 /* the longest head, and the longest number */

static bool room(struct l2_cbor_out *o, size_t n)
{
    if (o->rc == L2_OK)
        o->rc = l2_buf_reserve(o->out, n, o->err);
    return o->rc == L2_OK;
}

/* Where the next item goes, and that it went there. */
static unsigned char *tail(struct l2_cbor_out *o)
{
    return o->out->data + o->out->len;
}

void l2_cbor_put_uint(struct l2_cbor_out *o, uint64_t v)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_uint(v, tail(o), HEAD_BYTES);
}

void l2_cbor_put_int(struct l2_cbor_out *o, int64_t v)
{
    if (v >= 0)
        l2_cbor_put_uint(o, (uint64_t)v);
    else if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_negint((uint64_t) - (v + 1), tail(o), HEAD_BYTES);
}

void l2_cbor_put_bool(struct l2_cbor_out *o, bool v)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_bool(v, tail(o), HEAD_BYTES);
}

void l2_cbor_put_null(struct l2_cbor_out *o)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_null(tail(o), HEAD_BYTES);
}

void l2_cbor_put_f32(struct l2_cbor_out *o, float v)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_single(v, tail(o), HEAD_BYTES);
}

void l2_cbor_put_f64(struct l2_cbor_out *o, double v)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_double(v, tail(o), HEAD_BYTES);
}

void l2_cbor_put_bytes(struct l2_cbor_out *o, const void *s, size_t n)
{
    if (!room(o, HEAD_BYTES))
        return;
    o->out->len += cbor_encode_bytestring_start(n, tail(o), HEAD_BYTES);
    l2_cbor_put_raw(o, s, n);
}

void l2_cbor_put_text(struct l2_cbor_out *o, const char *s, size_t n)
{
    size_t bad;
    if (!room(o, HEAD_BYTES))
        return;
    if (!l2_utf8_valid(s, n, &bad)) {
        o->rc = l2_err_set(o->err, L2_ARGUMENT, "text is not UTF-8 at its byte %zu", bad);
        return;
    }
    o->out->len += cbor_encode_string_start(n, tail(o), HEAD_BYTES);
    l2_cbor_put_raw(o, s, n);
}

void l2_cbor_put_str(struct l2_cbor_out *o, const char *s)
{
    l2_cbor_put_text(o, s, strlen(s));
}

void l2_cbor_put_array(struct l2_cbor_out *o, size_t n)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_array_start(n, tail(o), HEAD_BYTES);
}

void l2_cbor_put_map(struct l2_cbor_out *o, size_t n)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_map_start(n, tail(o), HEAD_BYTES);
}

void l2_cbor_put_tag(struct l2_cbor_out *o, uint64_t tag)
{
    if (room(o, HEAD_BYTES))
        o->out->len += cbor_encode_tag(tag, tail(o), HEAD_BYTES);
}

/* The head of a typed array of n 32-bit numbers, and room for them. */
static bool typed_array(struct l2_cbor_out *o, enum l2_cbor_tag tag, size_t n)
{
    size_t bytes, all;
    if (o->rc == L2_OK && (!l2_mul_size(n, 4, &bytes) || !l2_add_size(bytes, 2 * HEAD_BYTES, &all)))
        o->rc = l2_err_memory(o->err, SIZE_MAX);
    if (!room(o, 2 * HEAD_BYTES) || !room(o, all))
        return false;
    o->out->len += cbor_encode_tag(tag, tail(o), HEAD_BYTES);
    o->out->len += cbor_encode_bytestring_start(bytes, tail(o), HEAD_BYTES);
    return true;
}

void l2_cbor_put_u32s(struct l2_cbor_out *o, const uint32_t *v, size_t n)
{
    if (typed_array(o, L2_TAG_U32, n)) {
        l2_put_u32le_array(tail(o), v, n);
        o->out->len += 4 * n;
    }
}

void l2_cbor_put_f32s(struct l2_cbor_out *o, const float *v, size_t n)
{
    if (typed_array(o, L2_TAG_F32, n)) {
        l2_put_f32le_array(tail(o), v, n);
        o->out->len += 4 * n;
    }
}

void l2_cbor_put_raw(struct l2_cbor_out *o, const void *items, size_t n)
{
    if (o->rc == L2_OK)
        o->rc = l2_buf_append(o->out, items, n, o->err);
}
