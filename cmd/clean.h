/* What the files of l2-clean share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CLEAN_H
#define L2_CLEAN_H

#include <stdio.h>
#include "clean/cleaner.h"
#include "common/pipe.h"

enum clean_form { CLEAN_STREAM, CLEAN_TEXT, CLEAN_LINES, CLEAN_PARAGRAPHS, CLEAN_JSONL };

/* A document as it was read; valid until the next one of its source. */
struct clean_doc {
    struct l2_id id;
    char place[300]; /* for reports: the id, or file:line */
    const char *text;
    size_t n;
    const char *row; /* JSONL: the line it was in; else NULL */
    size_t row_n;
    json_t *json;          /* JSONL: the same, parsed; owned by the source */
    struct l2_record *rec; /* streams: its record; else NULL */
};

/* An operand. */
struct clean_source {
    const char *path, *name;
    double weight;
    enum clean_form form;
    int fd;
    struct l2_input in;
    struct l2_reader *reader;
    struct l2_record rec;
    struct l2_buf text; /* a paragraph */
    json_t *json;
    uint64_t size; /* bytes; 0: not known */
    int64_t line;
    bool at_end;
    struct l2_err open_error; /* with --partial: why it could not be opened */
    /* copies that are written later */
    FILE *spool;
    uint64_t spool_size, spool_read;
    /* counts of documents, and bytes of their text */
    uint64_t n_read, n_kept, n_written, bytes_written;
};

struct cleaning {
    struct l2_cli *cli;
    struct clean_source *sources; /* (n_sources) */
    size_t n_sources;
    bool text_of_rows; /* all rows are passed on with their other fields */
    struct l2_rules rules;
    struct l2_contam *contam;
    struct l2_vocab *vocab;
    struct l2_encoder *encoder;
    struct l2_cleaner *cleaner;
    uint64_t counter; /* documents met so far, for ids */
    struct l2_buf id; /* of the next one, where it is text */
    uint64_t n_gave_up;
    /* output */
    enum clean_form to;
    struct l2_pipe *pipe; /* of a stream; else fd */
    int fd;
    const char *out_name;
    struct l2_buf out; /* not yet written; or one entry of the spool */
    struct l2_record rec;
    size_t max_text;
};

/* The form of a file that ends so, of the options; CLEAN_STREAM is what is left. */
int clean_source_open(struct cleaning *c, struct clean_source *s, struct l2_err *err) L2_MUST_CHECK;
void clean_source_close(struct clean_source *s);
/* The next document; L2_END after the last. Token streams are L2_FORMAT. */
int clean_source_next(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                      struct l2_err *err) L2_MUST_CHECK;
/* The share that was read, 0 to 1; below 0 where the size is not known. */
double clean_source_share(const struct clean_source *s);

int clean_output_open(struct cleaning *c, struct l2_err *err) L2_MUST_CHECK;
/* Writes the document with this text `copies` times: once now, the rest when clean_output_copies is
 * called. */
int clean_output_put(struct cleaning *c, struct clean_source *s, const struct clean_doc *doc,
                     const struct l2_cleaned *text, uint32_t copies,
                     struct l2_err *err) L2_MUST_CHECK;
int clean_output_copies(struct cleaning *c, bool interleave, struct l2_err *err) L2_MUST_CHECK;
/* Writes what is left and closes. failed: the error that ended the run, or NULL; it is reported
 * here. */
void clean_output_close(struct cleaning *c, const struct l2_err *failed);

/* The index of the source to read next: the first that has something left, or with interleave the
 * one that is furthest behind; n_sources when there is none. share(s) is below 0 where it is not
 * known, above 1 where nothing is left. */
size_t clean_pick(const struct cleaning *c, bool interleave,
                  double (*share)(const struct clean_source *s));

#endif
