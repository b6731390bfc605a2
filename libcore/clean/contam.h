/* Evaluation samples in training text, by the rule of the Llama 2 paper's appendix on dataset
 * contamination: spans of 10 tokens and more that both have, with a few differing tokens allowed.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CONTAM_H
#define L2_CONTAM_H

#include <stdbool.h>
#include "util/err.h"

/* A token of a sample is contaminated when it stands in a span that some training text has as well.
 * A span has at least `span` tokens; its first `span` are equal, behind them at most `skip` may
 * differ, and the last one is equal. Tokens that differ are not contaminated themselves. */
struct l2_contam_settings {
    uint32_t span, skip;
};

struct l2_contam;

int l2_contam_new(struct l2_contam **out, const struct l2_contam_settings *s,
                  struct l2_err *err) L2_MUST_CHECK;
void l2_contam_free(struct l2_contam *c);

/* Evaluation sets and their samples, in order; tokens are hashes or ids. All of them are added
 * before the first text is looked at. */
int l2_contam_add_set(struct l2_contam *c, const char *name, struct l2_err *err) L2_MUST_CHECK;
int l2_contam_add_sample(struct l2_contam *c, const uint64_t *tokens, size_t n,
                         struct l2_err *err) L2_MUST_CHECK;
/* Builds the index. */
int l2_contam_index(struct l2_contam *c, struct l2_err *err) L2_MUST_CHECK;
uint64_t l2_contam_bytes(const struct l2_contam *c); /* of memory */

/* Looks for the samples in a text, marks their contaminated tokens, and says the largest share of
 * one sample's tokens that this text has (0: no span), and of which set and sample (from 0) that
 * is.
 */
int l2_contam_check(struct l2_contam *c, const uint64_t *tokens, size_t n, double *share,
                    size_t *set, uint64_t *sample, struct l2_err *err) L2_MUST_CHECK;

/* What is known of a set after all texts: the paper's four subsets overlap (table 51): clean is
 * below 20% of a sample's tokens, not clean 20% or more, not dirty below 80%, dirty 80% or more. */
struct l2_contam_set {
    const char *name; /* borrowed */
    uint64_t samples, tokens, contaminated_tokens;
    uint64_t touched; /* samples with any contaminated token */
    uint64_t clean, not_clean, not_dirty, dirty;
    uint64_t short_samples; /* of fewer than `span` tokens: these cannot be found */
};
size_t l2_contam_n_sets(const struct l2_contam *c);
void l2_contam_set(const struct l2_contam *c, size_t i, struct l2_contam_set *out);
/* What is known of sample k (from 0) of set i: its tokens, and how many of them were found. */
void l2_contam_sample(const struct l2_contam *c, size_t i, uint64_t k, uint64_t *tokens,
                      uint64_t *found);
/* Places of spans that were left out because too many samples begin them alike (more than 1024). */
uint64_t l2_contam_left_out(const struct l2_contam *c);

#endif
