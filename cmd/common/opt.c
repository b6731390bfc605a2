/* Reading options: the command line by getopt_long, built from the option tables, and setting
 * targets from text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/opt.h"
#include "util/num.h"

/* Values that getopt_long returns for long options start here, above all letters. */
#define FIRST_LONG 256

void l2_options_init(struct l2_options *o, const struct l2_opt *const *tables)
{
    *o = (struct l2_options){.tables = tables};
    l2_arena_init(&o->arena);
}

void l2_options_release(struct l2_options *o)
{
    l2_arena_release(&o->arena);
    *o = (struct l2_options){0};
}

static bool is_option(const struct l2_opt *row)
{
    return row->kind != L2_OPT_HEADING;
}

const struct l2_opt *l2_opt_find(const struct l2_opt *const *tables, const char *name)
{
    for (; *tables; tables++)
        for (const struct l2_opt *row = *tables; row->name; row++)
            if (is_option(row) && strcmp(row->name, name) == 0)
                return row;
    return NULL;
}

/* ---- setting one target ---- */

static int wrong_number(const struct l2_opt *row, const char *kind, const char *value,
                        struct l2_err *err)
{
    if (row->min == 0 && row->max == 0)
        return l2_err_set(err, L2_ARGUMENT, "want %s, got '%s'", kind, value);
    if (row->max >= 9e15)
        return l2_err_set(err, L2_ARGUMENT, "want %s of at least %.15g, got '%s'", kind, row->min,
                          value);
    return l2_err_set(err, L2_ARGUMENT, "want %s from %.15g to %.15g, got '%s'", kind, row->min,
                      row->max, value);
}

static bool in_range(const struct l2_opt *row, double v)
{
    return (row->min == 0 && row->max == 0) || (v >= row->min && v <= row->max);
}

static int set_choice(const struct l2_opt *row, const char *value, struct l2_err *err)
{
    char names[256] = "";
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], value) == 0) {
            *(int *)row->target = i;
            return L2_OK;
        }
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "", row->choices[i]);
    }
    return l2_err_set(err, L2_ARGUMENT, "want one of %s, got '%s'", names, value);
}

/* The array old of n items with room for one more. Its capacity is the next power of two above n.
 */
static void *room_for_one(struct l2_options *o, const void *old, size_t n, size_t size,
                          struct l2_err *err)
{
    if (n > 0 && (n & (n - 1)) != 0)
        return (void *)old;
    return l2_arena_grow(&o->arena, old, n, n > 0 ? 2 * n : 1, size, err);
}

static int append_string(struct l2_options *o, struct l2_strings *list, const char *value,
                         struct l2_err *err)
{
    const char **v = room_for_one(o, list->v, list->n, sizeof *v, err);
    if (!v)
        return L2_MEMORY;
    v[list->n] = value;
    *list = (struct l2_strings){v, list->n + 1};
    return L2_OK;
}

static int append_given(struct l2_options *o, struct l2_opt_given **list, size_t *n,
                        const struct l2_opt *row, const char *value, struct l2_err *err)
{
    struct l2_opt_given *v = room_for_one(o, *list, *n, sizeof *v, err);
    if (!v)
        return L2_MEMORY;
    v[*n] = (struct l2_opt_given){row, value};
    *list = v;
    (*n)++;
    return L2_OK;
}

int l2_options_set(struct l2_options *o, const struct l2_opt *row, const char *value,
                   struct l2_err *err)
{
    int64_t i;
    double d;

    if (row->given)
        *row->given = true;
    switch (row->kind) {
    case L2_OPT_HEADING:
        return L2_OK;
    case L2_OPT_FLAG:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return l2_err_set(err, L2_ARGUMENT, "want true or false, got '%s'", value);
        *(bool *)row->target = value[0] == 't';
        return L2_OK;
    case L2_OPT_STRING:
        *(const char **)row->target = value;
        return L2_OK;
    case L2_OPT_LIST:
        return append_string(o, row->target, value, err);
    case L2_OPT_INT:
        if (!l2_parse_i64(value, &i) || !in_range(row, (double)i))
            return wrong_number(row, "a whole number", value, err);
        *(int64_t *)row->target = i;
        return L2_OK;
    case L2_OPT_SEED:
        if (!l2_parse_u64(value, row->target))
            return l2_err_set(err, L2_ARGUMENT,
                              "want a whole number from 0 to 18446744073709551615, got '%s'",
                              value);
        return L2_OK;
    case L2_OPT_REAL:
        if (!l2_parse_f64(value, &d) || !in_range(row, d))
            return wrong_number(row, "a number", value, err);
        *(double *)row->target = d;
        return L2_OK;
    case L2_OPT_BYTES:
        if (!l2_parse_bytes(value, row->target))
            return l2_err_set(err, L2_ARGUMENT,
                              "want a number of bytes, with K, M, G or T for powers of 1024, "
                              "got '%s'",
                              value);
        return L2_OK;
    case L2_OPT_CHOICE:
        return set_choice(row, value, err);
    case L2_OPT_CALL:
        if (!row->call(row->target, value, err))
            return err->code;
        return append_given(o, &o->called, &o->n_called, row, value, err);
    }
    return L2_OK;
}

/* ---- the command line ---- */

/* The tables as getopt_long wants them. */
struct getopt_tables {
    const struct l2_opt **rows; /* row of long option i is rows[i], and i + FIRST_LONG its value */
    bool *negates;
    struct option *longs;
    char *names; /* storage for negated names */
    char *letters;
    size_t n;
};

static void tables_release(struct getopt_tables *t)
{
    free(t->rows);
    free(t->negates);
    free(t->longs);
    free(t->names);
    free(t->letters);
}

static void add_long(struct getopt_tables *t, const struct l2_opt *row, const char *name,
                     bool negates)
{
    t->rows[t->n] = row;
    t->negates[t->n] = negates;
    t->longs[t->n] = (struct option){
        .name = name,
        .has_arg = row->kind == L2_OPT_FLAG ? no_argument : required_argument,
        .val = FIRST_LONG + (int)t->n,
    };
    t->n++;
}

/* "no-" + name, or name without its "no-": the flag that clears what row sets. NULL where an option
 * of that name exists. */
static char *negated_name(const struct l2_opt *const *tables, const struct l2_opt *row, char *room)
{
    bool has_no = strncmp(row->name, "no-", 3) == 0;
    const char *rest = has_no ? row->name + 3 : row->name;
    size_t skip = has_no ? 0 : 3;
    memcpy(room, "no-", skip);
    memcpy(room + skip, rest, strlen(rest) + 1);
    return l2_opt_find(tables, room) ? NULL : room;
}

static int tables_build(struct getopt_tables *t, const struct l2_opt *const *tables,
                        struct l2_err *err)
{
    size_t n = 0, bytes = 0;
    for (const struct l2_opt *const *p = tables; *p; p++)
        for (const struct l2_opt *row = *p; row->name; row++) {
            n++;
            bytes += strlen(row->name) + 4;
        }

    *t = (struct getopt_tables){0};
    t->rows = calloc(2 * n + 1, sizeof *t->rows);
    t->negates = calloc(2 * n + 1, sizeof *t->negates);
    t->longs = calloc(2 * n + 1, sizeof *t->longs);
    t->names = malloc(bytes + 1);
    t->letters = malloc(2 * n + 2);
    if (!t->rows || !t->negates || !t->longs || !t->names || !t->letters) {
        tables_release(t);
        return l2_err_memory(err, n * sizeof *t->longs);
    }

    char *name = t->names, *letter = t->letters;
    *letter++ = ':'; /* a missing argument is told apart from an unknown option */
    for (const struct l2_opt *const *p = tables; *p; p++)
        for (const struct l2_opt *row = *p; row->name; row++) {
            if (!is_option(row))
                continue;
            add_long(t, row, row->name, false);
            if (row->kind == L2_OPT_FLAG && !row->not_in_config &&
                negated_name(tables, row, name)) {
                add_long(t, row, name, true);
                name += strlen(name) + 1;
            }
            if (row->letter) {
                *letter++ = row->letter;
                if (row->kind != L2_OPT_FLAG)
                    *letter++ = ':';
            }
        }
    *letter = '\0';
    return L2_OK;
}

static const struct l2_opt *row_of(const struct getopt_tables *t, int c, bool *negates)
{
    *negates = false;
    if (c >= FIRST_LONG && (size_t)(c - FIRST_LONG) < t->n) {
        *negates = t->negates[c - FIRST_LONG];
        return t->rows[c - FIRST_LONG];
    }
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i]->letter == c)
            return t->rows[i];
    return NULL;
}

/* What getopt_long found wrong, as one sentence. word is the long option that it was reading. */
static int scan_error(const struct getopt_tables *t, int c, const char *word, struct l2_err *err)
{
    if (c == ':' && optopt < FIRST_LONG)
        return l2_err_set(err, L2_ARGUMENT, "option -%c wants an argument", optopt);
    if (c == ':')
        return l2_err_set(err, L2_ARGUMENT, "option --%s wants an argument",
                          t->longs[optopt - FIRST_LONG].name);
    if (optopt >= FIRST_LONG)
        return l2_err_set(err, L2_ARGUMENT, "option --%s takes no argument",
                          t->longs[optopt - FIRST_LONG].name);
    if (optopt != 0)
        return l2_err_set(err, L2_ARGUMENT, "unknown option -%c", optopt);

    char near[160] = "";
    size_t len = strcspn(word + 2, "=");
    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->longs[i].name, word + 2, len) == 0) {
            size_t n = strlen(near);
            snprintf(near + n, sizeof near - n, "%s--%s", n > 0 ? ", " : "", t->longs[i].name);
        }
    if (near[0])
        return l2_err_set(err, L2_ARGUMENT, "option %.*s is ambiguous: %s", (int)len + 2, word,
                          near);
    return l2_err_set(err, L2_ARGUMENT, "unknown option %.*s", (int)len + 2, word);
}

int l2_options_scan(struct l2_options *o, int argc, char **argv, struct l2_strings *operands,
                    struct l2_err *err)
{
    struct getopt_tables t;
    *operands = (struct l2_strings){0};
    int r = tables_build(&t, o->tables, err);
    if (r < 0)
        return r;

    opterr = 0;
    optind = 0; /* starts anew */
    for (;;) {
        bool negates;
        int c = getopt_long(argc, argv, t.letters, t.longs, NULL);
        if (c == -1)
            break;
        const struct l2_opt *row = row_of(&t, c, &negates);
        if (!row) {
            r = scan_error(&t, c, argv[optind - 1], err); /* optind is behind a long option */
            goto out;
        }
        const char *value = optarg;
        if (row->kind == L2_OPT_FLAG)
            value = negates ? "false" : "true";
        r = append_given(o, &o->given, &o->n_given, row, value, err);
        if (r < 0)
            goto out;
    }
    for (int i = optind; i < argc; i++) {
        r = append_string(o, operands, argv[i], err);
        if (r < 0)
            goto out;
    }
    r = L2_OK;
out:
    tables_release(&t);
    return r;
}

const char *l2_options_value(const struct l2_options *o, const struct l2_opt *row)
{
    for (size_t i = o->n_given; i-- > 0;)
        if (o->given[i].opt == row)
            return o->given[i].value;
    return NULL;
}

int l2_options_apply(struct l2_options *o, struct l2_err *err)
{
    for (size_t i = 0; i < o->n_given; i++) {
        const struct l2_opt *row = o->given[i].opt;
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = o->given[j].opt != row;
        if (row->kind == L2_OPT_LIST && first)
            *(struct l2_strings *)row->target = (struct l2_strings){0};
        struct l2_err why;
        int r = l2_options_set(o, row, o->given[i].value, &why);
        if (r == L2_ARGUMENT && !why.file[0])
            return l2_err_set(err, L2_ARGUMENT, "--%s: %s", row->name, why.text);
        if (r < 0) {
            *err = why;
            return r;
        }
    }
    return L2_OK;
}
