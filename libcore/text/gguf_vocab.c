/* Reads the SentencePiece vocabulary inside a GGUF file. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/vocab_impl.h"
#include "util/gguf.h"
#include "util/num.h"

/* The arrays tokenizer.ggml.tokens, .scores and .token_type. */
struct arrays {
    const struct l2_gguf_value *tokens, *scores, *types;
};

static int find_array(const struct l2_gguf *g, const char *key, enum l2_gguf_type element,
                      const struct l2_gguf_value **out, struct l2_err *err)
{
    *out = l2_gguf_find(g, key);
    if (!*out)
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1,
                         "no vocabulary inside: %s is missing", key);
    if ((*out)->type != L2_GGUF_ARRAY || (*out)->element != element)
        return l2_err_at(err, L2_CORRUPT, g->map->name, (*out)->offset,
                         "%s is no array of the right type", key);
    return L2_OK;
}

static int find_arrays(const struct l2_gguf *g, struct arrays *a, struct l2_err *err)
{
    struct l2_gguf_str model;
    bool found;
    int r = l2_gguf_get_str(g, "tokenizer.ggml.model", &model, &found, err);
    if (r != L2_OK)
        return r;
    if (!found || !l2_gguf_str_is(model, "llama"))
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1,
                         "tokenizer.ggml.model %.*s is not supported: want llama (SentencePiece)",
                         found ? (int)(model.n < 60 ? model.n : 60) : 4, found ? model.s : "none");
    r = find_array(g, "tokenizer.ggml.tokens", L2_GGUF_STRING, &a->tokens, err);
    if (r == L2_OK)
        r = find_array(g, "tokenizer.ggml.scores", L2_GGUF_F32, &a->scores, err);
    if (r == L2_OK)
        r = find_array(g, "tokenizer.ggml.token_type", L2_GGUF_I32, &a->types, err);
    if (r == L2_OK && (a->scores->n != a->tokens->n || a->types->n != a->tokens->n))
        r = l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                      "vocabulary arrays differ in length: %llu tokens, %llu scores, %llu types",
                      (unsigned long long)a->tokens->n, (unsigned long long)a->scores->n,
                      (unsigned long long)a->types->n);
    return r;
}

static int add_pieces(struct l2_vocab *v, const struct l2_gguf *g, const struct arrays *a,
                      struct l2_err *err)
{
    size_t pos = 0;
    int r = L2_OK;
    for (uint64_t i = 0; i < a->tokens->n && r == L2_OK; i++) {
        int64_t at = a->tokens->offset + (int64_t)pos;
        struct l2_gguf_str s = l2_gguf_next_str(a->tokens, &pos);
        uint32_t kind = l2_get_u32le(a->types->data + 4 * i);
        if (kind < L2_PIECE_NORMAL || kind > L2_PIECE_BYTE)
            return l2_err_at(err, L2_CORRUPT, g->map->name, a->types->offset + (int64_t)(4 * i),
                             "piece %llu is of type %u: want 1 to 6", (unsigned long long)i,
                             (unsigned)kind);
        r = l2_vocab_add(v, s.s, s.n, l2_get_f32le(a->scores->data + 4 * i),
                         (enum l2_piece_kind)kind, g->map->name, at, err);
        v->byte_fallback = v->byte_fallback || kind == L2_PIECE_BYTE;
    }
    return r;
}

/* bos or eos, which must be one of the pieces where it is given. */
static int read_special(const struct l2_vocab *v, const struct l2_gguf *g, const char *key,
                        uint32_t *out, struct l2_err *err)
{
    bool found;
    int r = l2_gguf_get_u32(g, key, out, &found, err);
    if (r == L2_OK && found && *out >= v->n)
        r = l2_err_at(err, L2_CORRUPT, g->map->name, -1, "%s is %u, but the vocabulary has %u", key,
                      (unsigned)*out, (unsigned)v->n);
    return r;
}

static int read_vocab(struct l2_vocab *v, const struct l2_gguf *g, struct l2_err *err)
{
    struct arrays a;
    bool found;
    v->dummy_prefix = true;
    int r = find_arrays(g, &a, err);
    if (r == L2_OK)
        r = l2_gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &v->dummy_prefix, &found, err);
    if (r == L2_OK)
        r = l2_gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &v->remove_extra_spaces,
                             &found, err);
    if (r == L2_OK)
        r = add_pieces(v, g, &a, err);
    if (r == L2_OK)
        r = read_special(v, g, "tokenizer.ggml.bos_token_id", &v->bos, err);
    if (r == L2_OK)
        r = read_special(v, g, "tokenizer.ggml.eos_token_id", &v->eos, err);
    return r;
}

int l2_gguf_vocab_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err)
{
    struct l2_gguf g;
    int r = l2_gguf_read(&g, m, err);
    if (r != L2_OK)
        return r;
    r = read_vocab(v, &g, err);
    l2_gguf_release(&g);
    return r;
}
