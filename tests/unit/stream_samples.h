/* Records, streams and files that the tests of streams share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STREAM_SAMPLES_H
#define L2_STREAM_SAMPLES_H

#include "stream/codec.h"

/* A record in which every known field at every level is set, and an unknown one at every level. */
void sample_record(struct l2_record *r);
/* A header with vocabulary (32000), two entries of history and an unknown field. */
void sample_header(struct l2_header *h);

/* Bytes from hexadecimal digits; spaces are skipped. */
void bytes_from_hex(struct l2_buf *out, const char *hex);

/* A temporary file that holds these bytes, at its beginning. Close it with close(). */
int file_of(const void *data, size_t n);
/* All that a descriptor's file holds. */
void slurp(int fd, struct l2_buf *out);

/* Appends content as one zstd frame, as l2-stream(5) wants it. */
void put_frame(struct l2_buf *out, const void *content, size_t n);

/* Reads the stream in data and appends each item as a line of JSON to out (may be NULL). Returns
 * L2_END, or the first failure, described by err. */
int dump(const struct l2_buf *data, struct l2_buf *out, struct l2_err *err);

/* A record of n prompt ids, all of them equal. */
void plain_record(struct l2_record *r, int64_t id, size_t n, uint32_t token);
/* A segment: the sample's header, the sample and n plain records in frames of their own, END. */
void put_segment(struct l2_buf *out, int n);

#endif
