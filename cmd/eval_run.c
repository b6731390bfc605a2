/* l2-eval: runs a task: documents, questions, the engine, grades, sample rows, results. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/report.h"
#include "eval/grade.h"
#include "util/grow.h"

struct item {
    struct l2_task_question q;
    char fingerprint[65];
    json_t *rows; /* sample rows, one a filter; NULL: no result yet; owned */
};

struct running {
    struct l2_cli *cli;
    struct l2_task *task;
    const struct eval_run *how;
    struct l2_loaded loaded;
    struct l2_arena arena; /* of questions */
    json_t *docs, *shots;
    struct item *items;
    size_t n, n_docs; /* items; documents before --limit */
    size_t n_done, n_resumed;
    size_t n_filters, n_metrics;
    double *values; /* (n_filters, n_metrics, n); NAN: no result */
    struct eval_samples samples;
    struct eval_results results;
};

static const char *metric_name(const struct running *run, size_t m)
{
    return run->task->choices ? l2_choice_metric_names[m] : run->task->metrics[m].name;
}

static const char *filter_name(const struct running *run, size_t f)
{
    return run->task->choices ? "none" : run->task->filters[f].name;
}

static bool is_wanted(const struct running *run, size_t m)
{
    return !run->task->choices || (run->task->choice_metrics & 1u << m);
}

/* ---- questions ---- */

static void hex_of(const char *s, size_t n, char out[65])
{
    struct l2_sha256 h;
    uint8_t digest[L2_SHA256_SIZE];
    l2_sha256_init(&h);
    l2_sha256_update(&h, s, n);
    l2_sha256_final(&h, digest);
    l2_sha256_hex(digest, out);
}

/* What an item's answers depend on: model, kernels, settings, what is asked, how it is answered. */
static void fingerprint(const struct running *run, struct item *it, size_t number)
{
    const struct l2_task *t = run->task;
    struct l2_sha256 h;
    uint8_t digest[L2_SHA256_SIZE];
    char how[256];
    l2_sha256_init(&h);
    l2_sha256_text(&h, run->cli->model_id, strlen(run->cli->model_id));
    l2_sha256_text(&h, run->loaded.kernels, strlen(run->loaded.kernels));
    snprintf(how, sizeof how, "%d %d %d %d %d %d %.17g %.17g %u %u %llu %llu",
             run->cli->model.backend, run->cli->model.quantize, run->cli->model.activations,
             run->cli->model.kv_type, run->cli->model.overlong, run->how->no_bos,
             t->choices ? 0 : t->temperature, t->choices ? 0 : t->top_p,
             t->choices ? 0 : t->repeats, t->choices ? 0 : t->max_new,
             t->choices ? 0 : (unsigned long long)run->how->seed,
             t->choices ? 0 : (unsigned long long)number);
    l2_sha256_text(&h, how, strlen(how));
    l2_sha256_text(&h, it->q.context.s ? it->q.context.s : "", it->q.context.n);
    for (size_t i = 0; i < t->n_until && !t->choices; i++)
        l2_sha256_text(&h, t->until[i], strlen(t->until[i]));
    for (size_t i = 0; i < it->q.n; i++) {
        const struct l2_choice *c = &it->q.choices[i];
        l2_sha256_text(&h, c->context.s, c->context.n);
        l2_sha256_text(&h, c->continuation.s, c->continuation.n);
    }
    l2_sha256_final(&h, digest);
    l2_sha256_hex(digest, it->fingerprint);
}

static int of_document(size_t number, int r, struct l2_err *err)
{
    char text[sizeof err->text];
    if (r != L2_CORRUPT)
        return r;
    memcpy(text, err->text, sizeof text);
    return l2_err_set(err, L2_CORRUPT, "document %zu: %.450s", number + 1, text);
}

static int ask_all(struct running *run, struct l2_err *err)
{
    size_t limit = (size_t)run->how->limit;
    const json_t *shots = run->shots ? run->shots : run->docs;
    run->n_docs = json_array_size(run->docs);
    if (run->n_docs == 0)
        return l2_err_set(err, L2_CORRUPT, "the input is empty: nothing to measure");
    run->n = limit > 0 && limit < run->n_docs ? limit : run->n_docs;
    run->items = calloc(run->n, sizeof *run->items);
    if (!run->items)
        return l2_err_memory(err, run->n * sizeof *run->items);
    for (size_t i = 0; i < run->n; i++) {
        int r = l2_task_ask(run->task, run->docs, i, shots, run->how->seed, &run->arena,
                            &run->items[i].q, err);
        if (r != L2_OK)
            return of_document(i, r, err);
    }
    return L2_OK;
}

static int read_documents(struct running *run, struct l2_err *err)
{
    const struct l2_strings *in = &run->cli->operands;
    const struct eval_run *how = run->how;
    run->docs = json_array();
    int r = run->docs ? eval_read_docs(run->cli, &run->task->form, in->v, in->n, how->labels,
                                       run->docs, err)
                      : l2_err_memory(err, 64);
    if (r == L2_OK && how->shots_from) {
        run->shots = json_array();
        r = run->shots ? eval_read_docs(run->cli, &run->task->form, &how->shots_from, 1,
                                        how->shots_labels, run->shots, err)
                       : l2_err_memory(err, 64);
    }
    return r;
}

/* ---- results ---- */

static int set_hash(json_t *row, const char *key, const char *s, size_t n)
{
    char hex[65];
    hex_of(s, n, hex);
    return json_object_set_new(row, key, json_string(hex));
}

/* {"gen_args_0": {"arg_0": context, "arg_1": continuation}, ...} */
static json_t *arguments_of(const struct running *run, const struct item *it)
{
    json_t *all = json_object();
    const struct l2_task *t = run->task;
    int rc = all ? 0 : -1;
    for (size_t i = 0; i < (t->choices ? it->q.n : 1) && rc == 0; i++) {
        char key[32];
        const struct l2_choice *c = t->choices ? &it->q.choices[i] : NULL;
        const struct l2_str *context = c ? &c->context : &it->q.context;
        json_t *second = c ? json_stringn(c->continuation.s, c->continuation.n) : json_object();
        json_t *until = c ? NULL : json_array();
        for (size_t k = 0; k < t->n_until && until; k++)
            (void)json_array_append_new(until, json_string(t->until[k]));
        if (until && second)
            (void)json_object_update_new(second,
                                         json_pack("{s:o,s:i,s:f}", "until", until, "max_gen_toks",
                                                   (int)t->max_new, "temperature", t->temperature));
        snprintf(key, sizeof key, "gen_args_%zu", i);
        rc = json_object_set_new(
            all, key, json_pack("{s:s%,s:o}", "arg_0", context->s, context->n, "arg_1", second));
    }
    if (rc == 0)
        return all;
    json_decref(all);
    return NULL;
}

/* resps as lm-evaluation-harness nests them: a list of requests, each with its repetitions. */
static json_t *nest(const struct running *run, const json_t *resps)
{
    json_t *out = json_array();
    if (!out || !run->task->choices) {
        if (out && json_array_append(out, (json_t *)(uintptr_t)resps) == 0)
            return out;
        json_decref(out);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(resps); i++)
        if (json_array_append_new(out, json_pack("[O]", json_array_get(resps, i))) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

/* The inverse; NULL: not such. */
static json_t *unnest(const struct running *run, const json_t *nested)
{
    if (!run->task->choices)
        return json_incref(json_array_get(nested, 0));
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(nested) && out; i++)
        (void)json_array_append(out, json_array_get(json_array_get(nested, i), 0));
    return out;
}

static json_t *make_row(const struct running *run, size_t number, size_t f, const json_t *resps,
                        json_t *taken, const double *values)
{
    const struct item *it = &run->items[number];
    json_t *doc = json_array_get(run->docs, number), *names = json_array();
    const struct l2_str *context = it->q.n > 0 ? &it->q.choices[0].context : &it->q.context;
    char *doc_text = json_dumps(doc, JSON_INDENT(2)),
         *target = json_dumps(it->q.target, JSON_ENCODE_ANY);
    json_t *row =
        json_pack("{s:I,s:O,s:O?,s:o,s:o,s:O,s:s}", "doc_id", (json_int_t)number, "doc", doc,
                  "target", it->q.target, "arguments", arguments_of(run, it), "resps",
                  nest(run, resps), "filtered_resps", taken, "filter", filter_name(run, f));
    int rc = row && names && doc_text && target ? 0 : -1;
    for (size_t m = 0; m < run->n_metrics && rc == 0; m++)
        if (is_wanted(run, m))
            rc = json_array_append_new(names, json_string(metric_name(run, m)));
    if (rc == 0)
        rc = json_object_set(row, "metrics", names);
    if (rc == 0)
        rc = set_hash(row, "doc_hash", doc_text, strlen(doc_text));
    if (rc == 0)
        rc = set_hash(row, "prompt_hash", context->s, context->n);
    if (rc == 0)
        rc = set_hash(row, "target_hash", target, strlen(target));
    if (rc == 0)
        rc = json_object_set_new(row, "fingerprint", json_string(it->fingerprint));
    for (size_t m = 0; m < run->n_metrics && rc == 0; m++)
        if (is_wanted(run, m))
            rc = json_object_set_new(row, metric_name(run, m), json_real(values[m]));
    free(doc_text);
    free(target);
    json_decref(names);
    if (rc == 0)
        return row;
    json_decref(row);
    return NULL;
}

static int check_answer(void *arg, const char *text, size_t n, bool *right, struct l2_err *err)
{
    const struct eval_run *how = arg;
    return eval_check(how->check, how->check_limit, text, n, right, err);
}

/* Metrics of item by filter f, and the list of what the filter took. */
static int grade(struct running *run, size_t number, size_t f, const json_t *resps, json_t **taken,
                 double *values, struct l2_err *err)
{
    const struct item *it = &run->items[number];
    if (run->task->choices) {
        *taken = json_incref((json_t *)(uintptr_t)resps);
        l2_choice_metrics(it->q.choices, it->q.n, values);
        return L2_OK;
    }
    return l2_grade(run->task, f, json_array_get(run->docs, number), it->q.target, resps,
                    run->how->check ? check_answer : NULL, (void *)(uintptr_t)run->how, taken,
                    values, err);
}

static int answered(void *arg, size_t number, const json_t *resps, struct l2_err *err)
{
    struct running *run = arg;
    struct item *it = &run->items[number];
    double *values = malloc((run->n_metrics + 1) * sizeof *values);
    int r = values ? L2_OK : l2_err_memory(err, run->n_metrics * sizeof *values);
    it->rows = json_array();
    for (size_t f = 0; f < run->n_filters && r == L2_OK; f++) {
        json_t *taken = NULL, *row = NULL;
        r = grade(run, number, f, resps, &taken, values, err);
        if (r == L2_OK) {
            row = make_row(run, number, f, resps, taken, values);
            r = row && json_array_append(it->rows, row) == 0 ? L2_OK : l2_err_memory(err, 64);
        }
        if (r == L2_OK)
            r = eval_samples_add(&run->samples, row, err);
        for (size_t m = 0; m < run->n_metrics && r == L2_OK; m++)
            run->values[(f * run->n_metrics + m) * run->n + number] = values[m];
        json_decref(taken);
        json_decref(row);
    }
    run->n_done += r == L2_OK;
    free(values);
    return r;
}

static int take_choice(struct l2_choice *c, const json_t *pair)
{
    const json_t *logprob = json_array_get(pair, 0), *greedy = json_array_get(pair, 1);
    if (!json_is_number(logprob) || !json_is_boolean(greedy))
        return -1;
    c->logprob = json_number_value(logprob);
    c->greedy = json_is_true(greedy);
    return 0;
}

/* What an earlier run has for an item; *known: it was taken. A row that does not hold what its
 * fingerprint promises is not believed. */
static int take_kept(struct running *run, size_t number, bool *known, struct l2_err *err)
{
    struct item *it = &run->items[number];
    const json_t *nested = eval_samples_find(&run->samples, it->fingerprint);
    json_t *resps = nested ? unnest(run, nested) : NULL;
    size_t want = run->task->choices ? it->q.n : run->task->repeats;
    int rc = resps && json_array_size(resps) == want ? 0 : -1;
    for (size_t i = 0; i < want && rc == 0; i++) {
        const json_t *v = json_array_get(resps, i);
        rc = run->task->choices ? take_choice(&it->q.choices[i], v) : json_is_string(v) ? 0 : -1;
    }
    *known = rc == 0;
    /* its rows are in the file, and are not written again */
    int fd = run->samples.fd;
    run->samples.fd = -1;
    int r = *known ? answered(run, number, resps, err) : L2_OK;
    run->samples.fd = fd;
    run->n_resumed += *known;
    json_decref(resps);
    return r;
}

/* ---- the model ---- */

static int run_choices(struct running *run, const bool *known, struct l2_err *err)
{
    struct eval_question *q = calloc(run->n, sizeof *q);
    if (!q)
        return l2_err_memory(err, run->n * sizeof *q);
    for (size_t i = 0; i < run->n; i++)
        q[i] = (struct eval_question){
            .choice = run->items[i].q.choices, .n = run->items[i].q.n, .skip = known[i]};
    int r = eval_score_choices(run->cli, &run->loaded, !run->how->no_bos, q, run->n, answered, run,
                               err);
    free(q);
    return r;
}

static int run_answers(struct running *run, const bool *known, struct l2_err *err)
{
    const struct l2_task *t = run->task;
    struct l2_generate_opts go = {.n_completions = t->repeats,
                                  .max_new_tokens = t->max_new,
                                  .sampler = l2_sampler_neutral(),
                                  .seed = run->how->seed};
    go.sampler.temperature = t->temperature;
    go.sampler.top_p = t->top_p;
    struct eval_prompt *p = calloc(run->n, sizeof *p);
    if (!p)
        return l2_err_memory(err, run->n * sizeof *p);
    for (size_t i = 0; i < run->n; i++)
        p[i] = (struct eval_prompt){run->items[i].q.context, known[i]};
    int r = eval_generate(run->cli, &run->loaded, !run->how->no_bos, &go, t->until, t->n_until, p,
                          run->n, answered, run, err);
    free(p);
    return r;
}

static int run_model(struct running *run, struct l2_err *err)
{
    bool *known = NULL;
    size_t n_values = run->n_filters * run->n_metrics * run->n;
    int r = l2_resize(&known, run->n, sizeof *known, err);
    if (r == L2_OK)
        r = l2_resize(&run->values, n_values + 1, sizeof *run->values, err);
    for (size_t i = 0; i < n_values && r == L2_OK; i++)
        run->values[i] = NAN;
    for (size_t i = 0; i < run->n && r == L2_OK; i++) {
        fingerprint(run, &run->items[i], i);
        r = take_kept(run, i, &known[i], err);
    }
    if (r == L2_OK && run->n_done < run->n)
        r = run->task->choices ? run_choices(run, known, err) : run_answers(run, known, err);
    free(known);
    return r;
}

static int report_metric(struct running *run, size_t f, size_t m, struct l2_err *err)
{
    const double *all = run->values + (f * run->n_metrics + m) * run->n;
    double *v = malloc(run->n * sizeof *v);
    size_t n = 0;
    if (!v)
        return l2_err_memory(err, run->n * sizeof *v);
    for (size_t i = 0; i < run->n; i++)
        if (!isnan(all[i]))
            v[n++] = all[i];
    struct l2_mean mean = l2_mean_of(v, n);
    free(v);
    return eval_results_metric(&run->results, run->task->name, metric_name(run, m),
                               filter_name(run, f), &mean, !(run->task->choices && m == L2_BRIER),
                               err);
}

static int report(struct running *run, struct l2_err *err)
{
    int r = eval_results_task(&run->results, run->task->name, run->task->n_shots, run->n_docs,
                              run->n_done, err);
    if (r == L2_OK)
        r = eval_results_config(&run->results, run->task, err);
    for (size_t f = 0; f < run->n_filters; f++)
        for (size_t m = 0; m < run->n_metrics && r == L2_OK; m++)
            if (is_wanted(run, m))
                r = report_metric(run, f, m, err);
    l2_report_count(run->cli->report, "samples", run->n_done);
    if (run->how->resume)
        l2_report_count(run->cli->report, "resumed", run->n_resumed);
    return r == L2_OK ? eval_results_write(&run->results, run->how->json, err) : r;
}

/* All rows in the order of their documents. */
static int close_samples(struct running *run, int r, struct l2_err *err)
{
    json_t *rows = json_array();
    struct l2_err later;
    int rc = rows ? 0 : -1;
    for (size_t i = 0; i < run->n && rc == 0 && run->items; i++)
        if (run->items[i].rows)
            rc = json_array_extend(rows, run->items[i].rows);
    int q = rc == 0 ? eval_samples_close(&run->samples, rows, r == L2_OK, r == L2_OK ? err : &later)
                    : l2_err_memory(err, 64);
    json_decref(rows);
    return r == L2_OK ? q : r;
}

static int check_settings(const struct running *run, struct l2_err *err)
{
    const struct l2_task *t = run->task;
    if (run->how->check && t->choices)
        return l2_err_set(err, L2_ARGUMENT, "--check wants a task whose answers are generated");
    for (size_t m = 0; m < t->n_metrics; m++)
        if (t->metrics[m].k > t->repeats)
            return l2_err_set(err, L2_ARGUMENT, "%s wants %u answers to a question: -k %u",
                              t->metrics[m].name, (unsigned)t->metrics[m].k,
                              (unsigned)t->metrics[m].k);
    for (size_t m = 0; m < t->n_metrics; m++)
        if (t->metrics[m].kind == L2_METRIC_PASS && t->check && !run->how->check)
            return l2_err_set(err, L2_ARGUMENT, "%s of this task wants --check COMMAND",
                              t->metrics[m].name);
    return L2_OK;
}

int eval_run(struct l2_cli *cli, struct l2_task *task, const struct eval_run *how,
             struct l2_err *err)
{
    struct running run = {.cli = cli, .task = task, .how = how, .samples = {.fd = -1}};
    run.n_filters = task->choices ? 1 : task->n_filters;
    run.n_metrics = task->choices ? L2_N_CHOICE_METRICS : task->n_metrics;
    l2_arena_init(&run.arena);
    int r = check_settings(&run, err);
    if (r == L2_OK)
        r = read_documents(&run, err);
    if (r == L2_OK)
        r = ask_all(&run, err);
    if (r == L2_OK)
        r = l2_load(&run.loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, err);
    if (r == L2_OK && !run.loaded.vocab)
        r = l2_err_set(err, L2_ARGUMENT, "the model has no vocabulary of its own: give it with -z");
    if (r == L2_OK)
        r = eval_results_init(&run.results, cli, err);
    if (r == L2_OK)
        r = eval_samples_open(&run.samples, cli, how->samples, how->resume, err);
    if (r == L2_OK)
        r = run_model(&run, err);
    r = close_samples(&run, r, err);
    if (r == L2_OK)
        r = report(&run, err);
    for (size_t i = 0; i < run.n && run.items; i++) {
        json_decref(run.items[i].q.target);
        json_decref(run.items[i].rows);
    }
    eval_results_release(&run.results);
    l2_unload(&run.loaded);
    l2_arena_release(&run.arena);
    json_decref(run.docs);
    json_decref(run.shots);
    free(run.items);
    free(run.values);
    return r;
}
