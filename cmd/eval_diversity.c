/* l2-eval diversity: self-BLEU of the answers to each prompt, by temperature and kind of prompt. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include "clean/cleaner.h"
#include "eval/selfbleu.h"
#include "util/grow.h"

static struct {
    bool jsonl, skip_bad, json;
    const char *by;
    int64_t order;
    uint64_t seed;
} opts = {.by = "kind", .order = 4};

const struct l2_opt eval_diversity_options[] = {
    {.name = "by",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the kind of a prompt, such as creative or factual",
     .target = &opts.by},
    {.name = "order",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "tokens of the longest n-grams",
     .target = &opts.order,
     .min = 1,
     .max = L2_BLEU_MAX_ORDER},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "of the resampling for the intervals",
     .target = &opts.seed},
    JUDGE_IN_OPTIONS(&opts.jsonl, &opts.skip_bad, &opts.json),
    L2_OPT_TABLE_END,
};

enum { ROUNDS = 1000 };

/* Answers to one prompt at one temperature, and what they are worth. */
struct pool {
    char kind[256];
    double temperature;
    size_t answers;
    double value;
};

struct measuring {
    struct l2_cli *cli;
    struct pool *v;
    size_t n, cap;
    uint64_t alone; /* answers that have no other one of their temperature beside them */
    json_t *rows;
};

/* One answer's tokens: ids, or the words of its text. */
struct answer {
    double temperature;
    uint64_t *tokens; /* owned */
    size_t n;
};

static int read_ids(const json_t *list, struct answer *a, struct l2_err *err)
{
    const json_t *v;
    size_t i;
    a->n = json_array_size(list);
    a->tokens = calloc(a->n + 1, sizeof *a->tokens);
    if (!a->tokens)
        return l2_err_memory(err, a->n * sizeof *a->tokens);
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v))
            return l2_err_set(err, L2_FORMAT, "tokens: want a list of ids");
        a->tokens[i] = (uint64_t)json_integer_value(v);
    }
    return L2_OK;
}

static int read_answer(const json_t *row, const json_t *c, struct answer *a, struct l2_err *err)
{
    const json_t *t = json_object_get(json_object_get(c, "gen"), "temperature");
    const json_t *tokens = json_object_get(c, "tokens");
    const json_t *text = json_is_string(c) ? c : json_object_get(c, "text");
    size_t cap = 0;
    int r = L2_OK;
    a->temperature = 1;
    if (!t)
        t = judge_field(row, NULL, "temperature");
    if (t)
        r = judge_number(t, "temperature", &a->temperature, err);
    if (r != L2_OK)
        return r;
    if (json_is_array(tokens))
        return read_ids(tokens, a, err);
    if (json_is_string(text))
        return l2_contam_tokens(NULL, json_string_value(text), json_string_length(text), &a->tokens,
                                &cap, &a->n, err);
    return l2_err_set(err, L2_FORMAT, "want answers with tokens or text");
}

static int by_temperature(const void *a, const void *b)
{
    double x = ((const struct answer *)a)->temperature;
    double y = ((const struct answer *)b)->temperature;
    return (x > y) - (x < y);
}

static int add_pool(struct measuring *m, const char *kind, const struct answer *a, size_t n,
                    struct l2_err *err)
{
    struct l2_tokens_of *texts;
    double value;
    if (n < 2) {
        m->alone += n;
        return L2_OK;
    }
    texts = calloc(n, sizeof *texts);
    int r = texts ? l2_grow(&m->v, m->n, &m->cap, 1, sizeof *m->v, err)
                  : l2_err_memory(err, n * sizeof *texts);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        texts[i] = (struct l2_tokens_of){a[i].tokens, a[i].n};
    if (r == L2_OK)
        r = l2_self_bleu(texts, n, (unsigned)opts.order, &value, err);
    if (r == L2_OK) {
        struct pool *p = &m->v[m->n++];
        *p = (struct pool){.temperature = a->temperature, .answers = n, .value = value};
        snprintf(p->kind, sizeof p->kind, "%s", kind);
    }
    free(texts);
    return r;
}

static int take(void *arg, const json_t *row, struct l2_err *err)
{
    struct measuring *m = arg;
    const json_t *list = json_object_get(row, "completions");
    char kind[256];
    if (!list)
        list = json_object_get(row, "responses");
    if (!json_is_array(list))
        return l2_err_set(err, L2_FORMAT, "want completions, or a list of texts as responses");
    size_t n = json_array_size(list), end;
    struct answer *a = calloc(n + 1, sizeof *a);
    int r = a ? judge_label(judge_field(row, NULL, opts.by), opts.by, kind, err)
              : l2_err_memory(err, n * sizeof *a);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = read_answer(row, json_array_get(list, i), &a[i], err);
    if (r == L2_OK && n > 0)
        qsort(a, n, sizeof *a, by_temperature);
    for (size_t i = 0; i < n && r == L2_OK; i = end) {
        for (end = i; end < n && a[end].temperature == a[i].temperature; end++)
            ;
        r = add_pool(m, kind, &a[i], end - i, err);
    }
    for (size_t i = 0; a && i < n; i++)
        free(a[i].tokens);
    free(a);
    return r;
}

/* ---- results ---- */

static int by_kind(const void *a, const void *b)
{
    const struct pool *x = a, *y = b;
    int order = strcmp(x->kind, y->kind);
    if (order == 0)
        order = (x->temperature > y->temperature) - (x->temperature < y->temperature);
    if (order == 0)
        order = (x->value > y->value) - (x->value < y->value);
    return order;
}

static double mean_of(void *arg, const uint32_t *chosen, size_t n)
{
    const struct pool *p = arg;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += p[chosen ? chosen[i] : i].value;
    return sum / (double)n;
}

static int report(void *arg, struct l2_err *err)
{
    struct measuring *m = arg;
    size_t end;
    int r = L2_OK;
    if (m->alone > 0)
        l2_cli_note(m->cli, "%llu answers have no other one of their prompt and temperature",
                    (unsigned long long)m->alone);
    if (m->n == 0)
        return l2_err_set(err, L2_CORRUPT, "the input has no two answers to one prompt");
    qsort(m->v, m->n, sizeof *m->v, by_kind);
    for (size_t i = 0; i < m->n && r == L2_OK; i = end) {
        struct l2_interval ci;
        size_t answers = 0;
        for (end = i; end < m->n && strcmp(m->v[end].kind, m->v[i].kind) == 0 &&
                      m->v[end].temperature == m->v[i].temperature;
             end++)
            answers += m->v[end].answers;
        r = l2_bootstrap(mean_of, &m->v[i], end - i, ROUNDS, opts.seed, 0.95, &ci, err);
        if (r == L2_OK)
            r = judge_add(m->rows,
                          json_pack("{s:s,s:o,s:I,s:I,s:o,s:o,s:o}", "kind", m->v[i].kind,
                                    "temperature", judge_real(m->v[i].temperature), "prompts",
                                    (json_int_t)(end - i), "answers", (json_int_t)answers,
                                    "self_bleu", judge_real(mean_of(&m->v[i], NULL, end - i)),
                                    "low", judge_real(ci.low), "high", judge_real(ci.high)),
                          err);
    }
    return r;
}

int eval_run_diversity(struct l2_cli *cli)
{
    struct judge_in in = {.cli = cli, .jsonl = opts.jsonl, .skip_bad = opts.skip_bad};
    struct measuring m = {.cli = cli, .rows = json_array()};
    struct l2_err err;
    int r = m.rows ? L2_OK : l2_err_memory(&err, 64);
    if (r == L2_OK)
        r = judge_read_operands(&in, take, &m, &err);
    if (r == L2_OK)
        r = judge_finish(&in, report, &m, m.rows, opts.json, &err);
    free(m.v);
    json_decref(m.rows);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
