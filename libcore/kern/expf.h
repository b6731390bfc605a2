/* The constants of exp in single precision, shared by the scalar and the vector form. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_EXPF_H
#define L2_EXPF_H

/* Outside of [MIN, MAX] the result is 0 or infinity; at MIN it is the smallest normal number. */
#define L2_EXPF_MIN (-0x1.5d589ep6f)
#define L2_EXPF_MAX 0x1.62e42ep6f

/* exp(x) = 2^n exp(r), r = x - n ln 2. Adding ROUND leaves n in the low bits of a float; n times
 * LN2_HI, which has 10 bits, is exact. */
#define L2_EXPF_LOG2E  0x1.715476p0f
#define L2_EXPF_ROUND  0x1.8p23f
#define L2_EXPF_LN2_HI 0x1.628p-1f
#define L2_EXPF_LN2_LO 0x1.90bfbep-11f

/* exp(r) = 1 + r + r^2 (C0 + C1 r + ... + C4 r^4) for |r| <= ln(2)/2: minimax in relative error
 * (Remez), 3.1e-9 before the coefficients are rounded. */
#define L2_EXPF_C0 0x1.fffffcp-2f
#define L2_EXPF_C1 0x1.555492p-3f
#define L2_EXPF_C2 0x1.5558f2p-5f
#define L2_EXPF_C3 0x1.123a2p-7f
#define L2_EXPF_C4 0x1.6a23dp-10f

#endif
