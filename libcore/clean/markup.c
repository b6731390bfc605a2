/* Taking HTML out of text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <strings.h>

#include "clean/scrub.h"
#include "util/utf8.h"

static const struct reference {
    const char *name;
    uint32_t cp;
} references[] = {
    {"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
    {"nbsp", 0xa0},     {"iexcl", 0xa1},   {"cent", 0xa2},    {"pound", 0xa3},   {"yen", 0xa5},
    {"sect", 0xa7},     {"copy", 0xa9},    {"laquo", 0xab},   {"shy", 0xad},     {"reg", 0xae},
    {"deg", 0xb0},      {"plusmn", 0xb1},  {"micro", 0xb5},   {"para", 0xb6},    {"middot", 0xb7},
    {"raquo", 0xbb},    {"frac12", 0xbd},  {"iquest", 0xbf},  {"times", 0xd7},   {"divide", 0xf7},
    {"auml", 0xe4},     {"ouml", 0xf6},    {"uuml", 0xfc},    {"Auml", 0xc4},    {"Ouml", 0xd6},
    {"Uuml", 0xdc},     {"szlig", 0xdf},   {"agrave", 0xe0},  {"aacute", 0xe1},  {"acirc", 0xe2},
    {"aelig", 0xe6},    {"ccedil", 0xe7},  {"egrave", 0xe8},  {"eacute", 0xe9},  {"ecirc", 0xea},
    {"iacute", 0xed},   {"ntilde", 0xf1},  {"oacute", 0xf3},  {"ocirc", 0xf4},   {"oslash", 0xf8},
    {"uacute", 0xfa},   {"aring", 0xe5},   {"oelig", 0x153},  {"ndash", 0x2013}, {"mdash", 0x2014},
    {"lsquo", 0x2018},  {"rsquo", 0x2019}, {"ldquo", 0x201c}, {"rdquo", 0x201d}, {"bull", 0x2022},
    {"hellip", 0x2026}, {"euro", 0x20ac},  {"trade", 0x2122}, {"rarr", 0x2192},  {"minus", 0x2212},
};

/* Elements behind which a line ends; others stand within a line. */
static const char *const blocks[] = {
    "address", "article", "aside",   "blockquote", "br",    "dd",   "div", "dl",
    "dt",      "figure",  "footer",  "form",       "h1",    "h2",   "h3",  "h4",
    "h5",      "h6",      "header",  "hr",         "li",    "main", "nav", "ol",
    "p",       "pre",     "section", "table",      "title", "tr",   "ul",  NULL};

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_name(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == ':';
}

/* A character reference at s, which begins with '&': its length and character, or 0. */
static size_t reference(const char *s, size_t n, uint32_t *cp)
{
    size_t i = 1;
    uint32_t v = 0;
    if (n > 32)
        n = 32;
    if (i < n && s[i] == '#') {
        bool hex = ++i < n && (s[i] | 0x20) == 'x';
        size_t first = i += hex;
        for (; i < n; i++) {
            char c = s[i], low = (char)(c | 0x20);
            uint32_t digit = c >= '0' && c <= '9'              ? (uint32_t)(c - '0')
                             : hex && low >= 'a' && low <= 'f' ? (uint32_t)(low - 'a' + 10)
                                                               : 99;
            if (digit == 99)
                break;
            v = v < 0x200000 ? v * (hex ? 16 : 10) + digit : v;
        }
        bool scalar = v > 0 && v <= 0x10ffff && !(v >= 0xd800 && v <= 0xdfff);
        *cp = scalar ? v : 0xfffd;
        return i > first && i < n && s[i] == ';' ? i + 1 : 0;
    }
    while (i < n && is_name(s[i]))
        i++;
    for (size_t k = 0; i < n && s[i] == ';' && k < sizeof references / sizeof *references; k++)
        if (strlen(references[k].name) == i - 1 && memcmp(references[k].name, s + 1, i - 1) == 0) {
            *cp = references[k].cp;
            return i + 1;
        }
    return 0;
}

/* Where needle begins, without regard to case, from i on; n where it does not. */
static size_t find(const char *s, size_t n, size_t i, const char *needle)
{
    size_t len = strlen(needle);
    for (; i + len <= n; i++) {
        const char *p = memchr(s + i, needle[0], n - len - i + 1);
        if (!p)
            return n;
        i = (size_t)(p - s);
        if (strncasecmp(p, needle, len) == 0)
            return i;
    }
    return n;
}

/* A tag at s[0..n), which begins with '<': its length, 0 where it is none. Quoted values may hold
 * '>'; a tag of more than 64 KiB is none. */
static size_t tag_length(const char *s, size_t n)
{
    char quote = 0;
    size_t i = 1;
    if (n > 65536)
        n = 65536;
    if (i < n && s[i] == '/')
        i++;
    if (i >= n || !(is_letter(s[i]) || (i == 1 && (s[i] == '!' || s[i] == '?'))))
        return 0;
    for (; i < n; i++) {
        if (quote) {
            quote = s[i] == quote ? 0 : quote;
        } else if (s[i] == '>') {
            return i + 1;
        } else if (s[i] == '<') {
            return 0;
        } else if ((s[i] == '"' || s[i] == '\'') && s[i - 1] == '=') {
            quote = s[i];
        }
    }
    return 0;
}

static bool tag_is(const char *tag, size_t n, const char *name)
{
    size_t skip = n > 1 && tag[1] == '/' ? 2 : 1, len = strlen(name);
    return n > skip + len && strncasecmp(tag + skip, name, len) == 0 && !is_name(tag[skip + len]);
}

static bool is_block(const char *tag, size_t n)
{
    for (size_t i = 0; blocks[i]; i++)
        if (tag_is(tag, n, blocks[i]))
            return true;
    return false;
}

/* How much is taken away at s, which begins with '<'; 0: nothing. *missing remembers that no end of
 * a comment is left, so that hostile text is not searched again and again. */
static size_t markup_length(const char *s, size_t n, bool missing[3])
{
    static const char *const ends[3] = {"-->", "</script", "</style"};
    size_t tag, kind, end;
    if (n >= 4 && memcmp(s, "<!--", 4) == 0) {
        kind = 0;
        tag = 4;
    } else {
        tag = tag_length(s, n);
        if (tag == 0 || s[1] == '/' || !(tag_is(s, tag, "script") || tag_is(s, tag, "style")))
            return tag;
        kind = tag_is(s, tag, "script") ? 1 : 2;
    }
    end = missing[kind] ? n : find(s, n, tag, ends[kind]);
    if (end < n)
        return kind == 0 ? end + 3 : end;
    missing[kind] = true;
    return kind == 0 ? 0 : tag;
}

int l2_scrub_markup(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                    struct l2_err *err)
{
    bool missing[3] = {false, false, false};
    size_t done = 0;
    int r = L2_OK;
    *count = 0;
    for (size_t i = 0; i < n && r == L2_OK;) {
        char put[4];
        size_t len = 0, put_n = 0;
        uint32_t cp;
        if (text[i] == '<') {
            len = markup_length(text + i, n - i, missing);
            if (len > 0 && is_block(text + i, len)) {
                put[0] = '\n';
                put_n = 1;
            }
        } else if (text[i] == '&') {
            len = reference(text + i, n - i, &cp);
            put_n = len > 0 ? l2_utf8_encode(cp, put) : 0;
        }
        if (len == 0) {
            i++;
            continue;
        }
        r = l2_buf_append(out, text + done, i - done, err);
        if (r == L2_OK)
            r = l2_buf_append(out, put, put_n, err);
        i += len;
        done = i;
        ++*count;
    }
    return r == L2_OK ? l2_buf_append(out, text + done, n - done, err) : r;
}
