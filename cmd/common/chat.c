/* What programs that render dialogues ask: which template, and whether a stream is of the
 * vocabulary. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/chat.h"

#include <string.h>

int l2_chat_check_name(struct l2_cli *cli, const char *name)
{
    if (strcmp(name, "none") == 0 || strcmp(name, "auto") == 0 || l2_template_find(name))
        return 0;
    return l2_cli_usage(cli, "--template: want none, auto or one of %s, got '%s'",
                        l2_template_names(), name);
}

int l2_chat_template(const struct l2_template **out, const char *name, const char *vocab,
                     struct l2_err *err)
{
    *out = NULL;
    if (strcmp(name, "none") == 0)
        return L2_OK;
    if (strcmp(name, "auto") != 0) {
        *out = l2_template_find(name);
        return L2_OK;
    }
    int r = l2_template_of_vocab(out, vocab, err);
    if (r == L2_OK && !*out)
        r = l2_err_at(err, L2_UNSUPPORTED, vocab, -1,
                      "says no chat template: say with --template which to use");
    return r;
}

int l2_chat_check_vocab(const struct l2_header *h, const char *stream, const struct l2_vocab *v,
                        const char *path, struct l2_err *err)
{
    if (!h->has_vocab || (h->vocab_size == l2_vocab_size(v) &&
                          memcmp(h->vocab_hash, l2_vocab_hash(v), sizeof h->vocab_hash) == 0))
        return L2_OK;
    return l2_err_at(err, L2_FORMAT, stream, -1,
                     "the stream's vocabulary of %u tokens is not that of %s", h->vocab_size, path);
}
