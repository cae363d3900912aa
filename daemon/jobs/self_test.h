/*
 * What is tried before the daemon says that it is ready: that matrix products are right and how
 * fast they are, and that the worker process starts and answers.  Core thread, before core_run.
 */
#ifndef LETHE_JOBS_SELF_TEST_H
#define LETHE_JOBS_SELF_TEST_H

#include "daemon/base/status.h"

struct worker;

/* INTERNAL: a product came out wrong.  Gives 10^9 multiplications and additions a second. */
enum status self_test_products(double *ret_gflops, struct fault *f) MUST_CHECK;
/* UNAVAILABLE: it cannot be started or ends at once.  Leaves it waiting for its first job. */
enum status self_test_worker(struct worker *w, struct fault *f) MUST_CHECK;

#endif
