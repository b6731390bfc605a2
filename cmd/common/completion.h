/* Completion for shells, made from the option tables. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_COMPLETION_H
#define L2_COMPLETION_H

#include "common/cli.h"

enum l2_shell { L2_BASH, L2_ZSH };

/* The options of a program, or of one of its subcommands. */
struct l2_completion_part {
    const char *subcommand;             /* NULL: the program itself */
    const struct l2_opt *const *tables; /* NULL-terminated */
};

/* Appends a script that completes the options of the program, their choices and file names. A
 * program with subcommands has a part for each of them, and none for itself. */
int l2_completion_print(enum l2_shell shell, const char *program,
                        const struct l2_completion_part *parts, size_t n_parts, struct l2_buf *out,
                        struct l2_err *err) L2_MUST_CHECK;

#endif
