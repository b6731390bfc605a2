/* Mean, deviation and pair accuracy of a run of scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stream/fields.h"
#include "util/num.h"

/* Distinct margins or values that are told apart; later ones are counted together. */
#define MAX_GROUPS 256

struct group {
    char *label; /* owned */
    double margin;
    uint64_t n, right, ties;
};

struct groups {
    struct group v[MAX_GROUPS];
    size_t n;
    struct group others;
};

struct l2_tally {
    const char *name;
    const char *by_field;
    uint64_t n;
    double mean, square; /* of deviations from the mean (Welford) */
    struct group all;    /* pairs */
    struct groups margins, fields;
};

int l2_tally_new(struct l2_tally **out, const char *name, const char *by_field, struct l2_err *err)
{
    struct l2_tally *t = calloc(1, sizeof *t);
    *out = t;
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->name = name;
    t->by_field = by_field;
    return L2_OK;
}

static void groups_release(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->v[i].label);
}

void l2_tally_free(struct l2_tally *t)
{
    if (!t)
        return;
    groups_release(&t->margins);
    groups_release(&t->fields);
    free(t);
}

/* The group of that label, a new one while there is room. */
static int find_group(struct groups *g, const char *label, struct group **out, struct l2_err *err)
{
    *out = &g->others;
    for (size_t i = 0; i < g->n; i++) {
        if (strcmp(g->v[i].label, label) == 0) {
            *out = &g->v[i];
            return L2_OK;
        }
    }
    if (g->n == MAX_GROUPS)
        return L2_OK;
    char *copy = strdup(label);
    if (!copy)
        return l2_err_memory(err, strlen(label) + 1);
    *out = &g->v[g->n++];
    (*out)->label = copy;
    return L2_OK;
}

static void count_pair(struct group *g, double chosen, double rejected)
{
    g->n++;
    g->right += chosen > rejected;
    g->ties += chosen == rejected;
}

static int count_by_margin(struct l2_tally *t, const struct l2_record *rec, double chosen,
                           double rejected, struct l2_err *err)
{
    char label[32];
    struct group *g;
    if (!rec->has_margin)
        return L2_OK;
    l2_format_f32(label, rec->margin);
    int r = find_group(&t->margins, label, &g, err);
    if (r == L2_OK) {
        g->margin = strtod(label, NULL); /* the digits that people know the margin by */
        count_pair(g, chosen, rejected);
    }
    return r;
}

static int count_by_field(struct l2_tally *t, const struct l2_record *rec, double chosen,
                          double rejected, struct l2_err *err)
{
    struct l2_buf label = {0};
    struct group *g;
    if (!t->by_field)
        return L2_OK;
    int r = l2_fields_label(&rec->meta, t->by_field, &label, err);
    if (r == L2_OK)
        r = l2_buf_append_byte(&label, 0, err);
    if (r == L2_OK)
        r = find_group(&t->fields, (const char *)label.data, &g, err);
    if (r == L2_OK)
        count_pair(g, chosen, rejected);
    l2_buf_release(&label);
    return r;
}

int l2_tally_add(struct l2_tally *t, const struct l2_record *rec, struct l2_err *err)
{
    const double *pair[2] = {NULL, NULL};
    for (size_t c = 0; c < rec->n_completions; c++) {
        const double *score = l2_completion_score(&rec->completions[c], t->name);
        if (c < 2)
            pair[c] = score;
        if (!score)
            continue;
        double delta = *score - t->mean;
        t->n++;
        t->mean += delta / (double)t->n;
        t->square += delta * (*score - t->mean);
    }
    if (rec->n_completions != 2 || !pair[0] || !pair[1])
        return L2_OK;
    count_pair(&t->all, *pair[0], *pair[1]);
    int r = count_by_margin(t, rec, *pair[0], *pair[1], err);
    if (r == L2_OK)
        r = count_by_field(t, rec, *pair[0], *pair[1], err);
    return r;
}

static json_t *group_json(const struct group *g)
{
    return json_pack("{s:I, s:f, s:I}", "n", (json_int_t)g->n, "accuracy",
                     (double)g->right / (double)g->n, "ties", (json_int_t)g->ties);
}

static int by_margin_down(const void *a, const void *b)
{
    double x = ((const struct group *)a)->margin, y = ((const struct group *)b)->margin;
    return (x < y) - (x > y);
}

static int by_label(const void *a, const void *b)
{
    return strcmp(((const struct group *)a)->label, ((const struct group *)b)->label);
}

/* An array of {"margin" or "value", n, accuracy, ties}, sorted. */
static json_t *groups_json(struct groups *g, bool margins)
{
    const char *key = margins ? "margin" : "value";
    json_t *list = json_array();
    qsort(g->v, g->n, sizeof *g->v, margins ? by_margin_down : by_label);
    for (size_t i = 0; i < g->n; i++) {
        json_t *row = group_json(&g->v[i]);
        json_object_set_new(row, key,
                            margins ? json_real(g->v[i].margin) : json_string(g->v[i].label));
        json_array_append_new(list, row);
    }
    if (g->others.n > 0) {
        json_t *row = group_json(&g->others);
        json_object_set_new(row, key, json_null());
        json_array_append_new(list, row);
    }
    return list;
}

int l2_tally_report(struct l2_tally *t, json_t *report, struct l2_err *err)
{
    int failed = 0;
    if (t->n > 0) {
        double sd = t->n > 1 ? sqrt(t->square / (double)(t->n - 1)) : 0;
        failed |= json_object_set_new(report, "score",
                                      json_pack("{s:s, s:I, s:f, s:f}", "name", t->name, "n",
                                                (json_int_t)t->n, "mean", t->mean, "sd", sd));
    }
    if (t->all.n > 0)
        failed |= json_object_set_new(report, "pairs", group_json(&t->all));
    if (t->margins.n > 0)
        failed |= json_object_set_new(report, "by_margin", groups_json(&t->margins, true));
    if (t->fields.n > 0)
        failed |= json_object_set_new(report, "by_field",
                                      json_pack("{s:s, s:o}", "field", t->by_field, "values",
                                                groups_json(&t->fields, false)));
    return failed ? l2_err_memory(err, 0) : L2_OK;
}
