/*
 * Temporary stores for tests, and small things to put into them.  Everything is inline, so that
 * only tests that include it need the storage archive.
 */
#ifndef LETHE_TESTS_SUPPORT_STORE_FIXTURE_H
#define LETHE_TESTS_SUPPORT_STORE_FIXTURE_H

#include "tests/support/store_log_fixture.h"
#include "tests/support/test.h"

#include "daemon/base/sysio.h"
#include "storage/store/fsck.h"
#include "storage/store/store.h"
#include "storage/vault/vault.h"

#include <stdio.h>
#include <string.h>

#define FIXTURE_MAP ((uint64_t)64 << 20)

struct store_fixture {
    char root[256];
    char folder[300];
    struct store *store;
    int64_t now_us; /* moves on with every change that the helpers make */
};

/* Prints the fault before it fails, so that a test log says why. */
#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        struct fault *assert_fault_ = &the_fault;                                                  \
        memset(assert_fault_, 0, sizeof *assert_fault_);                                           \
        const enum status assert_status_ = (expression);                                           \
        if (assert_status_ != STATUS_OK)                                                           \
            print_error("%s: [%s] %s (%s:%d)\n", status_name(assert_status_),                      \
                        assert_fault_->field, assert_fault_->text,                                 \
                        assert_fault_->file ? assert_fault_->file : "?", assert_fault_->line);     \
        assert_int_equal(assert_status_, STATUS_OK);                                               \
    } while (0)

/* The expression must fail with this status and name this field. */
#define assert_fault(expression, expected, expected_field)                                         \
    do {                                                                                           \
        memset(&the_fault, 0, sizeof the_fault);                                                   \
        const enum status assert_status_ = (expression);                                           \
        assert_string_equal(status_name(assert_status_), status_name(expected));                   \
        assert_string_equal(the_fault.field, (expected_field));                                    \
        assert_true(the_fault.text[0] != '\0');                                                    \
        assert_int_equal(the_fault.code, (expected));                                              \
    } while (0)

static struct fault the_fault;
#define THE_FAULT (&the_fault)

static inline void fixture_reopen(struct store_fixture *x)
{
    const struct kv_options o = {
        .folder = x->folder, .map_size = FIXTURE_MAP, .map_max = 4 * FIXTURE_MAP};
    store_close(x->store);
    x->store = NULL;
    assert_ok(store_open(&o, &x->store, THE_FAULT));
    assert_ok(logged_begin(x->store, x->now_us, THE_FAULT));
}

static inline void fixture_open(struct store_fixture *x)
{
    memset(x, 0, sizeof *x);
    test_support_mkdir(x->root);
    (void)snprintf(x->folder, sizeof x->folder, "%s/store", x->root);
    x->now_us = 1700000000000000;
    fixture_reopen(x);
}

static inline void fixture_close(struct store_fixture *x)
{
    store_close(x->store);
    test_support_rmdir(x->root);
    x->store = NULL;
}

/* A bare key-value store with one write transaction open, for the modules below the store. */
struct kv_fixture {
    char root[256];
    struct kv *kv;
    struct vault *vault;
    struct kv_txn *txn;
};

static inline void kv_fixture_open(struct kv_fixture *x)
{
    char folder[300];
    memset(x, 0, sizeof *x);
    test_support_mkdir(x->root);
    (void)snprintf(folder, sizeof folder, "%s/kv", x->root);
    const struct kv_options o = {.folder = folder, .map_size = FIXTURE_MAP, .map_max = FIXTURE_MAP};
    assert_ok(kv_open(&o, &x->kv, THE_FAULT));
    assert_ok(vault_open(x->kv, NULL, &x->vault, THE_FAULT));
    assert_ok(kv_begin(x->kv, KV_WRITE, &x->txn, THE_FAULT));
}

/* Commits and goes on in a new write transaction. */
static inline void kv_fixture_commit(struct kv_fixture *x)
{
    assert_ok(kv_commit(x->txn, THE_FAULT));
    assert_ok(kv_begin(x->kv, KV_WRITE, &x->txn, THE_FAULT));
}

static inline void kv_fixture_close(struct kv_fixture *x)
{
    kv_abort(x->txn);
    vault_close(x->vault);
    kv_close(x->kv);
    test_support_rmdir(x->root);
}

/* The key under which `key` stands in the file: another one where keys are veiled. */
static inline size_t kv_fixture_stored_key(struct kv_fixture *x,
                                           enum kv_db db,
                                           struct kv_bytes key,
                                           uint8_t to[KV_KEY_MAX])
{
    struct kv_cursor *opened;
    struct kv_cursor *stored;
    struct kv_bytes k = {0};
    struct kv_bytes s = {0};
    struct kv_bytes value = {0};
    memcpy(to, key.data, key.size);
    if (kv_secrecy_of(db) != KV_VEILED)
        return key.size;
    assert_ok(kv_cursor_open(x->txn, db, kv_bytes_of(NULL, 0), &opened, THE_FAULT));
    assert_ok(kv_cursor_open_stored(x->txn, db, kv_bytes_of(NULL, 0), &stored, THE_FAULT));
    do {
        assert_ok(kv_cursor_next(stored, &s, &value, THE_FAULT));
        assert_ok(kv_cursor_next(opened, &k, &value, THE_FAULT));
    } while (k.size != key.size || memcmp(k.data, to, k.size) != 0);
    memcpy(to, s.data, s.size);
    kv_cursor_close(stored);
    kv_cursor_close(opened);
    return s.size;
}

/* Turns one byte of a value over. `stored`: as it is in the file, sealed where it is sealed. */
static inline void
kv_fixture_flip(struct kv_fixture *x, enum kv_db db, struct kv_bytes key, size_t at, int stored)
{
    struct kv_bytes value = {0};
    assert_ok(stored ? kv_get_stored(x->txn, db, key, &value, THE_FAULT)
                     : kv_get(x->txn, db, key, &value, THE_FAULT));
    assert_true(at < value.size);
    uint8_t *copy = sysio_alloc(value.size, 1);
    assert_non_null(copy);
    memcpy(copy, value.data, value.size);
    copy[at] ^= 1;
    const struct kv_bytes changed = kv_bytes_of(copy, value.size);
    assert_ok(stored ? kv_put_stored(x->txn, db, key, changed, THE_FAULT)
                     : kv_put(x->txn, db, key, changed, THE_FAULT));
    sysio_free(copy);
}

/* As a failing disk would. */
static inline void
kv_fixture_damage(struct kv_fixture *x, enum kv_db db, struct kv_bytes key, size_t at)
{
    uint8_t bytes[KV_KEY_MAX];
    const size_t n = kv_fixture_stored_key(x, db, key, bytes);
    kv_fixture_flip(x, db, kv_bytes_of(bytes, n), at, 1);
}

/* As a faulty program would: the record is sealed properly and wrong. */
static inline void
kv_fixture_falsify(struct kv_fixture *x, enum kv_db db, struct kv_bytes key, size_t at)
{
    kv_fixture_flip(x, db, key, at, 0);
}

/* The n-th key of a database (from 0), copied. */
static inline size_t
kv_fixture_key(struct kv_fixture *x, enum kv_db db, size_t n, uint8_t to[KV_KEY_MAX])
{
    struct kv_cursor *c;
    struct kv_bytes key = {0};
    struct kv_bytes value = {0};
    assert_ok(kv_cursor_open(x->txn, db, kv_bytes_of(NULL, 0), &c, THE_FAULT));
    for (size_t i = 0; i <= n; i++)
        assert_ok(kv_cursor_next(c, &key, &value, THE_FAULT));
    memcpy(to, key.data, key.size);
    kv_cursor_close(c);
    return key.size;
}

static inline struct request_id fixture_id(unsigned n)
{
    struct request_id id = {{0x01, 0x95}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    id.b[6] = 0x70;
    return id;
}

static inline struct digest fixture_digest(unsigned n)
{
    return seal_hash(&n, sizeof n);
}

/* Accepts and enqueues request n with a payload that depends on n. */
static inline void fixture_enqueue(struct store_fixture *x, unsigned n)
{
    char payload[64];
    (void)snprintf(payload, sizeof payload, "payload of request %u", n);
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = "privacy:alice",
                                       .kind = "forget",
                                       .payload = payload,
                                       .payload_size = strlen(payload),
                                       .seed = 1000 + n,
                                       .submitted_us = ++x->now_us,
                                       .due_us = x->now_us + 1000000};
    const struct queue_move move = {
        .id = s.id, .event = REQUEST_EVENT_ENQUEUE, .now_us = x->now_us};
    const struct store_change c = {.now_us = x->now_us, .accept = &s, .moves = &move, .n_moves = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
}

/* One plain move of request n. */
static inline enum status
fixture_move(struct store_fixture *x, unsigned n, enum request_event event)
{
    const struct queue_move move = {.id = fixture_id(n), .event = event, .now_us = ++x->now_us};
    const struct store_change c = {.now_us = x->now_us, .moves = &move, .n_moves = 1};
    return store_commit(x->store, &c, NULL, THE_FAULT);
}

/*
 * Commits the next version: a base blob, one delta for each request in `erasures`, and makes it
 * serve.  Returns its digest.
 */
static inline struct digest
fixture_version(struct store_fixture *x, const struct request_id *erasures, size_t n_erasures)
{
    struct version_component components[9];
    struct store_blob blobs[9];
    char texts[9][32];
    char names[9][16];
    struct serving serving = {0};
    struct kv_txn *txn;
    uint64_t latest = 0;
    assert_true(n_erasures < 9);
    memset(components, 0, sizeof components);
    for (size_t i = 0; i <= n_erasures; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "weights %zu", i);
        (void)snprintf(names[i], sizeof names[i], "part%zu", i);
        blobs[i] = (struct store_blob){BLOB_COMPONENT, texts[i], strlen(texts[i])};
        components[i].kind = i ? VERSION_KIND_ERASURE : VERSION_KIND_BASE;
        components[i].name = names[i];
        components[i].blob = seal_hash(texts[i], strlen(texts[i]));
        components[i].bytes = strlen(texts[i]);
        if (i)
            components[i].request = erasures[i - 1];
    }
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_ok(version_latest(txn, &latest, THE_FAULT));
    const enum status st = serving_get(txn, &serving, THE_FAULT);
    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
    store_read_end(txn);
    const struct version v = {.number = latest + 1,
                              .parent = serving.version,
                              .created_us = ++x->now_us,
                              .kernel = "Test",
                              .threads = 2,
                              .components = components,
                              .n_components = n_erasures + 1,
                              .erasures = erasures,
                              .n_erasures = n_erasures};
    struct serving_move move = {.expected_generation = serving.generation, .now_us = x->now_us};
    assert_ok(version_id(&v, &move.version, THE_FAULT));
    const struct store_change c = {.now_us = x->now_us,
                                   .blobs = blobs,
                                   .n_blobs = n_erasures + 1,
                                   .version = &v,
                                   .serve = &move};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
    return move.version;
}

static inline void
fixture_print_finding(const char *what, const char *which, const char *how, void *context)
{
    (void)context;
    print_message("finding: %s %s: %s\n", what, which, how);
}

/* The whole store is sound; the counts of what is in it. */
static inline struct fsck_counts fixture_check(struct store_fixture *x)
{
    struct fsck_counts counts = {0};
    assert_ok(fsck_run(x->store, fixture_print_finding, NULL, &counts, THE_FAULT));
    assert_int_equal(counts.findings, 0);
    return counts;
}

#endif
