/* Receipts, consistency and served proofs out of a store, checked as an outsider would. */
#include "tests/support/evidence_check.h"
#include "tests/support/store_fixture.h"

#include "storage/store/evidence.h"
#include "storage/store/salts.h"
#include "storage/store/store_internal.h"

static struct evidence receipt(struct store_fixture *x, unsigned n, int accepted, int open)
{
    struct kv_txn *txn;
    struct evidence e = {0};
    const struct request_id id = fixture_id(n);
    const enum evidence_parts parts = open ? EVIDENCE_OPEN : EVIDENCE_CLOSED;
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    if (accepted)
        assert_ok(evidence_accepted(txn, &id, parts, &e, THE_FAULT));
    else
        assert_ok(evidence_done(txn, &id, parts, &e, THE_FAULT));
    store_read_end(txn);
    return e;
}

static void check(struct store_fixture *x, const struct evidence *e, enum log_kind kind, unsigned n)
{
    const struct request_id id = fixture_id(n);
    evidence_receipt(store_log_vkey(x->store), e->text, e->size, NULL, 0, kind, &id);
}

static struct note_checkpoint checkpoint(struct store_fixture *x)
{
    struct kv_txn *txn;
    struct audit_head head;
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_ok(audit_head_get(txn, &head, THE_FAULT));
    store_read_end(txn);
    return evidence_checkpoint(store_log_vkey(x->store), head.checkpoint, head.checkpoint_size);
}

/* The receipt of an acceptance stays what it was, whatever happens afterwards. */
void test_evidence_accepted_is_the_same_for_ever(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    struct evidence first = receipt(&x, 1, 1, 1);
    check(&x, &first, LOG_KIND_REQUEST_ACCEPTED, 1);
    assert_int_equal(first.index, 1);
    assert_int_equal(first.log_size, 3);
    assert_non_null(memmem(first.text, first.size, "attach payload ", 15));
    for (unsigned n = 2; n < 40; n++)
        fixture_enqueue(&x, n);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANCEL));
    fixture_reopen(&x);
    struct evidence again = receipt(&x, 1, 1, 1);
    assert_int_equal(first.size, again.size);
    assert_memory_equal(first.text, again.text, first.size);
    evidence_fini(&again);
    evidence_fini(&first);
    fixture_close(&x);
}

void test_evidence_of_the_end(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    struct evidence e = {0};
    const struct request_id id = fixture_id(1), unknown = fixture_id(9);
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_fault(evidence_done(txn, &id, EVIDENCE_OPEN, &e, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "id");
    assert_fault(evidence_accepted(txn, &unknown, EVIDENCE_OPEN, &e, THE_FAULT), STATUS_NOT_FOUND,
                 "id");
    store_read_end(txn);
    assert_null(e.text);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANDIDATE));
    const struct digest report = seal_hash("{\"a\":1}", 7);
    const struct store_blob blob = {BLOB_REPORT, "{\"a\":1}", 7};
    const struct queue_move move = {
        .id = id, .event = REQUEST_EVENT_REJECT, .now_us = x.now_us, .report = &report};
    const struct store_change c = {
        .now_us = ++x.now_us, .blobs = &blob, .n_blobs = 1, .moves = &move, .n_moves = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    e = receipt(&x, 1, 0, 1);
    check(&x, &e, LOG_KIND_REQUEST_DONE, 1);
    assert_int_equal(e.log_size, logged_size(x.store));
    assert_non_null(memmem(e.text, e.size, "attach payload ", 15));
    assert_non_null(memmem(e.text, e.size, "attach report ", 14));
    evidence_fini(&e);
    e = receipt(&x, 1, 0, 0); /* for somebody else */
    check(&x, &e, LOG_KIND_REQUEST_DONE, 1);
    assert_null(memmem(e.text, e.size, "open ", 5));
    assert_null(memmem(e.text, e.size, "attach ", 7));
    evidence_fini(&e);
    fixture_close(&x);
}

/* Once the salts are gone nothing is opened, and the receipt still proves its entry. */
void test_evidence_without_salts(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    const struct request_id id = fixture_id(1);
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(kv_begin(x.store->kv, KV_WRITE, &txn, THE_FAULT));
    assert_ok(salts_forget(txn, &id, THE_FAULT));
    assert_ok(kv_commit(txn, THE_FAULT));
    struct evidence e = receipt(&x, 1, 1, 1);
    check(&x, &e, LOG_KIND_REQUEST_ACCEPTED, 1);
    assert_null(memmem(e.text, e.size, "open ", 5));
    evidence_fini(&e);
    fixture_close(&x);
}

/* The subject is opened by its salt; who it is about has to be known by whoever verifies. */
void test_evidence_of_a_subject(void **state)
{
    (void)state;
    struct store_fixture x;
    const struct digest person = subject_public("person 7"), other = subject_public("person 8");
    fixture_open(&x);
    const struct queue_submission s = {.id = fixture_id(1),
                                       .principal = "privacy/local",
                                       .kind = "forget",
                                       .payload = "p",
                                       .payload_size = 1,
                                       .subject = &person};
    const struct store_change c = {.now_us = ++x.now_us, .accept = &s};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    struct evidence e = receipt(&x, 1, 1, 1);
    const struct receipt_given given = {"subject", person.b, DIGEST_SIZE};
    evidence_receipt(store_log_vkey(x.store), e.text, e.size, &given, 1, LOG_KIND_REQUEST_ACCEPTED,
                     &s.id);
    uint8_t *decoded = sysio_alloc(e.size + 1, 1);
    struct receipt r;
    struct receipt_verdict v;
    const struct signers signers = {.logs = store_log_vkey(x.store), .n_logs = 1};
    const struct receipt_given wrong = {"subject", other.b, DIGEST_SIZE};
    assert_ok(receipt_parse(e.text, e.size, decoded, &r, THE_FAULT));
    assert_int_equal(receipt_verify(&r, &signers, &wrong, 1, &v, NULL), STATUS_DATA_LOSS);
    assert_int_equal(receipt_verify(&r, &signers, NULL, 0, &v, NULL), STATUS_FAILED_PRECONDITION);
    sysio_free(decoded);
    evidence_fini(&e);
    fixture_close(&x);
}

void test_evidence_consistency(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    struct evidence e = {0};
    struct note_checkpoint seen[12];
    fixture_open(&x);
    for (unsigned n = 0; n < 12; n++) {
        seen[n] = checkpoint(&x);
        fixture_enqueue(&x, n + 1);
    }
    const struct note_checkpoint newest = checkpoint(&x);
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    for (unsigned n = 0; n < 12; n++) {
        assert_ok(evidence_consistency(txn, seen[n].size, 0, &e, THE_FAULT));
        assert_ok(evidence_continues(&seen[n], &newest, e.text, e.size, THE_FAULT));
        evidence_fini(&e);
        assert_ok(evidence_consistency(txn, seen[0].size, seen[n].size, &e, THE_FAULT));
        assert_ok(evidence_continues(&seen[0], &seen[n], e.text, e.size, THE_FAULT));
        evidence_fini(&e);
    }
    assert_fault(evidence_consistency(txn, 0, 5, &e, THE_FAULT), STATUS_OUT_OF_RANGE, "size");
    assert_fault(evidence_consistency(txn, 5, 4, &e, THE_FAULT), STATUS_OUT_OF_RANGE, "size");
    assert_fault(evidence_consistency(txn, 5, newest.size + 1, &e, THE_FAULT), STATUS_OUT_OF_RANGE,
                 "size");
    store_read_end(txn);
    fixture_close(&x);
}

static struct served_verdict served(struct store_fixture *x, int64_t wall_us)
{
    struct kv_txn *txn;
    struct evidence e = {0};
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_ok(evidence_served(txn, wall_us, 1 << 20, &e, THE_FAULT));
    store_read_end(txn);
    const struct served_verdict v =
        evidence_served_verdict(store_log_vkey(x->store), e.text, e.size);
    evidence_fini(&e);
    return v;
}

/* What the store answers and what it can show are one, for every time from the first move on. */
void test_evidence_of_what_served(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    struct evidence e = {0};
    struct serving s;
    const struct request_id erasures[] = {fixture_id(21), fixture_id(22)};
    fixture_open(&x);
    const int64_t start = x.now_us;
    (void)fixture_version(&x, NULL, 0);
    fixture_enqueue(&x, 1);
    (void)fixture_version(&x, erasures, 1);
    fixture_enqueue(&x, 2);
    (void)fixture_version(&x, erasures, 2);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_GIVE_UP));
    for (int64_t t = start + 1; t <= x.now_us; t++) {
        const struct served_verdict v = served(&x, t);
        assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
        assert_ok(serving_at(txn, t, &s, THE_FAULT));
        store_read_end(txn);
        assert_true(served_proof_covers(&v, t));
        assert_true(digest_equal(&v.version, &s.version));
        assert_int_equal(v.generation, s.generation);
        assert_true(v.from_us == s.since_us);
        assert_int_equal(v.is_open, s.generation == 3);
    }
    const struct served_verdict later = served(&x, x.now_us + 5);
    assert_false(served_proof_covers(&later, x.now_us + 5)); /* the log says nothing of then */
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_fault(evidence_served(txn, start - 1, 1 << 20, &e, THE_FAULT), STATUS_NOT_FOUND, "time");
    assert_fault(evidence_served(txn, x.now_us, 100, &e, THE_FAULT), STATUS_RESOURCE_EXHAUSTED,
                 "time");
    store_read_end(txn);
    fixture_close(&x);
}

/* A clock that is set back: the move gets the time at which the log stands, in both places. */
void test_evidence_of_what_served_with_a_clock_set_back(void **state)
{
    (void)state;
    struct store_fixture x;
    struct serving s;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    const int64_t before = x.now_us;
    x.now_us -= 1000000;
    (void)fixture_version(&x, NULL, 0);
    assert_ok(store_read_serving(x.store, &s, THE_FAULT));
    assert_true(s.since_us == before);
    const struct served_verdict v = served(&x, before);
    assert_true(v.from_us == before && v.from_held);
    (void)fixture_check(&x);
    fixture_close(&x);
}
