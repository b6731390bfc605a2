/* Generation by the tiny model, which the tests of generation share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_GENERATE_FIXTURE_H
#define L2_TEST_GENERATE_FIXTURE_H

#include "sample/generate.h"
#include "tiny_model.h"

#define N_RECORDS 13

/* The model of all tests, from generate_set_up to generate_tear_down. */
extern struct tiny_model generate_tiny;
int generate_set_up(void **state);
int generate_tear_down(void **state);

/* k completions of up to n tokens; their log-probabilities are kept. */
struct l2_generate_opts generate_options(uint32_t k, uint32_t n);
struct l2_record *generate_record(int64_t id);
/* Runs the worker as the programs do, feeding it the n records at in (where one is refused the test
 * fails); out gets them in the order in which they come. */
void generate_drive(struct l2_worker *w, struct l2_record **in, size_t n, struct l2_record **out);
/* The N_RECORDS records with their completions, in input order. */
void generate_all(const struct l2_generate_opts *o, uint32_t max_rows, uint32_t max_outputs,
                  uint32_t kv_blocks, int threads, struct l2_record **out);
void generate_free(struct l2_record **r, size_t n);

void generate_same_completion(const struct l2_completion *a, const struct l2_completion *b);
void generate_same(struct l2_record **a, struct l2_record **b, size_t n);

#endif
