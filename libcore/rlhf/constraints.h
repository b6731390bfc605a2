/* Constraints on answers for Ghost Attention (section 3.3 of the paper): "you enjoy tennis", "speak
 * in French", "act as Napoleon", read from YAML, combined by chance, and judged by patterns. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CONSTRAINTS_H
#define L2_CONSTRAINTS_H

#include "clean/pattern.h"
#include "util/arena.h"
#include "util/philox.h"

#define L2_CONSTRAINTS_MAX 64 /* kinds */

/* Strings are in the arena of struct l2_constraints. */
struct l2_constraint_value {
    const char *text;         /* "" where the constraint has but one form */
    struct l2_pattern *obeys; /* matches answers that obey; owned; NULL: not known */
};

struct l2_constraint {
    const char *name;
    const char *instruction;            /* {} stands for the value */
    const char *brief;                  /* the same in fewer words; NULL: there are no fewer */
    const char *obeys;                  /* pattern with {}; NULL: none */
    struct l2_constraint_value *values; /* owned; one at least */
    size_t n_values, cap;
    int64_t line; /* of the file */
};

struct l2_constraints {
    struct l2_arena arena;
    struct l2_constraint v[L2_CONSTRAINTS_MAX];
    size_t n;
    const char **questions; /* of users, for dialogues that have too few; owned array */
    size_t n_questions, questions_cap;
    const char *file; /* in arena */
};

/* Reads the YAML text[0..n). What is wrong with it is L2_FORMAT or L2_CORRUPT with file and line.
 * Release also after a failure. */
int l2_constraints_read(struct l2_constraints *c, const char *text, size_t n, const char *file,
                        struct l2_err *err) L2_MUST_CHECK;
void l2_constraints_release(struct l2_constraints *c);

/* Keeps those of the n names; L2_ARGUMENT where one is none of them. */
int l2_constraints_keep(struct l2_constraints *c, const char *const *names, size_t n,
                        struct l2_err *err) L2_MUST_CHECK;
/* L2_CORRUPT where a value has no pattern to judge answers by. */
int l2_constraints_check_judged(const struct l2_constraints *c, struct l2_err *err) L2_MUST_CHECK;

/* An instruction: values of some constraints, in the order in which it says them. */
struct l2_constraint_choice {
    size_t n;
    struct {
        uint32_t constraint, value;
    } picks[L2_CONSTRAINTS_MAX];
    bool brief; /* where the instruction stands once, it is the brief one */
};

/* Chooses from 1 to `most` constraints (0: up to all), each number of them as likely as the others,
 * and brief with probability brief_share. The choice depends on key and options alone. */
void l2_constraints_choose(const struct l2_constraints *c, uint32_t most, double brief_share,
                           struct l2_philox_key key, struct l2_constraint_choice *out);
/* The order in which the questions are asked where key's dialogue has too few; order has room for
 * all of them. */
void l2_constraints_questions(const struct l2_constraints *c, struct l2_philox_key key,
                              uint32_t *order);

/* Appends the instruction, its sentences separated by spaces. */
int l2_constraints_text(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                        bool brief, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
/* Appends "hobby: tennis; language: French". */
int l2_constraints_label(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                         struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
/* Whether an answer, valid UTF-8, obeys pick number i of a choice, which has a pattern. */
int l2_constraints_obeyed(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                          size_t i, const char *text, size_t n, bool *obeys,
                          struct l2_err *err) L2_MUST_CHECK;

#endif
