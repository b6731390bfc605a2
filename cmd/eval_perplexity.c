/* l2-eval perplexity: how well a model predicts texts of any length. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "eval/ask.h"
#include "eval/windows.h"
#include "sample/score.h"
#include "util/sha256.h"
#include "util/str.h"

#define LN2 0.69314718055994530942

static struct {
    int64_t window, context;
    const char *field, *name, *samples;
    bool jsonl, json, resume;
} opts = {.context = 1, .field = "text", .name = "perplexity"};

const struct l2_opt eval_perplexity_options[] = {
    {.name = "window",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "predict each token from N before it at most",
     .default_text = "the model's context less one",
     .target = &opts.window,
     .min = 0,
     .max = INT32_MAX},
    {.name = "context",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "and from N at least, where there are such; 1: windows that do not overlap",
     .target = &opts.context,
     .min = 1,
     .max = INT32_MAX},
    {.name = "jsonl",
     .kind = L2_OPT_FLAG,
     .help = "files are JSONL, also those whose names do not end so",
     .target = &opts.jsonl},
    {.name = "field",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the field of a row that has its text",
     .target = &opts.field},
    {.name = "name",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "name of the task in the results",
     .target = &opts.name},
    EVAL_OUT_OPTIONS(&opts.samples, "write a row for each text there, as JSONL", &opts.resume,
                     &opts.json),
    L2_OPT_TABLE_END,
};

/* What is known of a text. */
struct text {
    double *windows; /* (n_windows) log-probabilities; owned */
    size_t n_windows, n_left, n_tokens;
    char fingerprint[65];
};

struct texts {
    json_t *list;      /* of texts; owned */
    struct text *text; /* one for each; owned */
    json_t *rows;      /* sample rows in order, null where there is none yet; owned */
    struct eval_samples samples;
    uint64_t words, bytes, tokens;
    double logprob;
    size_t n_resumed;
};

static int add_text(struct texts *t, const char *s, size_t n, const char *name, struct l2_err *err)
{
    json_t *text = json_stringn(s, n);
    if (!text)
        return l2_err_at(err, L2_CORRUPT, name, -1, "not UTF-8");
    return json_array_append_new(t->list, text) == 0 ? L2_OK : l2_err_memory(err, n);
}

static int read_jsonl(struct l2_cli *cli, struct texts *t, const char *path, struct l2_err *err)
{
    json_t *rows = json_array();
    int r = rows ? eval_read_rows(cli, path, rows, err) : l2_err_memory(err, 64);
    for (size_t i = 0; i < json_array_size(rows) && r == L2_OK; i++) {
        json_t *text = json_object_get(json_array_get(rows, i), opts.field);
        if (!json_is_string(text))
            r = l2_err_at(err, L2_FORMAT, path, -1, "row %zu: want a text as %s", i + 1,
                          opts.field);
        else if (json_array_append(t->list, text) != 0)
            r = l2_err_memory(err, 64);
    }
    json_decref(rows);
    return r;
}

static int read_operand(struct l2_cli *cli, struct texts *t, const char *path, struct l2_err *err)
{
    struct l2_buf text = {0};
    const char *name;
    if (opts.jsonl || l2_ends_in(path, ".jsonl"))
        return read_jsonl(cli, t, path, err);
    int r = eval_read_file(cli, path, &text, &name, err);
    if (r == L2_OK)
        r = add_text(t, text.len > 0 ? (const char *)text.data : "", text.len, name, err);
    l2_buf_release(&text);
    return r;
}

/* Pieces between runs of white space, as Python's re.split(r"\s+", text) counts them. */
static uint64_t count_words(const char *s, size_t n)
{
    uint64_t words = 1;
    for (size_t i = 0; i < n;) {
        size_t space = l2_ask_leading(s + i, n - i);
        words += space > 0;
        i += space > 0 ? space : 1;
    }
    return words;
}

/* One window: what is given before what is predicted. ids are the text's, behind its prefix. */
static int ask_window(struct eval_asks *asks, size_t item, size_t number, const struct l2_ids *ids,
                      const struct l2_window *w, struct l2_err *err)
{
    struct l2_ids prompt = {0}, answer = {0};
    struct eval_ask *ask;
    int r = l2_ids_append_n(&prompt, ids->v + w->from, w->first - w->from, err);
    if (r == L2_OK)
        r = l2_ids_append_n(&answer, ids->v + w->first, w->end - w->first, err);
    if (r == L2_OK)
        r = eval_asks_add(asks, item, &prompt, &ask, err);
    if (r == L2_OK)
        r = eval_ask_answer(ask, number, &answer, err);
    l2_ids_release(&prompt);
    l2_ids_release(&answer);
    return r;
}

/* What a text's log-probabilities depend on: model, kernels, settings, ids, windows. */
static void fingerprint(struct text *text, const struct l2_cli *cli, const struct l2_loaded *loaded,
                        const struct l2_ids *ids, size_t window)
{
    const struct l2_model_settings *m = &cli->model;
    struct l2_sha256 h;
    uint8_t digest[L2_SHA256_SIZE];
    char how[512];
    int n = snprintf(how, sizeof how, "%s %s %d %d %d %d %zu %lld", cli->model_id, loaded->kernels,
                     m->backend, m->quantize, m->activations, m->kv_type, window,
                     (long long)opts.context);
    l2_sha256_init(&h);
    l2_sha256_update(&h, how, (size_t)n < sizeof how ? (size_t)n : sizeof how - 1);
    l2_sha256_u32s(&h, ids->v, ids->n);
    l2_sha256_final(&h, digest);
    l2_sha256_hex(digest, text->fingerprint);
}

/* The sample row of a text whose windows are all known. */
static int take_text(struct texts *t, size_t item, bool add, struct l2_err *err)
{
    const struct text *text = &t->text[item];
    json_t *resps = json_array();
    double sum = 0;
    for (size_t i = 0; i < text->n_windows; i++) {
        sum += text->windows[i];
        json_array_append_new(resps, json_real(text->windows[i]));
    }
    json_t *row = json_pack("{s:I,s:s,s:o,s:f,s:I}", "doc_id", (json_int_t)item, "fingerprint",
                            text->fingerprint, "resps", resps, "logprob", sum, "tokens",
                            (json_int_t)text->n_tokens);
    if (!row || json_array_size(resps) != text->n_windows) {
        json_decref(row);
        return l2_err_memory(err, 64);
    }
    int r = add ? eval_samples_add(&t->samples, row, err) : L2_OK;
    if (json_array_set_new(t->rows, item, row) != 0 && r == L2_OK)
        r = l2_err_memory(err, 64);
    return r;
}

/* What an earlier run has of the text, where it has as many windows; else false. */
static bool find_text(struct texts *t, size_t item)
{
    struct text *text = &t->text[item];
    const json_t *resps = eval_samples_find(&t->samples, text->fingerprint);
    bool good = resps && json_array_size(resps) == text->n_windows;
    for (size_t i = 0; i < text->n_windows && good; i++) {
        const json_t *v = json_array_get(resps, i);
        good = json_is_number(v);
        text->windows[i] = json_number_value(v);
    }
    return good;
}

static int ask_text(struct eval_asks *asks, struct l2_cli *cli, struct l2_loaded *loaded,
                    struct l2_encoder *e, struct texts *t, size_t item, size_t window,
                    struct l2_err *err)
{
    const json_t *v = json_array_get(t->list, item);
    struct l2_str s = {json_string_value(v), json_string_length(v)}, none = {"", 0};
    struct text *text = &t->text[item];
    struct l2_window w = {0};
    struct l2_ids ids = {0};
    int r = l2_ask_prompt(e, &none, true, &ids, err);
    if (r == L2_OK)
        r = l2_encode(e, s.s, s.n, 0, &ids, err);
    size_t n = ids.n > 0 ? ids.n - 1 : 0;
    while (r == L2_OK && l2_window_next(n, window, (size_t)opts.context, &w))
        text->n_windows++;
    text->windows = calloc(text->n_windows + 1, sizeof *text->windows);
    text->n_tokens = n;
    if (r == L2_OK && !text->windows)
        r = l2_err_memory(err, text->n_windows * sizeof *text->windows);
    if (r == L2_OK)
        fingerprint(text, cli, loaded, &ids, window);
    if (r == L2_OK && find_text(t, item)) {
        t->n_resumed++;
        r = take_text(t, item, false, err);
    } else if (r == L2_OK && text->n_windows == 0) {
        r = take_text(t, item, true, err);
    } else {
        w = (struct l2_window){0};
        while (r == L2_OK && l2_window_next(n, window, (size_t)opts.context, &w))
            r = ask_window(asks, item, text->n_left++, &ids, &w, err);
    }
    l2_ids_release(&ids);
    t->tokens += n;
    t->bytes += s.n;
    t->words += count_words(s.s, s.n);
    return r;
}

static int take_window(void *arg, const struct eval_ask *ask, const struct l2_record *rec,
                       struct l2_err *err)
{
    struct texts *t = arg;
    struct text *text = &t->text[ask->item];
    const double *logprob = l2_completion_score(&rec->completions[0], "logprob");
    if (!logprob)
        return l2_err_set(err, L2_CORRUPT, "text %zu: a logit is not finite", ask->item + 1);
    text->windows[ask->which[0]] = *logprob;
    return --text->n_left > 0 ? L2_OK : take_text(t, ask->item, true, err);
}

static int ask_all(struct eval_asks *asks, struct l2_cli *cli, struct l2_loaded *loaded,
                   struct texts *t, struct l2_err *err)
{
    struct l2_encoder *e = NULL;
    uint32_t context = loaded->model->hp.context;
    size_t n = json_array_size(t->list),
           window = opts.window > 0 ? (size_t)opts.window : context - 1;
    if (window >= context || (size_t)opts.context > window)
        return l2_err_set(err, L2_ARGUMENT,
                          "want --context <= --window < the model's context of %u, got %lld and "
                          "%zu",
                          (unsigned)context, (long long)opts.context, window);
    t->text = calloc(n + 1, sizeof *t->text);
    if (!t->text)
        return l2_err_memory(err, n * sizeof *t->text);
    int r = l2_encoder_new(&e, loaded->vocab, err);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        if (json_array_append_new(t->rows, json_null()) != 0)
            r = l2_err_memory(err, 64);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = ask_text(asks, cli, loaded, e, t, i, window, err);
    if (r == L2_OK && t->tokens == 0)
        r = l2_err_set(err, L2_CORRUPT, "the input is empty: nothing to measure");
    l2_encoder_free(e);
    return r;
}

static int run_texts(struct l2_cli *cli, struct l2_loaded *loaded, struct texts *t,
                     struct l2_err *err)
{
    struct eval_asks asks = {0};
    struct l2_worker *w = NULL;
    struct l2_score_opts so = {.kind = L2_SCORE_LOGPROB, .name = "logprob"};
    int r = ask_all(&asks, cli, loaded, t, err);
    if (r == L2_OK)
        r = l2_scorer_new(&w, loaded->engine, &so, err);
    if (r == L2_OK)
        r = eval_asks_run(&asks, cli, w, take_window, t, err);
    /* in the order of the texts: the sum does not depend on what was finished first */
    for (size_t i = 0; r == L2_OK && i < json_array_size(t->rows); i++)
        t->logprob += json_number_value(json_object_get(json_array_get(t->rows, i), "logprob"));
    if (w)
        w->ops->free(w);
    eval_asks_release(&asks);
    return r;
}

static int report(struct l2_cli *cli, const struct texts *t, struct l2_err *err)
{
    size_t n = json_array_size(t->list);
    double bits = -t->logprob / LN2;
    const struct {
        const char *name;
        double value;
    } metrics[] = {{"perplexity", exp(-t->logprob / (double)t->tokens)},
                   {"word_perplexity", exp(-t->logprob / (double)t->words)},
                   {"byte_perplexity", exp(-t->logprob / (double)t->bytes)},
                   {"bits_per_byte", bits / (double)t->bytes},
                   {"bits_per_word", bits / (double)t->words}};
    struct eval_results res;
    int r = eval_results_init(&res, cli, err);
    if (r == L2_OK)
        r = eval_results_task(&res, opts.name, 0, n, n, err);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics && r == L2_OK; i++) {
        struct l2_mean mean = {.value = metrics[i].value, .error = NAN, .n = n};
        r = eval_results_metric(&res, opts.name, metrics[i].name, "none", &mean, false, err);
    }
    l2_report_count(cli->report, "texts", n);
    l2_report_count(cli->report, "tokens", t->tokens);
    l2_report_count(cli->report, "words", t->words);
    l2_report_count(cli->report, "bytes", t->bytes);
    if (opts.resume)
        l2_report_count(cli->report, "resumed", t->n_resumed);
    if (r == L2_OK)
        r = eval_results_write(&res, opts.json, err);
    eval_results_release(&res);
    return r;
}

static int read_all(struct l2_cli *cli, struct texts *t, struct l2_err *err)
{
    int r = L2_OK;
    if (cli->operands.n == 0) {
        r = l2_cli_refuse_terminal(0, err);
        return r == L2_OK ? read_operand(cli, t, "-", err) : r;
    }
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = read_operand(cli, t, cli->operands.v[i], err);
    return r;
}

static void release(struct texts *t)
{
    for (size_t i = 0; t->text && i < json_array_size(t->list); i++)
        free(t->text[i].windows);
    free(t->text);
    json_decref(t->list);
    json_decref(t->rows);
}

int eval_run_perplexity(struct l2_cli *cli)
{
    struct texts t = {.samples = {.fd = -1}};
    struct l2_loaded loaded = {0};
    struct l2_err err, close_err;
    if (opts.resume && !opts.samples)
        return l2_cli_usage(cli, "--resume wants --samples");
    t.list = json_array();
    t.rows = json_array();
    int r = t.list && t.rows ? read_all(cli, &t, &err) : l2_err_memory(&err, 64);
    if (r == L2_OK)
        r = l2_load(&loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, &err);
    if (r == L2_OK && !loaded.vocab)
        r = l2_err_set(&err, L2_ARGUMENT,
                       "the model has no vocabulary of its own: give it with -z");
    if (r == L2_OK)
        r = eval_samples_open(&t.samples, cli, opts.samples, opts.resume, &err);
    if (r == L2_OK)
        r = run_texts(cli, &loaded, &t, &err);
    int closed = eval_samples_close(&t.samples, t.rows, r == L2_OK && cli->status == 0,
                                    r == L2_OK ? &err : &close_err);
    if (r == L2_OK)
        r = closed;
    if (r == L2_OK)
        r = report(cli, &t, &err);
    l2_unload(&loaded);
    release(&t);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}
