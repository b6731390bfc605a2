/* The vocabularies in tests/golden/tokenizer. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "tokenizers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scratch.h"

const char *golden_tokenizer(const char *name, const char *suffix)
{
    static char path[256];
    snprintf(path, sizeof path, "tests/golden/tokenizer/%s%s", name, suffix);
    return source_path(path);
}

struct l2_vocab *open_tokenizer(const char *path)
{
    struct l2_vocab *v;
    struct l2_err err;
    if (l2_vocab_open(&v, path, &err) != L2_OK)
        fail_msg("%s: %s", path, err.text);
    return v;
}
