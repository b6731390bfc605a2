/* Fuzz target: an expression over scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "rlhf/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_expr *e;
    struct l2_completion c = {.n_scores = 0};
    struct l2_err err;
    const char *missing;
    double value;
    char *text = malloc(n + 1);
    FUZZ_CHECK(text);
    memcpy(text, data, n);
    text[n] = '\0';
    if (l2_expr_parse(&e, text, &err) == L2_OK) {
        bool there = l2_expr_value(e, &c, true, &value, &missing);
        FUZZ_CHECK(there == !missing);
        l2_expr_free(e);
    } else {
        FUZZ_CHECK(err.code == L2_ARGUMENT && err.text[0] != '\0');
    }
    free(text);
    return 0;
}
