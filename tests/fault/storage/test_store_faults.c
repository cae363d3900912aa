/*
 * The n-th database call, allocation or read fails, for n = 1, 2, ... until the work succeeds.
 * After each failure the store is as it was before the change, and it still works.
 */
#include "tests/support/store_fixture.h"

#include <errno.h>

#define FAULTS_MAX 2000u

/* What can be seen of a store: the log says how many changes it has gone through. */
struct view {
    uint64_t entries;
    uint64_t blobs;
    uint64_t chunks;
    uint64_t versions;
    uint64_t requests;
    uint64_t generation;
};

static struct view look(struct store_fixture *x)
{
    struct kv_txn *txn;
    struct view v = {0};
    struct serving s = {0};
    struct audit_head head;
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_ok(audit_head_get(txn, &head, THE_FAULT));
    v.entries = head.range.size;
    assert_ok(kv_count(txn, KV_BLOBS, &v.blobs, THE_FAULT));
    assert_ok(kv_count(txn, KV_CHUNKS, &v.chunks, THE_FAULT));
    assert_ok(kv_count(txn, KV_VERSIONS, &v.versions, THE_FAULT));
    assert_ok(kv_count(txn, KV_REQUESTS, &v.requests, THE_FAULT));
    const enum status st = serving_get(txn, &s, THE_FAULT);
    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
    v.generation = s.generation;
    store_read_end(txn);
    return v;
}

/* A change that touches everything: accept, blobs, manifest, pointer, two moves, answer. */
static enum status big_change(struct store_fixture *x, struct fault *f)
{
    static uint8_t delta[3 * CHUNK_CONTENT_MAX];
    const struct request_id old = fixture_id(1);
    const struct store_blob blobs[] = {{BLOB_COMPONENT, delta, sizeof delta},
                                       {BLOB_REPORT, "report", 6}};
    const struct digest first = seal_hash("weights 0", 9);
    const struct version_component parts[] = {
        {.kind = "base", .name = "part0", .blob = first, .bytes = 9},
        {.kind = "erasure",
         .name = "e",
         .blob = seal_hash(delta, sizeof delta),
         .bytes = sizeof delta,
         .request = old}};
    struct serving serving = {0};
    TRY(store_read_serving(x->store, &serving, f));
    const struct digest report = seal_hash("report", 6);
    const struct version v = {.number = 2,
                              .parent = serving.version,
                              .request = old,
                              .report = report,
                              .kernel = "Test",
                              .components = parts,
                              .n_components = 2,
                              .erasures = &old,
                              .n_erasures = 1};
    struct serving_move swap = {
        .expected_generation = serving.generation, .request = old, .now_us = x->now_us};
    TRY(version_id(&v, &swap.version, f));
    const struct queue_submission s = {.id = fixture_id(2),
                                       .principal = "privacy:bob",
                                       .kind = "forget",
                                       .payload = "second",
                                       .payload_size = 6,
                                       .submitted_us = x->now_us};
    const struct queue_move moves[] = {
        {.id = s.id, .event = REQUEST_EVENT_ENQUEUE, .now_us = x->now_us},
        {.id = old,
         .event = REQUEST_EVENT_COMMIT,
         .now_us = x->now_us,
         .version_after = &swap.version,
         .report = &report,
         .answer = "answer",
         .answer_size = 6}};
    const struct store_change c = {.now_us = x->now_us,
                                   .accept = &s,
                                   .blobs = blobs,
                                   .n_blobs = 2,
                                   .version = &v,
                                   .serve = &swap,
                                   .moves = moves,
                                   .n_moves = 2};
    return store_commit(x->store, &c, NULL, f);
}

static void prepare(struct store_fixture *x)
{
    fixture_open(x);
    (void)fixture_version(x, NULL, 0);
    fixture_enqueue(x, 1);
    assert_ok(fixture_move(x, 1, REQUEST_EVENT_START));
    assert_ok(fixture_move(x, 1, REQUEST_EVENT_CANDIDATE));
}

/* Fails call n of this kind; returns 1 when the change went through. */
static int try_with_fault(struct store_fixture *x, enum sysio_call call, uint64_t n, int errnum)
{
    struct fault f = {0};
    const struct view before = look(x);
    sysio_fail_at(call, n, 1, errnum);
    const enum status st = big_change(x, &f);
    sysio_fail_at(call, 0, 0, 0);
    if (st == STATUS_OK)
        return 1;
    assert_true(f.text[0] != '\0');
    assert_true(st == STATUS_NO_SPACE || st == STATUS_IO_ERROR || st == STATUS_NO_MEMORY);
    const struct view after = look(x);
    assert_memory_equal(&before, &after, sizeof before);
    return 0;
}

static void every_call_fails(enum sysio_call call, int errnum, uint64_t at_least)
{
    struct store_fixture x;
    uint64_t n = 1;
    prepare(&x);
    while (n < FAULTS_MAX && !try_with_fault(&x, call, n, errnum))
        n++;
    assert_true(n > at_least && n < FAULTS_MAX);
    print_message("%llu calls failed in turn\n", (unsigned long long)(n - 1));
    const struct view v = look(&x);
    assert_true(v.versions == 2 && v.generation == 2 && v.requests == 2);
    fixture_reopen(&x);
    const struct fsck_counts counts = fixture_check(&x);
    assert_int_equal(counts.orphan_chunks, 0);
    fixture_close(&x);
}

void test_store_faults_database_calls_no_space(void **state)
{
    (void)state;
    every_call_fails(SYSIO_KV, ENOSPC, 15);
}

void test_store_faults_database_calls_io_error(void **state)
{
    (void)state;
    every_call_fails(SYSIO_KV, EIO, 15);
}

void test_store_faults_allocations(void **state)
{
    (void)state;
    every_call_fails(SYSIO_ALLOC, ENOMEM, 15);
}

/* Opening: each allocation, open, read, write and database call of it fails once. */
void test_store_faults_opening(void **state)
{
    (void)state;
    static const enum sysio_call CALLS[] = {SYSIO_ALLOC, SYSIO_OPEN,   SYSIO_READ, SYSIO_WRITE,
                                            SYSIO_FSYNC, SYSIO_RENAME, SYSIO_KV};
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        struct store_fixture x = {.now_us = 1};
        uint64_t n = 1;
        enum status st;
        test_support_mkdir(x.root);
        (void)snprintf(x.folder, sizeof x.folder, "%s/store", x.root);
        const struct kv_options o = {
            .folder = x.folder, .map_size = FIXTURE_MAP, .map_max = FIXTURE_MAP};
        do {
            struct fault f = {0};
            sysio_fail_at(CALLS[i], n++, 1, EIO);
            st = store_open(&o, &x.store, &f);
            if (st == STATUS_OK)
                st = logged_begin(x.store, 1, &f);
            sysio_fail_at(CALLS[i], 0, 0, 0);
            if (st != STATUS_OK)
                store_close(x.store);
            x.store = st == STATUS_OK ? x.store : NULL;
            assert_true(st == STATUS_OK || f.text[0] != '\0');
        } while (st != STATUS_OK && n < FAULTS_MAX);
        assert_int_equal(st, STATUS_OK);
        fixture_enqueue(&x, 1);
        fixture_reopen(&x);
        assert_int_equal(fixture_check(&x).requests, 1);
        fixture_close(&x);
    }
}

/* Recovery is a change like any other. */
void test_store_faults_recovery(void **state)
{
    (void)state;
    struct store_fixture x;
    size_t moved = 0;
    uint64_t counts[REQUEST_STATES];
    fixture_open(&x);
    for (unsigned n = 1; n <= 3; n++) {
        fixture_enqueue(&x, n);
        assert_ok(fixture_move(&x, n, REQUEST_EVENT_START));
    }
    for (uint64_t n = 1;; n++) {
        sysio_fail_at(SYSIO_KV, n, 1, EIO);
        const enum status st = store_recover(x.store, ++x.now_us, &moved, NULL);
        sysio_fail_at(SYSIO_KV, 0, 0, 0);
        assert_ok(store_read_counts(x.store, counts, THE_FAULT));
        if (st == STATUS_OK)
            break;
        assert_int_equal(counts[REQUEST_RUNNING], 3);
        assert_int_equal(counts[REQUEST_QUEUED], 0);
    }
    assert_int_equal(moved, 3);
    assert_int_equal(counts[REQUEST_QUEUED], 3);
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* The map grows in the middle of a change: it is run again and applied once. */
void test_store_faults_growth_in_a_change(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_stats before;
    struct kv_stats after;
    const struct kv_options o = {
        .folder = x.folder, .map_size = KV_MAP_SIZE_MIN, .map_max = 64 * KV_MAP_SIZE_MIN};
    prepare(&x);
    store_close(x.store);
    assert_ok(store_open(&o, &x.store, THE_FAULT));
    assert_ok(logged_begin(x.store, x.now_us, THE_FAULT));
    assert_ok(store_stats(x.store, &before, THE_FAULT));
    assert_ok(big_change(&x, THE_FAULT));
    assert_ok(store_stats(x.store, &after, THE_FAULT));
    assert_true(after.map_size > before.map_size);
    const struct view v = look(&x);
    assert_true(v.versions == 2 && v.requests == 2 && v.generation == 2);
    (void)fixture_check(&x);
    fixture_close(&x);
}
