/*
 * Ordered key-value store in one folder: the only user of LMDB.  Owns the environment, the named
 * databases, the lock that keeps a second process out, the schema version and the size of the map.
 *
 * Folder (mode 0700, files 0600): data.mdb and lock.mdb (LMDB's), owner.lock (held by the open
 * process; its text is the process id), STORE (marker written once the first transaction is
 * durable; if it exists, an absent or empty data.mdb is damage and not a new store).
 *
 * Durability: a commit that returned OK survives a power cut (data and meta page are synced).  A
 * transaction that failed, was aborted or was cut off by a crash has left nothing.  There is no
 * recovery step.
 *
 * Threads: any number of read transactions at the same time, from any thread.  One write
 * transaction at a time; it belongs to the thread that began it (INVARIANT).  A thread that holds a
 * read transaction must not call kv_update: growing the map waits for all transactions to end.
 *
 * Pointers returned by kv_get and cursors are borrowed from the map: read only, valid until their
 * transaction ends or (in a write transaction) until its next put or delete.
 *
 * Sealed databases (schema.h) are opened and sealed here once kv_set_keys was called; before that
 * their values are as they are stored.  What is borrowed from one is valid until the next read of a
 * sealed database in the same transaction.  kv_count, kv_del and kv_put work as for any other; a
 * cursor on a veiled one knows neither prefix nor order.
 */
#ifndef LETHE_STORAGE_KV_H
#define LETHE_STORAGE_KV_H

#include "daemon/base/status.h"
#include "proto/seal/aead.h"
#include "storage/kv/schema.h"

#include <stddef.h>
#include <stdint.h>

#define KV_KEY_MAX          511
#define KV_MAP_SIZE_DEFAULT ((uint64_t)64 << 30) /* address space only; the file grows as used */
#define KV_MAP_MAX_DEFAULT  ((uint64_t)1 << 40)
#define KV_MAP_SIZE_MIN     ((uint64_t)1 << 18)

struct kv;
struct kv_txn;
struct kv_cursor;

struct kv_options {
    const char *folder;    /* made if absent (its parent must exist) */
    uint64_t map_size;     /* bytes at start; 0: the default, or map_max if that is smaller */
    uint64_t map_max;      /* growth ends here; 0: the default */
    uint32_t readers_max;  /* simultaneous read transactions; 0: 126 */
    uint32_t grow_wait_ms; /* how long growth waits for open transactions; 0: 10 000 */
};

struct kv_bytes {
    const void *data;
    size_t size;
};

struct kv_stats {
    uint64_t map_size;
    uint64_t map_max;
    uint64_t file_used;  /* bytes of the data file, recyclable pages included */
    uint64_t live;       /* without them */
    uint64_t disk_free;  /* bytes that this process may still write on the file system */
    uint64_t last_txn;   /* number of the last committed transaction */
    uint64_t reader_lag; /* transactions committed since the oldest open reader began */
    uint32_t readers;    /* open read transactions */
    uint64_t operations; /* gets, puts, deletes and steps of cursors since it was opened */
};

/*
 * Opens or makes a store.  Errors: STORE_LOCKED (another process, or this one, has it open),
 * STORE_NEWER (schema of a newer lethe), DATA_LOSS (data file damaged, shortened or lost),
 * FAILED_PRECONDITION (network file system; folder open to other users), NO_SPACE, IO_ERROR.
 */
enum status
kv_open(const struct kv_options *options, struct kv **ret_kv, struct fault *f) MUST_CHECK;
/* NULL allowed.  No transaction may be open (INVARIANT). */
void kv_close(struct kv *kv);

enum kv_mode { KV_READ, KV_WRITE };

/* NO_SPACE, RESOURCE_EXHAUSTED (too many readers) or IO_ERROR. */
enum status
kv_begin(struct kv *kv, enum kv_mode mode, struct kv_txn **ret_txn, struct fault *f) MUST_CHECK;
/* Ends the transaction whatever the result; on failure nothing of it was applied. */
enum status kv_commit(struct kv_txn *txn, struct fault *f) MUST_CHECK;
/* NULL allowed.  Also the way to end a read transaction. */
void kv_abort(struct kv_txn *txn);

/* NOT_FOUND if there is no such key (the fault is then left untouched: often no error). */
enum status kv_get(struct kv_txn *txn,
                   enum kv_db db,
                   struct kv_bytes key,
                   struct kv_bytes *ret_value,
                   struct fault *f) MUST_CHECK;
/* Replaces an existing value. */
enum status kv_put(struct kv_txn *txn,
                   enum kv_db db,
                   struct kv_bytes key,
                   struct kv_bytes value,
                   struct fault *f) MUST_CHECK;
/* NOT_FOUND if there was no such key. */
enum status
kv_del(struct kv_txn *txn, enum kv_db db, struct kv_bytes key, struct fault *f) MUST_CHECK;
/* Number of keys in a database. */
enum status
kv_count(struct kv_txn *txn, enum kv_db db, uint64_t *ret_count, struct fault *f) MUST_CHECK;

/*
 * Cursor over the keys that begin with `prefix` (empty: all), in byte order.  The first call of
 * next gives the first key, the first call of prev the last one; kv_cursor_seek makes next give
 * the first key >= `key` and prev the last key < `key`.  NOT_FOUND at the end, fault untouched.
 * Close it before its transaction ends.  Do not change the database while a cursor is open.
 */
enum status kv_cursor_open(struct kv_txn *txn,
                           enum kv_db db,
                           struct kv_bytes prefix,
                           struct kv_cursor **ret_cursor,
                           struct fault *f) MUST_CHECK;
void kv_cursor_close(struct kv_cursor *c);
void kv_cursor_seek(struct kv_cursor *c, struct kv_bytes key);
enum status kv_cursor_next(struct kv_cursor *c,
                           struct kv_bytes *ret_key,
                           struct kv_bytes *ret_value,
                           struct fault *f) MUST_CHECK;
enum status kv_cursor_prev(struct kv_cursor *c,
                           struct kv_bytes *ret_key,
                           struct kv_bytes *ret_value,
                           struct fault *f) MUST_CHECK;

/*
 * Calls fn for each key with the prefix, in rising order.  A status other than OK ends the scan and
 * is returned.  fn must not write to this database.
 */
typedef enum status
kv_scan_fn(struct kv_bytes key, struct kv_bytes value, void *context, struct fault *f);
enum status kv_scan(struct kv_txn *txn,
                    enum kv_db db,
                    struct kv_bytes prefix,
                    kv_scan_fn *fn,
                    void *context,
                    struct fault *f) MUST_CHECK;

/*
 * Runs fn in a write transaction and commits it.  If the map is full the transaction is aborted,
 * the map doubled (up to map_max) and fn run again from the start: fn must be replayable, that is
 * change nothing outside the transaction that a second run would not set again.  If fn fails,
 * everything is undone and its status returned.  NO_SPACE: the disk is full;
 * RESOURCE_EXHAUSTED: the map has its greatest size; UNAVAILABLE: an open transaction kept the
 * map from growing.
 */
typedef enum status kv_update_fn(struct kv_txn *txn, void *context, struct fault *f);
enum status kv_update(struct kv *kv, kv_update_fn *fn, void *context, struct fault *f) MUST_CHECK;

/*
 * Would `bytes` more fit, on the disk and in the greatest map?  Nothing is set aside: callers add
 * up what they have promised.  NO_SPACE or RESOURCE_EXHAUSTED with the figures in the text.
 */
enum status kv_reserve(struct kv *kv, uint64_t bytes, struct fault *f) MUST_CHECK;

enum status kv_stats(struct kv *kv, struct kv_stats *ret_stats, struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- sealed databases */

/* Under which keys the sealed databases of one epoch stand. */
struct kv_keys {
    struct seal_key records; /* seals values */
    struct seal_key index;   /* veils keys: BLAKE2b-256 under it */
};

/*
 * From now on sealed databases are read and written under `keys` (borrowed; NULL: as stored).  No
 * transaction may be open, except inside kv_exclusive.
 */
void kv_set_keys(struct kv *kv, const struct kv_keys *keys);
/* What stands above this store, for the layers that get only a transaction (storage/vault). */
void kv_set_owner(struct kv *kv, void *owner);
void *kv_owner(const struct kv_txn *txn);
const char *kv_folder(const struct kv *kv);
int kv_is_read(const struct kv_txn *txn);

/* How a database is kept: in the clear, values sealed, or keys veiled as well. */
enum kv_secrecy { KV_CLEAR, KV_SEALED, KV_VEILED };
enum kv_secrecy kv_secrecy_of(enum kv_db db);

/*
 * Seals every sealed database anew: opens with `from` (NULL: they are in the clear) and seals with
 * `to`.  Part of a write transaction; kv_set_keys follows its commit.
 */
enum status kv_reseal(struct kv_txn *txn,
                      const struct kv_keys *from,
                      const struct kv_keys *to,
                      struct fault *f) MUST_CHECK;

/* Keys and values exactly as they are in the file, whatever the database (upgrades, backups). */
enum status kv_get_stored(struct kv_txn *txn,
                          enum kv_db db,
                          struct kv_bytes key,
                          struct kv_bytes *ret_value,
                          struct fault *f) MUST_CHECK;
enum status kv_put_stored(struct kv_txn *txn,
                          enum kv_db db,
                          struct kv_bytes key,
                          struct kv_bytes value,
                          struct fault *f) MUST_CHECK;
enum status
kv_del_stored(struct kv_txn *txn, enum kv_db db, struct kv_bytes key, struct fault *f) MUST_CHECK;
enum status kv_cursor_open_stored(struct kv_txn *txn,
                                  enum kv_db db,
                                  struct kv_bytes prefix,
                                  struct kv_cursor **ret_cursor,
                                  struct fault *f) MUST_CHECK;
/* Empties a database. */
enum status kv_clear(struct kv_txn *txn, enum kv_db db, struct fault *f) MUST_CHECK;

/*
 * Runs fn while no other thread has a transaction open or can begin one; fn may use transactions.
 * UNAVAILABLE if one stayed open for grow_wait_ms.  The caller holds none.
 */
typedef enum status kv_exclusive_fn(struct kv *kv, void *context, struct fault *f);
enum status
kv_exclusive(struct kv *kv, kv_exclusive_fn *fn, void *context, struct fault *f) MUST_CHECK;
/*
 * Writes the live pages into a new data file and puts it in the place of the old one: freed pages
 * and what is left in them are gone from the file.  Exclusive.  On failure the old file stays; only
 * if it cannot be opened again (IO_ERROR) is the store unusable until the next start.
 */
enum status kv_compact(struct kv *kv, struct fault *f) MUST_CHECK;

/* Key building: big-endian numbers, so that byte order is number order. */
void kv_key_u64(uint8_t to[8], uint64_t x);
uint64_t kv_key_u64_read(const uint8_t from[8]);
struct kv_bytes kv_bytes_of(const void *data, size_t size);

#endif
