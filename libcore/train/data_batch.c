/* Building batches: what the packings have in common. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>

#include "train/data_state.h"
#include "util/grow.h"
#include "util/num.h"

int l2_data_add_span(struct l2_data *d, size_t n, uint32_t parent, uint32_t *span,
                     struct l2_err *err)
{
    *span = parent;
    if (n == 0)
        return L2_OK;
    int rc = l2_grow(&d->spans, d->n_spans, &d->cap_spans, 1, sizeof *d->spans, err);
    if (rc != L2_OK)
        return rc;
    *span = (uint32_t)d->n_spans;
    d->spans[d->n_spans++] =
        (struct l2_span){.first = (uint32_t)(d->tokens.n - n), .n = (uint32_t)n, .parent = parent};
    return L2_OK;
}

int l2_data_add_target(struct l2_data *d, size_t row, uint32_t token, struct l2_err *err)
{
    int rc = l2_grow(&d->targets, d->n_targets, &d->cap_targets, 1, sizeof *d->targets, err);
    if (rc == L2_OK)
        d->targets[d->n_targets++] = (struct l2_target){.row = (uint32_t)row, .token = token};
    return rc;
}

int l2_data_add_pair(struct l2_data *d, const struct l2_data_pair *pair, struct l2_err *err)
{
    int rc = l2_grow(&d->pairs, d->n_pairs, &d->cap_pairs, 1, sizeof *d->pairs, err);
    if (rc == L2_OK)
        d->pairs[d->n_pairs++] = *pair;
    return rc;
}

int l2_data_take_prompt(struct l2_data *d, struct l2_err *err)
{
    const uint32_t *ids = l2_data_examples(d)->ids.v + d->x->ids;
    int rc = L2_OK;
    d->document.n = 0;
    if (d->opts.add_bos && (d->x->n == 0 || ids[0] != d->opts.bos))
        rc = l2_ids_append(&d->document, d->opts.bos, err);
    return rc == L2_OK ? l2_ids_append_n(&d->document, ids, d->x->n, err) : rc;
}

int l2_data_take_answer(struct l2_data *d, uint32_t i, size_t *n, struct l2_err *err)
{
    const struct l2_examples *e = l2_data_examples(d);
    const struct l2_answer *a = &e->answers[d->x->answers + i];
    const uint32_t *ids = e->ids.v + a->ids;
    bool eos = d->opts.add_eos && (a->n == 0 || ids[a->n - 1] != d->opts.eos);
    int rc = l2_ids_append_n(&d->document, ids, a->n, err);
    if (rc == L2_OK && eos)
        rc = l2_ids_append(&d->document, d->opts.eos, err);
    *n = a->n + (size_t)eos;
    return rc;
}

struct l2_data_cut l2_data_cut(const struct l2_data *d, size_t n, size_t n_answer, size_t limit)
{
    struct l2_data_cut cut = {.answer = n_answer};
    if (d->opts.overlong == L2_DATA_OVERLONG_LEFT) {
        cut.kept = n > 0 && d->document.v[0] == d->opts.bos;
        cut.prompt = n + n_answer - limit;
        if (cut.prompt > n - cut.kept)
            cut.prompt = n - cut.kept;
        if (n - cut.prompt + n_answer > limit)
            cut.answer = limit - (n - cut.prompt);
    } else {
        cut.answer = d->opts.overlong == L2_DATA_OVERLONG_RIGHT && n < limit ? limit - n : 0;
    }
    return cut;
}
