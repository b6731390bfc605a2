/* Tasks from YAML: every key is known, every value checked. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/task.h"
#include "eval/task_yaml.h"
#include "util/grow.h"
#include "util/num.h"

/* Where in the file a value is. */
struct place {
    const char *file;
    char way[200]; /* keys with points between them */
    struct l2_err *err;
};

static int wants(const struct place *p, const char *key, const char *what)
{
    return l2_err_at(p->err, L2_CORRUPT, p->file, -1, "%s%s%s: want %s", p->way, *p->way ? "." : "",
                     key, what);
}

static struct place inside(const struct place *p, const char *key, size_t i)
{
    struct place q = *p;
    snprintf(q.way, sizeof q.way, "%.80s%s%.60s[%zu]", p->way, *p->way ? "." : "", key, i);
    return q;
}

/* ---- single values: where a key is absent the target stays ---- */

static int get_text(const struct place *p, const json_t *o, const char *key, const char **out)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return L2_OK;
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return wants(p, key, "a text");
    *out = json_string_value(v);
    return L2_OK;
}

static int get_count(const struct place *p, const json_t *o, const char *key, uint32_t max,
                     uint32_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return L2_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return wants(p, key, "a whole number in its range");
    *out = (uint32_t)json_integer_value(v);
    return L2_OK;
}

static int get_real(const struct place *p, const json_t *o, const char *key, double min, double max,
                    double *out)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return L2_OK;
    if (!json_is_number(v) || !(json_number_value(v) >= min && json_number_value(v) <= max))
        return wants(p, key, "a number in its range");
    *out = json_number_value(v);
    return L2_OK;
}

static int get_flag(const struct place *p, const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_boolean(v))
        return wants(p, key, "true or false");
    if (v)
        *out = json_is_true(v);
    return L2_OK;
}

/* names is NULL-terminated. */
static int get_choice(const struct place *p, const json_t *o, const char *key,
                      const char *const *names, int *out)
{
    const char *s = NULL;
    char list[200] = "one of";
    int r = get_text(p, o, key, &s);
    if (r != L2_OK || !s)
        return r;
    for (int i = 0; names[i]; i++) {
        if (strcmp(s, names[i]) == 0) {
            *out = i;
            return L2_OK;
        }
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, " %s", names[i]);
    }
    return wants(p, key, list);
}

static int only(const struct place *p, json_t *o, const char *const *names)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return wants(p, "", "keys with values");
    json_object_foreach(o, key, v)
    {
        int i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return l2_err_at(p->err, L2_CORRUPT, p->file, -1, "%s%sunknown key '%.60s'", p->way,
                             *p->way ? ": " : "", key);
    }
    return L2_OK;
}

static int check_list(const struct place *p, const json_t *v, const char *key, bool texts)
{
    if (v && !json_is_array(v))
        return wants(p, key, "a list");
    for (size_t i = 0; texts && i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return wants(p, key, "a list of texts");
    return L2_OK;
}

static int compile(const struct place *p, const char *key, const char *pattern,
                   struct l2_pattern **out)
{
    char text[sizeof p->err->text];
    int r = l2_pattern_new(out, pattern, strlen(pattern), NULL, 0, 0, p->err);
    if (r != L2_CORRUPT)
        return r;
    memcpy(text, p->err->text, sizeof text);
    return l2_err_at(p->err, L2_CORRUPT, p->file, -1, "%s.%s: %.300s", p->way, key, text);
}

/* ---- filters ---- */

static int read_step(const struct place *p, json_t *o, struct l2_task_filter *f)
{
    static const char *const keys[] = {"function", "regex_pattern", "group_select", "fallback",
                                       NULL};
    const char *function = NULL, *pattern = "#### (\\-?[0-9\\.\\,]+)";
    int kind = -1, r = only(p, o, keys);
    if (r == L2_OK)
        r = get_text(p, o, "function", &function);
    if (r == L2_OK && function &&
        (strcmp(function, "take_first") == 0 || strcmp(function, "majority_vote") == 0))
        return L2_OK; /* the metrics say which answers they take */
    if (r == L2_OK)
        r = get_choice(p, o, "function", l2_take_names, &kind);
    if (r == L2_OK && kind < 0)
        r = wants(p, "function", "the name of one");
    if (r == L2_OK)
        r = l2_resize(&f->steps, f->n + 1, sizeof *f->steps, p->err);
    if (r != L2_OK)
        return r;
    struct l2_take_step *step = &f->steps[f->n++];
    *step = (struct l2_take_step){.kind = (enum l2_take)kind, .fallback = "[invalid]"};
    r = get_text(p, o, "fallback", &step->fallback);
    if (r == L2_OK)
        r = get_text(p, o, "regex_pattern", &pattern);
    const json_t *select = json_object_get(o, "group_select");
    if (r == L2_OK && select &&
        (!json_is_integer(select) || json_integer_value(select) < -1000 ||
         json_integer_value(select) > 1000))
        r = wants(p, "group_select", "a whole number from -1000 to 1000");
    if (r == L2_OK && select)
        step->group_select = (int)json_integer_value(select);
    if (r == L2_OK && step->kind == L2_TAKE_REGEX)
        r = compile(p, "regex_pattern", pattern, &step->pattern);
    return r;
}

static int read_filter(const struct place *p, json_t *o, struct l2_task *t)
{
    static const char *const keys[] = {"name", "filter", NULL};
    int r = only(p, o, keys);
    json_t *steps = json_object_get(o, "filter");
    if (r == L2_OK)
        r = l2_resize(&t->filters, t->n_filters + 1, sizeof *t->filters, p->err);
    if (r != L2_OK)
        return r;
    struct l2_task_filter *f = &t->filters[t->n_filters++];
    *f = (struct l2_task_filter){.name = NULL};
    r = get_text(p, o, "name", &f->name);
    if (r == L2_OK && !f->name)
        r = wants(p, "name", "a name");
    if (r == L2_OK)
        r = check_list(p, steps, "filter", false);
    for (size_t i = 0; i < json_array_size(steps) && r == L2_OK; i++) {
        struct place q = inside(p, "filter", i);
        r = read_step(&q, json_array_get(steps, i), f);
    }
    return r;
}

static int read_filters(const struct place *p, json_t *o, struct l2_task *t)
{
    json_t *list = json_object_get(o, "filter_list");
    int r = check_list(p, list, "filter_list", false);
    for (size_t i = 0; i < json_array_size(list) && r == L2_OK; i++) {
        struct place q = inside(p, "filter_list", i);
        r = read_filter(&q, json_array_get(list, i), t);
    }
    if (r == L2_OK && t->n_filters == 0) {
        r = l2_resize(&t->filters, 1, sizeof *t->filters, p->err);
        if (r == L2_OK)
            t->filters[t->n_filters++] = (struct l2_task_filter){.name = "none"};
    }
    return r;
}

/* ---- metrics ---- */

static bool has_count(const char *name, const char *prefix, uint32_t *k)
{
    uint64_t v;
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || !l2_parse_u64(name + n, &v) || v < 1 || v > 1000000)
        return false;
    *k = (uint32_t)v;
    return true;
}

static int read_match(const struct place *p, const json_t *o, struct l2_match *m)
{
    const json_t *list = json_object_get(o, "regexes_to_ignore");
    int r = get_flag(p, o, "ignore_case", &m->ignore_case);
    if (r == L2_OK)
        r = get_flag(p, o, "ignore_punctuation", &m->ignore_punctuation);
    if (r == L2_OK)
        r = get_flag(p, o, "ignore_numbers", &m->ignore_numbers);
    if (r == L2_OK)
        r = get_flag(p, o, "numeric", &m->numeric);
    if (r == L2_OK)
        r = check_list(p, list, "regexes_to_ignore", true);
    for (size_t i = 0; i < json_array_size(list) && r == L2_OK; i++) {
        r = l2_resize(&m->ignore, m->n_ignore + 1, sizeof *m->ignore, p->err);
        if (r != L2_OK)
            break;
        m->ignore[m->n_ignore++] = NULL;
        r = compile(p, "regexes_to_ignore", json_string_value(json_array_get(list, i)),
                    &m->ignore[i]);
    }
    return r;
}

static int read_answer_metric(const struct place *p, const json_t *o, const char *name,
                              struct l2_task *t)
{
    int r = l2_resize(&t->metrics, t->n_metrics + 1, sizeof *t->metrics, p->err);
    if (r != L2_OK)
        return r;
    struct l2_task_metric *m = &t->metrics[t->n_metrics++];
    *m = (struct l2_task_metric){.kind = L2_METRIC_MATCH, .k = 1};
    snprintf(m->name, sizeof m->name, "%s", name);
    if (strcmp(name, "numeric_match") == 0)
        m->match.numeric = true;
    else if (strcmp(name, "f1") == 0)
        m->kind = L2_METRIC_F1;
    else if (strcmp(name, "em") == 0)
        m->kind = L2_METRIC_EM;
    else if (has_count(name, "maj@", &m->k))
        m->kind = L2_METRIC_MAJ;
    else if (has_count(name, "pass@", &m->k))
        m->kind = L2_METRIC_PASS;
    else if (strcmp(name, "exact_match") != 0)
        return wants(p, "metric", "exact_match, numeric_match, f1, em, maj@K or pass@K");
    return read_match(p, o, &m->match);
}

static int read_metric(const struct place *p, json_t *o, struct l2_task *t)
{
    static const char *const keys[] = {"metric",
                                       "aggregation",
                                       "higher_is_better",
                                       "ignore_case",
                                       "ignore_punctuation",
                                       "ignore_numbers",
                                       "regexes_to_ignore",
                                       "numeric",
                                       NULL};
    const char *name = NULL;
    int kind = -1, r = only(p, o, keys);
    if (r == L2_OK)
        r = get_text(p, o, "metric", &name);
    if (r == L2_OK && !name)
        r = wants(p, "metric", "the name of one");
    if (r != L2_OK)
        return r;
    if (!t->choices)
        return read_answer_metric(p, o, name, t);
    r = get_choice(p, o, "metric", l2_choice_metric_names, &kind);
    if (r == L2_OK)
        t->choice_metrics |= 1u << kind;
    return r;
}

static int read_metrics(const struct place *p, json_t *o, struct l2_task *t)
{
    json_t *list = json_object_get(o, "metric_list");
    int r = check_list(p, list, "metric_list", false);
    for (size_t i = 0; i < json_array_size(list) && r == L2_OK; i++) {
        struct place q = inside(p, "metric_list", i);
        r = read_metric(&q, json_array_get(list, i), t);
    }
    if (t->choices && t->choice_metrics == 0)
        t->choice_metrics = 1u << L2_ACC | 1u << L2_ACC_NORM;
    return r;
}

/* ---- the rest ---- */

static int read_data(const struct place *p, json_t *o, struct l2_task *t)
{
    static const char *const keys[] = {"format", "records", "columns", NULL};
    json_t *data = json_object_get(o, "data");
    struct place q = *p;
    int format = L2_DOCS_JSONL;
    if (!data)
        return L2_OK;
    snprintf(q.way, sizeof q.way, "data");
    int r = only(&q, data, keys);
    if (r == L2_OK)
        r = get_choice(&q, data, "format", l2_docs_format_names, &format);
    if (r == L2_OK)
        r = get_text(&q, data, "records", &t->form.records);
    t->form.format = (enum l2_docs_format)format;
    t->form.columns = json_object_get(data, "columns");
    return r == L2_OK ? check_list(&q, t->form.columns, "columns", true) : r;
}

static int read_generation(const struct place *p, json_t *o, struct l2_task *t)
{
    static const char *const keys[] = {"until",       "max_gen_toks", "do_sample",
                                       "temperature", "top_p",        NULL};
    json_t *g = json_object_get(o, "generation_kwargs");
    struct place q = *p;
    bool sample;
    if (!g)
        return L2_OK;
    snprintf(q.way, sizeof q.way, "generation_kwargs");
    const json_t *until = json_object_get(g, "until");
    int r = only(&q, g, keys);
    if (r == L2_OK)
        r = get_count(&q, g, "max_gen_toks", 1 << 24, &t->max_new);
    if (r == L2_OK)
        r = get_flag(&q, g, "do_sample", &sample);
    if (r == L2_OK)
        r = get_real(&q, g, "temperature", 0, 1e6, &t->temperature);
    if (r == L2_OK)
        r = get_real(&q, g, "top_p", 1e-9, 1, &t->top_p);
    if (r == L2_OK)
        r = check_list(&q, until, "until", true);
    for (size_t i = 0; i < json_array_size(until) && r == L2_OK; i++) {
        const char *s = json_string_value(json_array_get(until, i));
        if (!*s)
            return wants(&q, "until", "texts that are not empty");
        r = l2_resize(&t->until, t->n_until + 1, sizeof *t->until, p->err);
        if (r == L2_OK)
            t->until[t->n_until++] = s;
    }
    return r;
}

static int read_templates(const struct place *p, json_t *o, struct l2_task *t)
{
    const struct {
        const char *key, **to;
    } texts[] = {{"task", &t->name},
                 {"description", &t->description},
                 {"doc_to_text", &t->text},
                 {"doc_to_target", &t->target},
                 {"doc_to_continuation", &t->continuation},
                 {"target_delimiter", &t->target_delimiter},
                 {"fewshot_delimiter", &t->fewshot_delimiter},
                 {"fewshot_target", &t->shot_target},
                 {"check", &t->check}};
    int r = L2_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && r == L2_OK; i++)
        r = get_text(p, o, texts[i].key, texts[i].to);
    t->choice = json_object_get(o, "doc_to_choice");
    if (r == L2_OK && t->choice && !json_is_string(t->choice))
        r = check_list(p, t->choice, "doc_to_choice", true);
    if (r == L2_OK && !t->name)
        r = wants(p, "task", "a name");
    if (r == L2_OK && !t->text)
        r = wants(p, "doc_to_text", "a template");
    if (r == L2_OK && t->choices && (!t->choice || !t->target))
        r = wants(p, t->choice ? "doc_to_target" : "doc_to_choice", "a template");
    if (r == L2_OK && !t->choices && t->choice)
        r = wants(p, "doc_to_choice", "output_type: multiple_choice");
    return r;
}

static int read_all(const struct place *p, struct l2_task *t)
{
    static const char *const keys[] = {"task",
                                       "output_type",
                                       "data",
                                       "description",
                                       "doc_to_text",
                                       "doc_to_target",
                                       "doc_to_choice",
                                       "doc_to_continuation",
                                       "fewshot",
                                       "fewshot_delimiter",
                                       "target_delimiter",
                                       "fewshot_target",
                                       "num_fewshot",
                                       "generation_kwargs",
                                       "repeats",
                                       "filter_list",
                                       "metric_list",
                                       "check",
                                       "version",
                                       NULL};
    static const char *const types[] = {"generate_until", "multiple_choice", NULL};
    static const char *const orders[] = {"random", "first", NULL};
    json_t *o = t->config;
    int type = 0, order = 0, r = only(p, o, keys);
    if (r == L2_OK)
        r = get_choice(p, o, "output_type", types, &type);
    if (r == L2_OK)
        r = get_choice(p, o, "fewshot", orders, &order);
    t->choices = type == 1;
    t->first_shots = order == 1;
    if (r == L2_OK)
        r = read_templates(p, o, t);
    if (r == L2_OK)
        r = get_count(p, o, "num_fewshot", 10000, &t->n_shots);
    if (r == L2_OK)
        r = get_count(p, o, "repeats", 1 << 20, &t->repeats);
    if (r == L2_OK && t->repeats == 0)
        r = wants(p, "repeats", "one at least");
    if (r == L2_OK)
        r = read_data(p, o, t);
    if (r == L2_OK)
        r = read_generation(p, o, t);
    if (r == L2_OK)
        r = read_filters(p, o, t);
    return r == L2_OK ? read_metrics(p, o, t) : r;
}

int l2_task_read(struct l2_task *t, const char *text, size_t n, const char *file,
                 struct l2_err *err)
{
    struct place p = {.file = file, .err = err};
    *t = (struct l2_task){.description = "",
                          .continuation = "{{choice}}",
                          .target_delimiter = " ",
                          .fewshot_delimiter = "\n\n",
                          .max_new = 256,
                          .top_p = 1,
                          .repeats = 1};
    int r = l2_task_yaml(text, n, file, &t->config, err);
    return r == L2_OK ? read_all(&p, t) : r;
}

void l2_task_release(struct l2_task *t)
{
    for (size_t i = 0; i < t->n_filters; i++) {
        for (size_t k = 0; k < t->filters[i].n; k++)
            l2_pattern_free(t->filters[i].steps[k].pattern);
        free(t->filters[i].steps);
    }
    for (size_t i = 0; i < t->n_metrics; i++) {
        for (size_t k = 0; k < t->metrics[i].match.n_ignore; k++)
            l2_pattern_free(t->metrics[i].match.ignore[k]);
        free(t->metrics[i].match.ignore);
    }
    free(t->filters);
    free(t->metrics);
    free(t->until);
    json_decref(t->config);
    *t = (struct l2_task){0};
}
