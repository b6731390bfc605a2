/* Fuzz target: constraints for Ghost Attention in YAML; instructions are chosen from those that are
 * taken, and answers judged. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rlhf/constraints.h"

static const char *const answers[] = {"", "The cat plays tennis.\n", "\xc3\xa4\xe4\xb8\xad a.b\\E"};

static void choose(const struct l2_constraints *c, uint64_t seed)
{
    struct l2_philox_key key = l2_philox_key_of(seed);
    struct l2_constraint_choice choice;
    struct l2_buf text = {0};
    struct l2_err err;
    bool obeys;
    l2_constraints_choose(c, (uint32_t)seed, 0.5, key, &choice);
    FUZZ_CHECK(choice.n >= 1 && choice.n <= c->n && (seed == 0 || choice.n <= seed));
    /* a text full of {} with a long value is a long text */
    if (l2_constraints_text(c, &choice, choice.brief, &text, &err) == L2_OK)
        FUZZ_CHECK(text.len > 0);
    text.len = 0;
    FUZZ_CHECK(l2_constraints_label(c, &choice, &text, &err) == L2_OK && text.len > 0);
    for (size_t i = 0; i < choice.n; i++) {
        const struct l2_constraint *x = &c->v[choice.picks[i].constraint];
        if (!x->values[choice.picks[i].value].obeys)
            continue;
        for (size_t k = 0; k < sizeof answers / sizeof *answers; k++) {
            int r =
                l2_constraints_obeyed(c, &choice, i, answers[k], strlen(answers[k]), &obeys, &err);
            FUZZ_CHECK(r == L2_OK || r == L2_LIMIT);
        }
    }
    l2_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_constraints c;
    struct l2_err err;
    int r = l2_constraints_read(&c, (const char *)data, n, "constraints", &err);
    FUZZ_CHECK(r == L2_OK || err.text[0] != '\0');
    if (r == L2_OK) {
        uint32_t *order = malloc((c.n_questions + 1) * sizeof *order);
        FUZZ_CHECK(order && c.n > 0);
        for (uint64_t seed = 0; seed < 4; seed++)
            choose(&c, seed);
        l2_constraints_questions(&c, l2_philox_key_of(1), order);
        for (size_t i = 0; i < c.n_questions; i++)
            FUZZ_CHECK(order[i] < c.n_questions);
        free(order);
    }
    l2_constraints_release(&c);
    return 0;
}
