/* Answers: filters, normal forms, exact and numeric match, SQuAD's F1, pass@k. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "eval/ask.h"
#include "eval/subst.h"
#include "util/grow.h"
#include "util/num.h"
#include "util/utf8.h"

const char *const l2_take_names[L2_N_TAKES + 1] = {
    "regex", "lowercase", "uppercase", "remove_whitespace", "strip", "boxed", "first_line", NULL};

static const char *chars(const struct l2_buf *b)
{
    return b->len > 0 ? (const char *)b->data : "";
}

static bool is_punctuation(unsigned char c)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

/* ---- taking answers out ---- */

/* Replaces text by [begin, end) of it, without white space around it. */
static void keep(struct l2_buf *text, size_t begin, size_t end)
{
    const char *s = chars(text);
    end = begin + l2_ask_stripped(s + begin, end - begin);
    begin += l2_ask_leading(s + begin, end - begin);
    if (end > begin)
        memmove(text->data, text->data + begin, end - begin);
    text->len = end - begin;
}

static int fall_back(const struct l2_take_step *step, struct l2_buf *text, struct l2_err *err)
{
    text->len = 0;
    return l2_buf_append_str(text, step->fallback, err);
}

/* The place of the group of the match that was found last: the first that is not empty, and where
 * the pattern has none, all of it. */
static void group_of(const struct l2_pattern *p, size_t *begin, size_t *end)
{
    size_t n = l2_pattern_groups(p);
    for (size_t g = 1; g <= n; g++) {
        l2_pattern_group(p, g, begin, end);
        if (*begin < *end)
            return;
    }
}

static int take_regex(const struct l2_take_step *step, struct l2_buf *text, struct l2_err *err)
{
    size_t pos = 0, b, e, n = 0, want, n_all = 0;
    int r;
    if (step->group_select < 0) {
        while ((r = l2_pattern_next(step->pattern, chars(text), text->len, &pos, &b, &e, err)) ==
               L2_OK)
            n_all++;
        if (r != L2_END)
            return r;
    }
    if (step->group_select < 0 && n_all < (size_t)-step->group_select)
        return fall_back(step, text, err);
    want =
        step->group_select < 0 ? n_all - (size_t)-step->group_select : (size_t)step->group_select;
    pos = 0;
    do
        r = l2_pattern_next(step->pattern, chars(text), text->len, &pos, &b, &e, err);
    while (r == L2_OK && n++ < want);
    if (r == L2_END)
        return fall_back(step, text, err);
    if (r != L2_OK)
        return r;
    group_of(step->pattern, &b, &e);
    keep(text, b, e);
    return L2_OK;
}

/* Simple case mapping, character by character; out is appended to. */
static int map_case(const char *s, size_t n, bool upper, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK;) {
        uint32_t c;
        char to[4];
        size_t len = l2_utf8_decode(s + i, n - i, &c);
        if (len == 0) {
            r = l2_buf_append(out, s + i++, 1, err);
            continue;
        }
        utf8proc_int32_t v = (utf8proc_int32_t)c;
        c = (uint32_t)(upper ? utf8proc_toupper(v) : utf8proc_tolower(v));
        r = l2_buf_append(out, to, l2_utf8_encode(c, to), err);
        i += len;
    }
    return r;
}

static int take_case(const struct l2_take_step *step, struct l2_buf *text, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r = map_case(chars(text), text->len, step->kind == L2_TAKE_UPPER, &out, err);
    if (r == L2_OK) {
        text->len = 0;
        r = l2_buf_append(text, out.data, out.len, err);
    }
    l2_buf_release(&out);
    return r;
}

static int take_one(const struct l2_take_step *step, struct l2_buf *text, struct l2_err *err)
{
    size_t begin, end;
    const char *line;
    switch (step->kind) {
    case L2_TAKE_REGEX:
        return take_regex(step, text, err);
    case L2_TAKE_LOWER:
    case L2_TAKE_UPPER:
        return take_case(step, text, err);
    case L2_TAKE_NO_SPACE:
        l2_buf_consume(text, l2_ask_leading(chars(text), text->len));
        return L2_OK;
    case L2_TAKE_STRIP:
        keep(text, 0, text->len);
        return L2_OK;
    case L2_TAKE_BOXED:
        if (!l2_subst_boxed(chars(text), text->len, &begin, &end))
            return fall_back(step, text, err);
        keep(text, begin, end);
        return L2_OK;
    case L2_TAKE_FIRST_LINE:
        line = memchr(chars(text), '\n', text->len);
        text->len = line ? (size_t)(line - chars(text)) : text->len;
        return L2_OK;
    case L2_N_TAKES:
        break;
    }
    return l2_err_set(err, L2_ARGUMENT, "unknown filter function");
}

int l2_answer_take(const struct l2_take_step *steps, size_t n, struct l2_buf *text,
                   struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = take_one(&steps[i], text, err);
    return r;
}

/* ---- comparing them ---- */

/* The number that a text says: its last one that stands by itself, commas between digits left out.
 */
static bool number_in(const char *s, size_t n, double *out)
{
    bool found = false;
    for (size_t i = 0; i < n;) {
        char digits[64];
        size_t k = 0, begin = i;
        bool point = false;
        if (s[i] == '-' && i + 1 < n)
            i++;
        if (!(s[i] >= '0' && s[i] <= '9') &&
            !(s[i] == '.' && i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9')) {
            i = begin + 1;
            continue;
        }
        if (i > begin && !(begin > 0 && s[begin - 1] >= '0' && s[begin - 1] <= '9'))
            digits[k++] = '-';
        for (; i < n; i++) {
            bool more = i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9';
            if (s[i] == ',' && more)
                continue;
            if (s[i] == '.' && (point || !more))
                break;
            if (s[i] != '.' && !(s[i] >= '0' && s[i] <= '9'))
                break;
            point = point || s[i] == '.';
            if (k < sizeof digits - 1)
                digits[k++] = s[i];
        }
        digits[k] = '\0';
        found = l2_parse_f64(digits, out) || found;
    }
    return found;
}

static int drop_ignored(const struct l2_match *m, struct l2_buf *text, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < m->n_ignore && r == L2_OK; i++) {
        struct l2_buf out = {0};
        uint64_t count;
        size_t first;
        r = l2_pattern_replace(m->ignore[i], chars(text), text->len, "", 0, &out, &count, &first,
                               err);
        l2_buf_release(text);
        *text = out;
    }
    return r;
}

int l2_answer_normal(const struct l2_match *m, const char *text, size_t n, struct l2_buf *out,
                     struct l2_err *err)
{
    struct l2_buf kept = {0};
    if (m->numeric) {
        double v;
        char digits[32];
        if (!number_in(text, n, &v))
            return L2_OK;
        return l2_buf_append(out, digits, l2_format_f64(digits, v), err);
    }
    int r = l2_buf_append(&kept, text, n, err);
    if (r == L2_OK)
        r = drop_ignored(m, &kept, err);
    size_t at = 0;
    for (size_t i = 0; i < kept.len && r == L2_OK; i++) {
        uint8_t c = kept.data[i];
        if ((m->ignore_punctuation && is_punctuation(c)) ||
            (m->ignore_numbers && c >= '0' && c <= '9'))
            continue;
        kept.data[at++] = c;
    }
    kept.len = at;
    if (r == L2_OK && m->ignore_case)
        r = map_case(chars(&kept), kept.len, false, out, err);
    else if (r == L2_OK)
        r = l2_buf_append(out, kept.data, kept.len, err);
    l2_buf_release(&kept);
    return r;
}

int l2_answer_equal(const struct l2_match *m, const char *a, size_t na, const char *b, size_t nb,
                    bool *equal, struct l2_err *err)
{
    struct l2_buf x = {0}, y = {0};
    *equal = false;
    if (m->numeric) {
        double u, v;
        *equal = number_in(a, na, &u) && number_in(b, nb, &v) &&
                 fabs(u - v) <= 1e-6 * (fabs(v) > 1 ? fabs(v) : 1);
        return L2_OK;
    }
    int r = l2_answer_normal(m, a, na, &x, err);
    if (r == L2_OK)
        r = l2_answer_normal(m, b, nb, &y, err);
    *equal = r == L2_OK && x.len == y.len && memcmp(chars(&x), chars(&y), x.len) == 0;
    l2_buf_release(&x);
    l2_buf_release(&y);
    return r;
}

/* ---- SQuAD ---- */

static bool is_article(const char *s, size_t n)
{
    return (n == 1 && s[0] == 'a') || (n == 2 && memcmp(s, "an", 2) == 0) ||
           (n == 3 && memcmp(s, "the", 3) == 0);
}

/* The next word of s[*pos..n), without white space; false: none. */
static bool next_word(const char *s, size_t n, size_t *pos, size_t *begin, size_t *len)
{
    *pos += l2_ask_leading(s + *pos, n - *pos);
    *begin = *pos;
    while (*pos < n && l2_ask_leading(s + *pos, n - *pos) == 0)
        ++*pos;
    *len = *pos - *begin;
    return *len > 0;
}

int l2_squad_normal(const char *text, size_t n, struct l2_buf *out, struct l2_err *err)
{
    static const struct l2_match plain = {.ignore_case = true, .ignore_punctuation = true};
    struct l2_buf lower = {0};
    size_t pos = 0, begin, len, start = out->len;
    int r = l2_answer_normal(&plain, text, n, &lower, err);
    while (r == L2_OK && next_word(chars(&lower), lower.len, &pos, &begin, &len)) {
        const char *word = chars(&lower) + begin;
        if (is_article(word, len))
            continue;
        if (out->len > start)
            r = l2_buf_append_byte(out, ' ', err);
        if (r == L2_OK)
            r = l2_buf_append(out, word, len, err);
    }
    l2_buf_release(&lower);
    return r;
}

struct word {
    const char *s;
    size_t n;
};

static int by_word(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int c = memcmp(x->s, y->s, n);
    return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

static int words_of(const struct l2_buf *text, struct word **out, size_t *n, struct l2_err *err)
{
    size_t cap = 0, pos = 0, begin, len;
    *n = 0;
    *out = NULL;
    while (next_word(chars(text), text->len, &pos, &begin, &len)) {
        int r = l2_grow(out, *n, &cap, 1, sizeof **out, err);
        if (r != L2_OK)
            return r;
        (*out)[(*n)++] = (struct word){chars(text) + begin, len};
    }
    if (*n > 0)
        qsort(*out, *n, sizeof **out, by_word);
    return L2_OK;
}

int l2_squad_score(const char *answer, size_t n, const char *reference, size_t m, double *f1,
                   double *exact, struct l2_err *err)
{
    struct l2_buf a = {0}, b = {0};
    struct word *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0, common = 0;
    int r = l2_squad_normal(answer, n, &a, err);
    if (r == L2_OK)
        r = l2_squad_normal(reference, m, &b, err);
    if (r == L2_OK)
        r = words_of(&a, &x, &nx, err);
    if (r == L2_OK)
        r = words_of(&b, &y, &ny, err);
    for (size_t i = 0, j = 0; r == L2_OK && i < nx && j < ny;) {
        int c = by_word(&x[i], &y[j]);
        common += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    *exact = r == L2_OK && a.len == b.len && memcmp(chars(&a), chars(&b), a.len) == 0;
    *f1 = nx == 0 || ny == 0 ? (nx == ny) : 2 * (double)common / (double)(nx + ny);
    free(x);
    free(y);
    l2_buf_release(&a);
    l2_buf_release(&b);
    return r;
}

double l2_pass_at(size_t n, size_t right, size_t k)
{
    double none = 1;
    if (n - right < k)
        return 1;
    for (size_t i = n - right + 1; i <= n; i++)
        none *= 1 - (double)k / (double)i;
    return 1 - none;
}
