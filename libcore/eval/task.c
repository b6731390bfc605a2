/* Documents as questions: templates, choices, examples by seed. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/task.h"

#include <stdlib.h>
#include <string.h>

#include "eval/subst.h"
#include "util/grow.h"
#include "util/philox.h"

static int keep(struct l2_arena *a, const struct l2_buf *b, struct l2_str *out, struct l2_err *err)
{
    char *s = l2_arena_strdup(a, b->len > 0 ? (const char *)b->data : "", b->len, err);
    if (!s)
        return L2_MEMORY;
    *out = (struct l2_str){s, b->len};
    return L2_OK;
}

/* The choices of doc, as a list of texts; *out is owned. */
static int make_choices(const struct l2_task *t, const json_t *doc, json_t **out,
                        struct l2_err *err)
{
    json_t *list = NULL;
    int r = L2_OK;
    *out = NULL;
    if (json_is_string(t->choice)) {
        r = l2_subst_value(json_string_value(t->choice), doc, NULL, &list, err);
        if (r == L2_OK && (!json_is_array(list) || json_array_size(list) == 0))
            r = l2_err_set(err, L2_CORRUPT, "doc_to_choice: want a list that is not empty");
    } else {
        list = json_array();
        r = list ? L2_OK : l2_err_memory(err, 64);
        for (size_t i = 0; i < json_array_size(t->choice) && r == L2_OK; i++) {
            json_t *v;
            r = l2_subst_value(json_string_value(json_array_get(t->choice, i)), doc, NULL, &v, err);
            if (r == L2_OK && json_array_append_new(list, v) != 0)
                r = l2_err_memory(err, 64);
        }
    }
    for (size_t i = 0; i < json_array_size(list) && r == L2_OK; i++)
        if (json_string_length(json_array_get(list, i)) == 0)
            r = l2_err_set(err, L2_CORRUPT, "doc_to_choice: want texts that are not empty");
    if (r == L2_OK)
        *out = list;
    else
        json_decref(list);
    return r;
}

/* The number that target says among the choices: a number, true (1), false (0), or the text of a
 * choice; -1: none. */
static json_int_t place_of(const json_t *target, const json_t *choices)
{
    if (json_is_boolean(target))
        return json_is_true(target);
    if (json_is_integer(target))
        return json_integer_value(target);
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (json_equal(json_array_get(choices, i), target))
            return (json_int_t)i;
    return -1;
}

/* Marks the right ones among n choices; *first is the first that target names. */
static int find_right(const json_t *target, const json_t *choices, bool *right, size_t *first,
                      struct l2_err *err)
{
    size_t n = json_array_size(choices);
    size_t m = json_is_array(target) ? json_array_size(target) : 1;
    for (size_t i = 0; i < n && right; i++)
        right[i] = false;
    for (size_t i = 0; i < m; i++) {
        json_int_t k =
            place_of(json_is_array(target) ? json_array_get(target, i) : target, choices);
        if (k < 0 || (size_t)k >= n)
            return l2_err_set(err, L2_CORRUPT, "doc_to_target: names none of the %zu choices", n);
        if (i == 0)
            *first = (size_t)k;
        if (right)
            right[k] = true;
    }
    return m > 0 ? L2_OK : l2_err_set(err, L2_CORRUPT, "doc_to_target: an empty list");
}

/* ---- examples ---- */

/* The example's own question with the right choice, and its answer. */
static int put_choice_shot(const struct l2_task *t, const json_t *doc, struct l2_buf *out,
                           struct l2_err *err)
{
    json_t *choices = NULL, *target = NULL;
    size_t right = 0;
    int r = make_choices(t, doc, &choices, err);
    if (r == L2_OK)
        r = l2_subst_value(t->target, doc, NULL, &target, err);
    if (r == L2_OK)
        r = find_right(target, choices, NULL, &right, err);
    const json_t *choice = json_array_get(choices, right);
    if (r == L2_OK)
        r = l2_subst_text(t->text, doc, choice, out, err);
    if (r == L2_OK)
        r = l2_buf_append_str(out, t->target_delimiter, err);
    if (r == L2_OK)
        r = l2_subst_text(t->continuation, doc, choice, out, err);
    json_decref(choices);
    json_decref(target);
    return r;
}

static int put_answer_shot(const struct l2_task *t, const json_t *doc, struct l2_buf *out,
                           struct l2_err *err)
{
    const char *template = t->shot_target ? t->shot_target : t->target;
    json_t *target = NULL;
    int r = l2_subst_text(t->text, doc, NULL, out, err);
    if (r == L2_OK && !template)
        r = l2_err_set(err, L2_CORRUPT, "examples want doc_to_target");
    if (r == L2_OK)
        r = l2_buf_append_str(out, t->target_delimiter, err);
    if (r == L2_OK)
        r = l2_subst_value(template, doc, NULL, &target, err);
    if (r == L2_OK) {
        const json_t *v = json_is_array(target) ? json_array_get(target, 0) : target;
        char *s = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
        r = l2_buf_append_str(out, s ? s : json_is_string(v) ? json_string_value(v) : "", err);
        free(s);
    }
    json_decref(target);
    return r;
}

/* Which examples document self gets: the first ones, or drawn by seed and self without replacement;
 * never itself. */
static int choose_shots(const struct l2_task *t, size_t n_docs, size_t self, bool same,
                        uint64_t seed, uint32_t **out, struct l2_err *err)
{
    uint32_t *v = NULL;
    size_t n = 0;
    *out = NULL;
    int r = l2_resize(&v, n_docs + 1, sizeof *v, err);
    for (size_t i = 0; i < n_docs && r == L2_OK; i++)
        if (!same || i != self)
            v[n++] = (uint32_t)i;
    if (r == L2_OK && n < t->n_shots)
        r = l2_err_set(err, L2_ARGUMENT, "want %u examples, and there are %zu documents for them",
                       (unsigned)t->n_shots, n);
    if (r == L2_OK && !t->first_shots)
        l2_philox_shuffle(l2_philox_key_of(seed), self, v, n);
    if (r == L2_OK)
        *out = v;
    else
        free(v);
    return r;
}

static int put_shots(const struct l2_task *t, const json_t *shots, size_t self, bool same,
                     uint64_t seed, struct l2_buf *out, struct l2_err *err)
{
    uint32_t *which;
    if (t->n_shots == 0)
        return L2_OK;
    int r = choose_shots(t, json_array_size(shots), self, same, seed, &which, err);
    if (r != L2_OK)
        return r;
    for (uint32_t i = 0; i < t->n_shots && r == L2_OK; i++) {
        const json_t *doc = json_array_get(shots, which[i]);
        r = t->choices ? put_choice_shot(t, doc, out, err) : put_answer_shot(t, doc, out, err);
        if (r == L2_OK)
            r = l2_buf_append_str(out, t->fewshot_delimiter, err);
    }
    free(which);
    return r;
}

/* ---- questions ---- */

/* One choice: its question behind before, its continuation, its text. Equal contexts are kept once.
 */
static int ask_choice(const struct l2_task *t, const json_t *doc, const json_t *choice,
                      const struct l2_buf *before, const struct l2_choice *last,
                      struct l2_arena *arena, struct l2_choice *out, struct l2_err *err)
{
    struct l2_buf b = {0};
    int r = l2_buf_append(&b, before->data, before->len, err);
    if (r == L2_OK)
        r = l2_subst_text(t->text, doc, choice, &b, err);
    if (r == L2_OK && last && last->context.n == b.len &&
        (b.len == 0 || memcmp(last->context.s, b.data, b.len) == 0))
        out->context = last->context;
    else if (r == L2_OK)
        r = keep(arena, &b, &out->context, err);
    b.len = 0;
    if (r == L2_OK)
        r = l2_buf_append_str(&b, t->target_delimiter, err);
    if (r == L2_OK)
        r = l2_subst_text(t->continuation, doc, choice, &b, err);
    if (r == L2_OK)
        r = keep(arena, &b, &out->continuation, err);
    b.len = 0;
    if (r == L2_OK)
        r = l2_subst_text("{{choice}}", doc, choice, &b, err);
    if (r == L2_OK)
        r = keep(arena, &b, &out->text, err);
    l2_buf_release(&b);
    return r;
}

static int ask_choices(const struct l2_task *t, const json_t *doc, const struct l2_buf *before,
                       struct l2_arena *arena, struct l2_task_question *q, struct l2_err *err)
{
    json_t *choices = NULL;
    bool *right = NULL;
    size_t first;
    int r = make_choices(t, doc, &choices, err);
    if (r == L2_OK)
        r = l2_subst_value(t->target, doc, NULL, &q->target, err);
    q->n = json_array_size(choices);
    if (r == L2_OK)
        r = l2_resize(&right, q->n, sizeof *right, err);
    if (r == L2_OK)
        r = find_right(q->target, choices, right, &first, err);
    if (r == L2_OK) {
        q->choices = l2_arena_alloc(arena, q->n, sizeof *q->choices, err);
        r = q->choices ? L2_OK : L2_MEMORY;
    }
    for (size_t i = 0; i < q->n && r == L2_OK; i++) {
        q->choices[i] = (struct l2_choice){.right = right[i]};
        r = ask_choice(t, doc, json_array_get(choices, i), before,
                       i > 0 ? &q->choices[i - 1] : NULL, arena, &q->choices[i], err);
    }
    free(right);
    json_decref(choices);
    return r;
}

/* The references as a list of texts. */
static int make_references(const struct l2_task *t, const json_t *doc, json_t **out,
                           struct l2_err *err)
{
    json_t *target = NULL, *list = json_array();
    int r = list ? L2_OK : l2_err_memory(err, 64);
    if (r == L2_OK && t->target)
        r = l2_subst_value(t->target, doc, NULL, &target, err);
    size_t n = json_is_array(target) ? json_array_size(target) : t->target ? 1 : 0;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        json_t *v = json_is_array(target) ? json_array_get(target, i) : target;
        struct l2_buf text = {0};
        r = l2_subst_text("{{choice}}", doc, v, &text, err);
        if (r == L2_OK &&
            json_array_append_new(
                list, json_stringn(text.len > 0 ? (char *)text.data : "", text.len)) != 0)
            r = l2_err_memory(err, text.len);
        l2_buf_release(&text);
    }
    json_decref(target);
    if (r == L2_OK)
        *out = list;
    else
        json_decref(list);
    return r;
}

int l2_task_ask(const struct l2_task *t, const json_t *docs, size_t self, const json_t *shots,
                uint64_t seed, struct l2_arena *arena, struct l2_task_question *out,
                struct l2_err *err)
{
    const json_t *doc = json_array_get(docs, self);
    struct l2_buf before = {0};
    *out = (struct l2_task_question){.n = 0};
    int r = l2_subst_text(t->description, doc, NULL, &before, err);
    if (r == L2_OK)
        r = put_shots(t, shots, self, shots == docs, seed, &before, err);
    if (r == L2_OK && t->choices)
        r = ask_choices(t, doc, &before, arena, out, err);
    if (r == L2_OK && !t->choices)
        r = l2_subst_text(t->text, doc, NULL, &before, err);
    if (r == L2_OK && !t->choices)
        r = keep(arena, &before, &out->context, err);
    if (r == L2_OK && !t->choices)
        r = make_references(t, doc, &out->target, err);
    l2_buf_release(&before);
    return r;
}
