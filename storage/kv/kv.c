#include "storage/kv/kv.h"

#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/kv/data_file.h"
#include "storage/kv/kv_internal.h"
#include "storage/kv/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define KV_PAGE         4096u
#define KV_READERS      126u
#define KV_GROW_WAIT_MS 10000u
#define KV_NFS_MAGIC    0x6969

/* ---------------------------------------------------------------- small things */

struct kv_bytes kv_bytes_of(const void *data, size_t size)
{
    return (struct kv_bytes){.data = data, .size = size};
}

void kv_key_u64(uint8_t to[8], uint64_t x)
{
    for (size_t i = 0; i < 8; i++)
        to[i] = (uint8_t)(x >> (8 * (7 - i)));
}

uint64_t kv_key_u64_read(const uint8_t from[8])
{
    uint64_t x = 0;
    for (size_t i = 0; i < 8; i++)
        x = x << 8 | from[i];
    return x;
}

MDB_val kv_val_of(struct kv_bytes b)
{
    MDB_val v = {.mv_size = b.size, .mv_data = NULL};
    memcpy(&v.mv_data, &b.data, sizeof v.mv_data);
    return v;
}

struct kv_bytes kv_bytes_of_val(const MDB_val *v)
{
    return kv_bytes_of(v->mv_data, v->mv_size);
}

static enum status status_of_lmdb(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_READERS_FULL:
    case MDB_TXN_FULL:
    case MDB_DBS_FULL:
        return STATUS_RESOURCE_EXHAUSTED;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return STATUS_DATA_LOSS;
    case EFBIG: /* the process's own limit on file sizes */
        return STATUS_NO_SPACE;
    case ENOENT: /* here NOT_FOUND means an absent key and nothing else */
        return STATUS_IO_ERROR;
    default:
        return rc > 0 ? status_from_errno(rc) : STATUS_IO_ERROR;
    }
}

enum status kv_fail(int rc, const char *what, const char *file, int line, struct fault *f)
{
    if (rc == MDB_PANIC)
        return fault_set(f, STATUS_IO_ERROR, file, line, NULL,
                         "%s: an earlier write error closed the store; restart the daemon", what);
    return fault_set(f, status_of_lmdb(rc), file, line, NULL, "%s: %s", what, mdb_strerror(rc));
}

/* The n-th begin, put, delete or commit can be made to fail by a test. */
static int injected(void)
{
    return sysio_should_fail(SYSIO_KV) ? errno : 0;
}

/* ---------------------------------------------------------------- opening */

static enum status check_folder(const char *folder, struct fault *f)
{
    struct stat info;
    struct statfs fs;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        FAIL(f, status_from_errno(errno), "store", "cannot make %.80s: %s", folder,
             strerror(errno));
    if (stat(folder, &info) != 0 || statfs(folder, &fs) != 0)
        FAIL(f, status_from_errno(errno), "store", "cannot read %.80s: %s", folder,
             strerror(errno));
    if (!S_ISDIR(info.st_mode))
        FAIL(f, STATUS_FAILED_PRECONDITION, "store", "%.100s is not a folder", folder);
    if ((info.st_mode & 077) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "store",
             "%.80s is open to other users (mode %04o): chmod 700", folder,
             (unsigned)(info.st_mode & 07777));
    if (fs.f_type == KV_NFS_MAGIC)
        FAIL(f, STATUS_FAILED_PRECONDITION, "store", "%.80s is on NFS, which LMDB cannot use",
             folder);
    return STATUS_OK;
}

static enum status path_in(const char *folder, const char *name, char to[4096], struct fault *f)
{
    const int n = snprintf(to, 4096, "%s/%s", folder, name);
    if (n < 0 || n >= 4096)
        FAIL(f, STATUS_INVALID_ARGUMENT, "store", "the folder's path is longer than %d bytes",
             4000);
    return STATUS_OK;
}

static enum status fail_locked(int fd, const char *folder, struct fault *f)
{
    char pid[16] = "";
    const ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? (size_t)n : 0] = '\0';
    pid[strcspn(pid, " \n")] = '\0';
    FAIL(f, STATUS_STORE_LOCKED, "store", "%.80s is in use by process %s", folder,
         pid[0] ? pid : "(unknown)");
}

/*
 * The number is only for people; the lock holds without it.  Of fixed width, because truncating a
 * file can make a file system flush it.
 */
static int write_pid(int fd)
{
    char pid[16];
    const int n = snprintf(pid, sizeof pid, "%-14ld\n", (long)getpid());
    return pwrite(fd, pid, (size_t)n, 0) == n;
}

/* An open file description lock: it also keeps this process from opening a store twice. */
static enum status take_lock(struct kv *kv, struct fault *f)
{
    char path[4096];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    TRY(path_in(kv->folder, "owner.lock", path, f));
    kv->lock_fd = sysio_open(path, O_RDWR | O_CREAT, 0600);
    if (kv->lock_fd < 0)
        FAIL(f, status_from_errno(errno), "store", "cannot open %.80s: %s", path, strerror(errno));
    if (fcntl(kv->lock_fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            return fail_locked(kv->lock_fd, kv->folder, f);
        FAIL(f, status_from_errno(errno), "store", "cannot lock %.80s: %s", path, strerror(errno));
    }
    (void)write_pid(kv->lock_fd);
    return STATUS_OK;
}

/* LMDB leaves the data file inheritable; a started worker must not get it. */
static enum status close_on_exec(struct kv *kv, struct fault *f)
{
    int fd;
    const int rc = mdb_env_get_fd(kv->env, &fd);
    if (rc != 0)
        FAIL_LMDB(rc, "data file", f);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        FAIL(f, status_from_errno(errno), "store", "data file: %s", strerror(errno));
    return STATUS_OK;
}

enum status kv_env_open(struct kv *kv, uint64_t map_size, struct fault *f)
{
    int rc = mdb_env_create(&kv->env);
    if (rc != 0) {
        kv->env = NULL;
        FAIL_LMDB(rc, "cannot make the environment", f);
    }
    rc = mdb_env_set_maxdbs(kv->env, KV_DBS);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(kv->env, kv->readers_max);
    if (rc == 0)
        rc = mdb_env_set_mapsize(kv->env, map_size);
    if (rc == 0)
        rc = mdb_env_open(kv->env, kv->folder, MDB_NOTLS, 0600);
    if (rc != 0)
        FAIL_LMDB(rc, "cannot open the store", f);
    return close_on_exec(kv, f);
}

enum status kv_open_handles(struct kv_txn *t, struct fault *f)
{
    static const char *const NAMES[KV_DBS] = {
#define X(name, text) text,
        SCHEMA_DATABASES(X)
#undef X
    };
    for (size_t i = 0; i < KV_DBS; i++) {
        const int rc = mdb_dbi_open(t->txn, NAMES[i], MDB_CREATE, &t->kv->dbi[i]);
        if (rc != 0)
            FAIL_LMDB(rc, "cannot open a database", f);
    }
    return STATUS_OK;
}

static enum status open_databases(struct kv *kv, struct fault *f)
{
    struct kv_txn *txn;
    TRY(kv_begin(kv, KV_WRITE, &txn, f));
    enum status st = kv_open_handles(txn, f);
    if (st == STATUS_OK)
        st = migrate_store(txn, f);
    if (st != STATUS_OK) {
        kv_abort(txn);
        return st;
    }
    return kv_commit(txn, f);
}

/*
 * A file that is too short for LMDB's two meta pages, in a store that was never finished, is what a
 * full disk or a crash left of its making.  It holds nothing; LMDB would refuse it for ever.
 */
static enum status drop_unfinished(const char *path, struct fault *f)
{
    struct stat info;
    if (stat(path, &info) != 0 || info.st_size >= 2 * (off_t)KV_PAGE)
        return STATUS_OK;
    if (unlink(path) != 0)
        FAIL(f, status_from_errno(errno), "store", "cannot remove %.80s: %s", path,
             strerror(errno));
    return STATUS_OK;
}

static enum status open_parts(struct kv *kv, const struct kv_options *o, struct fault *f)
{
    char path[4096];
    char marker[4096];
    int dead;
    TRY(check_folder(kv->folder, f));
    TRY(take_lock(kv, f));
    TRY(path_in(kv->folder, "data.mdb", path, f));
    TRY(path_in(kv->folder, "STORE", marker, f));
    const int finished = access(marker, F_OK) == 0;
    if (!finished)
        TRY(drop_unfinished(path, f));
    TRY(data_file_check(path, finished, f));
    /* What a crash left of compacting; the file in its place is whole. */
    TRY(path_in(kv->folder, "data.mdb.fresh", path, f));
    (void)unlink(path);
    const uint64_t size = o->map_size ? o->map_size : KV_MAP_SIZE_DEFAULT;
    TRY(kv_env_open(kv, size < kv->map_max ? size : kv->map_max, f));
    const int rc = mdb_reader_check(kv->env, &dead);
    if (rc != 0)
        FAIL_LMDB(rc, "reader table", f);
    TRY(open_databases(kv, f));
    if (finished)
        return STATUS_OK;
    static const char TEXT[] = "lethe store: data.mdb belongs to it; do not edit or copy singly\n";
    return sysio_write_file(marker, TEXT, sizeof TEXT - 1, f);
}

static void gate_init(struct kv *kv)
{
    pthread_condattr_t attr;
    int bad = pthread_condattr_init(&attr);
    bad |= pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bad |= pthread_mutex_init(&kv->gate, NULL);
    bad |= pthread_cond_init(&kv->gate_changed, &attr);
    INVARIANT(bad == 0);
    (void)pthread_condattr_destroy(&attr);
}

enum status kv_open(const struct kv_options *options, struct kv **ret_kv, struct fault *f)
{
    const uint64_t max = options->map_max ? options->map_max : KV_MAP_MAX_DEFAULT;
    const uint64_t size = options->map_size ? options->map_size : max;
    if (max < KV_MAP_SIZE_MIN || size < KV_MAP_SIZE_MIN)
        FAIL(f, STATUS_INVALID_ARGUMENT, "map_max", "a map of %llu bytes is too small, least %llu",
             (unsigned long long)(max < size ? max : size), (unsigned long long)KV_MAP_SIZE_MIN);
    struct kv *kv = sysio_alloc(1, sizeof *kv);
    if (!kv)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the store");
    kv->magic = KV_MAGIC;
    kv->lock_fd = -1;
    kv->map_max = max;
    kv->readers_max = options->readers_max ? options->readers_max : KV_READERS;
    kv->grow_wait_ms = options->grow_wait_ms ? options->grow_wait_ms : KV_GROW_WAIT_MS;
    gate_init(kv);
    enum status st = STATUS_OK;
    kv->folder = strdup(options->folder);
    if (!kv->folder)
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, NULL, "no memory for the store");
    if (st == STATUS_OK)
        st = open_parts(kv, options, f);
    if (st != STATUS_OK) {
        kv_close(kv);
        return st;
    }
    *ret_kv = kv;
    return STATUS_OK;
}

void kv_close(struct kv *kv)
{
    if (!kv)
        return;
    INVARIANT(kv->magic == KV_MAGIC && kv->open == 0);
    if (kv->env)
        mdb_env_close(kv->env);
    if (kv->lock_fd >= 0)
        (void)close(kv->lock_fd);
    (void)pthread_cond_destroy(&kv->gate_changed);
    (void)pthread_mutex_destroy(&kv->gate);
    free(kv->folder);
    kv->magic = 0;
    sysio_free(kv);
}

/* ---------------------------------------------------------------- transactions */

static void gate_enter(struct kv *kv, enum kv_mode mode)
{
    (void)pthread_mutex_lock(&kv->gate);
    while (kv->growing && !(kv->has_sole && pthread_equal(kv->sole, pthread_self())))
        (void)pthread_cond_wait(&kv->gate_changed, &kv->gate);
    kv->open++;
    kv->open_readers += mode == KV_READ;
    (void)pthread_mutex_unlock(&kv->gate);
}

static void gate_leave(struct kv *kv, enum kv_mode mode)
{
    (void)pthread_mutex_lock(&kv->gate);
    INVARIANT(kv->open > 0);
    kv->open--;
    kv->open_readers -= mode == KV_READ;
    (void)pthread_cond_broadcast(&kv->gate_changed);
    (void)pthread_mutex_unlock(&kv->gate);
}

enum status kv_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret_txn, struct fault *f)
{
    INVARIANT(kv->magic == KV_MAGIC);
    struct kv_txn *t = sysio_alloc(1, sizeof *t);
    if (!t)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for a transaction");
    *t = (struct kv_txn){.magic = KV_TXN_MAGIC, .kv = kv, .mode = mode, .owner = pthread_self()};
    gate_enter(kv, mode);
    int rc = kv->env ? injected() : EIO;
    if (rc == 0)
        rc = mdb_txn_begin(kv->env, NULL, mode == KV_READ ? MDB_RDONLY : 0, &t->txn);
    if (rc != 0) {
        gate_leave(kv, mode);
        sysio_free(t);
        FAIL_LMDB(rc, "cannot begin a transaction", f);
    }
    *ret_txn = t;
    return STATUS_OK;
}

void kv_txn_check(const struct kv_txn *t)
{
    INVARIANT(t->magic == KV_TXN_MAGIC);
    INVARIANT(t->mode == KV_READ || pthread_equal(t->owner, pthread_self()));
}

static void txn_free(struct kv_txn *t)
{
    struct kv *kv = t->kv;
    const enum kv_mode mode = t->mode;
    if (t->opened)
        seal_wipe(t->opened, t->opened_room);
    sysio_free(t->opened);
    t->magic = 0;
    sysio_free(t);
    gate_leave(kv, mode);
}

/*
 * LMDB reports a write that was cut short as EIO and not as what the next write would say.  After
 * one, the disk has no page left, or the file has the size that this process may give it.
 */
static int no_page_left(const struct kv *kv)
{
    struct statvfs fs;
    struct stat file;
    struct rlimit limit;
    mdb_filehandle_t fd;
    if (statvfs(kv->folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < KV_PAGE)
        return 1;
    return mdb_env_get_fd(kv->env, &fd) == 0 && fstat(fd, &file) == 0 &&
           getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (uint64_t)file.st_size + KV_PAGE > limit.rlim_cur;
}

int kv_commit_raw(struct kv_txn *t)
{
    kv_txn_check(t);
    INVARIANT(t->mode == KV_WRITE && !t->failed && t->cursors == 0);
    int rc = injected();
    if (rc != 0)
        mdb_txn_abort(t->txn);
    else
        rc = mdb_txn_commit(t->txn);
    if (rc == EIO && no_page_left(t->kv))
        rc = ENOSPC;
    txn_free(t);
    return rc;
}

enum status kv_commit(struct kv_txn *t, struct fault *f)
{
    const int rc = kv_commit_raw(t);
    if (rc != 0)
        FAIL_LMDB(rc, "cannot commit", f);
    return STATUS_OK;
}

void kv_abort(struct kv_txn *t)
{
    if (!t)
        return;
    kv_txn_check(t);
    INVARIANT(t->cursors == 0);
    mdb_txn_abort(t->txn);
    txn_free(t);
}

/* ---------------------------------------------------------------- keys and values */

/* The keys of a database that is sealed and can be opened; NULL: it is read as it is stored. */
static const struct kv_keys *keys_of(const struct kv_txn *t, enum kv_db db)
{
    return kv_secrecy_of(db) == KV_CLEAR ? NULL : t->kv->keys;
}

enum status kv_get_stored(struct kv_txn *t,
                          enum kv_db db,
                          struct kv_bytes key,
                          struct kv_bytes *ret_value,
                          struct fault *f)
{
    kv_txn_check(t);
    INVARIANT(key.size > 0 && key.size <= KV_KEY_MAX);
    MDB_val k = kv_val_of(key);
    MDB_val v;
    kv_count_operation(t->kv);
    const int rc = mdb_get(t->txn, t->kv->dbi[db], &k, &v);
    if (rc == MDB_NOTFOUND)
        return STATUS_NOT_FOUND;
    if (rc != 0)
        FAIL_LMDB(rc, "cannot read", f);
    *ret_value = kv_bytes_of_val(&v);
    return STATUS_OK;
}

enum status kv_get(struct kv_txn *t,
                   enum kv_db db,
                   struct kv_bytes key,
                   struct kv_bytes *ret_value,
                   struct fault *f)
{
    uint8_t veil[KV_VEIL_SIZE];
    struct kv_bytes stored = {0};
    struct kv_bytes ignored;
    const struct kv_keys *keys = keys_of(t, db);
    if (!keys)
        return kv_get_stored(t, db, key, ret_value, f);
    const struct kv_bytes at = kv_seal_key(keys, db, key, veil);
    TRY(kv_get_stored(t, db, at, &stored, f));
    return kv_seal_open(t, keys, db, at, stored, &ignored, ret_value, f);
}

enum status kv_write_failed(struct kv_txn *t, int rc, const char *what, struct fault *f)
{
    t->failed = 1;
    t->map_full = rc == MDB_MAP_FULL;
    FAIL_LMDB(rc, what, f);
}

enum status kv_put_stored(
    struct kv_txn *t, enum kv_db db, struct kv_bytes key, struct kv_bytes value, struct fault *f)
{
    kv_txn_check(t);
    INVARIANT(t->mode == KV_WRITE && key.size > 0 && key.size <= KV_KEY_MAX);
    MDB_val k = kv_val_of(key);
    MDB_val v = kv_val_of(value);
    kv_count_operation(t->kv);
    int rc = injected();
    if (rc == 0)
        rc = mdb_put(t->txn, t->kv->dbi[db], &k, &v, 0);
    return rc == 0 ? STATUS_OK : kv_write_failed(t, rc, "cannot write", f);
}

enum status
kv_put(struct kv_txn *t, enum kv_db db, struct kv_bytes key, struct kv_bytes value, struct fault *f)
{
    uint8_t veil[KV_VEIL_SIZE];
    struct kv_bytes sealed = {0};
    const struct kv_keys *keys = keys_of(t, db);
    if (!keys)
        return kv_put_stored(t, db, key, value, f);
    enum status st = kv_seal_value(keys, db, key, value, &sealed, f);
    if (st != STATUS_OK) {
        t->failed = 1;
        return st;
    }
    st = kv_put_stored(t, db, kv_seal_key(keys, db, key, veil), sealed, f);
    kv_seal_free(sealed);
    return st;
}

enum status kv_del_stored(struct kv_txn *t, enum kv_db db, struct kv_bytes key, struct fault *f)
{
    kv_txn_check(t);
    INVARIANT(t->mode == KV_WRITE && key.size > 0 && key.size <= KV_KEY_MAX);
    MDB_val k = kv_val_of(key);
    kv_count_operation(t->kv);
    int rc = injected();
    if (rc == 0)
        rc = mdb_del(t->txn, t->kv->dbi[db], &k, NULL);
    if (rc == MDB_NOTFOUND)
        return STATUS_NOT_FOUND;
    return rc == 0 ? STATUS_OK : kv_write_failed(t, rc, "cannot delete", f);
}

enum status kv_del(struct kv_txn *t, enum kv_db db, struct kv_bytes key, struct fault *f)
{
    uint8_t veil[KV_VEIL_SIZE];
    const struct kv_keys *keys = keys_of(t, db);
    return kv_del_stored(t, db, keys ? kv_seal_key(keys, db, key, veil) : key, f);
}

enum status kv_clear(struct kv_txn *t, enum kv_db db, struct fault *f)
{
    kv_txn_check(t);
    INVARIANT(t->mode == KV_WRITE);
    int rc = injected();
    if (rc == 0)
        rc = mdb_drop(t->txn, t->kv->dbi[db], 0);
    return rc == 0 ? STATUS_OK : kv_write_failed(t, rc, "cannot empty a database", f);
}

enum status kv_count(struct kv_txn *t, enum kv_db db, uint64_t *ret_count, struct fault *f)
{
    MDB_stat stat;
    kv_txn_check(t);
    const int rc = mdb_stat(t->txn, t->kv->dbi[db], &stat);
    if (rc != 0)
        FAIL_LMDB(rc, "cannot count", f);
    *ret_count = stat.ms_entries;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- what stands above */

void kv_set_owner(struct kv *kv, void *owner)
{
    INVARIANT(kv->magic == KV_MAGIC);
    kv->owner = owner;
}

void *kv_owner(const struct kv_txn *txn)
{
    return txn->kv->owner;
}

int kv_is_read(const struct kv_txn *txn)
{
    return txn->mode == KV_READ;
}

const char *kv_folder(const struct kv *kv)
{
    return kv->folder;
}
