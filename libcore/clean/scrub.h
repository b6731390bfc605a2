/* Changes to the characters of a text: Unicode's normal forms, control characters, markup, spaces.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SCRUB_H
#define L2_SCRUB_H

#include <stdbool.h>
#include "util/buf.h"

/* Each appends the changed text to out; text is valid UTF-8 but for l2_scrub_invalid. *count, where
 * there is one, is how much was changed. */

/* Every byte that is not part of well-formed UTF-8 becomes U+FFFD. */
int l2_scrub_invalid(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                     struct l2_err *err) L2_MUST_CHECK;

/* Unicode normal form C, or KC with compat, by utf8proc. L2_UNSUPPORTED where this build has no
 * utf8proc. */
int l2_scrub_unicode(const char *text, size_t n, bool compat, struct l2_buf *out,
                     struct l2_err *err) L2_MUST_CHECK;
bool l2_scrub_has_unicode(void);

/* Takes control characters away (but tab and line feed), and invisible ones: soft hyphens,
 * zero-width spaces, byte order marks, directional marks; CR LF and CR become LF; terminal escape
 * sequences (ESC [ ... letter) go as a whole, and overstrikes (c BS c, _ BS c) become c. */
int l2_scrub_controls(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                      struct l2_err *err) L2_MUST_CHECK;

/* Takes HTML away: comments, tags, what is in <script> and <style>; tags of blocks become line
 * feeds; character references become characters. Text in which < is no tag stays as it is. */
int l2_scrub_markup(const char *text, size_t n, struct l2_buf *out, uint64_t *count,
                    struct l2_err *err) L2_MUST_CHECK;

/* Runs of blanks in a line become one space (indentation stays), blanks at a line's end go, more
 * than one empty line become one, empty lines at both ends go. */
int l2_scrub_spaces(const char *text, size_t n, struct l2_buf *out,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
