/* Writing a byte-level vocabulary as a tokenizer.json. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/tokjson_write.h"

#include <jansson.h>
#include <stdlib.h>

#include "text/vocab_impl.h"

/* json_pack and its kin pass NULL on, so that only the last value need be looked at. */

static json_t *piece_text(const struct l2_vocab *v, uint32_t id)
{
    size_t n;
    const char *s = l2_piece_text(v, id, &n);
    return json_stringn(s, n);
}

static bool is_added(const struct l2_vocab *v, uint32_t id)
{
    enum l2_piece_kind kind = v->pieces[id].kind;
    return kind == L2_PIECE_CONTROL || kind == L2_PIECE_USER_DEFINED;
}

static json_t *added_tokens(const struct l2_vocab *v)
{
    json_t *all = json_array();
    for (uint32_t id = 0; id < v->n; id++) {
        if (!is_added(v, id))
            continue;
        json_t *token =
            json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content",
                      piece_text(v, id), "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized",
                      0, "special", v->pieces[id].kind == L2_PIECE_CONTROL);
        if (json_array_append_new(all, token) != 0)
            goto fail;
    }
    return all;
fail:
    json_decref(all);
    return NULL;
}

static json_t *pieces(const struct l2_vocab *v)
{
    json_t *all = json_object();
    for (uint32_t id = 0; id < v->n; id++) {
        size_t n;
        const char *s = l2_piece_text(v, id, &n);
        if (!is_added(v, id) && json_object_setn_new(all, s, n, json_integer(id)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* "left right"; characters of GPT-2's alphabet are no spaces. */
static json_t *merges(const struct l2_vocab *v)
{
    json_t *all = json_array();
    for (size_t i = 0; i < v->n_merges; i++) {
        size_t left, right;
        const char *l = l2_piece_text(v, v->merges[i].left, &left);
        const char *r = l2_piece_text(v, v->merges[i].right, &right);
        json_t *merge = json_sprintf("%.*s %.*s", (int)left, l, (int)right, r);
        if (json_array_append_new(all, merge) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 0);
}

static json_t *pre_tokenizer(const struct l2_vocab *v)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < v->splitter.n; i++) {
        json_t *split =
            json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                      l2_splitter_pattern(&v->splitter, i), "behavior", "Isolated", "invert", 0);
        if (json_array_append_new(steps, split) != 0)
            goto fail;
    }
    if (json_array_append_new(steps, byte_level()) != 0)
        goto fail;
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
fail:
    json_decref(steps);
    return NULL;
}

/* BOS and the text, where BOS is put before texts. */
static json_t *post_processor(const struct l2_vocab *v)
{
    if (v->bos == L2_NO_ID || v->no_bos)
        return byte_level();
    json_t *bos = piece_text(v, v->bos);
    json_t *out = json_pack(
        "{s:s, s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}, {s:{s:s, "
        "s:i}}], s:{s:{s:O, s:[I], s:[O]}}}",
        "type", "TemplateProcessing", "single", "SpecialToken", "id", bos, "type_id", 0, "Sequence",
        "id", "A", "type_id", 0, "pair", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id",
        "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1, "special_tokens",
        json_string_value(bos), "id", bos, "ids", (json_int_t)v->bos, "tokens", bos);
    json_decref(bos);
    return out;
}

static json_t *model(const struct l2_vocab *v)
{
    json_t *unk = v->unk == L2_NO_ID ? json_null() : piece_text(v, v->unk);
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", v->ignore_merges, "vocab",
                     pieces(v), "merges", merges(v));
}

/* Appends j, which it takes over; NULL: there was no memory. */
static int append_json(struct l2_buf *out, json_t *j, size_t flags, struct l2_err *err)
{
    char *text = j ? json_dumps(j, flags) : NULL;
    json_decref(j);
    if (!text)
        return l2_err_memory(err, 0);
    int r = l2_buf_append_str(out, text, err);
    free(text);
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

int l2_vocab_to_tokjson(struct l2_buf *out, const struct l2_vocab *v, struct l2_err *err)
{
    if (!v->byte_level)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "a SentencePiece vocabulary is not written as a tokenizer.json");
    json_t *j = json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:o, s:o, s:o}", "version", "1.0",
                          "truncation", "padding", "added_tokens", added_tokens(v), "normalizer",
                          "pre_tokenizer", pre_tokenizer(v), "post_processor", post_processor(v),
                          "decoder", byte_level(), "model", model(v));
    return append_json(out, j, JSON_INDENT(1), err);
}

static int set_token(json_t *j, const char *key, const struct l2_vocab *v, uint32_t id)
{
    return json_object_set_new(j, key, id == L2_NO_ID ? json_null() : piece_text(v, id));
}

int l2_vocab_to_tokconfig(struct l2_buf *out, const struct l2_vocab *v, const char *jinja, size_t n,
                          struct l2_err *err)
{
    json_t *j = json_pack("{s:s, s:b}", "tokenizer_class",
                          v->byte_level ? "PreTrainedTokenizerFast" : "LlamaTokenizer",
                          "add_bos_token", v->bos != L2_NO_ID && !v->no_bos);
    bool whole =
        j && set_token(j, "bos_token", v, v->bos) == 0 && set_token(j, "eos_token", v, v->eos) == 0;
    if (whole && jinja)
        whole = json_object_set_new(j, "chat_template", json_stringn(jinja, n)) == 0;
    if (!whole) {
        json_decref(j);
        j = NULL;
    }
    return append_json(out, j, JSON_INDENT(2), err);
}
