/* Reading and writing l2 streams: zstd frames of CBOR items, in segments. See l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STREAM_H
#define L2_STREAM_H

#include "stream/record.h"
#include "util/input.h"
#include "util/sha256.h"

#define L2_STREAM_VERSION 1

/* Limits of l2-stream(5), in bytes of CBOR where not said otherwise. */
#define L2_MAX_FRAME       ((size_t)1 << 20)   /* header, END, and frames of more than one record */
#define L2_MAX_RECORD      ((size_t)256 << 20) /* one record, unless the user says otherwise */
#define L2_MAX_WINDOW_LOG  23                  /* of zstd's window */
#define L2_MAX_COMPLETIONS 65536               /* of one record */

/* Limits that a reader enforces; zero fields mean the defaults of l2-stream(5). */
struct l2_stream_limits {
    size_t max_record; /* bytes of one record as CBOR, default 256 MiB */
};

/* A segment's header. Strings and fields live in arena. */
struct l2_header {
    struct l2_arena arena;
    bool has_vocab;
    uint32_t vocab_size;
    uint8_t vocab_hash[L2_SHA256_SIZE];
    struct l2_fields history; /* the n maps of the history array, concatenated */
    struct l2_fields other;
};

/* A segment's end. */
struct l2_stream_end {
    bool complete;
    uint64_t records;
    uint64_t tokens;
    char error[512]; /* UTF-8; "" when there is none, or where complete */
};

void l2_header_init(struct l2_header *h);
void l2_header_release(struct l2_header *h);
/* Makes h empty again and keeps its arena's memory. */
void l2_header_reset(struct l2_header *h);
/* Makes to (initialised) a copy of from that shares nothing with it. */
int l2_header_copy(struct l2_header *to, const struct l2_header *from,
                   struct l2_err *err) L2_MUST_CHECK;
/* What a program says of itself in the history; all is borrowed. */
struct l2_history_entry {
    const char *program, *version;
    char *const *arguments; /* (n_arguments) */
    size_t n_arguments;
    const char *settings; /* YAML: the options in force that change what is written; or NULL */
    const char *model;    /* l2_model_fingerprint in hexadecimal; or NULL */
    const char *kernels;  /* or NULL */
};
/* Appends e to the history. */
int l2_header_add_history(struct l2_header *h, const struct l2_history_entry *e,
                          struct l2_err *err) L2_MUST_CHECK;
/* Appends the history entries of from. */
int l2_header_join_history(struct l2_header *h, const struct l2_header *from,
                           struct l2_err *err) L2_MUST_CHECK;
/* L2_OK when the vocabularies may mix: equal, or absent in both. name says whose header from is. */
int l2_header_check_vocab(const struct l2_header *h, const struct l2_header *from, const char *name,
                          struct l2_err *err) L2_MUST_CHECK;

/* ---- reading ---- */

struct l2_reader;

enum l2_item { L2_ITEM_HEADER, L2_ITEM_RECORD, L2_ITEM_END };

/* Starts reading fd (borrowed); name (copied) is for messages. limits may be NULL. */
int l2_reader_new(struct l2_reader **out, int fd, const char *name,
                  const struct l2_stream_limits *limits, struct l2_err *err) L2_MUST_CHECK;
void l2_reader_free(struct l2_reader *r);

/* The hook to call while waiting for input; borrowed. */
void l2_reader_set_idle(struct l2_reader *r, const struct l2_idle *idle);

/* The next item, in *item. A header is then in l2_reader_header, a record has been read into rec
 * (which is reset first; it owns all it points at), an end is in l2_reader_end_item.
 * L2_END: the input ended after a segment's END. With wait false: L2_AGAIN when the next frame has
 * not arrived whole. A frame's items are delivered only after its checksum held; order (header,
 * records, END), counts in END, ids < vocabulary size, and all limits are checked here. */
int l2_reader_next(struct l2_reader *r, bool wait, enum l2_item *item, struct l2_record *rec,
                   struct l2_err *err) L2_MUST_CHECK;

/* The current segment's header, and the last END read. Valid until the next l2_reader_next. */
const struct l2_header *l2_reader_header(const struct l2_reader *r);
const struct l2_stream_end *l2_reader_end_item(const struct l2_reader *r);

/* After a failure: goes on behind what cannot be read (l2-cat --recover). Where one frame of an
 * open segment is damaged and the next one begins right behind it, the segment goes on and its
 * END's numbers are not checked; else everything is passed over up to the next frame that holds a
 * valid header. L2_OK or L2_END; *skipped is the number of bytes passed over. */
int l2_reader_recover(struct l2_reader *r, uint64_t *skipped, struct l2_err *err) L2_MUST_CHECK;

/* Bytes of the input that have been consumed, for progress; of a frame that is being delivered, its
 * share. */
uint64_t l2_reader_offset(const struct l2_reader *r);
/* Where the frame of the last item begins, or of the failure, or (at L2_END) where the input ends.
 */
uint64_t l2_reader_frame(const struct l2_reader *r);

/* ---- writing ---- */

struct l2_writer;

/* Writes to fd (borrowed); name (copied) is for messages; level is zstd's. */
int l2_writer_new(struct l2_writer **out, int fd, const char *name, int level,
                  struct l2_err *err) L2_MUST_CHECK;
/* Frees without writing anything. */
void l2_writer_free(struct l2_writer *w);

/* Begins a segment. The header goes out at once. */
int l2_writer_header(struct l2_writer *w, const struct l2_header *h,
                     struct l2_err *err) L2_MUST_CHECK;
/* Goes on inside a segment that was begun with this header and has these records and tokens. */
void l2_writer_resume(struct l2_writer *w, const struct l2_header *h, uint64_t records,
                      uint64_t tokens);
/* Counts the records and tokens of segments that were there before. */
void l2_writer_count_earlier(struct l2_writer *w, uint64_t records, uint64_t tokens);
/* The limit of one record as CBOR, where it is not L2_MAX_RECORD. */
void l2_writer_set_max_record(struct l2_writer *w, size_t max_record);
/* Appends a record to the open frame; a frame that reaches 1 MiB is written. A record that a reader
 * would refuse is L2_ARGUMENT or L2_LIMIT, and the stream goes on without it. */
int l2_writer_record(struct l2_writer *w, const struct l2_record *rec,
                     struct l2_err *err) L2_MUST_CHECK;
/* Writes the open frame, if it holds anything. */
int l2_writer_flush(struct l2_writer *w, struct l2_err *err) L2_MUST_CHECK;
/* Milliseconds until the open frame must be flushed (its oldest record is 50 ms old), -1 if empty.
 */
int l2_writer_due(const struct l2_writer *w);
/* Ends the segment; error is NULL or the first error's text. Flushes. */
int l2_writer_end(struct l2_writer *w, bool complete, const char *error,
                  struct l2_err *err) L2_MUST_CHECK;
/* True between l2_writer_header and l2_writer_end. */
bool l2_writer_in_segment(const struct l2_writer *w);

uint64_t l2_writer_records(const struct l2_writer *w); /* of all segments */
uint64_t l2_writer_tokens(const struct l2_writer *w);

#endif
