/*
 * Pruning by magnitude (tame.md 3.2): the given share of an expert's weights, those of all layers
 * together, with the smallest |w| (global L1) becomes 0 and stays 0 while the rest is trained
 * again.  Biases are kept.  Pruning at one stroke is published; when the share rises while the rest
 * is trained, weights that have become 0 are the smallest of the next mask, so they stay 0.  Pure;
 * nothing is owned.
 */
#ifndef LETHE_LEARNERS_TAME_PRUNE_H
#define LETHE_LEARNERS_TAME_PRUNE_H

#include <stddef.h>
#include <stdint.h>

/* Floats first .. first + count - 1 of a weight vector. */
struct tame_prune_range {
    size_t first, count;
};

/*
 * Overwrites mask [floats]: 0 for the round(share * N) smallest of the N weights in the ranges, 1
 * for all others; of equal magnitudes the first go first.  0 <= share <= 1; ranges ascend and do
 * not overlap.  Returns how many were pruned.
 */
size_t tame_prune_mask(const float *w,
                       size_t floats,
                       const struct tame_prune_range *ranges,
                       size_t n_ranges,
                       double share,
                       uint8_t *mask);

/*
 * The share that is pruned at the beginning of an epoch when `share` is reached at epoch `until`:
 * share (1 - (1 - epoch / until)^3), most of it early, while there is much that nobody misses (Zhu
 * and Gupta 2017, arXiv 1710.01878, eq. 1); `share` from `until` on, 0: from the start.
 */
double tame_prune_rising(double share, uint32_t epoch, uint32_t until);

/* Zeroes weights and momentum where the mask is 0. */
void tame_prune_apply(const uint8_t *mask, size_t floats, float *w, float *m);

/* Numbers that are not 0. */
size_t tame_prune_nonzero(const float *w, size_t floats);

/* The size that the paper states: (1 - share) of all numbers, biases counted as pruned. */
double tame_prune_published(size_t floats, double share);

#endif
