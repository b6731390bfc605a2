/* What users of OpenBLAS share: the number of its threads is set in one place. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BLAS_H
#define L2_BLAS_H

/* OpenBLAS computes in the calling thread: the threads are the pool's. */
void l2_blas_one_thread(void);

#endif
