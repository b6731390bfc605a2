/* Fuzz target: a checkpoint in one file, of llama2.c; all its values can be read. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_model *m;
    struct l2_err err;
    float row[4096];
    int rc = l2_model_open(&m, fuzz_file("model.bin", data, n), &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc != L2_OK)
        return 0;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++) {
        const struct l2_tensor *t = &m->tensors[i];
        for (uint32_t r = 0; r < t->rows && t->cols <= 4096; r++)
            l2_tensor_row(t, m->hp.head_dim, r, row);
    }
    l2_model_close(m);
    return 0;
}
