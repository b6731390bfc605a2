/* How messages are put on standard error: one line, nothing in it that a terminal would act on. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MESSAGE_H
#define L2_MESSAGE_H

#include "common/cli.h"

/* "l2-model init", the name that messages start with and --help is asked of. */
void l2_message_name(const struct l2_cli *cli, char *out, size_t out_size);

/* Clears the progress line, then prints "name: text". Bytes that are not printable UTF-8 come out
 * as
 * '?': text may quote hostile files. */
void l2_message(struct l2_cli *cli, const char *text);

#endif
