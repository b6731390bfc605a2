/* Which records a run takes: those of its shard that an earlier run has not written. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_WANTED_H
#define L2_WANTED_H

#include "common/cli.h"
#include "stream/resume.h"

/* "I/N" of --shard. */
struct l2_shard {
    uint64_t index, count; /* index from 0; count 0: all records */
};

/* L2_ARGUMENT where text is not "I/N" with 1 <= I <= N. NULL stands for all. */
int l2_shard_parse(struct l2_shard *out, const char *text, struct l2_err *err) L2_MUST_CHECK;
/* SHA-256 of the id, as one big-endian number, modulo count, is index. */
bool l2_shard_has(const struct l2_shard *s, const struct l2_id *id);

/* L2_OK when the run that wrote old would write the same as the one that writes now: equal
 * vocabularies, and in both histories equal programs, versions, settings, models and kernels. Else
 * L2_ARGUMENT says the first difference; name is the output's. */
int l2_resume_check(const struct l2_header *old, const struct l2_header *now, const char *name,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
