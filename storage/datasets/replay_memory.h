/*
 * Replay memories: which rows of which data set the learners may look at again.  A memory has a
 * name and a list of row numbers per (data set role, class) of one named collection; the pixels
 * stay in the data sets.  A change replaces the whole memory, so its digest (BLAKE2b-256 of its
 * exact bytes, stored as a blob) names one fixed choice that manifests can cite as lineage.
 *
 * Bytes, format 1: 8 bytes "letherm1" | string name | string dataset | u32 n_lists |
 *   lists, in rising order of (role, class): u8 role | u32 class | u32 n_rows | u32 rows, rising.
 */
#ifndef LETHE_STORAGE_REPLAY_MEMORY_H
#define LETHE_STORAGE_REPLAY_MEMORY_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "storage/datasets/datasets.h"
#include "storage/kv/kv.h"

#include <stddef.h>
#include <stdint.h>

#define REPLAY_MEMORY_LISTS_MAX 65536
#define REPLAY_MEMORY_BYTES_MAX ((size_t)256 << 20)

struct replay_memory_list {
    enum dataset_role role; /* split the rows belong to */
    uint32_t class_index;   /* in the data set's class names */
    const uint32_t *rows;   /* rising, no row twice */
    uint32_t n_rows;
};

/* Building: point at your own memory.  replay_memory_get gives a single allocation. */
struct replay_memory {
    char name[DATASET_NAME_SIZE];
    char dataset[DATASET_NAME_SIZE];
    const struct replay_memory_list *lists;
    uint32_t n_lists;
    struct digest digest; /* set by put and get */
};

/*
 * Stores or replaces the memory.  Every role it uses must be an imported data set, every class and
 * row inside it.  INVALID_ARGUMENT or NOT_FOUND name what is wrong.
 */
enum status replay_memory_put(struct kv_txn *txn,
                              const struct replay_memory *m,
                              struct digest *ret_digest,
                              struct fault *f) MUST_CHECK;
/* NOT_FOUND with a fault.  Free with replay_memory_free. */
enum status replay_memory_get(struct kv_txn *txn,
                              const char *name,
                              struct replay_memory **ret_memory,
                              struct fault *f) MUST_CHECK;
void replay_memory_free(struct replay_memory *m);
/* Rows of (role, class), or NULL.  Borrowed. */
const struct replay_memory_list *
replay_memory_find(const struct replay_memory *m, enum dataset_role role, uint32_t class_index);
/* Takes every list of the class out of the memory; *ret_rows says how many rows went (0 is fine).
 */
enum status replay_memory_remove_class(struct kv_txn *txn,
                                       const char *name,
                                       uint32_t class_index,
                                       uint64_t *ret_rows,
                                       struct fault *f) MUST_CHECK;
/* NOT_FOUND with a fault. */
enum status replay_memory_remove(struct kv_txn *txn, const char *name, struct fault *f) MUST_CHECK;

typedef enum status
replay_memory_list_fn(const struct replay_memory *m, void *context, struct fault *f);
enum status replay_memory_each(struct kv_txn *txn,
                               replay_memory_list_fn *fn,
                               void *context,
                               struct fault *f) MUST_CHECK;

#endif
