/* Runs a fuzz target on files: as they are, all their prefixes, and with bits flipped. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "util/num.h"
#include "util/philox.h"

/* Usage: fuzz_THING PREFIXES FLIPS FILE...: at most that many prefixes and flips of each. */

static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*n + 1);
    FUZZ_CHECK(data && fread(data, 1, *n, f) == *n);
    fclose(f);
    return data;
}

/* In a block of just this size, so that a sanitizer sees every byte read beyond it. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    FUZZ_CHECK(copy);
    memcpy(copy, data, n);
    FUZZ_CHECK(LLVMFuzzerTestOneInput(copy, n) == 0);
    free(copy);
}

static void run_file(const char *path, int64_t prefixes, int64_t flips)
{
    struct l2_philox_key key = {{7, 7}};
    size_t n;
    uint8_t *data = read_file(path, &n);
    run(data, n);
    for (int64_t i = 0; i < prefixes && n > 0; i++) {
        size_t step = n / (size_t)prefixes + 1;
        if ((size_t)i * step >= n)
            break;
        run(data, (size_t)i * step);
    }
    for (int64_t i = 0; i < flips && n > 0; i++) {
        size_t bit = (size_t)(l2_philox_uniform(key, 0, (uint64_t)i) * 8 * (double)n);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        run(data, n);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(data);
}

int main(int argc, char **argv)
{
    int64_t prefixes, flips;
    if (argc < 4 || !l2_parse_i64(argv[1], &prefixes) || !l2_parse_i64(argv[2], &flips)) {
        fprintf(stderr, "usage: %s PREFIXES FLIPS FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 3; i < argc; i++)
        run_file(argv[i], prefixes, flips);
    return 0;
}
