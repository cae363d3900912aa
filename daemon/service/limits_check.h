/*
 * What the system allows this process, compared with what proto/limits.h lets it need.  Too little
 * is a warning at the start, no refusal: a small installation works with less.
 */
#ifndef LETHE_SERVICE_LIMITS_CHECK_H
#define LETHE_SERVICE_LIMITS_CHECK_H

#include "daemon/base/status.h"

#include <stdint.h>

/* RESOURCE_EXHAUSTED with both figures in the text: `allowed` is less than LIMIT_DESCRIPTORS. */
enum status limits_check_descriptors(uint64_t allowed, struct fault *f) MUST_CHECK;
/* The same of this process' own limit (RLIMIT_NOFILE). */
enum status limits_check_process(struct fault *f) MUST_CHECK;
/* No core dumps of this process: they would hold data of people. */
void limits_check_no_core(void);

#endif
