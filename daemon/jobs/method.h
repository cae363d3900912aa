/*
 * How a job makes its version, as the log tells it: a word for the method, and a digest of every
 * parameter that was given, so that two runs can be known to be alike without telling what they
 * were about.
 */
#ifndef LETHE_JOBS_METHOD_H
#define LETHE_JOBS_METHOD_H

#include "daemon/jobs/job_wire.h"

/* Name of the first learner that runs; "gslora" for an erasure; "drop" if nothing is trained. */
const char *method_name(const struct job_spec *spec);
/*
 * BLAKE2b-256 of the text that follows, with every option of the job and of its tasks:
 *   "lethe/parameters/v1\n", then "OPTION=VALUE\n" ..., and for each task "task LEARNER\n" and the
 *   same.  Names of tasks, classes and data are not in it.
 */
struct digest method_parameters(const struct job_spec *spec);

#endif
