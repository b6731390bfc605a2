/* l2-eval contam: how much of a test set stands in training text, and what that does to scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "clean/cleaner.h"
#include "common/report.h"
#include "data/rowtext.h"
#include "text/vocab.h"
#include "util/grow.h"

static struct {
    bool jsonl, skip_bad, json;
    struct l2_strings test, fields;
    const char *metric, *vocab;
    int64_t span, skip;
} opts = {.metric = "acc", .span = 10, .skip = 4};

const struct l2_opt eval_contam_options[] = {
    {.name = "test",
     .letter = 't',
     .kind = L2_OPT_LIST,
     .arg = "FILE",
     .help = "a test set with scores, in JSONL; may be repeated",
     .target = &opts.test,
     .is_path = true},
    {.name = "field",
     .kind = L2_OPT_LIST,
     .arg = "FIELD",
     .help = "what of a sample is looked for; may be repeated",
     .default_text = "doc, or all texts",
     .target = &opts.fields},
    {.name = "metric",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "a sample's score",
     .target = &opts.metric},
    {.name = "span",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "tokens of the shortest span that counts",
     .target = &opts.span,
     .min = 2,
     .max = L2_ROLLING_MAX},
    {.name = "skip",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "tokens of a span that may differ",
     .target = &opts.skip,
     .min = 0,
     .max = 1000},
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "the vocabulary, whose tokens are compared, not words",
     .target = &opts.vocab,
     .is_path = true},
    JUDGE_IN_OPTIONS(&opts.jsonl, &opts.skip_bad, &opts.json),
    L2_OPT_TABLE_END,
};

enum { DEPTH = 8 };

struct measuring {
    struct l2_contam *contam;
    struct l2_vocab *vocab;     /* or NULL */
    struct l2_encoder *encoder; /* or NULL */
    double *score;              /* of every sample of every set; NAN: none */
    size_t n, cap;
    struct l2_buf text;
    uint64_t *tokens;
    size_t tokens_cap;
    json_t *rows;
};

static int sample_text(struct measuring *m, const json_t *row, struct l2_err *err)
{
    const json_t *doc = json_object_get(row, "doc");
    m->text.len = 0;
    if (opts.fields.n == 0)
        return l2_row_text(doc ? doc : row, DEPTH, &m->text, err);
    for (size_t i = 0; i < opts.fields.n; i++) {
        const json_t *v = judge_field(row, doc, opts.fields.v[i]);
        if (!v)
            return l2_err_set(err, L2_FORMAT, "want %.64s", opts.fields.v[i]);
        int r = l2_row_text(v, DEPTH, &m->text, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

static int tokens_of(struct measuring *m, const char *text, size_t n, size_t *n_tokens,
                     struct l2_err *err)
{
    return l2_contam_tokens(m->encoder, text, n, &m->tokens, &m->tokens_cap, n_tokens, err);
}

static int take_sample(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    const json_t *v = judge_field(row, NULL, opts.metric);
    double score = NAN;
    size_t n = 0;
    int r = sample_text(m, row, err);
    if (r == L2_OK && json_is_boolean(v))
        score = json_is_true(v);
    else if (r == L2_OK && v)
        r = judge_number(v, opts.metric, &score, err);
    if (r == L2_OK)
        r = tokens_of(m, (const char *)m->text.data, m->text.len, &n, err);
    if (r == L2_OK)
        r = l2_grow(&m->score, m->n, &m->cap, 1, sizeof *m->score, err);
    if (r == L2_OK)
        r = l2_contam_add_sample(m->contam, m->tokens, n, err);
    if (r == L2_OK)
        m->score[m->n++] = score;
    return r;
}

/* ---- the training text ---- */

static int check(struct measuring *m, size_t n, struct l2_err *err)
{
    double share;
    size_t set;
    uint64_t sample;
    return l2_contam_check(m->contam, m->tokens, n, &share, &set, &sample, err);
}

static int take_training_row(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    size_t n = 0;
    m->text.len = 0;
    int r = l2_row_text(row, DEPTH, &m->text, err);
    if (r == L2_OK)
        r = tokens_of(m, (const char *)m->text.data, m->text.len, &n, err);
    return r == L2_OK ? check(m, n, err) : r;
}

/* Token ids mean something in their own vocabulary only. */
static int take_completion(struct measuring *m, const struct l2_record *rec,
                           const struct l2_completion *c, struct l2_err *err)
{
    size_t n = 0, at = 0;
    if (!c->tokens.v) {
        int r = tokens_of(m, c->text.s ? c->text.s : "", c->text.n, &n, err);
        return r == L2_OK ? check(m, n, err) : r;
    }
    if (!m->encoder)
        return l2_err_set(err, L2_ARGUMENT, "want -z FILE, the vocabulary of a stream of tokens");
    n = rec->prompt.n + c->tokens.n;
    if (n > m->tokens_cap) {
        int r = l2_resize(&m->tokens, n, sizeof *m->tokens, err);
        if (r != L2_OK)
            return r;
        m->tokens_cap = n;
    }
    for (size_t i = 0; i < rec->prompt.n; i++)
        m->tokens[at++] = rec->prompt.v[i];
    for (size_t i = 0; i < c->tokens.n; i++)
        m->tokens[at++] = c->tokens.v[i];
    return check(m, n, err);
}

static int take_training_record(void *arg, const struct l2_record *rec, struct l2_err *err)
{
    for (size_t i = 0; i < rec->n_completions; i++) {
        int r = take_completion(arg, rec, &rec->completions[i], err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

static int read_training(struct measuring *m, struct judge_in *in, const char *path,
                         struct l2_err *err)
{
    const char *name;
    int fd;
    if (judge_is_jsonl(in, path))
        return judge_read(in, path, take_training_row, m, err);
    int r = l2_cli_open_input(in->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = l2_cli_refuse_terminal(fd, err);
    if (r == L2_OK)
        r = judge_read_records(in, fd, name, take_training_record, m, err);
    l2_cli_close_input(fd);
    return r;
}

/* ---- results ---- */

enum { CLEAN, NOT_CLEAN, NOT_DIRTY, DIRTY, N_SUBSETS };
static const char *const subset_names[N_SUBSETS] = {"clean", "not clean", "not dirty", "dirty"};

struct subset {
    uint64_t samples;
    double contaminated; /* sum of shares */
    double score;        /* sum */
};

static void add(struct subset s[N_SUBSETS], uint64_t found, uint64_t n, double score)
{
    bool in[N_SUBSETS] = {n == 0 || found * 5 < n, n > 0 && found * 5 >= n,
                          n == 0 || found * 5 < n * 4, n > 0 && found * 5 >= n * 4};
    for (int i = 0; i < N_SUBSETS; i++)
        if (in[i]) {
            s[i].samples++;
            s[i].contaminated += n > 0 ? (double)found / (double)n : 0;
            s[i].score += score;
        }
}

static json_t *subset_row(const char *set, const char *name, const struct subset *s, double z)
{
    double n = (double)s->samples;
    return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o}", "set", set, "subset", name, "samples",
                     (json_int_t)s->samples, "contaminated", judge_real(s->contaminated / n),
                     "score", judge_real(s->score / n), "z", judge_real(z));
}

/* One set's subsets; score holds its samples', those without one are only counted in "all". */
static int put_set(struct measuring *m, size_t set, const double *score, struct l2_err *err)
{
    struct l2_contam_set info;
    struct subset s[N_SUBSETS] = {{0}}, all = {0};
    double squares = 0;
    bool significant = true;
    l2_contam_set(m->contam, set, &info);
    for (uint64_t i = 0; i < info.samples; i++) {
        uint64_t n, found;
        l2_contam_sample(m->contam, set, i, &n, &found);
        all.samples++;
        all.contaminated += n > 0 ? (double)found / (double)n : 0;
        all.score += score[i];
        add(s, found, n, score[i]);
    }
    double mean = all.score / (double)all.samples;
    for (uint64_t i = 0; i < info.samples; i++)
        squares += (score[i] - mean) * (score[i] - mean);
    int r = judge_add(m->rows, subset_row(info.name, "all", &all, NAN), err);
    for (int i = 0; i < N_SUBSETS && r == L2_OK; i++) {
        double z = l2_subset_z(s[i].score / (double)s[i].samples, s[i].samples, mean,
                               sqrt(squares / (double)all.samples), all.samples);
        significant = significant && fabs(z) > 2;
        r = judge_add(m->rows, subset_row(info.name, subset_names[i], &s[i], z), err);
    }
    if (r == L2_OK)
        r = judge_add(m->rows,
                      json_pack("{s:s,s:I,s:I,s:o}", "set", info.name, "touched",
                                (json_int_t)info.touched, "short", (json_int_t)info.short_samples,
                                "affected",
                                isfinite(mean) ? json_boolean(significant) : json_null()),
                      err);
    return r;
}

static int report(void *arg, struct l2_err *err)
{
    struct measuring *m = arg;
    size_t at = 0;
    for (size_t i = 0; i < l2_contam_n_sets(m->contam); i++) {
        struct l2_contam_set info;
        l2_contam_set(m->contam, i, &info);
        int r = info.samples > 0 ? put_set(m, i, m->score + at, err) : L2_OK;
        if (r != L2_OK)
            return r;
        at += (size_t)info.samples;
    }
    return L2_OK;
}

static int open_tests(struct measuring *m, struct judge_in *in, struct l2_err *err)
{
    struct l2_contam_settings s = {(uint32_t)opts.span, (uint32_t)opts.skip};
    struct judge_in tests = *in;
    tests.jsonl = true;
    m->rows = json_array();
    int r = m->rows ? L2_OK : l2_err_memory(err, 64);
    if (r == L2_OK && opts.vocab)
        r = l2_vocab_open(&m->vocab, opts.vocab, err);
    if (r == L2_OK && m->vocab)
        r = l2_encoder_new(&m->encoder, m->vocab, err);
    if (r == L2_OK)
        r = l2_contam_new(&m->contam, &s, err);
    for (size_t i = 0; i < opts.test.n && r == L2_OK; i++) {
        r = l2_contam_add_set(m->contam, opts.test.v[i], err);
        if (r == L2_OK)
            r = judge_read(&tests, opts.test.v[i], take_sample, m, err);
    }
    in->bad = tests.bad;
    in->rows = tests.bad;
    if (r == L2_OK && m->n == 0)
        r = l2_err_set(err, L2_CORRUPT, "the test sets are empty: nothing to measure");
    return r == L2_OK ? l2_contam_index(m->contam, err) : r;
}

static void release(struct measuring *m)
{
    l2_contam_free(m->contam);
    l2_encoder_free(m->encoder);
    l2_vocab_free(m->vocab);
    l2_buf_release(&m->text);
    free(m->score);
    free(m->tokens);
    json_decref(m->rows);
}

int eval_run_contam(struct l2_cli *cli)
{
    struct judge_in in = {.cli = cli, .jsonl = opts.jsonl, .skip_bad = opts.skip_bad};
    struct measuring m = {0};
    struct l2_err err;
    if (opts.test.n == 0)
        return l2_cli_usage(cli, "want --test FILE, the test set");
    int r = open_tests(&m, &in, &err);
    in.vocab = m.vocab;
    if (r == L2_OK && cli->operands.n == 0)
        r = read_training(&m, &in, "-", &err);
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = read_training(&m, &in, cli->operands.v[i], &err);
    if (r == L2_OK)
        r = judge_finish(&in, report, &m, m.rows, opts.json, &err);
    release(&m);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
