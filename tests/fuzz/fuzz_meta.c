/* Fuzz target: a file of Meta's, beside a params.json for it; all its values can be read. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "model/model.h"
#include "model/pickle.h"

/* What tests/llama_numpy.py's small models have. */
static const char params[] = "{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"n_kv_heads\": 4, "
                             "\"norm_eps\": 1e-5, \"vocab_size\": -1}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_model *m;
    struct l2_pickle_tensor *tensors;
    struct l2_err err;
    float row[4096];
    size_t n_tensors;
    /* the bytes as a pickle on its own, so that the machine is met without an archive around it */
    int rc = l2_pickle_read(&tensors, &n_tensors, data, n, "pickle", &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    free(tensors);
    (void)fuzz_file("params.json", (const uint8_t *)params, strlen(params));
    (void)fuzz_file("consolidated.00.pth", data, n);
    rc = l2_model_open(&m, fuzz_dir(), &err);
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
