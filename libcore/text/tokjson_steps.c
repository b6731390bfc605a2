/* The steps around the pieces of a tokenizer.json: normalizer, pre-tokenizer, post-processor and
 * decoder, as far as Llama's, Mistral's and SmolLM's kin use them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/tokjson.h"

#include <string.h>

/* What has been met on the way. */
struct steps {
    struct l2_tokjson *t;
    bool replaced;   /* the normalizer or the pre-tokenizer puts U+2581 for spaces */
    bool byte_level; /* the pre-tokenizer ends in bytes */
    bool restored, fused, stripped, bytes_joined; /* of the decoder */
};

static const char *type_of(const json_t *step)
{
    const char *s = json_string_value(json_object_get(step, "type"));
    return s ? s : "";
}

static bool is(const json_t *step, const char *type)
{
    return strcmp(type_of(step), type) == 0;
}

static bool has_string(const json_t *step, const char *key, const char *want)
{
    const char *s = json_string_value(json_object_get(step, key));
    return s && strcmp(s, want) == 0;
}

static bool is_true(const json_t *step, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(step, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static int refuse(const struct steps *s, const char *what, const json_t *step, const char *why,
                  struct l2_err *err)
{
    return l2_err_at(err, L2_UNSUPPORTED, s->t->file, -1, "%s %.64s%s is not supported", what,
                     *type_of(step) ? type_of(step) : "without type", why);
}

typedef int step_fn(struct steps *s, const json_t *step, struct l2_err *err);

/* A step, or each of a sequence of steps; null is none. */
static int walk(struct steps *s, const json_t *step, const char *list, step_fn *fn,
                struct l2_err *err)
{
    int r = L2_OK;
    if (!step || json_is_null(step))
        return L2_OK;
    if (!is(step, "Sequence"))
        return fn(s, step, err);
    const json_t *all = json_object_get(step, list);
    if (!json_is_array(all))
        return l2_err_at(err, L2_CORRUPT, s->t->file, -1, "Sequence: want an array %s", list);
    for (size_t i = 0; i < json_array_size(all) && r == L2_OK; i++)
        r = fn(s, json_array_get(all, i), err);
    return r;
}

/* ---- normalizer ---- */

static bool replaces(const json_t *step, const char *from, const char *to)
{
    return is(step, "Replace") && has_string(json_object_get(step, "pattern"), "String", from) &&
           has_string(step, "content", to);
}

static int normalizer(struct steps *s, const json_t *step, struct l2_err *err)
{
    if (!s->t->v->byte_level && is(step, "Prepend") &&
        has_string(step, "prepend", L2_SPACE_SYMBOL) && !s->t->v->dummy_prefix) {
        s->t->v->dummy_prefix = true;
        return L2_OK;
    }
    if (!s->t->v->byte_level && replaces(step, " ", L2_SPACE_SYMBOL)) {
        s->replaced = true;
        return L2_OK;
    }
    return refuse(s, "normalizer", step, "", err);
}

/* ---- pre-tokenizer ---- */

static int metaspace(struct steps *s, const json_t *step, struct l2_err *err)
{
    static const char *const known[] = {
        "type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep", NULL};
    struct l2_vocab *v = s->t->v;
    int r = l2_tokjson_only(s->t, step, "pre-tokenizer Metaspace", known, err);
    if (r != L2_OK)
        return r;
    if (!has_string(step, "replacement", L2_SPACE_SYMBOL))
        return refuse(s, "pre-tokenizer", step, " with another replacement than U+2581", err);
    if (is_true(step, "split", true))
        return refuse(s, "pre-tokenizer", step, " that splits", err);
    if (v->dummy_prefix || s->replaced)
        return refuse(s, "pre-tokenizer", step, " after a normalizer that does the same", err);
    s->replaced = true;
    if (json_object_get(step, "prepend_scheme"))
        v->dummy_prefix = !has_string(step, "prepend_scheme", "never");
    else
        v->dummy_prefix = is_true(step, "add_prefix_space", true);
    v->prefix_once = v->dummy_prefix;
    if (v->has_user_defined && has_string(step, "prepend_scheme", "always"))
        return refuse(s, "pre-tokenizer", step,
                      " with prepend_scheme always, beside added tokens that are not special,",
                      err);
    return L2_OK;
}

static int add_split(struct steps *s, const char *pattern, size_t n, struct l2_err *err)
{
    return l2_splitter_add(&s->t->v->splitter, pattern, n, s->t->file, err);
}

static int byte_level(struct steps *s, const json_t *step, struct l2_err *err)
{
    if (is_true(step, "add_prefix_space", true))
        return refuse(s, "pre-tokenizer", step, " with add_prefix_space", err);
    s->byte_level = true;
    return is_true(step, "use_regex", true)
               ? add_split(s, l2_split_gpt2, strlen(l2_split_gpt2), err)
               : L2_OK;
}

static int split(struct steps *s, const json_t *step, struct l2_err *err)
{
    static const char *const known[] = {"type", "pattern", "behavior", "invert", NULL};
    const json_t *pattern = json_object_get(json_object_get(step, "pattern"), "Regex");
    int r = l2_tokjson_only(s->t, step, "pre-tokenizer Split", known, err);
    if (r != L2_OK)
        return r;
    if (!json_is_string(pattern))
        return refuse(s, "pre-tokenizer", step, " without a Regex", err);
    /* where matches and gaps change roles but both are kept, nothing changes */
    if (!has_string(step, "behavior", "Isolated"))
        return refuse(s, "pre-tokenizer", step, " with another behavior than Isolated", err);
    return add_split(s, json_string_value(pattern), json_string_length(pattern), err);
}

static int pre_tokenizer(struct steps *s, const json_t *step, struct l2_err *err)
{
    if (!s->t->v->byte_level)
        return is(step, "Metaspace") ? metaspace(s, step, err)
                                     : refuse(s, "pre-tokenizer", step, "", err);
    if (s->byte_level) /* what follows would see bytes as characters */
        return refuse(s, "pre-tokenizer", step, " after ByteLevel", err);
    if (is(step, "ByteLevel"))
        return byte_level(s, step, err);
    if (is(step, "Split"))
        return split(s, step, err);
    if (is(step, "Digits") && is_true(step, "individual_digits", false))
        return add_split(s, l2_split_digit, strlen(l2_split_digit), err);
    if (is(step, "Digits"))
        return add_split(s, l2_split_digits, strlen(l2_split_digits), err);
    return refuse(s, "pre-tokenizer", step, "", err);
}

/* ---- post-processor ---- */

static int template_token(struct steps *s, const json_t *item, uint32_t *out, struct l2_err *err)
{
    const json_t *id = json_object_get(json_object_get(item, "SpecialToken"), "id");
    *out = json_is_string(id)
               ? l2_tokjson_find(s->t->v, json_string_value(id), json_string_length(id))
               : L2_NO_ID;
    if (*out == L2_NO_ID)
        return l2_err_at(err, L2_CORRUPT, s->t->file, -1,
                         "post-processor TemplateProcessing: want special tokens that are pieces");
    return L2_OK;
}

/* [BOS] A [EOS] */
static int template_processing(struct steps *s, const json_t *step, struct l2_err *err)
{
    const json_t *single = json_object_get(step, "single");
    bool behind = false;
    int r = L2_OK;
    for (size_t i = 0; i < json_array_size(single) && r == L2_OK; i++) {
        const json_t *item = json_array_get(single, i);
        uint32_t *token = behind ? &s->t->v->eos : &s->t->v->bos;
        if (json_object_get(item, "Sequence") && !behind)
            behind = true;
        else if (!json_object_get(item, "SpecialToken") || *token != L2_NO_ID)
            return refuse(s, "post-processor", step,
                          " with more than one token before or after the text", err);
        else
            r = template_token(s, item, token, err);
    }
    return r == L2_OK && !behind ? refuse(s, "post-processor", step, " without the text", err) : r;
}

static int post_processor(struct steps *s, const json_t *step, struct l2_err *err)
{
    if (is(step, "ByteLevel")) /* about offsets only */
        return L2_OK;
    if (is(step, "TemplateProcessing"))
        return template_processing(s, step, err);
    return refuse(s, "post-processor", step, "", err);
}

/* ---- decoder ---- */

static int decoder(struct steps *s, const json_t *step, struct l2_err *err)
{
    struct l2_vocab *v = s->t->v;
    if (v->byte_level)
        return is(step, "ByteLevel") ? L2_OK : refuse(s, "decoder", step, "", err);
    if (replaces(step, L2_SPACE_SYMBOL, " ")) {
        s->restored = true;
    } else if (is(step, "Metaspace") && has_string(step, "replacement", L2_SPACE_SYMBOL)) {
        s->restored = true;
        s->stripped =
            !has_string(step, "prepend_scheme", "never") && is_true(step, "add_prefix_space", true);
    } else if (is(step, "ByteFallback")) {
        s->bytes_joined = true;
    } else if (is(step, "Fuse")) {
        s->fused = true;
    } else if (is(step, "Strip") && has_string(step, "content", " ") &&
               json_integer_value(json_object_get(step, "start")) == 1 &&
               json_integer_value(json_object_get(step, "stop")) == 0) {
        s->stripped = true;
    } else {
        return refuse(s, "decoder", step, "", err);
    }
    return L2_OK;
}

static int check_decoder(const struct steps *s, struct l2_err *err)
{
    struct l2_vocab *v = s->t->v;
    if (v->byte_level)
        return L2_OK;
    if (!s->restored || (v->byte_fallback && !s->bytes_joined))
        return l2_err_at(err, L2_UNSUPPORTED, s->t->file, -1,
                         "decoder: want U+2581 replaced and bytes joined");
    if (s->stripped && !v->dummy_prefix)
        return l2_err_at(err, L2_UNSUPPORTED, s->t->file, -1,
                         "decoder: Strip of a space that encoding does not put");
    v->keep_first_space = !s->stripped;
    return L2_OK;
}

/* ---- all ---- */

/* True when step is of that type or a sequence that has one. */
static bool has_type(const json_t *step, const char *list, const char *type)
{
    const json_t *all = json_object_get(step, list);
    bool found = is(step, type);
    for (size_t i = 0; i < json_array_size(all) && !found; i++)
        found = is(json_array_get(all, i), type);
    return found;
}

bool l2_tokjson_is_byte_level(const json_t *root)
{
    return has_type(json_object_get(root, "pre_tokenizer"), "pretokenizers", "ByteLevel");
}

/* EOS, and BOS where no post-processor puts one, by the names that they have everywhere; a
 * tokenizer_config.json says it better. */
static void known_names(struct l2_vocab *v)
{
    static const char *const bos[] = {"<s>", "<|begin_of_text|>"};
    static const char *const eos[] = {"</s>", "<|end_of_text|>", "<|endoftext|>"};
    for (size_t i = 0; i < 2 && v->bos == L2_NO_ID; i++)
        v->bos = l2_tokjson_find(v, bos[i], strlen(bos[i]));
    for (size_t i = 0; i < 3 && v->eos == L2_NO_ID; i++)
        v->eos = l2_tokjson_find(v, eos[i], strlen(eos[i]));
}

int l2_tokjson_steps(struct l2_tokjson *t, struct l2_err *err)
{
    struct steps s = {.t = t};
    struct l2_vocab *v = t->v;
    const json_t *root = t->root;
    for (uint32_t id = 0; id < v->n; id++)
        v->has_user_defined = v->has_user_defined || v->pieces[id].kind == L2_PIECE_USER_DEFINED;
    int r = walk(&s, json_object_get(root, "normalizer"), "normalizers", normalizer, err);
    if (r == L2_OK)
        r = walk(&s, json_object_get(root, "pre_tokenizer"), "pretokenizers", pre_tokenizer, err);
    if (r == L2_OK && !v->byte_level && !s.replaced)
        r = l2_err_at(err, L2_UNSUPPORTED, t->file, -1,
                      "neither ByteLevel nor spaces replaced by U+2581: not supported");
    if (r == L2_OK)
        r = walk(&s, json_object_get(root, "post_processor"), "processors", post_processor, err);
    if (r == L2_OK)
        r = walk(&s, json_object_get(root, "decoder"), "decoders", decoder, err);
    if (r == L2_OK)
        r = check_decoder(&s, err);
    known_names(v);
    return r;
}
