/* Streams for training, and batches, that the tests of training data share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_DATA_FIXTURE_H
#define L2_TEST_DATA_FIXTURE_H

#include "stream_file.h"
#include "train/data.h"
#include "util/ids.h"

#define BOS 1
#define EOS 2

/* The last failure. */
extern struct l2_err data_err;

/* ids from first on, n of them, behind BOS where bos; of the record that s will write. */
struct l2_u32s data_ids(struct stream_file *s, uint32_t first, size_t n, bool bos);
void data_put_prompt(struct stream_file *s, int64_t id, uint32_t first, size_t n);
struct l2_completion *data_put_answer(struct stream_file *s, uint32_t first, size_t n);
void data_put(struct stream_file *s, bool flush);
/* n texts of 0 to 36 ids, all different, from id first on; a frame of every five. *total gets the
 * number of ids, BOS included. */
int data_texts(uint32_t first, size_t n, uint64_t *total);
struct l2_data_opts data_text_opts(void);
struct l2_data *data_open_one(int fd, const struct l2_data_opts *o);
/* What the net would refuse: spans without gaps, targets in order, sizes. */
void data_check_batch(const struct l2_data_opts *o, const struct l2_data_batch *b);
/* A batch as numbers that tell it from others. */
void data_digest_batch(struct l2_ids *to, const struct l2_data_batch *b);
/* All batches, one after another. */
struct l2_ids data_read_all(struct l2_data *d, const struct l2_data_opts *o);
bool data_equal(const struct l2_ids *a, const struct l2_ids *b);
/* Appends meta {"rating": text}. */
void data_rate(struct stream_file *s, const char *text);
/* Saves at every batch, goes on in data that was opened afresh, and compares. */
void data_check_resume(const struct l2_data_opts *o, const struct l2_data_input *in, size_t n_in);

#endif
