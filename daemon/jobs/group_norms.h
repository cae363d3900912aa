/*
 * Norms of the groups of erasures, for the answer about what differs between two versions: a
 * manifest holds how many groups are zero, the norms are in the records of the deltas themselves.
 * Any thread with a read transaction of its own.
 */
#ifndef LETHE_JOBS_GROUP_NORMS_H
#define LETHE_JOBS_GROUP_NORMS_H

#include "daemon/base/arena.h"
#include "daemon/base/status.h"
#include "learners/vit/vit.h"
#include "proto/wire.h"
#include "storage/kv/kv.h"

/*
 * Adds the norms to every erasure among the components of *d; the lists are made anew in the arena.
 * Errors are those of reading and decoding the records; RESOURCE_EXHAUSTED: the arena is full.
 */
enum status group_norms_tell(struct kv_txn *txn,
                             const struct vit_config *config,
                             struct arena *a,
                             struct wire_diff_info *d,
                             struct fault *f) MUST_CHECK;

#endif
