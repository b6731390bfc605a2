/* Low-rank adapters (LoRA) on disk, as PEFT has them: adapter_config.json and
 * adapter_model.safetensors. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ADAPTER_H
#define L2_ADAPTER_H

#include "model/tensors.h"
#include "util/map.h"

/* Of one projection: W becomes W + scale B A. data is NULL where it has none. */
struct l2_adapter_pair {
    struct l2_tensor a, b; /* (rank, cols), (rows, rank) */
};

struct l2_adapter {
    struct l2_hparams hp; /* of the model with the adapters merged */
    uint32_t rank;
    double scale;
    struct l2_adapter_pair *pairs; /* (n_layers, L2_N_ROLES); owned */
    struct l2_tensor score;        /* a label head that goes with them; data NULL: none */
    struct l2_map map;
    char *path; /* owned */
};

/* True where path is a directory with an adapter_config.json. */
bool l2_adapter_detect(const char *path);

/* Opens adapters for a model of hyper-parameters base. Every shape and offset has been checked when
 * this returns; L2_UNSUPPORTED where PEFT's configuration asks for more than A and B. */
int l2_adapter_open(struct l2_adapter **out, const char *path, const struct l2_hparams *base,
                    struct l2_err *err) L2_MUST_CHECK;
void l2_adapter_close(struct l2_adapter *a);

/* row (cols) of a projection's matrix, as the model has it, gets what the adapter adds. scratch has
 * room for cols + rank floats. Nothing where there is no adapter. */
void l2_adapter_add(const struct l2_adapter *a, enum l2_role role, uint32_t layer, uint32_t row,
                    float *w, float *scratch);

/* Adapters to be written. */
struct l2_adapter_source {
    uint32_t rank;
    double alpha;
    /* A and B of a projection; false where it has none. */
    bool (*at)(const void *arg, enum l2_role role, uint32_t layer, const float **a,
               const float **b);
    const void *arg;
    const float *score; /* (n_labels, dim), or NULL */
    const char *base;   /* the model's name, for the configuration */
};

/* Creates the directory dir, whole or not at all; with replace in place of one that holds adapters.
 * Values are F32. */
int l2_adapter_write(const char *dir, const struct l2_hparams *hp,
                     const struct l2_adapter_source *source, bool replace,
                     struct l2_err *err) L2_MUST_CHECK;

#endif
