/* Going on with an output that an earlier run left unfinished: what of it is whole, and which
 * records it has. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RESUME_H
#define L2_RESUME_H

#include "stream/stream.h"

struct l2_resume;

/* A segment of the earlier output. */
struct l2_resume_segment {
    struct l2_header header;
    uint64_t records, tokens;
    bool complete; /* its END says so; only the last one may be without */
};

/* Reads the stream fd (borrowed, at its beginning) up to where it stops being whole: a frame that
 * is cut or damaged, an END that says incomplete. Records of the last segment are remembered by id
 * and (by_prompt) prompt, in some 48 bytes each. L2_FORMAT where it is no stream at all. Owned,
 * free with l2_resume_free. */
int l2_resume_scan(struct l2_resume **out, int fd, const char *name, bool by_prompt,
                   const struct l2_stream_limits *limits, struct l2_err *err) L2_MUST_CHECK;
void l2_resume_free(struct l2_resume *r);

/* Segment number i from 0, or NULL. */
const struct l2_resume_segment *l2_resume_segment(const struct l2_resume *r, size_t i);
/* Where the whole part ends, that is where writing goes on. */
uint64_t l2_resume_offset(const struct l2_resume *r);
/* Records of all segments. */
uint64_t l2_resume_records(const struct l2_resume *r);

/* True when the last, incomplete segment has a record like rec that no earlier call has taken. */
bool l2_resume_take(struct l2_resume *r, const struct l2_record *rec);
/* How many of them no call has taken. */
uint64_t l2_resume_left(const struct l2_resume *r);

#endif
