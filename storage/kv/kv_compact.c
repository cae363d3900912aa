#include "daemon/base/sysio.h"
#include "storage/kv/kv_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct paths {
    char data[4096];
    char fresh[4096];
};

static enum status paths_of(const struct kv *kv, struct paths *p, struct fault *f)
{
    const int n = snprintf(p->data, sizeof p->data, "%s/data.mdb", kv->folder);
    const int m = snprintf(p->fresh, sizeof p->fresh, "%s/data.mdb.fresh", kv->folder);
    if (n < 0 || m < 0 || (size_t)m >= sizeof p->fresh)
        FAIL(f, STATUS_INVALID_ARGUMENT, "store", "the folder's path is too long");
    return STATUS_OK;
}

static enum status sync_folder(const char *folder, struct fault *f)
{
    const int fd = sysio_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || sysio_fsync(fd) != 0) {
        const int cause = errno;
        if (fd >= 0)
            (void)close(fd);
        FAIL(f, status_from_errno(cause), "store", "cannot sync %.80s: %s", folder,
             strerror(cause));
    }
    (void)close(fd);
    return STATUS_OK;
}

static enum status copy_live(struct kv *kv, const char *path, struct fault *f)
{
    enum status st = STATUS_OK;
    const int fd = sysio_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), "store", "cannot make %.80s: %s", path, strerror(errno));
    const int rc = mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT);
    if (rc != 0)
        st = kv_fail(rc, "cannot copy the live pages", __FILE__, __LINE__, f);
    else if (sysio_fsync(fd) != 0)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, "store", "fsync: %s",
                       strerror(errno));
    (void)close(fd);
    return st;
}

static enum status handles_again(struct kv *kv, uint64_t map_size, struct fault *f)
{
    struct kv_txn *txn;
    TRY(kv_env_open(kv, map_size, f));
    TRY(kv_begin(kv, KV_WRITE, &txn, f));
    const enum status st = kv_open_handles(txn, f);
    if (st != STATUS_OK) {
        kv_abort(txn);
        return st;
    }
    return kv_commit(txn, f);
}

/* The file is changed under a closed environment; whichever file is there then is opened again. */
static enum status put_in_place(struct kv *kv, const struct paths *p, struct fault *f)
{
    struct fault why = {0};
    const uint64_t map_size = kv_map_size(kv);
    enum status st = STATUS_OK;
    mdb_env_close(kv->env);
    kv->env = NULL;
    if (sysio_rename(p->fresh, p->data) != 0)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, "store", "rename: %s",
                       strerror(errno));
    const enum status again = handles_again(kv, map_size, &why);
    if (again != STATUS_OK) {
        if (kv->env)
            mdb_env_close(kv->env);
        kv->env = NULL;
        FAIL(f, STATUS_IO_ERROR, "store", "the compacted store does not open, restart: %.100s",
             why.text);
    }
    return st == STATUS_OK ? sync_folder(kv->folder, f) : st;
}

static enum status compact(struct kv *kv, void *context, struct fault *f)
{
    struct paths p;
    (void)context;
    TRY(paths_of(kv, &p, f));
    enum status st = copy_live(kv, p.fresh, f);
    if (st == STATUS_OK)
        st = put_in_place(kv, &p, f);
    if (st != STATUS_OK)
        (void)unlink(p.fresh);
    return st;
}

enum status kv_compact(struct kv *kv, struct fault *f)
{
    return kv_exclusive(kv, compact, NULL, f);
}
