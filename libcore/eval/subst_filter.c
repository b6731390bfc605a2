/* The filters of templates. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/subst_filter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clean/pattern.h"
#include "eval/ask.h"
#include "util/num.h"

int l2_subst_put(const json_t *v, struct l2_buf *out, struct l2_err *err)
{
    if (!v || json_is_null(v))
        return L2_OK;
    if (json_is_string(v))
        return l2_buf_append(out, json_string_value(v), json_string_length(v), err);
    char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    int r = s ? l2_buf_append_str(out, s, err) : l2_err_memory(err, 64);
    free(s);
    return r;
}

/* What a filter works on: the text of the value, and where its result goes. */
struct work {
    const struct l2_subst_call *call;
    json_t *v;         /* borrowed */
    struct l2_buf in;  /* v's text */
    struct l2_buf out; /* the result as text, where out_v is NULL */
    json_t *out_v;     /* the result; owned */
    struct l2_err *err;
};

static int fail(const struct work *w, const char *what)
{
    return l2_err_set(w->err, L2_CORRUPT, "template: filter %.*s %s", (int)w->call->name_n,
                      w->call->name, what);
}

static const char *text_of(const struct work *w)
{
    return w->in.len > 0 ? (const char *)w->in.data : "";
}

static const char *argument(const struct work *w, size_t i)
{
    return i < w->call->n && json_is_string(w->call->arg[i]) ? json_string_value(w->call->arg[i])
                                                             : NULL;
}

static int give(struct work *w, json_t *v)
{
    w->out_v = v;
    return v ? L2_OK : l2_err_memory(w->err, 64);
}

static int put(struct work *w, const char *s, size_t n)
{
    return l2_buf_append(&w->out, s, n, w->err);
}

static int strip(struct work *w)
{
    const char *s = text_of(w);
    size_t n = l2_ask_stripped(s, w->in.len), at = l2_ask_leading(s, n);
    return put(w, s + at, n - at);
}

/* ASCII letters; others stay. */
static int change_case(struct work *w)
{
    int r = put(w, text_of(w), w->in.len);
    bool upper = w->call->name[0] == 'u', first = w->call->name[0] == 'c';
    for (size_t i = 0; i < w->out.len && r == L2_OK; i++) {
        uint8_t *c = &w->out.data[i];
        bool up = upper || (first && i == 0);
        if (up && *c >= 'a' && *c <= 'z')
            *c = (uint8_t)(*c - 'a' + 'A');
        else if (!up && *c >= 'A' && *c <= 'Z')
            *c = (uint8_t)(*c - 'A' + 'a');
    }
    return r;
}

static int before(struct work *w)
{
    const char *mark = argument(w, 0), *s = text_of(w), *at;
    if (!mark || !*mark)
        return fail(w, "wants a text");
    at = strstr(s, mark);
    return put(w, s, at ? (size_t)(at - s) : w->in.len);
}

static int after(struct work *w)
{
    const char *mark = argument(w, 0), *at;
    if (!mark || !*mark)
        return fail(w, "wants a text");
    at = strstr(text_of(w), mark);
    return at ? put(w, at + strlen(mark), strlen(at + strlen(mark))) : L2_OK;
}

static int replace(struct work *w)
{
    const char *mark = argument(w, 0), *with = argument(w, 1), *s = text_of(w), *at;
    int r = L2_OK;
    if (!mark || !*mark || !with)
        return fail(w, "wants two texts");
    while (r == L2_OK && (at = strstr(s, mark))) {
        r = put(w, s, (size_t)(at - s));
        if (r == L2_OK)
            r = put(w, with, strlen(with));
        s = at + strlen(mark);
    }
    return r == L2_OK ? put(w, s, strlen(s)) : r;
}

static int sub(struct work *w)
{
    const char *pattern = argument(w, 0), *with = argument(w, 1);
    struct l2_pattern *p;
    uint64_t count;
    size_t first;
    if (!pattern || !with)
        return fail(w, "wants a pattern and a text");
    int r = l2_pattern_new(&p, pattern, strlen(pattern), NULL, 0, 0, w->err);
    if (r != L2_OK)
        return r;
    r = l2_pattern_replace(p, text_of(w), w->in.len, with, strlen(with), &w->out, &count, &first,
                           w->err);
    l2_pattern_free(p);
    return r;
}

int l2_subst_boxed(const char *s, size_t n, size_t *begin, size_t *end)
{
    static const char *const marks[] = {"\\boxed{", "\\fbox{"};
    for (size_t i = n; i-- > 0;)
        for (int m = 0; m < 2; m++) {
            size_t len = strlen(marks[m]), depth = 1;
            if (n - i < len || memcmp(s + i, marks[m], len) != 0)
                continue;
            *begin = i + len;
            for (*end = *begin; *end < n; ++*end) {
                depth += s[*end] == '{';
                depth -= s[*end] == '}';
                if (depth == 0)
                    return 1;
            }
        }
    return 0;
}

static int boxed(struct work *w)
{
    size_t begin, end;
    if (!l2_subst_boxed(text_of(w), w->in.len, &begin, &end))
        return L2_OK;
    return put(w, text_of(w) + begin, end - begin);
}

static int letter(struct work *w)
{
    char c = w->in.len == 1 ? (char)(text_of(w)[0] | 0x20) : 0;
    return c >= 'a' && c <= 'z' ? give(w, json_integer(c - 'a'))
                                : fail(w, "wants one letter from A to Z");
}

static int to_int(struct work *w)
{
    int64_t v, more = 0;
    if (w->call->n > 0 && json_is_integer(w->call->arg[0]))
        more = json_integer_value(w->call->arg[0]);
    if (json_is_boolean(w->v))
        return give(w, json_integer(json_is_true(w->v) + more));
    int r = l2_buf_append_byte(&w->in, '\0', w->err);
    if (r != L2_OK)
        return r;
    if (!l2_parse_i64((const char *)w->in.data, &v) || v > INT32_MAX || v < INT32_MIN)
        return fail(w, "wants a whole number");
    return give(w, json_integer(v + more));
}

static int end_of_list(struct work *w)
{
    size_t n = json_array_size(w->v);
    if (n == 0)
        return fail(w, "wants a list that is not empty");
    return give(w, json_incref(json_array_get(w->v, w->call->name[0] == 'f' ? 0 : n - 1)));
}

/* join and letters. */
static int join(struct work *w)
{
    bool letters = w->call->name[0] == 'l';
    const char *mark = letters ? "\n" : argument(w, 0);
    int r = L2_OK;
    if (!json_is_array(w->v) || !mark)
        return fail(w, "wants a list and a text");
    for (size_t i = 0; i < json_array_size(w->v) && r == L2_OK; i++) {
        if (i > 0)
            r = put(w, mark, strlen(mark));
        if (r == L2_OK && letters)
            r = l2_buf_printf(&w->out, w->err, "%c. ", (int)('A' + i % 26));
        if (r == L2_OK)
            r = l2_subst_put(json_array_get(w->v, i), &w->out, w->err);
    }
    return r;
}

static int length(struct work *w)
{
    return give(w, json_integer((json_int_t)(json_is_array(w->v)    ? json_array_size(w->v)
                                             : json_is_object(w->v) ? json_object_size(w->v)
                                                                    : w->in.len)));
}

/* keys, values and nonzero. */
static int list_of(struct work *w)
{
    char kind = w->call->name[0];
    const char *key;
    json_t *value, *list = json_array();
    size_t i;
    int rc = list ? 0 : -1;
    if (kind == 'n' ? !json_is_array(w->v) : !json_is_object(w->v)) {
        json_decref(list);
        return fail(w, kind == 'n' ? "wants a list" : "wants an object");
    }
    json_array_foreach(w->v, i, value)
    {
        if (rc == 0 &&
            (json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0)))
            rc = json_array_append_new(list, json_integer((json_int_t)i));
    }
    json_object_foreach(w->v, key, value)
    {
        if (rc == 0)
            rc = kind == 'k' ? json_array_append_new(list, json_string(key))
                             : json_array_append(list, value);
    }
    if (rc != 0) {
        json_decref(list);
        list = NULL;
    }
    return give(w, list);
}

static int index_in(struct work *w)
{
    json_t *item;
    size_t i;
    if (w->call->n != 1 || !json_is_array(w->call->arg[0]))
        return fail(w, "wants a list");
    json_array_foreach(w->call->arg[0], i, item)
    {
        if (json_equal(item, w->v))
            return give(w, json_integer((json_int_t)i));
    }
    return fail(w, "finds nothing equal in its list");
}

static int as_json(struct work *w)
{
    char *s = json_dumps(w->v, JSON_ENCODE_ANY);
    int r = s ? l2_buf_append_str(&w->out, s, w->err) : l2_err_memory(w->err, 64);
    free(s);
    return r;
}

static const struct {
    const char *name;
    int (*run)(struct work *w);
} filters[] = {
    {"strip", strip},       {"lower", change_case},
    {"upper", change_case}, {"capitalize", change_case},
    {"before", before},     {"after", after},
    {"replace", replace},   {"sub", sub},
    {"boxed", boxed},       {"letter", letter},
    {"int", to_int},        {"first", end_of_list},
    {"last", end_of_list},  {"join", join},
    {"letters", join},      {"length", length},
    {"nonzero", list_of},   {"keys", list_of},
    {"values", list_of},    {"index_in", index_in},
    {"json", as_json},
};

static int run(struct work *w, int (*filter)(struct work *w))
{
    int r = L2_OK;
    if (!w->v)
        return l2_err_set(w->err, L2_CORRUPT,
                          "template: the document has no such field for filter %.*s",
                          (int)w->call->name_n, w->call->name);
    if (!json_is_array(w->v) && !json_is_object(w->v))
        r = l2_subst_put(w->v, &w->in, w->err);
    if (r == L2_OK) /* a NUL behind the text, which its length does not count */
        r = l2_buf_append_byte(&w->in, '\0', w->err);
    if (r != L2_OK)
        return r;
    w->in.len--;
    r = filter(w);
    if (r == L2_OK && !w->out_v) {
        w->out_v = json_stringn(w->out.len > 0 ? (const char *)w->out.data : "", w->out.len);
        r = w->out_v ? L2_OK : fail(w, "gives what is not UTF-8");
    }
    return r;
}

static bool is_called(const struct l2_subst_call *call, const char *name)
{
    return strlen(name) == call->name_n && memcmp(call->name, name, call->name_n) == 0;
}

static bool is_absent(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0);
}

int l2_subst_filter(const struct l2_subst_call *call, json_t **v, struct l2_err *err)
{
    struct work w = {.call = call, .v = *v, .err = err};
    int r = L2_END;
    if (is_called(call, "default")) {
        if (call->n != 1)
            return fail(&w, "wants one value");
        if (is_absent(*v)) {
            json_decref(*v);
            *v = json_incref(call->arg[0]);
        }
        return L2_OK;
    }
    for (size_t i = 0; i < sizeof filters / sizeof *filters && r == L2_END; i++)
        if (is_called(call, filters[i].name))
            r = run(&w, filters[i].run);
    if (r == L2_END)
        r = l2_err_set(err, L2_CORRUPT, "template: no filter is called '%.*s'", (int)call->name_n,
                       call->name);
    l2_buf_release(&w.in);
    l2_buf_release(&w.out);
    if (r != L2_OK) {
        json_decref(w.out_v);
        return r;
    }
    json_decref(*v);
    *v = w.out_v;
    return L2_OK;
}
