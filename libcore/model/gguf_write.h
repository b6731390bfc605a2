/* Writing models as GGUF files, as llama.cpp wants them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GGUF_MODEL_WRITE_H
#define L2_GGUF_MODEL_WRITE_H

#include "model/model.h"
#include "util/gguf_build.h"
#include "util/pool.h"

struct l2_gguf_opts {
    enum l2_dtype dtype;                 /* of matrices; vectors are F32 */
    const struct l2_quant *quant;        /* where dtype is L2_QUANTISED: one that can encode */
    const char *name;                    /* general.name, or NULL */
    const struct l2_gguf_values *values; /* more metadata: the vocabulary, the template; or NULL */
    struct l2_pool *pool;                /* borrowed; may be NULL */
    bool replace;                        /* a file that is there */
};

/* The type that a matrix gets: opts' own; but a vocabulary head gets Q6_K where the rest is Q4_K,
 * and rows that are not whole blocks of a k-quant get Q8_0, or F16 where they are not whole blocks
 * of that. quant is NULL where the type is no quantised one. */
enum l2_dtype l2_gguf_matrix_type(const struct l2_hparams *hp, const struct l2_gguf_opts *opts,
                                  enum l2_role role, const struct l2_quant **quant);

/* Writes and syncs the file under a temporary name beside path, then renames it; on failure nothing
 * is left. Tensors come from source, so that little is held in memory. Models with labels have no
 * form in GGUF: L2_UNSUPPORTED. A value too large for its type is L2_ARGUMENT. */
int l2_gguf_model_write(const char *path, const struct l2_hparams *hp,
                        const struct l2_model_source *source, const struct l2_gguf_opts *opts,
                        struct l2_err *err) L2_MUST_CHECK;

#endif
