/* Constraints for Ghost Attention, from YAML. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "rlhf/constraints.h"
#include "util/grow.h"
#include "util/yamldoc.h"

/* Of all constraints together; aliases make many of few. */
enum { MAX_VALUES = 10000, MAX_BYTES = 16 << 20, MAX_PATTERNS = 256 << 20 };
enum { MAX_TEXT = 65536 }; /* bytes of one text */

struct reading {
    struct l2_constraints *c;
    size_t n_values, bytes; /* of texts */
    size_t patterns;        /* bytes that they take */
};

/* A text that is not empty, in the arena. */
static int get_text(const struct l2_yaml *y, struct reading *rd, const yaml_node_t *node,
                    const char *key, const char **out, struct l2_err *err)
{
    const char *s;
    int r = l2_yaml_text(y, node, key, &s, err);
    if (r != L2_OK)
        return r;
    size_t n = strlen(s);
    if (n == 0 || n > MAX_TEXT)
        return l2_yaml_at(y, node, err, "%.64s: want a text of 1 to %d bytes, got %zu", key,
                          (int)MAX_TEXT, n);
    rd->bytes += n;
    if (rd->bytes > MAX_BYTES)
        return l2_yaml_at(y, node, err, "texts of more than %d MiB", MAX_BYTES >> 20);
    *out = l2_arena_strdup(&rd->c->arena, s, n, err);
    return *out ? L2_OK : L2_MEMORY;
}

/* ---- values ---- */

/* Appends s so that a pattern matches it as it is. */
static int quote(const char *s, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    for (; *s && r == L2_OK; s++) {
        bool plain = (*s & 0x80) || (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= 'a' && *s <= 'z');
        if (!plain)
            r = l2_buf_append_byte(out, '\\', err);
        if (r == L2_OK)
            r = l2_buf_append_byte(out, (uint8_t)*s, err);
    }
    return r;
}

/* Compiles the form of the pattern for a value; errors are where at is. */
static int compile(const struct l2_yaml *y, struct reading *rd, const char *form,
                   const yaml_node_t *at, struct l2_constraint_value *value, struct l2_err *err)
{
    struct l2_buf text = {0};
    const char *hole;
    int r = L2_OK;
    while (r == L2_OK && (hole = strstr(form, "{}"))) {
        r = l2_buf_append(&text, form, (size_t)(hole - form), err);
        if (r == L2_OK)
            r = quote(value->text, &text, err);
        form = hole + 2;
    }
    if (r == L2_OK)
        r = l2_buf_append_str(&text, form, err);
    if (r == L2_OK)
        r = l2_pattern_new(&value->obeys, (const char *)text.data, text.len, y->file,
                           (int64_t)at->start_mark.line + 1, (int64_t)at->start_mark.column + 1,
                           err);
    l2_buf_release(&text);
    if (r != L2_OK)
        return r;
    rd->patterns += l2_pattern_size(value->obeys);
    if (rd->patterns > MAX_PATTERNS)
        return l2_yaml_at(y, at, err, "patterns that take more than %d MiB", MAX_PATTERNS >> 20);
    return L2_OK;
}

/* A constraint and what its values are read with. */
struct one {
    struct reading *rd;
    struct l2_constraint *x;
    const yaml_node_t *obeys, *values; /* NULL: not there */
};

struct value_in {
    struct one *one;
    const char *text;
    const yaml_node_t *obeys;
};

static int set_value_key(const struct l2_yaml *y, void *to, const char *key,
                         const yaml_node_t *value, struct l2_err *err)
{
    struct value_in *in = to;
    const char *unused;
    if (strcmp(key, "value") == 0)
        return get_text(y, in->one->rd, value, key, &in->text, err);
    if (strcmp(key, "obeys") == 0) {
        in->obeys = value;
        return get_text(y, in->one->rd, value, key, &unused, err);
    }
    return L2_END;
}

/* A form that is full of holes and a long value are not what anybody means. */
static int check_length(const struct l2_yaml *y, const char *form, const char *value,
                        const yaml_node_t *where, struct l2_err *err)
{
    size_t n = strlen(form), holes = 0, each = strlen(value);
    for (const char *s = form; (s = strstr(s, "{}")); s += 2)
        holes++;
    if (holes > 0 && each > (MAX_TEXT - n) / holes)
        return l2_yaml_at(y, where, err, "'%.64s' with this value: want %d bytes at most", form,
                          (int)MAX_TEXT);
    return L2_OK;
}

/* Adds a value; where is what it was read from. */
static int add_value(const struct l2_yaml *y, struct value_in *in, const yaml_node_t *where,
                     struct l2_err *err)
{
    struct l2_constraint *x = in->one->x;
    const yaml_node_t *obeys = in->obeys ? in->obeys : in->one->obeys;
    if (in->one->rd->n_values++ == MAX_VALUES)
        return l2_yaml_at(y, where, err, "more than %d values in all", (int)MAX_VALUES);
    int r = check_length(y, x->instruction, in->text, where, err);
    if (r == L2_OK && x->brief)
        r = check_length(y, x->brief, in->text, where, err);
    if (r == L2_OK && obeys)
        r = check_length(y, (const char *)obeys->data.scalar.value, in->text, where, err);
    if (r == L2_OK)
        r = l2_grow(&x->values, x->n_values, &x->cap, 1, sizeof *x->values, err);
    if (r != L2_OK)
        return r;
    struct l2_constraint_value *value = &x->values[x->n_values++];
    *value = (struct l2_constraint_value){.text = in->text};
    if (!obeys)
        return L2_OK;
    return compile(y, in->one->rd, (const char *)obeys->data.scalar.value, obeys, value, err);
}

static int take_value(const struct l2_yaml *y, void *to, const yaml_node_t *item,
                      struct l2_err *err)
{
    struct value_in in = {.one = to};
    int r = item->type == YAML_MAPPING_NODE
                ? l2_yaml_mapping(y, item, "value", set_value_key, &in, err)
                : get_text(y, in.one->rd, item, "value", &in.text, err);
    if (r == L2_OK && !in.text)
        r = l2_yaml_at(y, item, err, "want a value");
    return r == L2_OK ? add_value(y, &in, item, err) : r;
}

/* ---- constraints ---- */

static int set_constraint_key(const struct l2_yaml *y, void *to, const char *key,
                              const yaml_node_t *value, struct l2_err *err)
{
    struct one *one = to;
    if (strcmp(key, "name") == 0)
        return get_text(y, one->rd, value, key, &one->x->name, err);
    if (strcmp(key, "instruction") == 0)
        return get_text(y, one->rd, value, key, &one->x->instruction, err);
    if (strcmp(key, "brief") == 0)
        return get_text(y, one->rd, value, key, &one->x->brief, err);
    if (strcmp(key, "obeys") == 0) {
        one->obeys = value;
        return get_text(y, one->rd, value, key, &one->x->obeys, err);
    }
    if (strcmp(key, "values") == 0) {
        one->values = value;
        return L2_OK;
    }
    return L2_END;
}

/* The values are read when all else is known of the constraint. */
static int read_values(const struct l2_yaml *y, struct one *one, const yaml_node_t *item,
                       struct l2_err *err)
{
    struct l2_constraint *x = one->x;
    bool holes = strstr(x->instruction, "{}") || (x->brief && strstr(x->brief, "{}"));
    if (!one->values && !holes) {
        struct value_in only = {.one = one, .text = ""};
        return add_value(y, &only, item, err);
    }
    if (!one->values)
        return l2_yaml_at(y, item, err, "constraint '%.64s' wants values for its {}", x->name);
    if (!strstr(x->instruction, "{}"))
        return l2_yaml_at(y, item, err,
                          "constraint '%.64s' has values, and its instruction no {} for them",
                          x->name);
    int r = l2_yaml_list(y, one->values, "values", take_value, one, err);
    if (r == L2_OK && x->n_values == 0)
        r = l2_yaml_at(y, one->values, err, "constraint '%.64s' has an empty list of values",
                       x->name);
    return r;
}

static int take_constraint(const struct l2_yaml *y, void *to, const yaml_node_t *item,
                           struct l2_err *err)
{
    struct reading *rd = to;
    struct l2_constraints *c = rd->c;
    if (c->n == L2_CONSTRAINTS_MAX)
        return l2_yaml_at(y, item, err, "more than %d constraints", L2_CONSTRAINTS_MAX);
    struct one one = {.rd = rd, .x = &c->v[c->n++]};
    *one.x = (struct l2_constraint){.line = (int64_t)item->start_mark.line + 1};
    int r = l2_yaml_mapping(y, item, "constraint", set_constraint_key, &one, err);
    if (r != L2_OK)
        return r;
    if (!one.x->name)
        return l2_yaml_at(y, item, err, "a constraint wants a name");
    if (!one.x->instruction)
        return l2_yaml_at(y, item, err, "constraint '%.64s' wants an instruction", one.x->name);
    for (size_t i = 0; i + 1 < c->n; i++)
        if (strcmp(c->v[i].name, one.x->name) == 0)
            return l2_yaml_at(y, item, err, "a second constraint '%.64s'", one.x->name);
    return read_values(y, &one, item, err);
}

/* ---- the file ---- */

static int take_question(const struct l2_yaml *y, void *to, const yaml_node_t *item,
                         struct l2_err *err)
{
    struct reading *rd = to;
    struct l2_constraints *c = rd->c;
    if (c->n_questions == MAX_VALUES)
        return l2_yaml_at(y, item, err, "more than %d questions", (int)MAX_VALUES);
    int r = l2_grow(&c->questions, c->n_questions, &c->questions_cap, 1, sizeof *c->questions, err);
    if (r == L2_OK)
        r = get_text(y, rd, item, "question", &c->questions[c->n_questions], err);
    if (r == L2_OK)
        c->n_questions++;
    return r;
}

static int set_section(const struct l2_yaml *y, void *to, const char *key, const yaml_node_t *value,
                       struct l2_err *err)
{
    if (strcmp(key, "constraints") == 0)
        return l2_yaml_list(y, value, key, take_constraint, to, err);
    if (strcmp(key, "questions") == 0)
        return l2_yaml_list(y, value, key, take_question, to, err);
    return L2_END;
}

int l2_constraints_read(struct l2_constraints *c, const char *text, size_t n, const char *file,
                        struct l2_err *err)
{
    struct reading rd = {.c = c};
    struct l2_yaml y;
    *c = (struct l2_constraints){.n = 0};
    c->file = l2_arena_strdup(&c->arena, file, strlen(file), err);
    if (!c->file)
        return L2_MEMORY;
    int r = l2_yaml_open(&y, text, n, file, err);
    if (r != L2_OK)
        return r;
    if (!y.root)
        r = l2_err_at(err, L2_FORMAT, file, -1, "no constraints: the file is empty");
    else
        r = l2_yaml_mapping(&y, y.root, "constraints", set_section, &rd, err);
    if (r == L2_OK && c->n == 0)
        r = l2_yaml_at(&y, y.root, err, "want constraints, got none");
    l2_yaml_close(&y);
    return r;
}
