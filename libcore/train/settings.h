/* The settings of a run that its checkpoints are to agree in, as text. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SETTINGS_H
#define L2_SETTINGS_H

#include <stdbool.h>

#include "util/err.h"

/* Both are lines "name value", or YAML's "name: value" with any indentation; theirs come from a
 * file and are not trusted. L2_ARGUMENT, naming the first setting that differs; with changed only
 * those before the empty line must agree. */
int l2_settings_compare(const char *theirs, size_t n_theirs, const char *ours, size_t n_ours,
                        bool changed, struct l2_err *err) L2_MUST_CHECK;

#endif
