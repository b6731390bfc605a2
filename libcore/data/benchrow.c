/* RewardBench's output rows. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/benchrow.h"

#include "data/shape.h"
#include "stream/json.h"

/* ,"NAME":TEXT, the text being that of the prompt and completion i. */
static int put_text(const struct l2_vocab *v, const struct l2_record *rec, const char *name,
                    size_t i, struct l2_buf *out, struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = l2_shape_to_text(v, rec, i, &text, err);
    if (r == L2_OK)
        r = l2_buf_printf(out, err, ",\"%s\":", name);
    if (r == L2_OK)
        r = l2_json_put_str(out, text.len > 0 ? (const char *)text.data : "", text.len, err);
    l2_buf_release(&text);
    return r;
}

/* The prompt's text alone. */
static int put_prompt(const struct l2_vocab *v, const struct l2_record *rec, struct l2_buf *out,
                      struct l2_err *err)
{
    struct l2_record prompt = *rec; /* borrows all of it */
    prompt.completions = NULL;
    prompt.n_completions = 0;
    return put_text(v, &prompt, "prompt", 0, out, err);
}

static int put_score(const char *name, double score, struct l2_buf *out, struct l2_err *err)
{
    int r = l2_buf_printf(out, err, ",\"%s\":", name);
    return r == L2_OK ? l2_json_put_f64(out, score, err) : r;
}

int l2_benchrow_write(const struct l2_vocab *v, const struct l2_record *rec, const char *score,
                      struct l2_buf *out, struct l2_err *err)
{
    const double *chosen = NULL, *rejected = NULL;
    char id[64];
    bool first = false;
    if (rec->n_completions == 2) {
        chosen = l2_completion_score(&rec->completions[0], score);
        rejected = l2_completion_score(&rec->completions[1], score);
    }
    if (!chosen || !rejected) {
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(err, L2_CORRUPT, "record %s: want two completions with the score %s", id,
                          score);
    }
    int r = l2_buf_append_str(out, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(out, &rec->id, err);
    if (r == L2_OK)
        r = put_prompt(v, rec, out, err);
    if (r == L2_OK)
        r = l2_buf_printf(out, err, ",\"results\":%d", *chosen > *rejected);
    if (r == L2_OK)
        r = put_score("scores_chosen", *chosen, out, err);
    if (r == L2_OK)
        r = put_score("scores_rejected", *rejected, out, err);
    if (r == L2_OK)
        r = put_text(v, rec, "text_chosen", 0, out, err);
    if (r == L2_OK)
        r = put_text(v, rec, "text_rejected", 1, out, err);
    if (r == L2_OK && rec->has_meta)
        r = l2_json_put_fields(out, &rec->meta, &first, err);
    return r == L2_OK ? l2_buf_append_str(out, "}\n", err) : r;
}
