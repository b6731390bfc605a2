/* Finding the column of a value in a line of JSON, for error messages. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "stream/json.h"

/* Reads text[pos..n), which jansson has accepted: what follows what is known. */
struct scan {
    const char *text;
    size_t n, pos;
};

static void skip_space(struct scan *s)
{
    while (s->pos < s->n && strchr(" \t\r\n", s->text[s->pos]) && s->text[s->pos] != '\0')
        s->pos++;
}

/* Past the string that begins at pos. */
static void skip_string(struct scan *s)
{
    for (s->pos++; s->pos < s->n && s->text[s->pos] != '"'; s->pos++)
        if (s->text[s->pos] == '\\')
            s->pos++;
    s->pos++;
}

/* Past the value that begins at pos. */
static void skip_value(struct scan *s)
{
    size_t depth = 0;
    do {
        char ch = s->pos < s->n ? s->text[s->pos] : '\0';
        if (ch == '"') {
            skip_string(s);
            continue;
        }
        if (ch == '{' || ch == '[')
            depth++;
        if ((ch == '}' || ch == ']') && depth > 0)
            depth--;
        s->pos++;
        /* a number or a name ends before what cannot be part of it */
        if (depth == 0 && ch != '}' && ch != ']')
            while (s->pos < s->n && !strchr(",]} \t\r\n", s->text[s->pos]))
                s->pos++;
    } while (depth > 0 && s->pos < s->n);
}

/* True when the string that begins at pos is key. */
static bool is_key(const struct scan *s, const char *key)
{
    struct scan end = *s;
    skip_string(&end);
    if (end.pos > s->n)
        return false;
    json_t *j = json_loadb(s->text + s->pos, end.pos - s->pos, JSON_DECODE_ANY, NULL);
    bool same = json_is_string(j) && strcmp(json_string_value(j), key) == 0;
    json_decref(j);
    return same;
}

/* From the start of an object or array to the start of the value that step says. */
static bool go(struct scan *s, const struct l2_json_step *step)
{
    size_t index = 0;
    if (s->pos >= s->n || s->text[s->pos] != (step->key ? '{' : '['))
        return false;
    s->pos++;
    for (;;) {
        skip_space(s);
        if (s->pos >= s->n || s->text[s->pos] == '}' || s->text[s->pos] == ']')
            return false;
        bool here = step->key ? is_key(s, step->key) : index++ == step->index;
        if (step->key) {
            skip_string(s);
            skip_space(s);
            s->pos++; /* the colon */
            skip_space(s);
        }
        if (here)
            return s->pos < s->n;
        skip_value(s);
        skip_space(s);
        s->pos++; /* the comma, or the end */
        if (s->pos > s->n || strchr("}]", s->text[s->pos - 1]))
            return false;
    }
}

int64_t l2_json_column(const char *text, size_t n, const struct l2_json_step *steps, size_t n_steps)
{
    struct scan s = {text, n, 0};
    int64_t column = 1;
    skip_space(&s);
    for (size_t i = 0; i < n_steps; i++)
        if (!go(&s, &steps[i]))
            return 0;
    for (size_t i = 0; i < s.pos; i++)
        column += ((uint8_t)text[i] & 0xc0) != 0x80;
    return column;
}
