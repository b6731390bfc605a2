/* What runs say as JSON. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/report.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/memory.h"

#define MIB 1048576.0

void l2_report_count(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

void l2_report_real(json_t *o, const char *key, double v)
{
    if (isfinite(v))
        json_object_set_new(o, key, json_real(v));
}

int l2_report_line(FILE *log, const char *name, json_t *o, struct l2_err *err)
{
    int r = L2_OK;
    if (!o)
        return l2_err_memory(err, sizeof *o);
    if (log && (json_dumpf(o, log, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0 ||
                fputc('\n', log) == EOF || fflush(log) != 0))
        r = l2_err_sys(err, errno, name, "cannot write");
    json_decref(o);
    return r;
}

void l2_report_memory(struct l2_cli *cli, const struct l2_memory_part *parts, size_t n)
{
    uint64_t all = 0, available = l2_memory_available();
    json_t *o = json_object();
    char text[512] = "";
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s %s %.1f", i > 0 ? "," : "", parts[i].name,
                 (double)parts[i].bytes / MIB);
        l2_report_count(o, parts[i].name, parts[i].bytes);
        all += parts[i].bytes;
    }
    l2_report_count(o, "all", all);
    json_object_set_new(cli->report, "memory", o);
    l2_cli_note(cli, "memory: %.1f MiB:%s", (double)all / MIB, text);
    if (available > 0 && all > available)
        l2_cli_note(cli, "that is more than the %.1f MiB that are free", (double)available / MIB);
}
