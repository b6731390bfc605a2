/* What tests of training share: small models, streams of texts and of rated pairs, and trainers. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_TRAIN_FIXTURE_H
#define L2_TEST_TRAIN_FIXTURE_H

#include <stdbool.h>

#include "train/trainer_state.h"

extern struct l2_err err; /* of the call that failed last */

extern const struct l2_hparams train_hp; /* a language model */
struct l2_hparams train_reward_hp(void); /* the same with one label */

/* A number from -1 to 1; seed goes on. */
float train_noise(uint32_t *seed);
/* Random parameters, half: in bf16; free with l2_params_free. */
struct l2_params *train_params(const struct l2_hparams *hp, bool half);

/* A stream in an unnamed file, to be closed. n texts of 5 to 34 ids. */
int train_texts(size_t n);
/* n pairs; the ratings go round, every third pair says how safe its answers are. */
int train_pairs(size_t n);

struct l2_data_opts train_data_opts(enum l2_data_kind kind);
struct l2_data *train_data(int fd, const struct l2_data_opts *o);
struct l2_trainer_opts train_opts(enum l2_data_kind kind);
struct l2_trainer *train_new(struct l2_params *p, const struct l2_trainer_opts *o);

#endif
