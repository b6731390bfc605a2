/* l2-prefs: checks, filters, splits, mixes and measures preference pairs in JSONL or streams. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pipe.h"
#include "common/report.h"
#include "rlhf/prefs.h"
#include "stream/json.h"
#include "util/input.h"
#include "util/str.h"

enum { MARGINS_NONE, MARGINS_SMALL, MARGINS_LARGE };
enum { STATS_NONE, STATS_TEXT, STATS_JSON };
enum { PART_FIRST, PART_REST };

static const char *const margin_names[] = {"none", "small", "large", NULL};
static const char *const stats_names[] = {"none", "text", "json", NULL};
static const char *const part_names[] = {"first", "rest", NULL};

static struct {
    int margins, stats, part;
    bool skip_bad, unique, has_split, has_part, streams;
    double split;
    uint64_t seed, memory;
    const char *vocab;
    struct l2_strings weights;
} opts = {.memory = (uint64_t)64 << 20};

static const struct l2_opt options[] = {
    {.name = "margins",
     .kind = L2_OPT_CHOICE,
     .arg = "TABLE",
     .choices = margin_names,
     .help = "give rated pairs without a margin one: none, or the Llama 2 paper's small (1, 2/3, "
             "1/3, 0) or large (3, 2, 1, 0)",
     .target = &opts.margins},
    {.name = "unique",
     .kind = L2_OPT_FLAG,
     .help = "leave out pairs that were met before, in either order",
     .target = &opts.unique},
    {.name = "split",
     .kind = L2_OPT_REAL,
     .arg = "SHARE",
     .help = "write one part only: this share of the prompts, by a hash of how they open",
     .default_text = "",
     .target = &opts.split,
     .given = &opts.has_split,
     .min = 0,
     .max = 1},
    {.name = "part",
     .kind = L2_OPT_CHOICE,
     .arg = "PART",
     .choices = part_names,
     .help = "with --split: the first part, or the rest",
     .target = &opts.part,
     .given = &opts.has_part},
    {.name = "weight",
     .kind = L2_OPT_LIST,
     .arg = "X",
     .help = "how often the pairs of a file are written: 2.5 is twice, and half of them once more; "
             "one for each file, in order",
     .target = &opts.weights},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "another seed, another split, another choice by weight",
     .target = &opts.seed},
    {.name = "stats",
     .kind = L2_OPT_CHOICE,
     .arg = "FORM",
     .choices = stats_names,
     .help = "write the statistics of the pairs that are kept, as text or json, and no pairs",
     .target = &opts.stats},
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "count tokens of this vocabulary in the statistics",
     .target = &opts.vocab,
     .is_path = true},
    {.name = "memory",
     .kind = L2_OPT_BYTES,
     .arg = "SIZE",
     .help = "memory for the hashes of pairs",
     .target = &opts.memory},
    {.name = "streams",
     .kind = L2_OPT_FLAG,
     .help = "the input is streams, as it is when the names of the files end in .l2s",
     .target = &opts.streams},
    {.name = "skip-bad",
     .kind = L2_OPT_FLAG,
     .help = "leave out bad pairs and count them, instead of stopping at the first",
     .target = &opts.skip_bad},
    L2_OPT_TABLE_END,
};

struct run {
    struct l2_cli *cli;
    struct l2_prefs prefs;
    struct l2_pref_stats stats;
    double *weights;            /* of the operands */
    struct l2_vocab *vocab;     /* or NULL */
    struct l2_encoder *encoder; /* or NULL */
    struct l2_ids ids;
    struct l2_buf out;
    uint64_t rows, bad, written;
    /* JSONL */
    int fd;
    const char *out_name;
    uint64_t bytes_done, bytes_total; /* of the operands; total 0: not known */
    struct l2_pipe *pipe;             /* streams; or NULL */
};

/* The margin that a pair without one gets. */
static bool new_margin(bool has_margin, const struct l2_pref *pref, float *margin)
{
    const float *table = opts.margins == MARGINS_SMALL ? l2_margins_small : l2_margins_large;
    if (has_margin || opts.margins == MARGINS_NONE || pref->rating == L2_RATING_NONE)
        return false;
    *margin = table[pref->rating];
    return true;
}

/* Counts a pair from the operand; *copies is how often it is to be written. */
static void judge(struct run *p, const struct l2_pref *pref, const char *name, const char *place,
                  size_t operand, bool *keep, uint32_t *copies)
{
    bool contradicts;
    *keep = l2_prefs_judge(&p->prefs, pref, &contradicts);
    *copies = *keep ? l2_prefs_copies(&p->prefs, pref, p->weights[operand]) : 0;
    if (contradicts)
        l2_cli_verbose(p->cli, "%s:%s: an earlier pair chose the other answer", name, place);
}

/* ---- JSONL ---- */

static int put_row(struct run *p, const char *line, size_t n, const json_t *json,
                   const struct l2_pref *pref, uint32_t copies, struct l2_err *err)
{
    float margin;
    bool adds = new_margin(json_object_get(json, "margin") != NULL, pref, &margin);
    int r;
    p->out.len = 0;
    while (n > 0 && strchr(" \t\r", line[n - 1]))
        n--;
    r = l2_buf_append(&p->out, line, adds ? n - 1 : n, err);
    if (r == L2_OK && adds && (r = l2_buf_append_str(&p->out, ",\"margin\":", err)) == L2_OK &&
        (r = l2_json_put_f32(&p->out, margin, err)) == L2_OK)
        r = l2_buf_append_byte(&p->out, '}', err);
    if (r == L2_OK)
        r = l2_buf_append_byte(&p->out, '\n', err);
    for (; copies > 0 && r == L2_OK; copies--) {
        r = l2_cli_write(p->fd, p->out_name, p->out.data, p->out.len, err);
        p->written++;
    }
    return r;
}

static int take_row(struct run *p, const char *line, size_t n, const json_t *json,
                    const struct l2_row *row, const char *name, int64_t number, size_t operand,
                    struct l2_err *err)
{
    struct l2_pref pref;
    bool keep;
    uint32_t copies;
    char place[32];
    int r = l2_pref_of_row(&pref, row, err);
    if (r != L2_OK)
        return r;
    snprintf(place, sizeof place, "%lld", (long long)number);
    judge(p, &pref, name, place, operand, &keep, &copies);
    if (opts.stats == STATS_NONE)
        return put_row(p, line, n, json, &pref, copies, err);
    return keep ? l2_pref_stats_row(&p->stats, row, p->encoder, &p->ids, err) : L2_OK;
}

static int take_line(struct run *p, const char *line, size_t n, const char *name, int64_t number,
                     size_t operand, struct l2_err *err)
{
    struct l2_row row = {.n_completions = 0};
    json_t *json;
    int r = l2_json_parse(line, n, name, number, &json, err);
    if (r != L2_OK)
        return r;
    r = l2_row_parse(&row, json, true, err);
    if (r == L2_OK)
        r = take_row(p, line, n, json, &row, name, number, operand, err);
    l2_row_release(&row);
    json_decref(json);
    return r;
}

static void show_progress(const struct run *p, const struct l2_input *in)
{
    double done = (double)(p->bytes_done + (uint64_t)in->offset);
    l2_cli_progress_share(p->cli, p->bytes_total > 0 ? done / (double)p->bytes_total : -1, p->rows,
                          "rows");
}

static int read_operand(struct run *p, const char *path, size_t operand, struct l2_err *err)
{
    struct l2_input in;
    const char *name, *line;
    size_t n;
    bool terminated;
    int fd, r = l2_cli_open_input(p->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, name);
    for (int64_t number = 1;
         (r = l2_input_line(&in, true, L2_MAX_RECORD, &line, &n, &terminated, err)) == L2_OK;
         number++) {
        if (l2_line_is_blank(line, n))
            continue;
        p->rows++;
        r = take_line(p, line, n, name, number, operand, err);
        if (r != L2_OK)
            r = l2_cli_bad_data(p->cli, opts.skip_bad, &p->bad, r, name, number, err);
        if (r != L2_OK)
            break;
        show_progress(p, &in);
    }
    p->bytes_done += (uint64_t)in.offset;
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r == L2_END ? L2_OK : r;
}

static int read_rows(struct run *p, struct l2_err *err)
{
    const struct l2_strings *o = &p->cli->operands;
    int r = l2_cli_open_output(p->cli, false, &p->fd, &p->out_name, err);
    p->bytes_total = p->cli->progress ? l2_cli_operand_bytes(p->cli) : 0;
    if (r == L2_OK && o->n == 0 && (r = l2_cli_refuse_terminal(STDIN_FILENO, err)) == L2_OK)
        r = read_operand(p, "-", 0, err);
    for (size_t i = 0; i < o->n && r == L2_OK; i++)
        r = read_operand(p, o->v[i], i, err);
    return r;
}

/* ---- streams ---- */

static int put_record(struct run *p, struct l2_record *rec, const struct l2_pref *pref,
                      uint32_t copies, struct l2_err *err)
{
    int r = L2_OK;
    if (new_margin(rec->has_margin, pref, &rec->margin))
        rec->has_margin = true;
    for (; copies > 0 && r == L2_OK; copies--) {
        r = l2_pipe_put(p->pipe, rec, err);
        p->written++;
    }
    return r;
}

static int take_record(struct run *p, struct l2_record *rec, struct l2_err *err)
{
    const char *name = l2_pipe_input_name(p->pipe);
    struct l2_pref pref;
    bool keep;
    uint32_t copies;
    char id[64];
    int r = l2_record_fault(rec, l2_pref_of_record(&pref, rec, err), err);
    p->rows++;
    if (r != L2_OK)
        return l2_cli_bad_data(p->cli, opts.skip_bad, &p->bad, r, name, 0, err);
    l2_id_format(&rec->id, id, sizeof id);
    judge(p, &pref, name, id, l2_pipe_operand(p->pipe), &keep, &copies);
    if (opts.stats == STATS_NONE)
        return put_record(p, rec, &pref, copies, err);
    if (keep)
        l2_pref_stats_record(&p->stats, rec);
    return L2_OK;
}

static int read_streams(struct run *p, struct l2_err *err)
{
    struct l2_record rec;
    enum l2_pipe_event event;
    int r = opts.stats == STATS_NONE ? l2_pipe_open(&p->pipe, p->cli, true, NULL, err)
                                     : l2_pipe_open_input(&p->pipe, p->cli, err);
    if (r != L2_OK)
        return r;
    l2_record_init(&rec);
    while ((r = l2_pipe_next(p->pipe, true, &event, &rec, err)) == L2_OK) {
        if (event == L2_PIPE_RECORD)
            r = take_record(p, &rec, err);
        if (r != L2_OK)
            break;
        l2_cli_progress_share(p->cli, l2_pipe_share(p->pipe), p->rows, "pairs");
    }
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

/* ---- results ---- */

static double mean(uint64_t sum, uint64_t n)
{
    return n > 0 ? (double)sum / (double)n : 0;
}

static int set(json_t *o, const char *name, json_t *value, struct l2_err *err)
{
    return json_object_set_new(o, name, value) == 0 ? L2_OK : l2_err_memory(err, 64);
}

/* Columns of the paper's table 6; a prompt and a response are one turn's. */
static int make_table(const struct run *p, json_t *o, struct l2_err *err)
{
    const struct l2_pref_stats *s = &p->stats;
    bool tokens = p->encoder || p->pipe;
    int r = set(o, "comparisons", json_integer((json_int_t)s->comparisons), err);
    if (r == L2_OK)
        r = set(o, "turns_per_dialogue", json_real(mean(s->turns, s->comparisons)), err);
    if (r == L2_OK && tokens)
        r = set(o, "tokens_per_example",
                json_real(s->comparisons > 0 ? s->example_tokens / (double)s->comparisons : 0),
                err);
    if (r == L2_OK && tokens)
        r = set(o, "tokens_per_prompt", json_real(mean(s->prompt_tokens, s->prompts)), err);
    if (r == L2_OK && tokens)
        r = set(o, "tokens_per_response", json_real(mean(s->response_tokens, s->responses)), err);
    return r;
}

static int write_stats(struct run *p, struct l2_err *err)
{
    json_t *o = json_object(), *value;
    const char *key;
    char *text = NULL;
    int r = o ? make_table(p, o, err) : l2_err_memory(err, 64);
    p->out.len = 0;
    if (r == L2_OK && opts.stats == STATS_JSON) {
        text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
        r = text ? l2_buf_printf(&p->out, err, "%s\n", text) : l2_err_memory(err, 64);
    } else if (r == L2_OK) {
        json_object_foreach(o, key, value)
        {
            if (r == L2_OK)
                r = l2_buf_printf(&p->out, err, "%-20s %.*f\n", key, json_is_integer(value) ? 0 : 1,
                                  json_number_value(value));
        }
    }
    if (r == L2_OK && p->pipe) /* which has no output */
        r = l2_cli_open_output(p->cli, false, &p->fd, &p->out_name, err);
    if (r == L2_OK)
        r = l2_cli_write(p->fd, p->out_name, p->out.data, p->out.len, err);
    free(text);
    json_decref(o);
    return r;
}

static void report(const struct run *p)
{
    const struct l2_prefs *q = &p->prefs;
    json_t *o = p->cli->report, *ratings = json_object(), *bins = json_object();
    l2_report_count(o, "rows", p->rows);
    l2_report_count(o, "kept", q->kept);
    if (opts.weights.n > 0)
        l2_report_count(o, "written", p->written);
    l2_report_count(o, "skipped", p->bad);
    l2_report_count(o, "duplicates", q->duplicates);
    l2_report_count(o, "contradictions", q->contradictions);
    l2_report_count(o, "unsafe_chosen", q->unsafe);
    if (opts.has_split)
        l2_report_count(o, "other_part", q->other_part);
    for (int i = 0; i < L2_N_RATINGS; i++)
        l2_report_count(ratings, l2_rating_names[i], q->ratings[i]);
    l2_report_count(ratings, "none", q->ratings[L2_RATING_NONE]);
    for (int i = 0; i < L2_N_PREF_BINS; i++)
        l2_report_count(bins, l2_pref_bin_names[i], q->bins[i]);
    json_object_set_new(o, "ratings", ratings);
    json_object_set_new(o, "safety", bins);
    if (q->pairs.missed > 0)
        l2_cli_note(p->cli, "%llu pairs found no room in --memory: their repetitions go unnoticed",
                    (unsigned long long)q->pairs.missed);
}

static int open_all(struct run *p, struct l2_err *err)
{
    const struct l2_prefs_opts o = {.memory = opts.memory,
                                    .unique = opts.unique,
                                    .has_split = opts.has_split,
                                    .split = opts.split,
                                    .rest = opts.part == PART_REST,
                                    .seed = opts.seed};
    size_t n = p->cli->operands.n > 0 ? p->cli->operands.n : 1;
    p->weights = calloc(n, sizeof *p->weights);
    if (!p->weights)
        return l2_err_memory(err, n * sizeof *p->weights);
    int r = l2_cli_weights(&opts.weights, p->weights, n, err);
    if (r == L2_OK)
        r = l2_prefs_init(&p->prefs, &o, err);
    if (r == L2_OK && opts.vocab)
        r = l2_vocab_open(&p->vocab, opts.vocab, err);
    if (r == L2_OK && opts.vocab)
        r = l2_encoder_new(&p->encoder, p->vocab, err);
    return r;
}

/* Streams are known by their names, or by --streams. */
static int choose_form(struct l2_cli *cli, bool *streams)
{
    size_t n = 0;
    for (size_t i = 0; i < cli->operands.n; i++)
        n += l2_ends_in(cli->operands.v[i], ".l2s");
    if (!opts.streams && n > 0 && n < cli->operands.n)
        return l2_cli_usage(cli, "want streams (.l2s) or JSONL, not both");
    *streams = opts.streams || n > 0;
    if (*streams && opts.vocab)
        return l2_cli_usage(cli, "--vocab is for JSONL: streams hold tokens");
    return 0;
}

static void release(struct run *p)
{
    l2_prefs_release(&p->prefs);
    l2_ids_release(&p->ids);
    l2_buf_release(&p->out);
    l2_encoder_free(p->encoder);
    l2_vocab_free(p->vocab);
    free(p->weights);
}

static int run(struct l2_cli *cli)
{
    struct run p = {.cli = cli, .fd = -1};
    struct l2_err err;
    bool streams;
    if (opts.has_part && !opts.has_split)
        return l2_cli_usage(cli, "--part wants --split");
    if (opts.vocab && opts.stats == STATS_NONE)
        return l2_cli_usage(cli, "--vocab wants --stats");
    if (opts.weights.n > 0 && opts.stats != STATS_NONE)
        return l2_cli_usage(cli, "--stats counts every pair once: no --weight");
    if (choose_form(cli, &streams) != 0)
        return cli->status;
    int r = open_all(&p, &err);
    if (r == L2_OK)
        r = streams ? read_streams(&p, &err) : read_rows(&p, &err);
    l2_cli_progress_done(cli);
    if (r == L2_OK && opts.stats != STATS_NONE)
        r = write_stats(&p, &err);
    if (r != L2_OK && p.pipe)
        l2_pipe_fail(p.pipe, &err);
    else if (r != L2_OK)
        (void)l2_cli_error(cli, &err);
    if (p.fd >= 0 && l2_cli_close_output(cli, p.fd, p.out_name, &err) != L2_OK)
        (void)l2_cli_error(cli, &err);
    (void)l2_pipe_close(p.pipe);
    report(&p);
    release(&p);
    return cli->status;
}

int main(int argc, char **argv)
{
    static const char *const usage[] = {"[OPTION]... [FILE]...", NULL};
    static const struct l2_program program = {
        .name = "l2-prefs",
        .usage = usage,
        .summary = "Check, filter, split, mix and measure preference pairs.",
        .options = options,
        .rows = L2_ROWS_FILTER,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
