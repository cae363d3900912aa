/*
 * Rotation, compacting and the upgrade of old stores with the n-th call failing, once (the program
 * goes on and cleans up) or from there on (as if it had died at that point): after the next start
 * everything that lives is read, and no key but the epoch's is left.
 */
#include "tests/support/vault_fixture.h"

#include "storage/blobs/chunk.h"
#include "storage/store/store_internal.h"
#include "storage/vault/data_keys.h"

#include <errno.h>

#define FAULTS_MAX 4000u
#define MARK       "a mark in an old store, in the clear"

static const enum sysio_call CALLS[] = {SYSIO_ALLOC, SYSIO_OPEN,   SYSIO_READ, SYSIO_WRITE,
                                        SYSIO_FSYNC, SYSIO_RENAME, SYSIO_KV};
static const uint64_t COUNTS[] = {1, UINT64_MAX / 2};

static unsigned key_files(const struct store_fixture *x)
{
    char keys[400];
    (void)snprintf(keys, sizeof keys, "%s.keys", x->folder);
    return folder_files(keys, NULL, 0);
}

static struct digest fill(struct store_fixture *x)
{
    const struct store_blob blob = {BLOB_OTHER, MARK, sizeof MARK};
    const struct store_change c = {.now_us = ++x->now_us, .blobs = &blob, .n_blobs = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
    (void)fixture_version(x, NULL, 0);
    for (unsigned n = 1; n <= 3; n++)
        fixture_enqueue(x, n);
    return seal_hash(MARK, sizeof MARK);
}

static void expect(struct store_fixture *x, const struct digest *d)
{
    void *back = NULL;
    size_t size = 0;
    size_t moved = 0;
    struct vault_state v;
    assert_ok(store_recover(x->store, ++x->now_us, &moved, THE_FAULT));
    assert_ok(store_read_blob(x->store, d, 1000, &back, &size, THE_FAULT));
    assert_memory_equal(back, MARK, sizeof MARK);
    sysio_free(back);
    const struct fsck_counts c = fixture_check(x);
    assert_int_equal(c.requests, 3);
    assert_int_equal(c.versions, 1);
    assert_int_equal(c.orphan_keys, 0);
    assert_int_equal(key_files(x), 1);
    assert_ok(store_vault_state(x->store, &v, THE_FAULT));
    assert_int_equal(v.shredding, 0);
}

typedef enum status action_fn(struct store_fixture *x, struct fault *f);

/* Runs the action with ever later failures, each followed by a new start, until it passes. */
static void fail_each(action_fn *action, enum sysio_call call, uint64_t count)
{
    struct store_fixture x;
    enum status st = STATUS_INTERNAL;
    fixture_open(&x);
    const struct digest d = fill(&x);
    for (uint64_t n = 1; st != STATUS_OK && n < FAULTS_MAX; n++) {
        struct fault f = {0};
        sysio_fail_at(call, n, count, call == SYSIO_ALLOC ? ENOMEM : EIO);
        st = action(&x, &f);
        sysio_fail_at(call, 0, 0, 0);
        assert_true(st == STATUS_OK || f.text[0] != '\0');
        fixture_reopen(&x);
        expect(&x, &d);
    }
    assert_int_equal(st, STATUS_OK);
    fixture_close(&x);
}

static void every_call_fails(action_fn *action)
{
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++)
        for (size_t k = 0; k < sizeof COUNTS / sizeof *COUNTS; k++)
            fail_each(action, CALLS[i], COUNTS[k]);
}

static enum status shred(struct store_fixture *x, struct fault *f)
{
    struct store_shredding ignored;
    return store_shred(x->store, ++x->now_us, &ignored, f);
}

static enum status compact(struct store_fixture *x, struct fault *f)
{
    return store_compact(x->store, f);
}

void test_rotation_faults_at_every_call(void **state)
{
    (void)state;
    every_call_fails(shred);
}

void test_compacting_faults_at_every_call(void **state)
{
    (void)state;
    every_call_fails(compact);
}

/* ---------------------------------------------------------------- upgrade */

/* Opens one value of every sealed database and stores it as it was stored before encryption. */
static void unseal_database(struct kv_txn *txn, enum kv_db db)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    static uint8_t keys[64][KV_KEY_MAX];
    static uint8_t values[64][2048];
    size_t sizes[64][2];
    size_t n = 0;
    assert_ok(kv_cursor_open(txn, db, kv_bytes_of(NULL, 0), &c, THE_FAULT));
    while (kv_cursor_next(c, &key, &value, THE_FAULT) == STATUS_OK) {
        assert_true(n < 64 && value.size <= sizeof values[0]);
        memcpy(keys[n], key.data, key.size);
        memcpy(values[n], value.data, value.size);
        sizes[n][0] = key.size;
        sizes[n++][1] = value.size;
    }
    kv_cursor_close(c);
    assert_ok(kv_clear(txn, db, THE_FAULT));
    for (size_t i = 0; i < n; i++)
        assert_ok(kv_put_stored(txn, db, kv_bytes_of(keys[i], sizes[i][0]),
                                kv_bytes_of(values[i], sizes[i][1]), THE_FAULT));
}

/* The chunk as format 1: a tag over the content instead of a seal. */
static size_t
plain_chunk(const struct chunk_place *place, const uint8_t *content, size_t n, uint8_t *to)
{
    uint8_t context[14 + CHUNK_EXTENT_SIZE + 4];
    struct byte_writer w = byte_writer_make(context, sizeof context);
    put_bytes(&w, "lethe/chunk/v1", 14);
    put_bytes(&w, place->extent, CHUNK_EXTENT_SIZE);
    put_u32(&w, place->index);
    to[0] = 1;
    seal_tag(context, w.used, content, n, to + 1);
    memcpy(to + 17, content, n);
    return n + 17;
}

static void unseal_chunks(struct kv_txn *txn)
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    uint8_t keys[64][CHUNK_EXTENT_SIZE + 4];
    size_t n = 0;
    assert_ok(kv_cursor_open(txn, KV_CHUNKS, kv_bytes_of(NULL, 0), &c, THE_FAULT));
    while (kv_cursor_next(c, &key, &value, THE_FAULT) == STATUS_OK) {
        assert_true(n < 64);
        memcpy(keys[n++], key.data, key.size);
    }
    kv_cursor_close(c);
    for (size_t i = 0; i < n; i++) {
        static uint8_t content[CHUNK_CONTENT_MAX], plain[CHUNK_STORED_MAX];
        struct chunk_place place = {.index = keys[i][CHUNK_EXTENT_SIZE + 3]};
        struct seal_key data_key;
        const struct kv_bytes at = kv_bytes_of(keys[i], sizeof keys[i]);
        memcpy(place.extent, keys[i], CHUNK_EXTENT_SIZE);
        assert_ok(data_key_get(txn, place.extent, &data_key, THE_FAULT));
        assert_ok(kv_get(txn, KV_CHUNKS, at, &value, THE_FAULT));
        const size_t size = blob_chunk_content(value);
        assert_ok(blob_chunk_open(&data_key, &place, value, content, size, THE_FAULT));
        const size_t stored = plain_chunk(&place, content, size, plain);
        assert_ok(kv_put(txn, KV_CHUNKS, at, kv_bytes_of(plain, stored), THE_FAULT));
    }
    assert_ok(kv_clear(txn, KV_KEYS, THE_FAULT));
}

static void del_meta(struct kv_txn *txn, const char *name)
{
    const enum status st = kv_del(txn, KV_META, kv_bytes_of(name, strlen(name)), THE_FAULT);
    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
}

/* A store as schema 1 had it: everything in the clear, no keys, the key of subjects in meta. */
static struct digest make_old(struct store_fixture *x, struct subject_key *ret_subject)
{
    struct kv_txn *txn;
    struct digest d;
    char command[400];
    fixture_open(x);
    d = fill(x);
    assert_ok(store_subject_key(x->store, ret_subject, THE_FAULT));
    assert_ok(kv_begin(x->store->kv, KV_WRITE, &txn, THE_FAULT));
    for (unsigned db = 0; db < KV_DBS; db++)
        if (kv_secrecy_of((enum kv_db)db) != KV_CLEAR)
            unseal_database(txn, (enum kv_db)db);
    unseal_chunks(txn);
    del_meta(txn, "epoch");
    del_meta(txn, "kek-check");
    del_meta(txn, "secret-subjects");
    assert_ok(kv_put(txn, KV_META, kv_bytes_of("subject-key", 11),
                     kv_bytes_of(ret_subject->b, sizeof ret_subject->b), THE_FAULT));
    assert_ok(
        kv_put(txn, KV_META, kv_bytes_of("schema", 6), kv_bytes_of("\1\0\0\0", 4), THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    store_close(x->store);
    x->store = NULL;
    (void)snprintf(command, sizeof command, "%s.keys", x->folder);
    test_support_rmdir(command);
    assert_true(folder_occurrences(x->root, MARK, sizeof MARK) > 0);
    return d;
}

static void
expect_sealed(struct store_fixture *x, const struct digest *d, const struct subject_key *s)
{
    struct subject_key again;
    expect(x, d);
    assert_ok(store_subject_key(x->store, &again, THE_FAULT));
    assert_memory_equal(s->b, again.b, sizeof again.b);
    assert_int_equal(folder_occurrences(x->root, MARK, sizeof MARK), 0);
    assert_int_equal(folder_occurrences(x->root, "privacy:alice", 13), 0);
    assert_int_equal(folder_occurrences(x->root, "payload of request", 18), 0);
    assert_int_equal(folder_occurrences(x->root, s->b, sizeof s->b), 0);
}

void test_upgrade_seals_an_old_store(void **state)
{
    (void)state;
    struct store_fixture x;
    struct subject_key subject;
    const struct digest d = make_old(&x, &subject);
    assert_true(folder_occurrences(x.root, "privacy:alice", 13) > 0);
    assert_true(folder_occurrences(x.root, subject.b, sizeof subject.b) > 0);
    fixture_reopen(&x);
    expect_sealed(&x, &d, &subject);
    fixture_close(&x);
}

void test_upgrade_faults_at_every_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        struct store_fixture x;
        struct subject_key subject;
        enum status st = STATUS_INTERNAL;
        const struct digest d = make_old(&x, &subject);
        const struct kv_options o = {.folder = x.folder, .map_size = FIXTURE_MAP};
        for (uint64_t n = 1; st != STATUS_OK && n < FAULTS_MAX; n++) {
            struct fault f = {0};
            sysio_fail_at(CALLS[i], n, COUNTS[n % 2], EIO);
            st = store_open(&o, &x.store, &f);
            sysio_fail_at(CALLS[i], 0, 0, 0);
            assert_true(st == STATUS_OK || f.text[0] != '\0');
        }
        assert_int_equal(st, STATUS_OK);
        expect_sealed(&x, &d, &subject);
        fixture_close(&x);
    }
}
