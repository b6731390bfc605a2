/* Reads a tokenizer.json, the file of Hugging Face's tokenizers: byte-pair encoding by a list of
 * merges, over bytes or in SentencePiece's way. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/tokjson.h"

#include <stdlib.h>
#include <string.h>

#include "util/jsonfile.h"
#include "util/num.h"

bool l2_tokjson_detect(const struct l2_map *m)
{
    size_t i = 0;
    while (i < m->size && memchr(" \t\r\n", m->data[i], 4))
        i++;
    return i < m->size && m->data[i] == '{';
}

int l2_tokjson_only(const struct l2_tokjson *t, const json_t *obj, const char *what,
                    const char *const *names, struct l2_err *err)
{
    json_t *value, *members = (json_t *)(uintptr_t)obj; /* jansson's iterators are not const */
    const char *key;
    json_object_foreach(members, key, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return l2_err_at(err, L2_UNSUPPORTED, t->file, -1, "%s: \"%.64s\" is not supported",
                             what, key);
    }
    return L2_OK;
}

uint32_t l2_tokjson_find(const struct l2_vocab *v, const char *s, size_t n)
{
    for (uint32_t id = 0; id < v->n; id++) {
        size_t m;
        const char *t = l2_piece_text(v, id, &m);
        if (m == n && memcmp(s, t, n) == 0)
            return id;
    }
    return L2_NO_ID;
}

/* ---- pieces ---- */

/* A piece on its way from the file: by id. */
struct entry {
    const char *s; /* borrowed from the file's JSON; NULL: none yet */
    size_t n;
    enum l2_piece_kind kind;
};

/* Puts a piece where its id says; one that is there already has to be the same. */
static int place(const struct l2_tokjson *t, struct entry *all, size_t n_all, const char *s,
                 size_t n, const json_t *id, struct entry **out, struct l2_err *err)
{
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || (uint64_t)i >= n_all)
        return l2_err_at(err, L2_CORRUPT, t->file, -1,
                         "piece '%.*s': want an id below %zu, got %lld", n < 64 ? (int)n : 64, s,
                         n_all, (long long)i);
    *out = &all[i];
    if ((*out)->s && ((*out)->n != n || memcmp((*out)->s, s, n) != 0))
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "piece %lld is both '%.64s' and '%.64s'",
                         (long long)i, (*out)->s, s);
    if (!(*out)->s)
        **out = (struct entry){s, n, L2_PIECE_NORMAL};
    return L2_OK;
}

static bool is_true(const json_t *obj, const char *key)
{
    return json_is_true(json_object_get(obj, key));
}

/* Pieces like <|im_start|> are put in by templates only, whether the file calls them special or
 * not. */
static bool is_marker(const char *s, size_t n)
{
    return n >= 5 && memcmp(s, "<|", 2) == 0 && memcmp(s + n - 2, "|>", 2) == 0;
}

static int place_added(const struct l2_tokjson *t, struct entry *all, size_t n_all,
                       const json_t *added, struct l2_err *err)
{
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special",     NULL};
    const json_t *content = json_object_get(added, "content");
    const char *s = json_string_value(content);
    size_t n = json_string_length(content);
    struct entry *e;
    if (!json_is_object(added) || !s || n == 0)
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "added_tokens: want objects with content");
    int r = l2_tokjson_only(t, added, "added_tokens", known, err);
    if (r == L2_OK)
        r = place(t, all, n_all, s, n, json_object_get(added, "id"), &e, err);
    if (r != L2_OK)
        return r;
    if (is_true(added, "special") || is_marker(s, n)) {
        e->kind = L2_PIECE_CONTROL;
        return L2_OK;
    }
    e->kind = L2_PIECE_USER_DEFINED;
    if (is_true(added, "single_word") || is_true(added, "lstrip") || is_true(added, "rstrip"))
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "added token '%.64s': single_word, lstrip and rstrip are supported for "
                         "special tokens only",
                         s);
    if (is_true(added, "normalized") && !t->v->byte_level)
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "added token '%.64s': normalized is supported for special tokens only", s);
    return L2_OK;
}

/* Kinds that are known by text: the unknown piece, and bytes. */
static int set_kinds(const struct l2_tokjson *t, struct entry *all, size_t n_all,
                     const json_t *model, struct l2_err *err)
{
    const json_t *unk = json_object_get(model, "unk_token");
    const char *s = json_string_value(unk);
    bool found = false;
    for (size_t i = 0; i < n_all; i++) {
        if (!all[i].s)
            return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                             "no piece has id %zu, though larger ids are in use", i);
        bool is_unk = s && strcmp(all[i].s, s) == 0;
        found = found || is_unk;
        if (is_unk && !t->v->byte_level)
            all[i].kind = L2_PIECE_UNKNOWN;
        else if (is_unk)
            t->v->unk = (uint32_t)i;
        else if (t->v->byte_fallback && l2_piece_byte(all[i].s, all[i].n) >= 0)
            all[i].kind = L2_PIECE_BYTE;
    }
    if (unk && !json_is_null(unk) && !found)
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "unk_token '%.64s' is no piece",
                         s ? s : "(no string)");
    return L2_OK;
}

/* The added tokens that are not in the vocabulary proper. */
static size_t count_new(const json_t *vocab, const json_t *added)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *s = json_string_value(json_object_get(json_array_get(added, i), "content"));
        n += s && !json_object_get(vocab, s);
    }
    return n;
}

static int add_pieces(const struct l2_tokjson *t, const json_t *model, struct l2_err *err)
{
    json_t *vocab = json_object_get(model, "vocab"), *id;
    const json_t *added = json_object_get(t->root, "added_tokens");
    size_t n = json_object_size(vocab) + count_new(vocab, added), bytes;
    struct entry *all = NULL, *e;
    const char *key;
    if (!json_is_object(vocab) || n == 0)
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "model.vocab: want an object with pieces");
    if (!l2_mul_size(n, sizeof *all, &bytes) || !(all = calloc(1, bytes)))
        return l2_err_memory(err, n);
    int r = L2_OK;
    json_object_foreach(vocab, key, id)
    {
        r = place(t, all, n, key, strlen(key), id, &e, err);
        if (r != L2_OK)
            break;
    }
    for (size_t i = 0; i < json_array_size(added) && r == L2_OK; i++)
        r = place_added(t, all, n, json_array_get(added, i), err);
    if (r == L2_OK)
        r = set_kinds(t, all, n, model, err);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = l2_vocab_add(t->v, all[i].s, all[i].n, 0, all[i].kind, t->file, -1, err);
    free(all);
    return r;
}

/* ---- merges ---- */

/* A merge is "left right", or in newer files ["left", "right"]. */
static int add_merge(const struct l2_tokjson *t, const struct l2_piece_index *index,
                     const json_t *merge, struct l2_err *err)
{
    const json_t *l = json_array_get(merge, 0), *r = json_array_get(merge, 1);
    if (json_is_array(merge) && json_array_size(merge) == 2 && json_is_string(l) &&
        json_is_string(r))
        return l2_merge_add(t->v, index, json_string_value(l), json_string_length(l),
                            json_string_value(r), json_string_length(r), t->file, err);
    const char *s = json_string_value(merge);
    const char *space = s ? strchr(s, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "merge %zu: want two pieces",
                         t->v->n_merges);
    return l2_merge_add(t->v, index, s, (size_t)(space - s), space + 1, strlen(space + 1), t->file,
                        err);
}

static int add_merges(const struct l2_tokjson *t, const json_t *merges, struct l2_err *err)
{
    struct l2_piece_index index = {0};
    if (!json_is_array(merges))
        return l2_err_at(err, L2_CORRUPT, t->file, -1, "model.merges: want an array");
    int r = l2_merge_index(t->v, &index, t->file, err);
    for (size_t i = 0; i < json_array_size(merges) && r == L2_OK; i++)
        r = add_merge(t, &index, json_array_get(merges, i), err);
    l2_piece_index_release(&index);
    return r;
}

/* ---- the model ---- */

static bool is_nothing(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) ||
           (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_number(v) && json_number_value(v) == 0);
}

static int read_model(const struct l2_tokjson *t, struct l2_err *err)
{
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    static const char *const unsupported[] = {"dropout", "continuing_subword_prefix",
                                              "end_of_word_suffix"};
    const json_t *model = json_object_get(t->root, "model");
    const json_t *type = json_object_get(model, "type");
    if (!json_is_object(model))
        return l2_err_at(err, L2_FORMAT, t->file, -1, "no tokenizer.json: model is missing");
    if (type && !(json_is_string(type) && strcmp(json_string_value(type), "BPE") == 0))
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "model.type %.64s is not supported: want BPE",
                         json_is_string(type) ? json_string_value(type) : "(no string)");
    if (!json_object_get(model, "vocab"))
        return l2_err_at(err, L2_FORMAT, t->file, -1, "no tokenizer.json: model.vocab is missing");
    int r = l2_tokjson_only(t, model, "model", known, err);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported && r == L2_OK; i++)
        if (!is_nothing(json_object_get(model, unsupported[i])))
            r = l2_err_at(err, L2_UNSUPPORTED, t->file, -1, "model.%s is not supported",
                          unsupported[i]);
    if (r != L2_OK)
        return r;
    t->v->byte_fallback = is_true(model, "byte_fallback");
    t->v->ignore_merges = is_true(model, "ignore_merges");
    if (t->v->byte_level && t->v->byte_fallback)
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "byte_fallback in a byte-level vocabulary is not supported");
    if (!t->v->byte_level && t->v->ignore_merges)
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "ignore_merges is supported in byte-level vocabularies only");
    if (!t->v->byte_level && !t->v->byte_fallback && !is_true(model, "fuse_unk"))
        return l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                         "neither byte_fallback nor fuse_unk: not supported");
    r = add_pieces(t, model, err);
    return r == L2_OK ? add_merges(t, json_object_get(model, "merges"), err) : r;
}

int l2_tokjson_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err)
{
    /* truncation and padding are of batches, which are made elsewhere */
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    json_t *root;
    int r = l2_jsonfile_parse(m->data, m->size, m->name, &root, err);
    if (r != L2_OK)
        return r;
    struct l2_tokjson t = {.v = v, .root = root, .file = m->name};
    v->listed = v->user_cuts = true;
    v->byte_level = l2_tokjson_is_byte_level(root);
    r = read_model(&t, err);
    if (r == L2_OK)
        r = l2_tokjson_only(&t, root, "tokenizer.json", known, err);
    if (r == L2_OK)
        r = l2_tokjson_steps(&t, err);
    json_decref(root);
    return r;
}

/* ---- tokenizer_config.json ---- */

/* A token is a string, or an object with content. */
static int find_token(const struct l2_vocab *v, const json_t *root, const char *key,
                      const char *file, uint32_t *out, struct l2_err *err)
{
    const json_t *token = json_object_get(root, key);
    if (json_is_object(token))
        token = json_object_get(token, "content");
    const char *s = json_string_value(token);
    if (!s)
        return L2_OK;
    *out = l2_tokjson_find(v, s, json_string_length(token));
    if (*out == L2_NO_ID)
        return l2_err_at(err, L2_CORRUPT, file, -1, "%s '%.64s' is no piece of the vocabulary", key,
                         s);
    return L2_OK;
}

int l2_tokjson_config(struct l2_vocab *v, const char *path, struct l2_err *err)
{
    json_t *root;
    uint32_t bos = L2_NO_ID;
    /* a model_max_length of 10^30 is common */
    int r = l2_jsonfile_read_reals(path, L2_TOKJSON_MAX_CONFIG, &root, err);
    if (r != L2_OK)
        return r;
    const json_t *add = json_object_get(root, "add_bos_token");
    r = find_token(v, root, "bos_token", path, &bos, err);
    if (r == L2_OK)
        r = find_token(v, root, "eos_token", path, &v->eos, err);
    if (r == L2_OK && bos != L2_NO_ID && bos != v->bos) {
        v->bos = bos; /* another than the file itself puts before texts */
        v->no_bos = true;
    }
    if (r == L2_OK && json_is_boolean(add))
        v->no_bos = json_is_false(add);
    json_decref(root);
    return r;
}
