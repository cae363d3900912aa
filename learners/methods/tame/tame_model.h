/*
 * A stored expert, read to answer: its weights without moments, the names of its classes, and what
 * decides about an erasure.  Everything lives in the arena of the import.
 */
#ifndef LETHE_LEARNERS_TAME_MODEL_H
#define LETHE_LEARNERS_TAME_MODEL_H

#include "learners/learner.h"
#include "learners/methods/tame/tame_roll.h"

#include <stddef.h>
#include <stdint.h>

struct learner_model {
    const struct learner *learner;
    char name[LEARNER_NAME_SIZE]; /* of the component */
    char stream[LEARNER_NAME_SIZE];
    uint64_t steps; /* identifies its numbers in reports */
    struct tame_origin origin;
    struct tame_options options;
    size_t body;         /* floats before the head */
    uint32_t classes;    /* rows of the head */
    float *weights;      /* [body + classes (C + 1)] */
    const char **labels; /* [classes] */
    uint32_t n_names;    /* classes that it has samples of, and their numbers, ascending */
    const char **names;
    uint32_t *numbers;
    uint64_t n_trained; /* samples that gave it a gradient, repetitions counted */
    uint32_t n_kept;
    uint64_t *ids;          /* [n_trained + n_kept], trained first */
    uint32_t *sample_names; /* [n_trained + n_kept] index into names */
    uint32_t n_pushes;
    struct tame_push_row *pushes;
};

#endif
