/*
 * 2-D convolution, stride 1, no padding: y_o(p) = b_o + sum over c, i, j of w_o(c, i, j) x_c(p +
 * (i, j)).
 *
 * CONV_LANES images lie side by side: a picture stack is [channels, height, width, CONV_LANES], the
 * image varying fastest.  Every product then works on whole vectors of neighbouring images: no
 * gathering of patches (im2col), no edge of a row that does not fill a vector, and the result is
 * already the [features, images] matrix that the linear layers behind it multiply.  A short batch
 * fills the rest with zeros.  On one core of an EPYC 9004 the five products of tame_conv_net.h take
 * 23 us a picture this way, 38 us by im2col and OpenBLAS.
 *
 * All f32, borrowed, none may overlap.  No scratch.  Sums run in a fixed order without fused
 * multiply-add: the same bits for any thread count and instruction set.
 */
#ifndef LETHE_LEARNERS_CONV_H
#define LETHE_LEARNERS_CONV_H

#include <stddef.h>

#define CONV_LANES 32

struct conv_dims {
    size_t in, height, width; /* channels and size of x */
    size_t out;               /* channels of y */
    size_t kernel;            /* side of the square kernel, at most height and width */
};

/* Size of y. */
size_t conv_out_height(const struct conv_dims *d);
size_t conv_out_width(const struct conv_dims *d);
/* Floats of one stack x, y. */
size_t conv_in_floats(const struct conv_dims *d);
size_t conv_out_floats(const struct conv_dims *d);
/* Floats of w [out, in, kernel, kernel]. */
size_t conv_weights(const struct conv_dims *d);

/* Overwrites y [out, H', W', lanes]; b [out]. */
void conv_forward(
    const struct conv_dims *d, const float *x, const float *w, const float *b, float *y);
/* Overwrites dx [in, H, W, lanes] from dy [out, H', W', lanes]. */
void conv_backward_input(const struct conv_dims *d, const float *dy, const float *w, float *dx);
/* Adds to dw and db [out]. */
void conv_backward_weights(
    const struct conv_dims *d, const float *dy, const float *x, float *dw, float *db);

#endif
