/*
 * Ridge probe: is a class linearly decodable from frozen features?  See representation.h for the
 * rows, the halves and the common n (evaluation.md, section 7).
 */
#ifndef LETHE_LEARNERS_RIDGE_PROBE_H
#define LETHE_LEARNERS_RIDGE_PROBE_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/eval/gate_check.h"
#include "learners/eval/representation.h"

#include <stddef.h>
#include <stdint.h>

#define RIDGE_PROBE_LAMBDA 0.01 /* times tr(X'X)/d */

struct ridge_probe {
    struct eval_value accuracy; /* recall of the class in question on its test half */
    double lambda;              /* of the first class; NaN if absent */
    uint32_t n_classes;
};

/*
 * Ridge probe, one fit for each class in question: features centred and scaled on the fit half, Y
 * one-hot over live classes plus this one, W = (X'X + lambda I)^-1 X'Y with lambda = 0.01
 * tr(X'X)/d. Primal by Cholesky of d x d, or dual by n x n where the live classes give fewer fit
 * rows than features; both give the same W up to rounding.
 */
enum status ridge_probe_run(const struct representation *live,
                            const struct representation_rows *question,
                            const struct representation_options *options,
                            struct arena *scratch,
                            struct ridge_probe *ret_ridge) MUST_CHECK;

/* Scratch for one run on n_question rows. */
size_t ridge_probe_plan(uint32_t n_live, uint32_t n_labels, uint32_t n_question, uint32_t width);

#endif
