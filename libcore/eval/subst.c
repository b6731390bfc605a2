/* Templates: a small language of fields and filters over JSON values. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/subst.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "eval/subst_filter.h"

/* The expression that is read. */
struct expr {
    const char *s, *end;
    const json_t *doc, *choice;
    struct l2_err *err;
};

static int fail(const struct expr *x, const char *what)
{
    return l2_err_set(x->err, L2_CORRUPT, "template: %s at '%.*s'", what,
                      (int)(x->end - x->s < 60 ? x->end - x->s : 60), x->s);
}

static void skip_spaces(struct expr *x)
{
    while (x->s < x->end && (*x->s == ' ' || *x->s == '\t' || *x->s == '\n'))
        x->s++;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t name_length(const struct expr *x)
{
    size_t n = 0;
    while (x->s + n < x->end && is_name(x->s[n]))
        n++;
    return n;
}

/* A text in quotes: JSON's escapes between double ones, none between single ones. */
static int read_quoted(struct expr *x, json_t **out)
{
    const char *begin = x->s;
    char quote = *x->s++;
    while (x->s < x->end && *x->s != quote)
        x->s += *x->s == '\\' && quote == '"' && x->s + 1 < x->end ? 2 : 1;
    if (x->s >= x->end) {
        x->s = begin;
        return fail(x, "a text without its second quote");
    }
    x->s++;
    *out = quote == '"' ? json_loadb(begin, (size_t)(x->s - begin), JSON_DECODE_ANY, NULL)
                        : json_stringn(begin + 1, (size_t)(x->s - begin) - 2);
    return *out ? L2_OK : fail(x, "a text that is not JSON's before");
}

static int read_field(struct expr *x, json_t *from, json_t **out);

/* What is behind "[]": of each item. from is borrowed. */
static int read_each(struct expr *x, json_t *from, json_t **out)
{
    const char *rest = x->s;
    json_t *list = json_array(), *item = NULL;
    int r = list ? L2_OK : l2_err_memory(x->err, 64);
    if (r == L2_OK && json_array_size(from) == 0)
        r = read_field(x, NULL, &item);
    for (size_t i = 0; i < json_array_size(from) && r == L2_OK; i++) {
        x->s = rest;
        r = read_field(x, json_array_get(from, i), &item);
        if (r == L2_OK && json_array_append_new(list, item ? item : json_null()) != 0)
            r = l2_err_memory(x->err, 64);
        item = NULL;
    }
    json_decref(item);
    if (r == L2_OK)
        *out = list;
    else
        json_decref(list);
    return r;
}

/* The value under "[...]"; from is borrowed, so is *out. each: "[]" was read. */
static int read_index(struct expr *x, json_t *from, json_t **out, bool *each)
{
    json_t *key = NULL;
    int r = L2_OK;
    *each = false;
    *out = NULL;
    x->s++;
    skip_spaces(x);
    if (x->s < x->end && *x->s == ']') {
        *each = true;
    } else if (x->s < x->end && (*x->s == '"' || *x->s == '\'')) {
        r = read_quoted(x, &key);
        if (r == L2_OK)
            *out = json_object_get(from, json_string_value(key));
        json_decref(key);
    } else {
        char *end;
        bool back = x->s < x->end && *x->s == '-';
        unsigned long i = strtoul(x->s + back, &end, 10);
        if (end == x->s + back || end > x->end)
            return fail(x, "no index");
        x->s = end;
        size_t n = json_array_size(from);
        *out =
            back ? (i <= n && i > 0 ? json_array_get(from, n - i) : NULL) : json_array_get(from, i);
    }
    skip_spaces(x);
    if (r == L2_OK && (x->s >= x->end || *x->s != ']'))
        return fail(x, "want ]");
    if (r == L2_OK)
        x->s++;
    return r;
}

/* The steps behind a value; from is borrowed, *out owned, NULL: there is no such field. */
static int read_field(struct expr *x, json_t *from, json_t **out)
{
    int r;
    *out = NULL;
    while (x->s < x->end && (*x->s == '.' || *x->s == '[')) {
        if (*x->s == '.') {
            x->s++;
            size_t n = name_length(x);
            if (n == 0)
                return fail(x, "want a name");
            from = json_object_getn(from, x->s, n);
            x->s += n;
            continue;
        }
        bool each;
        json_t *next;
        r = read_index(x, from, &next, &each);
        if (r != L2_OK)
            return r;
        if (each)
            return read_each(x, json_is_array(from) ? from : NULL, out);
        from = next;
    }
    *out = json_incref(from);
    return L2_OK;
}

static int read_value(struct expr *x, json_t **out)
{
    *out = NULL;
    skip_spaces(x);
    if (x->s < x->end && (*x->s == '"' || *x->s == '\''))
        return read_quoted(x, out);
    if (x->s < x->end && (*x->s == '-' || (*x->s >= '0' && *x->s <= '9'))) {
        char *end;
        long v = strtol(x->s, &end, 10);
        if (end == x->s || end > x->end)
            return fail(x, "no number");
        x->s = end;
        *out = json_integer(v);
        return *out ? L2_OK : l2_err_memory(x->err, 16);
    }
    size_t n = name_length(x);
    if (n == 0)
        return fail(x, "want a field");
    json_t *from = json_object_getn(x->doc, x->s, n);
    if (n == 6 && memcmp(x->s, "choice", n) == 0 && x->choice)
        from = (json_t *)(uintptr_t)x->choice;
    x->s += n;
    return read_field(x, from, out);
}

static int read_arguments(struct expr *x, struct l2_subst_call *call)
{
    int r = L2_OK;
    skip_spaces(x);
    if (x->s >= x->end || *x->s != '(')
        return L2_OK;
    do {
        x->s++;
        if (call->n == L2_SUBST_ARGUMENTS)
            return fail(x, "too many arguments");
        r = read_value(x, &call->arg[call->n]);
        if (r == L2_OK)
            call->n++;
        skip_spaces(x);
    } while (r == L2_OK && x->s < x->end && *x->s == ',');
    if (r == L2_OK && (x->s >= x->end || *x->s != ')'))
        return fail(x, "want )");
    x->s += r == L2_OK;
    return r;
}

/* All of it; *out is owned, NULL: a field that is not there. */
static int read_expr(struct expr *x, json_t **out)
{
    int r = read_value(x, out);
    skip_spaces(x);
    while (r == L2_OK && x->s < x->end && *x->s == '|') {
        struct l2_subst_call call = {.n = 0};
        x->s++;
        skip_spaces(x);
        call.name = x->s;
        call.name_n = name_length(x);
        x->s += call.name_n;
        r = read_arguments(x, &call);
        if (r == L2_OK)
            r = l2_subst_filter(&call, out, x->err);
        for (size_t i = 0; i < call.n; i++)
            json_decref(call.arg[i]);
        skip_spaces(x);
    }
    if (r == L2_OK && x->s < x->end)
        r = fail(x, "want | or }}");
    if (r != L2_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return r;
}

/* The value of s[0..n), between the braces; a field that is not there is an error. */
static int eval(const char *s, size_t n, const json_t *doc, const json_t *choice, json_t **out,
                struct l2_err *err)
{
    struct expr x = {s, s + n, doc, choice, err};
    int r = read_expr(&x, out);
    if (r == L2_OK && !*out)
        return l2_err_set(err, L2_CORRUPT, "template: the document has no {{%.*s}}",
                          (int)(n < 200 ? n : 200), s);
    return r;
}

int l2_subst_text(const char *template, const json_t *doc, const json_t *choice, struct l2_buf *out,
                  struct l2_err *err)
{
    const char *s = template, *open;
    int r = L2_OK;
    while (r == L2_OK && (open = strstr(s, "{{"))) {
        const char *close = strstr(open, "}}");
        json_t *v = NULL;
        if (!close)
            return l2_err_set(err, L2_CORRUPT, "template: {{ without }} at '%.60s'", open);
        r = l2_buf_append(out, s, (size_t)(open - s), err);
        if (r == L2_OK)
            r = eval(open + 2, (size_t)(close - open) - 2, doc, choice, &v, err);
        if (r == L2_OK)
            r = l2_subst_put(v, out, err);
        json_decref(v);
        s = close + 2;
    }
    return r == L2_OK ? l2_buf_append(out, s, strlen(s), err) : r;
}

int l2_subst_value(const char *template, const json_t *doc, const json_t *choice, json_t **out,
                   struct l2_err *err)
{
    struct l2_buf text = {0};
    size_t n = strlen(template);
    const char *close = strstr(template, "}}");
    *out = NULL;
    if (strncmp(template, "{{", 2) == 0 && close && close + 2 == template + n)
        return eval(template + 2, n - 4, doc, choice, out, err);
    int r = l2_subst_text(template, doc, choice, &text, err);
    if (r == L2_OK) {
        *out = json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
        r = *out ? L2_OK : l2_err_set(err, L2_CORRUPT, "template: the text is not UTF-8");
    }
    l2_buf_release(&text);
    return r;
}
