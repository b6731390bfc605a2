/* Rows that several of l2-model's option tables have; each file keeps its options in a static
 * `opts` with the fields named here. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_MODEL_OPTIONS_H
#define L2_CMD_MODEL_OPTIONS_H

#include "common/opt.h"
#include "common/rows.h"

/* clang-format off */
#define OPT_OUTPUT                                                                                 \
    {.name = "output", .letter = 'o', .kind = L2_OPT_STRING, .arg = "DIR", .is_path = true,        \
     .target = &opts.output, .default_text = "",                                                   \
     .help = "the directory to make; one that exists is refused"}
#define OPT_FORCE                                                                                  \
    {.name = "force", .kind = L2_OPT_FLAG, .target = &opts.force,                                  \
     .help = "replace a model directory"}
#define OPT_VOCAB(text)                                                                            \
    {.name = "vocab", .letter = 'z', .kind = L2_OPT_STRING, .arg = "FILE", .is_path = true,        \
     .target = &opts.vocab, .help = text}
#define OPT_SHARD                                                                                  \
    {.name = "shard-size", .kind = L2_OPT_BYTES, .arg = "SIZE", .target = &opts.shard_size,        \
     .default_text = "one file", .help = "write files of at most SIZE bytes of tensors, and an index"}
#define OPT_SEED                                                                                   \
    {.name = "seed", .letter = 's', .kind = L2_OPT_SEED, .arg = "N", .target = &opts.seed,         \
     .help = "of the random weights"}
#define OPT_KV_TYPE(field, text)                                                                   \
    {.name = "kv-type", .kind = L2_OPT_CHOICE, .arg = "TYPE", .choices = l2_kv_type_names,         \
     .target = &opts.field, .help = text}
#define OPT_COUNT(opt, field, most, text)                                                          \
    {.name = opt, .kind = L2_OPT_INT, .arg = "N", .min = 1, .max = most,                           \
     .target = &opts.field.value, .given = &opts.field.given, .default_text = "", .help = text}
#define OPT_TOKEN(opt, field, text)                                                                \
    {.name = opt, .kind = L2_OPT_INT, .arg = "ID", .min = 0, .max = INT32_MAX,                     \
     .target = &opts.field.value, .given = &opts.field.given, .default_text = "", .help = text}
/* clang-format on */

#endif
