/* Templates of tasks: text in which fields of a document are put. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SUBST_H
#define L2_SUBST_H

#include <jansson.h>
#include "util/buf.h"

/* A template is text with {{ field | filter | filter(argument, ...) }} in it.
 *
 * field: name, then any of .name, ["name"], [number] and [], behind which the rest is taken of each
 * item of a list. `choice` is the choice in hand. Names are the document's keys. An argument is a
 * "text" with JSON's escapes, a 'text' as it is, a number, or a field.
 *
 * filters of texts: strip, lower, upper, capitalize; before(T) and after(T), what is before and
 * after the first T; replace(T, WITH); sub(REGEX, WITH); boxed, the inside of the last \boxed{};
 * letter, a letter's place in the alphabet; int, the number that a text says, int(N) plus N;
 * of lists: first, last, join(T), letters, lines "A. item"; length; nonzero, the places of what is
 * not 0 or false; of objects: keys, values; of all: default(X), X for what is not there, is null or
 * an empty list; index_in(LIST), the place in a list; json.
 *
 * Text of a value: texts as they are, numbers and true and false as JSON has them, null nothing;
 * lists and objects are JSON. */

/* Appends the template's text. choice may be NULL. Errors are L2_CORRUPT and name the expression.
 */
int l2_subst_text(const char *template, const json_t *doc, const json_t *choice, struct l2_buf *out,
                  struct l2_err *err) L2_MUST_CHECK;

/* A template that is one expression gives that expression's value, others their text. *out is
 * owned, free with json_decref. */
int l2_subst_value(const char *template, const json_t *doc, const json_t *choice, json_t **out,
                   struct l2_err *err) L2_MUST_CHECK;

/* The inside of the last \boxed{...} (or \fbox{...}) of s[0..n), braces in balance; false where
 * there is none. */
int l2_subst_boxed(const char *s, size_t n, size_t *begin, size_t *end);

#endif
