/* The options that l2-train and l2-ppo have in common: AdamW, adapters, kinds of computation. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_OPTIMISER_H
#define L2_CMD_OPTIMISER_H

#include "common/opt.h"
#include "nn/lora.h"
#include "train/adamw.h"

struct optimiser {
    struct l2_adamw_opts adamw;
    double clip, lora_alpha;
    int64_t lora_rank;
    int lora_targets; /* index into optimiser_targets */
    bool recompute, bf16;
};

extern const char *const optimiser_targets[]; /* attention, all */

#define OPTIMISER_DEFAULTS                                                                         \
    {                                                                                              \
        .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1}, .clip = 1,       \
        .lora_targets = 1                                                                          \
    }

/* clang-format off */
#define OPTIMISER_REAL(opt, target_, most, text)                                                   \
    {.name = opt, .kind = L2_OPT_REAL, .arg = "X", .min = 0, .max = most, .target = target_, .help = text}

/* Rows with targets in the struct optimiser o. */
#define ADAMW_OPTIONS(o)                                                                           \
    OPTIMISER_REAL("weight-decay", &(o).adamw.weight_decay, 10, "of matrices, decoupled"),              \
    OPTIMISER_REAL("beta1", &(o).adamw.beta1, 0.9999999, "AdamW's, of the first moment"),               \
    OPTIMISER_REAL("beta2", &(o).adamw.beta2, 0.9999999, "AdamW's, of the second moment"),              \
    OPTIMISER_REAL("eps", &(o).adamw.eps, 1, "AdamW's"),                                                \
    OPTIMISER_REAL("clip", &(o).clip, 1e9, "norm of the gradients at most; 0: no limit")
#define COMPUTE_OPTIONS(o)                                                                         \
    {.name = "recompute", .kind = L2_OPT_FLAG, .target = &(o).recompute,                           \
     .help = "keep less between forward and backward: less memory, a third more work"},            \
    {.name = "bf16", .kind = L2_OPT_FLAG, .target = &(o).bf16,                                     \
     .help = "multiply matrices in bfloat16, sums and weights in f32"}
#define LORA_OPTIONS(o, text)                                                                      \
    {.name = "lora-rank", .kind = L2_OPT_INT, .arg = "N", .min = 0, .max = INT32_MAX,              \
     .target = &(o).lora_rank, .default_text = "0: all parameters are trained", .help = text},     \
    {.name = "lora-alpha", .kind = L2_OPT_REAL, .arg = "X", .min = 0, .max = 1e6,                  \
     .target = &(o).lora_alpha, .default_text = "twice the rank",                                  \
     .help = "adapters count alpha / rank"},                                                       \
    {.name = "lora-targets", .kind = L2_OPT_CHOICE, .arg = "WHICH", .choices = optimiser_targets,  \
     .target = &(o).lora_targets, .help = "projections that have adapters: attention, or all"}
/* clang-format on */

/* rank 0: none */
struct l2_lora_opts optimiser_lora(const struct optimiser *o);

#endif
