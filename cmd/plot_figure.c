/* l2-plot: figures of panels and curves in memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

static void series_free(struct plot_series *s)
{
    if (!s)
        return;
    free(s->v);
    free(s->names);
    free(s);
}

static void panel_free(struct plot_panel *p)
{
    for (size_t k = 0; k < p->n; k++)
        series_free(p->series[k]);
    free(p->series);
    free(p);
}

void plot_figure_release(struct plot_figure *f)
{
    for (size_t i = 0; i < f->n; i++)
        panel_free(f->panels[i]);
    free(f->panels);
    l2_arena_release(&f->arena);
    *f = (struct plot_figure){.n = 0};
}

void plot_drop_empty_panels(struct plot_figure *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        size_t points = 0;
        for (size_t k = 0; k < f->panels[i]->n; k++)
            points += f->panels[i]->series[k]->n;
        if (points > 0)
            f->panels[kept++] = f->panels[i];
        else
            panel_free(f->panels[i]);
    }
    f->n = kept;
}

int plot_panel_add(struct plot_figure *f, struct plot_panel **out, struct l2_err *err)
{
    *out = NULL;
    int r = l2_grow(&f->panels, f->n, &f->cap, 1, sizeof *f->panels, err);
    if (r != L2_OK)
        return r;
    struct plot_panel *p = malloc(sizeof *p);
    if (!p)
        return l2_err_memory(err, sizeof *p);
    *p = (struct plot_panel){
        .hline = NAN, .vline = NAN, .x_min = NAN, .x_max = NAN, .y_min = NAN, .y_max = NAN};
    *out = f->panels[f->n++] = p;
    return L2_OK;
}

int plot_series_add(struct plot_figure *f, struct plot_panel *panel, const char *label,
                    enum plot_style style, struct plot_series **out, struct l2_err *err)
{
    const char *copy = NULL;
    *out = NULL;
    int r = l2_grow(&panel->series, panel->n, &panel->cap, 1, sizeof *panel->series, err);
    if (r != L2_OK)
        return r;
    if (label && !(copy = l2_arena_strdup(&f->arena, label, strlen(label), err)))
        return L2_MEMORY;
    struct plot_series *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->label = copy;
    s->style = style;
    *out = panel->series[panel->n++] = s;
    return L2_OK;
}

int plot_point_add(struct plot_series *s, const struct plot_point *point, struct l2_err *err)
{
    if (!isfinite(point->x) || !isfinite(point->y) || !isfinite(point->lo) || !isfinite(point->hi))
        return l2_err_set(err, L2_FORMAT, "want finite numbers, got %g at %g", point->y, point->x);
    int r = l2_grow(&s->v, s->n, &s->cap, 1, sizeof *s->v, err);
    if (r == L2_OK)
        s->v[s->n++] = *point;
    return r;
}

void plot_series_cut(struct plot_series *s, uint64_t step)
{
    while (s->n > 0 && s->v[s->n - 1].step >= step)
        s->n--;
}

int plot_series_thin(struct plot_series *s, size_t max, struct l2_err *err)
{
    size_t runs = max / 2, kept = 0;
    if (s->n <= max || runs == 0)
        return L2_OK;
    struct plot_point *v = calloc(2 * runs, sizeof *v);
    if (!v)
        return l2_err_memory(err, 2 * runs * sizeof *v);
    for (size_t i = 0; i < runs; i++) {
        size_t begin = (size_t)((double)s->n * (double)i / (double)runs);
        size_t end = (size_t)((double)s->n * (double)(i + 1) / (double)runs);
        size_t least = begin, most = begin;
        for (size_t k = begin; k < end; k++) {
            least = s->v[k].y < s->v[least].y ? k : least;
            most = s->v[k].y > s->v[most].y ? k : most;
        }
        v[kept++] = s->v[least < most ? least : most];
        if (least != most)
            v[kept++] = s->v[least < most ? most : least];
    }
    free(s->v);
    s->v = v;
    s->n = kept;
    s->cap = 2 * runs;
    return L2_OK;
}

int plot_series_smooth(struct plot_figure *f, struct plot_panel *panel, struct plot_series *s,
                       size_t n, struct l2_err *err)
{
    struct plot_series *raw;
    double sum = 0;
    int r = plot_series_add(f, panel, NULL, PLOT_THIN, &raw, err);
    raw = r == L2_OK ? raw : NULL;
    if (!raw)
        return r;
    raw->color = s->color;
    for (size_t i = 0; i < s->n && r == L2_OK; i++)
        r = plot_point_add(raw, &s->v[i], err);
    /* The sum starts anew at times, so that rounding does not add up over a long log. */
    for (size_t i = 0; i < raw->n && r == L2_OK; i++) {
        size_t first = i + 1 > n ? i + 1 - n : 0;
        if (i % 1024 == 0) {
            sum = 0;
            for (size_t k = first; k < i; k++)
                sum += raw->v[k].y;
        } else if (first > 0) {
            sum -= raw->v[first - 1].y;
        }
        sum += raw->v[i].y;
        s->v[i].y = sum / (double)(i + 1 - first);
        if (!isfinite(s->v[i].y))
            r = l2_err_set(err, L2_LIMIT, "numbers around %g: their mean is out of range",
                           raw->v[i].y);
    }
    return r;
}

const char *plot_text(struct plot_figure *f, struct l2_err *err, const char *fmt, ...)
{
    va_list ap;
    char *out = NULL;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !(out = l2_arena_alloc(&f->arena, (size_t)n + 1, 1, err)))
        return NULL;
    va_start(ap, fmt);
    vsnprintf(out, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return out;
}
