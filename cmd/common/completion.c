/* Scripts for bash's complete and zsh's _arguments. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/completion.h"

/* The script with the first failure. */
struct script {
    struct l2_buf *out;
    struct l2_err *err;
    int rc;
};

#define PUT(s, ...)                                                                                \
    do {                                                                                           \
        if ((s)->rc == L2_OK)                                                                      \
            (s)->rc = l2_buf_printf((s)->out, (s)->err, __VA_ARGS__);                              \
    } while (0)

/* Calls each for every option of the tables. */
static void for_each(struct script *s, const struct l2_opt *const *tables,
                     void (*each)(struct script *, const struct l2_opt *))
{
    for (; *tables; tables++)
        for (const struct l2_opt *o = *tables; o->name; o++)
            if (o->kind != L2_OPT_HEADING)
                each(s, o);
}

/* ---- bash ---- */

static void bash_word(struct script *s, const struct l2_opt *o)
{
    PUT(s, " --%s", o->name);
}

/* What follows an option that takes an argument: its choices, a file, or nothing to be said. */
static void bash_argument(struct script *s, const struct l2_opt *o)
{
    if (o->kind == L2_OPT_FLAG)
        return;
    PUT(s, "    ");
    if (o->letter)
        PUT(s, "-%c | ", o->letter);
    PUT(s, "--%s)\n", o->name);
    if (o->kind == L2_OPT_CHOICE) {
        PUT(s, "        COMPREPLY=($(compgen -W '");
        for (size_t i = 0; o->choices[i]; i++)
            PUT(s, "%s%s", i > 0 ? " " : "", o->choices[i]);
        PUT(s, "' -- \"$current\"))\n");
    } else if (o->is_path || strcmp(o->arg, "FILE") == 0) {
        PUT(s, "        COMPREPLY=($(compgen -f -- \"$current\"))\n");
    }
    PUT(s, "        return ;;\n");
}

static void bash_part(struct script *s, const struct l2_completion_part *p)
{
    PUT(s, "    case $before in\n");
    for_each(s, p->tables, bash_argument);
    PUT(s, "    esac\n    words='");
    for_each(s, p->tables, bash_word);
    PUT(s, "'\n");
}

static void print_bash(struct script *s, const char *program,
                       const struct l2_completion_part *parts, size_t n)
{
    PUT(s, "# bash completion for %s\n_%s() {\n", program, program);
    PUT(s, "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} "
           "words=\n");
    if (parts[0].subcommand) {
        PUT(s, "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '");
        for (size_t i = 0; i < n; i++)
            PUT(s, "%s ", parts[i].subcommand);
        PUT(s, "--help --version' -- \"$current\"))\n        return\n    fi\n");
        PUT(s, "    case ${COMP_WORDS[1]} in\n");
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].subcommand)
            PUT(s, "    %s)\n", parts[i].subcommand);
        bash_part(s, &parts[i]);
        if (parts[i].subcommand)
            PUT(s, "    ;;\n");
    }
    if (parts[0].subcommand)
        PUT(s, "    esac\n");
    PUT(s,
        "    case $current in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
        "    *) COMPREPLY=($(compgen -f -- \"$current\")) ;;\n    esac\n}\n"
        "complete -o filenames -F _%s %s\n",
        program, program);
}

/* ---- zsh ---- */

/* Help as _arguments takes it inside of [ ] and of '...'. */
static void zsh_help(struct script *s, const char *help)
{
    for (; *help && s->rc == L2_OK; help++) {
        if (strchr("[]\\:", *help))
            PUT(s, "\\");
        if (*help == '\'')
            PUT(s, "'\\''");
        else
            PUT(s, "%c", *help);
    }
}

static void zsh_option(struct script *s, const struct l2_opt *o)
{
    bool many = o->kind == L2_OPT_LIST || o->kind == L2_OPT_CALL;
    PUT(s, " \\\n        ");
    if (o->letter && !many)
        PUT(s, "'(-%c --%s)'", o->letter, o->name);
    PUT(s, "%s", many ? "'*'" : "");
    if (o->letter)
        PUT(s, "{-%c,--%s}", o->letter, o->name);
    else
        PUT(s, "--%s", o->name);
    PUT(s, "'[");
    zsh_help(s, o->help);
    PUT(s, "]");
    if (o->kind == L2_OPT_CHOICE) {
        PUT(s, ":%s:(", o->arg);
        for (size_t i = 0; o->choices[i]; i++)
            PUT(s, "%s%s", i > 0 ? " " : "", o->choices[i]);
        PUT(s, ")");
    } else if (o->kind != L2_OPT_FLAG) {
        PUT(s, ":%s:%s", o->arg, o->is_path || strcmp(o->arg, "FILE") == 0 ? "_files" : " ");
    }
    PUT(s, "'");
}

static void zsh_part(struct script *s, const struct l2_completion_part *p)
{
    PUT(s, "    _arguments -s -S");
    for_each(s, p->tables, zsh_option);
    PUT(s, " \\\n        '*:file:_files'\n");
}

static void print_zsh(struct script *s, const char *program, const struct l2_completion_part *parts,
                      size_t n)
{
    PUT(s, "#compdef %s\n_%s() {\n", program, program);
    if (!parts[0].subcommand) {
        zsh_part(s, &parts[0]);
    } else {
        PUT(s, "    if (( CURRENT == 2 )); then\n        compadd");
        for (size_t i = 0; i < n; i++)
            PUT(s, " %s", parts[i].subcommand);
        PUT(s, "\n        return\n    fi\n    local name=$words[2]\n    shift words\n"
               "    (( CURRENT-- ))\n    case $name in\n");
        for (size_t i = 0; i < n; i++) {
            PUT(s, "    %s)\n", parts[i].subcommand);
            zsh_part(s, &parts[i]);
            PUT(s, "    ;;\n");
        }
        PUT(s, "    esac\n");
    }
    PUT(s, "}\n_%s \"$@\"\n", program);
}

int l2_completion_print(enum l2_shell shell, const char *program,
                        const struct l2_completion_part *parts, size_t n_parts, struct l2_buf *out,
                        struct l2_err *err)
{
    struct script s = {out, err, L2_OK};
    if (shell == L2_ZSH)
        print_zsh(&s, program, parts, n_parts);
    else
        print_bash(&s, program, parts, n_parts);
    return s.rc;
}
