/* Dialogues of records whose messages were edited, rendered again. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_DIALOGUE_H
#define L2_DIALOGUE_H

#include "stream/record.h"
#include "text/template.h"

struct l2_dialogue; /* encoder, template and working memory; one a thread */

/* Both are borrowed. Owned, free with l2_dialogue_free. */
int l2_dialogue_new(struct l2_dialogue **out, struct l2_encoder *e, const struct l2_template *t,
                    struct l2_err *err) L2_MUST_CHECK;
void l2_dialogue_free(struct l2_dialogue *d);

/* Renders rec's messages, to see that they give its prompt, and remembers whether that is without
 * BOS. Where they do not, the template or the vocabulary is another one: L2_FORMAT. To be called
 * for each record before it is edited. */
int l2_dialogue_check(struct l2_dialogue *d, struct l2_record *rec,
                      struct l2_err *err) L2_MUST_CHECK;

/* Makes rec's prompt and spans those of its messages. Earlier answers keep the ids that they have
 * in the old prompt, where its spans tell of as many answers as there are; else they are encoded.
 * Of turns of HH data that one side speaks in a row one is made. Roles in an order that the
 * template has no form for are L2_ARGUMENT. */
int l2_dialogue_render(struct l2_dialogue *d, struct l2_record *rec,
                       struct l2_err *err) L2_MUST_CHECK;

#endif
