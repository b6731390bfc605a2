/* l2-eval: results as lm-evaluation-harness's object, and as a table. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/buf.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The object under key, made where it is not there yet. Borrowed; NULL: out of memory. */
static json_t *object_in(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!v && json_object_set_new(o, key, json_object()) == 0)
        v = json_object_get(o, key);
    return v;
}

static int set(json_t *o, const char *key, json_t *v, struct l2_err *err)
{
    return o && json_object_set_new(o, key, v) == 0 ? L2_OK : l2_err_memory(err, 64);
}

int eval_results_init(struct eval_results *res, struct l2_cli *cli, struct l2_err *err)
{
    static const char *const parts[] = {"results", "configs",          "versions",
                                        "n-shot",  "higher_is_better", "n-samples"};
    *res = (struct eval_results){.cli = cli, .json = json_object(), .start = now()};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!res->json || !object_in(res->json, parts[i]))
            return l2_err_memory(err, 64);
    return L2_OK;
}

void eval_results_release(struct eval_results *res)
{
    json_decref(res->json);
    res->json = NULL;
}

int eval_results_task(struct eval_results *res, const char *task, size_t n_shot, size_t original,
                      size_t effective, struct l2_err *err)
{
    json_t *samples = object_in(object_in(res->json, "n-samples"), task);
    json_t *result = object_in(object_in(res->json, "results"), task);
    int r = set(result, "alias", json_string(task), err);
    if (r == L2_OK)
        r = set(result, "sample_len", json_integer((json_int_t)effective), err);
    if (r == L2_OK)
        r = set(samples, "original", json_integer((json_int_t)original), err);
    if (r == L2_OK)
        r = set(samples, "effective", json_integer((json_int_t)effective), err);
    if (r == L2_OK)
        r = set(object_in(res->json, "n-shot"), task, json_integer((json_int_t)n_shot), err);
    return r;
}

int eval_results_config(struct eval_results *res, const struct l2_task *task, struct l2_err *err)
{
    const json_t *version = json_object_get(task->config, "version");
    int r = set(object_in(res->json, "configs"), task->name, json_copy(task->config), err);
    if (r == L2_OK && version)
        r = set(object_in(res->json, "versions"), task->name, json_deep_copy(version), err);
    return r;
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_string("N/A");
}

int eval_results_metric(struct eval_results *res, const char *task, const char *metric,
                        const char *filter, const struct l2_mean *mean, bool higher_is_better,
                        struct l2_err *err)
{
    struct l2_buf key = {0};
    json_t *result = object_in(object_in(res->json, "results"), task);
    json_t *higher = object_in(object_in(res->json, "higher_is_better"), task);
    int r = l2_buf_printf(&key, err, "%s,%s%c", metric, filter, '\0');
    if (r == L2_OK)
        r = set(result, (const char *)key.data, number(mean->value), err);
    key.len = 0;
    if (r == L2_OK)
        r = l2_buf_printf(&key, err, "%s_stderr,%s%c", metric, filter, '\0');
    if (r == L2_OK)
        r = set(result, (const char *)key.data, number(mean->error), err);
    if (r == L2_OK)
        r = set(higher, metric, json_boolean(higher_is_better), err);
    l2_buf_release(&key);
    return r;
}

/* ---- the table ---- */

static int put_cell(struct l2_buf *out, const json_t *v, struct l2_err *err)
{
    if (json_is_number(v))
        return l2_buf_printf(out, err, " %8.4f", json_number_value(v));
    return l2_buf_printf(out, err, " %8s", "N/A");
}

static int put_row(struct l2_buf *out, const struct eval_results *res, const char *task,
                   const char *key, const json_t *result, struct l2_err *err)
{
    const char *comma = strchr(key, ',');
    int n = (int)(comma - key);
    struct l2_buf error = {0};
    const json_t *shots = json_object_get(json_object_get(res->json, "n-shot"), task);
    int r = l2_buf_printf(&error, err, "%.*s_stderr%s%c", n, key, comma, '\0');
    if (r == L2_OK)
        r = l2_buf_printf(out, err, "%-24s %6lld %-16s %-16.*s", task,
                          (long long)json_integer_value(shots), comma + 1, n, key);
    if (r == L2_OK)
        r = put_cell(out, json_object_get(result, key), err);
    if (r == L2_OK)
        r = put_cell(out, json_object_get(result, (const char *)error.data), err);
    if (r == L2_OK)
        r = l2_buf_append_byte(out, '\n', err);
    l2_buf_release(&error);
    return r;
}

static int make_table(const struct eval_results *res, struct l2_buf *out, struct l2_err *err)
{
    const char *task, *key;
    json_t *result, *value;
    int r = l2_buf_printf(out, err, "%-24s %6s %-16s %-16s %8s %8s\n", "task", "n-shot", "filter",
                          "metric", "value", "stderr");
    json_object_foreach(json_object_get(res->json, "results"), task, result)
    {
        json_object_foreach(result, key, value)
        {
            if (r == L2_OK && strchr(key, ',') && !strstr(key, "_stderr,"))
                r = put_row(out, res, task, key, result, err);
        }
    }
    return r;
}

static int put_setting(json_t *config, const char *key, const char *value, struct l2_err *err)
{
    return set(config, key, value ? json_string(value) : json_null(), err);
}

/* What is known at the end only. */
static int finish(struct eval_results *res, struct l2_err *err)
{
    char date[40];
    time_t t = time(NULL);
    struct tm tm;
    json_t *config = object_in(res->json, "config");
    snprintf(date, sizeof date, "%lld", (long long)t);
    if (gmtime_r(&t, &tm))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int r = put_setting(config, "model", "l2", err);
    if (r == L2_OK)
        r = put_setting(config, "model_args", res->cli->model.model, err);
    if (r == L2_OK)
        r = put_setting(config, "model_fingerprint", res->cli->model_id, err);
    if (r == L2_OK)
        r = set(config, "batch_size", json_integer(res->cli->model.batch), err);
    if (r == L2_OK)
        r = put_setting(res->json, "model_source", "l2", err);
    if (r == L2_OK)
        r = put_setting(res->json, "model_name", res->cli->model.model, err);
    if (r == L2_OK)
        r = put_setting(res->json, "date", date, err);
    if (r == L2_OK)
        r = set(res->json, "total_evaluation_time_seconds", json_real(now() - res->start), err);
    return r;
}

int eval_results_write(struct eval_results *res, bool as_json, struct l2_err *err)
{
    struct l2_buf out = {0};
    char *text = NULL;
    int r = finish(res, err);
    if (r == L2_OK && as_json) {
        text = json_dumps(res->json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        r = text ? l2_buf_printf(&out, err, "%s\n", text) : l2_err_memory(err, 64);
    } else if (r == L2_OK) {
        r = make_table(res, &out, err);
    }
    if (r == L2_OK)
        r = l2_cli_write_output(res->cli, false, out.data, out.len, err);
    free(text);
    l2_buf_release(&out);
    return r;
}
