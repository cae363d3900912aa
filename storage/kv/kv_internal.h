/*
 * What the files of storage/kv share: the objects behind the opaque types, and the translation of
 * LMDB's results.  Only this folder includes it, and with it lmdb.h.
 */
#ifndef LETHE_STORAGE_KV_INTERNAL_H
#define LETHE_STORAGE_KV_INTERNAL_H

#include "storage/kv/kv.h"

#include <lmdb.h>
#include <pthread.h>

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
};

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

#endif
