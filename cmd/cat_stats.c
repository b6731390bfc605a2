/* l2-cat: --stats. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cat.h"
#include "stream/cbor.h"
#include "stream/json.h"
#include "util/ids.h"

enum { N_QUANTILES = 7, MAX_NAMES = 256 };
static const struct {
    const char *column, *key;
    double p;
} quantiles[N_QUANTILES] = {{"min", "min", 0},   {"5%", "p5", 0.05},   {"25%", "p25", 0.25},
                            {"50%", "p50", 0.5}, {"75%", "p75", 0.75}, {"95%", "p95", 0.95},
                            {"max", "max", 1}};

enum { PROMPT_LENGTHS, COMPLETION_LENGTHS, GROUP_SIZES, N_LENGTHS };
static const struct {
    const char *title, *key;
} length_names[N_LENGTHS] = {{"tokens a prompt", "prompt_tokens"},
                             {"tokens a completion", "completion_tokens"},
                             {"completions a record", "completions_per_record"}};

/* One score over all completions: Welford's sums. */
struct score_stats {
    char *name; /* owned */
    size_t name_len;
    uint64_t n;
    double mean, m2, min, max;
};

struct stats_sink {
    struct cat_sink sink;
    struct l2_cli *cli;
    bool json;
    uint64_t segments, records, completions;
    bool mixed;              /* segments have different vocabularies */
    struct l2_header header; /* the first one's, histories joined */
    struct l2_ids lengths[N_LENGTHS];
    uint64_t finish[L2_FINISH_STOP + 1];
    struct score_stats scores[MAX_NAMES];
    size_t n_scores;
    bool more_names;
};

static int stats_header(struct cat_sink *sink, const struct l2_header *h, struct l2_err *err)
{
    struct stats_sink *s = (struct stats_sink *)sink;
    const struct l2_fields *old = &s->header.history, *new = &h->history;
    if (s->segments++ == 0)
        return l2_header_copy(&s->header, h, err);
    if (l2_header_check_vocab(&s->header, h, NULL, err) != L2_OK)
        s->mixed = true;
    if (old->len >= new->len &&
        (new->len == 0 || memcmp(old->data + old->len - new->len, new->data, new->len) == 0))
        return L2_OK;
    return l2_header_join_history(&s->header, h, err);
}

static int add_score(struct stats_sink *s, const struct l2_score *score, struct l2_err *err)
{
    struct score_stats *t = s->scores, *end = s->scores + s->n_scores;
    while (t < end &&
           (t->name_len != score->name.n || memcmp(t->name, score->name.s, t->name_len) != 0))
        t++;
    if (t == end) {
        if (s->n_scores == MAX_NAMES) {
            s->more_names = true;
            return L2_OK;
        }
        *t = (struct score_stats){.name_len = score->name.n, .min = INFINITY, .max = -INFINITY};
        t->name = malloc(score->name.n + 1);
        if (!t->name)
            return l2_err_memory(err, score->name.n + 1);
        memcpy(t->name, score->name.s, score->name.n);
        t->name[score->name.n] = '\0';
        s->n_scores++;
    }
    double delta = score->value - t->mean;
    t->n++;
    t->mean += delta / (double)t->n;
    t->m2 += delta * (score->value - t->mean);
    t->min = fmin(t->min, score->value);
    t->max = fmax(t->max, score->value);
    return L2_OK;
}

static int stats_record(struct cat_sink *sink, const struct l2_record *rec, struct l2_err *err)
{
    struct stats_sink *s = (struct stats_sink *)sink;
    int r = l2_ids_append(&s->lengths[GROUP_SIZES], (uint32_t)rec->n_completions, err);
    if (r == L2_OK && rec->prompt.v)
        r = l2_ids_append(&s->lengths[PROMPT_LENGTHS], (uint32_t)rec->prompt.n, err);
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++) {
        const struct l2_completion *c = &rec->completions[i];
        if (c->tokens.v)
            r = l2_ids_append(&s->lengths[COMPLETION_LENGTHS], (uint32_t)c->tokens.n, err);
        for (size_t k = 0; k < c->n_scores && r == L2_OK; k++)
            r = add_score(s, &c->scores[k], err);
        s->finish[c->finish]++;
    }
    s->records++;
    s->completions += rec->n_completions;
    return r;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double sum_of(const struct l2_ids *a)
{
    double sum = 0;
    for (size_t i = 0; i < a->n; i++)
        sum += a->v[i];
    return sum;
}

/* The smallest value that at least p of the sorted values do not exceed. */
static uint32_t quantile(const struct l2_ids *sorted, double p)
{
    size_t rank = (size_t)ceil(p * (double)sorted->n);
    return sorted->v[rank > 0 ? rank - 1 : 0];
}

static double deviation(const struct score_stats *t)
{
    return t->n > 1 ? sqrt(t->m2 / (double)(t->n - 1)) : 0;
}

/* ---- as a table ---- */

static int table_lengths(const struct stats_sink *s, struct l2_buf *out, struct l2_err *err)
{
    int r = l2_buf_printf(out, err, "\n%-21s%8s%9s", "", "n", "mean");
    for (int q = 0; q < N_QUANTILES && r == L2_OK; q++)
        r = l2_buf_printf(out, err, "%6s", quantiles[q].column);
    for (int i = 0; i < N_LENGTHS && r == L2_OK; i++) {
        const struct l2_ids *a = &s->lengths[i];
        if (a->n == 0)
            continue;
        r = l2_buf_printf(out, err, "\n%-21s%8zu%9.2f", length_names[i].title, a->n,
                          sum_of(a) / (double)a->n);
        for (int q = 0; q < N_QUANTILES && r == L2_OK; q++)
            r = l2_buf_printf(out, err, "%6u", (unsigned)quantile(a, quantiles[q].p));
    }
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

static int table_scores(const struct stats_sink *s, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    if (s->n_scores > 0)
        r = l2_buf_printf(out, err, "\n%-21s%8s%12s%12s%12s%12s\n", "score", "n", "mean", "sd",
                          "min", "max");
    for (size_t i = 0; i < s->n_scores && r == L2_OK; i++) {
        const struct score_stats *t = &s->scores[i];
        r = l2_buf_printf(out, err, "%-21s%8llu%12.5g%12.5g%12.5g%12.5g\n", t->name,
                          (unsigned long long)t->n, t->mean, deviation(t), t->min, t->max);
    }
    if (r == L2_OK && s->more_names)
        r = l2_buf_printf(out, err, "and more names than %d\n", MAX_NAMES);
    return r;
}

static int table_counts(const struct stats_sink *s, struct l2_buf *out, struct l2_err *err)
{
    char hash[65];
    int r = l2_buf_printf(out, err, "%-22s%12llu\n", "segments", (unsigned long long)s->segments);
    l2_sha256_hex(s->header.vocab_hash, hash);
    if (r == L2_OK)
        r = s->mixed              ? l2_buf_printf(out, err, "%-22s%12s\n", "vocabulary", "several")
            : s->header.has_vocab ? l2_buf_printf(out, err, "%-22s%12u  %s\n", "vocabulary",
                                                  (unsigned)s->header.vocab_size, hash)
                                  : l2_buf_printf(out, err, "%-22s%12s\n", "vocabulary", "none");
    if (r == L2_OK)
        r = l2_buf_printf(out, err, "%-22s%12llu\n%-22s%12llu\n%-22s%12.0f\n%-22s%12.0f\n",
                          "records", (unsigned long long)s->records, "completions",
                          (unsigned long long)s->completions, "tokens of prompts",
                          sum_of(&s->lengths[PROMPT_LENGTHS]), "tokens of completions",
                          sum_of(&s->lengths[COMPLETION_LENGTHS]));
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP && r == L2_OK; i++)
        if (s->finish[i] > 0)
            r = l2_buf_printf(out, err, "finish %-15s%12llu\n", l2_finish_names[i],
                              (unsigned long long)s->finish[i]);
    return r;
}

/* ---- as JSON ---- */

static json_t *lengths_json(const struct l2_ids *a)
{
    json_t *j = json_object();
    json_object_set_new(j, "n", json_integer((json_int_t)a->n));
    if (a->n == 0)
        return j;
    json_object_set_new(j, "mean", json_real(sum_of(a) / (double)a->n));
    for (int q = 0; q < N_QUANTILES; q++)
        json_object_set_new(j, quantiles[q].key, json_integer(quantile(a, quantiles[q].p)));
    return j;
}

static json_t *scores_json(const struct stats_sink *s)
{
    json_t *j = json_object();
    for (size_t i = 0; i < s->n_scores; i++) {
        const struct score_stats *t = &s->scores[i];
        json_object_set_new(j, t->name,
                            json_pack("{s:I,s:f,s:f,s:f,s:f}", "n", (json_int_t)t->n, "mean",
                                      t->mean, "sd", deviation(t), "min", t->min, "max", t->max));
    }
    return j;
}

/* The header's line of JSON has its vocabulary and history in the form of l2-stream(5). */
static int header_json(const struct stats_sink *s, json_t *to, struct l2_err *err)
{
    struct l2_buf line = {0};
    json_t *h = NULL;
    int r = l2_header_to_json(&line, &s->header, err);
    if (r == L2_OK)
        r = l2_json_parse((char *)line.data, line.len, NULL, 1, &h, err);
    if (r == L2_OK) {
        json_object_set(to, "vocabulary",
                        s->mixed ? json_null() : json_object_get(h, "vocabulary"));
        json_object_set(to, "history", json_object_get(h, "history"));
    }
    json_decref(h);
    l2_buf_release(&line);
    return r;
}

static int stats_json(const struct stats_sink *s, struct l2_buf *out, struct l2_err *err)
{
    json_t *j = json_object(), *finish = json_object();
    json_object_set_new(j, "segments", json_integer((json_int_t)s->segments));
    json_object_set_new(j, "records", json_integer((json_int_t)s->records));
    json_object_set_new(j, "completions", json_integer((json_int_t)s->completions));
    json_object_set_new(j, "tokens",
                        json_integer((json_int_t)(sum_of(&s->lengths[PROMPT_LENGTHS]) +
                                                  sum_of(&s->lengths[COMPLETION_LENGTHS]))));
    for (int i = 0; i < N_LENGTHS; i++)
        json_object_set_new(j, length_names[i].key, lengths_json(&s->lengths[i]));
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++)
        json_object_set_new(finish, l2_finish_names[i], json_integer((json_int_t)s->finish[i]));
    json_object_set_new(j, "finish", finish);
    json_object_set_new(j, "scores", scores_json(s));
    int r = header_json(s, j, err);
    char *text = r == L2_OK ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (r == L2_OK)
        r = text ? l2_buf_printf(out, err, "%s\n", text) : l2_err_memory(err, 1);
    free(text);
    return r;
}

/* The history, a program a line. */
static int table_history(const struct stats_sink *s, struct l2_buf *out, struct l2_err *err)
{
    json_t *j = json_object(), *entry;
    size_t i, k;
    int r = header_json(s, j, err);
    json_array_foreach(json_object_get(j, "history"), i, entry)
    {
        const char *program = json_string_value(json_object_get(entry, "program"));
        const char *version = json_string_value(json_object_get(entry, "version"));
        json_t *argument;
        if (r == L2_OK)
            r = l2_buf_printf(out, err, "%s%s %s", i == 0 ? "\nhistory\n  " : "  ",
                              program ? program : "?", version ? version : "?");
        json_array_foreach(json_object_get(entry, "arguments"), k, argument)
        {
            const char *text = json_string_value(argument);
            if (r == L2_OK)
                r = l2_buf_printf(out, err, " %s", text ? text : "?");
        }
        if (r == L2_OK)
            r = l2_buf_append_byte(out, '\n', err);
    }
    json_decref(j);
    return r;
}

/* ---- */

static int stats_finish(struct cat_sink *sink, bool incomplete, struct l2_err *err)
{
    struct stats_sink *s = (struct stats_sink *)sink;
    struct l2_buf out = {0};
    const char *name;
    int fd, r;
    (void)incomplete;
    for (int i = 0; i < N_LENGTHS; i++)
        if (s->lengths[i].n > 0)
            qsort(s->lengths[i].v, s->lengths[i].n, sizeof *s->lengths[i].v, compare);
    if (s->json) {
        r = stats_json(s, &out, err);
    } else {
        r = table_counts(s, &out, err);
        if (r == L2_OK && s->records > 0)
            r = table_lengths(s, &out, err);
        if (r == L2_OK)
            r = table_scores(s, &out, err);
        if (r == L2_OK)
            r = table_history(s, &out, err);
    }
    if (r == L2_OK)
        r = l2_cli_open_output(s->cli, false, &fd, &name, err);
    if (r == L2_OK) {
        r = l2_cli_write(fd, name, out.data, out.len, err);
        int closed = l2_cli_close_output(s->cli, fd, name, r == L2_OK ? err : NULL);
        r = r == L2_OK ? closed : r;
    }
    l2_buf_release(&out);
    return r;
}

static void stats_free(struct cat_sink *sink)
{
    struct stats_sink *s = (struct stats_sink *)sink;
    for (int i = 0; i < N_LENGTHS; i++)
        l2_ids_release(&s->lengths[i]);
    for (size_t i = 0; i < s->n_scores; i++)
        free(s->scores[i].name);
    l2_header_release(&s->header);
    free(s);
}

int cat_stats_sink(struct cat_sink **out, struct l2_cli *cli, bool json, struct l2_err *err)
{
    struct stats_sink *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->sink = (struct cat_sink){
        .header = stats_header, .record = stats_record, .finish = stats_finish, .free = stats_free};
    s->cli = cli;
    s->json = json;
    l2_header_init(&s->header);
    *out = &s->sink;
    return L2_OK;
}
