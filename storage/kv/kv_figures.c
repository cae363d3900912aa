#include "storage/kv/kv_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define KV_RESERVE_EXTRA ((uint64_t)1 << 20)

void kv_count_operation(struct kv *kv)
{
    (void)atomic_fetch_add_explicit(&kv->operations, 1, memory_order_relaxed);
}

/* Pages that LMDB can use again: each record of its free list begins with their number. */
static int free_pages(MDB_txn *txn, uint64_t *ret_pages)
{
    MDB_cursor *c;
    MDB_val k;
    MDB_val v;
    int rc = mdb_cursor_open(txn, 0, &c);
    if (rc != 0)
        return rc;
    uint64_t pages = 0;
    for (rc = mdb_cursor_get(c, &k, &v, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        size_t n = 0;
        if (v.mv_size >= sizeof n)
            memcpy(&n, v.mv_data, sizeof n);
        pages += n;
    }
    mdb_cursor_close(c);
    *ret_pages = pages;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Lines of the reader table: "pid thread txnid"; "-" where a slot waits for its next use. */
static int oldest_reader(const char *line, void *context)
{
    uint64_t *oldest = context;
    unsigned long long pid;
    unsigned long long thread;
    unsigned long long txn;
    if (sscanf(line, " %llu %llx %llu", &pid, &thread, &txn) == 3 && txn < *oldest)
        *oldest = txn;
    return 0;
}

enum status kv_stats(struct kv *kv, struct kv_stats *ret_stats, struct fault *f)
{
    struct kv_stats s = {.map_max = kv->map_max};
    struct statvfs fs;
    MDB_envinfo info;
    MDB_stat stat;
    struct kv_txn *txn;
    uint64_t unused = 0;
    if (statvfs(kv->folder, &fs) != 0)
        FAIL(f, status_from_errno(errno), "store", "cannot ask for free space: %s",
             strerror(errno));
    TRY(kv_begin(kv, KV_READ, &txn, f));
    int rc = free_pages(txn->txn, &unused);
    if (rc == 0)
        rc = mdb_env_info(kv->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(kv->env, &stat);
    uint64_t oldest = rc == 0 ? info.me_last_txnid : 0;
    const int listed = mdb_reader_list(kv->env, oldest_reader, &oldest) >= 0;
    kv_abort(txn);
    if (rc != 0)
        FAIL_LMDB(rc, "cannot read the figures", f);
    s.map_size = info.me_mapsize;
    s.file_used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    s.live = s.file_used - unused * stat.ms_psize;
    s.disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    s.last_txn = info.me_last_txnid;
    s.operations = atomic_load_explicit(&kv->operations, memory_order_relaxed);
    if (listed)
        s.reader_lag = s.last_txn - oldest;
    (void)pthread_mutex_lock(&kv->gate);
    s.readers = kv->open_readers;
    (void)pthread_mutex_unlock(&kv->gate);
    *ret_stats = s;
    return STATUS_OK;
}

enum status kv_reserve(struct kv *kv, uint64_t bytes, struct fault *f)
{
    struct kv_stats s;
    TRY(kv_stats(kv, &s, f));
    /* Pages are not filled completely, and a change copies the pages it passes. */
    const uint64_t need = bytes > UINT64_MAX / 2 ? bytes : bytes + bytes / 8 + KV_RESERVE_EXTRA;
    if (need > s.map_max - s.live)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "store", "%llu bytes wanted, %llu left of map_max %llu",
             (unsigned long long)need, (unsigned long long)(s.map_max - s.live),
             (unsigned long long)s.map_max);
    if (need > s.disk_free)
        FAIL(f, STATUS_NO_SPACE, "store", "%llu bytes wanted, %llu free on the disk",
             (unsigned long long)need, (unsigned long long)s.disk_free);
    return STATUS_OK;
}
