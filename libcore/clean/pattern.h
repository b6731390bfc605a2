/* Regular expressions of rules: PCRE2, cut off where they would take too long. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PATTERN_H
#define L2_PATTERN_H

#include <stdbool.h>
#include "util/buf.h"

struct l2_pattern;

/* How much matching may cost: PCRE2's match limit, and its heap limit in KiB. */
#define L2_PATTERN_MATCH_LIMIT 1000000
#define L2_PATTERN_HEAP_LIMIT  20000
#define L2_PATTERN_MAX         65536 /* bytes of one pattern */

/* Compiles a pattern over UTF-8 in which classes and properties are Unicode's, ^ and $ match at
 * every line. What PCRE2 does not take is L2_CORRUPT at file:line:column. Owned, free with
 * l2_pattern_free. */
int l2_pattern_new(struct l2_pattern **out, const char *pattern, size_t n, const char *file,
                   int64_t line, int64_t column, struct l2_err *err) L2_MUST_CHECK;
void l2_pattern_free(struct l2_pattern *p);

/* Bytes of memory that it takes. */
size_t l2_pattern_size(const struct l2_pattern *p);

/* The first match at or after *pos in text[0..n), valid UTF-8: [*begin, *end), and *pos is where to
 * go on. L2_OK, L2_END where there is none; L2_LIMIT where the limits were met. */
int l2_pattern_next(struct l2_pattern *p, const char *text, size_t n, size_t *pos, size_t *begin,
                    size_t *end, struct l2_err *err) L2_MUST_CHECK;

/* Groups of the pattern; place [*begin, *end) of number group from 1 in the match that was found
 * last, empty where it took no part. */
size_t l2_pattern_groups(const struct l2_pattern *p);
void l2_pattern_group(const struct l2_pattern *p, size_t group, size_t *begin, size_t *end);

/* Appends text with every match that is not empty replaced by with[0..with_n); *count is how many
 * were. Errors as in l2_pattern_next; then out is as before. */
int l2_pattern_replace(struct l2_pattern *p, const char *text, size_t n, const char *with,
                       size_t with_n, struct l2_buf *out, uint64_t *count, size_t *first,
                       struct l2_err *err) L2_MUST_CHECK;

#endif
