/* What the files of served versions share. */
#ifndef LETHE_JOBS_SERVED_INTERNAL_H
#define LETHE_JOBS_SERVED_INTERNAL_H

#include "daemon/jobs/served.h"

/* A component's record under its verified name; borrowed. */
struct served_record {
    struct digest digest;
    const void *bytes;
    size_t size;
};

struct served_source {
    const struct base_model *base;
    struct digest digest;
    struct version *manifest; /* taken over, also on failure */
    const struct served_record *records;
    size_t n_records;
    answer_lookup *lookup; /* NULL: the learners of learners.def */
};

/* Erasures, lanes, experts and routers: what a served version is made of besides the base. */
int served_uses(const struct version_component *c);
/* As served_fold. */
enum status
served_make(const struct served_source *x, struct served **ret_served, struct fault *f) MUST_CHECK;

#endif
