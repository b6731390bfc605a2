/* l2-plot scores: how a score of completions is distributed, in streams and in rows of JSON. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/frame.h"
#include "stream/stream.h"
#include "util/grow.h"

#define BINS_MIN       8
#define BINS_MAX       80
#define DENSITY_POINTS 512
#define MAX_NAMED      8 /* other scores that are told where the one that is wanted is nowhere */

/* The scores of a file, or of the chosen or the rejected completions in it. */
struct sample {
    size_t file;
    const char *side; /* "" where all are one */
    double *v;        /* owned */
    size_t n, cap;
    double mean, sd, quartile[2];
};

struct scores {
    struct plot *p;
    const char *name;
    struct sample *samples; /* owned; one a file, with --pairs two */
    size_t n;
    struct sample *current;
    const char *others[MAX_NAMED]; /* in the figure's arena */
    size_t n_others;
    double lo, hi;
};

/* The values of one record that have the score, in order. */
struct values {
    double v[2];
    size_t n; /* may be more than 2 */
};

static int add_value(struct sample *s, double v, struct l2_err *err)
{
    if (!isfinite(v))
        return l2_err_set(err, L2_FORMAT, "want finite scores, got %g", v);
    int r = l2_grow(&s->v, s->n, &s->cap, 1, sizeof *s->v, err);
    if (r == L2_OK)
        s->v[s->n++] = v;
    return r;
}

static int found(struct scores *s, struct values *of, double v, struct l2_err *err)
{
    if (of->n < 2)
        of->v[of->n] = v;
    of->n++;
    return s->p->opts->pairs ? L2_OK : add_value(s->current, v, err);
}

/* With --pairs: the first of two is the chosen one. */
static int end_record(struct scores *s, const struct values *of, struct l2_err *err)
{
    if (!s->p->opts->pairs || of->n != 2)
        return L2_OK;
    int r = add_value(&s->current[0], of->v[0], err);
    return r == L2_OK ? add_value(&s->current[1], of->v[1], err) : r;
}

static int remember_other(struct scores *s, const char *name, struct l2_err *err)
{
    for (size_t i = 0; i < s->n_others; i++)
        if (strcmp(s->others[i], name) == 0)
            return L2_OK;
    if (s->n_others == MAX_NAMED)
        return L2_OK;
    s->others[s->n_others] = plot_text(&s->p->figure, err, "%.40s", name);
    return s->others[s->n_others++] ? L2_OK : L2_MEMORY;
}

/* ---- rows of JSON ---- */

/* holder's "scores": {name: number, ...} */
static int take_scores(struct scores *s, const json_t *holder, struct values *of,
                       struct l2_err *err)
{
    json_t *scores = json_object_get(holder, "scores"), *value;
    const char *name;
    int r = L2_OK;
    if (!scores || json_is_null(scores))
        return L2_OK;
    if (!json_is_object(scores))
        return l2_err_set(err, L2_FORMAT, "want an object as 'scores'");
    json_object_foreach(scores, name, value)
    {
        if (strcmp(name, s->name) != 0)
            r = remember_other(s, name, err);
        else if (!json_is_number(value))
            r = l2_err_set(err, L2_FORMAT, "want a number as score '%.64s'", name);
        else
            r = found(s, of, json_number_value(value), err);
        if (r != L2_OK)
            break;
    }
    return r;
}

/* The score is a field of the row, or in its scores, or in those of its completions. */
static int take_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct scores *s = arg;
    struct values of = {.n = 0};
    const json_t *own = json_object_get(row, s->name), *list = json_object_get(row, "completions");
    int r = L2_OK;
    if (json_is_number(own))
        r = found(s, &of, json_number_value(own), err);
    if (r == L2_OK)
        r = take_scores(s, row, &of, err);
    for (size_t i = 0; i < json_array_size(list) && r == L2_OK; i++)
        r = take_scores(s, json_array_get(list, i), &of, err);
    return r == L2_OK ? end_record(s, &of, err) : r;
}

/* ---- streams ---- */

static int take_record(struct scores *s, const struct l2_record *rec, struct l2_err *err)
{
    struct values of = {.n = 0};
    int r = L2_OK;
    s->p->rows++;
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++) {
        const struct l2_completion *c = &rec->completions[i];
        const double *v = l2_completion_score(c, s->name);
        if (v)
            r = found(s, &of, *v, err);
        for (size_t k = 0; k < c->n_scores && r == L2_OK; k++)
            if (strcmp(c->scores[k].name.s, s->name) != 0)
                r = remember_other(s, c->scores[k].name.s, err);
    }
    return r == L2_OK ? end_record(s, &of, err) : r;
}

/* A stream that is not whole is an error, or with --partial what there is of it. */
static int check_whole(struct scores *s, int r, const char *name, const char *error,
                       struct l2_err *err)
{
    char text[512];
    if (!s->p->cli->partial)
        return r;
    if (error)
        snprintf(text, sizeof text, "%s: the stream is incomplete: %.400s", name, error);
    else
        l2_err_format(err, text, sizeof text);
    l2_cli_note(s->p->cli, "%s", text);
    return error ? L2_OK : L2_END;
}

static int read_stream(struct scores *s, int fd, const char *name, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)s->p->cli->max_record};
    struct l2_reader *reader = NULL;
    struct l2_record rec;
    enum l2_item item;
    l2_record_init(&rec);
    int r = l2_reader_new(&reader, fd, name, &limits, err);
    while (r == L2_OK && (r = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK) {
        const struct l2_stream_end *end = l2_reader_end_item(reader);
        if (item == L2_ITEM_RECORD)
            r = take_record(s, &rec, err);
        else if (item == L2_ITEM_END && !end->complete)
            r = check_whole(s,
                            l2_err_at(err, L2_TRUNCATED, name, -1,
                                      "the stream is incomplete: %.400s", end->error),
                            name, end->error, err);
        plot_progress(s->p, l2_reader_offset(reader));
    }
    if (r == L2_TRUNCATED)
        r = check_whole(s, r, name, NULL, err);
    if (reader)
        s->p->bytes_done += l2_reader_offset(reader);
    l2_reader_free(reader);
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

/* Copies what comes through a pipe, which can be read only once, into a file without a name. */
static int spool(int fd, const char *name, FILE **out, struct l2_err *err)
{
    char buf[65536];
    ssize_t n;
    int r = L2_OK;
    if (!(*out = tmpfile()))
        return l2_err_sys(err, errno, NULL, "cannot make a temporary file");
    while (r == L2_OK && (n = read(fd, buf, sizeof buf)) != 0) {
        if (n > 0)
            r = l2_cli_write(fileno(*out), "temporary file", buf, (size_t)n, err);
        else if (errno != EINTR)
            r = l2_err_sys(err, errno, name, "cannot read");
    }
    if (r == L2_OK && lseek(fileno(*out), 0, SEEK_SET) != 0)
        r = l2_err_sys(err, errno, NULL, "cannot read the temporary file");
    return r;
}

/* True where a file begins as a stream does. */
static bool begins_stream(int fd)
{
    uint8_t head[L2_FRAME_MAGIC_BYTES];
    struct l2_frame frame;
    ssize_t n = pread(fd, head, sizeof head, lseek(fd, 0, SEEK_CUR));
    return n == (ssize_t)sizeof head && l2_frame_parse(head, sizeof head, &frame) != L2_FORMAT;
}

static int read_file(struct scores *s, const char *path, struct l2_err *err)
{
    const char *name;
    FILE *copy = NULL;
    int fd, r = l2_cli_open_input(s->p->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = l2_cli_refuse_terminal(fd, err);
    if (r == L2_OK && lseek(fd, 0, SEEK_CUR) < 0)
        r = spool(fd, name, &copy, err);
    if (r == L2_OK) {
        int from = copy ? fileno(copy) : fd;
        r = begins_stream(from) ? read_stream(s, from, name, err)
                                : plot_each_row_of(s->p, from, name, take_row, s, err);
    }
    if (copy)
        fclose(copy);
    l2_cli_close_input(fd);
    return r;
}

/* ---- distributions ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct sample *s)
{
    double square = 0;
    qsort(s->v, s->n, sizeof *s->v, compare);
    s->mean = 0;
    for (size_t i = 0; i < s->n; i++)
        s->mean += (s->v[i] - s->mean) / (double)(i + 1);
    for (size_t i = 0; i < s->n; i++)
        square += (s->v[i] - s->mean) * (s->v[i] - s->mean);
    s->sd = s->n > 1 ? sqrt(square / (double)(s->n - 1)) : 0;
    s->quartile[0] = s->v[s->n / 4];
    s->quartile[1] = s->v[s->n - 1 - s->n / 4];
}

/* Freedman and Diaconis: bins of twice the quartiles' distance by the cube root of n. */
static size_t choose_bins(const struct scores *s)
{
    double bins = BINS_MIN;
    if (s->p->opts->bins > 0)
        return (size_t)s->p->opts->bins;
    for (size_t i = 0; i < s->n; i++) {
        const struct sample *a = &s->samples[i];
        if (a->n == 0)
            continue;
        double width = 2 * (a->quartile[1] - a->quartile[0]) / cbrt((double)a->n);
        if (width > 0)
            bins = fmax(bins, ceil((s->hi - s->lo) / width));
    }
    return (size_t)fmin(bins, BINS_MAX);
}

/* The percentage of the sample in each of the bins, which have both ends at zero. */
static int put_bins(const struct scores *s, const struct sample *a, size_t bins,
                    struct plot_series *c, struct l2_err *err)
{
    struct plot_point point = {.x = s->lo};
    int r = plot_point_add(c, &point, err);
    for (size_t i = 0, k = 0; i <= bins && r == L2_OK; i++) {
        size_t before = k;
        double end = s->lo + (s->hi - s->lo) * (double)(i + 1) / (double)bins;
        while (k < a->n && (a->v[k] < end || i + 1 == bins))
            k++;
        point.x = s->lo + (s->hi - s->lo) * (double)i / (double)bins;
        point.y = 100 * (double)(k - before) / (double)a->n;
        r = plot_point_add(c, &point, err);
    }
    return r;
}

/* A Gaussian kernel of Silverman's width. */
static int put_density(const struct scores *s, const struct sample *a, struct plot_series *c,
                       struct l2_err *err)
{
    double spread = (a->quartile[1] - a->quartile[0]) / 1.34;
    double width = 0.9 * (spread > 0 ? fmin(a->sd, spread) : a->sd) * pow((double)a->n, -0.2);
    int r = L2_OK;
    if (width <= 0)
        width = (s->hi - s->lo) / 100;
    double lo = s->lo - 4 * width, hi = s->hi + 4 * width;
    for (size_t i = 0; i < DENSITY_POINTS && r == L2_OK; i++) {
        struct plot_point point = {.x = lo + (hi - lo) * (double)i / (DENSITY_POINTS - 1)};
        for (size_t k = 0; k < a->n; k++) {
            double z = (point.x - a->v[k]) / width;
            point.y += exp(-z * z / 2);
        }
        point.y *= 0.3989422804014327 / (width * (double)a->n);
        r = plot_point_add(c, &point, err);
    }
    return r;
}

static const char *label_of(struct scores *s, const struct sample *a, struct l2_err *err)
{
    bool several = plot_n_files(s->p) > 1;
    const char *file = several || !*a->side ? plot_file_label(s->p, a->file, err) : "";
    if (!file)
        return NULL;
    return plot_text(&s->p->figure, err, "%.60s%s%s (n %zu, mean %.3g)", file,
                     *file && *a->side ? ", " : "", a->side, a->n, a->mean);
}

static int draw(struct scores *s, struct l2_err *err)
{
    struct plot_panel *panel;
    struct plot_series *c;
    bool density = s->p->opts->density;
    int r = plot_panel_add(&s->p->figure, &panel, err);
    if (r == L2_OK && !(panel->xlabel = plot_text(&s->p->figure, err, "%s", s->name)))
        r = L2_MEMORY;
    if (s->hi <= s->lo) {
        double some = s->lo != 0 ? fabs(s->lo) * 0.1 : 0.5;
        s->lo -= some;
        s->hi += some;
    }
    size_t bins = choose_bins(s);
    for (size_t i = 0; i < s->n && r == L2_OK; i++) {
        const struct sample *a = &s->samples[i];
        const char *label;
        if (a->n == 0)
            continue;
        if (!(label = label_of(s, a, err)))
            return L2_MEMORY;
        r = plot_series_add(&s->p->figure, panel, label, density ? PLOT_LINE : PLOT_STEPS, &c, err);
        if (r != L2_OK)
            return r;
        c->color = (unsigned)i;
        r = density ? put_density(s, a, c, err) : put_bins(s, a, bins, c, err);
    }
    if (r == L2_OK) {
        panel->ylabel = density ? "density" : "completions (%)";
        panel->y_min = 0;
        panel->legend = true; /* which tells n and mean */
    }
    return r;
}

/* ---- the whole ---- */

static int refuse_empty(const struct scores *s, struct l2_err *err)
{
    char names[512] = "";
    for (size_t i = 0; i < s->n_others; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", s->others[i]);
    }
    if (s->p->opts->pairs)
        return l2_err_set(err, L2_FORMAT, "no record has two completions with the score '%.64s'",
                          s->name);
    return l2_err_set(err, L2_FORMAT, "nothing has the score '%.64s'%s%s: --score names another",
                      s->name, *names ? "; there are " : "", names);
}

int plot_scores(struct plot *p, struct l2_err *err)
{
    struct scores s = {.p = p, .name = p->opts->score, .lo = INFINITY, .hi = -INFINITY};
    size_t sides = p->opts->pairs ? 2 : 1, files = plot_n_files(p);
    int r = L2_OK;
    if (!(s.samples = calloc(files * sides, sizeof *s.samples)))
        return l2_err_memory(err, files * sides * sizeof *s.samples);
    s.n = files * sides;
    for (size_t i = 0; i < s.n; i++) {
        s.samples[i].file = i / sides;
        s.samples[i].side = sides == 1 ? "" : i % 2 == 0 ? "chosen" : "rejected";
    }
    for (size_t i = 0; i < files && r == L2_OK; i++) {
        s.current = &s.samples[i * sides];
        r = read_file(&s, plot_path(p, i), err);
    }
    for (size_t i = 0; i < s.n && r == L2_OK; i++) {
        if (s.samples[i].n == 0)
            continue;
        measure(&s.samples[i]);
        s.lo = fmin(s.lo, s.samples[i].v[0]);
        s.hi = fmax(s.hi, s.samples[i].v[s.samples[i].n - 1]);
    }
    if (r == L2_OK)
        r = s.hi >= s.lo ? draw(&s, err) : p->rows > 0 ? refuse_empty(&s, err) : L2_OK;
    for (size_t i = 0; i < s.n; i++)
        free(s.samples[i].v);
    free(s.samples);
    return r;
}
