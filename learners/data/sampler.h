/*
 * Order in which training images are visited.  One epoch is a permutation of the list; it depends
 * on (root, name, epoch) alone, so an epoch can be repeated or resumed without the ones before it.
 */
#ifndef LETHE_LEARNERS_SAMPLER_H
#define LETHE_LEARNERS_SAMPLER_H

#include "daemon/base/rng.h"

#include <stddef.h>
#include <stdint.h>

/* Overwrites order [n] with a shuffle of items [n] for this epoch.  They must not overlap. */
void sampler_epoch(const struct rng_root *root,
                   const char *name,
                   uint64_t epoch,
                   const uint32_t *items,
                   uint32_t n,
                   uint32_t *order);

/*
 * Splits items [n] into a stratified part of `n_held` images and the rest: every class gives
 * n_held * (its share), rounded so that the parts add up (largest remainder, lower class first).
 * Drawn from stream (root, name, class).  labels[item] in 0..classes-1.  held [n_held] and rest
 * [n - n_held] are each in ascending order of class, then as drawn; scratch [n + 2 * classes].
 * n_held <= n is the caller's duty.
 */
void sampler_split(const struct rng_root *root,
                   const char *name,
                   const int32_t *labels,
                   uint32_t classes,
                   const uint32_t *items,
                   uint32_t n,
                   uint32_t n_held,
                   uint32_t *held,
                   uint32_t *rest,
                   uint32_t *scratch);

#endif
