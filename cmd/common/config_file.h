/* Configuration files: the options of the suite's programs as YAML. See l2-config(5). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CONFIG_FILE_H
#define L2_CONFIG_FILE_H

#include "common/cli.h"

/* Sets o's options from the YAML file at path: shared keys on top, then the program's section, then
 * the subcommand's. Errors that are the file's fault carry line:column; unknown keys are
 * L2_ARGUMENT. */
int l2_config_load(struct l2_options *o, const char *path, const struct l2_program *program,
                   const struct l2_subcommand *sub, struct l2_err *err) L2_MUST_CHECK;

/* --print-config: the settings in force as YAML that l2_config_load reads back. only_effective: of
 * options that change what is written, for the history. */
int l2_config_print(const struct l2_options *o, const struct l2_program *program,
                    const struct l2_subcommand *sub, bool only_effective, struct l2_buf *out,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
