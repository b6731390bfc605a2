/* The forms that training data comes in, as records and back: see l2-tokenize(1). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SHAPE_H
#define L2_SHAPE_H

#include <jansson.h>
#include "stream/record.h"
#include "text/encode.h"
#include "text/template.h"
#include "util/buf.h"

struct l2_shape_opts {
    struct l2_encoder *encoder;          /* borrowed */
    const struct l2_template *dialogues; /* NULL: none */
    bool bos, eos;                       /* put them in */
    const char *system; /* for dialogues that have no system turn; borrowed; may be NULL */
};

struct l2_shaper; /* the options and working memory */

int l2_shaper_new(struct l2_shaper **out, const struct l2_shape_opts *opts,
                  struct l2_err *err) L2_MUST_CHECK;
void l2_shaper_free(struct l2_shaper *s);

/* One text as a record: prompt [BOS], one completion. shape is "text" or "lines". rec is reset. */
int l2_shape_from_text(struct l2_shaper *s, const char *text, size_t n, const char *shape,
                       const struct l2_id *id, struct l2_record *rec,
                       struct l2_err *err) L2_MUST_CHECK;

/* One row of JSON as a record; otherwise is its id where it has none. rec is reset. Errors in the
 * row are L2_FORMAT, or L2_ARGUMENT from the template. */
int l2_shape_from_json(struct l2_shaper *s, const json_t *row, const struct l2_id *otherwise,
                       struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* Appends the record as one JSON object without a line break, in the shape that it came in where it
 * still has that, else as prompt and completions. v may be NULL where the record holds text. */
int l2_shape_to_json(const struct l2_vocab *v, const struct l2_record *rec, struct l2_buf *out,
                     struct l2_err *err) L2_MUST_CHECK;

/* Appends the text of prompt and completion i, or of the prompt alone where there are no
 * completions. */
int l2_shape_to_text(const struct l2_vocab *v, const struct l2_record *rec, size_t i,
                     struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
