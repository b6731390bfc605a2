/* Unit tests of the option tables: the command line, configuration files, --print-config, --help.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config_file.h"
#include "common/opt.h"

#define MAX_ARGS 16

/* What the table below sets. */
static struct {
    bool flag, no_eos, name_given;
    const char *name, *path;
    struct l2_strings list;
    int64_t count;
    uint64_t seed, bytes;
    double real;
    int choice;
    int calls;
} t;

static const char *const choices[] = {"red", "green", NULL};

static bool count_call(void *target, const char *value, struct l2_err *err)
{
    if (strcmp(value, "bad") == 0) {
        (void)l2_err_set(err, L2_ARGUMENT, "want something good, got '%s'", value);
        return false;
    }
    (*(int *)target)++;
    return true;
}

static const struct l2_opt rows[] = {
    L2_OPT_TITLE("Things"),
    {.name = "flag", .letter = 'f', .kind = L2_OPT_FLAG, .help = "a flag", .target = &t.flag},
    {.name = "no-eos", .kind = L2_OPT_FLAG, .help = "no EOS", .target = &t.no_eos},
    {.name = "name",
     .letter = 'n',
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "a name",
     .target = &t.name,
     .given = &t.name_given},
    {.name = "path",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "a path",
     .target = &t.path,
     .is_path = true},
    {.name = "list",
     .letter = 'l',
     .kind = L2_OPT_LIST,
     .arg = "FILE",
     .help = "a list",
     .target = &t.list,
     .is_path = true},
    {.name = "count",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "how many",
     .target = &t.count,
     .min = 1,
     .max = 10},
    {.name = "seed", .kind = L2_OPT_SEED, .arg = "N", .help = "the seed", .target = &t.seed},
    {.name = "real",
     .kind = L2_OPT_REAL,
     .arg = "X",
     .help = "a number",
     .target = &t.real,
     .min = 0,
     .max = 2},
    {.name = "bytes", .kind = L2_OPT_BYTES, .arg = "SIZE", .help = "a size", .target = &t.bytes},
    {.name = "choice",
     .kind = L2_OPT_CHOICE,
     .arg = "COLOUR",
     .choices = choices,
     .help = "a colour; this help is long enough that it has to be wrapped over several lines of "
             "the screen",
     .target = &t.choice},
    {.name = "call",
     .kind = L2_OPT_CALL,
     .arg = "X",
     .help = "a call",
     .target = &t.calls,
     .call = count_call},
    L2_OPT_TABLE_END,
};
static const struct l2_opt *const tables[] = {rows, NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "make", .usage = "", .summary = "make", .options = rows},
    {.name = "show", .usage = "", .summary = "show", .options = NULL},
    {.name = NULL},
};
static const struct l2_program plain = {.name = "l2-score", .options = rows};
static const struct l2_program with_subs = {.name = "l2-model", .subcommands = subcommands};

static void reset(void)
{
    memset(&t, 0, sizeof t);
    t.count = 3;
    t.real = 1;
}

/* Scans and applies a command line. */
static int parse(struct l2_options *o, struct l2_strings *operands, struct l2_err *err, ...)
{
    static char *args[MAX_ARGS];
    int n = 1;
    va_list ap;
    args[0] = (char *)"l2-score";
    va_start(ap, err);
    while (n < MAX_ARGS && (args[n] = va_arg(ap, char *)))
        n++;
    va_end(ap);
    l2_options_init(o, tables);
    int r = l2_options_scan(o, n, args, operands, err);
    return r < 0 ? r : l2_options_apply(o, err);
}

static void test_command_line(void **state)
{
    struct l2_options o;
    struct l2_strings operands;
    struct l2_err err;
    (void)state;
    reset();
    assert_int_equal(parse(&o, &operands, &err, "one", "-f", "--na=x", "-la", "--list", "b",
                           "--count=10", "two", "--bytes", "2K", "--choice=green", "--", "--three",
                           NULL),
                     L2_OK);
    assert_true(t.flag);
    assert_true(t.name_given);
    assert_string_equal(t.name, "x");
    assert_int_equal(t.list.n, 2);
    assert_string_equal(t.list.v[0], "a");
    assert_string_equal(t.list.v[1], "b");
    assert_int_equal(t.count, 10);
    assert_int_equal(t.bytes, 2048);
    assert_int_equal(t.choice, 1);
    assert_int_equal(operands.n, 3);
    assert_string_equal(operands.v[0], "one");
    assert_string_equal(operands.v[2], "--three");
    l2_options_release(&o);
}

static void test_negated_flags(void **state)
{
    struct l2_options o;
    struct l2_strings operands;
    struct l2_err err;
    (void)state;
    reset();
    t.flag = t.no_eos = true;
    assert_int_equal(parse(&o, &operands, &err, "--no-flag", "--eos", NULL), L2_OK);
    assert_false(t.flag);
    assert_false(t.no_eos);
    l2_options_release(&o);
}

static void wrong(const char *text, const char *a, const char *b)
{
    struct l2_options o;
    struct l2_strings operands;
    struct l2_err err;
    reset();
    assert_int_equal(parse(&o, &operands, &err, a, b, NULL), L2_ARGUMENT);
    assert_string_equal(err.text, text);
    l2_options_release(&o);
}

static void test_wrong_usage(void **state)
{
    (void)state;
    wrong("unknown option --wat", "--wat=1", NULL);
    wrong("unknown option -x", "-fx", NULL);
    wrong("option --c is ambiguous: --count, --choice, --call", "--c=1", NULL);
    wrong("option --name wants an argument", "--name", NULL);
    wrong("option -n wants an argument", "-n", NULL);
    wrong("option --flag takes no argument", "--flag=x", NULL);
    wrong("--count: want a whole number from 1 to 10, got '11'", "--count=11", NULL);
    wrong("--count: want a whole number from 1 to 10, got '1e1'", "--count", "1e1");
    wrong("--real: want a number from 0 to 2, got 'nan'", "--real=nan", NULL);
    wrong("--seed: want a whole number from 0 to 18446744073709551615, got '-1'", "--seed=-1",
          NULL);
    wrong("--bytes: want a number of bytes, with K, M, G or T for powers of 1024, got '1Q'",
          "--bytes=1Q", NULL);
    wrong("--choice: want one of red, green, got 'blue'", "--choice=blue", NULL);
    wrong("--call: want something good, got 'bad'", "--call=bad", NULL);
}

/* Many operands keep their order: the array grows. */
static void test_many_operands(void **state)
{
    enum { N = 1000 };
    struct l2_options o;
    struct l2_strings operands;
    struct l2_err err;
    char names[N][16];
    char *args[N + 1] = {(char *)"l2-score"};
    (void)state;
    reset();
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        args[i + 1] = names[i];
    }
    l2_options_init(&o, tables);
    assert_int_equal(l2_options_scan(&o, N + 1, args, &operands, &err), L2_OK);
    assert_int_equal(operands.n, N);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(operands.v[i], names[i]);
    l2_options_release(&o);
}

/* ---- configuration files ---- */

static char config_path[] = "/tmp/l2-test-XXXXXX";

static void write_config(const char *text)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int load(struct l2_options *o, const struct l2_program *p, const struct l2_subcommand *sub,
                const char *text, struct l2_err *err)
{
    reset();
    write_config(text);
    l2_options_init(o, tables);
    return l2_config_load(o, config_path, p, sub, err);
}

static void test_config(void **state)
{
    struct l2_options o;
    struct l2_strings operands;
    struct l2_err err;
    char *args[] = {(char *)"l2-score", (char *)"--count=4", (char *)"-l", (char *)"z", NULL};
    (void)state;
    assert_int_equal(load(&o, &plain, NULL,
                          "threads: 2\n"
                          "l2-score:\n"
                          "  flag: true\n"
                          "  name: 'a b'\n"
                          "  path: sub/file\n"
                          "  list: [x, /abs]\n"
                          "  count: 7\n"
                          "  bytes: 1M\n"
                          "  call: [a, b]\n"
                          "l2-generate:\n"
                          "  whatever: 1\n",
                          &err),
                     L2_OK);
    assert_true(t.flag);
    assert_string_equal(t.name, "a b");
    assert_string_equal(t.path, "/tmp/sub/file");
    assert_int_equal(t.list.n, 2);
    assert_string_equal(t.list.v[0], "/tmp/x");
    assert_string_equal(t.list.v[1], "/abs");
    assert_int_equal(t.count, 7);
    assert_int_equal(t.bytes, 1 << 20);
    assert_int_equal(t.calls, 2);
    /* the command line wins, and its list replaces the file's */
    assert_int_equal(l2_options_scan(&o, 4, args, &operands, &err), L2_OK);
    assert_int_equal(l2_options_apply(&o, &err), L2_OK);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.list.n, 1);
    assert_string_equal(t.list.v[0], "z");
    l2_options_release(&o);
}

static void test_config_sections(void **state)
{
    struct l2_options o;
    struct l2_err err;
    (void)state;
    /* the subcommand's section wins over the program's, wherever it stands */
    assert_int_equal(load(&o, &with_subs, &subcommands[0],
                          "l2-model:\n"
                          "  make: {count: 5, list: [b]}\n"
                          "  show:\n"
                          "  count: 2\n"
                          "  list: [a, c]\n",
                          &err),
                     L2_OK);
    assert_int_equal(t.count, 5);
    assert_int_equal(t.list.n, 1);
    l2_options_release(&o);
    assert_int_equal(load(&o, &plain, NULL, "", &err), L2_OK);
    l2_options_release(&o);
    assert_int_equal(load(&o, &plain, NULL, "l2-score:\n", &err), L2_OK);
    l2_options_release(&o);
}

static void wrong_config(int code, int line, int column, const char *text, const char *config)
{
    struct l2_options o;
    struct l2_err err;
    assert_int_equal(load(&o, &with_subs, &subcommands[0], config, &err), code);
    if (text)
        assert_string_equal(err.text, text);
    assert_string_equal(err.file, config_path);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
    l2_options_release(&o);
}

static void test_wrong_config(void **state)
{
    (void)state;
    wrong_config(L2_ARGUMENT, 3, 3, "unknown key 'colour'",
                 "l2-model:\n  flag: true\n  colour: red\n");
    wrong_config(L2_ARGUMENT, 1, 1,
                 "unknown key 'l2-modle' (here stand options that all programs share, and "
                 "sections of programs)",
                 "l2-modle:\n  flag: true\n");
    wrong_config(L2_ARGUMENT, 1, 1,
                 "unknown key 'count' (here stand options that all programs share, and sections "
                 "of programs)",
                 "count: 3\n");
    wrong_config(L2_ARGUMENT, 3, 12, "count: want a whole number from 1 to 10, got '99'",
                 "l2-model:\n  make:\n    count: 99\n");
    wrong_config(L2_ARGUMENT, 3, 3, "key 'flag' is given twice",
                 "l2-model:\n  flag: true\n  flag: false\n");
    wrong_config(L2_ARGUMENT, 2, 9, "flag: want true or false, got 'yes'",
                 "l2-model:\n  flag: yes\n");
    wrong_config(L2_ARGUMENT, 2, 8, "name: want a value, got none", "l2-model:\n  name:\n");
    wrong_config(L2_ARGUMENT, 2, 9, "name: want a single value", "l2-model:\n  name: [a, b]\n");
    wrong_config(L2_ARGUMENT, 2, 9, "name: value holds a NUL character",
                 "l2-model:\n  name: \"a\\0b\"\n");
    wrong_config(L2_ARGUMENT, 1, 11, "want keys with values", "l2-model: 3\n");
    wrong_config(L2_ARGUMENT, 3, 1, "a second document", "l2-model:\n---\nl2-model:\n");
    wrong_config(L2_FORMAT, 2, 1, NULL, "l2-model: [\n");
}

/* What --print-config writes, --config reads back to the same values. */
static void test_print_config(void **state)
{
    struct l2_options o, back;
    struct l2_strings operands;
    struct l2_err err;
    struct l2_buf first = {0}, second = {0};
    (void)state;
    reset();
    assert_int_equal(parse(&o, &operands, &err, "-f", "--name=yes: \"no\"\n", "--path=/x",
                           "--list=/a b", "--list=/c", "--real=0.1", "--call=q", NULL),
                     L2_OK);
    assert_int_equal(l2_config_print(&o, &plain, NULL, false, &first, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&first, 0, &err), L2_OK);
    reset();
    write_config((const char *)first.data);
    l2_options_init(&back, tables);
    assert_int_equal(l2_config_load(&back, config_path, &plain, NULL, &err), L2_OK);
    assert_string_equal(t.name, "yes: \"no\"\n");
    assert_true(t.real == 0.1);
    assert_int_equal(t.list.n, 2);
    assert_int_equal(l2_config_print(&back, &plain, NULL, false, &second, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&second, 0, &err), L2_OK);
    assert_string_equal((const char *)first.data, (const char *)second.data);
    l2_buf_release(&first);
    l2_buf_release(&second);
    l2_options_release(&o);
    l2_options_release(&back);
}

static void test_help(void **state)
{
    struct l2_buf out = {0};
    struct l2_err err;
    (void)state;
    reset();
    assert_int_equal(l2_opt_help(tables, &out, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&out, 0, &err), L2_OK);
    char *text = (char *)out.data;
    assert_non_null(strstr(text, "\nThings:\n  -f, --flag              a flag\n"));
    assert_non_null(strstr(text, "      --count=N           how many (default: 3)\n"));
    assert_non_null(strstr(text, " red)\n"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
    l2_buf_release(&out);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(config_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(config_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line), cmocka_unit_test(test_negated_flags),
        cmocka_unit_test(test_wrong_usage),  cmocka_unit_test(test_many_operands),
        cmocka_unit_test(test_config),       cmocka_unit_test(test_config_sections),
        cmocka_unit_test(test_wrong_config), cmocka_unit_test(test_print_config),
        cmocka_unit_test(test_help),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("opt", tests, make_file, remove_file);
}
