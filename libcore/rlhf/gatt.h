/* Ghost Attention (section 3.3 of the paper): dialogues answered turn by turn under an instruction,
 * for training data in which it stands only once, and for the measure of how long it is obeyed. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GATT_H
#define L2_GATT_H

#include "rlhf/constraints.h"
#include "sample/generate.h"
#include "text/template.h"

struct l2_gatt_opts {
    const struct l2_constraints *constraints; /* borrowed */
    uint32_t combine;                         /* constraints in one instruction at most; 0: all */
    double brief_share;                       /* of the instructions that stand once */
    /* While answers are sampled the instruction stands in every user turn, in full (to make
     * training data); else only in the first one, as it does in the record (to measure). */
    bool every_turn;
    bool system;      /* where it stands once it is the system turn's, not the first user turn's */
    uint32_t n_turns; /* of each dialogue; the constraints' questions go on where it has fewer user
                         turns. 0: as many as it has */
    const struct l2_template *dialogues;
    struct l2_generate_opts generate; /* with a vocabulary; n_completions is 1 */
};

/* A worker on records with messages: their user turns are asked one after the other, and the
 * answers that they had are put aside. Answer t is completion k = t of the record's id, so it
 * depends on weights, options, seed and dialogue alone. A record comes back as training data:
 * prompt and messages are all turns up to the last question, with the instruction once; earlier
 * answers are spliced in by id; the one completion is the last answer; there are no spans, so that
 * nothing of the prompt has a loss.
 *
 * A dialogue ends early before a turn that the context has no room for (with L2_OVERLONG_TRUNCATE_*
 * what is asked is cut instead), and before an answer that could not be drawn. For the first turn
 * it is as l2_generator_new has it; a record without any answer comes back as it was. e is
 * borrowed. */
int l2_gatt_new(struct l2_worker **out, struct l2_engine *e, const struct l2_gatt_opts *opts,
                struct l2_err *err) L2_MUST_CHECK;

/* The generator that it runs, for its counts. Borrowed. */
struct l2_worker *l2_gatt_generator(struct l2_worker *w);

struct l2_gatt_counts {
    uint64_t dialogues; /* that have an answer */
    uint64_t answers;
    uint64_t ended_early;
};
const struct l2_gatt_counts *l2_gatt_results(const struct l2_worker *w);

/* What became of the record that take() gave last; valid up to the next call of it, as long as the
 * record is left as it is. */
struct l2_gatt_dialogue {
    struct l2_constraint_choice choice;
    struct l2_str instruction; /* that stands once */
    struct l2_str label;       /* l2_constraints_label */
    struct l2_str *questions;  /* n: the user's turns as they were asked for, without instruction */
    struct l2_completion *answers;
    struct l2_str *texts; /* the answers' text, without white space around it */
    size_t n;             /* answers */
};
const struct l2_gatt_dialogue *l2_gatt_taken(const struct l2_worker *w);

/* Makes rec (reset) the dialogue up to answer t < n: with the id, the prompt that has the
 * instruction once, and one completion, whose parts are borrowed from the dialogue. */
int l2_gatt_turn(struct l2_worker *w, size_t t, struct l2_record *rec,
                 struct l2_err *err) L2_MUST_CHECK;

#endif
