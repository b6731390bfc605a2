/* Reads the vocabulary inside a GGUF file: SentencePiece's with scores, or a byte-level one with
 * merges. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "text/vocab_impl.h"
#include "util/gguf.h"
#include "util/num.h"

/* The arrays tokenizer.ggml.tokens, .scores, .token_type and .merges. */
struct arrays {
    const struct l2_gguf_value *tokens, *scores, *types, *merges;
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

/* tokenizer.ggml.model: "llama" for SentencePiece, "gpt2" for bytes. */
static int find_model(struct l2_vocab *v, const struct l2_gguf *g, struct l2_err *err)
{
    struct l2_gguf_str model;
    bool found;
    int r = l2_gguf_get_str(g, "tokenizer.ggml.model", &model, &found, err);
    if (r != L2_OK)
        return r;
    v->byte_level = v->listed = v->user_cuts = found && l2_gguf_str_is(model, "gpt2");
    if (!found || !(v->byte_level || l2_gguf_str_is(model, "llama")))
        return l2_err_at(
            err, L2_UNSUPPORTED, g->map->name, -1,
            "tokenizer.ggml.model %.*s is not supported: want llama (SentencePiece) or "
            "gpt2 (byte-level)",
            found ? (int)(model.n < 60 ? model.n : 60) : 4, found ? model.s : "none");
    return L2_OK;
}

static int find_arrays(const struct l2_vocab *v, const struct l2_gguf *g, struct arrays *a,
                       struct l2_err *err)
{
    *a = (struct arrays){0};
    int r = find_array(g, "tokenizer.ggml.tokens", L2_GGUF_STRING, &a->tokens, err);
    if (r == L2_OK && !v->byte_level)
        r = find_array(g, "tokenizer.ggml.scores", L2_GGUF_F32, &a->scores, err);
    if (r == L2_OK && v->byte_level)
        r = find_array(g, "tokenizer.ggml.merges", L2_GGUF_STRING, &a->merges, err);
    if (r == L2_OK)
        r = find_array(g, "tokenizer.ggml.token_type", L2_GGUF_I32, &a->types, err);
    uint64_t n_scores = r == L2_OK && a->scores ? a->scores->n : r == L2_OK ? a->tokens->n : 0;
    if (r == L2_OK && (n_scores != a->tokens->n || a->types->n != a->tokens->n))
        r = l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                      "vocabulary arrays differ in length: %llu tokens, %llu scores, %llu types",
                      (unsigned long long)a->tokens->n, (unsigned long long)n_scores,
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
        if (v->byte_level && kind == L2_PIECE_BYTE)
            return l2_err_at(err, L2_CORRUPT, g->map->name, at,
                             "a byte piece in a byte-level vocabulary");
        float score = a->scores ? l2_get_f32le(a->scores->data + 4 * i) : 0;
        r = l2_vocab_add(v, s.s, s.n, score, (enum l2_piece_kind)kind, g->map->name, at, err);
        v->byte_fallback = v->byte_fallback || kind == L2_PIECE_BYTE;
    }
    return r;
}

/* Each merge is "left right"; the pieces hold no spaces. */
static int add_merges(struct l2_vocab *v, const struct l2_gguf *g, const struct arrays *a,
                      struct l2_err *err)
{
    struct l2_piece_index index = {0};
    size_t pos = 0;
    int r = l2_merge_index(v, &index, g->map->name, err);
    for (uint64_t i = 0; i < a->merges->n && r == L2_OK; i++) {
        struct l2_gguf_str s = l2_gguf_next_str(a->merges, &pos);
        const char *space = memchr(s.s, ' ', s.n);
        if (space)
            r = l2_merge_add(v, &index, s.s, (size_t)(space - s.s), space + 1,
                             s.n - (size_t)(space - s.s) - 1, g->map->name, err);
        else
            r = l2_err_at(err, L2_CORRUPT, g->map->name, a->merges->offset,
                          "merge %llu: want two pieces", (unsigned long long)i);
    }
    l2_piece_index_release(&index);
    return r;
}

static int read_byte_level(struct l2_vocab *v, const struct l2_gguf *g, const struct arrays *a,
                           struct l2_err *err)
{
    struct l2_gguf_str pre = {"none", 4};
    bool found;
    int r = l2_gguf_get_str(g, "tokenizer.ggml.pre", &pre, &found, err);
    if (r == L2_OK)
        r = l2_splitter_of_name(&v->splitter, pre.s, pre.n, &v->ignore_merges, g->map->name, err);
    return r == L2_OK ? add_merges(v, g, a, err) : r;
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
    bool found, add_bos;
    int r = find_model(v, g, err);
    if (r == L2_OK)
        r = find_arrays(v, g, &a, err);
    v->dummy_prefix = !v->byte_level;
    add_bos = !v->byte_level;
    if (r == L2_OK)
        r = l2_gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &v->dummy_prefix, &found, err);
    if (r == L2_OK)
        r = l2_gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &v->remove_extra_spaces,
                             &found, err);
    if (r == L2_OK)
        r = add_pieces(v, g, &a, err);
    if (r == L2_OK && v->byte_level) {
        v->dummy_prefix = v->remove_extra_spaces = false;
        r = read_byte_level(v, g, &a, err);
        /* what llama.cpp takes for granted where the key is missing */
        const char *pre = r == L2_OK ? l2_vocab_pre(v) : NULL;
        add_bos = pre && strcmp(pre, "llama-bpe") == 0;
    }
    if (r == L2_OK)
        r = l2_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &add_bos, &found, err);
    v->no_bos = !add_bos;
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
