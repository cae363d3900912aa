/*
 * Matrix products in float32, row-major: the only user of BLAS.  Every call runs on the calling
 * thread alone (gemm_setup sets one BLAS thread); several threads may call at once.  The same call
 * on the same operands gives the same bits; another number of rows may not (the kernels of OpenBLAS
 * treat edge rows differently), so code that promises bits per image uses one call per image.
 */
#ifndef LETHE_LEARNERS_GEMM_H
#define LETHE_LEARNERS_GEMM_H

#include "daemon/base/status.h"

#include <stddef.h>

/* C is [m, n], the inner size is k; ld* are row strides in floats. */
struct gemm_dims {
    size_t m, n, k;
    size_t lda, ldb, ldc;
};

/*
 * Once per process, before other threads use BLAS: refuses the OpenMP build of OpenBLAS
 * (FAILED_PRECONDITION; it hangs after fork and is slower), sets one BLAS thread, warms up.
 * Calling it again is allowed.
 */
enum status gemm_setup(struct fault *f) MUST_CHECK;
/* Name of the kernel set that OpenBLAS chose, e.g. "Cooperlake"; static text. */
const char *gemm_kernel_name(void);

/* C = alpha A B^T + beta C, A [m, k], B [n, k].  beta 0 ignores what C holds. */
void gemm_nt(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c);
/* C = alpha A B + beta C, A [m, k], B [k, n]. */
void gemm_nn(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c);
/* C = alpha A^T B + beta C, A [k, m], B [k, n]. */
void gemm_tn(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c);

#endif
