/* l2-plot: a figure of panels and curves, the gnuplot script that draws it, and what the
 * subcommands share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PLOT_H
#define L2_PLOT_H

#include "common/cli.h"
#include "util/arena.h"
#include "util/buf.h"

#define PLOT_COLORS 8 /* later curves have them again, with other dashes */

enum plot_theme { PLOT_AUTO, PLOT_LIGHT, PLOT_DARK };
enum plot_format { PLOT_SVG, PLOT_PNG };
enum plot_ties { PLOT_TIES_HALF, PLOT_TIES_DROP };

/* What the options say. */
struct plot_opts {
    /* of all subcommands */
    struct l2_strings labels; /* of the files; none: made of their names */
    const char *title;
    int theme, format;     /* enum plot_theme, plot_format */
    bool has_format;       /* given */
    int64_t width, height; /* pixels; 0: chosen */
    bool log_x, log_y, has_log_x;
    bool script; /* write the script instead of the picture */
    /* of some */
    struct l2_strings fields; /* -y: FIELD[,FIELD], a panel each */
    const char *x;
    int64_t smooth;
    const char *score;
    int64_t bins; /* 0: chosen */
    bool has_bins;
    bool density, pairs, by_rating;
    const char *plane; /* "JUDGE,JUDGE" or NULL */
    bool bars;
    int ties; /* enum plot_ties */
};

struct plot_point {
    double x, y;
    double lo, hi; /* of PLOT_ERRORS and PLOT_BAND in y; of PLOT_BOXES in x */
    uint64_t step; /* of the row it comes from */
};

enum plot_style {
    PLOT_LINE,
    PLOT_THIN,   /* a pale line: what a smoothed curve is made of */
    PLOT_MARKS,  /* a line with its points marked */
    PLOT_ERRORS, /* the same with bars from lo to hi */
    PLOT_BAND,   /* the area from lo to hi */
    PLOT_STEPS,  /* bins from x to the next point's x; filled */
    PLOT_PATH,   /* marked points, which have names, joined in order */
    PLOT_BOXES   /* a horizontal bar from lo to hi at y */
};

/* A curve, or what else is drawn of points. */
struct plot_series {
    const char *label; /* in the legend; NULL: not there */
    enum plot_style style;
    unsigned color, dash; /* any number */
    double shift;         /* of PLOT_ERRORS: drawn so far beside x, so that bars do not coincide */
    struct plot_point *v; /* owned */
    size_t n, cap;
    const char **names; /* (n) of PLOT_PATH; owned array */
};

struct plot_panel {
    const char *title, *xlabel, *ylabel; /* NULL: none */
    int log_x, log_y;                    /* base of the logarithmic axis; 0: linear */
    bool legend;                         /* even for a single curve */
    double hline, vline;                 /* thin lines across; NAN: none */
    double x_min, x_max, y_min, y_max;   /* NAN: as the points want it */
    const char **x_ticks; /* names of 0, 1, 2, ... on the x axis; NULL: numbers; in the arena */
    size_t n_x_ticks;
    const char **y_ticks; /* the same on the y axis, counted downwards */
    size_t n_y_ticks;
    struct plot_series **series; /* owned, each too */
    size_t n, cap;
};

struct plot_figure {
    struct l2_arena arena; /* all texts */
    const char *title;
    unsigned columns;           /* of panels; 0 is 1 */
    struct plot_panel **panels; /* owned, each too */
    size_t n, cap;
};

/* One run of l2-plot. */
struct plot {
    struct l2_cli *cli;
    const struct plot_opts *opts;
    struct plot_figure figure;
    uint64_t rows;                    /* read */
    uint64_t bytes_done, bytes_total; /* of the operands; total 0: not known */
};

/* ---- plot_figure.c ---- */

void plot_figure_release(struct plot_figure *f);
/* Appends an empty panel. */
int plot_panel_add(struct plot_figure *f, struct plot_panel **out,
                   struct l2_err *err) L2_MUST_CHECK;
/* Takes away the panels that have no point. */
void plot_drop_empty_panels(struct plot_figure *f);
/* Appends an empty curve; label is copied, and may be NULL. */
int plot_series_add(struct plot_figure *f, struct plot_panel *panel, const char *label,
                    enum plot_style style, struct plot_series **out,
                    struct l2_err *err) L2_MUST_CHECK;
/* Appends a point; all that is not finite is an error: there is no place for it. */
int plot_point_add(struct plot_series *s, const struct plot_point *point,
                   struct l2_err *err) L2_MUST_CHECK;
/* Takes away the points from that step on. */
void plot_series_cut(struct plot_series *s, uint64_t step);
/* Where a line has more than max points, leaves the least and the largest of each of max / 2 runs
 * of neighbours: what can be seen stays as it is. */
int plot_series_thin(struct plot_series *s, size_t max, struct l2_err *err) L2_MUST_CHECK;
/* Adds a curve behind s, which becomes the mean of its last n points, with the points as they
 * were. */
int plot_series_smooth(struct plot_figure *f, struct plot_panel *panel, struct plot_series *s,
                       size_t n, struct l2_err *err) L2_MUST_CHECK;
/* A text in the figure's arena; NULL: out of memory. */
const char *plot_text(struct plot_figure *f, struct l2_err *err, const char *fmt, ...)
    L2_PRINTF(3, 4) L2_MUST_CHECK;

/* ---- plot_script.c ---- */

/* Appends the script, which draws the figure on gnuplot's standard output. Of the data only numbers
 * and quoted texts get into it. */
int plot_script(const struct plot_figure *f, const struct plot_opts *opts, enum plot_format format,
                struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
/* Appends text as a quoted string of gnuplot in which nothing is replaced or run: what is no
 * printable UTF-8 becomes a space or '?', text of more than max characters is cut. format: the
 * string is a tick's, in which gnuplot takes '%' for a number's place. */
int plot_quote(struct l2_buf *out, const char *text, size_t max, bool format,
               struct l2_err *err) L2_MUST_CHECK;

/* ---- plot_theme.c ---- */

enum plot_role { PLOT_PAPER, PLOT_INK, PLOT_GRID, PLOT_CURVE };

/* The color as 0xRRGGBB; i counts the curves. */
uint32_t plot_color(bool dark, enum plot_role role, unsigned i);
/* Puts a style sheet into an SVG that was drawn in the light colors, which takes the dark ones
 * where the reader prefers them. */
int plot_svg_add_dark(struct l2_buf *svg, struct l2_err *err) L2_MUST_CHECK;

/* ---- plot_gnuplot.c ---- */

/* Runs gnuplot on the script; appends the picture, which is whole. */
int plot_run_gnuplot(const struct l2_buf *script, enum plot_format format, struct l2_buf *out,
                     struct l2_err *err) L2_MUST_CHECK;

/* ---- plot_input.c ---- */

/* The operands: standard input where there are none. */
size_t plot_n_files(const struct plot *p);
const char *plot_path(const struct plot *p, size_t i);
/* The name of file i in the legend: its --label, or its name without directory and ending where
 * that differs from the other files'. NULL: out of memory. In the figure's arena. */
const char *plot_file_label(struct plot *p, size_t i, struct l2_err *err) L2_MUST_CHECK;
/* Calls take for each line of the file, which is a JSON object. A last line that ends early, as in
 * a log that is being written, is left out, which is said. Errors are told their place. */
int plot_each_row(struct plot *p, const char *path,
                  int (*take)(void *arg, const json_t *row, struct l2_err *err), void *arg,
                  struct l2_err *err) L2_MUST_CHECK;
/* The same for a file that is open, and is called name. */
int plot_each_row_of(struct plot *p, int fd, const char *name,
                     int (*take)(void *arg, const json_t *row, struct l2_err *err), void *arg,
                     struct l2_err *err) L2_MUST_CHECK;
/* Tells progress: so many bytes of the file that is being read have been. */
void plot_progress(struct plot *p, uint64_t bytes);
/* The number row[key]: *has is false where it is absent or null; anything else is L2_FORMAT. */
int plot_number(const json_t *row, const char *key, bool *has, double *out,
                struct l2_err *err) L2_MUST_CHECK;
/* The text row[key], borrowed, or NULL where it is absent or null; anything else is L2_FORMAT. */
int plot_string(const json_t *row, const char *key, const char **out,
                struct l2_err *err) L2_MUST_CHECK;

/* ---- the subcommands: fill p->figure ---- */

int plot_log(struct plot *p, struct l2_err *err) L2_MUST_CHECK;
int plot_curve(struct plot *p, struct l2_err *err) L2_MUST_CHECK;
int plot_scores(struct plot *p, struct l2_err *err) L2_MUST_CHECK;
int plot_accuracy(struct plot *p, struct l2_err *err) L2_MUST_CHECK;
int plot_wins(struct plot *p, struct l2_err *err) L2_MUST_CHECK;

#endif
