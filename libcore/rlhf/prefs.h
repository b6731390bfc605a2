/* Preference pairs as data (the Llama 2 paper, section 3.2.1): what a pair is, which are kept, what
 * its safety bins and table 6 count. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PREFS_H
#define L2_PREFS_H

#include "clean/seen.h"
#include "data/row.h"
#include "stream/record.h"
#include "text/encode.h"
#include "train/data.h"
#include "util/sha256.h"

/* ---- a pair ---- */

/* What a pair is known by, and what is said about it. The chosen answer is the first. */
struct l2_pref {
    /* Hashes of texts with roles, or of ids. The opening is what of the prompt stands before its
     * first answer: dialogues that go on from one another have it in common. */
    uint8_t prompt[L2_SHA256_SIZE], opening[L2_SHA256_SIZE], answers[2][L2_SHA256_SIZE];
    enum l2_rating rating;
    int safe[2]; /* 1, 0, or -1 where it is not said */
};

/* A row of JSON. Other than two answers, equal ones, an unknown rating and safety that is neither
 * true nor false are L2_FORMAT. */
int l2_pref_of_row(struct l2_pref *pref, const struct l2_row *row,
                   struct l2_err *err) L2_MUST_CHECK;
/* A record with token ids; likewise, and one without ids is L2_FORMAT. */
int l2_pref_of_record(struct l2_pref *pref, const struct l2_record *rec,
                      struct l2_err *err) L2_MUST_CHECK;

/* ---- which are kept ---- */

struct l2_prefs_opts {
    uint64_t memory; /* for the hashes of pairs */
    bool unique;     /* a pair that was met before, in either order, is left out */
    bool has_split;  /* one part only: */
    double split;    /* of the openings, this share */
    bool rest;       /* or the others */
    uint64_t seed;   /* of the split, and of what a weight's fraction picks */
};

/* The three bins of the paper's safety data, for pairs of which both answers are labelled. */
enum l2_pref_bin {
    L2_PREF_CHOSEN_SAFE, /* and the other unsafe */
    L2_PREF_BOTH_SAFE,
    L2_PREF_BOTH_UNSAFE,
    L2_N_PREF_BINS
};
extern const char *const l2_pref_bin_names[L2_N_PREF_BINS];

/* Caller's storage; release also after failure. */
struct l2_prefs {
    struct l2_prefs_opts opts;
    struct l2_seen pairs, sides;
    uint64_t duplicates;     /* the same pair again */
    uint64_t contradictions; /* the same pair with the other answer chosen */
    uint64_t unsafe;         /* left out: an unsafe answer chosen before a safe one */
    uint64_t other_part;     /* left out: not of the wanted part */
    uint64_t kept;
    uint64_t ratings[L2_N_RATINGS + 1], bins[L2_N_PREF_BINS]; /* of those kept */
};

int l2_prefs_init(struct l2_prefs *p, const struct l2_prefs_opts *opts,
                  struct l2_err *err) L2_MUST_CHECK;
void l2_prefs_release(struct l2_prefs *p);

/* Counts a pair; true when it is kept. *contradicts: an earlier one chose the other answer; what is
 * left out as unsafe was not met. */
bool l2_prefs_judge(struct l2_prefs *p, const struct l2_pref *pref, bool *contradicts);

/* How often a pair of a set with this weight (0 or more) goes into a mix: the whole part, and once
 * more for a share of the pairs that is the rest, chosen by a hash. */
uint32_t l2_prefs_copies(const struct l2_prefs *p, const struct l2_pref *pref, double weight);

/* ---- table 6 ---- */

/* A turn is a message of the user and the answer to it. Sums over pairs. */
struct l2_pref_stats {
    uint64_t comparisons, turns;
    uint64_t prompts, prompt_tokens;     /* messages of the user */
    uint64_t responses, response_tokens; /* answers, both of the pair's among them */
    double example_tokens;               /* of dialogues with one of the two answers, in the mean */
};

/* Adds a pair of texts; tokens are counted where there is an encoder. ids is working memory. */
int l2_pref_stats_row(struct l2_pref_stats *s, const struct l2_row *row, struct l2_encoder *encoder,
                      struct l2_ids *ids, struct l2_err *err) L2_MUST_CHECK;
/* Adds a pair of ids. The spans of the prompt are the answers of earlier turns; what is between
 * them, with all that a template puts there, is the user's. */
void l2_pref_stats_record(struct l2_pref_stats *s, const struct l2_record *rec);

#endif
