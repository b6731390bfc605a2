/* l2-plot: colors on light and on dark paper. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <string.h>

/* Ink and curves have a contrast of 4.5 and more to their paper, as WCAG 2 asks of text; neighbours
 * differ in lightness or in blue against yellow, which most who are color-blind see. */
static const struct {
    uint32_t paper, ink, grid, curves[PLOT_COLORS];
} themes[2] = {
    {0xffffff,
     0x24292f,
     0xd8dee4,
     {0x0b6bcb, 0xc2410c, 0x15803d, 0x8b3fd1, 0x0e7490, 0xbe185d, 0x856404, 0x57606a}},
    {0x0d1117,
     0xe6edf3,
     0x30363d,
     {0x58a6ff, 0xff9e64, 0x4ade80, 0xc297ff, 0x2dd4da, 0xff7eb6, 0xe3c04b, 0xaab4c0}},
};

uint32_t plot_color(bool dark, enum plot_role role, unsigned i)
{
    switch (role) {
    case PLOT_PAPER:
        return themes[dark].paper;
    case PLOT_INK:
        return themes[dark].ink;
    case PLOT_GRID:
        return themes[dark].grid;
    default:
        return themes[dark].curves[i % PLOT_COLORS];
    }
}

/* A rule for each attribute in which gnuplot names the color from: as "#rrggbb", and as
 * "rgb(r,g,b)" with and without padding. */
static int put_rule(struct l2_buf *out, uint32_t from, uint32_t to, struct l2_err *err)
{
    static const char *const attributes[] = {"fill", "stroke", "color"};
    unsigned red = from >> 16, green = from >> 8 & 255, blue = from & 255;
    int r = L2_OK;
    for (size_t i = 0; i < 3 && r == L2_OK; i++) {
        const char *a = attributes[i];
        r = l2_buf_printf(out, err,
                          "[%s=\"#%06x\"],[%s=\"rgb(%u,%u,%u)\"],[%s=\"rgb(%3u, %3u, %3u)\"]"
                          "{%s:#%06x}\n",
                          a, (unsigned)from, a, red, green, blue, a, red, green, blue, a,
                          (unsigned)to);
    }
    return r;
}

int plot_svg_add_dark(struct l2_buf *svg, struct l2_err *err)
{
    static const char end[] = "</svg>";
    size_t at = svg->len;
    while (at > 0 &&
           (svg->len - at < sizeof end - 1 || memcmp(svg->data + at, end, sizeof end - 1) != 0))
        at--;
    if (at == 0)
        return l2_err_set(err, L2_CORRUPT, "gnuplot's picture has no %s", end);
    svg->len = at;
    int r = l2_buf_append_str(svg, "<style>@media (prefers-color-scheme: dark) {\n", err);
    for (int role = PLOT_PAPER; role <= PLOT_GRID && r == L2_OK; role++)
        r = put_rule(svg, plot_color(false, (enum plot_role)role, 0),
                     plot_color(true, (enum plot_role)role, 0), err);
    for (unsigned i = 0; i < PLOT_COLORS && r == L2_OK; i++)
        r = put_rule(svg, plot_color(false, PLOT_CURVE, i), plot_color(true, PLOT_CURVE, i), err);
    return r == L2_OK ? l2_buf_append_str(svg, "}</style>\n</svg>\n", err) : r;
}
