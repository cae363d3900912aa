#include "storage/store/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"
#include "storage/store/store_internal.h"

#define BATCH     64u
#define KEY_MAX   32u
#define PATH_SIZE 2048
#define MAP_MAX   ((uint64_t)16 << 40)

/* One copy from `from` to `to`, whichever is the backup. */
struct copy {
    struct kv_txn *from;
    struct kv *to;
    struct seal_hasher hash;
    uint64_t bytes;
    uint64_t written;
    uint64_t rate; /* 0: as fast as it goes */
    int64_t began_us;
};

static void count_row(struct copy *x, struct kv_bytes key, struct kv_bytes value)
{
    uint8_t sizes[16];
    struct byte_writer w = byte_writer_make(sizes, sizeof sizes);
    put_u64(&w, key.size);
    put_u64(&w, value.size);
    seal_hash_update(&x->hash, sizes, w.used);
    seal_hash_update(&x->hash, key.data, key.size);
    seal_hash_update(&x->hash, value.data, value.size);
    x->bytes += key.size + value.size;
}

/* ---------------------------------------------------------------- content */

struct rows {
    struct kv_bytes key[BATCH]; /* borrowed from the source's transaction */
    struct kv_bytes value[BATCH];
    size_t n;
    uint64_t written;
};

static int same(struct kv_bytes a, struct kv_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static enum status put_rows(struct kv_txn *txn, void *context, struct fault *f)
{
    struct rows *r = context;
    r->written = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct kv_bytes there = {0};
        const enum status st = kv_get_stored(txn, KV_CHUNKS, r->key[i], &there, f);
        if (st == STATUS_OK && same(there, r->value[i]))
            continue;
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
        TRY(kv_put_stored(txn, KV_CHUNKS, r->key[i], r->value[i], f));
        r->written += r->value[i].size;
    }
    return STATUS_OK;
}

/* Sleeps until no more than `rate` bytes a second were written since the beginning. */
static void throttle(const struct copy *x)
{
    if (x->rate == 0)
        return;
    const double due = (double)x->written / (double)x->rate * 1e6;
    const double passed = (double)(clock_mono_us() - x->began_us);
    if (due <= passed)
        return;
    const int64_t us = (int64_t)(due - passed);
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

static enum status copy_content(struct copy *x, struct fault *f)
{
    struct kv_cursor *c;
    enum status st = STATUS_OK;
    TRY(kv_cursor_open_stored(x->from, KV_CHUNKS, kv_bytes_of(NULL, 0), &c, f));
    for (int more = 1; more && st == STATUS_OK;) {
        struct rows r = {.n = 0};
        while (r.n < BATCH &&
               (st = kv_cursor_next(c, &r.key[r.n], &r.value[r.n], f)) == STATUS_OK) {
            count_row(x, r.key[r.n], r.value[r.n]);
            r.n++;
        }
        more = st == STATUS_OK;
        if (st == STATUS_NOT_FOUND)
            st = STATUS_OK;
        if (st == STATUS_OK && r.n > 0)
            st = kv_update(x->to, put_rows, &r, f);
        x->written += r.written;
        throttle(x);
    }
    kv_cursor_close(c);
    return st;
}

/* Chunks that the source has no more. */
struct surplus {
    struct kv_txn *from;
    uint8_t keys[BATCH][KEY_MAX];
    size_t sizes[BATCH];
    size_t n;
};

static enum status find_surplus(struct kv_txn *txn, struct surplus *x, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    enum status st;
    x->n = 0;
    TRY(kv_cursor_open_stored(txn, KV_CHUNKS, kv_bytes_of(NULL, 0), &c, f));
    while (x->n < BATCH && (st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        st = kv_get_stored(x->from, KV_CHUNKS, key, &value, f);
        if (st != STATUS_NOT_FOUND || key.size > KEY_MAX)
            continue;
        memcpy(x->keys[x->n], key.data, key.size);
        x->sizes[x->n++] = key.size;
    }
    kv_cursor_close(c);
    return STATUS_OK;
}

static enum status remove_some(struct kv_txn *txn, void *context, struct fault *f)
{
    struct surplus *x = context;
    TRY(find_surplus(txn, x, f));
    for (size_t i = 0; i < x->n; i++)
        TRY(kv_del_stored(txn, KV_CHUNKS, kv_bytes_of(x->keys[i], x->sizes[i]), f));
    return STATUS_OK;
}

static enum status remove_surplus(struct copy *x, struct fault *f)
{
    struct surplus s = {.from = x->from};
    do
        TRY(kv_update(x->to, remove_some, &s, f));
    while (s.n > 0);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- tables */

static enum status copy_database(struct kv_txn *to, struct copy *x, enum kv_db db, struct fault *f)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    enum status st;
    TRY(kv_clear(to, db, f));
    TRY(kv_cursor_open_stored(x->from, db, kv_bytes_of(NULL, 0), &c, f));
    while ((st = kv_cursor_next(c, &key, &value, f)) == STATUS_OK) {
        count_row(x, key, value);
        st = kv_put_stored(to, db, key, value, f);
        if (st != STATUS_OK)
            break;
    }
    kv_cursor_close(c);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

struct tables {
    struct copy *x;
    struct copy before; /* as it was when the transaction was first tried */
};

static enum status copy_tables(struct kv_txn *txn, void *context, struct fault *f)
{
    struct tables *t = context;
    *t->x = t->before;
    for (unsigned db = 0; db < KV_DBS; db++)
        if (db != KV_CHUNKS)
            TRY(copy_database(txn, t->x, (enum kv_db)db, f));
    return STATUS_OK;
}

/* ---------------------------------------------------------------- folders */

static enum status
part_open(const char *folder, const char *part, struct kv **ret_kv, struct fault *f)
{
    char path[PATH_SIZE];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, part);
    if (n < 0 || (size_t)n >= sizeof path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "folder", "the path is too long");
    const struct kv_options o = {.folder = path, .map_max = MAP_MAX};
    return kv_open(&o, ret_kv, f);
}

static enum status check_folder(const char *folder, struct fault *f)
{
    if (folder[0] != '/')
        FAIL(f, STATUS_INVALID_ARGUMENT, "folder", "an absolute path on the daemon's machine");
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        FAIL(f, status_from_errno(errno), "folder", "cannot make %.90s: %s", folder,
             strerror(errno));
    return STATUS_OK;
}

static enum status
meta_get(struct kv_txn *txn, const char *name, void *to, size_t n, int *ret_found, struct fault *f)
{
    struct kv_bytes value = {0};
    const enum status st = kv_get(txn, KV_META, kv_bytes_of(name, strlen(name)), &value, f);
    *ret_found = st == STATUS_OK && value.size == n;
    if (*ret_found)
        memcpy(to, value.data, n);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* Tables that were filled before must be this store's. */
static enum status check_owner(struct kv *tables, const struct store *s, struct fault *f)
{
    struct kv_txn *txn;
    uint8_t epoch[8];
    struct request_id identity = {{0}};
    int filled = 0, found = 0;
    TRY(kv_begin(tables, KV_READ, &txn, f));
    enum status st = meta_get(txn, "epoch", epoch, sizeof epoch, &filled, f);
    if (st == STATUS_OK)
        st = meta_get(txn, "store", identity.b, sizeof identity.b, &found, f);
    kv_abort(txn);
    TRY(st);
    if (filled && !request_id_equal(&identity, &s->identity))
        FAIL(f, STATUS_FAILED_PRECONDITION, "folder", "it holds the backup of another store");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- making */

static enum status
make_parts(struct store *s, struct copy *x, struct kv *content, struct kv *tables, struct fault *f)
{
    TRY(check_owner(tables, s, f));
    x->to = content;
    TRY(copy_content(x, f));
    struct tables t = {.x = x, .before = *x};
    TRY(kv_update(tables, copy_tables, &t, f));
    return remove_surplus(x, f);
}

enum status backup_make(struct store *s,
                        const char *folder,
                        uint64_t rate,
                        struct backup_result *ret_result,
                        struct fault *f)
{
    struct kv *content = NULL;
    struct kv *tables = NULL;
    struct vault_state state = {0};
    struct copy x = {.rate = rate, .began_us = clock_mono_us()};
    TRY(check_folder(folder, f));
    seal_hash_init(&x.hash);
    enum status st = part_open(folder, "content", &content, f);
    if (st == STATUS_OK)
        st = part_open(folder, "tables", &tables, f);
    if (st == STATUS_OK)
        st = store_read_begin(s, &x.from, f);
    if (st == STATUS_OK)
        st = vault_state(x.from, &state, f);
    if (st == STATUS_OK)
        st = make_parts(s, &x, content, tables, f);
    store_read_end(x.from);
    kv_close(tables);
    kv_close(content);
    TRY(st);
    *ret_result = (struct backup_result){.bytes = x.bytes,
                                         .written = x.written,
                                         .epoch = state.epoch,
                                         .digest = seal_hash_final(&x.hash)};
    return STATUS_OK;
}

/* ---------------------------------------------------------------- restoring */

static enum status fill_store(struct kv *to, struct kv *content, struct kv *tables, struct fault *f)
{
    struct copy x = {.to = to};
    seal_hash_init(&x.hash);
    TRY(kv_begin(content, KV_READ, &x.from, f));
    enum status st = copy_content(&x, f);
    kv_abort(x.from);
    TRY(st);
    TRY(kv_begin(tables, KV_READ, &x.from, f));
    struct tables t = {.x = &x, .before = x};
    st = kv_update(to, copy_tables, &t, f);
    kv_abort(x.from);
    return st;
}

static enum status copy_back(const char *folder, const char *store_folder, struct fault *f)
{
    struct kv *content = NULL;
    struct kv *tables = NULL;
    struct kv *to = NULL;
    struct stat info;
    const struct kv_options o = {.folder = store_folder, .map_max = MAP_MAX};
    if (stat(folder, &info) != 0)
        FAIL(f, status_from_errno(errno), "backup", "cannot read %.90s: %s", folder,
             strerror(errno));
    if (stat(store_folder, &info) == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "store", "%.90s is there already", store_folder);
    enum status st = part_open(folder, "content", &content, f);
    if (st == STATUS_OK)
        st = part_open(folder, "tables", &tables, f);
    if (st == STATUS_OK)
        st = kv_open(&o, &to, f);
    if (st == STATUS_OK)
        st = fill_store(to, content, tables, f);
    kv_close(to);
    kv_close(tables);
    kv_close(content);
    return st;
}

static void print_finding(const char *what, const char *which, const char *how, void *context)
{
    struct fault *f = context;
    if (!f->text[0])
        (void)fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "store", "%.20s %.40s: %.80s",
                        what, which, how);
}

enum status backup_restore(const char *folder,
                           const char *store_folder,
                           const char *kek_folder,
                           struct fsck_counts *ret_counts,
                           struct fault *f)
{
    struct store *s = NULL;
    struct fault first = {0};
    const struct kv_options o = {.folder = store_folder, .map_max = MAP_MAX};
    TRY(copy_back(folder, store_folder, f));
    TRY(store_open_keyed(&o, kek_folder, &s, f));
    enum status st = fsck_run(s, print_finding, &first, ret_counts, f);
    store_close(s);
    if (st == STATUS_OK && ret_counts->findings > 0) {
        st = first.code;
        if (f)
            *f = first;
    }
    return st;
}
