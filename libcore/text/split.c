/* Cutting text into words: PCRE2 with just-in-time compilation, and short cuts in ASCII. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/split.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/split_ascii.h"
#include "util/buf.h"

const char l2_split_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char l2_split_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char l2_split_digit[] = "\\p{N}";
const char l2_split_digits[] = "\\p{N}+";

/* A step that runs longer than this on one match is a pattern that backtracks without end. */
#define MATCH_LIMIT 10000000u
#define STACK_MIN   ((size_t)32 << 10)
#define STACK_MAX   ((size_t)1 << 20)
#define MAX_PATTERN 4096
#define MAX_CODE    ((size_t)1 << 20)

struct l2_split_step {
    pcre2_code *code;                                        /* owned */
    char *pattern;                                           /* owned */
    size_t (*ascii)(const char *text, size_t n, size_t pos); /* or NULL */
};

struct l2_split_work {
    pcre2_match_data *data;       /* owned */
    pcre2_match_context *context; /* owned */
    pcre2_jit_stack *stack;       /* owned */
    bool fast;
};

/* ---- compiling ---- */

/* PCRE2 counts U+180E as a space, Unicode no longer does: \s is spelled out. */
#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"

/* Spells \s and \S out. A \S inside a class has no simple form. */
static int spell_spaces(struct l2_buf *out, const char *p, size_t n, const char *file,
                        struct l2_err *err)
{
    bool in_class = false;
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        bool escape = p[i] == '\\' && i + 1 < n;
        if (escape && p[i + 1] == 's') {
            r = l2_buf_append_str(out, in_class ? SPACES : "[" SPACES "]", err);
            i++;
        } else if (escape && p[i + 1] == 'S' && !in_class) {
            r = l2_buf_append_str(out, "[^" SPACES "]", err);
            i++;
        } else if (escape && p[i + 1] == 'S') {
            return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                             "split pattern: \\S inside a class is not supported");
        } else if (escape) {
            r = l2_buf_append(out, p + i, 2, err);
            i++;
        } else {
            if (p[i] == '[' && in_class)
                return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                                 "split pattern: a class inside a class is not supported");
            if (p[i] == '[' || p[i] == ']')
                in_class = p[i] == '[';
            r = l2_buf_append_byte(out, (uint8_t)p[i], err);
        }
    }
    return r;
}

static void free_step(struct l2_split_step *s)
{
    if (!s)
        return;
    pcre2_code_free(s->code);
    free(s->pattern);
    free(s);
}

static int compile(struct l2_split_step *s, const char *pattern, size_t n, const char *file,
                   struct l2_err *err)
{
    struct l2_buf text = {0};
    int code;
    PCRE2_SIZE at;
    int r = spell_spaces(&text, pattern, n, file, err);
    if (r != L2_OK)
        goto out;
    s->code = pcre2_compile((PCRE2_SPTR)text.data, text.len,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!s->code) {
        PCRE2_UCHAR why[128] = "";
        (void)pcre2_get_error_message(code, why, sizeof why);
        r = l2_err_at(err, L2_UNSUPPORTED, file, -1, "split pattern: %s", (const char *)why);
        goto out;
    }
    /* without a just-in-time compiler for this machine the interpreter does it */
    (void)pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE);
out:
    l2_buf_release(&text);
    return r;
}

int l2_splitter_add(struct l2_splitter *s, const char *pattern, size_t n, const char *file,
                    struct l2_err *err)
{
    if (s->n == L2_SPLIT_MAX || n > MAX_PATTERN)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "more than %d split steps, or a pattern of more than %d bytes",
                         L2_SPLIT_MAX, MAX_PATTERN);
    struct l2_split_step *step = calloc(1, sizeof *step);
    char *copy = malloc(n + 1);
    if (!step || !copy) {
        free(step);
        free(copy);
        return l2_err_memory(err, sizeof *step + n + 1);
    }
    memcpy(copy, pattern, n);
    copy[n] = '\0';
    step->pattern = copy;
    if (strcmp(copy, l2_split_llama3) == 0)
        step->ascii = l2_split_ascii_llama3;
    else if (strcmp(copy, l2_split_gpt2) == 0)
        step->ascii = l2_split_ascii_gpt2;
    int r = compile(step, pattern, n, file, err);
    if (r == L2_OK)
        s->steps[s->n++] = step;
    else
        free_step(step);
    return r;
}

void l2_splitter_release(struct l2_splitter *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_step(s->steps[i]);
    *s = (struct l2_splitter){0};
}

const char *l2_splitter_pattern(const struct l2_splitter *s, size_t i)
{
    return s->steps[i]->pattern;
}

/* ---- names ---- */

/* As llama.cpp has them; the first of equal rows is the one that is written. */
static const struct {
    const char *name;
    const char *patterns[2];
    bool ignore_merges;
} names[] = {
    {"llama-bpe", {l2_split_llama3}, true}, {"llama3", {l2_split_llama3}, true},
    {"llama-v3", {l2_split_llama3}, true},  {"smollm", {l2_split_digit, l2_split_gpt2}, false},
    {"gpt-2", {l2_split_gpt2}, false},
};

const char *l2_splitter_name(const struct l2_splitter *s, bool ignore_merges)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = names[i].patterns[1] ? 2 : 1;
        bool same = s->n == n && names[i].ignore_merges == ignore_merges;
        for (size_t k = 0; k < n && same; k++)
            same = strcmp(s->steps[k]->pattern, names[i].patterns[k]) == 0;
        if (same)
            return names[i].name;
    }
    return NULL;
}

int l2_splitter_of_name(struct l2_splitter *s, const char *name, size_t n, bool *ignore_merges,
                        const char *file, struct l2_err *err)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) != n || memcmp(names[i].name, name, n) != 0)
            continue;
        int r = L2_OK;
        *ignore_merges = names[i].ignore_merges;
        for (size_t k = 0; k < 2 && names[i].patterns[k] && r == L2_OK; k++)
            r = l2_splitter_add(s, names[i].patterns[k], strlen(names[i].patterns[k]), file, err);
        return r;
    }
    return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                     "tokenizer.ggml.pre %.*s is not supported: want llama-bpe, smollm or gpt-2",
                     n < 60 ? (int)n : 60, name);
}

/* ---- matching ---- */

int l2_split_work_new(struct l2_split_work **out, struct l2_err *err)
{
    *out = NULL;
    struct l2_split_work *w = calloc(1, sizeof *w);
    if (!w)
        return l2_err_memory(err, sizeof *w);
    w->fast = true;
    w->data = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
    if (!w->data || !w->context) { /* no stack: no just-in-time compiler here */
        l2_split_work_free(w);
        return l2_err_memory(err, STACK_MAX);
    }
    (void)pcre2_set_match_limit(w->context, MATCH_LIMIT);
    if (w->stack)
        pcre2_jit_stack_assign(w->context, NULL, w->stack);
    *out = w;
    return L2_OK;
}

void l2_split_work_free(struct l2_split_work *w)
{
    if (!w)
        return;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
}

void l2_split_work_set_fast(struct l2_split_work *w, bool fast)
{
    w->fast = fast;
}

int l2_split_next(const struct l2_splitter *s, struct l2_split_work *w, size_t i, const char *text,
                  size_t n, size_t pos, size_t *begin, size_t *end, struct l2_err *err)
{
    const struct l2_split_step *step = s->steps[i];
    *begin = *end = n;
    if (step->ascii && w->fast) {
        size_t to = step->ascii(text, n, pos);
        if (to > 0) {
            *begin = pos;
            *end = to;
            return L2_OK;
        }
    }
    int r = pcre2_match(step->code, (PCRE2_SPTR)text, n, pos, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY,
                        w->data, w->context);
    if (r == PCRE2_ERROR_NOMATCH)
        return L2_OK;
    if (r < 0) {
        PCRE2_UCHAR why[128] = "";
        (void)pcre2_get_error_message(r, why, sizeof why);
        return l2_err_set(err, L2_LIMIT, "split pattern at byte %zu of a part of %zu: %s", pos, n,
                          (const char *)why);
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(w->data);
    *begin = at[0];
    *end = at[1];
    /* \K and lookbehind may move the begin; what is not in order is no match */
    if (*begin < pos || *end <= *begin)
        return l2_err_set(err, L2_UNSUPPORTED, "split pattern matches before byte %zu", pos);
    return L2_OK;
}
