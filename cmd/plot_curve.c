/* l2-plot curve: what the best of N completions score, as l2-rsample --curve tells it (the Llama 2
 * paper's figures 7 and 8). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

enum { MAX, MEDIAN, MEAN, N_STATISTICS };
static const char *const names[N_STATISTICS] = {"max", "median", "mean"};

/* Rows of one file, model and temperature. */
struct group {
    size_t file;
    const char *model;                        /* in the figure's arena; "": not told */
    double temperature;                       /* NAN: not told */
    struct plot_series *curves[N_STATISTICS]; /* NULL: not drawn */
    struct plot_series *band;
};

struct curves {
    struct plot *p;
    struct plot_panel *panel;
    bool drawn[N_STATISTICS];
    size_t file;
    struct group *v;
    size_t n, cap;
};

static int choose(struct curves *c, struct l2_err *err)
{
    const struct l2_strings *fields = &c->p->opts->fields;
    c->drawn[MAX] = c->drawn[MEDIAN] = fields->n == 0;
    for (size_t i = 0; i < fields->n; i++) {
        for (const char *at = fields->v[i];; at++) {
            size_t n = strcspn(at, ","), k = 0;
            while (k < N_STATISTICS && (strlen(names[k]) != n || strncmp(names[k], at, n) != 0))
                k++;
            if (k == N_STATISTICS)
                return l2_err_set(err, L2_ARGUMENT, "-y: want max, median or mean, got '%.*s'",
                                  (int)(n < 64 ? n : 64), at);
            c->drawn[k] = true;
            at += n;
            if (*at == '\0')
                break;
        }
    }
    return L2_OK;
}

static int add_group(struct curves *c, const char *model, double temperature, struct group **out,
                     struct l2_err *err)
{
    struct plot_figure *f = &c->p->figure;
    int r = l2_grow(&c->v, c->n, &c->cap, 1, sizeof *c->v, err);
    if (r != L2_OK)
        return r;
    struct group *g = &c->v[c->n];
    *g = (struct group){.file = c->file, .temperature = temperature};
    if (!(g->model = plot_text(f, err, "%s", model)))
        return L2_MEMORY;
    r = plot_series_add(f, c->panel, NULL, PLOT_BAND, &g->band, err);
    for (unsigned k = 0; k < N_STATISTICS && r == L2_OK; k++) {
        if (!c->drawn[k])
            continue;
        r = plot_series_add(f, c->panel, NULL, PLOT_MARKS, &g->curves[k], err);
        if (r == L2_OK) {
            g->curves[k]->color = g->band->color = (unsigned)c->n;
            g->curves[k]->dash = k;
        }
    }
    c->n++;
    *out = g;
    return r;
}

static int find_group(struct curves *c, const char *model, double temperature, struct group **out,
                      struct l2_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        struct group *g = &c->v[i];
        bool same = isnan(temperature) ? isnan(g->temperature) : g->temperature == temperature;
        if (g->file == c->file && same && strcmp(g->model, model) == 0) {
            *out = g;
            return L2_OK;
        }
    }
    return add_group(c, model, temperature, out, err);
}

static int take_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct curves *c = arg;
    struct group *g;
    double n, temperature, se, y[N_STATISTICS];
    const char *model;
    bool has[N_STATISTICS], has_n, any, has_se;
    int r = plot_number(row, "n", &has_n, &n, err);
    if (r == L2_OK && (!has_n || n < 1))
        r = l2_err_set(err, L2_FORMAT,
                       "want 'n', a count of completions: is this of l2-rsample "
                       "--curve");
    for (size_t k = 0; k < N_STATISTICS && r == L2_OK; k++) {
        r = plot_number(row, names[k], &has[k], &y[k], err);
        if (r == L2_OK && !has[k] && c->drawn[k])
            r = l2_err_set(err, L2_FORMAT, "want '%s': is this of l2-rsample --curve", names[k]);
    }
    if (r == L2_OK)
        r = plot_number(row, "max_se", &has_se, &se, err);
    if (r == L2_OK)
        r = plot_number(row, "temperature", &any, &temperature, err);
    if (r == L2_OK)
        r = plot_string(row, "model", &model, err);
    if (r == L2_OK)
        r = find_group(c, model ? model : "", temperature, &g, err);
    for (size_t k = 0; k < N_STATISTICS && r == L2_OK; k++) {
        struct plot_point point = {.x = n, .y = y[k]};
        if (g->curves[k])
            r = plot_point_add(g->curves[k], &point, err);
    }
    if (r == L2_OK && c->drawn[MAX] && has_se) {
        struct plot_point point = {.x = n, .y = y[MAX], .lo = y[MAX] - se, .hi = y[MAX] + se};
        r = plot_point_add(g->band, &point, err);
    }
    return r;
}

/* The parts in which the groups differ, and the statistic where there are several. */
static const char *label_of(struct curves *c, const struct group *g, size_t k, struct l2_err *err)
{
    bool files = plot_n_files(c->p) > 1, models = false, temperatures = false;
    unsigned statistics = 0;
    char temperature[40] = "";
    const char *file = "";
    for (size_t i = 0; i < c->n; i++) {
        models = models || strcmp(c->v[i].model, c->v[0].model) != 0;
        temperatures = temperatures || isnan(c->v[i].temperature) != isnan(c->v[0].temperature) ||
                       (!isnan(c->v[i].temperature) && c->v[i].temperature != c->v[0].temperature);
    }
    for (size_t i = 0; i < N_STATISTICS; i++)
        statistics += c->drawn[i];
    if (files && !(file = plot_file_label(c->p, g->file, err)))
        return NULL;
    if (temperatures && isnan(g->temperature))
        snprintf(temperature, sizeof temperature, "no temperature");
    else if (temperatures)
        snprintf(temperature, sizeof temperature, "T = %g", g->temperature);
    const char *model = models ? (*g->model ? g->model : "no model") : "";
    bool whole = *file || *model || *temperature;
    return plot_text(&c->p->figure, err, "%s%s%s%s%s%s%s", file, *file && *model ? ", " : "", model,
                     (*file || *model) && *temperature ? ", " : "", temperature,
                     whole && statistics > 1 ? ": " : "", whole && statistics == 1 ? "" : names[k]);
}

int plot_curve(struct plot *p, struct l2_err *err)
{
    struct curves c = {.p = p};
    int r = choose(&c, err);
    if (r == L2_OK)
        r = plot_panel_add(&p->figure, &c.panel, err);
    for (; c.file < plot_n_files(p) && r == L2_OK; c.file++)
        r = plot_each_row(p, plot_path(p, c.file), take_row, &c, err);
    for (size_t i = 0; i < c.n && r == L2_OK; i++)
        for (size_t k = 0; k < N_STATISTICS && r == L2_OK; k++)
            if (c.v[i].curves[k] && !(c.v[i].curves[k]->label = label_of(&c, &c.v[i], k, err)))
                r = L2_MEMORY;
    if (r == L2_OK) {
        c.panel->log_x = 2;
        c.panel->xlabel = "N, completions of a prompt to choose from";
        c.panel->ylabel = "reward, mean over prompts";
    }
    free(c.v);
    return r;
}
