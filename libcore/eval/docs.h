/* The documents of a task, from the forms of file that test sets come in. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_DOCS_H
#define L2_DOCS_H

#include <jansson.h>
#include "util/err.h"

enum l2_docs_format { L2_DOCS_JSONL, L2_DOCS_JSON, L2_DOCS_CSV, L2_DOCS_LINES };
extern const char *const l2_docs_format_names[]; /* jsonl, json, csv, lines, NULL */

struct l2_docs_form {
    enum l2_docs_format format;
    /* JSON: the way to the documents, as data[].paragraphs[].qas[]: names between points, "[]" for
     * each item of a list, "*" for each value of an object. A document has the other fields of all
     * that is above it, unless it has such of its own; of "*" number i from 0, key<i> is the key;
     * what is no object becomes the field "value". NULL: the file is a document or a list of
     * such. */
    const char *records;
    const json_t *columns; /* CSV: the names of its columns; NULL: its first row has them */
};

/* Appends the documents in text[0..n) to the array docs: objects. Lines become {"text": line}.
 * Errors name file and line. */
int l2_docs_read(const struct l2_docs_form *form, const char *text, size_t n, const char *file,
                 json_t *docs, struct l2_err *err) L2_MUST_CHECK;

#endif
