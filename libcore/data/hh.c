/* Dialogues written as one text, the way the Anthropic HH data has them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/hh.h"

#include <string.h>

static bool begins_with(const char *s, size_t n, const char *marker, size_t *len)
{
    *len = strlen(marker);
    return n >= *len && memcmp(s, marker, *len) == 0;
}

size_t l2_hh_marker(const char *s, size_t n, size_t from, bool *assistant, size_t *len)
{
    while (from < n) {
        const char *newline = memchr(s + from, '\n', n - from);
        if (!newline)
            break;
        from = (size_t)(newline - s);
        *assistant = begins_with(newline, n - from, L2_HH_ASSISTANT, len);
        if (*assistant || begins_with(newline, n - from, L2_HH_HUMAN, len))
            return from;
        from++;
    }
    return n;
}

bool l2_hh_is(const char *s, size_t n)
{
    bool assistant = false;
    size_t len = 0, at = l2_hh_marker(s, n, 0, &assistant, &len);
    if (at != 0 || n == 0)
        return false;
    while (at < n && !assistant)
        at = l2_hh_marker(s, n, at + len, &assistant, &len);
    return at < n;
}

size_t l2_hh_boundary(const char *a, size_t na, const char *b, size_t nb)
{
    size_t same = 0, boundary = 0, len = 0;
    bool assistant = false;
    while (same < na && same < nb && a[same] == b[same])
        same++;
    for (size_t at = 0; (at = l2_hh_marker(a, same, at, &assistant, &len)) < same; at += len)
        if (assistant)
            boundary = at + len;
    return boundary;
}

static int append_turn(json_t *turns, bool assistant, const char *s, size_t n, struct l2_err *err)
{
    if (n > 0 && *s == ' ') {
        s++;
        n--;
    }
    json_t *turn = json_object();
    if (json_object_set_new(turn, "role", json_string(assistant ? "assistant" : "user")) != 0 ||
        json_object_set_new(turn, "content", json_stringn(s, n)) != 0) {
        json_decref(turn);
        return l2_err_memory(err, n);
    }
    return json_array_append_new(turns, turn) == 0 ? L2_OK : l2_err_memory(err, n);
}

json_t *l2_hh_turns(const char *s, size_t n, bool in_answer, struct l2_err *err)
{
    json_t *turns = json_array();
    bool assistant = in_answer;
    size_t len = 0, begin = 0;
    int r = turns ? L2_OK : l2_err_memory(err, n);
    if (!in_answer)
        begin = l2_hh_marker(s, n, 0, &assistant, &len) + len;
    while (r == L2_OK) {
        bool next = false;
        size_t end = l2_hh_marker(s, n, begin, &next, &len);
        if (end < n || begin < end || !assistant || in_answer)
            r = append_turn(turns, assistant, s + begin, end - begin, err);
        if (end == n)
            break;
        begin = end + len;
        assistant = next;
    }
    if (r != L2_OK) {
        json_decref(turns);
        return NULL;
    }
    return turns;
}
