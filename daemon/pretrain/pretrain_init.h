/*
 * Initial weights of a ViT that is trained from nothing.  Small transformers on small data spend
 * their first epochs on finding out that neighbours matter; these weights start there:
 *   positions       two-dimensional sines and cosines (Beyer et al. 2022, arXiv 2205.01580), here
 *                   with temperature 100 for small grids, learnt further like any weight;
 *   attention       queries and keys share a random rotation, values and projection nearly cancel,
 *                   as in trained models (Trockman and Kolter 2023, arXiv 2305.09828); built from
 *                   orthogonal matrices instead of their decomposition of a noisy identity;
 *   other matrices  truncated normal, deviation sqrt(2 / (in + out)) (Glorot and Bengio 2010);
 *   head, class token  deviation 0.02; gains 1; all other vectors 0.
 * Every tensor has a random stream of its own.
 */
#ifndef LETHE_PRETRAIN_INIT_H
#define LETHE_PRETRAIN_INIT_H

#include "daemon/base/rng.h"
#include "daemon/base/status.h"
#include "learners/vit/vit.h"

/* Overwrites the whole weight set `block`, laid out as `w`.  NO_MEMORY only. */
enum status pretrain_init_weights(const struct vit_config *c,
                                  const struct rng_root *root,
                                  float *block,
                                  struct vit_weights *w,
                                  struct fault *f) MUST_CHECK;

#endif
