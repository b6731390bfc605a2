/* Stop rules, searched with PCRE2's partial matching so that a text that grows is not searched
 * again from its start. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/stop.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct l2_stop {
    pcre2_code *code;
    pcre2_match_data *match;
};

static int match_error(int rc, struct l2_err *err)
{
    PCRE2_UCHAR text[256];
    if (rc == PCRE2_ERROR_NOMEMORY)
        return l2_err_set(err, L2_MEMORY, "stop pattern: out of memory");
    if (pcre2_get_error_message(rc, text, sizeof text) < 0)
        text[0] = '\0';
    return l2_err_set(err, L2_LIMIT, "stop pattern: %s", (const char *)text);
}

static int compile(struct l2_stop *s, const char *pattern, struct l2_err *err)
{
    PCRE2_UCHAR text[256];
    PCRE2_SIZE offset;
    int code, rc;
    s->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (!s->code) {
        if (pcre2_get_error_message(code, text, sizeof text) < 0)
            text[0] = '\0';
        return l2_err_set(err, L2_ARGUMENT, "stop pattern: offset %zu: %s", (size_t)offset,
                          (const char *)text);
    }
    s->match = pcre2_match_data_create_from_pattern(s->code, NULL);
    if (!s->match)
        return l2_err_set(err, L2_MEMORY, "stop pattern: out of memory");
    rc = pcre2_match(s->code, (PCRE2_SPTR) "", 0, 0, 0, s->match, NULL);
    if (rc >= 0)
        return l2_err_set(err, L2_ARGUMENT, "stop pattern: it matches the empty text");
    return rc == PCRE2_ERROR_NOMATCH ? L2_OK : match_error(rc, err);
}

int l2_stop_new(struct l2_stop **out, const char *pattern, struct l2_err *err)
{
    struct l2_stop *s = calloc(1, sizeof *s);
    int rc;
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    if ((rc = compile(s, pattern, err)) < 0) {
        l2_stop_free(s);
        return rc;
    }
    *out = s;
    return L2_OK;
}

void l2_stop_free(struct l2_stop *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_code_free(s->code);
    free(s);
}

/* A search with partial matching tells where the earliest match could begin that more text might
 * complete; nothing before that place needs to be looked at again. Without even a partial match
 * that place is the end of the text. Look-behind sees the whole text in either case.
 *
 * Patterns can tell where a search started (\G, and verbs such as (*COMMIT)); so a match that was
 * found from a later start counts only where a search from the beginning finds one too. */
int l2_stop_search(struct l2_stop *s, struct l2_stop_state *state, const char *text, size_t n,
                   bool *found, size_t *begin, struct l2_err *err)
{
    const PCRE2_SIZE *ovector = pcre2_get_ovector_pointer(s->match);
    int rc;
    *found = false;
    *begin = 0;
    rc = pcre2_match(s->code, (PCRE2_SPTR)text, n, state->from, PCRE2_PARTIAL_SOFT, s->match, NULL);
    if (rc == PCRE2_ERROR_PARTIAL) {
        state->from = ovector[0];
        return L2_OK;
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        state->from = n;
        return L2_OK;
    }
    if (rc >= 0 && state->from > 0)
        rc = pcre2_match(s->code, (PCRE2_SPTR)text, n, 0, 0, s->match, NULL);
    if (rc == PCRE2_ERROR_NOMATCH)
        return L2_OK;
    if (rc < 0)
        return match_error(rc, err);
    *found = true;
    *begin = ovector[0];
    return L2_OK;
}
