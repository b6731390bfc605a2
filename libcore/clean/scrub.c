/* Changes to characters: invalid bytes, normal forms, controls, spaces. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/scrub.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_UTF8PROC
#    include <utf8proc.h>
#endif

#include "clean/charclass.h"
#include "util/utf8.h"

int l2_scrub_invalid(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                     struct l2_err *err)
{
    size_t pos = 0, bad;
    int r = L2_OK;
    *count = 0;
    while (r == L2_OK && !l2_utf8_valid(text + pos, n - pos, &bad)) {
        r = l2_buf_append(out, text + pos, bad, err);
        if (r == L2_OK)
            r = l2_buf_append(out, "\xef\xbf\xbd", 3, err);
        pos += bad + 1;
        ++*count;
    }
    return r == L2_OK ? l2_buf_append(out, text + pos, n - pos, err) : r;
}

#ifdef HAVE_UTF8PROC
bool l2_scrub_has_unicode(void)
{
    return true;
}

int l2_scrub_unicode(const char *text, size_t n, bool compat, struct l2_buf *out,
                     struct l2_err *err)
{
    utf8proc_uint8_t *made = NULL;
    utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    if (compat)
        how |= UTF8PROC_COMPAT;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &made, how);
    if (len < 0) {
        free(made);
        return len == UTF8PROC_ERROR_NOMEM
                   ? l2_err_memory(err, n)
                   : l2_err_set(err, L2_CORRUPT, "%s", utf8proc_errmsg(len));
    }
    int r = l2_buf_append(out, made, (size_t)len, err);
    free(made);
    return r;
}
#else
bool l2_scrub_has_unicode(void)
{
    return false;
}

int l2_scrub_unicode(const char *text, size_t n, bool compat, struct l2_buf *out,
                     struct l2_err *err)
{
    (void)text, (void)n, (void)compat, (void)out;
    return l2_err_set(err, L2_UNSUPPORTED, "Unicode normal forms want a build with utf8proc");
}
#endif

/* The length of a terminal's escape sequence at s, ESC [ parameters letter or ESC and a character;
 * else 0. */
static size_t escape_length(const char *s, size_t n)
{
    size_t i = 2;
    if (n < 2 || s[0] != '\x1b')
        return 0;
    if (s[1] != '[')
        return s[1] >= '0' && s[1] <= '~' ? 2 : 0;
    while (i < n && s[i] >= ' ' && s[i] <= '?')
        i++;
    return i < n && s[i] >= '@' && s[i] <= '~' ? i + 1 : 0;
}

/* Drops the last character of out from begin on; typewriters' bold and underline stand as c BS c
 * and _ BS c. */
static void backspace(struct l2_buf *out, size_t begin)
{
    while (out->len > begin && (out->data[out->len - 1] & 0xc0) == 0x80)
        out->len--;
    if (out->len > begin && out->data[out->len - 1] != '\n')
        out->len--;
}

int l2_scrub_controls(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                      struct l2_err *err)
{
    size_t begin = out->len;
    int r = l2_buf_reserve(out, n + 1, err); /* nothing grows */
    *count = 0;
    for (size_t i = 0; i < n && r == L2_OK;) {
        uint32_t cp = (uint8_t)text[i];
        size_t len = cp < 0x80 ? 1 : l2_utf8_decode(text + i, n - i, &cp), escape;
        bool keep = cp == '\t' || cp == '\n' || l2_char_class(cp) != L2_CHAR_CONTROL;
        if (len == 0)
            len = 1;
        if (cp == '\r') {
            if (i + 1 == n || text[i + 1] != '\n')
                out->data[out->len++] = '\n';
            keep = false;
        } else if ((escape = escape_length(text + i, n - i)) > 0) {
            len = escape;
        } else if (cp == '\b') {
            backspace(out, begin);
        } else if (cp == '\v' || cp == '\f') {
            keep = false;
        }
        if (keep) {
            memcpy(out->data + out->len, text + i, len);
            out->len += len;
        }
        *count += !keep;
        i += len;
    }
    return r;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* One line, without its end. */
static void put_line(struct l2_buf *out, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && is_space(s[i]))
        out->data[out->len++] = (uint8_t)s[i++];
    while (i < n) {
        if (is_space(s[i])) {
            while (i < n && is_space(s[i]))
                i++;
            out->data[out->len++] = ' ';
        } else {
            out->data[out->len++] = (uint8_t)s[i++];
        }
    }
}

int l2_scrub_spaces(const char *text, size_t n, struct l2_buf *out, struct l2_err *err)
{
    size_t begin = out->len, empty = 0;
    int r = l2_buf_reserve(out, n + 1, err);
    for (size_t i = 0; i < n && r == L2_OK;) {
        const char *newline = memchr(text + i, '\n', n - i);
        size_t end = newline ? (size_t)(newline - text) : n, len = end - i;
        while (len > 0 && is_space(text[i + len - 1]))
            len--;
        if (len == 0) {
            empty++;
        } else {
            if (out->len > begin && empty > 0)
                out->data[out->len++] = '\n';
            put_line(out, text + i, len);
            if (newline)
                out->data[out->len++] = '\n';
            empty = 0;
        }
        i = end + 1;
    }
    return r;
}
