/* l2-rsample: rejection sampling, that is choosing among the completions of records by their
 * scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/pipe.h"
#include "common/report.h"
#include "data/row.h"
#include "rlhf/gather.h"
#include "rlhf/overall.h"
#include "rsample.h"

#define COMBINED "llama2:"

static struct {
    int64_t best, worst, top_overall;
    bool has_best, has_worst, has_top_overall, pairs;
    bool random, has_seed;
    uint64_t seed;
    bool curve;
    const char *explain;
    const char *by;
    bool whiten;
    const char *safety_tag;
    double min_score;
    bool has_min_score;
    bool over_plain;
    bool margin;
    const char *as;
    bool pool;
} opts = {.by = "reward"};

static const struct l2_opt options[] = {
    L2_OPT_TITLE("What to keep"),
    {.name = "best",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "the N best completions, best first",
     .default_text = "1, or with --min-score all",
     .target = &opts.best,
     .given = &opts.has_best,
     .min = 1,
     .max = INT32_MAX},
    {.name = "worst",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "the N worst completions, worst first",
     .default_text = "",
     .target = &opts.worst,
     .given = &opts.has_worst,
     .min = 1,
     .max = INT32_MAX},
    {.name = "pairs",
     .kind = L2_OPT_FLAG,
     .help = "the best and the worst completion, as a preference pair; none where all scores tie",
     .target = &opts.pairs},
    {.name = "top-overall",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "the N best completions of all records together; all records are held in memory",
     .default_text = "",
     .target = &opts.top_overall,
     .given = &opts.has_top_overall,
     .min = 1,
     .max = 9e15},
    {.name = "min-score",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "choose among the completions that have a score of X or more",
     .default_text = "",
     .target = &opts.min_score,
     .given = &opts.has_min_score,
     .min = -1e300,
     .max = 1e300},
    {.name = "over-plain",
     .kind = L2_OPT_FLAG,
     .help =
         "choose among the completions made under a pre-prompt (l2-preprompt) that score higher "
         "than all that were made without",
     .target = &opts.over_plain},
    {.name = "margin",
     .kind = L2_OPT_FLAG,
     .help = "with --pairs: set margin to the difference of the two scores",
     .target = &opts.margin},
    {.name = "random",
     .kind = L2_OPT_FLAG,
     .help = "the baseline: as many completions as would be chosen, drawn at random",
     .target = &opts.random},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "with --random: another seed, another choice",
     .target = &opts.seed,
     .given = &opts.has_seed},
    L2_OPT_TITLE("What to show instead"),
    {.name = "curve",
     .kind = L2_OPT_FLAG,
     .help = "write what the best of N completions scores for growing N, as lines of JSON",
     .target = &opts.curve},
    {.name = "explain",
     .kind = L2_OPT_STRING,
     .arg = "ID",
     .help = "write a table of the completions of the record of this id, and why each is chosen "
             "or not",
     .target = &opts.explain},
    L2_OPT_TITLE("What to choose by"),
    {.name = "by",
     .kind = L2_OPT_STRING,
     .arg = "EXPRESSION",
     .help = "name of a score, or an expression like 'min(safe, 2) - 0.01 * length'; or "
             "llama2:SAFE,HELPFUL for the combined reward of the Llama 2 paper: the score SAFE "
             "where the prompt is tagged or SAFE is below logit(0.15), else HELPFUL",
     .target = &opts.by},
    {.name = "safety-tag",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the field of meta that is true where the prompt is tagged, for the combined reward "
             "and 'tagged' in expressions",
     .target = &opts.safety_tag},
    {.name = "whiten",
     .kind = L2_OPT_FLAG,
     .help = "shift and scale what is chosen by to mean 0 and standard deviation 1 over all "
             "completions; all records are held in memory",
     .target = &opts.whiten},
    {.name = "as",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "keep what was chosen by as a score of this name",
     .target = &opts.as},
    L2_OPT_TITLE("Input"),
    {.name = "pool",
     .kind = L2_OPT_FLAG,
     .help = "choose among the completions of all records with equal id and equal prompt; all "
             "records are held in memory (always so with several files)",
     .target = &opts.pool},
    L2_OPT_TABLE_END,
};

/* Parses opts.by into s->by. */
static int settle_by(struct sampling *s)
{
    size_t prefix = strlen(COMBINED);
    struct l2_err err;
    char *safe, *comma;
    int rc;
    if (strncmp(opts.by, COMBINED, prefix) != 0) {
        rc = l2_expr_parse(&s->by, opts.by, &err);
        if (rc == L2_ARGUMENT)
            return l2_cli_usage(s->cli, "--by: %s", err.text);
        return rc < 0 ? l2_cli_error(s->cli, &err) : 0;
    }
    safe = strdup(opts.by + prefix);
    comma = safe ? strchr(safe, ',') : NULL;
    if (safe && (!comma || comma == safe || comma[1] == '\0' || strchr(comma + 1, ','))) {
        free(safe);
        return l2_cli_usage(s->cli, "--by: want llama2:SAFE,HELPFUL, got '%s'", opts.by);
    }
    if (comma)
        *comma = '\0';
    rc = safe ? l2_expr_llama2(&s->by, safe, comma + 1, &err) : l2_err_memory(&err, prefix);
    free(safe);
    return rc < 0 ? l2_cli_error(s->cli, &err) : 0;
}

/* What cannot be asked for together, or NULL. */
static const char *contradiction(void)
{
    int kinds = opts.has_best + opts.has_worst + opts.has_top_overall + opts.pairs;
    if (kinds > 1)
        return "--best, --worst, --top-overall and --pairs exclude each other";
    if (opts.curve + (opts.explain != NULL) > 1)
        return "--curve and --explain exclude each other";
    if (opts.curve && (kinds > 0 || opts.has_min_score || opts.random || opts.as))
        return "--curve takes all completions and writes no stream: no --best, --worst, "
               "--top-overall, --pairs, --min-score, --random or --as";
    if (opts.over_plain && (opts.has_worst || opts.pairs || opts.random || opts.curve))
        return "--over-plain keeps the best: no --worst, --pairs, --random or --curve";
    if (opts.margin && !opts.pairs)
        return "--margin wants --pairs";
    if (opts.has_seed && !opts.random)
        return "--seed wants --random";
    if (opts.by[0] == '\0' || (opts.as && opts.as[0] == '\0'))
        return "want the name of a score, got an empty string";
    return NULL;
}

static int settle_options(struct sampling *s)
{
    const char *wrong = contradiction();
    if (wrong)
        return l2_cli_usage(s->cli, "%s", wrong);
    s->by_text = opts.by;
    s->select = (struct l2_select_opts){.kind = opts.pairs       ? L2_SELECT_PAIRS
                                                : opts.has_worst ? L2_SELECT_WORST
                                                                 : L2_SELECT_BEST,
                                        .n = opts.has_worst  ? (size_t)opts.worst
                                             : opts.has_best ? (size_t)opts.best
                                             : opts.has_min_score || opts.has_top_overall ? SIZE_MAX
                                                                                          : 1,
                                        .safety_tag = opts.safety_tag,
                                        .scale = 1,
                                        .has_min_score = opts.has_min_score,
                                        .min_score = opts.min_score,
                                        .over_plain = opts.over_plain,
                                        .random = opts.random,
                                        .seed = opts.seed,
                                        .keep_margin = opts.margin,
                                        .as = opts.as};
    return settle_by(s);
}

/* True where a completion has a value. */
static bool any_valued(const struct sampling *s, const struct l2_record *rec)
{
    double value;
    const char *missing;
    for (size_t i = 0; i < rec->n_completions; i++)
        if (l2_expr_value(s->by, &rec->completions[i], false, &value, &missing))
            return true;
    return false;
}

/* What the first record without a value has instead. */
static void describe_unscored(struct sampling *s, const struct l2_record *rec)
{
    char id[128];
    size_t size = sizeof s->first_unscored;
    double value;
    const char *missing;
    l2_id_format(&rec->id, id, sizeof id);
    if (rec->n_completions == 0) {
        snprintf(s->first_unscored, size, "record %s: it has no completions", id);
        return;
    }
    if (opts.over_plain && any_valued(s, rec)) {
        snprintf(s->first_unscored, size,
                 "record %s: want scored completions both with and without a pre-prompt", id);
        return;
    }
    (void)l2_expr_value(s->by, &rec->completions[0], false, &value, &missing);
    if (!missing)
        missing = opts.by;
    if (rec->completions[0].n_scores == 0)
        snprintf(s->first_unscored, size, "record %s: no completion has the score %.64s", id,
                 missing);
    else
        snprintf(s->first_unscored, size,
                 "record %s: no completion has the score %.64s, the first one has %.64s", id,
                 missing, rec->completions[0].scores[0].name.s);
}

/* The form in which l2-tokenize -d writes what was chosen: a pair as chosen and rejected, one
 * completion as prompt and completion, whatever form the record came in; unless that form says the
 * same. */
static int settle_shape(const struct sampling *s, struct l2_record *rec, struct l2_err *err)
{
    enum l2_form form, want = L2_FORM_PROMPT_PAIR;
    enum l2_style style;
    char shape[L2_SHAPE_MAX];
    bool known = rec->shape.s && l2_shape_parse(rec->shape.s, rec->shape.n, &form, &style);
    if (s->select.kind != L2_SELECT_PAIRS) {
        if (s->select.n > 1)
            return L2_OK;
        want = L2_FORM_PROMPT_COMPLETION;
        if (known && (form == L2_FORM_TEXT || form == L2_FORM_MESSAGES))
            return L2_OK;
    } else if (known && form == L2_FORM_PAIR) {
        return L2_OK;
    }
    l2_shape_format(want, known ? style : L2_STYLE_PLAIN, shape);
    return l2_record_str(rec, shape, strlen(shape), &rec->shape, err);
}

static int select_record(struct sampling *s, struct l2_record *rec, struct l2_err *err)
{
    enum l2_select_result result;
    int r = l2_select(rec, &s->select, &s->counts, &result, err);
    if (r == L2_OK && result == L2_SELECTED)
        r = settle_shape(s, rec, err);
    if (r == L2_OK && result == L2_SELECTED)
        r = l2_pipe_put(s->pipe, rec, err);
    else if (r == L2_OK && result == L2_SELECT_UNSCORED && !s->first_unscored[0])
        describe_unscored(s, rec);
    return r;
}

static void count_in(struct sampling *s)
{
    l2_cli_progress_share(s->cli, l2_pipe_share(s->pipe), ++s->records_in, "records");
}

/* A record that is complete: chosen from, or shown. */
static int take(struct sampling *s, struct l2_record *rec, struct l2_err *err)
{
    if (s->curve)
        return rsample_curve_add(s, rec, err);
    if (opts.explain)
        return rsample_explain(s, opts.explain, rec, err);
    return select_record(s, rec, err);
}

/* Each record by itself, as it comes. */
static int run_single(struct sampling *s, struct l2_err *err)
{
    enum l2_pipe_event event;
    struct l2_record rec;
    int r;
    l2_record_init(&rec);
    while ((r = l2_pipe_next(s->pipe, true, &event, &rec, err)) == L2_OK) {
        if (event != L2_PIPE_RECORD)
            continue;
        count_in(s);
        if ((r = take(s, &rec, err)) != L2_OK)
            break;
    }
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

static int read_all(struct sampling *s, struct l2_gather *g, struct l2_err *err)
{
    for (;;) {
        enum l2_pipe_event event;
        struct l2_record *rec = malloc(sizeof *rec);
        int r;
        if (!rec)
            return l2_err_memory(err, sizeof *rec);
        l2_record_init(rec);
        r = l2_pipe_next(s->pipe, true, &event, rec, err);
        if (r == L2_OK && event == L2_PIPE_RECORD) {
            count_in(s);
            r = l2_gather_add(g, rec, err);
        } else {
            l2_record_release(rec);
            free(rec);
        }
        if (r != L2_OK)
            return r == L2_END ? L2_OK : r;
    }
}

/* Sets the shift and scale that make the values of all completions of mean 0 and deviation 1. */
static int whiten(struct sampling *s, struct l2_gather *g, struct l2_err *err)
{
    enum l2_select_result result;
    struct l2_verdict *verdicts;
    struct l2_record *rec;
    double n = 0, mean = 0, squares = 0; /* Welford's sums */
    int r;
    l2_gather_rewind(g);
    while ((r = l2_gather_next(g, &rec, err)) == L2_OK && rec) {
        if ((r = l2_judge(rec, &s->select, &verdicts, &result, err)) < 0)
            return r;
        for (size_t i = 0; i < rec->n_completions; i++) {
            double before = verdicts[i].value - mean;
            if (verdicts[i].fate == L2_FATE_UNSCORED)
                continue;
            mean += before / ++n;
            squares += before * (verdicts[i].value - mean);
        }
    }
    if (r < 0 || n == 0)
        return r;
    if (!(squares > 0))
        return l2_err_set(err, L2_CORRUPT,
                          "--whiten wants values that differ, got %.9g for all completions", mean);
    s->select.shift = mean;
    s->select.scale = sqrt(n / squares);
    json_object_set_new(s->cli->report, "whitened",
                        json_pack("{s:f,s:f}", "mean", mean, "sd", sqrt(squares / n)));
    return L2_OK;
}

static int pick_overall(struct sampling *s, struct l2_gather *g, struct l2_overall *o,
                        struct l2_err *err)
{
    enum l2_select_result result;
    struct l2_verdict *verdicts;
    struct l2_record *rec;
    int r;
    l2_gather_rewind(g);
    while ((r = l2_gather_next(g, &rec, err)) == L2_OK && rec)
        if ((r = l2_judge(rec, &s->select, &verdicts, &result, err)) < 0 ||
            (r = l2_overall_add(o, &s->select, verdicts, rec->n_completions, err)) < 0)
            return r;
    if (r == L2_OK)
        l2_overall_pick(o, &s->select, (uint64_t)opts.top_overall);
    return r;
}

/* When all records have been read. */
static int run_held(struct sampling *s, bool pool, struct l2_err *err)
{
    struct l2_gather *g;
    struct l2_overall *overall = NULL;
    struct l2_record *rec;
    size_t place = 0;
    int r = l2_gather_new(&g, pool, err);
    if (r == L2_OK)
        r = read_all(s, g, err);
    if (r == L2_OK && opts.whiten)
        r = whiten(s, g, err);
    if (r == L2_OK && opts.has_top_overall)
        r = l2_overall_new(&overall, err);
    if (r == L2_OK && overall)
        r = pick_overall(s, g, overall, err);
    if (r == L2_OK)
        l2_gather_rewind(g);
    while (r == L2_OK && (r = l2_gather_next(g, &rec, err)) == L2_OK && rec) {
        if (overall)
            s->select.n = l2_overall_count(overall, place++);
        r = take(s, rec, err);
    }
    l2_overall_free(overall);
    l2_gather_free(g);
    return r;
}

static void report(struct sampling *s)
{
    static const char *const left_out[L2_N_SELECT_RESULTS] = {
        [L2_SELECT_UNSCORED] = "unscored",   [L2_SELECT_BELOW] = "below_min_score",
        [L2_SELECT_SINGLE] = "single",       [L2_SELECT_TIED] = "tied",
        [L2_SELECT_OUTRANKED] = "outranked", [L2_SELECT_NO_GAIN] = "no_gain",
    };
    const struct l2_select_counts *c = &s->counts;
    uint64_t scored = c->completions_in - c->unscored;
    json_t *report = s->cli->report, *out = json_object();
    struct l2_err err;
    if (s->curve || opts.explain) {
        json_decref(out);
        return;
    }
    l2_report_count(report, "records_in", s->records_in);
    l2_report_count(report, "completions_in", c->completions_in);
    l2_report_count(report, "completions", c->completions_out);
    l2_report_count(report, "unscored", c->unscored);
    l2_report_count(report, "below_min_score", c->below);
    l2_report_count(report, "duplicates", c->duplicates);
    for (int i = 0; i < L2_N_SELECT_RESULTS; i++)
        if (left_out[i])
            l2_report_count(out, left_out[i], c->results[i]);
    json_object_set_new(report, "left_out", out);
    if (scored > 0)
        json_object_set_new(report, "mean_before", json_real(c->sum_before / (double)scored));
    if (c->completions_out > 0)
        json_object_set_new(report, "mean_after",
                            json_real(c->sum_after / (double)c->completions_out));
    if (c->results[L2_SELECT_UNSCORED] > 0 && !s->cli->broken) {
        (void)l2_err_set(&err, L2_CORRUPT, "%s (%" PRIu64 " records in all were left out)",
                         s->first_unscored, c->results[L2_SELECT_UNSCORED]);
        (void)l2_cli_error(s->cli, &err);
    }
}

/* held: records are written when all segments have been read, as one. */
static int open_ends(struct sampling *s, bool held, struct l2_err *err)
{
    if (!opts.curve && !opts.explain)
        return l2_pipe_open(&s->pipe, s->cli, held, NULL, err);
    if (opts.curve) {
        int rc = l2_curve_new(&s->curve, err);
        if (rc < 0)
            return rc;
    }
    return l2_pipe_open_input(&s->pipe, s->cli, err);
}

static int run(struct l2_cli *cli)
{
    struct sampling s = {.cli = cli};
    struct l2_err err;
    bool pool = opts.pool || cli->operands.n > 1;
    bool held = pool || opts.whiten || opts.has_top_overall;
    int rc, status = settle_options(&s);
    if (status != 0)
        goto out;
    s.select.by = s.by;
    if (open_ends(&s, held, &err) != L2_OK) {
        status = l2_cli_error(cli, &err);
        goto out;
    }
    rc = held ? run_held(&s, pool, &err) : run_single(&s, &err);
    if (rc == L2_OK && (s.curve || opts.explain))
        rc = rsample_show(&s, opts.explain, &err);
    if (rc < 0)
        l2_pipe_fail(s.pipe, &err);
    l2_cli_progress_done(cli);
    l2_pipe_close(s.pipe);
    report(&s);
    status = cli->status;
out:
    l2_curve_free(s.curve);
    l2_expr_free(s.by);
    l2_buf_release(&s.text);
    return status;
}

static const char *const usage[] = {"[OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-rsample",
        .usage = usage,
        .summary = "Choose among the completions of records by their scores.",
        .options = options,
        .rows = L2_ROWS_FILTER,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
