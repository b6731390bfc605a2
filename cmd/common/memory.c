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

/* Bytes of file cache in a control group: counted as used, but given back when wanted. */
static uint64_t cached(const char *path)
{
    char line[128];
    uint64_t n, sum = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "inactive_file %" SCNu64, &n) == 1 ||
            sscanf(line, "active_file %" SCNu64, &n) == 1)
            sum += n;
    fclose(f);
    return sum;
}

/* What the limits of this process's control group (version 2) and those above it leave. False where
 * none is set. */
static bool cgroup_left(uint64_t *left)
{
    char line[512], path[640];
    bool found = false;
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = strncmp(line, "0::/", 4) == 0;
    fclose(f);
    if (!found)
        return false;

    found = false;
    char *group = line + 3; /* "/a/b"; then "/a", then "" */
    group[strcspn(group, "\n")] = '\0';
    for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
        uint64_t limit, used;
        *end = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        bool limited = read_number(path, &limit);
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
        if (!limited || !read_number(path, &used))
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group);
        uint64_t cache = cached(path);
        used -= cache < used ? cache : used;
        uint64_t here = limit > used ? limit - used : 0;
        if (!found || here < *left)
            *left = here;
        found = true;
    }
    return found;
}

uint64_t l2_memory_available(void)
{
    uint64_t available, left;
    if (!meminfo_available(&available)) {
        long pages = sysconf(_SC_PAGESIZE), n = -1;
#ifdef _SC_PHYS_PAGES
        n = sysconf(_SC_PHYS_PAGES);
#endif
        available = pages > 0 && n > 0 ? (uint64_t)pages * (uint64_t)n / 2 : 0;
    }
    if (cgroup_left(&left) && (available == 0 || left < available))
        available = left;
    return available;
}
