/* The check of a store finds each kind of damage, and nothing in a sound one. */
#include "tests/support/store_fixture.h"

#include "storage/audit/audit_log.h"

#include "storage/queue/queue_record.h"
#include "storage/store/store_internal.h"

static const char *const CLASSES[] = {"a", "b"};
static const uint32_t ROW1[] = {1};
static const struct replay_memory_list LIST = {DATASET_TRAIN, 1, ROW1, 1};

/* A store with one of everything. */
static void fill(struct store_fixture *x)
{
    const struct request_id erasures[] = {fixture_id(21)};
    const struct store_blob blobs[] = {{BLOB_PIXELS, "12345678", 8},
                                       {BLOB_LABELS, "\0\0\0\0\1\0\0\0", 8},
                                       {BLOB_REPORT, "report", 6}};
    const struct dataset d = {.name = "tiny",
                              .role = DATASET_TRAIN,
                              .n = 2,
                              .height = 2,
                              .width = 2,
                              .channels = 1,
                              .label_kind = DATASET_LABELS_CLASS,
                              .class_names = CLASSES,
                              .n_classes = 2,
                              .pixels = seal_hash("12345678", 8),
                              .labels = seal_hash("\0\0\0\0\1\0\0\0", 8)};
    const struct replay_memory m = {
        .name = "base", .dataset = "tiny", .lists = &LIST, .n_lists = 1};
    struct upload u;
    const struct upload_open o = {
        .id = fixture_id(50), .principal = "mlops", .size = 10, .now_us = 1, .expires_us = 2};
    fixture_open(x);
    (void)fixture_version(x, NULL, 0);
    (void)fixture_version(x, erasures, 1);
    const struct store_change c = {.now_us = ++x->now_us,
                                   .blobs = blobs,
                                   .n_blobs = 3,
                                   .datasets = &d,
                                   .n_datasets = 1,
                                   .memory = &m};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
    fixture_enqueue(x, 1);
    fixture_enqueue(x, 2);
    assert_ok(fixture_move(x, 2, REQUEST_EVENT_START));
    const struct digest report = seal_hash("report", 6);
    const struct queue_move move = {.id = fixture_id(2),
                                    .event = REQUEST_EVENT_GIVE_UP,
                                    .now_us = x->now_us,
                                    .report = &report,
                                    .answer = "failed",
                                    .answer_size = 6};
    const struct store_change end = {.now_us = ++x->now_us, .moves = &move, .n_moves = 1};
    assert_ok(store_commit(x->store, &end, NULL, THE_FAULT));
    assert_ok(store_upload_open(x->store, &o, &u, THE_FAULT));
    assert_ok(store_upload_append(x->store, &o.id, 0, "12345", 5, &u, THE_FAULT));
}

void test_fsck_sound_store(void **state)
{
    (void)state;
    struct store_fixture x;
    fill(&x);
    fixture_reopen(&x);
    const struct fsck_counts c = fixture_check(&x);
    assert_int_equal(c.versions, 2);
    assert_int_equal(c.serving_moves, 2);
    assert_int_equal(c.requests, 2);
    assert_int_equal(c.open_requests, 1);
    assert_int_equal(c.datasets, 1);
    assert_int_equal(c.memories, 1);
    assert_int_equal(c.uploads, 1);
    assert_int_equal(c.blobs, 2 + 2 + 3 + 1); /* parts, manifests, data and report, memory */
    assert_int_equal(c.orphan_blobs, 0);
    assert_int_equal(c.orphan_chunks, 0);
    assert_true(c.log_entries >= 12);
    fixture_close(&x);
}

struct expectation {
    const char *what;
    size_t hits;
};

static void match(const char *what, const char *which, const char *how, void *context)
{
    struct expectation *e = context;
    assert_true(which[0] && how[0]);
    e->hits += strcmp(what, e->what) == 0;
}

/* Something was changed behind the store's back: it is reported as damage of this kind. */
static void expect_finding(struct store_fixture *x, const char *what)
{
    struct expectation e = {what, 0};
    struct fsck_counts counts = {0};
    assert_ok(fsck_run(x->store, match, &e, &counts, THE_FAULT));
    assert_true(e.hits > 0);
    assert_true(counts.findings >= e.hits);
}

static struct kv_fixture behind(struct store_fixture *x)
{
    struct kv_fixture k = {.kv = x->store->kv};
    assert_ok(kv_begin(k.kv, KV_WRITE, &k.txn, THE_FAULT));
    return k;
}

static void done(struct kv_fixture *k)
{
    assert_ok(kv_commit(k->txn, THE_FAULT));
}

static void damage_first(struct store_fixture *x, enum kv_db db, size_t n, size_t at)
{
    uint8_t key[KV_KEY_MAX];
    struct kv_fixture k = behind(x);
    kv_fixture_damage(&k, db, kv_bytes_of(key, kv_fixture_key(&k, db, n, key)), at);
    done(&k);
}

static void delete_first(struct store_fixture *x, enum kv_db db, size_t n)
{
    uint8_t key[KV_KEY_MAX];
    struct kv_fixture k = behind(x);
    const size_t size = kv_fixture_key(&k, db, n, key);
    assert_ok(kv_del(k.txn, db, kv_bytes_of(key, size), THE_FAULT));
    done(&k);
}

/* Each chunk of the store damaged in turn: somebody always notices. */
void test_fsck_finds_any_damaged_chunk(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    uint64_t chunks = 0;
    fill(&x);
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(kv_count(txn, KV_CHUNKS, &chunks, THE_FAULT));
    store_read_end(txn);
    assert_true(chunks >= 12);
    for (size_t i = 0; i < chunks; i++) {
        struct fsck_counts counts = {0};
        damage_first(&x, KV_CHUNKS, i, 18);
        assert_ok(fsck_run(x.store, NULL, NULL, &counts, THE_FAULT));
        assert_true(counts.findings > 0);
        damage_first(&x, KV_CHUNKS, i, 18);
    }
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* Any record of any database gone: found, or counted as an orphan. */
void test_fsck_finds_any_missing_record(void **state)
{
    (void)state;
    static const enum kv_db DBS[] = {
        KV_BLOBS,         KV_CHUNKS,   KV_REQUESTS,      KV_VERSIONS, KV_VERSION_DIGEST,
        KV_REQUEST_ORDER, KV_DATASETS, KV_REQUEST_STATE, KV_UPLOADS,  KV_MEMORIES,
        KV_LOG_ENTRIES,   KV_SERVING,  KV_LOG_NODES,     KV_LOG_HEAD, KV_LOG_REQUESTS};
    for (size_t i = 0; i < sizeof DBS / sizeof *DBS; i++) {
        struct store_fixture x;
        struct fsck_counts c = {0};
        fill(&x);
        delete_first(&x, DBS[i], 0);
        assert_ok(fsck_run(x.store, NULL, NULL, &c, THE_FAULT));
        if (c.findings + c.orphan_blobs + c.orphan_chunks == 0)
            print_error("nothing said about database %d\n", (int)DBS[i]);
        assert_true(c.findings + c.orphan_blobs + c.orphan_chunks > 0);
        fixture_close(&x);
    }
}

void test_fsck_names_what_is_damaged(void **state)
{
    (void)state;
    static const struct {
        enum kv_db db;
        const char *what;
    } CASES[] = {{KV_BLOBS, "blob"},      {KV_REQUESTS, "request"}, {KV_DATASETS, "data set"},
                 {KV_MEMORIES, "memory"}, {KV_UPLOADS, "upload"},   {KV_LOG_ENTRIES, "log"},
                 {KV_SERVING, "serving"}, {KV_VERSIONS, "version"}, {KV_REQUEST_STATE, "request"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct store_fixture x;
        fill(&x);
        damage_first(&x, CASES[i].db, 0, 0);
        expect_finding(&x, CASES[i].what);
        fixture_close(&x);
    }
}

/* Records that decode well but contradict each other. */
void test_fsck_finds_contradictions(void **state)
{
    (void)state;
    struct store_fixture x;
    uint8_t bytes[QUEUE_RECORD_MAX];
    struct queue_record q;
    const struct request_id id = fixture_id(1);
    fill(&x);
    assert_ok(store_read_request(x.store, &id, &q, THE_FAULT));
    struct kv_fixture k = behind(&x);
    q.state = REQUEST_COMMITTED; /* without index, version and time */
    const size_t n = queue_record_encode(&q, bytes);
    assert_ok(kv_put(k.txn, KV_REQUESTS, kv_bytes_of(id.b, sizeof id.b), kv_bytes_of(bytes, n),
                     THE_FAULT));
    done(&k);
    expect_finding(&x, "request");
    fixture_close(&x);
}

void test_fsck_counts_lost_chunks(void **state)
{
    (void)state;
    struct store_fixture x;
    struct extent e = extent_make();
    fill(&x);
    struct kv_fixture k = behind(&x);
    assert_ok(extent_append(k.txn, &e, "lost", 4, THE_FAULT));
    done(&k);
    assert_int_equal(fixture_check(&x).orphan_chunks, 1);
    fixture_close(&x);
}

/* The tree of the log is rebuilt from its entries. */
void test_fsck_rebuilds_the_log(void **state)
{
    (void)state;
    struct store_fixture x;
    fill(&x);
    assert_true(fixture_check(&x).log_entries > 4);
    damage_first(&x, KV_LOG_ENTRIES, 3, 1);
    expect_finding(&x, "log");
    fixture_close(&x);
}
