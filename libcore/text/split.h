/* Cutting text into words before byte-level merging, by regular expressions. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SPLIT_H
#define L2_SPLIT_H

#include <stdbool.h>
#include "util/err.h"

/* The expressions of well-known vocabularies. */
extern const char l2_split_gpt2[];
extern const char l2_split_llama3[];
extern const char l2_split_digit[];
extern const char l2_split_digits[];

#define L2_SPLIT_MAX 8

struct l2_split_step;

/* Each step cuts every part that the one before made into its matches and what lies between them.
 * Caller's storage; all zero is valid: no step. */
struct l2_splitter {
    struct l2_split_step *steps[L2_SPLIT_MAX]; /* owned */
    size_t n;
};

/* Compiles a pattern as the next step. It is read as Oniguruma reads it in UTF-8: classes and
 * properties are Unicode's. A pattern that PCRE2 does not take is L2_UNSUPPORTED. */
int l2_splitter_add(struct l2_splitter *s, const char *pattern, size_t n, const char *file,
                    struct l2_err *err) L2_MUST_CHECK;
void l2_splitter_release(struct l2_splitter *s);

/* The pattern of step i. Borrowed. */
const char *l2_splitter_pattern(const struct l2_splitter *s, size_t i);

/* The name that GGUF's tokenizer.ggml.pre has for these steps, or NULL. */
const char *l2_splitter_name(const struct l2_splitter *s, bool ignore_merges);
/* The steps of such a name. L2_UNSUPPORTED where it is not known. */
int l2_splitter_of_name(struct l2_splitter *s, const char *name, size_t n, bool *ignore_merges,
                        const char *file, struct l2_err *err) L2_MUST_CHECK;

struct l2_split_work; /* what matching needs; one a thread */

int l2_split_work_new(struct l2_split_work **out, struct l2_err *err) L2_MUST_CHECK;
void l2_split_work_free(struct l2_split_work *w);

/* The first match of step i at or after pos in text[0..n), valid UTF-8 and the whole of a part:
 * [*begin, *end), never empty. Where there is none *begin = *end = n. */
int l2_split_next(const struct l2_splitter *s, struct l2_split_work *w, size_t i, const char *text,
                  size_t n, size_t pos, size_t *begin, size_t *end,
                  struct l2_err *err) L2_MUST_CHECK;

/* With false, known patterns too are always matched by PCRE2: what tests compare with. */
void l2_split_work_set_fast(struct l2_split_work *w, bool fast);

#endif
