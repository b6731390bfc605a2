/* Fuzz target: a vocabulary file of any kind; one that can be read encodes a text and decodes it.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"
#include "text/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "  Once upon a time, 3 B\xc3\xa4ren \xe4\xbd\xa0\n\n\tran.";
    struct l2_vocab *v;
    struct l2_encoder *e = NULL;
    struct l2_ids ids = {0};
    struct l2_err err;
    int rc = l2_vocab_open(&v, fuzz_file("vocabulary", data, n), &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc != L2_OK)
        return 0;
    if (l2_encoder_new(&e, v, &err) == L2_OK &&
        l2_encode(e, text, sizeof text - 1, 0, &ids, &err) == L2_OK)
        for (size_t i = 0; i < ids.n; i++) {
            size_t len;
            FUZZ_CHECK(ids.v[i] < l2_vocab_size(v));
            (void)l2_vocab_bytes(v, ids.v[i], &len);
        }
    l2_encoder_free(e);
    l2_ids_release(&ids);
    l2_vocab_free(v);
    return 0;
}
