/* Brings rows of quantised blocks into the panels' order. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PACK_QUANT_H
#define L2_PACK_QUANT_H

#include "kern/layout.h"

/* The codec whose blocks a quantised layout is made of. */
const struct l2_quant *l2_layout_quant(enum l2_layout layout);

/* One stripe of n columns (see struct l2_panel) from 16 rows of the codec's blocks; a row may be
 * NULL and is then zero. */
void l2_pack_stripe(uint8_t *out, enum l2_layout layout, const uint8_t *const rows[16], size_t n);

#endif
