/*
 * Components that a benchmark trains, kept in a folder: asked for again with the same key, a
 * component comes from its file.  So a benchmark goes on where it was stopped, and a change of the
 * router's settings does not train lanes again.
 *
 * File HASH.part (little-endian, daemon/base/bytes.h): "LBENCHP1", string key, f64 seconds of the
 * training, blob with the component's bytes.  The key says everything that the bytes depend on.
 */
#ifndef LETHE_BENCH_COMPONENT_STORE_H
#define LETHE_BENCH_COMPONENT_STORE_H

#include "learners/learner.h"

#define COMPONENT_KEY_SIZE 2048

/* Owns `file` (component_free); `part` points into it. */
struct component {
    struct learner_part part;
    double seconds; /* that training took, when it was trained */
    unsigned char *file;
};

struct component_job {
    const struct learner *learner;
    const struct learner_problem *problem;
    const char *folder;    /* where components are kept; made if missing */
    const char *key;       /* shorter than COMPONENT_KEY_SIZE */
    const char *part_name; /* of ret_component->part; borrowed */
};

/* The errors of the learner; NO_MEMORY, UNAVAILABLE where the file cannot be written. */
enum status component_make(const struct component_job *job,
                           struct pool *pool,
                           struct component *ret_component,
                           struct fault *f) MUST_CHECK;
/* FNV-1a. */
uint64_t component_key_hash(const char *text);
uint64_t component_bytes_hash(const void *bytes, size_t n);
void component_free(struct component *c);

#endif
