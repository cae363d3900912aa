/*
 * Maximum over 2 x 2 pixels followed by ReLU (the order of the two does not matter):
 *   y(r, c) = max(0, x(2r, 2c), x(2r, 2c+1), x(2r+1, 2c), x(2r+1, 2c+1)).
 * Stacks are [channels, height, width, CONV_LANES] as in conv.h; an odd last row or column is left
 * out.  All f32, borrowed, none may overlap.  No scratch.
 */
#ifndef LETHE_LEARNERS_MAXPOOL_H
#define LETHE_LEARNERS_MAXPOOL_H

#include <stddef.h>

struct maxpool_dims {
    size_t channels, height, width; /* of x */
};

/* Floats of y. */
size_t maxpool_out_floats(const struct maxpool_dims *d);

/* Overwrites y [channels, height/2, width/2, lanes]. */
void maxpool_relu_forward(const struct maxpool_dims *d, const float *x, float *y);
/*
 * Overwrites x by its own gradient: dy goes to the first of the four that is the maximum, if that
 * is above 0, and everything else becomes 0.  Saves a second stack of the size of x.
 */
void maxpool_relu_backward(const struct maxpool_dims *d, const float *dy, float *x);

#endif
