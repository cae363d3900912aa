/*
 * Keys of the rows of imported data sets, kept from job to job: what task_data.h chooses rows by,
 * and the hash of each picture alone.  Hashing every pixel of every task for every job is most of
 * what laying out a job costs; a data set never changes, so its keys are computed once while they
 * are in use.  A bounded cache, oldest use out first; named by the content of the data set.
 *
 * Key of a row: BLAKE2b-256 of its pixels and the name of its class.  With several labels an image
 * it is the hash of the pixels alone: what a class that is forgotten leaves behind must be chosen
 * as if that class had never been there.
 *
 * Core thread only.
 */
#ifndef LETHE_JOBS_TASK_KEYS_H
#define LETHE_JOBS_TASK_KEYS_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/datasets/datasets.h"

#include <stddef.h>
#include <stdint.h>

#define TASK_KEYS_BYTES ((size_t)64 << 20) /* of a daemon's cache: some 800 000 rows */

struct task_keys;

/* Key of one row; `label` NULL: several labels an image. */
struct digest task_key_of(const uint8_t *pixels, size_t bytes, const char *label);

struct task_key {
    struct digest key;
    uint32_t row;
    uint32_t class; /* of the data set; several labels: 0 */
};

/* One picture, whatever its label. */
struct task_picture {
    struct digest pixels;
    uint32_t class;
};

struct task_key_list {
    uint32_t n;
    const struct task_key *rows;         /* [n] ascending by key, equal ones by row */
    const struct task_picture *pictures; /* [n] ascending by pixels */
};

/* Of at most max_bytes; NO_MEMORY. */
enum status
task_keys_new(size_t max_bytes, struct task_keys **ret_keys, struct fault *f) MUST_CHECK;
/* NULL allowed; every list must have been given back. */
void task_keys_free(struct task_keys *keys);

/*
 * The keys of a data set, valid until they are given back with task_keys_put.  `keys` NULL: they
 * are computed for this once.  NO_MEMORY and what reading the data set gives.
 */
enum status task_keys_get(struct task_keys *keys,
                          struct kv_txn *txn,
                          const struct dataset *d,
                          const struct task_key_list **ret_list,
                          struct fault *f) MUST_CHECK;
/* NULL list allowed. */
void task_keys_put(struct task_keys *keys, const struct task_key_list *list);

/* Data sets hashed so far; for tests. */
uint64_t task_keys_hashed(const struct task_keys *keys);

#endif
