/* The log of a store: its beginning, its keys, what changes tell it, stores that are older. */
#include "tests/support/store_fixture.h"

#include "proto/seal/merkle.h"
#include "proto/seal/note.h"
#include "storage/store/log_requests.h"
#include "storage/store/old_events.h"
#include "storage/store/salts.h"
#include "storage/store/store_internal.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- small things */

/* The newest checkpoint: that of the head, good under each of these keys. */
static void expect_signed(struct store *s, const uint8_t *keys, size_t n_keys)
{
    struct kv_txn *txn;
    struct audit_head head;
    struct note note;
    assert_ok(store_read_begin(s, &txn, THE_FAULT));
    assert_ok(audit_head_get(txn, &head, THE_FAULT));
    store_read_end(txn);
    assert_ok(note_parse(head.checkpoint, head.checkpoint_size, &note, THE_FAULT));
    assert_string_equal(note.checkpoint.origin, LOGGED_ORIGIN);
    assert_int_equal(note.checkpoint.size, head.range.size);
    assert_true(sha256_equal(&note.checkpoint.root, &head.root));
    assert_int_equal(note.n_signatures, n_keys);
    for (size_t i = 0; i < n_keys; i++) {
        struct sign_key *key = logged_key(keys[i]);
        assert_int_equal(note_verify(&note, sign_key_public(key), NULL), NOTE_GOOD);
        sign_key_free(key);
    }
}

static void reopen_bare(struct store_fixture *x)
{
    const struct kv_options o = {
        .folder = x->folder, .map_size = FIXTURE_MAP, .map_max = FIXTURE_MAP};
    store_close(x->store);
    x->store = NULL;
    assert_ok(store_open(&o, &x->store, THE_FAULT));
}

static enum status begin(struct store_fixture *x, uint8_t number, uint8_t old, struct fault *f)
{
    struct store_log_begun begun;
    struct sign_key *old_key = old ? logged_key(old) : NULL;
    const enum status st =
        store_log_begin(x->store, logged_key(number), old_key, ++x->now_us, &begun, f);
    sign_key_free(old_key);
    return st;
}

static enum log_kind kind_at(struct store *s, uint64_t index)
{
    struct logged_entry e;
    logged_entry(s, index, &e);
    return e.e.kind;
}

/* ---------------------------------------------------------------- beginning */

void test_store_log_first_entry_names_the_key(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    struct sign_vkey told;
    char origin[SIGN_NAME_SIZE];
    fixture_open(&x);
    assert_int_equal(logged_size(x.store), 1);
    logged_entry(x.store, 0, &e);
    assert_int_equal(e.e.kind, LOG_KIND_STARTED);
    assert_true(log_entry_vkey(&e.e, "key", &told));
    assert_memory_equal(told.public, store_log_vkey(x.store)->public, sizeof told.public);
    assert_ok(store_log_origin(x.store, origin, THE_FAULT));
    assert_string_equal(origin, LOGGED_ORIGIN);
    expect_signed(x.store, (const uint8_t[]){1}, 1);
    fixture_reopen(&x); /* going on with it adds nothing */
    assert_int_equal(logged_size(x.store), 1);
    (void)fixture_check(&x);
    fixture_close(&x);
}

void test_store_log_no_change_without_it(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    reopen_bare(&x);
    assert_null(store_log_vkey(x.store));
    assert_fault(fixture_move(&x, 1, REQUEST_EVENT_START), STATUS_FAILED_PRECONDITION, "log");
    assert_ok(begin(&x, 1, 0, THE_FAULT));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    fixture_close(&x);
}

void test_store_log_refuses_other_keys(void **state)
{
    (void)state;
    struct store_fixture x;
    struct store_log_begun begun;
    struct sign_key *key = NULL;
    const uint8_t seed[SIGN_SEED_SIZE] = {1};
    fixture_open(&x);
    const uint64_t size = logged_size(x.store);
    reopen_bare(&x);
    assert_fault(begin(&x, 2, 0, THE_FAULT), STATUS_FAILED_PRECONDITION, "log_key");
    assert_fault(begin(&x, 2, 3, THE_FAULT), STATUS_FAILED_PRECONDITION, "log_key");
    assert_ok(sign_key_from_seed("another.test/log", SIGN_LOG, seed, &key, THE_FAULT));
    assert_fault(store_log_begin(x.store, key, NULL, 1, &begun, THE_FAULT),
                 STATUS_FAILED_PRECONDITION, "log_key");
    assert_ok(sign_key_from_seed(LOGGED_ORIGIN, SIGN_WITNESS, seed, &key, THE_FAULT));
    assert_fault(store_log_begin(x.store, key, NULL, 1, &begun, THE_FAULT),
                 STATUS_FAILED_PRECONDITION, "log_key");
    assert_null(store_log_vkey(x.store));
    assert_int_equal(logged_size(x.store), size);
    fixture_close(&x);
}

void test_store_log_rolls_its_key(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    struct sign_vkey told;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    reopen_bare(&x);
    assert_ok(begin(&x, 2, 1, THE_FAULT));
    logged_entry(x.store, logged_size(x.store) - 1, &e);
    assert_int_equal(e.e.kind, LOG_KIND_KEY_ROLLED);
    assert_true(log_entry_vkey(&e.e, "new", &told));
    assert_memory_equal(told.public, store_log_vkey(x.store)->public, sizeof told.public);
    expect_signed(x.store, (const uint8_t[]){2, 1}, 2);
    (void)fixture_check(&x);
    reopen_bare(&x); /* the old key may still be named */
    assert_ok(begin(&x, 2, 1, THE_FAULT));
    fixture_enqueue(&x, 2);
    expect_signed(x.store, (const uint8_t[]){2}, 1);
    (void)fixture_check(&x);
    reopen_bare(&x);
    assert_fault(begin(&x, 1, 0, THE_FAULT), STATUS_FAILED_PRECONDITION, "log_key");
    fixture_close(&x);
}

/* ---------------------------------------------------------------- what changes tell */

void test_store_log_of_an_acceptance(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    struct kv_txn *txn;
    struct salts salts;
    struct log_request known;
    struct sha256 payload, subject;
    int64_t due = 0;
    const struct digest person = fixture_digest(77);
    fixture_open(&x);
    const struct queue_submission s = {.id = fixture_id(1),
                                       .principal = "privacy/k:9f2c41d07a66be13",
                                       .kind = "forget",
                                       .payload = "bytes",
                                       .payload_size = 5,
                                       .subject = &person,
                                       .submitted_us = x.now_us,
                                       .due_us = (int64_t)1775001600 * 1000000};
    const struct store_change c = {.now_us = ++x.now_us, .accept = &s};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    logged_entry(x.store, 1, &e);
    assert_int_equal(e.e.kind, LOG_KIND_REQUEST_ACCEPTED);
    assert_true(e.e.time_us == x.now_us && !e.e.clock_held);
    assert_string_equal(logged_word(&e, "role"), "privacy");
    assert_string_equal(logged_word(&e, "actor"), "k:9f2c41d07a66be13");
    assert_true(log_entry_time(&e.e, "due", &due));
    assert_true(due == s.due_us);
    assert_true(log_entry_hash(&e.e, "payload", &payload));
    assert_true(log_entry_hash(&e.e, "subject", &subject));
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(salts_get(txn, &s.id, &salts, THE_FAULT));
    assert_ok(log_request_get(txn, &s.id, &known, THE_FAULT));
    store_read_end(txn);
    assert_true(commitment_opens(&payload, &salts.payload, "payload", "bytes", 5));
    assert_true(commitment_opens(&subject, &salts.subject, "subject", person.b, DIGEST_SIZE));
    assert_memory_not_equal(salts.payload.b, salts.subject.b, COMMITMENT_SALT_SIZE);
    assert_int_equal(known.accepted, 2);
    assert_int_equal(known.done, 0);
    struct note note;
    assert_ok(note_parse(known.checkpoint, known.checkpoint_size, &note, THE_FAULT));
    assert_int_equal(note_verify(&note, store_log_vkey(x.store), NULL), NOTE_GOOD);
    assert_int_equal(note.checkpoint.size, 2);
    fixture_close(&x);
}

/* Whoever did not come with a role and a key is a local user; nobody is invented. */
void test_store_log_of_local_users(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"local/local", "privacy:alice", "local/uid:1000", "x"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct store_fixture x;
        struct logged_entry e;
        fixture_open(&x);
        const struct queue_submission s = {.id = fixture_id(1),
                                           .principal = NAMES[i],
                                           .kind = "forget",
                                           .payload = "p",
                                           .payload_size = 1};
        const struct store_change c = {.now_us = x.now_us, .accept = &s};
        assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
        logged_entry(x.store, 1, &e);
        assert_string_equal(logged_word(&e, "role"), "local");
        assert_string_equal(logged_word(&e, "actor"), "local");
        fixture_close(&x);
    }
}

/* Nothing of a data set's content can be looked for in the log, but entries about it are alike. */
void test_store_log_of_data_commits_to_content(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    struct sha256 imported, removed;
    static const char *const CLASSES[] = {"a", "b"};
    const struct store_blob blobs[] = {{BLOB_PIXELS, "12345678", 8},
                                       {BLOB_LABELS, "\0\0\0\0\1\0\0\0", 8}};
    const struct dataset d = {.name = "tiny",
                              .role = DATASET_TEST,
                              .n = 2,
                              .height = 2,
                              .width = 2,
                              .channels = 1,
                              .label_kind = DATASET_LABELS_CLASS,
                              .class_names = CLASSES,
                              .n_classes = 2,
                              .pixels = seal_hash("12345678", 8),
                              .labels = seal_hash("\0\0\0\0\1\0\0\0", 8)};
    struct dataset *stored = NULL;
    fixture_open(&x);
    struct store_change c = {.now_us = ++x.now_us,
                             .actor = "k:9f2c41d07a66be13",
                             .blobs = blobs,
                             .n_blobs = 2,
                             .datasets = &d,
                             .n_datasets = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    logged_entry(x.store, 1, &e);
    assert_int_equal(e.e.kind, LOG_KIND_DATA_IMPORTED);
    assert_string_equal(logged_word(&e, "role"), "test");
    assert_string_equal(logged_word(&e, "actor"), "k:9f2c41d07a66be13");
    assert_true(log_entry_hash(&e.e, "content", &imported));
    assert_ok(store_read_dataset(x.store, "tiny", DATASET_TEST, &stored, THE_FAULT));
    assert_memory_not_equal(imported.b, stored->digest.b, DIGEST_SIZE);
    const struct sha256 plain = sha256_of(stored->digest.b, DIGEST_SIZE);
    assert_false(sha256_equal(&plain, &imported));
    datasets_free(stored);
    const struct store_dataset_name gone = {"tiny", DATASET_TEST, 0};
    c = (struct store_change){
        .now_us = ++x.now_us, .datasets_removed = &gone, .n_datasets_removed = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    logged_entry(x.store, 2, &e);
    assert_int_equal(e.e.kind, LOG_KIND_DATA_REMOVED);
    assert_string_equal(logged_word(&e, "actor"), "lethed");
    assert_true(log_entry_hash(&e.e, "content", &removed));
    assert_true(sha256_equal(&imported, &removed));
    fixture_close(&x);
}

/* Who cancels a request that waits is told; a job that ends by itself is nobody's doing. */
void test_store_log_of_a_cancellation(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    const struct queue_move move = {
        .id = fixture_id(1), .event = REQUEST_EVENT_CANCEL, .now_us = x.now_us};
    const struct store_change c = {
        .now_us = ++x.now_us, .actor = "local", .moves = &move, .n_moves = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    assert_int_equal(logged_size(x.store), 6);
    logged_entry(x.store, 3, &e);
    assert_int_equal(e.e.kind, LOG_KIND_REQUEST_CANCEL);
    assert_string_equal(logged_word(&e, "actor"), "local");
    assert_int_equal(kind_at(x.store, 4), LOG_KIND_REQUEST_STATE);
    logged_entry(x.store, 5, &e);
    assert_int_equal(e.e.kind, LOG_KIND_REQUEST_DONE);
    assert_string_equal(logged_word(&e, "outcome"), "cancelled");
    fixture_close(&x);
}

void test_store_log_of_a_report(void **state)
{
    (void)state;
    struct store_fixture x;
    struct logged_entry e;
    struct kv_txn *txn;
    struct salts salts;
    struct sha256 report, accepted, done;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANDIDATE));
    const struct digest digest = seal_hash("{}", 2);
    const struct store_blob blob = {BLOB_REPORT, "{}", 2};
    const struct queue_error error = {.code = STATUS_FAILED_PRECONDITION};
    const struct queue_move move = {.id = fixture_id(1),
                                    .event = REQUEST_EVENT_REJECT,
                                    .now_us = x.now_us,
                                    .error = &error,
                                    .report = &digest};
    const struct store_change c = {
        .now_us = ++x.now_us, .blobs = &blob, .n_blobs = 1, .moves = &move, .n_moves = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    const uint64_t size = logged_size(x.store);
    logged_entry(x.store, size - 3, &e);
    assert_int_equal(e.e.kind, LOG_KIND_EVALUATION);
    assert_string_equal(logged_word(&e, "verdict"), "rejected");
    assert_true(log_entry_hash(&e.e, "report", &report));
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(salts_get(txn, &move.id, &salts, THE_FAULT));
    store_read_end(txn);
    assert_true(commitment_opens(&report, &salts.report, "report", "{}", 2));
    logged_entry(x.store, 1, &e);
    assert_true(log_entry_hash(&e.e, "payload", &accepted));
    logged_entry(x.store, size - 1, &e);
    assert_int_equal(e.e.kind, LOG_KIND_REQUEST_DONE);
    assert_string_equal(logged_word(&e, "outcome"), "rejected");
    assert_string_equal(logged_word(&e, "reason"), "FAILED_PRECONDITION");
    assert_true(log_entry_hash(&e.e, "report", &done));
    assert_true(sha256_equal(&report, &done));
    assert_true(log_entry_hash(&e.e, "payload", &done));
    assert_true(sha256_equal(&accepted, &done));
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* Salts are one thing, the log another: without them it still holds, and the check says nothing. */
void test_store_log_stands_without_salts(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    struct salts salts;
    const struct request_id id = fixture_id(1);
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(salts_forget(txn, &id, THE_FAULT));
    assert_ok(salts_forget(txn, &id, THE_FAULT));
    assert_int_equal(salts_get(txn, &id, &salts, NULL), STATUS_NOT_FOUND);
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANCEL));
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- damage */

static void match(const char *what, const char *which, const char *how, void *context)
{
    size_t *hits = context;
    (void)which;
    (void)how;
    *hits += strcmp(what, "log") == 0;
}

static size_t findings(struct store_fixture *x)
{
    size_t hits = 0;
    struct fsck_counts counts = {0};
    assert_ok(fsck_run(x->store, match, &hits, &counts, THE_FAULT));
    return hits;
}

/* The state says one thing and the log another, each well formed. */
void test_store_log_check_compares_both(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    struct log_request known;
    struct salts salts, others;
    const struct request_id id = fixture_id(1), other = fixture_id(2);
    fixture_open(&x);
    (void)fixture_version(&x, NULL, 0);
    fixture_enqueue(&x, 1);
    fixture_enqueue(&x, 2);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANCEL));
    assert_int_equal(findings(&x), 0);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(log_request_get(txn, &id, &known, THE_FAULT));
    assert_ok(salts_get(txn, &other, &others, THE_FAULT));
    assert_ok(salts_get(txn, &id, &salts, THE_FAULT));
    const struct log_request swapped = {.accepted = known.done, .done = known.accepted};
    assert_ok(log_request_put(txn, &id, &swapped, THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_int_equal(findings(&x), 2);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(log_request_put(txn, &id, &known, THE_FAULT));
    assert_ok(serving_set_entry(txn, 1, 1, 0, THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_int_equal(findings(&x), 1);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(serving_set_entry(txn, 1, 0, 0, THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_int_equal(findings(&x), 2);
    fixture_close(&x);
}

/* A head whose beginning is not what was signed last is not signed: the change is refused. */
void test_store_log_never_signs_what_does_not_continue(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    char bytes[64];
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    struct audit_head head;
    assert_ok(audit_head_get(txn, &head, THE_FAULT));
    memcpy(bytes, head.root.b, 8);
    /* another checkpoint in the place of the one that was signed */
    struct sign_key *key = logged_key(1);
    struct note_checkpoint other = {.origin = LOGGED_ORIGIN, .size = 2};
    char note[NOTE_SIGNED_SIZE];
    struct byte_writer w = byte_writer_make(note, sizeof note);
    note_write(&w, &other, key);
    assert_ok(audit_set_checkpoint(txn, note, w.used, THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    sign_key_free(key);
    assert_fault(fixture_move(&x, 1, REQUEST_EVENT_START), STATUS_DATA_LOSS, "log");
    assert_int_equal(findings(&x), 1);
    reopen_bare(&x);
    assert_fault(begin(&x, 1, 0, THE_FAULT), STATUS_DATA_LOSS, "log");
    fixture_close(&x);
}

/* ---------------------------------------------------------------- stores of schema 1 */

static void put_event(struct kv_txn *txn, uint64_t number, const char *kind, const char *text)
{
    uint8_t key[8], record[256];
    const uint8_t nothing[REQUEST_ID_SIZE + DIGEST_SIZE] = {0};
    struct byte_writer w = byte_writer_make(record, sizeof record);
    kv_key_u64(key, number);
    put_u8(&w, 1);
    put_i64(&w, (int64_t)number * 1000);
    put_u8(&w, 0);
    put_string(&w, kind);
    put_bytes(&w, nothing, sizeof nothing);
    put_string(&w, text);
    assert_ok(kv_put(txn, KV_EVENTS, kv_bytes_of(key, 8), kv_bytes_of(record, w.used), THE_FAULT));
}

/* The newest serving record as schema 1 wrote it. */
static void put_old_serving(struct kv_txn *txn, const struct serving *s)
{
    uint8_t key[8], record[64];
    struct byte_writer w = byte_writer_make(record, sizeof record);
    kv_key_u64(key, s->generation);
    put_u8(&w, 1);
    put_bytes(&w, s->version.b, DIGEST_SIZE);
    put_i64(&w, s->since_us);
    put_bytes(&w, s->request.b, REQUEST_ID_SIZE);
    put_u8(&w, 0);
    assert_false(w.failed);
    assert_ok(kv_put(txn, KV_SERVING, kv_bytes_of(key, 8), kv_bytes_of(record, w.used), THE_FAULT));
}

struct old_store {
    struct store_fixture x;
    char digest[DIGEST_TEXT_SIZE]; /* of content that was removed since */
};

static enum status make_old(struct kv_txn *txn, void *context, struct fault *f)
{
    struct old_store *o = context;
    struct queue_record q;
    struct serving s;
    int known = 0;
    const struct version v = {.number = 1, .kernel = "Test", .threads = 1};
    struct serving_move move = {.now_us = 500};
    const struct queue_submission request = {.id = fixture_id(1),
                                             .principal = "local/local",
                                             .kind = "forget",
                                             .payload = "old",
                                             .payload_size = 3};
    const struct queue_submission open = {.id = fixture_id(2),
                                          .principal = "local/local",
                                          .kind = "forget",
                                          .payload = "open",
                                          .payload_size = 4};
    TRY(version_put(txn, &v, &move.version, f));
    TRY(serving_swap(txn, &move, &s, f));
    put_old_serving(txn, &s);
    TRY(queue_accept(txn, &request, &q, &known, f));
    const struct queue_move cancel = {
        .id = request.id, .event = REQUEST_EVENT_CANCEL, .now_us = 600};
    TRY(queue_move(txn, &cancel, &q, f));
    TRY(queue_accept(txn, &open, &q, &known, f));
    const struct queue_move enqueue = {.id = open.id, .event = REQUEST_EVENT_ENQUEUE};
    TRY(queue_move(txn, &enqueue, &q, f));
    put_event(txn, 1, "version.committed", "1");
    put_event(txn, 2, "data.imported", o->digest);
    put_event(txn, 3, "memory.changed", o->digest);
    put_event(txn, 4, "request.state", "received cancel cancelled");
    return kv_put(txn, KV_META, kv_bytes_of("schema", 6), kv_bytes_of("\1\0\0\0", 4), f);
}

static void old_store(struct old_store *o)
{
    const struct digest content = fixture_digest(5);
    memset(o, 0, sizeof *o);
    test_support_mkdir(o->x.root);
    (void)snprintf(o->x.folder, sizeof o->x.folder, "%s/store", o->x.root);
    o->x.now_us = 1700000000000000;
    digest_format(&content, o->digest);
    reopen_bare(&o->x);
    assert_ok(kv_update(o->x.store->kv, make_old, o, THE_FAULT));
}

static struct sha256 events_root(struct store *s, uint64_t *ret_count)
{
    struct kv_txn *txn;
    struct sha256 root;
    assert_ok(store_read_begin(s, &txn, THE_FAULT));
    assert_ok(old_events_root(txn, ret_count, &root, THE_FAULT));
    store_read_end(txn);
    return root;
}

void test_store_log_adopts_an_older_store(void **state)
{
    (void)state;
    struct old_store o;
    struct logged_entry e;
    struct sha256 told;
    struct serving s;
    uint64_t count = 0, said = 0;
    old_store(&o);
    fixture_reopen(&o.x);
    assert_int_equal(logged_size(o.x.store), 3);
    assert_int_equal(kind_at(o.x.store, 0), LOG_KIND_STARTED);
    logged_entry(o.x.store, 1, &e);
    assert_int_equal(e.e.kind, LOG_KIND_ADOPTED);
    assert_true(log_entry_number(&e.e, "count", &said));
    assert_int_equal(said, 4);
    assert_true(log_entry_hash(&e.e, "events", &told));
    const struct sha256 root = events_root(o.x.store, &count);
    assert_int_equal(count, 4);
    assert_true(sha256_equal(&told, &root));
    logged_entry(o.x.store, 2, &e);
    assert_int_equal(e.e.kind, LOG_KIND_SERVING_MOVED);
    assert_true(e.e.time_us > 500); /* it is logged when it is logged */
    assert_ok(store_read_serving(o.x.store, &s, THE_FAULT));
    assert_int_equal(s.entry, 3);
    assert_true(s.since_us == 500);
    (void)fixture_check(&o.x);
    assert_ok(
        fixture_move(&o.x, 2, REQUEST_EVENT_CANCEL)); /* a request that is older than the log */
    logged_newest(o.x.store, LOG_KIND_REQUEST_DONE);
    fixture_enqueue(&o.x, 3);
    fixture_reopen(&o.x);
    (void)fixture_check(&o.x);
    fixture_close(&o.x);
}

/* The digests of contents that the events told in the clear are gone from them. */
void test_store_log_adopts_without_digests(void **state)
{
    (void)state;
    struct old_store o;
    struct kv_txn *txn;
    old_store(&o);
    fixture_reopen(&o.x);
    assert_ok(store_read_begin(o.x.store, &txn, THE_FAULT));
    for (uint64_t n = 1; n <= 4; n++) {
        uint8_t key[8];
        struct kv_bytes value = {0};
        kv_key_u64(key, n);
        assert_ok(kv_get(txn, KV_EVENTS, kv_bytes_of(key, 8), &value, THE_FAULT));
        assert_null(memmem(value.data, value.size, o.digest, DIGEST_TEXT_SIZE - 1));
    }
    store_read_end(txn);
    fixture_close(&o.x);
}

void test_store_log_notices_changed_old_events(void **state)
{
    (void)state;
    struct old_store o;
    struct kv_txn *txn;
    old_store(&o);
    fixture_reopen(&o.x);
    assert_int_equal(findings(&o.x), 0);
    assert_ok(kv_begin(o.x.store->kv, KV_WRITE, &txn, THE_FAULT));
    put_event(txn, 4, "request.state", "received cancel committed");
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_int_equal(findings(&o.x), 1);
    fixture_close(&o.x);
}

void test_store_log_refuses_damaged_old_events(void **state)
{
    (void)state;
    struct old_store o;
    struct kv_txn *txn;
    uint8_t key[8];
    old_store(&o);
    kv_key_u64(key, 2);
    assert_ok(kv_begin(o.x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(kv_put(txn, KV_EVENTS, kv_bytes_of(key, 8), kv_bytes_of("\2", 1), THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_fault(begin(&o.x, 1, 0, THE_FAULT), STATUS_DATA_LOSS, "event");
    assert_ok(kv_begin(o.x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(kv_del(txn, KV_EVENTS, kv_bytes_of(key, 8), THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    assert_fault(begin(&o.x, 1, 0, THE_FAULT), STATUS_DATA_LOSS, "event");
    fixture_close(&o.x);
}
