/* The batched forward pass: ragged rows of many sequences through the model at once. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ENGINE_H
#define L2_ENGINE_H

#include "kern/backend.h"
#include "model/model.h"
#include "nn/kv.h"
#include "nn/weights.h"

struct l2_engine;

struct l2_engine_opts {
    const struct l2_backend *backend;
    struct l2_pool *pool; /* borrowed; may be NULL */
    uint32_t max_rows;    /* rows of one forward pass at most */
    uint32_t max_outputs; /* rows with outputs at most */
    uint64_t kv_bytes;    /* memory for the KV cache */
    enum l2_kv_type kv_type;
    struct l2_weights_opts pack;
    const struct l2_engine *lender; /* packed weights that are the same are used, not packed again
                                       (see l2_weights_opts, whose lender this is); it outlives this
                                       engine; or NULL */
    bool no_prefix_sharing;         /* run every sequence from its start, whatever was run before */
    uint32_t
        n_layers; /* run only the first n_layers, and then no final norm; 0: all and the norm */
    bool
        no_head; /* L2_OUT_HEAD is never asked for, and the head not packed; always with n_layers */
};

/* One position of one sequence. The rows of a sequence in a batch are in order of position, without
 * gaps, from seq->len on; room for them has been reserved. */
struct l2_row {
    uint32_t token;
    struct l2_kv_seq *seq;
    bool wants_output;
};

/* What is computed for the rows that want outputs, in order of rows. */
enum l2_output {
    L2_OUT_HIDDEN, /* (n_outputs, dim): the final normed hidden state, or the n_layers-th layer's */
    L2_OUT_HEAD    /* (n_outputs, vocab_size or n_labels): logits, or label scores */
};

/* Packs m's weights (m is borrowed and outlives the engine: the embedding is read from its map) and
 * allocates all working memory. Owned, free with l2_engine_free. */
int l2_engine_new(struct l2_engine **out, const struct l2_model *m,
                  const struct l2_engine_opts *opts, struct l2_err *err) L2_MUST_CHECK;
void l2_engine_free(struct l2_engine *e);

/* Adapters on the model's projections, for all passes: to be set before the first one. Their values
 * are packed, and lora not kept. L2_ARGUMENT where it is of a model of another shape. */
struct l2_lora;
int l2_engine_set_lora(struct l2_engine *e, const struct l2_lora *lora,
                       struct l2_err *err) L2_MUST_CHECK;

const struct l2_hparams *l2_engine_hparams(const struct l2_engine *e);
struct l2_kv_pool *l2_engine_kv(const struct l2_engine *e);
/* Whether its workers share the beginnings of records (see l2_kv_prefix_share). */
bool l2_engine_shares_prefixes(const struct l2_engine *e);
uint32_t l2_engine_max_rows(const struct l2_engine *e);
uint32_t l2_engine_max_outputs(const struct l2_engine *e);
/* Bytes held by packed weights, working memory, and the KV pool. */
struct l2_engine_memory {
    uint64_t weights, work, kv;
    uint64_t lent; /* packed weights of the lender's that it uses; not among weights */
};
struct l2_engine_memory l2_engine_memory(const struct l2_engine *e);
/* The same of a native engine on a model with matrices of that type, before it is made; about,
 * since matrices are padded. */
struct l2_engine_memory l2_engine_plan(const struct l2_hparams *hp, enum l2_dtype dtype,
                                       const struct l2_engine_opts *opts);

/* Runs rows[0..n), appends their keys and values to the sequences (seq->len grows), and sets
 * *values to the outputs, valid until the next call (NULL when no row wants one). With the native
 * backend an output depends on its sequence's tokens and the weights alone. Tokens must be <
 * vocab_size, positions < context and room reserved: checked, L2_ARGUMENT, and then no sequence has
 * changed. Values may be non-finite when weights are; callers check. */
int l2_engine_forward(struct l2_engine *e, const struct l2_row *rows, size_t n, enum l2_output what,
                      const float **values, struct l2_err *err) L2_MUST_CHECK;

#endif
