/* l2-rsample: rejection sampling, that is choosing among the completions of records by their
 * scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/pipe.h"
#include "data/row.h"
#include "rlhf/gather.h"
#include "rlhf/select.h"

#define COMBINED "llama2:"

static struct {
    int64_t best, worst;
    bool has_best, has_worst, pairs;
    const char *by;
    const char *safety_tag;
    double min_score;
    bool has_min_score;
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
    {.name = "min-score",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "choose among the completions that have a score of X or more",
     .default_text = "",
     .target = &opts.min_score,
     .given = &opts.has_min_score,
     .min = -1e300,
     .max = 1e300},
    {.name = "margin",
     .kind = L2_OPT_FLAG,
     .help = "with --pairs: set margin to the difference of the two scores",
     .target = &opts.margin},
    L2_OPT_TITLE("What to choose by"),
    {.name = "by",
     .kind = L2_OPT_STRING,
     .arg = "SCORE",
     .help = "name of the score; or llama2:SAFE,HELPFUL for the combined reward of the Llama 2 "
             "paper: the score SAFE where the prompt is tagged or SAFE is below logit(0.15), else "
             "HELPFUL",
     .target = &opts.by},
    {.name = "safety-tag",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "with the combined reward: the field of meta that is true where the prompt is tagged",
     .target = &opts.safety_tag},
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

struct sampling {
    struct l2_cli *cli;
    struct l2_pipe *pipe;
    struct l2_select_opts select;
    char *names; /* of the combined reward's scores; owned */
    struct l2_select_counts counts;
    uint64_t records_in;
    char first_unscored[512]; /* "" */
};

/* Splits "llama2:SAFE,HELPFUL". False when it is not of that form. */
static bool parse_combined(struct sampling *s)
{
    char *comma;
    s->names = strdup(opts.by + strlen(COMBINED));
    if (!s->names)
        return false;
    comma = strchr(s->names, ',');
    if (!comma || comma == s->names || comma[1] == '\0' || strchr(comma + 1, ','))
        return false;
    *comma = '\0';
    s->select.by = NULL;
    s->select.safe = s->names;
    s->select.helpful = comma + 1;
    return true;
}

static int settle_options(struct sampling *s)
{
    struct l2_cli *cli = s->cli;
    struct l2_select_opts *o = &s->select;
    if (opts.has_best + opts.has_worst + opts.pairs > 1)
        return l2_cli_usage(cli, "--best, --worst and --pairs exclude each other");
    if (opts.margin && !opts.pairs)
        return l2_cli_usage(cli, "--margin wants --pairs");
    if (opts.by[0] == '\0' || (opts.as && opts.as[0] == '\0'))
        return l2_cli_usage(cli, "want the name of a score, got an empty string");
    *o = (struct l2_select_opts){.by = opts.by,
                                 .safety_tag = opts.safety_tag,
                                 .has_min_score = opts.has_min_score,
                                 .min_score = opts.min_score,
                                 .keep_margin = opts.margin,
                                 .as = opts.as};
    o->kind = opts.pairs ? L2_SELECT_PAIRS : opts.has_worst ? L2_SELECT_WORST : L2_SELECT_BEST;
    o->n = opts.has_worst       ? (size_t)opts.worst
           : opts.has_best      ? (size_t)opts.best
           : opts.has_min_score ? SIZE_MAX
                                : 1;
    if (strncmp(opts.by, COMBINED, strlen(COMBINED)) == 0 && !parse_combined(s))
        return l2_cli_usage(cli, "--by: want llama2:SAFE,HELPFUL, got '%s'", opts.by);
    if (opts.safety_tag && o->by)
        return l2_cli_usage(cli, "--safety-tag wants --by llama2:SAFE,HELPFUL");
    return 0;
}

/* What the first record without the score has instead. */
static void describe_unscored(struct sampling *s, const struct l2_record *rec)
{
    char id[128];
    size_t size = sizeof s->first_unscored;
    l2_id_format(&rec->id, id, sizeof id);
    if (rec->n_completions == 0)
        snprintf(s->first_unscored, size, "record %s: it has no completions", id);
    else if (rec->completions[0].n_scores == 0)
        snprintf(s->first_unscored, size, "record %s: no completion has the score %s", id, opts.by);
    else
        snprintf(s->first_unscored, size,
                 "record %s: no completion has the score %s, the first one has %.64s", id, opts.by,
                 rec->completions[0].scores[0].name.s);
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
        if ((r = select_record(s, &rec, err)) != L2_OK)
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

/* Records of equal id and prompt together, when all have been read. */
static int run_pooled(struct sampling *s, struct l2_err *err)
{
    struct l2_gather *g;
    struct l2_record *rec;
    int r = l2_gather_new(&g, err);
    if (r == L2_OK)
        r = read_all(s, g, err);
    while (r == L2_OK && (r = l2_gather_next(g, &rec, err)) == L2_OK && rec)
        r = select_record(s, rec, err);
    l2_gather_free(g);
    return r;
}

static void set_count(json_t *o, const char *name, uint64_t n)
{
    json_object_set_new(o, name, json_integer((json_int_t)n));
}

static void report(struct sampling *s)
{
    static const char *const left_out[L2_N_SELECT_RESULTS] = {
        [L2_SELECT_UNSCORED] = "unscored",
        [L2_SELECT_BELOW] = "below_min_score",
        [L2_SELECT_SINGLE] = "single",
        [L2_SELECT_TIED] = "tied",
    };
    const struct l2_select_counts *c = &s->counts;
    uint64_t scored = c->completions_in - c->unscored;
    json_t *report = s->cli->report, *out = json_object();
    struct l2_err err;
    set_count(report, "records_in", s->records_in);
    set_count(report, "completions_in", c->completions_in);
    set_count(report, "completions", c->completions_out);
    set_count(report, "unscored", c->unscored);
    set_count(report, "below_min_score", c->below);
    set_count(report, "duplicates", c->duplicates);
    for (int i = 0; i < L2_N_SELECT_RESULTS; i++)
        if (left_out[i])
            set_count(out, left_out[i], c->results[i]);
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

static int run(struct l2_cli *cli)
{
    struct sampling s = {.cli = cli};
    struct l2_err err;
    bool pool = opts.pool || cli->operands.n > 1;
    int status = settle_options(&s);
    if (status != 0)
        goto out;
    if (l2_pipe_open(&s.pipe, cli, pool, NULL, &err) != L2_OK) {
        status = l2_cli_error(cli, &err);
        goto out;
    }
    if ((pool ? run_pooled(&s, &err) : run_single(&s, &err)) < 0)
        l2_pipe_fail(s.pipe, &err);
    l2_cli_progress_done(cli);
    l2_pipe_close(s.pipe);
    report(&s);
    status = cli->status;
out:
    free(s.names);
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
