/* l2-model: shows, makes, converts, quantises, compares, checks and merges checkpoints. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <string.h>

static const struct l2_opt no_options[] = {L2_OPT_TABLE_END};

/* The one operand, or NULL after a usage error. */
const char *model_operand(struct l2_cli *cli, const char *what)
{
    if (cli->operands.n == 1)
        return cli->operands.v[0];
    l2_cli_usage(cli, "want one %s, got %zu operands", what, cli->operands.n);
    return NULL;
}

bool model_has_output(struct l2_cli *cli, const char *output)
{
    if (output && strcmp(output, "-") != 0)
        return true;
    l2_cli_usage(cli, "want -o PATH: a model is a directory or a file");
    return false;
}

int model_open_all(struct l2_model **models, const struct l2_strings *paths, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < paths->n && r == L2_OK; i++)
        r = l2_model_open(&models[i], paths->v[i], err);
    return r;
}

static const char *const usage[] = {"show [OPTION]... MODEL",
                                    "init [OPTION]... -o DIR PRESET",
                                    "to-reward [OPTION]... -o DIR MODEL",
                                    "convert [OPTION]... -o PATH MODEL",
                                    "quantize [OPTION]... -o FILE.gguf MODEL",
                                    "merge [OPTION]... -o PATH MODEL MODEL...",
                                    "merge [OPTION]... -o PATH MODEL ADAPTERS",
                                    "compare [OPTION]... MODEL MODEL",
                                    "check [OPTION]... MODEL",
                                    "hash [OPTION]... MODEL",
                                    NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "show",
     .usage = "[OPTION]... MODEL",
     .summary = "Print a checkpoint's hyper-parameters, sizes and tensors.",
     .options = model_show_options,
     .run = model_run_show},
    {.name = "init",
     .usage = "[OPTION]... -o DIR PRESET",
     .summary = "Make a model with random weights from a preset.",
     .options = model_init_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_init},
    {.name = "to-reward",
     .usage = "[OPTION]... -o DIR MODEL",
     .summary = "Replace a model's vocabulary head by a new score head.",
     .options = model_reward_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_to_reward},
    {.name = "convert",
     .usage = "[OPTION]... -o PATH MODEL",
     .summary = "Write a checkpoint in another format or type.",
     .options = model_convert_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_convert},
    {.name = "quantize",
     .usage = "[OPTION]... -o FILE.gguf MODEL",
     .summary = "Write a checkpoint as a GGUF file of a quantised type.",
     .options = model_quantize_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_quantize},
    {.name = "merge",
     .usage = "[OPTION]... -o PATH MODEL MODEL...",
     .summary = "Write the mean of checkpoints.",
     .options = model_merge_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_merge},
    {.name = "compare",
     .usage = "[OPTION]... MODEL MODEL",
     .summary = "Print how far two checkpoints are apart, tensor by tensor and on a text.",
     .options = model_compare_options,
     .rows = L2_ROWS_THREADS,
     .run = model_run_compare},
    {.name = "check",
     .usage = "[OPTION]... MODEL",
     .summary = "Look at everything in a checkpoint: sizes, shapes, and that values are finite.",
     .options = no_options,
     .run = model_run_check},
    {.name = "hash",
     .usage = "[OPTION]... MODEL",
     .summary = "Print a hash of a checkpoint's values that does not depend on the format.",
     .options = model_hash_options,
     .run = model_run_hash},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-model",
        .usage = usage,
        .summary = "Show, make, convert, quantise, compare, check and merge checkpoints.",
        .subcommands = subcommands,
    };
    return l2_cli_main(&program, argc, argv);
}
