/* The progress line: a bar with rate and time left, drawn on standard error. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/message.h"
#include "common/progress.h"

#define BAR_WIDTH    24
#define REDRAW_AFTER 0.2  /* seconds */
#define LINES_AFTER  10.0 /* seconds between lines where standard error is no terminal */

struct l2_progress {
    double began, drawn;
    bool terminal;
    bool on_screen;
    double share; /* the last state, drawn again at the end */
    uint64_t done;
    char unit[32];
};

double l2_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A count with three digits or so: "812", "45.1k", "3.20M". */
static void format_count(double v, char *out, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    int unit = 0;
    while (v >= 1000 && unit < 4) {
        v /= 1000;
        unit++;
    }
    int digits = unit == 0 || v >= 100 ? 0 : v >= 10 ? 1 : 2;
    snprintf(out, size, "%.*f%s", digits, v, units[unit]);
}

static void format_time(double seconds, char *out, size_t size)
{
    uint64_t s = (uint64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else
        snprintf(out, size, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void draw(struct l2_cli *cli, struct l2_progress *p, double now)
{
    char name[64], bar[BAR_WIDTH + 1], count[32], rate[32], left[32];
    double elapsed = now - p->began;

    l2_message_name(cli, name, sizeof name);
    format_count((double)p->done, count, sizeof count);
    format_count(elapsed > 0 ? (double)p->done / elapsed : 0, rate, sizeof rate);
    fprintf(stderr, "%s%s: ", p->terminal ? "\r\033[K" : "", name);
    if (p->share >= 0) {
        size_t full = (size_t)(p->share * BAR_WIDTH);
        memset(bar, '.', BAR_WIDTH);
        memset(bar, '#', full);
        bar[BAR_WIDTH] = '\0';
        format_time(p->share > 0 ? elapsed / p->share - elapsed : 0, left, sizeof left);
        fprintf(stderr, "[%s] %3.0f%% ", bar, 100 * p->share);
    }
    fprintf(stderr, "%s %s, %s/s", count, p->unit, rate);
    if (p->share > 0 && p->share < 1 && elapsed >= 1)
        fprintf(stderr, ", %s left", left);
    if (!p->terminal)
        fputc('\n', stderr);
    fflush(stderr);
    p->drawn = now;
    p->on_screen = p->terminal;
}

void l2_cli_progress_share(struct l2_cli *cli, double share, uint64_t done, const char *unit)
{
    struct l2_progress *p = cli->progress_state;
    if (!cli->progress)
        return;
    double now = l2_seconds();
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return; /* no progress is shown, nothing else is lost */
        p->terminal = isatty(STDERR_FILENO);
        p->began = p->drawn = now;
        cli->progress_state = p;
    }
    p->share = share > 1 ? 1 : share;
    p->done = done;
    snprintf(p->unit, sizeof p->unit, "%s", unit);
    if (now - p->drawn >= (p->terminal ? REDRAW_AFTER : LINES_AFTER))
        draw(cli, p, now);
}

void l2_cli_progress(struct l2_cli *cli, uint64_t done, uint64_t total, const char *unit)
{
    l2_cli_progress_share(cli, total > 0 ? (double)done / (double)total : -1, done, unit);
}

void l2_cli_progress_done(struct l2_cli *cli)
{
    struct l2_progress *p = cli->progress_state;
    if (!p)
        return;
    if (p->share >= 0 && cli->status == 0)
        p->share = 1;
    draw(cli, p, l2_seconds());
    if (p->on_screen)
        fputc('\n', stderr);
    free(p);
    cli->progress_state = NULL;
}

void l2_progress_clear(struct l2_cli *cli)
{
    struct l2_progress *p = cli->progress_state;
    if (p && p->on_screen) {
        fputs("\r\033[K", stderr);
        p->on_screen = false;
    }
}
