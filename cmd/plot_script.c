/* l2-plot: the gnuplot script that draws a figure. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <string.h>

#include "util/num.h"
#include "util/utf8.h"

#define TITLE_MAX   90          /* characters */
#define LABEL_MAX   44          /* of the legend, of axes and ticks */
#define BARS        18          /* more make the picture higher */
#define SLANTED_MAX 20          /* of ticks that are slanted */
#define BAND_CLEAR  0xcc000000u /* how clear areas are: gnuplot's alpha, 0 is opaque */
#define FILL_CLEAR  0xb0000000u
#define THIN_CLEAR  0xa0000000u

#define CHARACTER     7.5  /* width of one, in pixels, in the mean */
#define LEGEND_SAMPLE 50   /* width of what stands beside a name in the legend */
#define MAX_HEIGHT    8000 /* as of --height */
#define LEGEND_LINE   20   /* height of its lines */

struct script {
    const struct plot_figure *f;
    const struct plot_opts *opts;
    bool dark;
    long long width, height; /* of the picture, in pixels */
    unsigned rows, columns;  /* of panels */
    struct l2_buf *out;
    struct l2_err *err;
};

/* A single-quoted string, in which gnuplot replaces nothing. It reads the doubled quote that stands
 * for one rightly only in some places; so the string is ended, "'" appended, and a new one begun.
 * What ends a line, and what XML has no place for, is left out; so is "]]>", which gnuplot writes
 * as it is and XML forbids. */
int plot_quote(struct l2_buf *out, const char *text, size_t max, bool format, struct l2_err *err)
{
    size_t n = strlen(text), len, brackets = 0;
    uint32_t cp;
    int r = l2_buf_append_byte(out, '\'', err);
    for (size_t i = 0, k = 0; i < n && r == L2_OK; i += len, k++) {
        if (k == max)
            return l2_buf_append_str(out, "\xe2\x80\xa6'", err); /* an ellipsis */
        len = l2_utf8_decode(text + i, n - i, &cp);
        if (len == 0 || cp == 0xfffe || cp == 0xffff) {
            len = len == 0 ? 1 : len;
            r = l2_buf_append_byte(out, '?', err);
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029) {
            r = l2_buf_append_byte(out, ' ', err);
        } else if (cp == '\'') {
            r = l2_buf_append_str(out, "'.\"'\".'", err);
        } else {
            if (cp == '%' && format)
                r = l2_buf_append_byte(out, '%', err);
            else if (cp == '>' && brackets >= 2)
                r = l2_buf_append_byte(out, ' ', err);
            if (r == L2_OK)
                r = l2_buf_append(out, text + i, len, err);
        }
        brackets = cp == ']' ? brackets + 1 : 0;
    }
    return r == L2_OK ? l2_buf_append_byte(out, '\'', err) : r;
}

/* The characters of text, as far as it is drawn. */
static size_t drawn_length(const char *text)
{
    size_t n = 0;
    for (; *text && n < LABEL_MAX; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* ---- data ---- */

static int put_number(struct script *s, double v, char after)
{
    char text[34];
    size_t n = l2_format_f64(text, v);
    text[n] = after;
    return l2_buf_append(s->out, text, n + 1, s->err);
}

/* "$d0_1 << EOD": x y lo hi, one point a line. */
static int put_data(struct script *s, size_t panel, size_t k, const struct plot_series *c)
{
    int r = l2_buf_printf(s->out, s->err, "$d%zu_%zu << EOD\n", panel, k);
    for (size_t i = 0; i < c->n && r == L2_OK; i++) {
        const struct plot_point *p = &c->v[i];
        const double row[4] = {p->x, p->y, p->lo, p->hi};
        for (size_t j = 0; j < 4 && r == L2_OK; j++)
            r = put_number(s, row[j], j < 3 ? ' ' : '\n');
    }
    return r == L2_OK ? l2_buf_append_str(s->out, "EOD\n", s->err) : r;
}

/* ---- texts ---- */

/* "BEFORE'text'AFTER\n" */
static int put_line(struct script *s, const char *before, const char *text, size_t max,
                    const char *after)
{
    int r = l2_buf_append_str(s->out, before, s->err);
    if (r == L2_OK)
        r = plot_quote(s->out, text, max, false, s->err);
    return r == L2_OK ? l2_buf_printf(s->out, s->err, "%s\n", after) : r;
}

/* Names that have no room side by side are slanted. */
static bool are_slanted(const struct script *s, char axis, const char **names, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = drawn_length(names[i]) > longest ? drawn_length(names[i]) : longest;
    return axis == 'x' &&
           CHARACTER * (double)((longest + 2) * n) > 0.9 * (double)s->width / s->columns;
}

static int put_ticks(struct script *s, char axis, const char **names, size_t n)
{
    bool slanted = are_slanted(s, axis, names, n);
    int r;
    if (n == 0)
        return l2_buf_printf(s->out, s->err, "set %ctics autofreq norotate\n", axis);
    r = l2_buf_printf(s->out, s->err, "%sset %ctics%s (", slanted ? "set lmargin 12\n" : "", axis,
                      slanted ? " rotate by 45 right" : "");
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        r = plot_quote(s->out, names[i], slanted ? SLANTED_MAX : LABEL_MAX, true, s->err);
        if (r == L2_OK)
            r = l2_buf_printf(s->out, s->err, " %zu%s", i, i + 1 < n ? ", " : "");
    }
    return r == L2_OK ? l2_buf_append_str(s->out, ")\n", s->err) : r;
}

/* ---- axes ---- */

static int put_bound(struct script *s, double v)
{
    char text[34] = "*";
    if (isfinite(v))
        text[l2_format_f64(text, v)] = '\0';
    return l2_buf_append_str(s->out, text, s->err);
}

static int put_range(struct script *s, char axis, double lo, double hi)
{
    int r = l2_buf_printf(s->out, s->err, "set %crange [", axis);
    if (r == L2_OK)
        r = put_bound(s, lo);
    if (r == L2_OK)
        r = l2_buf_append_str(s->out, ":", s->err);
    if (r == L2_OK)
        r = put_bound(s, hi);
    return r == L2_OK ? l2_buf_append_str(s->out, "]\n", s->err) : r;
}

/* The bounds that are given, NAN where none is; what is drawn is from lo to hi. A range without
 * width, as of one point, gets some. */
static int put_free_range(struct script *s, char axis, double min, double max, double lo, double hi)
{
    double some = lo < hi ? NAN : fabs(lo) > 1e-300 ? fabs(lo) * 0.1 : 1;
    return put_range(s, axis, isnan(min) ? lo - some : min, isnan(max) ? hi + some : max);
}

/* The least and the largest that is drawn along an axis. */
static void extent(const struct plot_panel *p, bool along_x, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (size_t k = 0; k < p->n; k++) {
        const struct plot_series *c = p->series[k];
        bool spread =
            along_x ? c->style == PLOT_BOXES : c->style == PLOT_ERRORS || c->style == PLOT_BAND;
        for (size_t i = 0; i < c->n; i++) {
            double at = along_x ? c->v[i].x : c->v[i].y;
            *lo = fmin(*lo, spread ? fmin(at, c->v[i].lo) : at);
            *hi = fmax(*hi, spread ? fmax(at, c->v[i].hi) : at);
        }
    }
}

/* One axis: linear numbers of 100000 and more are told with a prefix of the SI. */
static int put_axis(struct script *s, char axis, const char *label, int log, double lo, double hi)
{
    const char *format = log == 0 && fmax(fabs(lo), fabs(hi)) >= 1e5 ? "%.1s%c" : "%g";
    char before[32], after[64];
    int r = log > 0 ? l2_buf_printf(s->out, s->err, "set logscale %c %d\n", axis, log)
                    : l2_buf_printf(s->out, s->err, "unset logscale %c\n", axis);
    if (r == L2_OK)
        r = l2_buf_printf(s->out, s->err, "set format %c '%s'\n", axis, format);
    snprintf(before, sizeof before, "set %clabel ", axis);
    snprintf(after, sizeof after, " textcolor '#%06x'", (unsigned)plot_color(s->dark, PLOT_INK, 0));
    return r == L2_OK ? put_line(s, before, label ? label : "", TITLE_MAX, after) : r;
}

static int put_axes(struct script *s, const struct plot_panel *p)
{
    double x0, x1, y0, y1;
    extent(p, true, &x0, &x1);
    extent(p, false, &y0, &y1);
    int r = put_axis(s, 'x', p->xlabel, p->log_x, x0, x1);
    if (r == L2_OK)
        r = put_axis(s, 'y', p->ylabel, p->log_y, y0, y1);
    if (p->log_x > 0 && x0 > 0 && x0 < x1) { /* else up to whole powers */
        if (r == L2_OK)
            r = put_range(s, 'x', x0, x1);
    } else if (r == L2_OK) {
        r = put_free_range(s, 'x', p->x_min, p->x_max, x0, x1);
    }
    if (r == L2_OK)
        r = put_free_range(s, 'y', p->y_min, p->y_max, y0, y1);
    if (r == L2_OK)
        r = put_ticks(s, 'x', p->x_ticks, p->n_x_ticks);
    return r == L2_OK ? put_ticks(s, 'y', p->y_ticks, p->n_y_ticks) : r;
}

/* A line across at v, where the axis reaches that far. */
static int put_across(struct script *s, bool horizontal, double v, double lo, double hi)
{
    char text[34];
    int r;
    if (!(v >= lo && v <= hi))
        return L2_OK;
    text[l2_format_f64(text, v)] = '\0';
    r = horizontal
            ? l2_buf_printf(s->out, s->err, "set arrow from graph 0, first %s to graph 1, first %s",
                            text, text)
            : l2_buf_printf(s->out, s->err, "set arrow from first %s, graph 0 to first %s, graph 1",
                            text, text);
    if (r == L2_OK)
        r = l2_buf_printf(s->out, s->err, " nohead back linewidth 1 linecolor rgb '#70%06x'\n",
                          (unsigned)plot_color(s->dark, PLOT_INK, 0));
    return r;
}

/* The name of a path's point, where the path goes on least likely: a path that leads up to the
 * right is passed below, and near the right edge names stand to the left. */
static int put_name(struct script *s, const struct plot_panel *p, const struct plot_series *c,
                    size_t i)
{
    char after[128], x[34], y[34];
    bool left = isfinite(p->x_min) && isfinite(p->x_max) &&
                c->v[i].x > p->x_min + 0.7 * (p->x_max - p->x_min);
    bool above = left || (i + 1 < c->n && c->v[i + 1].y < c->v[i].y);
    x[l2_format_f64(x, c->v[i].x)] = y[l2_format_f64(y, c->v[i].y)] = '\0';
    snprintf(after, sizeof after, " at %s,%s %s offset %s,%s front textcolor '#%06x'", x, y,
             left ? "right" : "left", left ? "-0.8" : "0.8", above ? "0.6" : "-0.6",
             (unsigned)plot_color(s->dark, PLOT_INK, 0));
    return put_line(s, "set label ", c->names[i], LABEL_MAX, after);
}

/* Lines across, and the names of a path's points. */
static int put_notes(struct script *s, const struct plot_panel *p)
{
    double x0, x1, y0, y1;
    extent(p, true, &x0, &x1);
    extent(p, false, &y0, &y1);
    int r = l2_buf_append_str(s->out, "unset label\nunset arrow\n", s->err);
    if (r == L2_OK)
        r = put_across(s, true, p->hline, fmin(p->y_min, y0), fmax(p->y_max, y1));
    if (r == L2_OK)
        r = put_across(s, false, p->vline, fmin(p->x_min, x0), fmax(p->x_max, x1));
    for (size_t k = 0; k < p->n && r == L2_OK; k++)
        for (size_t i = 0; p->series[k]->names && i < p->series[k]->n && r == L2_OK; i++)
            r = put_name(s, p, p->series[k], i);
    return r;
}

/* ---- curves ---- */

/* How the curve's data block is drawn. */
static const char *with_of(enum plot_style style)
{
    switch (style) {
    case PLOT_MARKS:
    case PLOT_PATH:
        return "using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.6";
    case PLOT_ERRORS:
        return "with yerrorlines linewidth 2 pointtype 7 pointsize 0.6";
    case PLOT_BAND:
        return "using 1:3:4 with filledcurves";
    case PLOT_STEPS:
        return "using 1:2 with fillsteps fill solid";
    case PLOT_BOXES:
        return "using 1:2:3:4:($2-0.35):($2+0.35) with boxxyerror fill solid linewidth 1";
    case PLOT_THIN:
        return "using 1:2 with lines linewidth 1";
    default:
        return "using 1:2 with lines linewidth 2";
    }
}

static uint32_t clear_of(enum plot_style style)
{
    return style == PLOT_BAND    ? BAND_CLEAR
           : style == PLOT_STEPS ? FILL_CLEAR
           : style == PLOT_THIN  ? THIN_CLEAR
                                 : 0;
}

static int put_curve(struct script *s, size_t panel, size_t k, const struct plot_series *c,
                     bool *first)
{
    unsigned color = (unsigned)plot_color(s->dark, PLOT_CURVE, c->color);
    unsigned dash = 1 + (c->dash + c->color / PLOT_COLORS) % 5;
    char using[64] = "";
    if (c->style == PLOT_ERRORS)
        snprintf(using, sizeof using, "using ($1+%g):2:3:4 ", c->shift);
    int r = l2_buf_printf(s->out, s->err, "%s$d%zu_%zu %s%s linecolor rgb '#%08x'",
                          *first ? "plot " : ", \\\n     ", panel, k, using, with_of(c->style),
                          (unsigned)clear_of(c->style) | color);
    *first = false;
    if (r == L2_OK && c->style != PLOT_BAND && c->style != PLOT_STEPS && c->style != PLOT_BOXES)
        r = l2_buf_printf(s->out, s->err, " dashtype %u", dash);
    if (r == L2_OK && !c->label)
        return l2_buf_append_str(s->out, " notitle", s->err);
    if (r == L2_OK)
        r = l2_buf_append_str(s->out, " title ", s->err);
    if (r == L2_OK)
        r = plot_quote(s->out, *c->label ? c->label : "(no name)", LABEL_MAX, false, s->err);
    /* The outline of bins, over the area. */
    if (r == L2_OK && c->style == PLOT_STEPS)
        r = l2_buf_printf(s->out, s->err,
                          ", \\\n     $d%zu_%zu using 1:2 with steps linewidth 2 linecolor rgb "
                          "'#%06x' dashtype %u notitle",
                          panel, k, color, dash);
    return r;
}

/* What is to be drawn below comes first. */
static int layer_of(const struct plot_series *c)
{
    return c->style == PLOT_BAND || c->style == PLOT_STEPS ? 0 : c->style == PLOT_THIN ? 1 : 2;
}

static int put_panel(struct script *s, size_t index, const struct plot_panel *p)
{
    char after[64];
    size_t drawn = 0, named = 0;
    bool first = true;
    int r = L2_OK;
    for (size_t k = 0; k < p->n && r == L2_OK; k++) {
        drawn += p->series[k]->n > 0;
        named += p->series[k]->n > 0 && p->series[k]->label;
        if (p->series[k]->n > 0)
            r = put_data(s, index, k, p->series[k]);
    }
    snprintf(after, sizeof after, " textcolor '#%06x'", (unsigned)plot_color(s->dark, PLOT_INK, 0));
    if (r == L2_OK && (p->title || s->f->n > 1))
        r = put_line(s, "set title ", p->title ? p->title : "", TITLE_MAX, after);
    if (r == L2_OK)
        r = put_axes(s, p);
    if (r == L2_OK)
        r = put_notes(s, p);
    if (r == L2_OK && (named == 0 || (drawn == 1 && !p->legend)))
        r = l2_buf_append_str(s->out, "unset key\n", s->err);
    else if (r == L2_OK)
        r = l2_buf_printf(s->out, s->err,
                          "set key outside above center horizontal Left reverse samplen 2 "
                          "textcolor '#%06x'\n",
                          (unsigned)plot_color(s->dark, PLOT_INK, 0));
    for (int layer = 0; layer < 3; layer++)
        for (size_t k = 0; k < p->n && r == L2_OK; k++)
            if (p->series[k]->n > 0 && layer_of(p->series[k]) == layer)
                r = put_curve(s, index, k, p->series[k], &first);
    return r == L2_OK ? l2_buf_append_str(s->out, "\n", s->err) : r;
}

/* ---- the whole ---- */

/* Lines of the longest legend. */
static size_t legend_lines(const struct script *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->f->n; i++) {
        const struct plot_panel *p = s->f->panels[i];
        size_t n = 0, longest = 0;
        for (size_t k = 0; k < p->n; k++) {
            if (!p->series[k]->label || p->series[k]->n == 0)
                continue;
            size_t length = drawn_length(p->series[k]->label);
            longest = length > longest ? length : longest;
            n++;
        }
        double fit = floor(0.9 * (double)s->width / s->columns /
                           (LEGEND_SAMPLE + CHARACTER * (double)longest));
        size_t lines = (size_t)ceil((double)n / fmax(fit, 1));
        most = lines > most ? lines : most;
    }
    return most;
}

/* The size that is asked for, or one in which a long legend leaves room for the curves. */
static void choose_size(struct script *s)
{
    s->columns = s->f->columns > 1 ? s->f->columns : 1;
    s->rows = (unsigned)((s->f->n + s->columns - 1) / s->columns);
    s->width = s->opts->width > 0 ? s->opts->width : s->columns > 1 ? 1000 : 800;
    s->height = s->opts->height;
    if (s->height == 0) {
        size_t lines = legend_lines(s);
        s->height = s->rows > 1 ? 330 * (long long)s->rows : 480;
        if (lines > 2)
            s->height += (long long)(s->rows * (lines - 2) * LEGEND_LINE);
        if (s->f->n == 1 && s->f->panels[0]->n_y_ticks > BARS)
            s->height += (long long)(s->f->panels[0]->n_y_ticks - BARS) * LEGEND_LINE;
        s->height = s->height < MAX_HEIGHT ? s->height : MAX_HEIGHT;
    }
}

static int put_terminal(struct script *s, enum plot_format format)
{
    return l2_buf_printf(s->out, s->err,
                         "set terminal %s size %lld,%lld noenhanced font '%s' background '#%06x'\n",
                         format == PLOT_PNG ? "pngcairo" : "svg", s->width, s->height,
                         format == PLOT_PNG ? "sans,10" : "sans-serif,13",
                         (unsigned)plot_color(s->dark, PLOT_PAPER, 0));
}

int plot_script(const struct plot_figure *f, const struct plot_opts *opts, enum plot_format format,
                struct l2_buf *out, struct l2_err *err)
{
    struct script s = {
        .f = f, .opts = opts, .dark = opts->theme == PLOT_DARK, .out = out, .err = err};
    unsigned ink = (unsigned)plot_color(s.dark, PLOT_INK, 0);
    bool many = f->n > 1 || f->title;
    char after[96];
    choose_size(&s);
    int r = put_terminal(&s, format);
    if (r == L2_OK)
        r = l2_buf_printf(out, err,
                          "set encoding utf8\n"
                          "set border 3 linecolor rgb '#%06x'\n"
                          "set tics nomirror scale 0.5 textcolor rgb '#%06x'\n"
                          "set grid linetype 1 linewidth 1 linecolor rgb '#%06x'\n",
                          ink, ink, (unsigned)plot_color(s.dark, PLOT_GRID, 0));
    snprintf(after, sizeof after, " textcolor '#%06x'", ink);
    /* Of a lone picture, too: a multiplot's title stands above the legend, a plot's below it. */
    if (r == L2_OK && many)
        r = l2_buf_printf(out, err, "set multiplot layout %u,%u", s.rows, s.columns);
    if (r == L2_OK && many)
        r = f->title ? put_line(&s, " title ", f->title, TITLE_MAX, after)
                     : l2_buf_append_str(out, "\n", err);
    for (size_t i = 0; i < f->n && r == L2_OK; i++)
        r = put_panel(&s, i, f->panels[i]);
    if (r == L2_OK && many)
        r = l2_buf_append_str(out, "unset multiplot\n", err);
    return r;
}
