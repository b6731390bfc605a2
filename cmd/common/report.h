/* What runs say as JSON: the summary's fields, logs of JSON lines, and the memory that is planned.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_REPORT_H
#define L2_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "common/cli.h"

void l2_report_count(json_t *o, const char *key, uint64_t n);
/* Nothing where v is not finite: JSON has no word for that. */
void l2_report_real(json_t *o, const char *key, double v);

/* Writes o to the log (NULL: none) as a line, flushed, and releases it. name is the log's. */
int l2_report_line(FILE *log, const char *name, json_t *o, struct l2_err *err) L2_MUST_CHECK;

struct l2_memory_part {
    const char *name;
    uint64_t bytes;
};
/* Says the parts and their sum, on standard error and in the summary's "memory", and that it is
 * more than what is free, where it is. */
void l2_report_memory(struct l2_cli *cli, const struct l2_memory_part *parts, size_t n);

#endif
