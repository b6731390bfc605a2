/* Fuzz target: a GGUF file; the values of its tensors, its vocabulary and its template can be read.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"
#include "model/model.h"
#include "text/encode.h"
#include "text/template.h"

static void read_values(const char *path)
{
    struct l2_model *m;
    struct l2_err err;
    float row[4096];
    int rc = l2_model_open(&m, path, &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc != L2_OK)
        return;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++) {
        const struct l2_tensor *t = &m->tensors[i];
        for (uint32_t r = 0; r < t->rows && t->cols <= 4096; r++)
            l2_tensor_row(t, m->hp.head_dim, r, row);
    }
    l2_model_close(m);
}

static void read_vocabulary(const char *path)
{
    static const char text[] = "  Once upon a time, 3 B\xc3\xa4ren \xe4\xbd\xa0\n\n\tran.";
    struct l2_vocab *v;
    struct l2_encoder *e = NULL;
    struct l2_ids ids = {0};
    struct l2_buf out = {0};
    struct l2_err err;
    int rc = l2_vocab_open(&v, path, &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc != L2_OK)
        return;
    if (l2_encoder_new(&e, v, &err) == L2_OK &&
        l2_encode(e, text, sizeof text - 1, 0, &ids, &err) == L2_OK)
        FUZZ_CHECK(l2_decode(v, ids.v, ids.n, false, &out, &err) == L2_OK);
    l2_buf_release(&out);
    l2_encoder_free(e);
    l2_ids_release(&ids);
    l2_vocab_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct l2_template *t;
    struct l2_err err;
    const char *path = fuzz_file("model.gguf", data, n);
    read_values(path);
    read_vocabulary(path);
    int rc = l2_template_of_vocab(&t, path, &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    return 0;
}
