/* The templates that put the user's turn between [INST] and [/INST]: llama2 and mistral. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/template_impl.h"

/* ---- llama2 ----
 * As Meta's reference has it (llama/generation.py, chat_completion): each pair of turns is
 *   BOS "[INST] " strip(user) " [/INST] " strip(answer) " " EOS
 * encoded as one text; the last user turn ends after "[/INST]". A system prompt is put before the
 * first user turn, within what is stripped, as "<<SYS>>\n" system "\n<</SYS>>\n\n". The answer is
 * encoded on its own, as a continuation: no piece of the vocabulary crosses "]" and the space after
 * it. */

/* system may be NULL. */
static int llama2_user(struct l2_render *r, const struct l2_turn *system,
                       const struct l2_turn *user, struct l2_err *err)
{
    struct l2_buf all = {0};
    const char *s = user->content;
    size_t n = user->content_len;
    int code = l2_render_bos(r, err);
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
        l2_render_strip(&s, &n);
    if (code == L2_OK)
        code = l2_buf_append_str(&r->text, "[INST] ", err);
    if (code == L2_OK)
        code = l2_buf_append(&r->text, s, n, err);
    if (code == L2_OK)
        code = l2_buf_append_str(&r->text, " [/INST]", err);
    if (code == L2_OK)
        code = l2_render_flush(r, 0, err);
    l2_buf_release(&all);
    return code;
}

/* The answer with its EOS is a span. Ids that are spliced in are put as they are. */
static int llama2_answer(struct l2_render *r, const struct l2_turn *answer, bool with_eos,
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
        l2_render_strip(&s, &n);
        code = l2_buf_append_byte(&r->text, ' ', err);
        if (code == L2_OK)
            code = l2_buf_append(&r->text, s, n, err);
        if (code == L2_OK)
            code = l2_buf_append_byte(&r->text, ' ', err);
        if (code == L2_OK)
            code = l2_render_flush(r, L2_ENCODE_CONTINUE, err);
    }
    if (code == L2_OK && with_eos && !ended)
        code = l2_render_eos(r, err);
    return code == L2_OK ? l2_render_span(r, begin, err) : code;
}

int l2_inst_llama2_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n,
                          struct l2_err *err)
{
    const struct l2_turn *system = n > 0 && l2_turn_is(&turns[0], "system") ? turns : NULL;
    size_t first = system ? 1 : 0;
    if (n == first)
        return l2_err_set(err, L2_ARGUMENT, "a dialogue without a user turn");
    int code = l2_turns_alternate(turns + first, n - first, "user", err);
    for (size_t i = first; i < n && code == L2_OK; i++) {
        if ((i - first) % 2 == 0)
            code = llama2_user(r, i == first ? system : NULL, &turns[i], err);
        else
            code = llama2_answer(r, &turns[i], true, err);
    }
    return code;
}

int l2_inst_llama2_completion(struct l2_render *r, const struct l2_turn *turns, size_t n,
                              bool with_eos, struct l2_err *err)
{
    int code = l2_turns_alternate(turns, n, "assistant", err);
    for (size_t i = 0; i < n && code == L2_OK; i++) {
        if (i % 2 == 0)
            code = llama2_answer(r, &turns[i], with_eos || i + 1 < n, err);
        else
            code = llama2_user(r, NULL, &turns[i], err);
    }
    return code;
}

/* ---- mistral ----
 * As Mistral's own encoding has it: BOS once, then for each pair of turns
 *   "[INST] " user " [/INST]" " " answer EOS
 * A system prompt and an empty line go before the first user turn. Vocabularies in which [INST] and
 * [/INST] are pieces have those by id, without the spaces around them. */

static int mistral_user(struct l2_render *r, const struct l2_turn *system,
                        const struct l2_turn *user, struct l2_err *err)
{
    uint32_t open = l2_vocab_special(r->v, "[INST]"), close = l2_vocab_special(r->v, "[/INST]");
    bool pieces = open != L2_NO_ID && close != L2_NO_ID;
    int code = pieces ? l2_ids_append(r->out, open, err) : l2_render_add(r, "[INST] ", 7, err);
    if (code == L2_OK && system) {
        code = l2_render_add(r, system->content, system->content_len, err);
        if (code == L2_OK)
            code = l2_render_add(r, "\n\n", 2, err);
    }
    if (code == L2_OK)
        code = l2_render_add(r, user->content, user->content_len, err);
    if (code == L2_OK && !pieces)
        code = l2_render_add(r, " [/INST]", 8, err);
    if (code == L2_OK)
        code = l2_render_flush(r, 0, err);
    return code == L2_OK && pieces ? l2_ids_append(r->out, close, err) : code;
}

static int mistral_answer(struct l2_render *r, const struct l2_turn *answer, bool with_eos,
                          struct l2_err *err)
{
    size_t begin = r->out->n;
    bool ended = false;
    int code;
    if (answer->ids) {
        code = l2_ids_append_n(r->out, answer->ids, answer->n_ids, err);
        ended = answer->n_ids > 0 && answer->ids[answer->n_ids - 1] == l2_vocab_eos(r->v);
    } else {
        code = l2_render_add(r, " ", 1, err);
        if (code == L2_OK)
            code = l2_render_add(r, answer->content, answer->content_len, err);
        if (code == L2_OK)
            code = l2_render_flush(r, L2_ENCODE_CONTINUE, err);
    }
    if (code == L2_OK && with_eos && !ended)
        code = l2_render_eos(r, err);
    return code == L2_OK ? l2_render_span(r, begin, err) : code;
}

int l2_inst_mistral_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n,
                           struct l2_err *err)
{
    const struct l2_turn *system = n > 0 && l2_turn_is(&turns[0], "system") ? turns : NULL;
    size_t first = system ? 1 : 0;
    if (n == first)
        return l2_err_set(err, L2_ARGUMENT, "a dialogue without a user turn");
    int code = l2_turns_alternate(turns + first, n - first, "user", err);
    if (code == L2_OK)
        code = l2_render_bos(r, err);
    for (size_t i = first; i < n && code == L2_OK; i++) {
        if ((i - first) % 2 == 0)
            code = mistral_user(r, i == first ? system : NULL, &turns[i], err);
        else
            code = mistral_answer(r, &turns[i], true, err);
    }
    return code;
}

int l2_inst_mistral_completion(struct l2_render *r, const struct l2_turn *turns, size_t n,
                               bool with_eos, struct l2_err *err)
{
    int code = l2_turns_alternate(turns, n, "assistant", err);
    for (size_t i = 0; i < n && code == L2_OK; i++) {
        if (i % 2 == 0)
            code = mistral_answer(r, &turns[i], with_eos || i + 1 < n, err);
        else
            code = mistral_user(r, NULL, &turns[i], err);
    }
    return code;
}
