/* What programs that render dialogues ask: which template, and whether a stream is of the
 * vocabulary. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CHAT_H
#define L2_CHAT_H

#include "common/cli.h"
#include "stream/stream.h"
#include "text/template.h"

/* Wrong usage where name, the value of --template, is neither none nor auto nor a template's. */
int l2_chat_check_name(struct l2_cli *cli, const char *name);
/* The template of that name; NULL for none. auto: what the vocabulary at that path says, which has
 * to say one, or L2_UNSUPPORTED: rows would mean something else without. */
int l2_chat_template(const struct l2_template **out, const char *name, const char *vocab,
                     struct l2_err *err) L2_MUST_CHECK;

/* L2_FORMAT where the stream of this name has a vocabulary that is not v, the one at path. */
int l2_chat_check_vocab(const struct l2_header *h, const char *stream, const struct l2_vocab *v,
                        const char *path, struct l2_err *err) L2_MUST_CHECK;

#endif
