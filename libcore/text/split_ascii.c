/* The split patterns of GPT-2 and Llama 3 by hand where the text is ASCII: most words of most texts
 * end here, several times faster than by matching. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/split_ascii.h"

#include <stdbool.h>
#include <stdint.h>

enum { LETTER = 1, DIGIT = 2, SPACE = 4, BREAK = 8, OTHER = 16, BEYOND = 32 };

#define O OTHER
#define S SPACE
#define B (SPACE | BREAK)
#define D DIGIT
#define L LETTER
static const uint8_t ascii[128] = {
    O, O, O, O, O, O, O, O, O, S, B, S, S, B, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, D, D, D, D, D, D, D, D, D, D, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};
#undef O
#undef S
#undef B
#undef D
#undef L

/* 0 at the end of the text. */
static unsigned class_at(const char *text, size_t n, size_t i)
{
    if (i >= n)
        return 0;
    uint8_t c = (uint8_t)text[i];
    return c < 128 ? ascii[c] : BEYOND;
}

/* Where the run of characters of these classes that goes on at i ends; 0 where it meets one that is
 * not ASCII. */
static size_t run(const char *text, size_t n, size_t i, unsigned classes)
{
    unsigned c;
    while ((c = class_at(text, n, i)) & classes)
        i++;
    return c & BEYOND ? 0 : i;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The length of what an apostrophe at i begins of 's 't 're 've 'm 'll 'd, or 0. */
static size_t contraction(const char *text, size_t n, size_t i, bool any_case)
{
    if (i + 1 >= n)
        return 0;
    char a = any_case ? lower(text[i + 1]) : text[i + 1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (i + 2 >= n)
        return 0;
    char b = any_case ? lower(text[i + 2]) : text[i + 2];
    return (a == 'r' || a == 'v') && b == 'e' ? 3 : a == 'l' && b == 'l' ? 3 : 0;
}

/* White space from pos, without the last one where something else follows: \s+(?!\S)|\s+ */
static size_t spaces(const char *text, size_t n, size_t pos)
{
    size_t end = run(text, n, pos, SPACE);
    return end == 0 || end == n || end == pos + 1 ? end : end - 1;
}

size_t l2_split_ascii_gpt2(const char *text, size_t n, size_t pos)
{
    if (text[pos] == '\'') {
        size_t len = contraction(text, n, pos, false);
        if (len > 0)
            return pos + len;
    }
    size_t i = pos + (text[pos] == ' ');
    unsigned c = class_at(text, n, i);
    if (c & (LETTER | DIGIT | OTHER))
        return run(text, n, i + 1, c);
    return c & BEYOND ? 0 : spaces(text, n, pos);
}

/* Line breaks within white space end a word at the last of them: \s*[\r\n]+ */
static size_t llama3_spaces(const char *text, size_t n, size_t pos)
{
    size_t end = run(text, n, pos, SPACE);
    for (size_t i = end; i > pos; i--)
        if (class_at(text, n, i - 1) & BREAK)
            return i;
    return end == 0 || end == n || end == pos + 1 ? end : end - 1;
}

size_t l2_split_ascii_llama3(const char *text, size_t n, size_t pos)
{
    unsigned c = class_at(text, n, pos), next = class_at(text, n, pos + 1);
    if (text[pos] == '\'') {
        size_t len = contraction(text, n, pos, true);
        if (len > 0)
            return pos + len;
        if (next & BEYOND) /* U+017F is an s in any case */
            return 0;
    }
    if (c & LETTER)
        return run(text, n, pos + 1, LETTER);
    if (c & DIGIT) {
        size_t end = pos + 1;
        while (end < pos + 3 && class_at(text, n, end) & DIGIT)
            end++;
        return end < pos + 3 && class_at(text, n, end) & BEYOND ? 0 : end;
    }
    if (c & BEYOND)
        return 0;
    if (!(c & BREAK)) { /* one character of any other kind goes with the letters after it */
        if (next & LETTER)
            return run(text, n, pos + 2, LETTER);
        if (next & BEYOND)
            return 0;
    }
    size_t i = pos + (text[pos] == ' ');
    if (class_at(text, n, i) & OTHER) {
        i = run(text, n, i + 1, OTHER);
        while (i > 0 && class_at(text, n, i) & BREAK)
            i++;
        return i;
    }
    return llama3_spaces(text, n, pos);
}
