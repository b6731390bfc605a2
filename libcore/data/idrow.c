/* Rows of token ids in and out. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/idrow.h"

#include <string.h>

#include "data/row.h"
#include "stream/json.h"
#include "util/ids.h"

/* ---- reading ---- */

/* The names of a pair's two sides; the second spelling is TRL's older one. */
static const char *const sides[2][2] = {{"chosen_ids", "chosen_input_ids"},
                                        {"rejected_ids", "rejected_input_ids"}};
/* Fields that say something of the ids: all others are meta. */
static const char *const taken[] = {
    "id",         "input_ids",        "labels",       "completion_mask",    "attention_mask",
    "chosen_ids", "chosen_input_ids", "rejected_ids", "rejected_input_ids", "prompt_ids",
    "margin"};

static const json_t *side_of(const json_t *row, int side, const char **name)
{
    *name = sides[side][json_object_get(row, sides[side][1]) ? 1 : 0];
    return json_object_get(row, *name);
}

bool l2_idrow_possible(const char *line, size_t n)
{
    static const char word[] = "_ids\"";
    const size_t len = sizeof word - 1;
    for (const char *at = line; (at = memchr(at, '_', n - (size_t)(at - line))); at++)
        if (n - (size_t)(at - line) >= len && memcmp(at, word, len) == 0)
            return true;
    return false;
}

bool l2_idrow_is(const json_t *row)
{
    const char *name;
    if (!json_is_object(row) || json_object_get(row, "completions"))
        return false;
    return json_object_get(row, "input_ids") || side_of(row, 0, &name);
}

/* A field that is an array of integers from least to most, of n of them (SIZE_MAX: any number). */
static int get_integers(const json_t *j, const char *name, int64_t least, int64_t most, size_t n,
                        struct l2_err *err)
{
    size_t i;
    const json_t *v;
    if (!json_is_array(j))
        return l2_err_set(err, L2_FORMAT, "%s: want an array", name);
    if (n != SIZE_MAX && json_array_size(j) != n)
        return l2_err_set(err, L2_FORMAT, "%s: want %zu numbers, as many as ids, got %zu", name, n,
                          json_array_size(j));
    json_array_foreach(j, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
            return l2_err_set(err, L2_FORMAT, "%s[%zu]: want an integer from %lld to %lld", name, i,
                              (long long)least, (long long)most);
    }
    return L2_OK;
}

/* Copies ids [begin, end) of a checked array into the record. */
static int put_ids(struct l2_record *rec, const json_t *j, size_t begin, size_t end,
                   struct l2_u32s *out, struct l2_err *err)
{
    out->n = end - begin;
    out->v = l2_arena_alloc(&rec->arena, out->n, sizeof *out->v, err);
    if (!out->v)
        return L2_MEMORY;
    for (size_t i = begin; i < end; i++)
        out->v[i - begin] = (uint32_t)json_integer_value(json_array_get(j, i));
    return L2_OK;
}

/* Whether id number i counts in the loss. */
static bool counts(const json_t *labels, const json_t *mask, size_t i)
{
    if (mask)
        return json_integer_value(json_array_get(mask, i)) != 0;
    if (labels)
        return json_integer_value(json_array_get(labels, i)) != L2_IGNORED_LABEL;
    return i > 0;
}

static int check_labels(const json_t *ids, const json_t *labels, const json_t *mask,
                        struct l2_err *err)
{
    size_t n = json_array_size(ids);
    int r = labels ? get_integers(labels, "labels", L2_IGNORED_LABEL, UINT32_MAX, n, err) : L2_OK;
    if (r == L2_OK && mask)
        r = get_integers(mask, "completion_mask", 0, 1, n, err);
    for (size_t i = 0; i < n && r == L2_OK && labels; i++) {
        int64_t label = json_integer_value(json_array_get(labels, i));
        if (label != L2_IGNORED_LABEL && label != json_integer_value(json_array_get(ids, i)))
            return l2_err_set(err, L2_FORMAT, "labels[%zu]: want -100 or the id at its place", i);
        if (mask && counts(labels, NULL, i) != counts(NULL, mask, i))
            return l2_err_set(err, L2_FORMAT, "labels[%zu]: completion_mask says otherwise", i);
    }
    return r;
}

/* The runs of ids that count, as spans of the completion; none where all of it does. */
static int put_spans(struct l2_record *rec, struct l2_completion *c, const json_t *labels,
                     const json_t *mask, size_t begin, size_t end, struct l2_err *err)
{
    struct l2_ids spans = {0};
    int r = L2_OK;
    for (size_t i = begin; i < end && r == L2_OK; i++) {
        bool now = counts(labels, mask, i), before = i > begin && counts(labels, mask, i - 1);
        if (now != before)
            r = l2_ids_append(&spans, (uint32_t)(i - begin), err);
    }
    if (r == L2_OK && spans.n % 2 == 1)
        r = l2_ids_append(&spans, (uint32_t)(end - begin), err);
    bool all = spans.n == 0 || (spans.n == 2 && spans.v[0] == 0 && spans.v[1] == end - begin);
    if (r == L2_OK && !all) {
        c->spans.v = l2_arena_alloc(&rec->arena, spans.n, sizeof *spans.v, err);
        c->spans.n = spans.n;
        if (c->spans.v)
            memcpy(c->spans.v, spans.v, spans.n * sizeof *spans.v);
        else
            r = L2_MEMORY;
    }
    l2_ids_release(&spans);
    return r;
}

static int read_text(const json_t *row, struct l2_record *rec, struct l2_err *err)
{
    const json_t *ids = json_object_get(row, "input_ids"), *labels = json_object_get(row, "labels");
    const json_t *mask = json_object_get(row, "completion_mask");
    int r = get_integers(ids, "input_ids", 0, UINT32_MAX, SIZE_MAX, err);
    if (r == L2_OK)
        r = check_labels(ids, labels, mask, err);
    if (r < 0)
        return r;
    size_t n = json_array_size(ids), prompt = 0;
    while (prompt < n && !counts(labels, mask, prompt))
        prompt++;
    r = put_ids(rec, ids, 0, prompt, &rec->prompt, err);
    if (r < 0 || prompt == n)
        return r;
    struct l2_completion *c = l2_record_add_completion(rec, err);
    if (!c)
        return L2_MEMORY;
    r = put_ids(rec, ids, prompt, n, &c->tokens, err);
    return r == L2_OK ? put_spans(rec, c, labels, mask, prompt, n, err) : r;
}

/* How many ids both sides begin with, one less than the shorter one at most. */
static size_t common(const json_t *a, const json_t *b)
{
    size_t na = json_array_size(a), nb = json_array_size(b), n = na < nb ? na : nb, i = 0;
    while (i + 1 < n && json_equal(json_array_get(a, i), json_array_get(b, i)))
        i++;
    return i;
}

static int read_pair(const json_t *row, struct l2_record *rec, struct l2_err *err)
{
    const json_t *side[2], *prompt = json_object_get(row, "prompt_ids");
    const json_t *margin = json_object_get(row, "margin");
    const char *name;
    size_t begin = 0;
    int r = L2_OK;
    for (int i = 0; i < 2 && r == L2_OK; i++) {
        side[i] = side_of(row, i, &name);
        r = get_integers(side[i], name, 0, UINT32_MAX, SIZE_MAX, err);
    }
    if (r == L2_OK && prompt)
        r = get_integers(prompt, "prompt_ids", 0, UINT32_MAX, SIZE_MAX, err);
    if (r == L2_OK && margin && !json_is_null(margin) && !json_is_number(margin))
        r = l2_err_set(err, L2_FORMAT, "margin: want a number");
    if (r == L2_OK && !prompt)
        begin = common(side[0], side[1]);
    if (r == L2_OK)
        r = prompt ? put_ids(rec, prompt, 0, json_array_size(prompt), &rec->prompt, err)
                   : put_ids(rec, side[0], 0, begin, &rec->prompt, err);
    for (int i = 0; i < 2 && r == L2_OK; i++) {
        struct l2_completion *c = l2_record_add_completion(rec, err);
        r = c ? put_ids(rec, side[i], begin, json_array_size(side[i]), &c->tokens, err) : L2_MEMORY;
    }
    if (r == L2_OK && json_is_number(margin)) {
        rec->has_margin = true;
        rec->margin = (float)json_number_value(margin);
    }
    return r;
}

static int put_id(const json_t *id, const struct l2_id *otherwise, struct l2_record *rec,
                  struct l2_err *err)
{
    if (json_is_integer(id)) {
        rec->id = (struct l2_id){.number = json_integer_value(id)};
        return L2_OK;
    }
    if (id && !json_is_string(id))
        return l2_err_set(err, L2_FORMAT, "id: want text or an integer");
    rec->id = *otherwise;
    if (!id && !otherwise->is_text)
        return L2_OK;
    rec->id.is_text = true;
    return l2_record_str(rec, id ? json_string_value(id) : otherwise->text.s,
                         id ? json_string_length(id) : otherwise->text.n, &rec->id.text, err);
}

int l2_idrow_read(const json_t *row, const struct l2_id *otherwise, struct l2_record *rec,
                  struct l2_err *err)
{
    l2_record_reset(rec);
    int r = put_id(json_object_get(row, "id"), otherwise, rec, err);
    if (r == L2_OK)
        r = json_object_get(row, "input_ids") ? read_text(row, rec, err) : read_pair(row, rec, err);
    return r == L2_OK ? l2_json_to_meta(row, taken, sizeof taken / sizeof *taken, rec, err) : r;
}

/* ---- writing ---- */

/* ,"NAME":[prompt ids, completion ids]; c may be NULL. */
static int write_ids(struct l2_buf *out, const char *name, const struct l2_record *rec,
                     const struct l2_completion *c, struct l2_err *err)
{
    const struct l2_u32s parts[2] = {rec->prompt, c ? c->tokens : (struct l2_u32s){0}};
    const char *separator = "";
    int r = l2_buf_printf(out, err, ",\"%s\":[", name);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < parts[k].n && r == L2_OK; i++) {
            r = l2_buf_printf(out, err, "%s%u", separator, (unsigned)parts[k].v[i]);
            separator = ",";
        }
    return r == L2_OK ? l2_buf_append_byte(out, ']', err) : r;
}

/* Whether id number i of a completion counts: inside of a span, where it has some. */
static bool in_spans(const struct l2_completion *c, size_t i)
{
    for (size_t k = 0; k + 1 < c->spans.n; k += 2)
        if (i >= c->spans.v[k] && i < c->spans.v[k + 1])
            return true;
    return c->spans.n == 0;
}

/* ,"labels":[...] or ,"completion_mask":[...] */
static int write_mask(struct l2_buf *out, bool labels, const struct l2_record *rec,
                      const struct l2_completion *c, struct l2_err *err)
{
    size_t all = rec->prompt.n + (c ? c->tokens.n : 0);
    int r = l2_buf_append_str(out, labels ? ",\"labels\":[" : ",\"completion_mask\":[", err);
    for (size_t i = 0; i < all && r == L2_OK; i++) {
        bool on = i >= rec->prompt.n && in_spans(c, i - rec->prompt.n);
        long long value = on ? 1 : labels ? L2_IGNORED_LABEL : 0;
        if (on && labels)
            value = c->tokens.v[i - rec->prompt.n];
        r = l2_buf_printf(out, err, "%s%lld", i > 0 ? "," : "", value);
    }
    return r == L2_OK ? l2_buf_append_byte(out, ']', err) : r;
}

/* One row; rejected is NULL but for a pair, c may be NULL. */
static int write_row(struct l2_buf *out, const struct l2_record *rec, const struct l2_completion *c,
                     const struct l2_completion *rejected, struct l2_err *err)
{
    bool first = false;
    int r = l2_buf_append_str(out, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(out, &rec->id, err);
    if (r == L2_OK)
        r = write_ids(out, rejected ? "chosen_ids" : "input_ids", rec, c, err);
    if (r == L2_OK && rejected)
        r = write_ids(out, "rejected_ids", rec, rejected, err);
    if (r == L2_OK && c && !rejected)
        r = write_mask(out, true, rec, c, err);
    if (r == L2_OK && !rejected)
        r = write_mask(out, false, rec, c, err);
    if (r == L2_OK && rejected && rec->has_margin) {
        r = l2_buf_append_str(out, ",\"margin\":", err);
        if (r == L2_OK)
            r = l2_json_put_f32(out, rec->margin, err);
    }
    if (r == L2_OK && rec->has_meta)
        r = l2_json_put_fields(out, &rec->meta, &first, err);
    return r == L2_OK ? l2_buf_append_str(out, "}\n", err) : r;
}

/* Two completions are a pair, unless the record came as something else: two samples of a prompt. */
static bool is_pair(const struct l2_record *rec)
{
    enum l2_form form;
    enum l2_style style;
    bool known = rec->shape.s && l2_shape_parse(rec->shape.s, rec->shape.n, &form, &style);
    return rec->n_completions == 2 &&
           (!known || form == L2_FORM_PAIR || form == L2_FORM_PROMPT_PAIR);
}

int l2_idrow_write(const struct l2_record *rec, struct l2_buf *out, struct l2_err *err)
{
    char id[64];
    int r = L2_OK;
    bool texts = !rec->prompt.v;
    for (size_t i = 0; i < rec->n_completions; i++)
        texts = texts || !rec->completions[i].tokens.v;
    if (texts) {
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(err, L2_ARGUMENT, "record %s: has texts, no token ids", id);
    }
    if (is_pair(rec))
        return write_row(out, rec, &rec->completions[0], &rec->completions[1], err);
    if (rec->n_completions == 0)
        return write_row(out, rec, NULL, NULL, err);
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++)
        r = write_row(out, rec, &rec->completions[i], NULL, err);
    return r;
}
