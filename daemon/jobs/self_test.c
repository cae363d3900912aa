#include "daemon/jobs/self_test.h"

#include <poll.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "daemon/jobs/spawn.h"
#include "learners/math/gemm.h"

#define SIDE    ((size_t)256)
#define ROUNDS  4
#define POLL_MS 100

/* A full of ones, B with its column's number: every row of the product is SIDE times that. */
static enum status multiply(float *a, float *b, float *c, double *ret_gflops, struct fault *f)
{
    const struct gemm_dims d = {SIDE, SIDE, SIDE, SIDE, SIDE, SIDE};
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        a[i] = 1.0f;
        b[i] = (float)(i % SIDE);
    }
    gemm_nn(&d, 1.0f, a, b, 0.0f, c);
    const int64_t start = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++)
        gemm_nn(&d, 1.0f, a, b, 0.0f, c);
    const double us = (double)(clock_mono_us() - start) + 1;
    for (size_t i = 0; i < SIDE * SIDE; i++)
        if (c[i] != (float)(SIDE * (i % SIDE)))
            FAIL(f, STATUS_INTERNAL, "libopenblas", "a matrix product came out wrong");
    *ret_gflops = 2.0 * (double)(SIDE * SIDE * SIDE) * ROUNDS / us / 1e3;
    return STATUS_OK;
}

enum status self_test_products(double *ret_gflops, struct fault *f)
{
    const size_t n = SIDE * SIDE;
    float *memory = sysio_alloc(3 * n, sizeof *memory);
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the self-test");
    const enum status st = multiply(memory, memory + n, memory + 2 * n, ret_gflops, f);
    sysio_free(memory);
    return st;
}

enum status self_test_worker(struct worker *w, struct fault *f)
{
    struct job_progress progress;
    TRY(worker_start(w, f));
    for (;;) {
        struct pollfd p = {.fd = worker_poll_fd(w), .events = POLLIN};
        (void)poll(&p, 1, POLL_MS);
        /* A worker that never says that it is ready counts as dead after a while (spawn.c). */
        const enum worker_event event = worker_next(w, &progress);
        if (event == WORKER_READY)
            return STATUS_OK;
        if (event != WORKER_NOTHING)
            FAIL(f, STATUS_UNAVAILABLE, "worker", "the worker process does not start");
    }
}
