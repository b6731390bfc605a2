/* Fuzz target: a task, a NUL, its documents: read, asked and graded. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "eval/grade.h"
#include "fuzz.h"

enum { MAX_DOCS = 3 };

/* The document's own context and targets as answers. */
static void grade(const struct l2_task *t, const json_t *doc, const struct l2_task_question *q)
{
    struct l2_err err;
    double *values = calloc(t->n_metrics + 1, sizeof *values);
    json_t *answers = json_array(), *taken;
    FUZZ_CHECK(values && answers);
    (void)json_array_append_new(answers, json_stringn(q->context.s, q->context.n));
    (void)json_array_extend(answers, q->target);
    for (size_t f = 0; f < t->n_filters && json_array_size(answers) > 0; f++) {
        if (l2_grade(t, f, doc, q->target, answers, NULL, NULL, &taken, values, &err) != L2_OK) {
            FUZZ_CHECK(err.text[0] != '\0');
            continue;
        }
        FUZZ_CHECK(json_array_size(taken) == json_array_size(answers));
        for (size_t m = 0; m < t->n_metrics; m++)
            FUZZ_CHECK(values[m] >= 0 && values[m] <= 1);
        json_decref(taken);
    }
    json_decref(answers);
    free(values);
}

static void ask(const struct l2_task *t, const json_t *docs)
{
    struct l2_arena arena;
    struct l2_err err;
    l2_arena_init(&arena);
    for (size_t i = 0; i < json_array_size(docs) && i < MAX_DOCS; i++) {
        struct l2_task_question q;
        if (l2_task_ask(t, docs, i, docs, 1, &arena, &q, &err) != L2_OK)
            FUZZ_CHECK(err.text[0] != '\0');
        else if (!t->choices)
            grade(t, json_array_get(docs, i), &q);
        else
            for (size_t k = 0; k < q.n; k++)
                FUZZ_CHECK(q.choices[k].text.n > 0);
        json_decref(q.target);
    }
    l2_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_task t;
    struct l2_err err;
    const uint8_t *nul = n > 0 ? memchr(data, '\0', n) : NULL;
    size_t m = nul ? (size_t)(nul - data) : n;
    json_t *docs = json_array();
    FUZZ_CHECK(docs);
    if (l2_task_read(&t, (const char *)data, m, "task", &err) != L2_OK)
        FUZZ_CHECK(err.text[0] != '\0');
    else if (nul &&
             l2_docs_read(&t.form, (const char *)nul + 1, n - m - 1, "docs", docs, &err) != L2_OK)
        FUZZ_CHECK(err.text[0] != '\0');
    else if (t.n_shots < 100)
        ask(&t, docs);
    l2_task_release(&t);
    json_decref(docs);
    return 0;
}
