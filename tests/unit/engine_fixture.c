/* Engines, and tokens fed to them, that the tests of the forward pass share. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const struct l2_backend *const backends[2] = {&l2_backend_native, &l2_backend_blas};

struct l2_engine_opts engine_opts_of(const struct l2_backend *backend, struct l2_pool *pool)
{
    return (struct l2_engine_opts){.backend = backend,
                                   .pool = pool,
                                   .max_rows = MAX_ROWS,
                                   .max_outputs = MAX_ROWS,
                                   .kv_bytes = (uint64_t)64 << 20};
}

struct l2_engine *engine_of(const struct l2_model *m, struct l2_engine_opts opts)
{
    struct l2_engine *e;
    struct l2_err err;
    if (l2_engine_new(&e, m, &opts, &err) != L2_OK)
        fail_msg("%s", err.text);
    return e;
}

void engine_forward(struct l2_engine *e, const struct l2_row *rows, size_t n, enum l2_output what,
                    const float **values)
{
    struct l2_err err;
    if (l2_engine_forward(e, rows, n, what, values, &err) != L2_OK)
        fail_msg("%s", err.text);
}

void engine_reserve(struct l2_engine *e, struct l2_kv_seq *s, uint32_t positions)
{
    struct l2_err err;
    if (l2_kv_seq_reserve(l2_engine_kv(e), s, positions, &err) != L2_OK)
        fail_msg("%s", err.text);
}

size_t engine_width_of(const struct l2_engine *e, enum l2_output what)
{
    const struct l2_hparams *hp = l2_engine_hparams(e);
    if (what == L2_OUT_HIDDEN)
        return hp->dim;
    return hp->head == L2_HEAD_LABELS ? hp->n_labels : hp->vocab_size;
}

void engine_feed(struct l2_engine *e, struct l2_kv_seq *s, const uint32_t *tokens, size_t n,
                 enum l2_output what, float *out)
{
    struct l2_row rows[MAX_ROWS];
    const float *values;
    engine_reserve(e, s, s->len + (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct l2_row){tokens[i], s, out != NULL};
    engine_forward(e, rows, n, what, &values);
    assert_true((values != NULL) == (out != NULL));
    if (out)
        memcpy(out, values, n * engine_width_of(e, what) * sizeof *out);
}
