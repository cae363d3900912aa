/*
 * Fuzzing of what is read back from the store.  The pure decoders (manifest, request record) have
 * the entry point that libFuzzer drives with -DLETHE_LIBFUZZER -fsanitize=fuzzer; the ordinary
 * build feeds it some thousand deterministic mutations of valid records.  All other records are
 * changed inside a store, in a transaction that is never committed, and read by their own module.
 *
 * What must hold for any bytes: no crash, nothing read outside them, a refusal is DATA_LOSS with a
 * reason, and an accepted manifest encodes to the very bytes it came from.
 */
#include "tests/support/mutate.h"
#include "tests/support/store_fixture.h"

#include "storage/store/log_requests.h"
#include "storage/store/old_events.h"
#include "storage/store/salts.h"

#include "storage/queue/queue_record.h"

#include <stdlib.h>

#define MAX_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "record fuzz: %s\n", what);
    abort();
}

static void fuzz_manifest(const uint8_t *data, size_t size)
{
    struct fault f = {0};
    struct version *v = NULL;
    void *again = NULL;
    size_t n = 0;
    const enum status st = version_decode(data, size, &v, &f);
    if (st != STATUS_OK) {
        require(st == STATUS_DATA_LOSS && f.text[0], "a manifest refused without a reason");
        return;
    }
    require(version_encode(v, &again, &n, &f) == STATUS_OK, "a manifest that cannot be encoded");
    require(n == size && memcmp(again, data, n) == 0, "a manifest with two forms");
    sysio_free(again);
    version_free(v);
}

static void fuzz_request(const uint8_t *data, size_t size)
{
    struct fault f = {0};
    struct queue_record q;
    struct queue_record again;
    uint8_t bytes[QUEUE_RECORD_MAX];
    const struct request_id id = fixture_id(1);
    const struct kv_bytes key = kv_bytes_of(id.b, sizeof id.b);
    const enum status st = queue_record_decode(key, kv_bytes_of(data, size), &q, &f);
    if (st != STATUS_OK) {
        require(st == STATUS_DATA_LOSS && f.text[0], "a request refused without a reason");
        return;
    }
    const size_t n = queue_record_encode(&q, bytes);
    require(n == size, "a request record of another length");
    require(queue_record_decode(key, kv_bytes_of(bytes, n), &again, &f) == STATUS_OK,
            "a request record that decodes once only");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_manifest(data, size);
    fuzz_request(data, size);
    return 0;
}

#ifndef LETHE_LIBFUZZER

struct input {
    uint8_t bytes[MAX_BYTES];
    size_t size;
};

static const struct mutate_plan plan = {.room = MAX_BYTES};

static void run_mutations(const struct input *valid, const char *name, unsigned rounds)
{
    struct mutate_plan p = plan;
    p.stream = name;
    p.rounds = rounds;
    mutate_rounds(valid->bytes, valid->size, &p, LLVMFuzzerTestOneInput);
}

/* A changed copy. */
static struct input changed(struct rng *r, const struct input *valid)
{
    struct input x = *valid;
    struct mutate_input m = {x.bytes, x.size};
    mutate_some(r, &m, &plan);
    x.size = m.size;
    return x;
}

void test_fuzz_record_manifest(void **state)
{
    (void)state;
    const struct request_id erasure = fixture_id(7);
    const struct version_lineage lineage[] = {{"dataset", "train", fixture_digest(1)},
                                              {"memory", "", fixture_digest(2)}};
    const struct version_component parts[] = {
        {.kind = "base", .name = "b", .blob = fixture_digest(3), .bytes = 9},
        {.kind = "erasure",
         .name = "e",
         .blob = fixture_digest(4),
         .request = erasure,
         .groups_total = 12,
         .groups_zero = 5,
         .lineage = lineage,
         .n_lineage = 2}};
    const struct version_label labels[] = {{"Sandal", "base", VERSION_LABEL_FORGOTTEN, erasure},
                                           {"Bag", "base", VERSION_LABEL_ACTIVE, {{0}}}};
    const struct version v = {.number = 2,
                              .parent = fixture_digest(5),
                              .kernel = "Haswell",
                              .components = parts,
                              .n_components = 2,
                              .erasures = &erasure,
                              .n_erasures = 1,
                              .labels = labels,
                              .n_labels = 2};
    struct input valid = {.size = 0};
    void *bytes = NULL;
    assert_ok(version_encode(&v, &bytes, &valid.size, THE_FAULT));
    assert_true(valid.size < MAX_BYTES);
    memcpy(valid.bytes, bytes, valid.size);
    sysio_free(bytes);
    run_mutations(&valid, "manifest", 20000);
}

void test_fuzz_record_request(void **state)
{
    (void)state;
    const struct queue_record q = {.id = fixture_id(1),
                                   .sequence = 9,
                                   .principal = "privacy:alice",
                                   .kind = "forget",
                                   .state = REQUEST_FAILED,
                                   .payload = {{1, 2, 3}, 100},
                                   .error = {STATUS_NO_SPACE, "disk", "full"}};
    struct input valid = {.size = 0};
    valid.size = queue_record_encode(&q, valid.bytes);
    run_mutations(&valid, "request", 20000);
}

/* ---------------------------------------------------------------- records in a store */

static enum status any_dataset(const struct dataset *d, void *context, struct fault *f)
{
    (void)context;
    (void)f;
    assert_true(d->n_classes > 0 && d->class_names[d->n_classes - 1][0] != '\0');
    return STATUS_OK;
}

static enum status any_upload(const struct upload *u, void *context, struct fault *f)
{
    (void)context;
    (void)f;
    assert_true(u->extent.size <= u->size);
    return STATUS_OK;
}

static enum status any_blob(const struct blob_info *info, void *context, struct fault *f)
{
    (void)context;
    (void)f;
    assert_string_not_equal(blob_kind_name(info->kind), "unknown");
    return STATUS_OK;
}

static enum status any_serving(const struct serving *s, void *context, struct fault *f)
{
    (void)context;
    (void)f;
    assert_true(s->generation > 0);
    return STATUS_OK;
}

static enum status read_datasets(struct kv_txn *txn, struct fault *f)
{
    return dataset_list(txn, any_dataset, NULL, f);
}

static enum status read_uploads(struct kv_txn *txn, struct fault *f)
{
    return upload_list(txn, any_upload, NULL, f);
}

static enum status read_blobs(struct kv_txn *txn, struct fault *f)
{
    return blob_list(txn, any_blob, NULL, f);
}

static enum status read_events(struct kv_txn *txn, struct fault *f)
{
    uint64_t count = 0;
    struct sha256 root;
    return old_events_root(txn, &count, &root, f);
}

/* Any 32 bytes are a salt, so only format and size can be wrong: the format has to be. */
static enum status read_salts(struct kv_txn *txn, struct fault *f)
{
    struct salts salts;
    const struct request_id id = fixture_id(1);
    return salts_get(txn, &id, &salts, f);
}

static enum status read_log_request(struct kv_txn *txn, struct fault *f)
{
    struct log_request q;
    const struct request_id id = fixture_id(1);
    TRY(log_request_get(txn, &id, &q, f));
    assert_true(q.checkpoint_size <= sizeof q.checkpoint);
    return STATUS_OK;
}

static enum status read_serving(struct kv_txn *txn, struct fault *f)
{
    return serving_history(txn, 0, any_serving, NULL, f);
}

static enum status read_pin(struct kv_txn *txn, struct fault *f)
{
    struct serving_pin pin;
    const struct digest d = fixture_digest(1);
    return serving_pinned(txn, &d, &pin, f);
}

/* The memory's bytes are a blob; here they are put under their own name, so only they are wrong. */
static enum status read_memory(struct kv_txn *txn, const struct input *m, struct fault *f)
{
    struct digest d = {0};
    struct replay_memory *memory = NULL;
    TRY(blob_put(txn, BLOB_MEMORY, m->bytes, m->size, &d, f));
    TRY(kv_put(txn, KV_MEMORIES, kv_bytes_of("base", 4), kv_bytes_of(d.b, DIGEST_SIZE), f));
    const enum status st = replay_memory_get(txn, "base", &memory, f);
    if (st == STATUS_OK)
        assert_true(strlen(memory->dataset) < DATASET_NAME_SIZE);
    replay_memory_free(memory);
    TRY(blob_delete(txn, &d, f));
    return st;
}

static const struct {
    enum kv_db db;
    enum status (*read)(struct kv_txn *txn, struct fault *f);
    const char *name;
} READERS[] = {
    {KV_DATASETS, read_datasets, "dataset"}, {KV_UPLOADS, read_uploads, "upload"},
    {KV_BLOBS, read_blobs, "blob"},          {KV_EVENTS, read_events, "event"},
    {KV_SERVING, read_serving, "serving"},   {KV_PINS, read_pin, "pin"},
    {KV_SALTS, read_salts, "salts"},         {KV_LOG_REQUESTS, read_log_request, "log request"},
};

/* An event as schema 1 wrote it. */
static void put_event(struct kv_fixture *x)
{
    uint8_t key[8], record[128];
    const uint8_t nothing[REQUEST_ID_SIZE + DIGEST_SIZE] = {0};
    struct byte_writer w = byte_writer_make(record, sizeof record);
    kv_key_u64(key, 1);
    put_u8(&w, 1);
    put_i64(&w, 1);
    put_u8(&w, 0);
    put_string(&w, "note");
    put_bytes(&w, nothing, sizeof nothing);
    put_string(&w, "some text");
    assert_ok(
        kv_put(x->txn, KV_EVENTS, kv_bytes_of(key, 8), kv_bytes_of(record, w.used), THE_FAULT));
}

/* One record in each database of READERS. */
static void fill(struct kv_fixture *x)
{
    static const char *const CLASSES[] = {"a", "bb", "ccc"};
    struct upload u;
    struct digest d;
    struct salts salts;
    const struct log_request entries = {.accepted = 5, .done = 9, .checkpoint_size = 20};
    const struct request_id request = fixture_id(1);
    const struct upload_open o = {
        .id = fixture_id(1), .principal = "mlops:carol", .size = 9, .expires_us = 5};
    struct dataset set = {.name = "tiny",
                          .role = DATASET_TRAIN,
                          .n = 1,
                          .height = 1,
                          .width = 3,
                          .channels = 1,
                          .label_kind = DATASET_LABELS_MULTI,
                          .class_names = CLASSES,
                          .n_classes = 3};
    assert_ok(upload_open(x->txn, &o, &u, THE_FAULT));
    put_event(x);
    assert_ok(salts_make(x->txn, &request, &salts, THE_FAULT));
    assert_ok(log_request_put(x->txn, &request, &entries, THE_FAULT));
    assert_ok(blob_put(x->txn, BLOB_LABELS, "\0\1\0", 3, &set.labels, THE_FAULT));
    set.pixels = set.labels;
    assert_ok(dataset_put(x->txn, &set, &d, THE_FAULT));
    const struct version v = {.number = 1, .kernel = ""};
    struct serving s;
    struct serving_move move = {.expected_generation = 0, .now_us = 1};
    assert_ok(version_put(x->txn, &v, &move.version, THE_FAULT));
    assert_ok(serving_swap(x->txn, &move, &s, THE_FAULT));
    d = fixture_digest(1);
    assert_ok(kv_put(x->txn, KV_PINS, kv_bytes_of(d.b, DIGEST_SIZE),
                     kv_bytes_of("\1\0\0\0\0\0\0\0\0\3\0\0\0bob", 16), THE_FAULT));
}

static struct input stored(struct kv_fixture *x, enum kv_db db, struct kv_bytes key)
{
    struct input m = {.size = 0};
    struct kv_bytes value = {0};
    assert_ok(kv_get(x->txn, db, key, &value, THE_FAULT));
    assert_true(value.size <= MAX_BYTES);
    memcpy(m.bytes, value.data, value.size);
    m.size = value.size;
    return m;
}

void test_fuzz_record_other_records(void **state)
{
    (void)state;
    struct kv_fixture x;
    const struct rng_root root = {.seed = 1};
    kv_fixture_open(&x);
    fill(&x);
    for (size_t i = 0; i < sizeof READERS / sizeof *READERS; i++) {
        uint8_t bytes[KV_KEY_MAX];
        struct rng r;
        unsigned refused = 0;
        const struct kv_bytes key = kv_bytes_of(bytes, kv_fixture_key(&x, READERS[i].db, 0, bytes));
        const struct input valid = stored(&x, READERS[i].db, key);
        assert_ok(READERS[i].read(x.txn, THE_FAULT));
        rng_init(&r, &root, READERS[i].name, 0);
        for (unsigned round = 0; round < 4000; round++) {
            const struct input m = changed(&r, &valid);
            struct fault f = {0};
            assert_ok(kv_put(x.txn, READERS[i].db, key, kv_bytes_of(m.bytes, m.size), THE_FAULT));
            const enum status st = READERS[i].read(x.txn, &f);
            assert_true(st == STATUS_OK || (st == STATUS_DATA_LOSS && f.text[0]));
            refused += st != STATUS_OK;
        }
        assert_true(refused > 1000);
        assert_ok(
            kv_put(x.txn, READERS[i].db, key, kv_bytes_of(valid.bytes, valid.size), THE_FAULT));
    }
    kv_fixture_close(&x);
}

void test_fuzz_record_replay_memory(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct rng r;
    struct input valid = {.size = 0};
    unsigned refused = 0;
    const struct rng_root root = {.seed = 1};
    struct byte_writer w = byte_writer_make(valid.bytes, MAX_BYTES);
    put_bytes(&w, "letherm1", 8);
    put_string(&w, "base");
    put_string(&w, "fashion");
    put_u32(&w, 2);
    for (uint32_t c = 0; c < 2; c++) {
        put_u8(&w, DATASET_TRAIN);
        put_u32(&w, c);
        put_u32(&w, 3);
        for (uint32_t row = 0; row < 3; row++)
            put_u32(&w, 10 * row + c);
    }
    valid.size = w.used;
    kv_fixture_open(&x);
    rng_init(&r, &root, "memory", 0);
    assert_ok(read_memory(x.txn, &valid, THE_FAULT));
    for (unsigned round = 0; round < 4000; round++) {
        const struct input m = changed(&r, &valid);
        struct fault f = {0};
        const enum status st = read_memory(x.txn, &m, &f);
        assert_true(st == STATUS_OK || (st == STATUS_DATA_LOSS && f.text[0]));
        refused += st != STATUS_OK;
    }
    assert_true(refused > 1000);
    kv_fixture_close(&x);
}

#endif
