/* l2-plot accuracy: how often reward models rank held-out pairs right, over training, or by the
 * size of data and of model (the Llama 2 paper's figure 6). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/data.h"
#include "util/grow.h"

enum { ALL, N_PANELS = 1 + L2_N_RATINGS };

/* A curve of each panel: of a log, or of models of one size. */
struct run {
    size_t file;
    double parameters; /* NAN: a log's */
    struct plot_series *curves[N_PANELS];
};

struct accuracy {
    struct plot *p;
    struct plot_panel *panels[N_PANELS];
    struct run *v;
    size_t n, cap;
    size_t file;
    double x; /* of the log; NAN: none yet */
    uint64_t rows;
    bool logs, summaries; /* were met */
};

static int find_run(struct accuracy *a, double parameters, struct run **out, struct l2_err *err)
{
    for (size_t i = 0; i < a->n; i++) {
        bool same = isnan(parameters) ? a->v[i].file == a->file : a->v[i].parameters == parameters;
        if (same) {
            *out = &a->v[i];
            return L2_OK;
        }
    }
    int r = l2_grow(&a->v, a->n, &a->cap, 1, sizeof *a->v, err);
    if (r != L2_OK)
        return r;
    struct run *run = &a->v[a->n];
    *run = (struct run){.file = a->file, .parameters = parameters};
    for (size_t k = 0; k < N_PANELS && r == L2_OK; k++) {
        r = plot_series_add(&a->p->figure, a->panels[k], NULL, PLOT_MARKS, &run->curves[k], err);
        if (r == L2_OK)
            run->curves[k]->color = (unsigned)a->n;
    }
    a->n++;
    *out = run;
    return r;
}

/* Pairs that a run was trained on: what it was shown, by how often. */
static int place_of_summary(const json_t *row, double *x, double *parameters, struct l2_err *err)
{
    double examples, epochs;
    bool has_examples, has_epochs, has_parameters;
    int r = plot_number(row, "examples", &has_examples, &examples, err);
    if (r == L2_OK)
        r = plot_number(row, "epochs", &has_epochs, &epochs, err);
    if (r == L2_OK)
        r = plot_number(row, "parameters", &has_parameters, parameters, err);
    if (r != L2_OK)
        return r;
    if (!has_examples || !has_epochs || !has_parameters || examples <= 0 || epochs <= 0 ||
        *parameters <= 0)
        return l2_err_set(
            err, L2_FORMAT,
            "a summary without examples, epochs and parameters: want that of l2-train "
            "reward");
    *x = epochs > 1 ? round(examples / epochs) : examples;
    return L2_OK;
}

static int put_ratings(struct run *run, const json_t *rated, struct plot_point point,
                       struct l2_err *err)
{
    json_t *value;
    const char *name;
    enum l2_rating rating;
    int r = L2_OK;
    if (!rated || json_is_null(rated))
        return L2_OK;
    if (!json_is_object(rated))
        return l2_err_set(err, L2_FORMAT, "want an object as 'eval_accuracy_by_rating'");
    json_object_foreach((json_t *)rated, name, value)
    {
        if (!l2_rating_parse(name, strlen(name), &rating) || !json_is_number(value))
            return l2_err_set(err, L2_FORMAT,
                              "want ratings and numbers in "
                              "'eval_accuracy_by_rating', got '%.64s'",
                              name);
        struct plot_series *c = run->curves[1 + rating];
        point.y = json_number_value(value);
        plot_series_cut(c, point.step);
        if ((r = plot_point_add(c, &point, err)) != L2_OK)
            return r;
    }
    return L2_OK;
}

static int take_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct accuracy *a = arg;
    struct plot_point point = {.step = ++a->rows};
    double x, step, parameters = NAN;
    bool has_x, has_step, has;
    struct run *run;
    int r = plot_number(row, a->p->opts->x, &has_x, &x, err);
    if (r == L2_OK)
        r = plot_number(row, "eval_accuracy", &has, &point.y, err);
    if (r == L2_OK)
        r = plot_number(row, "step", &has_step, &step, err);
    if (r != L2_OK)
        return r;
    if (has_x)
        a->x = x;
    if (has_step && step >= 0 && step < 0x1p63)
        point.step = (uint64_t)step;
    if (!has)
        return L2_OK;
    bool summary = json_object_get(row, "program") != NULL;
    *(summary ? &a->summaries : &a->logs) = true;
    if (a->summaries && a->logs)
        return l2_err_set(err, L2_FORMAT, "summaries and logs do not fit into one picture");
    point.x = a->x;
    if (summary) {
        point.step = a->rows;
        r = place_of_summary(row, &point.x, &parameters, err);
    } else if (isnan(a->x)) {
        r = l2_err_set(err, L2_FORMAT, "no row up to here has '%.64s', which is to be the x axis",
                       a->p->opts->x);
    }
    if (r == L2_OK)
        r = find_run(a, parameters, &run, err);
    if (r != L2_OK)
        return r;
    plot_series_cut(run->curves[ALL], point.step);
    if ((r = plot_point_add(run->curves[ALL], &point, err)) != L2_OK || !a->p->opts->by_rating)
        return r;
    return put_ratings(run, json_object_get(row, "eval_accuracy_by_rating"), point, err);
}

static int by_x(const void *a, const void *b)
{
    double x = ((const struct plot_point *)a)->x, y = ((const struct plot_point *)b)->x;
    return (x > y) - (x < y);
}

static int by_parameters(const void *a, const void *b)
{
    double x = ((const struct run *)a)->parameters, y = ((const struct run *)b)->parameters;
    return (x > y) - (x < y);
}

/* 7e9 is "7B". */
static const char *size_text(struct plot *p, double parameters, struct l2_err *err)
{
    static const char units[] = {' ', 'K', 'M', 'B', 'T'};
    size_t unit = 0;
    while (parameters >= 999.5 && unit + 1 < sizeof units) {
        parameters /= 1000;
        unit++;
    }
    return unit == 0 ? plot_text(&p->figure, err, "%.0f parameters", parameters)
                     : plot_text(&p->figure, err, "%.3g%c parameters", parameters, units[unit]);
}

static int label_runs(struct accuracy *a, struct l2_err *err)
{
    if (a->summaries)
        qsort(a->v, a->n, sizeof *a->v, by_parameters);
    for (size_t i = 0; i < a->n; i++) {
        struct run *run = &a->v[i];
        const char *label = a->summaries ? size_text(a->p, run->parameters, err)
                                         : plot_file_label(a->p, run->file, err);
        if (!label)
            return L2_MEMORY;
        for (size_t k = 0; k < N_PANELS; k++) {
            struct plot_series *c = run->curves[k];
            c->label = label;
            c->color = (unsigned)i;
            if (a->summaries && c->n > 0)
                qsort(c->v, c->n, sizeof *c->v, by_x);
        }
    }
    return L2_OK;
}

static const char *rating_text(size_t panel)
{
    return panel == ALL ? "all pairs" : l2_rating_names[panel - 1];
}

/* One run's ratings go into one panel, several runs' into one each. */
static int join_panels(struct accuracy *a, struct l2_err *err)
{
    struct plot_panel *all = a->panels[ALL];
    int r = l2_grow(&all->series, all->n, &all->cap, N_PANELS, sizeof *all->series, err);
    for (size_t k = 0; k < N_PANELS && r == L2_OK; k++) {
        struct plot_series *c = a->v[0].curves[k];
        c->label = rating_text(k);
        c->color = (unsigned)k;
        if (k != ALL) {
            all->series[all->n++] = c;
            a->panels[k]->n = 0;
        }
    }
    return r;
}

static void finish_panels(struct accuracy *a)
{
    struct plot_figure *f = &a->p->figure;
    bool joined = a->n == 1;
    for (size_t k = 0; k < N_PANELS; k++) {
        struct plot_panel *p = a->panels[k];
        p->xlabel = a->summaries                               ? "pairs trained on"
                    : strcmp(a->p->opts->x, "num_tokens") == 0 ? "tokens"
                                                               : a->p->opts->x;
        p->ylabel = "accuracy (share of pairs)";
        p->title = a->p->opts->by_rating && !joined ? rating_text(k) : NULL;
        p->hline = 0.5; /* chance */
    }
    plot_drop_empty_panels(f);
    f->columns = f->n > 1 ? 2 : 1;
}

int plot_accuracy(struct plot *p, struct l2_err *err)
{
    struct accuracy a = {.p = p};
    int r = L2_OK;
    for (size_t k = 0; k < N_PANELS && r == L2_OK; k++)
        r = plot_panel_add(&p->figure, &a.panels[k], err);
    for (; a.file < plot_n_files(p) && r == L2_OK; a.file++) {
        a.x = NAN;
        r = plot_each_row(p, plot_path(p, a.file), take_row, &a, err);
    }
    if (r == L2_OK && a.n == 0 && p->rows > 0)
        r = l2_err_set(err, L2_FORMAT,
                       "no row has eval_accuracy: want logs or summaries of "
                       "l2-train reward with --held-out");
    if (r == L2_OK)
        r = label_runs(&a, err);
    if (r == L2_OK && p->opts->by_rating && a.n == 1)
        r = join_panels(&a, err);
    if (r == L2_OK)
        finish_panels(&a);
    free(a.v);
    return r;
}
