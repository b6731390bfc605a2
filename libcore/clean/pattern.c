/* Regular expressions with limits, by PCRE2. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include "clean/pattern.h"

#include <pcre2.h>
#include <stdlib.h>

#include "util/utf8.h"

struct l2_pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
};

int l2_pattern_new(struct l2_pattern **out, const char *pattern, size_t n, const char *file,
                   int64_t line, int64_t column, struct l2_err *err)
{
    int why;
    PCRE2_SIZE at;
    PCRE2_UCHAR text[256];
    *out = NULL;
    if (n > L2_PATTERN_MAX)
        return l2_err_at_line(err, L2_LIMIT, file, line, column,
                              "pattern of %zu bytes: want at most %d", n, L2_PATTERN_MAX);
    struct l2_pattern *p = calloc(1, sizeof *p);
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->code = pcre2_compile((PCRE2_SPTR)pattern, n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &why,
                            &at, NULL);
    if (!p->code) {
        pcre2_get_error_message(why, text, sizeof text);
        free(p);
        return l2_err_at_line(err, L2_CORRUPT, file, line, column, "pattern: %s at offset %zu",
                              (char *)text, (size_t)at);
    }
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* else it is interpreted */
    p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
    p->context = pcre2_match_context_create(NULL);
    if (!p->match || !p->context) {
        l2_pattern_free(p);
        return l2_err_memory(err, sizeof *p);
    }
    pcre2_set_match_limit(p->context, L2_PATTERN_MATCH_LIMIT);
    pcre2_set_heap_limit(p->context, L2_PATTERN_HEAP_LIMIT);
    *out = p;
    return L2_OK;
}

void l2_pattern_free(struct l2_pattern *p)
{
    if (!p)
        return;
    pcre2_match_context_free(p->context);
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    free(p);
}

size_t l2_pattern_size(const struct l2_pattern *p)
{
    size_t code = 0, jit = 0;
    (void)pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &code);
    (void)pcre2_pattern_info(p->code, PCRE2_INFO_JITSIZE, &jit);
    return code + jit;
}

static int failure(int rc, struct l2_err *err)
{
    PCRE2_UCHAR text[256];
    if (rc == PCRE2_ERROR_NOMEMORY)
        return l2_err_memory(err, 1);
    pcre2_get_error_message(rc, text, sizeof text);
    return l2_err_set(err, L2_LIMIT, "%s", (char *)text);
}

int l2_pattern_next(struct l2_pattern *p, const char *text, size_t n, size_t *pos, size_t *begin,
                    size_t *end, struct l2_err *err)
{
    *begin = *end = n;
    if (*pos > n)
        return L2_END;
    int rc =
        pcre2_match(p->code, (PCRE2_SPTR)text, n, *pos, PCRE2_NO_UTF_CHECK, p->match, p->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return L2_END;
    if (rc < 0)
        return failure(rc, err);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(p->match);
    if (place[1] < place[0] || place[1] < *pos) /* \K in a lookaround */
        return l2_err_set(err, L2_LIMIT, "a match that ends before it begins");
    *begin = place[0];
    *end = place[1];
    *pos = *end;
    if (*begin == *end) { /* behind an empty match, on by a character */
        size_t step = *pos < n ? l2_utf8_length(text + *pos, n - *pos) : 1;
        *pos += step > 0 ? step : 1;
    }
    return L2_OK;
}

size_t l2_pattern_groups(const struct l2_pattern *p)
{
    return pcre2_get_ovector_count(p->match) - 1;
}

void l2_pattern_group(const struct l2_pattern *p, size_t group, size_t *begin, size_t *end)
{
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(p->match) + 2 * group;
    *begin = *end = 0;
    if (place[0] != PCRE2_UNSET && place[1] >= place[0]) {
        *begin = place[0];
        *end = place[1];
    }
}

int l2_pattern_replace(struct l2_pattern *p, const char *text, size_t n, const char *with,
                       size_t with_n, struct l2_buf *out, uint64_t *count, size_t *first,
                       struct l2_err *err)
{
    size_t start = out->len, pos = 0, done = 0, begin, end;
    int r;
    *count = *first = 0;
    while ((r = l2_pattern_next(p, text, n, &pos, &begin, &end, err)) == L2_OK) {
        if (begin == end || begin < done)
            continue;
        r = l2_buf_append(out, text + done, begin - done, err);
        if (r == L2_OK)
            r = l2_buf_append(out, with, with_n, err);
        if (r != L2_OK)
            break;
        done = end;
        if (++*count == 1)
            *first = begin;
    }
    if (r == L2_END)
        r = l2_buf_append(out, text + done, n - done, err);
    if (r != L2_OK)
        out->len = start;
    return r;
}
