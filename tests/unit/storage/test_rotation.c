/* Epoch rotation: what lives is readable, what was deleted is not, wherever the crash came. */
#include "tests/support/vault_fixture.h"

#include "storage/store/store_internal.h"
#include "storage/vault/key_store.h"
#include "storage/vault/rotation.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOBS 40u

/* Content i: as long as several chunks for some, each with bytes of its own. */
static size_t content_of(unsigned i, uint8_t *to)
{
    const size_t n = 1 + (size_t)i * 7919;
    for (size_t k = 0; k < n; k++)
        to[k] = (uint8_t)(k * 31 + i);
    return n;
}

static uint8_t *buffer(void)
{
    uint8_t *b = sysio_alloc(1, BLOBS * 8000);
    assert_non_null(b);
    return b;
}

/* Odd blobs are reports, which nothing names; even ones are their owner's business and stay. */
static void fill(struct store_fixture *x, struct digest digests[BLOBS])
{
    uint8_t *bytes = buffer();
    for (unsigned i = 0; i < BLOBS; i++) {
        const size_t n = content_of(i, bytes);
        const struct store_blob blob = {i % 2 ? BLOB_REPORT : BLOB_OTHER, bytes, n};
        const struct store_change c = {.now_us = ++x->now_us, .blobs = &blob, .n_blobs = 1};
        assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
        digests[i] = seal_hash(bytes, n);
    }
    for (unsigned n = 1; n <= 5; n++)
        fixture_enqueue(x, n);
    sysio_free(bytes);
}

static void expect(struct store_fixture *x, const struct digest digests[BLOBS], int odd_too)
{
    uint8_t *bytes = buffer();
    for (unsigned i = 0; i < BLOBS; i++) {
        void *back = NULL;
        size_t size = 0;
        if (i % 2 && !odd_too) {
            assert_fault(store_read_blob(x->store, &digests[i], 1 << 20, &back, &size, THE_FAULT),
                         STATUS_NOT_FOUND, "blob");
            continue;
        }
        const size_t n = content_of(i, bytes);
        assert_ok(store_read_blob(x->store, &digests[i], 1 << 20, &back, &size, THE_FAULT));
        assert_int_equal(size, n);
        assert_memory_equal(back, bytes, n);
        sysio_free(back);
    }
    sysio_free(bytes);
    const struct fsck_counts c = fixture_check(x);
    assert_int_equal(c.requests, 5);
    assert_int_equal(c.orphan_keys, 0);
    assert_int_equal(c.orphan_chunks, 0);
}

static unsigned key_files(const struct store_fixture *x)
{
    char keys[400];
    (void)snprintf(keys, sizeof keys, "%s.keys", x->folder);
    return folder_files(keys, NULL, 0);
}

static uint64_t epoch_of(struct store_fixture *x)
{
    struct vault_state v;
    assert_ok(store_vault_state(x->store, &v, THE_FAULT));
    return v.epoch;
}

void test_rotation_keeps_what_lives(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct store_shredding r = {0};
    size_t removed = 0;
    fixture_open(&x);
    fill(&x, digests);
    assert_ok(store_collect(x.store, &removed, NULL, THE_FAULT));
    assert_int_equal(removed, BLOBS / 2);
    assert_ok(store_shred(x.store, ++x.now_us, &r, THE_FAULT));
    assert_int_equal(r.epoch, 2);
    assert_int_equal(r.dead, BLOBS / 2);
    assert_int_equal(r.keys, BLOBS / 2 + 5);
    assert_int_equal(r.pending, 0);
    expect(&x, digests, 0);
    assert_int_equal(key_files(&x), 1);
    fixture_reopen(&x);
    expect(&x, digests, 0);
    for (unsigned i = 3; i < 6; i++) {
        assert_ok(store_shred(x.store, ++x.now_us, &r, THE_FAULT));
        assert_int_equal(r.epoch, i);
        assert_int_equal(r.dead, 0);
    }
    fixture_reopen(&x);
    expect(&x, digests, 0);
    assert_int_equal(key_files(&x), 1);
    fixture_close(&x);
}

/* A copy of the database from before is put back: its epoch has no key any more. */
void test_rotation_makes_older_copies_unreadable(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct store_shredding r = {0};
    char command[1200];
    struct store *store = NULL;
    fixture_open(&x);
    fill(&x, digests);
    store_close(x.store);
    x.store = NULL;
    (void)snprintf(command, sizeof command, "cp -r %s %s.copy", x.folder, x.folder);
    assert_int_equal(system(command), 0);
    fixture_reopen(&x);
    assert_ok(store_shred(x.store, ++x.now_us, &r, THE_FAULT));
    store_close(x.store);
    x.store = NULL;
    char copy[400];
    char keys[400];
    (void)snprintf(copy, sizeof copy, "%s.copy", x.folder);
    (void)snprintf(keys, sizeof keys, "%s.keys", x.folder);
    const struct kv_options o = {.folder = copy, .map_size = FIXTURE_MAP};
    assert_fault(store_open_keyed(&o, keys, &store, THE_FAULT), STATUS_FAILED_PRECONDITION, "kek");
    /* And the attempt has not cost the present store its key. */
    fixture_reopen(&x);
    expect(&x, digests, 1);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- cut off between steps */

/* The new KEK is there, nothing else has happened. */
void test_rotation_cut_off_before_the_switch(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct key_store s;
    struct seal_key kek;
    char keys[400];
    fixture_open(&x);
    fill(&x, digests);
    const struct request_id identity = store_identity(x.store);
    (void)snprintf(keys, sizeof keys, "%s.keys", x.folder);
    assert_ok(key_store_open(keys, &identity, &s, THE_FAULT));
    seal_key_make(&kek);
    assert_ok(key_store_put(&s, 2, &kek, THE_FAULT));
    assert_int_equal(key_files(&x), 2);
    fixture_reopen(&x);
    assert_int_equal(key_files(&x), 1);
    assert_int_equal(folder_occurrences(x.root, kek.b, sizeof kek.b), 0);
    assert_int_equal(epoch_of(&x), 1);
    expect(&x, digests, 1);
    fixture_close(&x);
}

/* The switch is committed; the old KEK is still there, or gone but the end not recorded. */
static void cut_off_after_the_switch(int kek_left)
{
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct rotation_result r = {0};
    struct seal_key old;
    struct key_store s;
    size_t removed = 0;
    size_t moved = 0;
    char keys[400];
    struct vault_state v;
    fixture_open(&x);
    fill(&x, digests);
    assert_ok(store_collect(x.store, &removed, NULL, THE_FAULT));
    const struct request_id identity = store_identity(x.store);
    (void)snprintf(keys, sizeof keys, "%s.keys", x.folder);
    assert_ok(key_store_open(keys, &identity, &s, THE_FAULT));
    assert_ok(key_store_get(&s, 1, &old, THE_FAULT));
    assert_ok(rotation_run(x.store->vault, &r, THE_FAULT));
    if (kek_left)
        assert_ok(key_store_put(&s, 1, &old, THE_FAULT));
    fixture_reopen(&x);
    assert_int_equal(key_files(&x), 1);
    assert_int_equal(folder_occurrences(x.root, old.b, sizeof old.b), 0);
    assert_ok(store_vault_state(x.store, &v, THE_FAULT));
    assert_true(v.epoch == 2 && v.shredding == 1 && v.dead_keys == 0);
    assert_ok(store_recover(x.store, ++x.now_us, &moved, THE_FAULT));
    assert_ok(store_vault_state(x.store, &v, THE_FAULT));
    assert_int_equal(v.shredding, 0);
    expect(&x, digests, 0);
    fixture_close(&x);
}

void test_rotation_cut_off_before_the_destruction(void **state)
{
    (void)state;
    cut_off_after_the_switch(1);
}

void test_rotation_cut_off_before_the_record(void **state)
{
    (void)state;
    cut_off_after_the_switch(0);
}

/* ---------------------------------------------------------------- beside others */

struct reader {
    struct store *store;
    const struct digest *digests;
    atomic_int stop;
    atomic_int reads;
    atomic_int bad;
};

static void *read_on(void *context)
{
    struct reader *r = context;
    for (unsigned i = 0; !atomic_load(&r->stop); i = (i + 2) % BLOBS) {
        void *bytes = NULL;
        size_t size = 0;
        if (store_read_blob(r->store, &r->digests[i], 1 << 20, &bytes, &size, NULL) == STATUS_OK)
            sysio_free(bytes);
        else
            atomic_store(&r->bad, 1);
        (void)atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

void test_rotation_beside_readers(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    pthread_t thread;
    fixture_open(&x);
    fill(&x, digests);
    struct reader r = {.store = x.store, .digests = digests};
    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (unsigned i = 0; i < 20; i++) {
        struct store_shredding s = {0};
        assert_ok(store_shred(x.store, ++x.now_us, &s, THE_FAULT));
        assert_int_equal(s.epoch, i + 2);
    }
    while (atomic_load(&r.reads) < 100)
        (void)usleep(1000);
    atomic_store(&r.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&r.bad), 0);
    expect(&x, digests, 1);
    fixture_close(&x);
}

/* A reader that does not end: refused in the end, and nothing has changed. */
void test_rotation_waits_for_readers_only_so_long(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct kv_txn *txn;
    struct store_shredding s = {0};
    fixture_open(&x);
    fill(&x, digests);
    store_close(x.store);
    const struct kv_options o = {.folder = x.folder, .map_size = FIXTURE_MAP, .grow_wait_ms = 50};
    assert_ok(store_open(&o, &x.store, THE_FAULT));
    assert_ok(logged_begin(x.store, x.now_us, THE_FAULT));
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_int_equal(store_shred(x.store, ++x.now_us, &s, THE_FAULT), STATUS_UNAVAILABLE);
    store_read_end(txn);
    assert_int_equal(epoch_of(&x), 1);
    assert_int_equal(key_files(&x), 1);
    assert_ok(store_shred(x.store, ++x.now_us, &s, THE_FAULT));
    expect(&x, digests, 1);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- compacting */

void test_rotation_and_compacting(void **state)
{
    (void)state;
    struct store_fixture x;
    struct digest digests[BLOBS];
    struct kv_stats before;
    struct kv_stats after;
    struct store_shredding s = {0};
    size_t removed = 0;
    fixture_open(&x);
    fill(&x, digests);
    assert_ok(store_collect(x.store, &removed, NULL, THE_FAULT));
    assert_ok(store_shred(x.store, ++x.now_us, &s, THE_FAULT));
    assert_ok(store_stats(x.store, &before, THE_FAULT));
    assert_ok(store_compact(x.store, THE_FAULT));
    assert_ok(store_stats(x.store, &after, THE_FAULT));
    assert_true(after.file_used < before.file_used * 3 / 4);
    expect(&x, digests, 0);
    fixture_enqueue(&x, 6);
    assert_int_equal(fixture_check(&x).requests, 6);
    fixture_reopen(&x);
    assert_int_equal(fixture_check(&x).requests, 6);
    fixture_close(&x);
}
