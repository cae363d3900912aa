/*
 * What a commit says of streams in the manifest: seeds, first requests and lineage of a stream's
 * components, and which expert owns which class.
 */
#ifndef LETHE_JOBS_COMMIT_STREAM_H
#define LETHE_JOBS_COMMIT_STREAM_H

#include "daemon/base/status.h"
#include "daemon/jobs/forget_job.h"

/* A stream, an expert of one, or the router's terms of an expert. */
int commit_stream_is(const struct job_made *m);
/* Most data sets and files that a stream of the parent descends from. */
size_t commit_stream_datasets(const struct job *job);
/* Seed, request and lineage of such a component; `rows` (6 more than commit_stream_datasets) are
 * lent to it. */
void commit_stream_fill(const struct job *job,
                        const struct job_made *m,
                        struct version_lineage *rows,
                        struct version_component *c);
/*
 * The owner of class k of the job when it is done; *ret_gone: it was, or was to be, a stream's, and
 * no expert has it.
 */
enum status commit_stream_owner(const struct job *job,
                                const struct job_result *r,
                                uint32_t k,
                                char ret_owner[JOB_OWNER_TEXT_SIZE],
                                int *ret_gone,
                                struct fault *f) MUST_CHECK;

#endif
