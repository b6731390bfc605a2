/* Chat templates: dialogues as token ids, special tokens put in by id. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/template.h"

#include <string.h>

#include "util/utf8.h"

/* What a template renders to, and what it needs for that. */
struct render {
    const struct l2_vocab *v;
    struct l2_encoder *e;
    struct l2_ids *out;
    struct l2_ids *spans; /* or NULL */
    size_t base;          /* where spans are counted from */
    struct l2_buf text;   /* of the part being put together */
};

struct l2_template {
    const char *name;
    /* turns[0..n) from the start of a dialogue */
    int (*prompt)(struct render *r, const struct l2_turn *turns, size_t n, struct l2_err *err);
    /* turns[0..n) after a prompt that ends with the user's turn */
    int (*completion)(struct render *r, const struct l2_turn *turns, size_t n, bool with_eos,
                      struct l2_err *err);
};

/* ---- parts of any template ---- */

/* White space as Python's str.strip() has it, which the published templates were written with. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static void strip(const char **s, size_t *n)
{
    size_t len;
    uint32_t c;
    while ((len = l2_utf8_decode(*s, *n, &c)) > 0 && is_space(c)) {
        *s += len;
        *n -= len;
    }
    while (*n > 0) {
        len = 1;
        while (len < *n && len < 4 && ((uint8_t)(*s)[*n - len] & 0xC0) == 0x80)
            len++;
        if (l2_utf8_decode(*s + *n - len, len, &c) != len || !is_space(c))
            break;
        *n -= len;
    }
}

static bool is_role(const struct l2_turn *t, const char *role)
{
    return strcmp(t->role, role) == 0;
}

/* The roles must alternate, beginning with first. */
static int check_alternate(const struct l2_turn *turns, size_t n, const char *first,
                           struct l2_err *err)
{
    bool user = strcmp(first, "user") == 0;
    for (size_t i = 0; i < n; i++, user = !user)
        if (!is_role(&turns[i], user ? "user" : "assistant"))
            return l2_err_set(err, L2_ARGUMENT, "turn %zu of the dialogue: want role %s, got %.64s",
                              i + 1, user ? "user" : "assistant", turns[i].role);
    return L2_OK;
}

static int put_special(struct render *r, uint32_t id, const char *what, struct l2_err *err)
{
    if (id == L2_NO_ID)
        return l2_err_set(err, L2_ARGUMENT, "the vocabulary has no %s piece", what);
    return l2_ids_append(r->out, id, err);
}

static int put_bos(struct render *r, struct l2_err *err)
{
    return put_special(r, l2_vocab_bos(r->v), "BOS", err);
}

static int put_eos(struct render *r, struct l2_err *err)
{
    return put_special(r, l2_vocab_eos(r->v), "EOS", err);
}

/* Encodes the text gathered so far, and empties it. */
static int put_text(struct render *r, unsigned flags, struct l2_err *err)
{
    int code = l2_encode(r->e, (const char *)r->text.data, r->text.len, flags, r->out, err);
    r->text.len = 0;
    return code;
}

static int put_span(struct render *r, size_t begin, struct l2_err *err)
{
    if (!r->spans)
        return L2_OK;
    int code = l2_ids_append(r->spans, (uint32_t)(begin - r->base), err);
    return code == L2_OK ? l2_ids_append(r->spans, (uint32_t)(r->out->n - r->base), err) : code;
}

/* ---- llama2 ----
 * As Meta's reference has it (llama/generation.py, chat_completion): each pair of turns is
 *   BOS "[INST] " strip(user) " [/INST] " strip(answer) " " EOS
 * encoded as one text; the last user turn ends after "[/INST]". A system prompt is put before the
 * first user turn, within what is stripped, as "<<SYS>>\n" system "\n<</SYS>>\n\n". The answer is
 * encoded on its own, as a continuation: no piece of the vocabulary crosses "]" and the space after
 * it. */

/* system may be NULL. */
static int llama2_user(struct render *r, const struct l2_turn *system, const struct l2_turn *user,
                       struct l2_err *err)
{
    struct l2_buf all = {0};
    const char *s = user->content;
    size_t n = user->content_len;
    int code = put_bos(r, err);
    if (code == L2_OK && system) {
        code = l2_buf_append_str(&all, "<<SYS>>\n", err);
        if (code == L2_OK)
            code = l2_buf_append(&all, system->content, system->content_len, err);
        if (code == L2_OK)
            code = l2_buf_append_str(&all, "\n<</SYS>>\n\n", err);
        if (code == L2_OK)
            code = l2_buf_append(&all, s, n, err);
        s = (const char *)all.data;
        n = all.len;
    }
    if (code == L2_OK)
        strip(&s, &n);
    if (code == L2_OK)
        code = l2_buf_append_str(&r->text, "[INST] ", err);
    if (code == L2_OK)
        code = l2_buf_append(&r->text, s, n, err);
    if (code == L2_OK)
        code = l2_buf_append_str(&r->text, " [/INST]", err);
    if (code == L2_OK)
        code = put_text(r, 0, err);
    l2_buf_release(&all);
    return code;
}

/* The answer with its EOS is a span. Ids that are spliced in are put as they are. */
static int llama2_answer(struct render *r, const struct l2_turn *answer, bool with_eos,
                         struct l2_err *err)
{
    size_t begin = r->out->n;
    bool ended = false;
    int code;
    if (answer->ids) {
        code = l2_ids_append_n(r->out, answer->ids, answer->n_ids, err);
        ended = answer->n_ids > 0 && answer->ids[answer->n_ids - 1] == l2_vocab_eos(r->v);
    } else {
        const char *s = answer->content;
        size_t n = answer->content_len;
        strip(&s, &n);
        code = l2_buf_append_byte(&r->text, ' ', err);
        if (code == L2_OK)
            code = l2_buf_append(&r->text, s, n, err);
        if (code == L2_OK)
            code = l2_buf_append_byte(&r->text, ' ', err);
        if (code == L2_OK)
            code = put_text(r, L2_ENCODE_CONTINUE, err);
    }
    if (code == L2_OK && with_eos && !ended)
        code = put_eos(r, err);
    return code == L2_OK ? put_span(r, begin, err) : code;
}

static int llama2_prompt(struct render *r, const struct l2_turn *turns, size_t n,
                         struct l2_err *err)
{
    const struct l2_turn *system = n > 0 && is_role(&turns[0], "system") ? turns : NULL;
    size_t first = system ? 1 : 0;
    if (n == first)
        return l2_err_set(err, L2_ARGUMENT, "a dialogue without a user turn");
    int code = check_alternate(turns + first, n - first, "user", err);
    for (size_t i = first; i < n && code == L2_OK; i++) {
        if ((i - first) % 2 == 0)
            code = llama2_user(r, i == first ? system : NULL, &turns[i], err);
        else
            code = llama2_answer(r, &turns[i], true, err);
    }
    return code;
}

static int llama2_completion(struct render *r, const struct l2_turn *turns, size_t n, bool with_eos,
                             struct l2_err *err)
{
    int code = check_alternate(turns, n, "assistant", err);
    for (size_t i = 0; i < n && code == L2_OK; i++) {
        if (i % 2 == 0)
            code = llama2_answer(r, &turns[i], with_eos || i + 1 < n, err);
        else
            code = llama2_user(r, NULL, &turns[i], err);
    }
    return code;
}

/* ---- the table ---- */

static const struct l2_template templates[] = {
    {"llama2", llama2_prompt, llama2_completion},
};

const struct l2_template *l2_template_find(const char *name)
{
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

const char *l2_template_names(void)
{
    return "llama2";
}

int l2_template_prompt(const struct l2_template *t, struct l2_encoder *e,
                       const struct l2_turn *turns, size_t n, struct l2_ids *out,
                       struct l2_ids *spans, struct l2_err *err)
{
    struct render r = {
        .v = l2_encoder_vocab(e), .e = e, .out = out, .spans = spans, .base = out->n};
    int code = t->prompt(&r, turns, n, err);
    l2_buf_release(&r.text);
    return code;
}

int l2_template_completion(const struct l2_template *t, struct l2_encoder *e,
                           const struct l2_turn *turns, size_t n, bool with_eos, struct l2_ids *out,
                           struct l2_ids *spans, struct l2_err *err)
{
    struct render r = {
        .v = l2_encoder_vocab(e), .e = e, .out = out, .spans = spans, .base = out->n};
    int code = t->completion(&r, turns, n, with_eos, err);
    l2_buf_release(&r.text);
    return code;
}
