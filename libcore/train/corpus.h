/* A stream that is read again and again: where its frames are, and what is in them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CORPUS_H
#define L2_CORPUS_H

#include "train/example.h"

struct l2_corpus_frame {
    uint64_t offset, end; /* in the file */
    uint64_t ids, bytes;  /* of its records as l2_examples */
    uint32_t n, n_held;   /* records, and how many of them are held out */
    uint32_t n_answers;
};

struct l2_corpus_part { /* the records that are trained on, or those that are held out */
    uint64_t records, tokens, units;
};

struct l2_corpus {
    const char *name;                /* borrowed */
    const struct l2_data_opts *opts; /* borrowed */
    int fd;                          /* borrowed, or owned where spooled */
    bool spooled;
    struct l2_corpus_frame *frames; /* (n_frames) */
    size_t n_frames, cap_frames;
    struct l2_corpus_part part[2]; /* trained on; held out */
    uint64_t n_answers, n_eos;     /* answers, and those that end in EOS */
    struct l2_header header;       /* of the first segment, with the histories of all */
    void *zstd;
    struct l2_buf raw, content;
    struct l2_record rec;
};

/* Reads all of the input, checks it and makes the index. c is caller's storage, to be released in
 * any case. */
int l2_corpus_open(struct l2_corpus *c, const struct l2_data_input *in,
                   const struct l2_data_opts *opts, struct l2_err *err) L2_MUST_CHECK;
void l2_corpus_release(struct l2_corpus *c);

/* Appends the records of frame i that are held out, or those that are not. L2_CORRUPT where the
 * file is not what it was. */
int l2_corpus_read(struct l2_corpus *c, size_t i, bool held, struct l2_examples *out,
                   struct l2_err *err) L2_MUST_CHECK;

/* Adds what tells the content of the stream from another's to s. */
void l2_corpus_hash(const struct l2_corpus *c, struct l2_sha256 *s);

#endif
