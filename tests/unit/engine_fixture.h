/* Engines, and tokens fed to them, that the tests of the forward pass share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_ENGINE_FIXTURE_H
#define L2_TEST_ENGINE_FIXTURE_H

#include "nn/engine.h"

#define MAX_ROWS  256
#define TOLERANCE 2e-4

extern const struct l2_backend *const backends[2]; /* native, blas */

struct l2_engine_opts engine_opts_of(const struct l2_backend *backend, struct l2_pool *pool);
struct l2_engine *engine_of(const struct l2_model *m, struct l2_engine_opts opts);
void engine_forward(struct l2_engine *e, const struct l2_row *rows, size_t n, enum l2_output what,
                    const float **values);
void engine_reserve(struct l2_engine *e, struct l2_kv_seq *s, uint32_t positions);
size_t engine_width_of(const struct l2_engine *e, enum l2_output what);
/* Feeds tokens to s in one pass; outputs of all of them into out unless it is NULL. */
void engine_feed(struct l2_engine *e, struct l2_kv_seq *s, const uint32_t *tokens, size_t n,
                 enum l2_output what, float *out);

#endif
