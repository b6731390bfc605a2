/* Which setting of a checkpoint is another than this run's. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/settings.h"

#include <string.h>

struct line {
    const char *p;
    size_t n;
};

static struct line next_line(const char **p, const char *end)
{
    const char *newline = *p < end ? memchr(*p, '\n', (size_t)(end - *p)) : NULL;
    const char *stop = newline ? newline : end;
    struct line l = {*p, (size_t)(stop - *p)};
    *p = newline ? newline + 1 : end;
    return l;
}

/* Without the indentation and the colon that YAML has. */
static struct line stripped(struct line l)
{
    while (l.n > 0 && *l.p == ' ')
        l = (struct line){l.p + 1, l.n - 1};
    return l;
}

static size_t name_of(struct line l)
{
    const char *space = l.n > 0 ? memchr(l.p, ' ', l.n) : NULL;
    return space ? (size_t)(space - l.p) : l.n;
}

/* For messages: files are not trusted. */
static int shown(struct line l, size_t from)
{
    for (size_t i = from; i < l.n; i++)
        if (l.p[i] < ' ' || l.p[i] > '~')
            return 0;
    return l.n - from < 100 ? (int)(l.n - from) : 100;
}

static int differ(struct line was, struct line is, struct l2_err *err)
{
    size_t name = name_of(is), from = name < is.n ? name + 1 : is.n;
    if (name_of(was) != name || name == 0 || memcmp(was.p, is.p, name) != 0)
        return l2_err_set(err, L2_ARGUMENT, "was written with other settings: '%.*s' for '%.*s'",
                          shown(was, 0), was.p, shown(is, 0), is.p);
    size_t after = from < was.n ? from : was.n, letters = is.p[name - 1] == ':' ? name - 1 : name;
    return l2_err_set(err, L2_ARGUMENT, "is of a run with %.*s %.*s: this one has %.*s",
                      (int)letters, is.p, shown(was, after), was.p + after, shown(is, from),
                      is.p + from);
}

int l2_settings_compare(const char *theirs, size_t n_theirs, const char *ours, size_t n_ours,
                        bool changed, struct l2_err *err)
{
    const char *a = theirs, *b = ours, *a_end = theirs + n_theirs, *b_end = ours + n_ours;
    while (a < a_end || b < b_end) {
        struct line was = next_line(&a, a_end), is = next_line(&b, b_end);
        if (was.n == is.n && (is.n == 0 || memcmp(was.p, is.p, is.n) == 0)) {
            if (is.n == 0 && changed)
                return L2_OK;
            continue;
        }
        return differ(stripped(was), stripped(is), err);
    }
    return L2_OK;
}
