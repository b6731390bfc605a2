/* l2-eval prefs: how often a reward model prefers what people prefer, and how well it knows. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/calibration.h"
#include "util/grow.h"

static struct {
    bool jsonl, skip_bad, json;
    const char *score, *share;
    struct l2_strings by;
    int64_t bins;
} opts = {.bins = 10};

const struct l2_opt eval_prefs_options[] = {
    {.name = "score",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the score of a stream's completions",
     .target = &opts.score},
    {.name = "by",
     .kind = L2_OPT_LIST,
     .arg = "FIELD",
     .help = "tell the accuracy for each value of a field, too; may be repeated",
     .default_text = "subset",
     .target = &opts.by},
    {.name = "share",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the share of people that preferred the chosen one; without it, all of them",
     .target = &opts.share},
    {.name = "bins",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "bins of the calibration",
     .target = &opts.bins,
     .min = 1,
     .max = 1000},
    JUDGE_IN_OPTIONS(&opts.jsonl, &opts.skip_bad, &opts.json),
    L2_OPT_TABLE_END,
};

enum { MAX_BY = 16, MAX_REJECTED = 64 };

struct accuracy {
    uint64_t n, ties;
    double credit;
};

struct by {
    const char *field;
    struct judge_groups groups;
    struct accuracy *v; /* a group each */
    size_t cap;
};

struct measuring {
    struct accuracy all;
    struct by by[MAX_BY];
    size_t n_by;
    struct l2_calibration calibration;
    json_t *rows;
};

/* A row's scores, the chosen one's first. */
struct scores {
    double v[1 + MAX_REJECTED];
    size_t n;
};

static int add_score(void *arg, double v, struct l2_err *err)
{
    struct scores *s = arg;
    if (s->n == sizeof s->v / sizeof *s->v)
        return l2_err_set(err, L2_LIMIT, "more than %d answers", MAX_REJECTED);
    if (!isfinite(v))
        return l2_err_set(err, L2_FORMAT, "a score that is not finite");
    s->v[s->n++] = v;
    return L2_OK;
}

/* A number, or a list of numbers. */
static int take_scores(struct scores *s, const json_t *v, const char *name, struct l2_err *err)
{
    double x = 0;
    const json_t *one;
    size_t i;
    int r = L2_OK;
    if (!json_is_array(v)) {
        r = judge_number(v, name, &x, err);
        return r == L2_OK ? add_score(s, x, err) : r;
    }
    json_array_foreach(v, i, one)
    {
        if (r == L2_OK)
            r = judge_number(one, name, &x, err);
        if (r == L2_OK)
            r = add_score(s, x, err);
    }
    return r;
}

static int find_scores(struct scores *s, const json_t *row, struct l2_err *err)
{
    const json_t *chosen = json_object_get(row, "scores_chosen");
    const json_t *rejected = json_object_get(row, "scores_rejected");
    const json_t *completions = json_object_get(row, "completions");
    int r;
    s->n = 0;
    if (chosen || rejected) {
        r = take_scores(s, chosen, "scores_chosen", err);
        if (r == L2_OK && s->n != 1)
            r = l2_err_set(err, L2_FORMAT, "scores_chosen: want one score, found %zu", s->n);
        if (r == L2_OK)
            r = take_scores(s, rejected, "scores_rejected", err);
    } else if (json_is_array(completions) && opts.score) {
        r = judge_each_score(row, completions, opts.score, add_score, s, err);
    } else if (json_is_array(completions)) {
        r = l2_err_set(err, L2_ARGUMENT, "want --score NAME for completions with scores");
    } else {
        r = l2_err_set(err, L2_FORMAT, "want scores_chosen and scores_rejected, or completions");
    }
    if (r == L2_OK && s->n < 2)
        r = l2_err_set(err, L2_CORRUPT, "want two answers or more, found %zu", s->n);
    return r;
}

static void count(struct accuracy *a, const struct scores *s)
{
    bool tie = false;
    a->n++;
    a->credit += l2_pair_credit(s->v[0], s->v + 1, s->n - 1);
    for (size_t i = 1; i < s->n; i++)
        tie = tie || s->v[i] == s->v[0];
    a->ties += tie;
}

static int take(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    struct scores s;
    double share = 1;
    char label[MAX_BY][256];
    int r = find_scores(&s, row, err);
    const json_t *v = opts.share ? judge_field(row, NULL, opts.share) : NULL;
    if (r == L2_OK && opts.share)
        r = judge_number(v, opts.share, &share, err);
    if (r == L2_OK && !(share >= 0 && share <= 1))
        r = l2_err_set(err, L2_FORMAT, "%.64s: want a share from 0 to 1", opts.share);
    for (size_t i = 0; i < m->n_by && r == L2_OK; i++)
        r = judge_label(judge_field(row, NULL, m->by[i].field), m->by[i].field, label[i], err);
    for (size_t i = 0; i < m->n_by && r == L2_OK; i++) {
        struct by *by = &m->by[i];
        size_t before = judge_groups_n(&by->groups), at;
        r = l2_grow(&by->v, before, &by->cap, 1, sizeof *by->v, err);
        if (r == L2_OK)
            r = judge_group(&by->groups, label[i], &at, err);
        if (r == L2_OK && at == before)
            by->v[at] = (struct accuracy){0};
        if (r == L2_OK)
            count(&by->v[at], &s);
    }
    if (r != L2_OK)
        return r;
    count(&m->all, &s);
    for (size_t i = 1; i < s.n; i++)
        l2_calibration_add(&m->calibration, s.v[0] - s.v[i], share);
    return L2_OK;
}

/* ---- results ---- */

static int put_accuracy(struct measuring *m, const char *by, const char *group,
                        const struct accuracy *a, struct l2_err *err)
{
    struct l2_interval ci = l2_wilson(a->credit, (double)a->n, L2_Z95);
    return judge_add(m->rows,
                     json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:I}", "by", by, "group", group, "n",
                               (json_int_t)a->n, "accuracy", judge_real(a->credit / (double)a->n),
                               "low", judge_real(ci.low), "high", judge_real(ci.high), "ties",
                               (json_int_t)a->ties),
                     err);
}

/* RewardBench's sections of the subsets that are there, each by its own weight, and where all four
 * are there, their mean. */
static int put_sections(struct measuring *m, const struct by *by, struct l2_err *err)
{
    double mean = 0;
    int r = L2_OK, found = 0;
    uint64_t n_all = 0;
    for (int i = 0; l2_rewardbench_sections[i] && r == L2_OK; i++) {
        const char *section = l2_rewardbench_sections[i], *name;
        double sum = 0, weights = 0, weight;
        json_int_t n = 0;
        json_t *at;
        json_object_foreach(by->groups.index, name, at)
        {
            const struct accuracy *a = &by->v[json_integer_value(at)];
            const char *of = l2_rewardbench_section(name, &weight);
            if (!of || strcmp(of, section) != 0)
                continue;
            sum += weight * a->credit / (double)a->n;
            weights += weight;
            n += (json_int_t)a->n;
        }
        if (n == 0)
            continue;
        found++;
        mean += sum / weights / 4;
        n_all += (uint64_t)n;
        r = judge_add(m->rows,
                      json_pack("{s:s,s:I,s:o}", "section", section, "n", n, "accuracy",
                                judge_real(sum / weights)),
                      err);
    }
    if (r == L2_OK && found == 4)
        r = judge_add(m->rows,
                      json_pack("{s:s,s:I,s:o}", "section", "RewardBench", "n", (json_int_t)n_all,
                                "accuracy", judge_real(mean)),
                      err);
    return r;
}

static int put_calibration(struct measuring *m, struct l2_err *err)
{
    struct l2_calibration *c = &m->calibration;
    int r = L2_OK;
    l2_calibration_finish(c);
    for (size_t i = 0; i < c->n_bins && r == L2_OK; i++) {
        const struct l2_calibration_bin *b = &c->bins[i];
        if (b->n > 0)
            r = judge_add(m->rows,
                          json_pack("{s:I,s:o,s:o,s:o}", "pairs", (json_int_t)b->n, "difference",
                                    judge_real(b->difference), "predicted",
                                    judge_real(b->confidence), "preferred", judge_real(b->share)),
                          err);
    }
    if (r == L2_OK)
        r = judge_add(m->rows,
                      json_pack("{s:I,s:o,s:o,s:o}", "pairs", (json_int_t)c->n, "log_loss",
                                judge_real(c->log_loss), "ece", judge_real(c->ece), "mce",
                                judge_real(c->mce)),
                      err);
    return r;
}

static int report(void *arg, struct l2_err *err)
{
    struct measuring *m = arg;
    int r = put_accuracy(m, "-", "all", &m->all, err);
    for (size_t i = 0; i < m->n_by && r == L2_OK; i++) {
        const char **names = judge_groups_sorted(&m->by[i].groups);
        size_t at;
        r = names ? L2_OK : l2_err_memory(err, 64);
        for (size_t k = 0; r == L2_OK && names[k]; k++)
            if (judge_group_find(&m->by[i].groups, names[k], &at) &&
                (judge_groups_n(&m->by[i].groups) > 1 || strcmp(names[k], "-") != 0))
                r = put_accuracy(m, m->by[i].field, names[k], &m->by[i].v[at], err);
        free(names);
    }
    for (size_t i = 0; i < m->n_by && r == L2_OK; i++)
        if (strcmp(m->by[i].field, "subset") == 0)
            r = put_sections(m, &m->by[i], err);
    return r == L2_OK ? put_calibration(m, err) : r;
}

static int start(struct measuring *m, struct l2_err *err)
{
    static const char *const standard[] = {"subset"};
    size_t n = opts.by.n > 0 ? opts.by.n : 1;
    int r = L2_OK;
    if (n > MAX_BY)
        return l2_err_set(err, L2_ARGUMENT, "want --by at most %d times", MAX_BY);
    for (; m->n_by < n && r == L2_OK; m->n_by++) {
        m->by[m->n_by].field = opts.by.n > 0 ? opts.by.v[m->n_by] : standard[0];
        r = judge_groups_init(&m->by[m->n_by].groups, err);
    }
    m->rows = json_array();
    m->calibration.n_bins = (size_t)opts.bins;
    m->calibration.bins = calloc(m->calibration.n_bins, sizeof *m->calibration.bins);
    if (!m->rows || !m->calibration.bins)
        return l2_err_memory(err, 64);
    return r;
}

int eval_run_prefs(struct l2_cli *cli)
{
    struct judge_in in = {.cli = cli, .jsonl = opts.jsonl, .skip_bad = opts.skip_bad};
    struct measuring m = {0};
    struct l2_err err;
    int r = start(&m, &err);
    if (r == L2_OK)
        r = judge_read_operands(&in, take, &m, &err);
    if (r == L2_OK)
        r = judge_finish(&in, report, &m, m.rows, opts.json, &err);
    for (size_t i = 0; i < m.n_by; i++) {
        judge_groups_release(&m.by[i].groups);
        free(m.by[i].v);
    }
    json_decref(m.rows);
    free(m.calibration.bins);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
