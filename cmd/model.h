/* The parts of l2-model. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_MODEL_H
#define L2_CMD_MODEL_H

#include "common/cli.h"
#include "kern/backend.h"
#include "kern/kv_block.h"
#include "model/model.h"
#include "text/vocab.h"

/* The options and the programs of the subcommands. */
extern const struct l2_opt model_show_options[], model_init_options[], model_reward_options[],
    model_convert_options[], model_quantize_options[], model_merge_options[],
    model_compare_options[], model_hash_options[];
int model_run_show(struct l2_cli *cli);
int model_run_init(struct l2_cli *cli);
int model_run_to_reward(struct l2_cli *cli);
int model_run_convert(struct l2_cli *cli);
int model_run_quantize(struct l2_cli *cli);
int model_run_merge(struct l2_cli *cli);
int model_run_compare(struct l2_cli *cli);
int model_run_check(struct l2_cli *cli);
int model_run_hash(struct l2_cli *cli);

/* A number on the command line that may be absent. */
struct model_count {
    int64_t value;
    bool given;
};

/* The one operand, or NULL after a usage error; what is its name. */
const char *model_operand(struct l2_cli *cli, const char *what);
/* Whether -o says a path that a model can have; else there was a usage error. */
bool model_has_output(struct l2_cli *cli, const char *output);
/* Opens paths->n models; models, which has NULLs, keeps what was opened when one fails. */
int model_open_all(struct l2_model **models, const struct l2_strings *paths,
                   struct l2_err *err) L2_MUST_CHECK;

/* Types that tensors can be written in, by name; NULL-terminated. */
extern const char *const model_types[];

struct model_out {
    const char *path;    /* -o: a file where it ends in .gguf, else a directory */
    bool force;          /* replaces what is there */
    const char *vocab;   /* -z, or NULL: the model's own */
    uint64_t shard_size; /* of a directory's files; 0: one */
    int type;            /* index into model_types, or -1: the model's own where it can be */
};

/* Writes the mean of models (n of them, the same hyper-parameters; weights NULL: equal ones), with
 * the vocabulary and template of the first; fills in the summary. */
int model_write_mean(struct l2_cli *cli, const struct model_out *out,
                     struct l2_model *const *models, size_t n, const double *weights,
                     struct l2_err *err) L2_MUST_CHECK;

/* Writes rows of source, a model of hyper-parameters hp that has type, vocabulary and template of
 * m, where none is given; fills in the summary. */
int model_write_rows(struct l2_cli *cli, const struct model_out *out, const struct l2_model *m,
                     const struct l2_hparams *hp, const struct l2_model_source *source,
                     struct l2_err *err) L2_MUST_CHECK;

/* Writes base with the adapters in the directory path merged into it. */
int model_write_adapted(struct l2_cli *cli, const struct model_out *out, struct l2_model *base,
                        const char *path, struct l2_err *err) L2_MUST_CHECK;

/* How far two checkpoints are apart, tensor by tensor, and on a text. */
struct model_compare {
    bool json;
    const char *text;           /* a file, or NULL */
    const char *vocab;          /* -z, or NULL: the first model's own */
    int64_t max_tokens;         /* of the text */
    enum l2_kv_type kv_type;    /* of the second model; the first one keeps f32 */
    enum l2_pack_type quantize; /* likewise */
    bool narrow;                /* likewise: activations */
};
int model_compare(struct l2_cli *cli, const struct model_compare *c, struct l2_model *a,
                  struct l2_model *b, struct l2_err *err) L2_MUST_CHECK;

/* Looks at every value; *bad is how many are not finite. Their tensors are told. */
int model_check(struct l2_cli *cli, const struct l2_model *m, uint64_t *bad,
                struct l2_err *err) L2_MUST_CHECK;

/* SHA-256 over hyper-parameters and all values as F32 in Hugging Face order, so that checkpoints
 * that compute the same have one hash in whatever format; with tensors, a line for each. */
int model_hash(struct l2_cli *cli, const struct l2_model *m, bool tensors,
               struct l2_err *err) L2_MUST_CHECK;

#endif
