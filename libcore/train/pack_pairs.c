/* Packing preference pairs: a prompt, and two answers that go on from it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "train/data_state.h"

/* A pair after truncation: in d->document are the prompt, the first answer and the second one. */
struct sides {
    size_t n_prompt, kept, cut; /* of the prompt: ids that stay in front of cut ids that do not */
    size_t at[2], n[2];         /* the answers */
    size_t shared;              /* first ids of both answers that are the same */
    bool truncated;
};

/* The number of ids that both have in front; each keeps one of its own, to be scored at. */
static size_t count_shared(const struct l2_data *d, const struct sides *s)
{
    const uint32_t *a = d->document.v + s->at[0], *b = d->document.v + s->at[1];
    size_t most = (s->n[0] < s->n[1] ? s->n[0] : s->n[1]) - 1, n = 0;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static bool are_equal(const struct l2_data *d, const struct sides *s)
{
    return s->n[0] == s->n[1] && memcmp(d->document.v + s->at[0], d->document.v + s->at[1],
                                        s->n[0] * sizeof *d->document.v) == 0;
}

/* Shortens the sides to the context. False: there is no room. */
static bool fit(const struct l2_data *d, struct sides *s)
{
    size_t longest = s->n[0] > s->n[1] ? s->n[0] : s->n[1];
    if (s->n_prompt + longest <= d->opts.context)
        return true;
    struct l2_data_cut cut = l2_data_cut(d, s->n_prompt, longest, d->opts.context);
    if (cut.answer == 0)
        return false;
    s->kept = cut.kept;
    s->cut = cut.prompt;
    s->truncated = true;
    for (int i = 0; i < 2; i++)
        s->n[i] = s->n[i] < cut.answer ? s->n[i] : cut.answer;
    return true;
}

/* Prepares the example in hand. *good is false, and it is counted, where it is left out. */
static int take_sides(struct l2_data *d, struct sides *s, bool *good, struct l2_err *err)
{
    *good = false;
    *s = (struct sides){.cut = 0};
    if (d->x->n_answers != 2) {
        d->counts.dropped_no_pair++;
        return L2_OK;
    }
    int rc = l2_data_take_prompt(d, err);
    s->n_prompt = d->document.n;
    for (uint32_t i = 0; i < 2 && rc == L2_OK; i++) {
        s->at[i] = d->document.n;
        rc = l2_data_take_answer(d, i, &s->n[i], err);
    }
    if (rc != L2_OK)
        return rc;
    if (s->n[0] == 0 || s->n[1] == 0)
        d->counts.dropped_empty++;
    else if (!fit(d, s))
        d->counts.dropped_overlong++;
    else if (are_equal(d, s))
        d->counts.dropped_equal++;
    else
        *good = true;
    if (*good)
        s->shared = count_shared(d, s);
    return L2_OK;
}

static float margin_of(const struct l2_data *d)
{
    if (d->opts.use_margin && d->x->has_margin)
        return d->x->margin;
    return d->x->rating < L2_N_RATINGS ? d->opts.margins[d->x->rating] : 0;
}

static int add_pair(struct l2_data *d, const struct sides *s, struct l2_err *err)
{
    const struct l2_answer *answers = l2_data_examples(d)->answers + d->x->answers;
    size_t behind = s->kept + s->cut;
    struct l2_data_pair pair = {.margin = margin_of(d),
                                .rating = (enum l2_rating)d->x->rating,
                                .safe = {answers[0].safe, answers[1].safe},
                                .input = d->input};
    uint32_t prompt, span;
    int rc = l2_ids_append_n(&d->tokens, d->document.v, s->kept, err);
    if (rc == L2_OK)
        rc = l2_ids_append_n(&d->tokens, d->document.v + behind, s->n_prompt - behind, err);
    if (rc == L2_OK)
        rc = l2_ids_append_n(&d->tokens, d->document.v + s->at[0], s->shared, err);
    if (rc == L2_OK)
        rc = l2_data_add_span(d, s->n_prompt - s->cut + s->shared, L2_NO_PARENT, &prompt, err);
    for (int i = 0; i < 2 && rc == L2_OK; i++) {
        size_t n = s->n[i] - s->shared;
        rc = l2_ids_append_n(&d->tokens, d->document.v + s->at[i] + s->shared, n, err);
        if (rc == L2_OK)
            rc = l2_data_add_span(d, n, prompt, &span, err);
        pair.rows[i] = (uint32_t)(d->tokens.n - 1);
    }
    return rc == L2_OK ? l2_data_add_pair(d, &pair, err) : rc;
}

int l2_data_pack_pair(struct l2_data *d, struct l2_err *err)
{
    struct sides s;
    bool good = false;
    int rc;
    while (!good && (rc = l2_data_example(d, err)) == L2_OK) {
        if ((rc = take_sides(d, &s, &good, err)) != L2_OK)
            break;
        if (good && (rc = add_pair(d, &s, err)) != L2_OK)
            break;
        d->counts.examples += good;
        d->counts.truncated += good && s.truncated;
        l2_data_example_done(d, good);
    }
    return rc;
}
