/* Fuzz target: a tokenizer.json and, behind a zero byte, the tokenizer_config.json beside it; one
 * that can be read encodes a text and decodes it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "text/encode.h"
#include "text/template.h"

static const char text[] =
    "  Once upon a time, 3 B\xc3\xa4ren \xe4\xbd\xa0\n\n\tran. <s>[INST] \xff";

static void put_files(const uint8_t *data, size_t n)
{
    const uint8_t *end = n > 0 ? memchr(data, '\0', n) : NULL;
    size_t first = end ? (size_t)(end - data) : n;
    const char *config = fuzz_file("tokenizer_config.json", data, 0);
    if (end)
        (void)fuzz_file("tokenizer_config.json", end + 1, n - first - 1);
    else
        (void)unlink(config);
    (void)fuzz_file("tokenizer.json", data, first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct l2_template *t;
    struct l2_vocab *v;
    struct l2_encoder *e = NULL;
    struct l2_ids ids = {0};
    struct l2_buf out = {0};
    struct l2_err err;
    put_files(data, n);
    int rc = l2_template_of_vocab(&t, fuzz_dir(), &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    rc = l2_vocab_open(&v, fuzz_dir(), &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc != L2_OK)
        return 0;
    if (l2_encoder_new(&e, v, &err) == L2_OK &&
        l2_encode(e, text, sizeof text - 1, 0, &ids, &err) == L2_OK) {
        for (size_t i = 0; i < ids.n; i++)
            FUZZ_CHECK(ids.v[i] < l2_vocab_size(v));
        FUZZ_CHECK(l2_decode(v, ids.v, ids.n, false, &out, &err) == L2_OK);
    }
    l2_buf_release(&out);
    l2_encoder_free(e);
    l2_ids_release(&ids);
    l2_vocab_free(v);
    return 0;
}
