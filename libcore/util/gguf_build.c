/* Writing GGUF containers. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/gguf_build.h"

#include <string.h>

#include "util/num.h"

static int put_u32(struct l2_buf *out, uint32_t v, struct l2_err *err)
{
    uint8_t bytes[4];
    l2_put_u32le(bytes, v);
    return l2_buf_append(out, bytes, sizeof bytes, err);
}

static int put_u64(struct l2_buf *out, uint64_t v, struct l2_err *err)
{
    uint8_t bytes[8];
    l2_put_u64le(bytes, v);
    return l2_buf_append(out, bytes, sizeof bytes, err);
}

static int put_str(struct l2_buf *out, const char *s, size_t n, struct l2_err *err)
{
    int r = put_u64(out, n, err);
    return r == L2_OK ? l2_buf_append(out, s, n, err) : r;
}

static int begin_value(struct l2_gguf_values *v, const char *key, size_t key_len,
                       enum l2_gguf_type type, struct l2_err *err)
{
    v->n++;
    int r = put_str(&v->bytes, key, key_len, err);
    return r == L2_OK ? put_u32(&v->bytes, (uint32_t)type, err) : r;
}

int l2_gguf_put_u32(struct l2_gguf_values *v, const char *key, uint32_t value, struct l2_err *err)
{
    int r = begin_value(v, key, strlen(key), L2_GGUF_U32, err);
    return r == L2_OK ? put_u32(&v->bytes, value, err) : r;
}

int l2_gguf_put_f32(struct l2_gguf_values *v, const char *key, float value, struct l2_err *err)
{
    uint8_t bytes[4];
    l2_put_f32le(bytes, value);
    int r = begin_value(v, key, strlen(key), L2_GGUF_F32, err);
    return r == L2_OK ? l2_buf_append(&v->bytes, bytes, sizeof bytes, err) : r;
}

int l2_gguf_put_bool(struct l2_gguf_values *v, const char *key, bool value, struct l2_err *err)
{
    int r = begin_value(v, key, strlen(key), L2_GGUF_BOOL, err);
    return r == L2_OK ? l2_buf_append_byte(&v->bytes, value, err) : r;
}

int l2_gguf_put_str(struct l2_gguf_values *v, const char *key, const char *s, size_t n,
                    struct l2_err *err)
{
    int r = begin_value(v, key, strlen(key), L2_GGUF_STRING, err);
    return r == L2_OK ? put_str(&v->bytes, s, n, err) : r;
}

static int begin_array(struct l2_gguf_values *v, enum l2_gguf_type element, uint64_t n,
                       struct l2_err *err)
{
    int r = put_u32(&v->bytes, (uint32_t)element, err);
    return r == L2_OK ? put_u64(&v->bytes, n, err) : r;
}

int l2_gguf_put_array(struct l2_gguf_values *v, const char *key, enum l2_gguf_type element,
                      uint64_t n, struct l2_err *err)
{
    int r = begin_value(v, key, strlen(key), L2_GGUF_ARRAY, err);
    return r == L2_OK ? begin_array(v, element, n, err) : r;
}

int l2_gguf_put_element_str(struct l2_gguf_values *v, const char *s, size_t n, struct l2_err *err)
{
    return put_str(&v->bytes, s, n, err);
}

int l2_gguf_put_element_u32(struct l2_gguf_values *v, uint32_t bits, struct l2_err *err)
{
    return put_u32(&v->bytes, bits, err);
}

/* A value's data is its encoding; of a string that is what follows the length. */
int l2_gguf_put_copy(struct l2_gguf_values *v, const struct l2_gguf_value *from, struct l2_err *err)
{
    int r = begin_value(v, from->key.s, from->key.n, from->type, err);
    if (r == L2_OK && from->type == L2_GGUF_ARRAY)
        r = begin_array(v, from->element, from->n, err);
    return r == L2_OK ? l2_buf_append(&v->bytes, from->data, from->size, err) : r;
}

size_t l2_gguf_padding(uint64_t bytes)
{
    return (size_t)((L2_GGUF_ALIGNMENT - bytes % L2_GGUF_ALIGNMENT) % L2_GGUF_ALIGNMENT);
}

int l2_gguf_write_begin(struct l2_gguf_writer *w, struct l2_buf *out,
                        const struct l2_gguf_values *const *values, size_t n_values,
                        uint64_t n_tensors, struct l2_err *err)
{
    uint64_t n = 0;
    *w = (struct l2_gguf_writer){.out = out};
    for (size_t i = 0; i < n_values; i++)
        n += values[i]->n;
    int r = l2_buf_append_str(out, "GGUF", err);
    if (r == L2_OK)
        r = put_u32(out, 3, err);
    if (r == L2_OK)
        r = put_u64(out, n_tensors, err);
    if (r == L2_OK)
        r = put_u64(out, n, err);
    for (size_t i = 0; i < n_values && r == L2_OK; i++)
        r = l2_buf_append(out, values[i]->bytes.data, values[i]->bytes.len, err);
    return r;
}

int l2_gguf_write_add(struct l2_gguf_writer *w, const char *name, uint64_t rows, uint64_t cols,
                      uint32_t type, uint64_t bytes, struct l2_err *err)
{
    int r = put_str(w->out, name, strlen(name), err);
    if (r == L2_OK)
        r = put_u32(w->out, rows > 0 ? 2 : 1, err);
    if (r == L2_OK)
        r = put_u64(w->out, cols, err);
    if (r == L2_OK && rows > 0)
        r = put_u64(w->out, rows, err);
    if (r == L2_OK)
        r = put_u32(w->out, type, err);
    if (r == L2_OK)
        r = put_u64(w->out, w->offset, err);
    w->offset += bytes + l2_gguf_padding(bytes);
    return r;
}

int l2_gguf_write_end(struct l2_gguf_writer *w, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t n = l2_gguf_padding(w->out->len); n > 0 && r == L2_OK; n--)
        r = l2_buf_append_byte(w->out, 0, err);
    return r;
}
