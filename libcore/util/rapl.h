/* Energy counters of processor packages, as Linux shows them (RAPL). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RAPL_H
#define L2_RAPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define L2_RAPL_DIR "/sys/class/powercap"
#define L2_RAPL_MAX 16 /* packages */

/* Caller's storage; nothing to release. */
struct l2_rapl {
    const char *dir; /* borrowed */
    size_t n;
    struct {
        unsigned number; /* of intel-rapl:N */
        uint64_t last, range;
    } packages[L2_RAPL_MAX];
    double joules; /* of all packages since it was opened, as of the last l2_rapl_update */
};

/* Finds the counters that can be read below dir; false where there are none. */
bool l2_rapl_open(struct l2_rapl *r, const char *dir);
/* Reads them. Counters begin again at 0 after some minutes: to be called more often than that. */
void l2_rapl_update(struct l2_rapl *r);

#endif
