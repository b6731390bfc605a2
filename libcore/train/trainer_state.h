/* What a trainer consists of. Private to it, its losses and its checkpoints. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TRAINER_STATE_H
#define L2_TRAINER_STATE_H

#include "train/trainer.h"

struct l2_trainer {
    struct l2_trainer_opts opts;
    struct l2_hparams hp;     /* of params */
    struct l2_params *params; /* borrowed */
    struct l2_params *grads; /* of all parameters; with adapters of the label head alone, or NULL */
    struct l2_adamw adamw;   /* moments for grads */
    struct l2_lora *lora, *lora_grads, *lora_m, *lora_v; /* NULL without adapters */
    struct l2_net *net;
    float *logprob, *coefficient; /* (cap_targets) */
    size_t cap_targets;
    float *scores, *dscores; /* (2 * cap_pairs) */
    uint32_t *rows;          /* (2 * cap_pairs) */
    size_t cap_pairs;
};

/* Adds the losses of the batch that the net has just seen, and (train) begins the backward pass
 * with their gradients. */
int l2_losses_add(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                  struct l2_losses *sums, struct l2_err *err) L2_MUST_CHECK;
/* All sums as doubles, and back: what workers add up. */
#define L2_LOSSES_NUMBERS (4 + 2 * (L2_N_RATINGS + 1))
void l2_losses_pack(const struct l2_losses *l, double out[L2_LOSSES_NUMBERS]);
void l2_losses_unpack(struct l2_losses *l, const double in[L2_LOSSES_NUMBERS]);

/* Arrays that steps change. */
struct l2_trainer_piece {
    void *values; /* f32 where size is 4, bf16 where it is 2 */
    size_t n, size;
    bool parameters; /* else moments */
};
#define L2_TRAINER_PIECES 12
size_t l2_trainer_pieces(const struct l2_trainer *t,
                         struct l2_trainer_piece out[L2_TRAINER_PIECES]);

/* Appends lines "name value": everything besides the pieces and the data's content that steps
 * depend on. Those before an empty line say what the pieces are. */
int l2_settings_write(const struct l2_trainer *t, const struct l2_data *d, struct l2_buf *out,
                      struct l2_err *err) L2_MUST_CHECK;

#endif
