/* What the answers to one question are worth: match, F1, majority, pass@k. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/grade.h"

#include <stdlib.h>
#include <string.h>

#include "eval/subst.h"
#include "util/grow.h"

static json_t *text_of(const struct l2_buf *b)
{
    return json_stringn(b->len > 0 ? (const char *)b->data : "", b->len);
}

static int take_all(const struct l2_task_filter *filter, const json_t *answers, json_t *taken,
                    struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = L2_OK;
    for (size_t i = 0; i < json_array_size(answers) && r == L2_OK; i++) {
        const json_t *a = json_array_get(answers, i);
        text.len = 0;
        r = l2_buf_append(&text, json_string_value(a), json_string_length(a), err);
        if (r == L2_OK)
            r = l2_answer_take(filter->steps, filter->n, &text, err);
        if (r == L2_OK && json_array_append_new(taken, text_of(&text)) != 0)
            r = l2_err_memory(err, text.len);
    }
    l2_buf_release(&text);
    return r;
}

/* Whether the answer equals a reference. */
static int matches(const struct l2_match *m, const json_t *answer, const json_t *references,
                   bool *right, struct l2_err *err)
{
    int r = L2_OK;
    *right = false;
    for (size_t i = 0; i < json_array_size(references) && !*right && r == L2_OK; i++) {
        const json_t *ref = json_array_get(references, i);
        r = l2_answer_equal(m, json_string_value(answer), json_string_length(answer),
                            json_string_value(ref), json_string_length(ref), right, err);
    }
    return r;
}

/* The best of SQuAD's scores over the references. */
static int best_squad(const json_t *answer, const json_t *references, bool exact, double *out,
                      struct l2_err *err)
{
    int r = L2_OK;
    *out = 0;
    for (size_t i = 0; i < json_array_size(references) && r == L2_OK; i++) {
        const json_t *ref = json_array_get(references, i);
        double f1, em;
        r = l2_squad_score(json_string_value(answer), json_string_length(answer),
                           json_string_value(ref), json_string_length(ref), &f1, &em, err);
        double v = exact ? em : f1;
        *out = r == L2_OK && v > *out ? v : *out;
    }
    return r;
}

/* The first of the first k answers whose normal form is the most frequent one. */
static int majority(const struct l2_match *m, const json_t *taken, size_t k, size_t *out,
                    struct l2_err *err)
{
    struct l2_buf *normal = calloc(k, sizeof *normal);
    size_t most = 0;
    int r = normal ? L2_OK : l2_err_memory(err, k * sizeof *normal);
    *out = 0;
    for (size_t i = 0; i < k && r == L2_OK; i++) {
        const json_t *a = json_array_get(taken, i);
        r = l2_answer_normal(m, json_string_value(a), json_string_length(a), &normal[i], err);
    }
    for (size_t i = 0; i < k && r == L2_OK; i++) {
        size_t n = 0;
        for (size_t j = 0; j < k; j++)
            n += normal[j].len == normal[i].len &&
                 (normal[i].len == 0 || memcmp(normal[j].data, normal[i].data, normal[i].len) == 0);
        if (n > most) {
            most = n;
            *out = i;
        }
    }
    for (size_t i = 0; normal && i < k; i++)
        l2_buf_release(&normal[i]);
    free(normal);
    return r;
}

/* How many of the answers the checker takes for right. */
static int count_checked(const struct l2_task *t, const json_t *doc, const json_t *taken,
                         l2_checker *check, void *arg, size_t *right, struct l2_err *err)
{
    int r = L2_OK;
    *right = 0;
    for (size_t i = 0; i < json_array_size(taken) && r == L2_OK; i++) {
        struct l2_buf text = {0};
        bool good = false;
        r = l2_subst_text(t->check ? t->check : "{{choice}}", doc, json_array_get(taken, i), &text,
                          err);
        if (r == L2_OK)
            r = check(arg, text.len > 0 ? (const char *)text.data : "", text.len, &good, err);
        *right += good;
        l2_buf_release(&text);
    }
    return r;
}

static int count_matching(const struct l2_match *m, const json_t *taken, const json_t *references,
                          size_t *right, struct l2_err *err)
{
    int r = L2_OK;
    *right = 0;
    for (size_t i = 0; i < json_array_size(taken) && r == L2_OK; i++) {
        bool good;
        r = matches(m, json_array_get(taken, i), references, &good, err);
        *right += good;
    }
    return r;
}

struct grading {
    const struct l2_task *t;
    const json_t *doc, *references;
    json_t *taken;
    l2_checker *check;
    void *arg;
    bool checked; /* n_checked is known: one run of the command serves all pass@K */
    size_t n_checked;
};

static int grade_pass(struct grading *g, const struct l2_task_metric *m, double *out,
                      struct l2_err *err)
{
    size_t right, n = json_array_size(g->taken);
    int r = L2_OK;
    if (!g->check)
        r = count_matching(&m->match, g->taken, g->references, &right, err);
    else if (!g->checked)
        r = count_checked(g->t, g->doc, g->taken, g->check, g->arg, &g->n_checked, err);
    if (r != L2_OK)
        return r;
    g->checked = g->check != NULL;
    *out = l2_pass_at(n, g->check ? g->n_checked : right, m->k);
    return L2_OK;
}

static int grade_one(struct grading *g, const struct l2_task_metric *m, double *out,
                     struct l2_err *err)
{
    const json_t *first = json_array_get(g->taken, 0);
    bool right = false;
    size_t which = 0;
    int r = L2_OK;
    if (m->k > json_array_size(g->taken))
        return l2_err_set(err, L2_ARGUMENT, "%s wants %u answers to a question, and there are %zu",
                          m->name, (unsigned)m->k, json_array_size(g->taken));
    switch (m->kind) {
    case L2_METRIC_F1:
    case L2_METRIC_EM:
        return best_squad(first, g->references, m->kind == L2_METRIC_EM, out, err);
    case L2_METRIC_PASS:
        return grade_pass(g, m, out, err);
    case L2_METRIC_MAJ:
        r = majority(&m->match, g->taken, m->k, &which, err);
        break;
    case L2_METRIC_MATCH:
        break;
    }
    if (r == L2_OK)
        r = matches(&m->match, json_array_get(g->taken, which), g->references, &right, err);
    *out = right;
    return r;
}

int l2_grade(const struct l2_task *t, size_t f, const json_t *doc, const json_t *references,
             const json_t *answers, l2_checker *check, void *arg, json_t **taken, double *values,
             struct l2_err *err)
{
    struct grading g = {.t = t, .doc = doc, .references = references, .check = check, .arg = arg};
    *taken = g.taken = json_array();
    int r = g.taken ? take_all(&t->filters[f], answers, g.taken, err) : l2_err_memory(err, 64);
    for (size_t i = 0; i < t->n_metrics && r == L2_OK; i++)
        r = grade_one(&g, &t->metrics[i], &values[i], err);
    if (r != L2_OK) {
        json_decref(g.taken);
        *taken = NULL;
    }
    return r;
}
