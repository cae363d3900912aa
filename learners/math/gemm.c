#include "learners/math/gemm.h"

#include <cblas.h>
#include <limits.h>

#include "daemon/base/invariant.h"

#define GEMM_OPENMP 2 /* what openblas_get_parallel returns for the OpenMP build */

enum status gemm_setup(struct fault *f)
{
    if (openblas_get_parallel() == GEMM_OPENMP)
        FAIL(f, STATUS_FAILED_PRECONDITION, "libopenblas",
             "the OpenMP build is selected; choose libopenblas0-pthread or -serial");
    openblas_set_num_threads(1);
    const float a[4] = {1, 2, 3, 4};
    float c[4];
    gemm_nt(&(struct gemm_dims){2, 2, 2, 2, 2, 2}, 1.0f, a, a, 0.0f, c);
    if (c[0] != 5 || c[1] != 11 || c[2] != 11 || c[3] != 25)
        FAIL(f, STATUS_INTERNAL, "libopenblas", "a 2 x 2 product came out wrong");
    return STATUS_OK;
}

const char *gemm_kernel_name(void)
{
    return openblas_get_corename();
}

static blasint gemm_int(size_t n)
{
    INVARIANT(n <= INT_MAX);
    return (blasint)n;
}

static void gemm_call(CBLAS_TRANSPOSE ta,
                      CBLAS_TRANSPOSE tb,
                      const struct gemm_dims *d,
                      const float scale[2],
                      const float *a,
                      const float *b,
                      float *c)
{
    if (d->m == 0 || d->n == 0)
        return;
    cblas_sgemm(CblasRowMajor, ta, tb, gemm_int(d->m), gemm_int(d->n), gemm_int(d->k), scale[0], a,
                gemm_int(d->lda), b, gemm_int(d->ldb), scale[1], c, gemm_int(d->ldc));
}

void gemm_nt(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c)
{
    gemm_call(CblasNoTrans, CblasTrans, d, (const float[]){alpha, beta}, a, b, c);
}

void gemm_nn(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c)
{
    gemm_call(CblasNoTrans, CblasNoTrans, d, (const float[]){alpha, beta}, a, b, c);
}

void gemm_tn(
    const struct gemm_dims *d, float alpha, const float *a, const float *b, float beta, float *c)
{
    gemm_call(CblasTrans, CblasNoTrans, d, (const float[]){alpha, beta}, a, b, c);
}
