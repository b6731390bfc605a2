/* What the worker of Ghost Attention holds; shared by the files that make it up. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GATT_STATE_H
#define L2_GATT_STATE_H

#include "rlhf/gatt.h"

struct l2_gatt_flight;

/* A turn on its way through the generator, which knows it as a record. */
struct l2_gatt_asked {
    struct l2_record rec; /* first */
    struct l2_gatt_flight *flight;
};

/* A dialogue. All that it points to is in its record's arena. */
struct l2_gatt_flight {
    struct l2_gatt_flight *next;
    struct l2_record *rec;
    struct l2_gatt_asked *asked; /* owned while no turn is in the generator */
    struct l2_str full;          /* the instruction as it stands in every turn */
    struct l2_message *system;   /* NULL: none */
    struct l2_message **users;   /* of the record; NULL: one of the constraints' questions */
    size_t n_turns;
    struct l2_gatt_dialogue d;
    struct l2_turn *turns; /* 2 * n_turns + 1, for rendering */
    bool finished;
};

struct l2_gatt {
    struct l2_worker worker;
    struct l2_worker *generator; /* owned */
    struct l2_gatt_opts opts;
    uint32_t context;
    struct l2_encoder *encoder;          /* owned */
    struct l2_gatt_flight *head, **tail; /* in input order */
    struct l2_gatt_flight *taken;        /* whose record was taken last; owned */
    size_t n_flights, most_flights;
    struct l2_ids ids;  /* a rendered prompt */
    struct l2_buf text; /* working memory */
    struct l2_gatt_counts counts;
};

/* Reads rec's messages, chooses its instruction. */
int l2_gatt_begin(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err) L2_MUST_CHECK;

/* How a dialogue is rendered: with its instruction in every user turn, or once. */
enum l2_gatt_form { L2_GATT_EVERY, L2_GATT_ONCE };

/* Renders the dialogue up to the question number t to g->ids. */
int l2_gatt_render(struct l2_gatt *g, struct l2_gatt_flight *f, size_t t, enum l2_gatt_form form,
                   struct l2_err *err) L2_MUST_CHECK;

/* Makes of a record whose dialogue has answers what it is trained on. */
int l2_gatt_finish(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err) L2_MUST_CHECK;

#endif
