/* The option rows that programs share, in one list, so that a letter means one thing in the suite.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stddef.h>
#include <string.h>

#include "common/rows.h"
#include "kern/kv_block.h"
#include "util/pool.h"

static const char *const backend_names[] = {"native", "blas", NULL};
const char *const l2_quantize_names[] = {"none", "bf16", "q8_0", "q8_k", "q4_k", "q6_k", NULL};
const char *const l2_kv_type_names[] = {"f32", "bf16", "q8", NULL};
const char *const l2_activation_names[] = {"narrow", "f32", NULL};
/* In the order of enum l2_overlong. */
static const char *const overlong_names[] = {"error", "drop", "truncate-left", "truncate-right",
                                             NULL};

#define IN_CLI(field)     offsetof(struct l2_cli, field)
#define IN_TARGETS(field) offsetof(struct l2_rows_targets, field)

/* A row whose target is found when the tables are built. */
struct shared_row {
    unsigned set;    /* of enum l2_rows; 0: every program */
    bool in_targets; /* offset is in struct l2_rows_targets, else in struct l2_cli */
    size_t offset;
    size_t given; /* offset of the flag for opt.given, or 0 */
    struct l2_opt opt;
};

static const struct shared_row shared_rows[] = {
    {.set = L2_ROWS_MODEL, .opt = L2_OPT_TITLE("Model")},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.model),
     .opt = {.name = "model",
             .letter = 'm',
             .no_effect = true,
             .kind = L2_OPT_STRING,
             .arg = "PATH",
             .is_path = true,
             .help = "the checkpoint: a Hugging Face directory, a GGUF file or a llama2.c .bin "
                     "file"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.vocab),
     .opt = {.name = "vocab",
             .letter = 'z',
             .no_effect = true,
             .kind = L2_OPT_STRING,
             .arg = "FILE",
             .is_path = true,
             .help = "the vocabulary, where the model has none of its own"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.backend),
     .opt = {.name = "backend",
             .kind = L2_OPT_CHOICE,
             .arg = "NAME",
             .choices = backend_names,
             .help = "native: bits that do not depend on batch or threads; blas: OpenBLAS"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.quantize),
     .opt = {.name = "quantize",
             .kind = L2_OPT_CHOICE,
             .arg = "TYPE",
             .choices = l2_quantize_names,
             .help = "make the matrices bf16, q8_0, q8_k, q4_k or q6_k while they are loaded"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.activations),
     .opt = {.name = "activations",
             .kind = L2_OPT_CHOICE,
             .arg = "TYPE",
             .choices = l2_activation_names,
             .help = "what BF16 and quantised matrices are multiplied with: narrow (bf16, or 8 "
                     "bits with a scale every 32 values, 256 with q8_k) or f32 (slower)"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.pack_cache),
     .opt = {.name = "pack-cache",
             .no_effect = true,
             .kind = L2_OPT_STRING,
             .arg = "FILE",
             .help =
                 "map packed weights from FILE; write it when it is absent or of another model"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.batch),
     .opt = {.name = "batch",
             .no_effect = true,
             .kind = L2_OPT_INT,
             .arg = "N",
             .min = 1,
             .max = 65536,
             .help = "positions that one forward pass computes at most"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.kv_type),
     .opt = {.name = "kv-type",
             .kind = L2_OPT_CHOICE,
             .arg = "TYPE",
             .choices = l2_kv_type_names,
             .help = "how keys and values are kept: bf16, f32 (exact, twice the memory) or q8 (8 "
                     "bits with a scale for each head of a position, about half of it)"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.kv_bytes),
     .opt = {.name = "kv-memory",
             .no_effect = true,
             .kind = L2_OPT_BYTES,
             .arg = "SIZE",
             .default_text = "enough for the batch, at most half of what is free",
             .help = "memory for keys and values"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.no_prefix_sharing),
     .opt = {.name = "no-prefix-sharing",
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "compute every prompt from its start, also where another began with the same "
                     "tokens"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.unordered),
     .opt = {.name = "unordered",
             .kind = L2_OPT_FLAG,
             .help = "write records as they finish, not in the order of the input"}},
    {.set = L2_ROWS_MODEL,
     .offset = IN_CLI(model.overlong),
     .opt = {.name = "overlong",
             .kind = L2_OPT_CHOICE,
             .arg = "WHAT",
             .choices = overlong_names,
             .help =
                 "what to do with a record that is longer than the model's context: error, drop "
                 "(pass it on without a result), truncate-left (the prompt's oldest tokens; BOS "
                 "stays) or truncate-right"}},

    {.opt = L2_OPT_TITLE("Common")},
    {.set = L2_ROWS_OUTPUT,
     .offset = IN_CLI(output),
     .opt = {.name = "output",
             .letter = 'o',
             .no_effect = true,
             .kind = L2_OPT_STRING,
             .arg = "FILE",
             .is_path = true,
             .default_text = "standard output",
             .help = "where to write; a file that exists is refused"}},
    {.set = L2_ROWS_OUTPUT,
     .offset = IN_CLI(force),
     .opt = {.name = "force",
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "overwrite the output file"}},
    {.set = L2_ROWS_RESUME,
     .offset = IN_CLI(resume),
     .opt = {.name = "resume",
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "go on where the run that wrote the output file was stopped; the file may be "
                     "absent or whole, too"}},
    {.set = L2_ROWS_RESUME,
     .offset = IN_CLI(shard),
     .opt = {.name = "shard",
             .kind = L2_OPT_STRING,
             .arg = "I/N",
             .help = "take only the records of shard I of N, by a hash of the id: N runs share the "
                     "work, and cat joins what they write"}},
    {.set = L2_ROWS_STREAM,
     .offset = IN_CLI(level),
     .opt = {.name = "level",
             .no_effect = true,
             .kind = L2_OPT_INT,
             .arg = "N",
             .min = -100,
             .max = 22,
             .default_text = "-5 to a pipe, 3 to a file",
             .help = "zstd compression level"}},
    {.set = L2_ROWS_STREAM,
     .offset = IN_CLI(no_history),
     .opt = {.name = "no-history",
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "leave this run out of the stream's history"}},
    {.set = L2_ROWS_RECORDS,
     .offset = IN_CLI(max_record),
     .opt = {.name = "max-record",
             .no_effect = true,
             .kind = L2_OPT_BYTES,
             .arg = "SIZE",
             .help = "refuse records larger than this"}},
    {.set = L2_ROWS_PARTIAL,
     .offset = IN_CLI(partial),
     .opt = {.name = "partial",
             .kind = L2_OPT_FLAG,
             .help = "make a result of an incomplete stream, too"}},
    {.set = L2_ROWS_ID,
     .offset = IN_CLI(id_prefix),
     .opt = {.name = "id-prefix",
             .kind = L2_OPT_STRING,
             .arg = "TEXT",
             .help = "put before the numbers that records without an id get"}},
    {.set = L2_ROWS_THREADS,
     .offset = IN_CLI(threads),
     .opt = {.name = "threads",
             .letter = 'j',
             .no_effect = true,
             .kind = L2_OPT_INT,
             .arg = "N",
             .min = 1,
             .max = 1024,
             .default_text = "all processors",
             .help = "threads"}},
    {.offset = IN_CLI(progress),
     .opt = {.name = "progress",
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "show progress on standard error"}},
    {.in_targets = true,
     .offset = IN_TARGETS(config),
     .opt = {.name = "config",
             .kind = L2_OPT_LIST,
             .arg = "FILE",
             .not_in_config = true,
             .help = "read options from a YAML file, see l2-config(5); the command line wins"}},
    {.in_targets = true,
     .offset = IN_TARGETS(print_config),
     .opt = {.name = "print-config",
             .kind = L2_OPT_FLAG,
             .not_in_config = true,
             .help = "print the settings in force as such a file and exit"}},
    {.in_targets = true,
     .offset = IN_TARGETS(print_completion),
     .opt = {.name = "print-completion",
             .kind = L2_OPT_STRING,
             .arg = "SHELL",
             .not_in_config = true,
             .help = "print a script for bash or zsh that completes the options, and exit"}},
    {.in_targets = true,
     .offset = IN_TARGETS(quiet),
     .given = IN_TARGETS(quiet_given),
     .opt = {.name = "quiet",
             .letter = 'q',
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "errors only: no remarks, no summary line"}},
    {.in_targets = true,
     .offset = IN_TARGETS(verbose),
     .given = IN_TARGETS(verbose_given),
     .opt = {.name = "verbose",
             .letter = 'v',
             .no_effect = true,
             .kind = L2_OPT_FLAG,
             .help = "say what is done"}},
    {.in_targets = true,
     .offset = IN_TARGETS(help),
     .opt = {.name = "help",
             .letter = 'h',
             .kind = L2_OPT_FLAG,
             .not_in_config = true,
             .help = "print this and exit"}},
    {.in_targets = true,
     .offset = IN_TARGETS(version),
     .opt = {.name = "version",
             .letter = 'V',
             .kind = L2_OPT_FLAG,
             .not_in_config = true,
             .help = "print the version and exit"}},
};

#define N_ROWS (sizeof shared_rows / sizeof *shared_rows)
_Static_assert(N_ROWS < L2_ROWS_MAX, "L2_ROWS_MAX holds all shared rows and the end");

void l2_rows_build(unsigned rows, struct l2_cli *cli, struct l2_rows_targets *t,
                   struct l2_opt model[L2_ROWS_MAX], struct l2_opt common[L2_ROWS_MAX])
{
    cli->level = INT64_MIN;
    cli->threads = l2_pool_default_threads();
    cli->max_record = (uint64_t)256 << 20;
    cli->model.batch = 256;
    cli->model.kv_type = L2_KV_BF16;

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct shared_row *s = &shared_rows[i];
        if (s->set != 0 && !(rows & s->set))
            continue;
        struct l2_opt *row = s->set == L2_ROWS_MODEL ? model++ : common++;
        char *base = s->in_targets ? (char *)t : (char *)cli;
        *row = s->opt;
        row->target = base + s->offset;
        if (s->given)
            row->given = (bool *)(void *)(base + s->given);
    }
    *model = *common = (struct l2_opt)L2_OPT_TABLE_END;
}

bool l2_rows_is_shared(const char *name)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (shared_rows[i].opt.kind != L2_OPT_HEADING && !shared_rows[i].opt.not_in_config &&
            strcmp(shared_rows[i].opt.name, name) == 0)
            return true;
    return false;
}
