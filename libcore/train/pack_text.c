/* Packing documents: one after the other, cut into windows of the context. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/data_state.h"

/* The document in hand becomes d->document: the prompt and the next answer. */
static int take_document(struct l2_data *d, struct l2_err *err)
{
    size_t n;
    int rc = l2_data_take_prompt(d, err);
    if (rc == L2_OK && d->x->n_answers > 0)
        return l2_data_take_answer(d, d->answer, &n, err);
    if (rc == L2_OK && d->opts.add_eos && d->document.n > 0 &&
        d->document.v[d->document.n - 1] != d->opts.eos)
        rc = l2_ids_append(&d->document, d->opts.eos, err);
    return rc;
}

/* On to the next answer of the example, or past it. */
static void next_document(struct l2_data *d, bool packed)
{
    d->offset = 0;
    d->document.n = 0;
    d->counts.examples += packed;
    if (++d->answer >= d->x->n_answers)
        l2_data_example_done(d, packed);
}

/* Makes sure that d->document has an id at d->offset. L2_END: there are no more. min: a document
 * of fewer ids is left out. */
static int ensure_id(struct l2_data *d, size_t min, struct l2_err *err)
{
    for (;;) {
        int rc = l2_data_example(d, err);
        if (rc == L2_OK && d->document.n == 0)
            rc = take_document(d, err);
        if (rc != L2_OK)
            return rc;
        if (d->offset == 0 && d->document.n < min) {
            d->counts.dropped_empty++;
            next_document(d, false);
        } else if (d->offset + (min - 1) < d->document.n) {
            return L2_OK;
        } else {
            next_document(d, true);
        }
    }
}

/* As the paper has it: the window is one sequence, documents or not. The id behind the window is
 * predicted too, and the next window begins with it. */
static int pack_across(struct l2_data *d, struct l2_err *err)
{
    size_t base = d->tokens.n, targets = d->n_targets, n = 0;
    uint32_t span;
    int rc;
    for (;;) {
        rc = ensure_id(d, 1, err);
        if (rc != L2_OK)
            break;
        uint32_t id = d->document.v[d->offset];
        if (n > 0 && (rc = l2_data_add_target(d, base + n - 1, id, err)) != L2_OK)
            return rc;
        if (n == d->opts.context)
            break;
        if ((rc = l2_ids_append(&d->tokens, id, err)) != L2_OK)
            return rc;
        n++;
        d->offset++;
    }
    if (rc != L2_OK && rc != L2_END)
        return rc;
    if (d->n_targets == targets) { /* an id that has been predicted, and nothing follows */
        d->tokens.n = base;
        return L2_END;
    }
    return l2_data_add_span(d, n, L2_NO_PARENT, &span, err);
}

/* Each document, or what of it falls into the window, is a sequence of its own. */
static int pack_cut(struct l2_data *d, struct l2_err *err)
{
    size_t left = d->opts.context;
    uint32_t span;
    int rc = L2_OK;
    while (left > 0 && (rc = ensure_id(d, 2, err)) == L2_OK) {
        size_t row = d->tokens.n, n = d->document.n - 1 - (size_t)d->offset;
        const uint32_t *ids = d->document.v + d->offset;
        n = n < left ? n : left;
        rc = l2_ids_append_n(&d->tokens, ids, n, err);
        for (size_t i = 0; i < n && rc == L2_OK; i++)
            rc = l2_data_add_target(d, row + i, ids[i + 1], err);
        if (rc == L2_OK)
            rc = l2_data_add_span(d, n, L2_NO_PARENT, &span, err);
        if (rc != L2_OK)
            return rc;
        d->offset += n;
        left -= n;
    }
    return rc == L2_END && left < d->opts.context ? L2_OK : rc;
}

int l2_data_pack_text(struct l2_data *d, struct l2_err *err)
{
    return d->opts.cut_documents ? pack_cut(d, err) : pack_across(d, err);
}
