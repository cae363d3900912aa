#include "daemon/base/invariant.h"
#include "storage/kv/kv_internal.h"

#include <errno.h>
#include <time.h>

uint64_t kv_map_size(const struct kv *kv)
{
    MDB_envinfo info = {0};
    const int rc = mdb_env_info(kv->env, &info);
    INVARIANT(rc == 0);
    return info.me_mapsize;
}

/* Waits, with the gate locked, until no transaction is open; 0 if it took too long. */
static int gate_drain(struct kv *kv)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(kv->grow_wait_ms / 1000);
    end.tv_nsec += (long)(kv->grow_wait_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (kv->open > 0) {
        if (pthread_cond_timedwait(&kv->gate_changed, &kv->gate, &end) == ETIMEDOUT)
            return kv->open == 0;
    }
    return 1;
}

static enum status grow_drained(struct kv *kv, struct fault *f)
{
    const uint64_t size = kv_map_size(kv);
    if (size >= kv->map_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "map_max", "the store has its greatest size, %llu bytes",
             (unsigned long long)kv->map_max);
    const uint64_t wanted = size > kv->map_max / 2 ? kv->map_max : size * 2;
    const int rc = mdb_env_set_mapsize(kv->env, wanted);
    if (rc != 0)
        FAIL_LMDB(rc, "cannot grow the map", f);
    kv->growths++;
    return STATUS_OK;
}

/* Doubles the map, unless another writer has done so since growth number `seen`. */
static enum status kv_grow(struct kv *kv, uint64_t seen, struct fault *f)
{
    enum status st = STATUS_OK;
    (void)pthread_mutex_lock(&kv->gate);
    const int sole = kv->has_sole && pthread_equal(kv->sole, pthread_self());
    while (kv->growing && !sole)
        (void)pthread_cond_wait(&kv->gate_changed, &kv->gate);
    if (sole) {
        INVARIANT(kv->open == 0);
        st = grow_drained(kv, f);
    } else if (kv->growths == seen) {
        kv->growing = 1;
        if (gate_drain(kv))
            st = grow_drained(kv, f);
        else
            st = fault_set(f, STATUS_UNAVAILABLE, __FILE__, __LINE__, NULL,
                           "the map must grow, but %u transactions stayed open", kv->open);
        kv->growing = 0;
        (void)pthread_cond_broadcast(&kv->gate_changed);
    }
    (void)pthread_mutex_unlock(&kv->gate);
    return st;
}

enum status kv_exclusive(struct kv *kv, kv_exclusive_fn *fn, void *context, struct fault *f)
{
    (void)pthread_mutex_lock(&kv->gate);
    while (kv->growing)
        (void)pthread_cond_wait(&kv->gate_changed, &kv->gate);
    kv->growing = 1;
    const int drained = gate_drain(kv);
    const unsigned open = kv->open;
    kv->sole = pthread_self();
    kv->has_sole = drained;
    (void)pthread_mutex_unlock(&kv->gate);
    enum status st;
    if (drained)
        st = fn(kv, context, f);
    else
        st = fault_set(f, STATUS_UNAVAILABLE, __FILE__, __LINE__, NULL,
                       "the store is needed alone, but %u transactions stayed open", open);
    (void)pthread_mutex_lock(&kv->gate);
    kv->has_sole = 0;
    kv->growing = 0;
    (void)pthread_cond_broadcast(&kv->gate_changed);
    (void)pthread_mutex_unlock(&kv->gate);
    return st;
}

static uint64_t growths_of(struct kv *kv)
{
    (void)pthread_mutex_lock(&kv->gate);
    const uint64_t n = kv->growths;
    (void)pthread_mutex_unlock(&kv->gate);
    return n;
}

/* One attempt; *ret_full says that it failed only because the map is full. */
static enum status
update_once(struct kv *kv, kv_update_fn *fn, void *context, int *ret_full, struct fault *f)
{
    struct kv_txn *txn;
    TRY(kv_begin(kv, KV_WRITE, &txn, f));
    const enum status st = fn(txn, context, f);
    if (st != STATUS_OK) {
        *ret_full = txn->map_full;
        kv_abort(txn);
        return st;
    }
    const int rc = kv_commit_raw(txn);
    if (rc == 0)
        return STATUS_OK;
    *ret_full = rc == MDB_MAP_FULL;
    FAIL_LMDB(rc, "cannot commit", f);
}

enum status kv_update(struct kv *kv, kv_update_fn *fn, void *context, struct fault *f)
{
    for (;;) {
        int full = 0;
        const uint64_t seen = growths_of(kv);
        const enum status st = update_once(kv, fn, context, &full, f);
        if (st == STATUS_OK || !full)
            return st;
        TRY(kv_grow(kv, seen, f));
    }
}
