/* Pooled hidden states of completions with their prompt (or of the prompt, where there are none).
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_EMBED_H
#define L2_EMBED_H

#include "nn/engine.h"
#include "sample/worker.h"

enum l2_pooling {
    L2_POOL_LAST, /* the last token's */
    L2_POOL_MEAN, /* mean over all positions of prompt and completion */
    L2_POOL_NONE  /* every position's: tokens x dim */
};

struct l2_embed_opts {
    enum l2_pooling pooling;
    bool normalize; /* to L2 norm 1 */
    enum l2_overlong overlong;
};

/* e is borrowed; the layer is the engine's n_layers. */
int l2_embedder_new(struct l2_worker **out, struct l2_engine *e, const struct l2_embed_opts *opts,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
