/* l2-plot log: the fields of training logs against steps, tokens or another field. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

/* What the fields of l2-train's and l2-ppo's logs are, for the axes. */
static const struct {
    const char *field, *text;
} known[] = {
    {"step", "step"},
    {"loss", "loss (nats)"},
    {"eval_loss", "loss (nats)"},
    {"grad_norm", "norm of the gradient"},
    {"learning_rate", "learning rate"},
    {"lr", "learning rate"},
    {"epoch", "epochs"},
    {"episode", "episodes (completions)"},
    {"num_tokens", "tokens"},
    {"tokens_per_second", "tokens a second"},
    {"accuracy", "accuracy (share of pairs)"},
    {"eval_accuracy", "accuracy (share of pairs)"},
    {"margin", "margin of rewards, chosen minus rejected"},
    {"eval_margin", "margin of rewards, chosen minus rejected"},
    {"objective/kl", "KL to the reference (nats a completion)"},
    {"objective/entropy", "entropy (nats a completion)"},
    {"objective/scores", "score"},
    {"eval_objective/scores", "score"},
    {"objective/helpfulness", "score"},
    {"objective/safety", "score"},
    {"objective/rlhf_reward", "reward, with the penalty of KL"},
    {"policy/entropy_avg", "entropy (nats a token)"},
    {"completions/mean_length", "tokens a completion"},
    {"time/generation", "seconds"},
    {"time/scoring", "seconds"},
    {"time/training", "seconds"},
};

/* What is drawn where -y does not say: those of these that the logs have. */
static const char *const defaults[] = {"loss,eval_loss", "accuracy,eval_accuracy",
                                       "objective/scores,eval_objective/scores", "objective/kl"};

static const char *text_of(const char *field)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].field, field) == 0)
            return known[i].text;
    return field;
}

/* A field that is drawn: its panel, and where it stands among the panel's fields. */
struct field {
    const char *name; /* in the figure's arena */
    struct plot_panel *panel;
    unsigned place;
    struct plot_series *curve; /* of the file that is being read; in the panel */
    bool met;                  /* in any file */
};

struct log {
    struct plot *p;
    struct field *v;
    size_t n, cap;
    uint64_t rows; /* of the file */
    double x;      /* the last one met in the file; NAN: none yet */
    bool x_met;    /* in any file */
};

/* Adds a panel for "FIELD[,FIELD]...". */
static int add_panel(struct log *l, const char *list, struct l2_err *err)
{
    struct plot_panel *panel;
    const char *at = list;
    int r = plot_panel_add(&l->p->figure, &panel, err);
    for (unsigned place = 0; r == L2_OK; place++) {
        size_t n = strcspn(at, ",");
        if (n == 0)
            return l2_err_set(err, L2_ARGUMENT, "-y: want FIELD[,FIELD]..., got '%.200s'", list);
        if ((r = l2_grow(&l->v, l->n, &l->cap, 1, sizeof *l->v, err)) != L2_OK)
            return r;
        const char *name = l2_arena_strdup(&l->p->figure.arena, at, n, err);
        if (!name)
            return L2_MEMORY;
        l->v[l->n++] = (struct field){.name = name, .panel = panel, .place = place};
        at += n;
        if (*at++ != ',')
            break;
    }
    return r;
}

static int take_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct log *l = arg;
    double x, y, step;
    bool has;
    int r = plot_number(row, "step", &has, &step, err);
    l->rows++;
    if (r == L2_OK && has && (step < 0 || step >= 0x1p63))
        r = l2_err_set(err, L2_FORMAT, "step %g: want a count", step);
    if (r != L2_OK)
        return r;
    uint64_t at = has ? (uint64_t)step : l->rows;
    if ((r = plot_number(row, l->p->opts->x, &has, &x, err)) != L2_OK)
        return r;
    if (has) {
        l->x = x;
        l->x_met = true;
    }
    for (size_t i = 0; i < l->n; i++) {
        struct field *f = &l->v[i];
        if ((r = plot_number(row, f->name, &has, &y, err)) != L2_OK)
            return r;
        if (!has || isnan(l->x))
            continue;
        f->met = true;
        plot_series_cut(f->curve, at);
        struct plot_point point = {.x = l->x, .y = y, .step = at};
        if ((r = plot_point_add(f->curve, &point, err)) != L2_OK)
            return r;
    }
    return L2_OK;
}

static bool is_held_out(const char *field)
{
    return strncmp(field, "eval_", 5) == 0;
}

static bool is_alone(const struct log *l, const struct field *f)
{
    for (size_t i = 0; i < l->n; i++)
        if (&l->v[i] != f && l->v[i].panel == f->panel)
            return false;
    return true;
}

/* A curve for each field: colors tell files apart, and dashes fields; of one file colors tell
 * fields. */
static int begin_file(struct log *l, size_t file, struct l2_err *err)
{
    struct plot *p = l->p;
    bool several = plot_n_files(p) > 1;
    const char *name = plot_file_label(p, file, err);
    int r = name ? L2_OK : L2_MEMORY;
    l->x = NAN;
    l->rows = 0;
    for (size_t i = 0; i < l->n && r == L2_OK; i++) {
        struct field *f = &l->v[i];
        const char *label = !several         ? plot_text(&p->figure, err, "%s", f->name)
                            : is_alone(l, f) ? name
                                             : plot_text(&p->figure, err, "%s: %s", name, f->name);
        if (!label)
            return L2_MEMORY;
        r = plot_series_add(&p->figure, f->panel, label,
                            is_held_out(f->name) ? PLOT_MARKS : PLOT_LINE, &f->curve, err);
        if (r == L2_OK) {
            f->curve->color = several ? (unsigned)file : f->place;
            f->curve->dash = several ? f->place : 0;
        }
    }
    return r;
}

static int end_file(struct log *l, struct l2_err *err)
{
    struct plot *p = l->p;
    int r = L2_OK;
    for (size_t i = 0; i < l->n && r == L2_OK; i++) {
        struct field *f = &l->v[i];
        if (p->opts->smooth > 1 && !is_held_out(f->name))
            r = plot_series_smooth(&p->figure, f->panel, f->curve, (size_t)p->opts->smooth, err);
    }
    return r;
}

/* True where a field of the panel before the one at i has the same text. */
static bool is_said(const struct log *l, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (l->v[k].panel == l->v[i].panel && l->v[k].met &&
            strcmp(text_of(l->v[k].name), text_of(l->v[i].name)) == 0)
            return true;
    return false;
}

/* The texts of a panel's fields, each once, with commas. */
static const char *join_texts(struct log *l, const struct plot_panel *panel, struct l2_err *err)
{
    const char *joined = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const char *text = text_of(l->v[i].name);
        if (l->v[i].panel != panel || !l->v[i].met || is_said(l, i))
            continue;
        joined = joined ? plot_text(&l->p->figure, err, "%s, %s", joined, text) : text;
        if (!joined)
            return NULL;
    }
    return joined ? joined : "";
}

/* Leaves the panels that have something; all of those that were asked for must have. */
static int finish_panels(struct log *l, struct l2_err *err)
{
    struct plot_figure *figure = &l->p->figure;
    bool asked = l->p->opts->fields.n > 0 && l->p->rows > 0;
    if (l->p->rows > 0 && !l->x_met)
        return l2_err_set(err, L2_FORMAT, "no row has '%.64s', which is to be the x axis",
                          l->p->opts->x);
    for (size_t i = 0; asked && i < l->n; i++)
        if (!l->v[i].met)
            return l2_err_set(err, L2_FORMAT, "no row has '%.64s'", l->v[i].name);
    for (size_t i = 0; i < figure->n; i++) {
        figure->panels[i]->xlabel = text_of(l->p->opts->x);
        if (!(figure->panels[i]->ylabel = join_texts(l, figure->panels[i], err)))
            return L2_MEMORY;
    }
    plot_drop_empty_panels(figure);
    if (l->p->rows > 0 && figure->n == 0)
        return l2_err_set(
            err, L2_FORMAT,
            "no row has loss, accuracy or objective/scores: say with -y what to draw");
    return L2_OK;
}

int plot_log(struct plot *p, struct l2_err *err)
{
    struct log l = {.p = p};
    const struct l2_strings *fields = &p->opts->fields;
    size_t n_defaults = sizeof defaults / sizeof *defaults;
    int r = L2_OK;
    for (size_t i = 0; i < (fields->n > 0 ? fields->n : n_defaults) && r == L2_OK; i++)
        r = add_panel(&l, fields->n > 0 ? fields->v[i] : defaults[i], err);
    for (size_t i = 0; i < plot_n_files(p) && r == L2_OK; i++) {
        r = begin_file(&l, i, err);
        if (r == L2_OK)
            r = plot_each_row(p, plot_path(p, i), take_row, &l, err);
        if (r == L2_OK)
            r = end_file(&l, err);
    }
    if (r == L2_OK)
        r = finish_panels(&l, err);
    free(l.v);
    return r;
}
