/* The option rows that programs share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ROWS_H
#define L2_ROWS_H

#include "common/cli.h"

#define L2_ROWS_MAX 40

/* What the rows that l2_cli_main itself handles are parsed into. */
/* The names of enum l2_kv_type, and NULL. */
extern const char *const l2_kv_type_names[];
extern const char *const l2_quantize_names[];   /* in the order of enum l2_pack_type */
extern const char *const l2_activation_names[]; /* narrow, f32 */

struct l2_rows_targets {
    bool help, version, print_config;
    const char *print_completion;
    bool quiet, quiet_given;
    bool verbose, verbose_given;
    struct l2_strings config;
};

/* Fills the two tables (rows of the model, and the rest) with the sets in rows, with targets in cli
 * and t, whose defaults are set here. */
void l2_rows_build(unsigned rows, struct l2_cli *cli, struct l2_rows_targets *t,
                   struct l2_opt model[L2_ROWS_MAX], struct l2_opt common[L2_ROWS_MAX]);

/* True when name is a shared row of any program that can stand in a configuration file: a key that
 * may stand on top of it. */
bool l2_rows_is_shared(const char *name);

#endif
