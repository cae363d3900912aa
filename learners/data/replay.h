/*
 * Fixed, stratified memory of training and validation images per class.  A replay memory is two
 * lists of image indices; it owns nothing but the arrays that the caller gave it.  It is drawn once
 * from one named random stream per class, so that removing a class or adding another leaves the
 * choice for all others as it was.
 */
#ifndef LETHE_LEARNERS_REPLAY_H
#define LETHE_LEARNERS_REPLAY_H

#include "daemon/base/rng.h"
#include "daemon/base/status.h"

#include <stdint.h>

struct replay_size {
    uint32_t train_per_class;
    uint32_t valid_per_class;
};

/* Index lists, ordered by class and within a class by draw. */
struct replay {
    uint32_t *train;
    uint32_t *valid;
    uint32_t n_train;
    uint32_t n_valid;
};

/* The default of one quarter for validation: ceil(m / 4). */
uint32_t replay_valid_share(uint32_t train_per_class);

/*
 * Draws for every class c with keep[c] != 0 (keep NULL: all classes) up to train_per_class training
 * and, disjoint from them, up to valid_per_class validation images among the images of class c.
 * A class with fewer images than asked for gives one fifth of them (rounded down) to validation and
 * the rest to training, unless valid_per_class is 0.
 * scratch holds n labels' worth of indices [n].  train and valid of *m must hold
 * classes * train_per_class and classes * valid_per_class entries (or n each, whichever is less).
 * Stream: (root, "memory", class).  Overwrites *m's lists and counts.
 */
void replay_draw(const int32_t *labels,
                 uint32_t n,
                 uint32_t classes,
                 const uint8_t *keep,
                 const struct replay_size *size,
                 const struct rng_root *root,
                 uint32_t *scratch,
                 struct replay *m);

/* Takes all images of the classes with erased[c] != 0 out of both lists; order is kept. */
void replay_remove_classes(struct replay *m, const int32_t *labels, const uint8_t *erased);

/*
 * Few-shot draw: exactly k images of every class that occurs in list [n], chosen with stream
 * (root, "fewshot", class), written to out (classes * k entries or n, whichever is less) in class
 * order.  FAILED_PRECONDITION, naming the class, if one has fewer than k.  scratch: [n].
 */
enum status replay_few_shot(const int32_t *labels,
                            const uint32_t *list,
                            uint32_t n,
                            uint32_t classes,
                            uint32_t k,
                            const struct rng_root *root,
                            uint32_t *scratch,
                            uint32_t *out,
                            uint32_t *ret_n,
                            struct fault *f) MUST_CHECK;

/*
 * At most `per_class` images of each class of list [n], in the order of the list; out may be list.
 * counts: [classes] scratch.  Returns the number kept.
 */
uint32_t replay_cap(const int32_t *labels,
                    const uint32_t *list,
                    uint32_t n,
                    uint32_t classes,
                    uint32_t per_class,
                    uint32_t *counts,
                    uint32_t *out);

#endif
