/* How much memory this process may take, from /proc and the control group. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

static bool read_number(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fscanf(f, "%" SCNu64, out) == 1; /* "max" is no number: no limit */
    fclose(f);
    return ok;
}

static bool meminfo_available(uint64_t *out)
{
    char line[128];
    bool found = false;
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = sscanf(line, "MemAvailable: %" SCNu64 " kB", out) == 1;
    fclose(f);
    *out = found ? *out * 1024 : 0;
    return found;
}

uint64_t l2_memory_available(void)
{
    uint64_t available, limit, used;
    if (!meminfo_available(&available)) {
        long pages = sysconf(_SC_PAGESIZE), n = -1;
#ifdef _SC_PHYS_PAGES
        n = sysconf(_SC_PHYS_PAGES);
#endif
        available = pages > 0 && n > 0 ? (uint64_t)pages * (uint64_t)n / 2 : 0;
    }
    if (read_number("/sys/fs/cgroup/memory.max", &limit) &&
        read_number("/sys/fs/cgroup/memory.current", &used)) {
        uint64_t left = limit > used ? limit - used : 0;
        if (available == 0 || left < available)
            available = left;
    }
    return available;
}
