/* l2-plot wins: win rates by version and judge (the Llama 2 paper's figures 11 and 12). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

/* What one judge says of a version, over all rows of a file. */
struct count {
    size_t file, version, judge; /* indices */
    double wins, ties, losses;
};

struct names {
    const char **v; /* owned array; the texts are in the figure's arena */
    size_t n, cap;
};

struct wins {
    struct plot *p;
    size_t file;
    struct names versions, judges; /* in the order in which they come */
    struct count *v;
    size_t n, cap;
};

static int index_of(struct wins *w, struct names *names, const char *text, size_t *out,
                    struct l2_err *err)
{
    for (*out = 0; *out < names->n; ++*out)
        if (strcmp(names->v[*out], text) == 0)
            return L2_OK;
    int r = l2_grow(&names->v, names->n, &names->cap, 1, sizeof *names->v, err);
    if (r != L2_OK)
        return r;
    if (!(names->v[names->n] = plot_text(&w->p->figure, err, "%s", text)))
        return L2_MEMORY;
    names->n++;
    return L2_OK;
}

static int read_count(const json_t *row, const char *key, bool wanted, double *out,
                      struct l2_err *err)
{
    bool has;
    int r = plot_number(row, key, &has, out, err);
    if (r == L2_OK && !has && !wanted)
        *out = 0;
    else if (r == L2_OK && (!has || *out < 0))
        r = l2_err_set(err, L2_FORMAT, "want a count, 0 or more, as '%s'", key);
    return r;
}

static struct count *find_count(struct wins *w, size_t file, size_t version, size_t judge)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].file == file && w->v[i].version == version && w->v[i].judge == judge)
            return &w->v[i];
    return NULL;
}

static int take_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct wins *w = arg;
    struct count c = {.file = w->file};
    const char *version, *judge;
    if (!json_object_get(row, "wins")) /* agreement of judges, which l2-eval tells as well */
        return L2_OK;
    int r = plot_string(row, "version", &version, err);
    if (r == L2_OK && !version)
        r = l2_err_set(err, L2_FORMAT, "want text as 'version'");
    if (r == L2_OK)
        r = plot_string(row, "judge", &judge, err);
    if (r == L2_OK)
        r = read_count(row, "wins", true, &c.wins, err);
    if (r == L2_OK)
        r = read_count(row, "ties", false, &c.ties, err);
    if (r == L2_OK)
        r = read_count(row, "losses", true, &c.losses, err);
    if (r == L2_OK)
        r = index_of(w, &w->versions, version, &c.version, err);
    if (r == L2_OK)
        r = index_of(w, &w->judges, judge ? judge : "", &c.judge, err);
    if (r != L2_OK)
        return r;
    struct count *earlier = find_count(w, c.file, c.version, c.judge);
    if (earlier) {
        earlier->wins += c.wins;
        earlier->ties += c.ties;
        earlier->losses += c.losses;
        return L2_OK;
    }
    if ((r = l2_grow(&w->v, w->n, &w->cap, 1, sizeof *w->v, err)) == L2_OK)
        w->v[w->n++] = c;
    return r;
}

/* The win rate in percent with its interval of 95 % (Wilson's, which stays within 0 to 100). False
 * where nothing was judged. */
static bool rate_of(const struct wins *w, const struct count *c, struct plot_point *out)
{
    bool half = w->p->opts->ties == PLOT_TIES_HALF;
    double n = c->wins + c->losses + (half ? c->ties : 0);
    const double z = 1.959963984540054;
    if (!(n > 0))
        return false;
    double rate = (c->wins + (half ? c->ties / 2 : 0)) / n, zz = z * z / n;
    double middle = (rate + zz / 2) / (1 + zz);
    double width = z * sqrt(rate * (1 - rate) / n + zz / (4 * n)) / (1 + zz);
    out->y = 100 * rate;
    out->lo = 100 * fmax(0, fmin(middle - width, rate));
    out->hi = 100 * fmin(1, fmax(middle + width, rate));
    return true;
}

static const char *label_of(struct wins *w, size_t file, const char *of, struct l2_err *err)
{
    const char *name = plot_n_files(w->p) > 1 ? plot_file_label(w->p, file, err) : "";
    if (!name)
        return NULL;
    return plot_text(&w->p->figure, err, "%s%s%s", name, *name && *of ? ", " : "", of);
}

/* The names as ticks, copied to the arena. */
static int put_ticks(struct wins *w, const struct names *names, const char ***ticks, size_t *n,
                     struct l2_err *err)
{
    *ticks = l2_arena_alloc(&w->p->figure.arena, names->n, sizeof **ticks, err);
    if (!*ticks)
        return L2_MEMORY;
    memcpy(*ticks, names->v, names->n * sizeof **ticks);
    *n = names->n;
    return L2_OK;
}

/* ---- by version, a curve for each judge ---- */

static int draw_rates(struct wins *w, struct plot_panel *panel, struct l2_err *err)
{
    size_t color = 0;
    int r = put_ticks(w, &w->versions, &panel->x_ticks, &panel->n_x_ticks, err);
    for (size_t file = 0; file < plot_n_files(w->p); file++) {
        for (size_t judge = 0; judge < w->judges.n && r == L2_OK; judge++) {
            struct plot_series *c;
            const char *label = label_of(w, file, w->judges.v[judge], err);
            if (!label)
                return L2_MEMORY;
            r = plot_series_add(&w->p->figure, panel, *label ? label : NULL, PLOT_ERRORS, &c, err);
            if (r != L2_OK)
                return r;
            c->color = (unsigned)color++;
            for (size_t version = 0; version < w->versions.n && r == L2_OK; version++) {
                const struct count *count = find_count(w, file, version, judge);
                struct plot_point point = {.x = (double)version};
                if (count && rate_of(w, count, &point))
                    r = plot_point_add(c, &point, err);
            }
        }
    }
    for (size_t k = 0; k < panel->n; k++)
        panel->series[k]->shift = 0.08 * ((double)k - (double)(panel->n - 1) / 2);
    panel->xlabel = "version";
    panel->ylabel = w->p->opts->ties == PLOT_TIES_HALF ? "win rate (%, ties count half)"
                                                       : "win rate (%, without ties)";
    panel->x_min = -0.5;
    panel->x_max = (double)w->versions.n - 0.5;
    panel->y_min = 0;
    panel->y_max = 100;
    panel->hline = 50;
    return r;
}

/* ---- in the plane of two judges ---- */

/* "JUDGE,JUDGE", of which there must be results. */
static int find_axes(struct wins *w, size_t axes[2], struct l2_err *err)
{
    const char *comma = strchr(w->p->opts->plane, ',');
    if (!comma || comma == w->p->opts->plane || !comma[1])
        return l2_err_set(err, L2_ARGUMENT, "--plane: want JUDGE,JUDGE, got '%.64s'",
                          w->p->opts->plane);
    const char *begin[2] = {w->p->opts->plane, comma + 1};
    const size_t len[2] = {(size_t)(comma - begin[0]), strlen(comma + 1)};
    for (size_t i = 0; i < 2; i++) {
        for (axes[i] = 0; axes[i] < w->judges.n; axes[i]++)
            if (strlen(w->judges.v[axes[i]]) == len[i] &&
                memcmp(w->judges.v[axes[i]], begin[i], len[i]) == 0)
                break;
        if (axes[i] == w->judges.n)
            return l2_err_set(err, L2_FORMAT, "no row has the judge '%.*s'",
                              (int)(len[i] < 64 ? len[i] : 64), begin[i]);
    }
    return L2_OK;
}

static int draw_path(struct wins *w, size_t file, const size_t axes[2], struct plot_series *c,
                     struct l2_err *err)
{
    int r = L2_OK;
    if (!(c->names = calloc(w->versions.n, sizeof *c->names)))
        return l2_err_memory(err, w->versions.n * sizeof *c->names);
    for (size_t version = 0; version < w->versions.n && r == L2_OK; version++) {
        const struct count *a = find_count(w, file, version, axes[0]);
        const struct count *b = find_count(w, file, version, axes[1]);
        struct plot_point x, point = {.x = 0};
        if (!a || !b || !rate_of(w, a, &x) || !rate_of(w, b, &point))
            continue;
        point.x = x.y;
        c->names[c->n] = w->versions.v[version];
        r = plot_point_add(c, &point, err);
    }
    return r;
}

/* The 50 % lines and all points, in whole tens. */
static void frame_plane(struct plot_panel *panel)
{
    double lo[2] = {50, 50}, hi[2] = {50, 50};
    for (size_t k = 0; k < panel->n; k++) {
        for (size_t i = 0; i < panel->series[k]->n; i++) {
            const struct plot_point *p = &panel->series[k]->v[i];
            const double at[2] = {p->x, p->y};
            for (size_t j = 0; j < 2; j++) {
                lo[j] = fmin(lo[j], at[j]);
                hi[j] = fmax(hi[j], at[j]);
            }
        }
    }
    for (size_t j = 0; j < 2; j++) {
        lo[j] = fmax(0, 10 * floor((lo[j] - 5) / 10));
        hi[j] = fmin(105, 10 * ceil((hi[j] + 5) / 10));
    }
    panel->x_min = lo[0];
    panel->x_max = hi[0];
    panel->y_min = lo[1];
    panel->y_max = hi[1];
    panel->hline = panel->vline = 50;
}

static int draw_plane(struct wins *w, struct plot_panel *panel, struct l2_err *err)
{
    size_t axes[2];
    const char *labels[2];
    int r = find_axes(w, axes, err);
    for (size_t file = 0; file < plot_n_files(w->p) && r == L2_OK; file++) {
        struct plot_series *c;
        const char *label = label_of(w, file, "", err);
        if (!label)
            return L2_MEMORY;
        r = plot_series_add(&w->p->figure, panel, *label ? label : NULL, PLOT_PATH, &c, err);
        if (r != L2_OK)
            return r;
        c->color = (unsigned)file;
        r = draw_path(w, file, axes, c, err);
    }
    for (size_t i = 0; i < 2 && r == L2_OK; i++)
        if (!(labels[i] = plot_text(
                  &w->p->figure, err, "%.60s: win rate (%%, %s)", w->judges.v[axes[i]],
                  w->p->opts->ties == PLOT_TIES_HALF ? "ties count half" : "without ties")))
            r = L2_MEMORY;
    if (r != L2_OK)
        return r;
    panel->xlabel = labels[0];
    panel->ylabel = labels[1];
    frame_plane(panel);
    return L2_OK;
}

/* ---- bars of wins, ties and losses ---- */

static int draw_bars(struct wins *w, struct plot_panel *panel, struct l2_err *err)
{
    static const char *const parts[3] = {"win", "tie", "loss"};
    static const unsigned colors[3] = {0, 7, 1};
    struct plot_series *c[3];
    int r = L2_OK;
    for (size_t k = 0; k < 3 && r == L2_OK; k++) {
        r = plot_series_add(&w->p->figure, panel, parts[k], PLOT_BOXES, &c[k], err);
        if (r == L2_OK)
            c[k]->color = colors[k];
    }
    if (r == L2_OK &&
        !(panel->y_ticks = l2_arena_alloc(&w->p->figure.arena, w->n, sizeof *panel->y_ticks, err)))
        r = L2_MEMORY;
    for (size_t i = 0; i < w->n && r == L2_OK; i++) {
        const struct count *count = &w->v[i];
        const double share[3] = {count->wins, count->ties, count->losses};
        double all = share[0] + share[1] + share[2], at = 0;
        const char *judge = w->judges.v[count->judge];
        const char *of = plot_text(&w->p->figure, err, "%s%s%s", w->versions.v[count->version],
                                   *judge ? ", " : "", judge);
        if (!of || !(panel->y_ticks[i] = label_of(w, count->file, of, err)))
            return L2_MEMORY;
        for (size_t k = 0; k < 3 && r == L2_OK && all > 0; k++) {
            struct plot_point point = {.y = (double)i, .lo = 100 * at / all};
            at += share[k];
            point.hi = 100 * at / all;
            point.x = (point.lo + point.hi) / 2;
            r = plot_point_add(c[k], &point, err);
        }
    }
    panel->n_y_ticks = w->n;
    panel->xlabel = "judgements (%)";
    panel->x_min = 0;
    panel->x_max = 100;
    panel->y_min = (double)w->n - 0.5;
    panel->y_max = -0.5;
    return r;
}

int plot_wins(struct plot *p, struct l2_err *err)
{
    struct wins w = {.p = p};
    struct plot_panel *panel;
    int r = plot_panel_add(&p->figure, &panel, err);
    for (; w.file < plot_n_files(p) && r == L2_OK; w.file++)
        r = plot_each_row(p, plot_path(p, w.file), take_row, &w, err);
    if (r == L2_OK && w.n == 0 && p->rows > 0)
        r = l2_err_set(err, L2_FORMAT, "no row has wins: want rows of l2-eval wins --json");
    if (r == L2_OK && w.n > 0)
        r = p->opts->plane  ? draw_plane(&w, panel, err)
            : p->opts->bars ? draw_bars(&w, panel, err)
                            : draw_rates(&w, panel, err);
    free(w.versions.v);
    free(w.judges.v);
    free(w.v);
    return r;
}
