/* Energy counters of processor packages. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/rapl.h"

#include <inttypes.h>
#include <stdio.h>

#define PATH_BYTES 512

static bool read_counter(const char *dir, unsigned package, const char *name, uint64_t *out)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/intel-rapl:%u/%s", dir, package, name);
    FILE *f = n > 0 && n < PATH_BYTES ? fopen(path, "r") : NULL;
    if (!f)
        return false;
    bool ok = fscanf(f, "%" SCNu64, out) == 1;
    fclose(f);
    return ok;
}

bool l2_rapl_open(struct l2_rapl *r, const char *dir)
{
    *r = (struct l2_rapl){.dir = dir};
    for (unsigned i = 0; i < L2_RAPL_MAX; i++) {
        uint64_t now, range;
        if (!read_counter(dir, i, "energy_uj", &now))
            continue;
        if (!read_counter(dir, i, "max_energy_range_uj", &range))
            range = 0;
        r->packages[r->n].number = i;
        r->packages[r->n].last = now;
        r->packages[r->n++].range = range;
    }
    return r->n > 0;
}

void l2_rapl_update(struct l2_rapl *r)
{
    for (size_t i = 0; i < r->n; i++) {
        uint64_t now, last = r->packages[i].last, range = r->packages[i].range;
        if (!read_counter(r->dir, r->packages[i].number, "energy_uj", &now))
            continue;
        if (now >= last)
            r->joules += (double)(now - last) / 1e6;
        else if (range >= last)
            r->joules += (double)(range - last + now) / 1e6;
        r->packages[i].last = now;
    }
}
