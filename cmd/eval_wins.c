/* l2-eval wins: win rates from judgements or from two models' scores, and how judges agree. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/agreement.h"
#include "eval/winrate.h"
#include "util/grow.h"

static struct {
    bool jsonl, skip_bad, json;
    const char *rating, *version, *judge, *item, *as_version, *as_judge, *against, *score;
    double middle, tie;
    int64_t points;
    uint64_t seed;
} opts = {.rating = "rating", .version = "version", .judge = "judge", .item = "id", .points = 7};

const struct l2_opt eval_wins_options[] = {
    {.name = "rating",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the judgement: a number, or win, tie or loss",
     .target = &opts.rating},
    {.name = "middle",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "the rating that is a tie; larger ones are wins",
     .target = &opts.middle},
    {.name = "tie-within",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "ratings, or differences of scores, that are a tie as well",
     .target = &opts.tie,
     .min = 0,
     .max = 1e300},
    {.name = "points",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "points of the scale, around its middle, for the judges' agreement",
     .target = &opts.points,
     .min = 3,
     .max = L2_MAX_CATEGORIES - 1},
    {.name = "contender",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the model that wins or loses",
     .target = &opts.version},
    {.name = "judge",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "who judged",
     .target = &opts.judge},
    {.name = "item",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "what was judged: ratings of one item are compared",
     .target = &opts.item},
    {.name = "as-version",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the version of all rows",
     .target = &opts.as_version},
    {.name = "as-judge",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the judge of all rows",
     .target = &opts.as_judge},
    {.name = "against",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "answers of the other model to the same prompts; the larger --score wins",
     .target = &opts.against,
     .is_path = true},
    {.name = "score",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "with --against: the score",
     .target = &opts.score},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "of the resampling for the intervals of agreement",
     .target = &opts.seed},
    JUDGE_IN_OPTIONS(&opts.jsonl, &opts.skip_bad, &opts.json),
    L2_OPT_TABLE_END,
};

enum { VERDICTS = 3, ROUNDS = 1000 };

/* Of one version by one judge. */
struct side {
    char version[256], judge[256];
    struct l2_wins wins;
};

struct measuring {
    struct l2_cli *cli;
    struct judge_groups sides, items, seen;
    struct side *side;
    size_t sides_cap;
    uint32_t *verdicts; /* (items, VERDICTS) */
    uint32_t *ratings;  /* (items, points) */
    size_t verdicts_cap, ratings_cap;
    bool off_scale; /* a rating was none of the scale's points */
    json_t *others; /* id to scores: of --against */
    uint64_t alone; /* answers whose prompt the other model has none for */
    json_t *rows;
};

/* The key of two names, which may hold anything. */
static void join(const char *a, const char *b, char out[600])
{
    snprintf(out, 600, "%zu %s %s", strlen(a), a, b);
}

static int names_of(const json_t *row, struct side *s, struct l2_err *err)
{
    const char *version = opts.as_version ? opts.as_version : "answers", *judge = opts.as_judge;
    const json_t *v = judge_field(row, NULL, opts.version), *j = judge_field(row, NULL, opts.judge);
    int r = L2_OK;
    if (v && !opts.as_version)
        r = judge_label(v, opts.version, s->version, err);
    else
        snprintf(s->version, sizeof s->version, "%s", version);
    if (r == L2_OK && !judge)
        r = judge_label(j, opts.judge, s->judge, err);
    else if (judge)
        snprintf(s->judge, sizeof s->judge, "%s", judge);
    return r;
}

static int add_win(struct measuring *m, const struct side *who, double better, struct l2_err *err)
{
    char key[600];
    size_t at, n = judge_groups_n(&m->sides);
    join(who->version, who->judge, key);
    int r = l2_grow(&m->side, n, &m->sides_cap, 1, sizeof *m->side, err);
    if (r == L2_OK)
        r = judge_group(&m->sides, key, &at, err);
    if (r != L2_OK)
        return r;
    if (at == n) {
        m->side[at] = *who;
        m->side[at].wins = (struct l2_wins){0};
    }
    l2_wins_add(&m->side[at].wins, better, opts.tie);
    return L2_OK;
}

/* Counts the rating for the agreement on its item. A named judge rates an item once. */
static int add_rating(struct measuring *m, const struct side *who, const char *item, double better,
                      struct l2_err *err)
{
    char key[600], judged[900];
    size_t at, n = judge_groups_n(&m->items), points = (size_t)opts.points, once;
    double point = better + (double)(points - 1) / 2;
    join(who->version, item, key);
    snprintf(judged, sizeof judged, "%s %s", key, who->judge);
    if (strcmp(who->judge, "-") != 0 && judge_group_find(&m->seen, judged, &once))
        return l2_err_set(err, L2_CORRUPT, "judge %.64s rates item %.64s twice", who->judge, item);
    int r =
        l2_grow(&m->verdicts, n * VERDICTS, &m->verdicts_cap, VERDICTS, sizeof *m->verdicts, err);
    if (r == L2_OK)
        r = l2_grow(&m->ratings, n * points, &m->ratings_cap, points, sizeof *m->ratings, err);
    if (r == L2_OK)
        r = judge_group(&m->seen, judged, &once, err);
    if (r == L2_OK)
        r = judge_group(&m->items, key, &at, err);
    if (r != L2_OK)
        return r;
    if (at == n) {
        memset(m->verdicts + at * VERDICTS, 0, VERDICTS * sizeof *m->verdicts);
        memset(m->ratings + at * points, 0, points * sizeof *m->ratings);
    }
    m->verdicts[at * VERDICTS + (fabs(better) <= opts.tie ? 1 : better > 0 ? 2 : 0)]++;
    if (point >= 0 && point < (double)points && point == floor(point))
        m->ratings[at * points + (size_t)point]++;
    else
        m->off_scale = true;
    return L2_OK;
}

/* How much better the judge finds the version. */
static int rating_of(const json_t *row, double *better, bool *is_number, struct l2_err *err)
{
    static const char *const words[] = {"loss", "tie", "win"};
    const json_t *v = judge_field(row, NULL, opts.rating);
    *is_number = json_is_number(v);
    if (*is_number) {
        *better = json_number_value(v) - opts.middle;
        return L2_OK;
    }
    for (int i = 0; i < 3; i++)
        if (json_is_string(v) && strcmp(json_string_value(v), words[i]) == 0) {
            *better = (i - 1) * (2 * opts.tie + 1);
            return L2_OK;
        }
    return l2_err_set(err, L2_FORMAT, "%.64s: want a number, or win, tie or loss", opts.rating);
}

static int take_judgement(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    struct side who = {.version = ""};
    char item[256];
    double better = 0;
    bool is_number = false;
    const json_t *id = judge_field(row, NULL, opts.item);
    int r = rating_of(row, &better, &is_number, err);
    if (r == L2_OK)
        r = names_of(row, &who, err);
    if (r == L2_OK)
        r = judge_label(id, opts.item, item, err);
    if (r == L2_OK && id)
        r = add_rating(m, &who, item, better, err);
    if (r == L2_OK && !is_number)
        m->off_scale = true;
    return r == L2_OK ? add_win(m, &who, better, err) : r;
}

/* ---- two models under one score ---- */

/* The id as a key: 1 and "1" are not the same. */
static int key_of(const json_t *row, char key[300], struct l2_err *err)
{
    const json_t *id = json_object_get(row, "id");
    char label[256];
    if (!id)
        return l2_err_set(err, L2_FORMAT, "want an id");
    int r = judge_label(id, "id", label, err);
    snprintf(key, 300, "%s%s", json_is_string(id) ? "t" : "n", label);
    return r;
}

static int add_score(void *arg, double v, struct l2_err *err)
{
    return judge_add(arg, json_real(v), err);
}

static int scores_of(const json_t *row, json_t *scores, struct l2_err *err)
{
    const json_t *list = json_object_get(row, "completions");
    if (!json_is_array(list))
        return l2_err_set(err, L2_FORMAT, "want completions");
    return judge_each_score(row, list, opts.score, add_score, scores, err);
}

static int take_other(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    char key[300];
    json_t *scores = json_array();
    int r = scores ? key_of(row, key, err) : l2_err_memory(err, 64);
    if (r == L2_OK)
        r = scores_of(row, scores, err);
    if (r == L2_OK && json_object_get(m->others, key))
        r = l2_err_set(err, L2_CORRUPT, "id %.64s stands in %.128s twice", key + 1, opts.against);
    if (r == L2_OK && json_object_set(m->others, key, scores) != 0)
        r = l2_err_memory(err, 64);
    json_decref(scores);
    return r;
}

/* The first answer against the other model's first, the second against its second, and so on. */
static int take_answers(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    struct side who = {.version = ""};
    char key[300];
    json_t *scores = json_array();
    int r = scores ? key_of(row, key, err) : l2_err_memory(err, 64);
    if (r == L2_OK)
        r = names_of(row, &who, err);
    if (r == L2_OK && !opts.as_judge)
        snprintf(who.judge, sizeof who.judge, "%s", opts.score);
    if (r == L2_OK)
        r = scores_of(row, scores, err);
    if (r == L2_OK) {
        const json_t *others = json_object_get(m->others, key);
        size_t n = json_array_size(scores);
        for (size_t i = 0; i < n && r == L2_OK; i++)
            if (i < json_array_size(others))
                r = add_win(m, &who,
                            json_real_value(json_array_get(scores, i)) -
                                json_real_value(json_array_get(others, i)),
                            err);
            else
                m->alone++;
    }
    json_decref(scores);
    return r;
}

/* ---- results ---- */

static int put_wins(struct measuring *m, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < judge_groups_n(&m->sides) && r == L2_OK; i++) {
        const struct side *s = &m->side[i];
        struct l2_win_rates w;
        l2_win_rates(&s->wins, &w);
        r = judge_add(m->rows,
                      json_pack("{s:s,s:s,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version",
                                s->version, "judge", s->judge, "wins", (json_int_t)s->wins.wins,
                                "ties", (json_int_t)s->wins.ties, "losses",
                                (json_int_t)s->wins.losses, "win_rate", judge_real(w.rate), "low",
                                judge_real(w.rate_ci.low), "high", judge_real(w.rate_ci.high),
                                "decided", judge_real(w.decided), "decided_low",
                                judge_real(w.decided_ci.low), "decided_high",
                                judge_real(w.decided_ci.high), "z", judge_real(w.z)),
                      err);
    }
    return r;
}

struct resampled {
    struct l2_ratings ratings;
    enum l2_agreement_weights weights;
};

static double coefficient(void *arg, const uint32_t *chosen, size_t n)
{
    const struct resampled *a = arg;
    return l2_gwet(&a->ratings, a->weights, chosen, n).coefficient;
}

static int put_agreement(struct measuring *m, const char *name, struct resampled *of,
                         struct l2_err *err)
{
    struct l2_agreement a = l2_gwet(&of->ratings, of->weights, NULL, 0);
    struct l2_interval ci;
    if (a.items == 0)
        return L2_OK;
    int r = l2_bootstrap(coefficient, of, of->ratings.n_items, ROUNDS, opts.seed, 0.95, &ci, err);
    if (r != L2_OK)
        return r;
    return judge_add(m->rows,
                     json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o}", "agreement", name, "weights",
                               l2_agreement_weight_names[of->weights], "items", (json_int_t)a.items,
                               "observed", judge_real(a.observed), "chance", judge_real(a.chance),
                               "coefficient", judge_real(a.coefficient), "low", judge_real(ci.low),
                               "high", judge_real(ci.high)),
                     err);
}

static int put_agreements(struct measuring *m, struct l2_err *err)
{
    size_t n = judge_groups_n(&m->items);
    struct resampled verdicts = {{m->verdicts, n, VERDICTS}, L2_WEIGHTS_NONE};
    struct resampled points = {{m->ratings, n, (unsigned)opts.points}, L2_WEIGHTS_NONE};
    if (n == 0)
        return L2_OK;
    int r = put_agreement(m, "AC1 of win, tie, loss", &verdicts, err);
    if (r == L2_OK && !m->off_scale)
        r = put_agreement(m, "AC1 of ratings", &points, err);
    for (points.weights = L2_WEIGHTS_LINEAR; r == L2_OK && points.weights < L2_N_WEIGHTS;
         points.weights++)
        if (!m->off_scale)
            r = put_agreement(m, "AC2 of ratings", &points, err);
    return r;
}

static int start(struct measuring *m, struct l2_err *err)
{
    m->rows = json_array();
    m->others = json_object();
    int r = m->rows && m->others ? L2_OK : l2_err_memory(err, 64);
    if (r == L2_OK)
        r = judge_groups_init(&m->sides, err);
    if (r == L2_OK)
        r = judge_groups_init(&m->items, err);
    return r == L2_OK ? judge_groups_init(&m->seen, err) : r;
}

static int report(void *arg, struct l2_err *err)
{
    struct measuring *m = arg;
    if (m->alone > 0)
        l2_cli_note(m->cli, "%llu answers have none of the other model's to be compared with",
                    (unsigned long long)m->alone);
    if (judge_groups_n(&m->sides) == 0)
        return l2_err_set(err, L2_CORRUPT, "the inputs have no answers to the same prompts");
    int r = put_wins(m, err);
    return r == L2_OK ? put_agreements(m, err) : r;
}

int eval_run_wins(struct l2_cli *cli)
{
    struct judge_in in = {.cli = cli, .jsonl = opts.jsonl, .skip_bad = opts.skip_bad};
    struct measuring m = {.cli = cli};
    struct l2_err err;
    if (!opts.against != !opts.score)
        return l2_cli_usage(cli, "want --against FILE and --score NAME together");
    int r = start(&m, &err);
    if (r == L2_OK && opts.against)
        r = judge_read(&in, opts.against, take_other, &m, &err);
    in.rows = in.bad; /* the other model's rows are no answers */
    in.bytes = 0;
    if (r == L2_OK)
        r = judge_read_operands(&in, opts.against ? take_answers : take_judgement, &m, &err);
    if (r == L2_OK)
        r = judge_finish(&in, report, &m, m.rows, opts.json, &err);
    judge_groups_release(&m.sides);
    judge_groups_release(&m.items);
    judge_groups_release(&m.seen);
    free(m.side);
    free(m.verdicts);
    free(m.ratings);
    json_decref(m.others);
    json_decref(m.rows);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
