/*
 * What the files of storage/kv share: the objects behind the opaque types, and the translation of
 * LMDB's results.  Only this folder includes it, and with it lmdb.h.
 */
#ifndef LETHE_STORAGE_KV_INTERNAL_H
#define LETHE_STORAGE_KV_INTERNAL_H

#include "storage/kv/kv.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define KV_MAGIC     0x6b767374u
#define KV_TXN_MAGIC 0x6b767478u

/*
 * Every transaction passes a gate, so that the map can be resized while none is open: LMDB itself
 * does not check.  `open` counts transactions, `growing` keeps new ones out.
 */
struct kv {
    uint32_t magic;
    MDB_env *env;
    MDB_dbi dbi[KV_DBS];
    int lock_fd;
    char *folder;
    uint64_t map_max;
    uint32_t grow_wait_ms;
    pthread_mutex_t gate;
    pthread_cond_t gate_changed;
    uint32_t open;
    uint32_t open_readers;
    int growing;
    int has_sole; /* while one thread has the store to itself (kv_exclusive) */
    pthread_t sole;
    const struct kv_keys *keys; /* NULL: sealed databases are not opened */
    void *owner;
    uint32_t readers_max;
    atomic_uint_fast64_t operations;
    uint64_t growths; /* so that a writer can see that another one has grown the map meanwhile */
};

struct kv_txn {
    uint32_t magic;
    struct kv *kv;
    MDB_txn *txn;
    enum kv_mode mode;
    pthread_t owner; /* of a write transaction */
    uint32_t cursors;
    int failed;
    int map_full;
    uint8_t *opened; /* what was last opened from a sealed database; wiped with the transaction */
    size_t opened_size;
    size_t opened_room;
};

/* Counts one operation (kv_stats). */
void kv_count_operation(struct kv *kv);
struct kv_bytes kv_bytes_of_val(const MDB_val *v);
/* LMDB takes non-const pointers but never writes through those of keys and values to store. */
MDB_val kv_val_of(struct kv_bytes b);
/* Fills the fault for an LMDB or errno result and returns the status for it. */
enum status kv_fail(int rc, const char *what, const char *file, int line, struct fault *f);
#define FAIL_LMDB(rc, what, f) return kv_fail((rc), (what), __FILE__, __LINE__, (f))
/* Opaque objects and the rule that a write transaction belongs to one thread. */
void kv_txn_check(const struct kv_txn *t);
/* kv_commit with LMDB's own result. */
int kv_commit_raw(struct kv_txn *t);

/* Opens LMDB's environment with a map of that size; and the handles of the databases. */
enum status kv_env_open(struct kv *kv, uint64_t map_size, struct fault *f) MUST_CHECK;
enum status kv_open_handles(struct kv_txn *t, struct fault *f) MUST_CHECK;
uint64_t kv_map_size(const struct kv *kv);
/* Notes why a write failed, so that kv_update knows whether growing helps. */
enum status kv_write_failed(struct kv_txn *t, int rc, const char *what, struct fault *f);

/* ---------------------------------------------------------------- kv_seal.c */

#define KV_VEIL_SIZE 32

/* The key under which `key` stands in the file; `to` holds it if it is veiled. */
struct kv_bytes kv_seal_key(const struct kv_keys *keys,
                            enum kv_db db,
                            struct kv_bytes key,
                            uint8_t to[KV_VEIL_SIZE]);
/* The value to store for `key` (not yet veiled), in fresh memory (kv_seal_free). */
enum status kv_seal_value(const struct kv_keys *keys,
                          enum kv_db db,
                          struct kv_bytes key,
                          struct kv_bytes value,
                          struct kv_bytes *ret_sealed,
                          struct fault *f) MUST_CHECK;
void kv_seal_free(struct kv_bytes sealed);
/*
 * Opens what stands under `stored_key` into the transaction's own memory and points there.  A
 * veiled key is replaced by the key itself.
 */
enum status kv_seal_open(struct kv_txn *t,
                         const struct kv_keys *keys,
                         enum kv_db db,
                         struct kv_bytes stored_key,
                         struct kv_bytes stored,
                         struct kv_bytes *ret_key,
                         struct kv_bytes *ret_value,
                         struct fault *f) MUST_CHECK;

#endif
