/* Fuzz target: a safetensors file; tensors that are given out lie inside it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char name[] = "input";
    const struct l2_map map = {data, n, name};
    struct l2_st_file f = {0};
    struct l2_err err;
    uint64_t sum = 0;
    if (l2_st_read(&f, &map, &err) == L2_OK)
        for (size_t i = 0; i < f.n; i++) {
            FUZZ_CHECK(f.entries[i].begin <= f.entries[i].end && f.entries[i].end <= n);
            for (size_t k = f.entries[i].begin; k < f.entries[i].end; k++)
                sum += data[k];
        }
    else
        FUZZ_CHECK(err.text[0] != '\0');
    l2_st_release(&f);
    return sum == UINT64_MAX;
}
