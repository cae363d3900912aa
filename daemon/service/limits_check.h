/*
 * What the system allows this process, compared with what proto/limits.h and the configuration let
 * it need.  Too little is a warning at the start, no refusal: a small installation works with less.
 */
#ifndef LETHE_SERVICE_LIMITS_CHECK_H
#define LETHE_SERVICE_LIMITS_CHECK_H

#include "daemon/base/status.h"

#include <stdint.h>

/* RESOURCE_EXHAUSTED with both figures in the text: fewer open files than LIMIT_DESCRIPTORS. */
enum status limits_check_descriptors(uint64_t allowed, struct fault *f) MUST_CHECK;
/* RESOURCE_EXHAUSTED with both figures: a job may take more bytes than the process is allowed. */
enum status limits_check_memory(uint64_t job, uint64_t allowed, struct fault *f) MUST_CHECK;

/*
 * Open files this process is allowed (RLIMIT_NOFILE).  What the hard limit leaves is taken first,
 * up to LIMIT_DESCRIPTORS.
 */
uint64_t limits_check_take_descriptors(void);
/* Bytes of memory: the machine's, those of its control group (version 2) and above it, its own. */
uint64_t limits_check_allowed_memory(void);
/*
 * The least memory.max of the control group that `own` (the text of /proc/PID/cgroup) names and of
 * those above it, under the folder `root`; UINT64_MAX: none limits.
 */
uint64_t limits_check_group_memory(const char *root, const char *own);

/* No core dumps of this process: they would hold data of people. */
void limits_check_no_core(void);

#endif
