/* l2-plot: pictures of what the other programs write, drawn by gnuplot. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/report.h"
#include "plot.h"
#include "util/str.h"

#define MAX_LINE_POINTS 4000 /* more than a picture has columns */

static const char *const theme_names[] = {"auto", "light", "dark", NULL};
static const char *const format_names[] = {"svg", "png", NULL};
static const char *const ties_names[] = {"half", "drop", NULL};

static struct plot_opts opts = {.x = "step", .score = "reward", .smooth = 1};

/* clang-format off */
#define COMMON_OPTIONS                                                                             \
    L2_OPT_TITLE("The picture"),                                                                  \
    {.name = "to", .kind = L2_OPT_CHOICE, .arg = "FORM", .choices = format_names,                  \
     .help = "svg or png", .default_text = "by the name of the output, else svg",                  \
     .target = &opts.format, .given = &opts.has_format},                                           \
    {.name = "title", .kind = L2_OPT_STRING, .arg = "TEXT", .help = "title of the picture",        \
     .default_text = "", .target = &opts.title},                                                   \
    {.name = "label", .kind = L2_OPT_LIST, .arg = "TEXT",                                          \
     .help = "name of a file in the legend; once for each file, in their order",                   \
     .target = &opts.labels},                                                                      \
    {.name = "theme", .kind = L2_OPT_CHOICE, .arg = "THEME", .choices = theme_names,               \
     .help = "light, dark, or auto: as the reader of an SVG prefers, and light in a PNG",          \
     .target = &opts.theme},                                                                       \
    {.name = "width", .kind = L2_OPT_INT, .arg = "N", .help = "width in pixels",                   \
     .default_text = "800, or 1000 for panels side by side", .target = &opts.width,                \
     .min = 200, .max = 8000},                                                                     \
    {.name = "height", .kind = L2_OPT_INT, .arg = "N", .help = "height in pixels",                 \
     .default_text = "480, or as much as panels and legend take", .target = &opts.height,     \
     .min = 150, .max = 8000},                                                                     \
    {.name = "log-x", .kind = L2_OPT_FLAG, .help = "logarithmic x axis", .target = &opts.log_x,    \
     .given = &opts.has_log_x},                                                                    \
    {.name = "log-y", .kind = L2_OPT_FLAG, .help = "logarithmic y axis", .target = &opts.log_y},   \
    {.name = "script", .kind = L2_OPT_FLAG,                                                        \
     .help = "write the script for gnuplot instead of the picture", .target = &opts.script}

#define FIELDS_OPTION(text)                                                                        \
    {.name = "y", .letter = 'y', .kind = L2_OPT_LIST, .arg = "FIELD[,FIELD]...", .help = text,     \
     .target = &opts.fields}
#define X_OPTION                                                                                   \
    {.name = "x", .letter = 'x', .kind = L2_OPT_STRING, .arg = "FIELD",                            \
     .help = "what is on the x axis: step, num_tokens, epoch, episode or another field",           \
     .target = &opts.x}
/* clang-format on */

static const struct l2_opt log_options[] = {
    FIELDS_OPTION("the fields to draw, in one panel; again for another panel (default: what there "
                  "is of loss, accuracy, objective/scores, objective/kl)"),
    X_OPTION,
    {.name = "smooth",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "draw the mean of the last N points, and the points pale behind it",
     .target = &opts.smooth,
     .min = 1,
     .max = 1e9},
    COMMON_OPTIONS,
    L2_OPT_TABLE_END,
};

static const struct l2_opt curve_options[] = {
    FIELDS_OPTION("of max, median and mean, those to draw (default: max,median)"),
    COMMON_OPTIONS,
    L2_OPT_TABLE_END,
};

static const struct l2_opt scores_options[] = {
    {.name = "score",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the score",
     .target = &opts.score},
    {.name = "pairs",
     .kind = L2_OPT_FLAG,
     .help = "draw chosen and rejected completions apart: of records with two, the first is chosen",
     .target = &opts.pairs},
    {.name = "bins",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "bins",
     .default_text = "by the spread of the scores",
     .target = &opts.bins,
     .given = &opts.has_bins,
     .min = 1,
     .max = 1000},
    {.name = "density",
     .kind = L2_OPT_FLAG,
     .help = "draw densities, by a Gaussian kernel, instead of bins",
     .target = &opts.density},
    COMMON_OPTIONS,
    L2_OPT_TABLE_END,
};

static const struct l2_opt accuracy_options[] = {
    X_OPTION,
    {.name = "by-rating",
     .kind = L2_OPT_FLAG,
     .help = "for each rating apart, too",
     .target = &opts.by_rating},
    COMMON_OPTIONS,
    L2_OPT_TABLE_END,
};

static const struct l2_opt wins_options[] = {
    {.name = "plane",
     .kind = L2_OPT_STRING,
     .arg = "JUDGE,JUDGE",
     .help =
         "draw the versions as points: the win rate by one judge on the x axis, by the other on "
         "the y axis",
     .default_text = "",
     .target = &opts.plane},
    {.name = "bars",
     .kind = L2_OPT_FLAG,
     .help = "draw bars of wins, ties and losses",
     .target = &opts.bars},
    {.name = "ties",
     .kind = L2_OPT_CHOICE,
     .arg = "HOW",
     .choices = ties_names,
     .help = "in a win rate a tie counts half, or is left out (drop)",
     .target = &opts.ties},
    COMMON_OPTIONS,
    L2_OPT_TABLE_END,
};

static const char *check(const struct plot *p)
{
    if (opts.labels.n > 0 && opts.labels.n != plot_n_files(p))
        return "--label: want one for each file, or none";
    if (opts.plane && opts.bars)
        return "--plane and --bars exclude each other";
    if (opts.has_bins && opts.density)
        return "--bins and --density exclude each other";
    return NULL;
}

/* Axes and title as the options have them, and lines no finer than can be seen. */
static int finish_figure(struct plot *p, struct l2_err *err)
{
    struct plot_figure *f = &p->figure;
    uint64_t curves = 0, points = 0;
    int r = L2_OK;
    plot_drop_empty_panels(f);
    if (f->n == 0)
        return l2_err_set(err, L2_FORMAT,
                          p->rows == 0 ? "the input is empty: nothing to draw" : "nothing to draw");
    f->title = opts.title;
    for (size_t i = 0; i < f->n; i++) {
        struct plot_panel *panel = f->panels[i];
        panel->log_x = opts.log_x ? panel->log_x > 0 ? panel->log_x : 10 : 0;
        panel->log_y = opts.log_y ? 10 : 0;
        for (size_t k = 0; k < panel->n && r == L2_OK; k++) {
            struct plot_series *c = panel->series[k];
            curves += c->n > 0;
            points += c->n;
            if (c->style == PLOT_LINE && c->n == 1)
                c->style = PLOT_MARKS; /* a line of one point would not be seen */
            if (c->style == PLOT_LINE || c->style == PLOT_THIN)
                r = plot_series_thin(c, MAX_LINE_POINTS, err);
        }
    }
    l2_report_count(p->cli->report, "files", plot_n_files(p));
    l2_report_count(p->cli->report, "rows", p->rows);
    l2_report_count(p->cli->report, "panels", f->n);
    l2_report_count(p->cli->report, "curves", curves);
    l2_report_count(p->cli->report, "points", points);
    return r;
}

static int write_picture(struct plot *p, struct l2_err *err)
{
    struct l2_buf script = {.len = 0}, picture = {.len = 0};
    enum plot_format format = (enum plot_format)opts.format;
    if (!opts.has_format)
        format = p->cli->output && l2_ends_in(p->cli->output, ".png") ? PLOT_PNG : PLOT_SVG;
    bool binary = format == PLOT_PNG && !opts.script;
    int r = plot_script(&p->figure, &opts, format, &script, err);
    if (r == L2_OK && !opts.script)
        r = plot_run_gnuplot(&script, format, &picture, err);
    if (r == L2_OK && !opts.script && format == PLOT_SVG && opts.theme == PLOT_AUTO)
        r = plot_svg_add_dark(&picture, err);
    const struct l2_buf *out = opts.script ? &script : &picture;
    if (r == L2_OK)
        r = l2_cli_write_output(p->cli, binary, out->data, out->len, err);
    l2_buf_release(&script);
    l2_buf_release(&picture);
    return r;
}

static int run(struct l2_cli *cli, int (*fill)(struct plot *p, struct l2_err *err))
{
    struct plot p = {.cli = cli, .opts = &opts, .bytes_total = l2_cli_operand_bytes(cli)};
    struct l2_err err;
    const char *wrong = check(&p);
    if (wrong)
        return l2_cli_usage(cli, "%s", wrong);
    int r = fill(&p, &err);
    l2_cli_progress_done(cli);
    if (r == L2_OK)
        r = finish_figure(&p, &err);
    if (r == L2_OK)
        r = write_picture(&p, &err);
    int status = r == L2_OK ? cli->status : l2_cli_error(cli, &err);
    plot_figure_release(&p.figure);
    return status;
}

static int run_log(struct l2_cli *cli)
{
    return run(cli, plot_log);
}

/* N is drawn in the ratios it is counted in. */
static int run_curve(struct l2_cli *cli)
{
    opts.log_x = opts.log_x || !opts.has_log_x;
    return run(cli, plot_curve);
}

static int run_scores(struct l2_cli *cli)
{
    return run(cli, plot_scores);
}

static int run_accuracy(struct l2_cli *cli)
{
    return run(cli, plot_accuracy);
}

static int run_wins(struct l2_cli *cli)
{
    return run(cli, plot_wins);
}

static const char *const usage[] = {
    "log [OPTION]... [FILE]...",      "curve [OPTION]... [FILE]...", "scores [OPTION]... [FILE]...",
    "accuracy [OPTION]... [FILE]...", "wins [OPTION]... [FILE]...",  NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "log",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Draw the logs of l2-train and l2-ppo.",
     .options = log_options,
     .rows = L2_ROWS_OUTPUT,
     .run = run_log},
    {.name = "curve",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Draw the reward of the best of N, from l2-rsample --curve.",
     .options = curve_options,
     .rows = L2_ROWS_OUTPUT,
     .run = run_curve},
    {.name = "scores",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Draw how a score is distributed, in streams or JSONL.",
     .options = scores_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = run_scores},
    {.name = "accuracy",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Draw the accuracy of reward models, from logs or summaries of l2-train.",
     .options = accuracy_options,
     .rows = L2_ROWS_OUTPUT,
     .run = run_accuracy},
    {.name = "wins",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Draw win rates by version, from JSONL.",
     .options = wins_options,
     .rows = L2_ROWS_OUTPUT,
     .run = run_wins},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-plot",
        .usage = usage,
        .summary = "Draw what the other programs write as SVG or PNG, through gnuplot.",
        .subcommands = subcommands,
    };
    return l2_cli_main(&program, argc, argv);
}
