/* The templates that put a header before each turn: llama3, chatml and zephyr. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "text/template_impl.h"
#include "text/vocab_impl.h"

/* Texts behind special pieces are sections of their own to the tokenizers that these templates were
 * published with: the dummy prefix goes before each of them, or before the first only. */
static int flush(struct l2_render *r, struct l2_err *err)
{
    bool first = r->out->n == r->base;
    return l2_render_flush(r, first || !r->v->prefix_once ? 0 : L2_ENCODE_CONTINUE, err);
}

static int add_str(struct l2_render *r, const char *s, struct l2_err *err)
{
    return l2_render_add(r, s, strlen(s), err);
}

/* Puts a special piece by its text, after what was gathered before it. */
static int put_piece(struct l2_render *r, const char *piece, struct l2_err *err)
{
    int code = flush(r, err);
    return code == L2_OK ? l2_render_id(r, l2_vocab_special(r->v, piece), piece, err) : code;
}

static int put_header(struct l2_render *r, const char *role, struct l2_err *err)
{
    const struct l2_header_form *f = r->t->form;
    int code = f->open ? put_piece(r, f->open, err) : add_str(r, "<|", err);
    if (code == L2_OK)
        code = add_str(r, role, err);
    if (code == L2_OK && !f->open)
        code = add_str(r, "|>", err);
    if (code == L2_OK && f->close)
        code = put_piece(r, f->close, err);
    return code == L2_OK ? add_str(r, f->between, err) : code;
}

static uint32_t end_id(const struct l2_render *r)
{
    const char *end = r->t->form->end;
    return end ? l2_vocab_special(r->v, end) : l2_vocab_eos(r->v);
}

static int put_end(struct l2_render *r, struct l2_err *err)
{
    const char *end = r->t->form->end;
    return l2_render_id(r, end_id(r), end ? end : "EOS", err);
}

static int add_content(struct l2_render *r, const struct l2_turn *turn, struct l2_err *err)
{
    const char *s = turn->content;
    size_t n = turn->content_len;
    if (r->t->form->strips)
        l2_render_strip(&s, &n);
    return l2_render_add(r, s, n, err);
}

/* A turn of the user's or the system's. */
static int put_turn(struct l2_render *r, const struct l2_turn *turn, struct l2_err *err)
{
    int code = put_header(r, turn->role, err);
    if (code == L2_OK)
        code = add_content(r, turn, err);
    if (code == L2_OK)
        code = flush(r, err);
    if (code == L2_OK)
        code = put_end(r, err);
    return code == L2_OK ? add_str(r, r->t->form->after, err) : code;
}

/* The header that asks for an answer; all of it is put out. */
static int ask(struct l2_render *r, struct l2_err *err)
{
    int code = put_header(r, "assistant", err);
    return code == L2_OK ? flush(r, err) : code;
}

/* An answer behind its header, encoded on its own; with its end it is a span. */
static int put_answer(struct l2_render *r, const struct l2_turn *answer, bool with_end,
                      struct l2_err *err)
{
    size_t begin = r->out->n;
    bool ended = false;
    int code;
    if (answer->ids) {
        code = l2_ids_append_n(r->out, answer->ids, answer->n_ids, err);
        ended = answer->n_ids > 0 && answer->ids[answer->n_ids - 1] == end_id(r);
    } else {
        code = add_content(r, answer, err);
        if (code == L2_OK)
            code = l2_render_flush(r, L2_ENCODE_CONTINUE, err);
    }
    if (code == L2_OK && with_end && !ended)
        code = put_end(r, err);
    if (code == L2_OK)
        code = l2_render_span(r, begin, err);
    return code == L2_OK && with_end ? add_str(r, r->t->form->after, err) : code;
}

/* Roles that are none of these would be texts of the user's choice in a header. */
static int check_roles(const struct l2_turn *turns, size_t n, struct l2_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!l2_turn_is(&turns[i], "user") && !l2_turn_is(&turns[i], "assistant") &&
            !(l2_turn_is(&turns[i], "system") && i == 0))
            return l2_err_set(err, L2_ARGUMENT,
                              "turn %zu of the dialogue: want role user or assistant, got %.64s",
                              i + 1, turns[i].role);
    return L2_OK;
}

int l2_headed_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n, struct l2_err *err)
{
    if (n == 0)
        return l2_err_set(err, L2_ARGUMENT, "a dialogue without a user turn");
    int code = check_roles(turns, n, err);
    if (code == L2_OK && (r->t->form->bos || l2_vocab_add_bos(r->v)))
        code = l2_render_bos(r, err);
    for (size_t i = 0; i < n && code == L2_OK; i++) {
        if (!l2_turn_is(&turns[i], "assistant")) {
            code = put_turn(r, &turns[i], err);
            continue;
        }
        code = ask(r, err);
        if (code == L2_OK)
            code = put_answer(r, &turns[i], true, err);
    }
    if (code == L2_OK && !l2_turn_is(&turns[n - 1], "assistant"))
        code = ask(r, err);
    return code == L2_OK ? flush(r, err) : code;
}

int l2_headed_completion(struct l2_render *r, const struct l2_turn *turns, size_t n, bool with_eos,
                         struct l2_err *err)
{
    int code = check_roles(turns, n, err);
    if (code == L2_OK && n > 0 && !l2_turn_is(&turns[0], "assistant"))
        code = l2_err_set(err, L2_ARGUMENT,
                          "turn 1 after the prompt: want role assistant, got %.64s", turns[0].role);
    for (size_t i = 0; i < n && code == L2_OK; i++) {
        bool last = i + 1 == n;
        if (!l2_turn_is(&turns[i], "assistant")) {
            code = put_turn(r, &turns[i], err);
            continue;
        }
        if (i > 0)
            code = ask(r, err);
        if (code == L2_OK)
            code = put_answer(r, &turns[i], with_eos || !last, err);
    }
    if (code == L2_OK && n > 0 && l2_turn_is(&turns[n - 1], "assistant"))
        r->text.len = 0; /* what would come before a further turn */
    return code == L2_OK ? flush(r, err) : code;
}
