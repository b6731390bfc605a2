/* l2-rsample: --curve and --explain. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "rsample.h"

int rsample_curve_add(struct sampling *s, struct l2_record *rec, struct l2_err *err)
{
    enum l2_select_result result;
    struct l2_verdict *verdicts;
    int r = l2_judge(rec, &s->select, &verdicts, &result, err);
    return r < 0 ? r : l2_curve_add(s->curve, rec, verdicts, err);
}

static int put_point(void *arg, const struct l2_curve_point *p, struct l2_err *err)
{
    struct sampling *s = arg;
    json_t *j = json_pack("{s:I,s:I,s:f,s:f,s:f,s:f}", "n", (json_int_t)p->n, "records",
                          (json_int_t)p->records, "max", p->max, "max_se", p->max_se, "median",
                          p->median, "mean", p->mean);
    char *line;
    int r;
    if (p->has_temperature)
        json_object_set_new(j, "temperature", json_real(p->temperature));
    if (p->model[0] != '\0')
        json_object_set_new(j, "model", json_string(p->model));
    line = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(j);
    r = line ? l2_buf_printf(&s->text, err, "%s\n", line) : l2_err_memory(err, 1);
    free(line);
    return r;
}

/* ---- --explain ---- */

static bool has_id(const struct l2_record *rec, const char *id)
{
    char number[24];
    if (rec->id.is_text)
        return rec->id.text.n == strlen(id) && memcmp(rec->id.text.s, id, rec->id.text.n) == 0;
    snprintf(number, sizeof number, "%" PRId64, rec->id.number);
    return strcmp(number, id) == 0;
}

/* Why the record as a whole is taken or left out. */
static const char *verdict_on_record(const struct sampling *s, enum l2_select_result result)
{
    static const char *const text[L2_N_SELECT_RESULTS] = {
        [L2_SELECTED] = "chosen from",
        [L2_SELECT_UNSCORED] = "left out: no completion has a value",
        [L2_SELECT_BELOW] = "left out: all are below --min-score",
        [L2_SELECT_SINGLE] = "left out: fewer than two completions differ",
        [L2_SELECT_TIED] = "left out: all values are equal",
        [L2_SELECT_OUTRANKED] = "left out: other records have better ones",
        [L2_SELECT_NO_GAIN] = "left out: one made without a pre-prompt is the best",
    };
    if (s->select.over_plain && result == L2_SELECT_UNSCORED)
        return "left out: no completion with or none without a pre-prompt has a value";
    if (s->select.over_plain && result == L2_SELECT_TIED)
        return "left out: the best with and without a pre-prompt are equal";
    return text[result];
}

static int explain_fate(struct l2_buf *out, const struct l2_verdict *v, bool selected,
                        struct l2_err *err)
{
    switch (v->fate) {
    case L2_FATE_UNSCORED:
        return l2_buf_printf(out, err, "lacks %s", v->missing);
    case L2_FATE_BELOW:
        return l2_buf_append_str(out, "below --min-score", err);
    case L2_FATE_PLAIN:
        return l2_buf_append_str(out, "made without a pre-prompt", err);
    case L2_FATE_NO_GAIN:
        return l2_buf_append_str(out, "no better than one made without a pre-prompt", err);
    case L2_FATE_DUPLICATE:
        return l2_buf_printf(out, err, "same as %zu", v->same_as);
    case L2_FATE_CHOSEN:
        if (selected)
            return l2_buf_printf(out, err, "chosen, number %zu", v->place + 1);
        return l2_buf_append_str(out, "not chosen", err);
    default:
        return l2_buf_append_str(out, "not chosen", err);
    }
}

static int explain_completion(struct l2_buf *out, const struct l2_completion *c, size_t i,
                              const struct l2_verdict *v, bool selected, struct l2_err *err)
{
    bool ranked = v->fate == L2_FATE_CHOSEN || v->fate == L2_FATE_OUTRANKED;
    int r = l2_buf_printf(out, err, "%5zu ", i);
    if (r == L2_OK)
        r = ranked ? l2_buf_printf(out, err, "%5zu", v->rank)
                   : l2_buf_append_str(out, "    -", err);
    if (r == L2_OK)
        r = v->fate == L2_FATE_UNSCORED ? l2_buf_append_str(out, "           -", err)
                                        : l2_buf_printf(out, err, "%12.6g", v->value);
    if (r == L2_OK)
        r = l2_buf_printf(out, err, "%8zu  ", c->tokens.n);
    if (r == L2_OK)
        r = explain_fate(out, v, selected, err);
    for (size_t k = 0; k < c->n_scores && r == L2_OK; k++)
        r = l2_buf_printf(out, err, "%s%s %.6g", k == 0 ? "; " : ", ", c->scores[k].name.s,
                          c->scores[k].value);
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

int rsample_explain(struct sampling *s, const char *id, struct l2_record *rec, struct l2_err *err)
{
    enum l2_select_result result;
    struct l2_verdict *verdicts;
    int r;
    if (!has_id(rec, id))
        return L2_OK;
    if ((r = l2_judge(rec, &s->select, &verdicts, &result, err)) < 0)
        return r;
    r = l2_buf_printf(&s->text, err, "%srecord %s, by '%s': %s\n", s->explained++ > 0 ? "\n" : "",
                      id, s->by_text, verdict_on_record(s, result));
    if (r == L2_OK && rec->n_completions > 0)
        r = l2_buf_append_str(&s->text, "place  rank       value  tokens  why\n", err);
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++)
        r = explain_completion(&s->text, &rec->completions[i], i, &verdicts[i],
                               result == L2_SELECTED, err);
    return r;
}

int rsample_show(struct sampling *s, const char *explain, struct l2_err *err)
{
    const char *name;
    int fd, closed;
    int r = s->curve ? l2_curve_points(s->curve, put_point, s, err) : L2_OK;
    if (explain && s->explained == 0)
        return l2_err_set(err, L2_CORRUPT, "no record has the id %s", explain);
    if (r == L2_OK)
        r = l2_cli_open_output(s->cli, false, &fd, &name, err);
    if (r < 0)
        return r;
    r = l2_cli_write(fd, name, s->text.data, s->text.len, err);
    closed = l2_cli_close_output(s->cli, fd, name, r == L2_OK ? err : NULL);
    return r == L2_OK ? closed : r;
}
