/* Constraints for Ghost Attention: the choice of an instruction, its text, whether it is obeyed. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/constraints.h"

#include <stdlib.h>
#include <string.h>

/* Draws of a dialogue's key that are not the tokens of its answers, which count k from 0 up. */
enum draw { DRAW_PICK, DRAW_ORDER, DRAW_QUESTIONS };

static uint64_t stream_of(enum draw d)
{
    return UINT64_MAX - (uint64_t)d;
}

void l2_constraints_release(struct l2_constraints *c)
{
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = 0; k < c->v[i].n_values; k++)
            l2_pattern_free(c->v[i].values[k].obeys);
        free(c->v[i].values);
    }
    free(c->questions);
    l2_arena_release(&c->arena);
    c->n = c->n_questions = 0;
    c->questions = NULL;
}

static void drop(struct l2_constraints *c, size_t i)
{
    struct l2_constraint *x = &c->v[i];
    for (size_t k = 0; k < x->n_values; k++)
        l2_pattern_free(x->values[k].obeys);
    free(x->values);
    memmove(x, x + 1, (c->n - i - 1) * sizeof *x);
    c->n--;
}

int l2_constraints_keep(struct l2_constraints *c, const char *const *names, size_t n,
                        struct l2_err *err)
{
    for (size_t k = 0; k < n; k++) {
        size_t i = 0;
        while (i < c->n && strcmp(c->v[i].name, names[k]) != 0)
            i++;
        if (i == c->n)
            return l2_err_set(err, L2_ARGUMENT, "%.200s has no constraint '%.64s'", c->file,
                              names[k]);
    }
    for (size_t i = c->n; i-- > 0;) {
        size_t k = 0;
        while (k < n && strcmp(c->v[i].name, names[k]) != 0)
            k++;
        if (k == n)
            drop(c, i);
    }
    return L2_OK;
}

int l2_constraints_check_judged(const struct l2_constraints *c, struct l2_err *err)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->v[i].n_values; k++)
            if (!c->v[i].values[k].obeys)
                return l2_err_at_line(err, L2_CORRUPT, c->file, c->v[i].line, 0,
                                      "constraint '%.64s' has no pattern 'obeys' to judge '%.64s' "
                                      "by",
                                      c->v[i].name, c->v[i].values[k].text);
    return L2_OK;
}

static uint32_t draw_below(struct l2_philox_key key, uint64_t position, size_t n)
{
    return (uint32_t)(l2_philox_uniform(key, stream_of(DRAW_PICK), position) * (double)n);
}

void l2_constraints_choose(const struct l2_constraints *c, uint32_t most, double brief_share,
                           struct l2_philox_key key, struct l2_constraint_choice *out)
{
    uint32_t order[L2_CONSTRAINTS_MAX];
    if (most == 0 || most > c->n)
        most = (uint32_t)c->n;
    for (size_t i = 0; i < c->n; i++)
        order[i] = (uint32_t)i;
    l2_philox_shuffle(key, stream_of(DRAW_ORDER), order, c->n);
    out->n = 1 + draw_below(key, 0, most);
    out->brief = l2_philox_uniform(key, stream_of(DRAW_PICK), 1) < brief_share;
    for (size_t i = 0; i < out->n; i++) {
        out->picks[i].constraint = order[i];
        out->picks[i].value = draw_below(key, 2 + i, c->v[order[i]].n_values);
    }
}

void l2_constraints_questions(const struct l2_constraints *c, struct l2_philox_key key,
                              uint32_t *order)
{
    for (size_t i = 0; i < c->n_questions; i++)
        order[i] = (uint32_t)i;
    l2_philox_shuffle(key, stream_of(DRAW_QUESTIONS), order, c->n_questions);
}

/* Appends form with value in the place of each {}. */
static int fill_in(const char *form, const char *value, struct l2_buf *out, struct l2_err *err)
{
    const char *hole;
    int r = L2_OK;
    while (r == L2_OK && (hole = strstr(form, "{}"))) {
        r = l2_buf_append(out, form, (size_t)(hole - form), err);
        if (r == L2_OK)
            r = l2_buf_append_str(out, value, err);
        form = hole + 2;
    }
    return r == L2_OK ? l2_buf_append_str(out, form, err) : r;
}

int l2_constraints_text(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                        bool brief, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < choice->n && r == L2_OK; i++) {
        const struct l2_constraint *x = &c->v[choice->picks[i].constraint];
        if (i > 0)
            r = l2_buf_append_byte(out, ' ', err);
        if (r == L2_OK)
            r = fill_in(brief && x->brief ? x->brief : x->instruction,
                        x->values[choice->picks[i].value].text, out, err);
    }
    return r;
}

int l2_constraints_label(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                         struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < choice->n && r == L2_OK; i++) {
        const struct l2_constraint *x = &c->v[choice->picks[i].constraint];
        const char *value = x->values[choice->picks[i].value].text;
        r = l2_buf_printf(out, err, "%s%s%s%s", i > 0 ? "; " : "", x->name, *value ? ": " : "",
                          value);
    }
    return r;
}

int l2_constraints_obeyed(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                          size_t i, const char *text, size_t n, bool *obeys, struct l2_err *err)
{
    const struct l2_constraint *x = &c->v[choice->picks[i].constraint];
    size_t pos = 0, begin, end;
    int r =
        l2_pattern_next(x->values[choice->picks[i].value].obeys, text, n, &pos, &begin, &end, err);
    *obeys = r == L2_OK;
    return r == L2_END ? L2_OK : r;
}
