/* Durable requests: acceptance, idempotency, moves, order, payload and answer, damage. */
#include "tests/support/store_fixture.h"

#include "storage/queue/queue.h"
#include "storage/queue/queue_record.h"

static struct queue_submission submission(unsigned n, const char *payload)
{
    return (struct queue_submission){.id = fixture_id(n),
                                     .principal = "privacy:alice",
                                     .kind = "forget",
                                     .payload = payload,
                                     .payload_size = strlen(payload),
                                     .seed = n + 7,
                                     .submitted_us = 1000 + n,
                                     .due_us = 2000 + n};
}

static struct queue_record accept(struct kv_fixture *x, unsigned n, const char *payload)
{
    struct queue_record q;
    int known = 1;
    const struct queue_submission s = submission(n, payload);
    assert_ok(queue_accept(x->txn, &s, &q, &known, THE_FAULT));
    assert_int_equal(known, 0);
    return q;
}

static enum status
move(struct kv_fixture *x, unsigned n, enum request_event e, struct queue_record *q)
{
    struct queue_record unused;
    const struct queue_move m = {.id = fixture_id(n), .event = e, .now_us = 5000};
    return queue_move(x->txn, &m, q ? q : &unused, THE_FAULT);
}

/* Not memory: records have padding. */
static void assert_same(const struct queue_record *a, const struct queue_record *b)
{
    uint8_t x[QUEUE_RECORD_MAX];
    uint8_t y[QUEUE_RECORD_MAX];
    const size_t n = queue_record_encode(a, x);
    assert_int_equal(queue_record_encode(b, y), n);
    assert_memory_equal(x, y, n);
    assert_true(request_id_equal(&a->id, &b->id));
}

void test_queue_accept_stores_what_was_asked(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    void *payload = NULL;
    size_t n = 0;
    kv_fixture_open(&x);
    (void)accept(&x, 1, "forget Sandal");
    kv_fixture_commit(&x);
    const struct request_id id = fixture_id(1);
    assert_ok(queue_get(x.txn, &id, &q, THE_FAULT));
    assert_true(request_id_equal(&q.id, &id));
    assert_int_equal(q.sequence, 1);
    assert_string_equal(q.principal, "privacy:alice");
    assert_string_equal(q.kind, "forget");
    assert_int_equal(q.state, REQUEST_RECEIVED);
    assert_int_equal(q.seed, 8);
    assert_int_equal(q.attempts, 0);
    assert_int_equal(q.submitted_us, 1001);
    assert_int_equal(q.due_us, 2001);
    assert_int_equal(q.finished_us, 0);
    assert_int_equal(q.error.code, STATUS_OK);
    assert_ok(queue_payload(x.txn, &q, &payload, &n, THE_FAULT));
    assert_int_equal(n, 13);
    assert_memory_equal(payload, "forget Sandal", 13);
    sysio_free(payload);
    kv_fixture_close(&x);
}

void test_queue_same_request_is_known(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    int known = 0;
    uint64_t chunks = 0;
    kv_fixture_open(&x);
    (void)accept(&x, 1, "payload");
    assert_ok(move(&x, 1, REQUEST_EVENT_ENQUEUE, NULL));
    struct queue_submission s = submission(1, "payload");
    s.seed = 999; /* the stored seed stays */
    s.submitted_us = 999;
    assert_ok(queue_accept(x.txn, &s, &q, &known, THE_FAULT));
    assert_int_equal(known, 1);
    assert_int_equal(q.state, REQUEST_QUEUED);
    assert_int_equal(q.seed, 8);
    assert_int_equal(q.submitted_us, 1001);
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 1);
    kv_fixture_close(&x);
}

void test_queue_same_id_with_anything_else_is_refused(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    int known = 0;
    kv_fixture_open(&x);
    (void)accept(&x, 1, "payload");
    struct queue_submission s = submission(1, "payloae");
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_ALREADY_EXISTS,
                 "request_id");
    s = submission(1, "payload");
    s.principal = "privacy:bob";
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_ALREADY_EXISTS,
                 "request_id");
    s = submission(1, "payload");
    s.kind = "learn";
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_ALREADY_EXISTS,
                 "request_id");
    kv_fixture_close(&x);
}

void test_queue_refuses_bad_submissions(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    int known;
    char long_text[QUEUE_PRINCIPAL_SIZE + 1];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    kv_fixture_open(&x);
    struct queue_submission s = submission(1, "p");
    memset(&s.id, 0, sizeof s.id);
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "request_id");
    s = submission(1, "p");
    s.principal = "";
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "principal");
    s.principal = long_text;
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "principal");
    s.principal = long_text + 1;
    s.kind = NULL;
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_INVALID_ARGUMENT, "kind");
    s.kind = "forget";
    s.payload_size = QUEUE_PAYLOAD_MAX + 1;
    assert_fault(queue_accept(x.txn, &s, &q, &known, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "payload");
    s.payload_size = 0;
    assert_ok(queue_accept(x.txn, &s, &q, &known, THE_FAULT));
    kv_fixture_close(&x);
}

void test_queue_whole_life(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    const struct digest before = fixture_digest(1);
    const struct digest after = fixture_digest(2);
    const struct digest report = fixture_digest(3);
    const struct queue_error error = {STATUS_UNAVAILABLE, "worker", "the worker died"};
    kv_fixture_open(&x);
    (void)accept(&x, 1, "p");
    assert_ok(move(&x, 1, REQUEST_EVENT_ENQUEUE, &q));
    assert_ok(move(&x, 1, REQUEST_EVENT_START, &q));
    assert_int_equal(q.attempts, 1);
    assert_int_equal(q.started_us, 5000);
    struct queue_move m = {
        .id = fixture_id(1), .event = REQUEST_EVENT_RETRY, .now_us = 6000, .error = &error};
    assert_ok(queue_move(x.txn, &m, &q, THE_FAULT));
    assert_int_equal(q.state, REQUEST_QUEUED);
    assert_int_equal(q.error.code, STATUS_UNAVAILABLE);
    assert_ok(move(&x, 1, REQUEST_EVENT_START, &q));
    assert_int_equal(q.attempts, 2);
    assert_int_equal(q.error.code, STATUS_OK);
    assert_ok(move(&x, 1, REQUEST_EVENT_CANDIDATE, &q));
    assert_ok(move(&x, 1, REQUEST_EVENT_NEXT_STEP, &q));
    assert_int_equal(q.step, 1);
    assert_int_equal(q.attempts, 2);
    assert_ok(move(&x, 1, REQUEST_EVENT_CANDIDATE, &q));
    m = (struct queue_move){.id = fixture_id(1),
                            .event = REQUEST_EVENT_COMMIT,
                            .now_us = 7000,
                            .version_before = &before,
                            .version_after = &after,
                            .report = &report,
                            .answer = "done",
                            .answer_size = 4};
    assert_ok(queue_move(x.txn, &m, &q, THE_FAULT));
    assert_int_equal(q.state, REQUEST_COMMITTED);
    assert_int_equal(q.finished_us, 7000);
    assert_int_equal(q.seed, 8);
    kv_fixture_commit(&x);
    struct queue_record stored;
    assert_ok(queue_get(x.txn, &m.id, &stored, THE_FAULT));
    assert_same(&stored, &q);
    assert_true(digest_equal(&stored.version_after, &after));
    assert_true(digest_equal(&stored.version_before, &before));
    assert_true(digest_equal(&stored.report, &report));
    kv_fixture_close(&x);
}

void test_queue_refuses_moves_that_are_not_in_the_table(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    kv_fixture_open(&x);
    (void)accept(&x, 1, "p");
    assert_fault(move(&x, 1, REQUEST_EVENT_START, NULL), STATUS_FAILED_PRECONDITION, "state");
    assert_non_null(strstr(the_fault.text, "received"));
    assert_non_null(strstr(the_fault.text, "start"));
    assert_fault(move(&x, 1, REQUEST_EVENT_ACCEPT, NULL), STATUS_FAILED_PRECONDITION, "state");
    assert_fault(move(&x, 2, REQUEST_EVENT_CANCEL, NULL), STATUS_NOT_FOUND, "id");
    assert_ok(move(&x, 1, REQUEST_EVENT_CANCEL, &q));
    assert_fault(move(&x, 1, REQUEST_EVENT_CANCEL, NULL), STATUS_FAILED_PRECONDITION, "state");
    assert_int_equal(q.finished_us, 5000);
    kv_fixture_close(&x);
}

void test_queue_cancel_flag_only_while_running(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    const struct request_id id = fixture_id(1);
    kv_fixture_open(&x);
    (void)accept(&x, 1, "p");
    assert_fault(queue_request_cancel(x.txn, &id, THE_FAULT), STATUS_FAILED_PRECONDITION, "state");
    assert_ok(move(&x, 1, REQUEST_EVENT_ENQUEUE, NULL));
    assert_ok(move(&x, 1, REQUEST_EVENT_START, NULL));
    assert_ok(queue_request_cancel(x.txn, &id, THE_FAULT));
    assert_ok(queue_get(x.txn, &id, &q, THE_FAULT));
    assert_true(q.cancel_requested);
    assert_ok(move(&x, 1, REQUEST_EVENT_RESTART, &q));
    assert_true(q.cancel_requested);
    assert_ok(move(&x, 1, REQUEST_EVENT_CANCEL, &q));
    assert_false(q.cancel_requested);
    kv_fixture_close(&x);
}

void test_queue_answer_is_replaced_without_remains(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    void *bytes = NULL;
    size_t n = 0;
    uint64_t chunks = 0;
    const struct request_id id = fixture_id(1);
    kv_fixture_open(&x);
    q = accept(&x, 1, "p");
    assert_int_equal(queue_answer(x.txn, &q, &bytes, &n, THE_FAULT), STATUS_NOT_FOUND);
    assert_ok(queue_set_answer(x.txn, &id, "first", 5, THE_FAULT));
    assert_ok(queue_set_answer(x.txn, &id, "second", 6, THE_FAULT));
    assert_ok(queue_get(x.txn, &id, &q, THE_FAULT));
    assert_ok(queue_answer(x.txn, &q, &bytes, &n, THE_FAULT));
    assert_int_equal(n, 6);
    assert_memory_equal(bytes, "second", 6);
    sysio_free(bytes);
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 2);
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- order */

struct seen {
    uint64_t sequences[16];
    size_t n;
};

static enum status see(const struct queue_record *q, void *context, struct fault *f)
{
    struct seen *s = context;
    (void)f;
    s->sequences[s->n++] = q->sequence;
    return STATUS_OK;
}

static void expect_list(struct kv_fixture *x, struct queue_filter filter, const char *expected)
{
    struct seen s = {.n = 0};
    char got[64] = "";
    assert_ok(queue_list(x->txn, &filter, see, &s, THE_FAULT));
    for (size_t i = 0; i < s.n; i++)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%llu ",
                       (unsigned long long)s.sequences[i]);
    assert_string_equal(got, expected);
}

void test_queue_lists_in_order_of_acceptance(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct queue_record q;
    uint64_t counts[REQUEST_STATES];
    /* Ids in another order than acceptance. */
    static const unsigned IDS[] = {9, 3, 7, 1, 5};
    kv_fixture_open(&x);
    assert_int_equal(queue_oldest(x.txn, REQUEST_QUEUED, &q, THE_FAULT), STATUS_NOT_FOUND);
    for (size_t i = 0; i < 5; i++)
        (void)accept(&x, IDS[i], "p");
    for (size_t i = 1; i < 5; i++)
        assert_ok(move(&x, IDS[i], REQUEST_EVENT_ENQUEUE, NULL));
    assert_ok(move(&x, 3, REQUEST_EVENT_CANCEL, NULL));
    assert_ok(queue_oldest(x.txn, REQUEST_QUEUED, &q, THE_FAULT));
    assert_int_equal(q.sequence, 3);
    expect_list(&x, (struct queue_filter){.state = REQUEST_NONE}, "1 2 3 4 5 ");
    expect_list(&x, (struct queue_filter){.newest_first = 1}, "5 4 3 2 1 ");
    expect_list(&x, (struct queue_filter){.state = REQUEST_QUEUED}, "3 4 5 ");
    expect_list(&x, (struct queue_filter){.state = REQUEST_QUEUED, .newest_first = 1}, "5 4 3 ");
    expect_list(&x, (struct queue_filter){.after = 2, .limit = 2}, "3 4 ");
    expect_list(&x, (struct queue_filter){.after = 4, .newest_first = 1}, "3 2 1 ");
    expect_list(&x, (struct queue_filter){.state = REQUEST_QUEUED, .after = 3}, "4 5 ");
    expect_list(&x, (struct queue_filter){.state = REQUEST_QUEUED, .after = 5, .newest_first = 1},
                "4 3 ");
    expect_list(&x, (struct queue_filter){.state = REQUEST_FAILED}, "");
    assert_ok(queue_counts(x.txn, counts, THE_FAULT));
    assert_int_equal(counts[REQUEST_RECEIVED], 1);
    assert_int_equal(counts[REQUEST_QUEUED], 3);
    assert_int_equal(counts[REQUEST_CANCELLED], 1);
    assert_int_equal(counts[REQUEST_RUNNING], 0);
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- damage */

void test_queue_record_refuses_every_cut_and_extra_byte(void **state)
{
    (void)state;
    uint8_t bytes[QUEUE_RECORD_MAX + 1] = {0};
    struct queue_record q = {.id = fixture_id(1),
                             .sequence = 3,
                             .principal = "someone",
                             .kind = "forget",
                             .state = REQUEST_QUEUED,
                             .error = {STATUS_NO_SPACE, "disk", "full"},
                             .attachment = {.b = {7, 8, 9}}};
    struct queue_record back;
    const struct kv_bytes key = kv_bytes_of(q.id.b, sizeof q.id.b);
    const size_t n = queue_record_encode(&q, bytes);
    assert_ok(queue_record_decode(key, kv_bytes_of(bytes, n), &back, THE_FAULT));
    assert_same(&back, &q);
    for (size_t cut = 0; cut < n; cut++)
        assert_fault(queue_record_decode(key, kv_bytes_of(bytes, cut), &back, THE_FAULT),
                     STATUS_DATA_LOSS, "request");
    assert_fault(queue_record_decode(key, kv_bytes_of(bytes, n + 1), &back, THE_FAULT),
                 STATUS_DATA_LOSS, "request");
    static const struct {
        size_t at;
        uint8_t value;
    } BAD[] = {{0, 0}, {0, 3}, {1, 0}, {1, REQUEST_STATES}, {2, 2}};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        const uint8_t before = bytes[BAD[i].at];
        bytes[BAD[i].at] = BAD[i].value;
        assert_fault(queue_record_decode(key, kv_bytes_of(bytes, n), &back, THE_FAULT),
                     STATUS_DATA_LOSS, "request");
        bytes[BAD[i].at] = before;
    }
}

/* Records from before requests could bring files. */
void test_queue_record_of_the_first_format_has_no_attachment(void **state)
{
    (void)state;
    uint8_t bytes[QUEUE_RECORD_MAX];
    struct queue_record q = {.id = fixture_id(1),
                             .sequence = 3,
                             .principal = "someone",
                             .kind = "forget",
                             .state = REQUEST_QUEUED,
                             .duplicate_of = fixture_id(2)};
    struct queue_record back;
    const struct kv_bytes key = kv_bytes_of(q.id.b, sizeof q.id.b);
    const size_t n = queue_record_encode(&q, bytes) - DIGEST_SIZE;
    bytes[0] = 1;
    assert_ok(queue_record_decode(key, kv_bytes_of(bytes, n), &back, THE_FAULT));
    assert_same(&back, &q);
    assert_fault(queue_record_decode(key, kv_bytes_of(bytes, n + DIGEST_SIZE), &back, THE_FAULT),
                 STATUS_DATA_LOSS, "request");
}

void test_queue_damaged_payload_is_found(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint8_t key[KV_KEY_MAX];
    void *bytes = NULL;
    size_t n = 0;
    kv_fixture_open(&x);
    struct queue_record q = accept(&x, 1, "the payload");
    const struct kv_bytes k = kv_bytes_of(key, kv_fixture_key(&x, KV_CHUNKS, 0, key));
    kv_fixture_damage(&x, KV_CHUNKS, k, 20);
    assert_fault(queue_payload(x.txn, &q, &bytes, &n, THE_FAULT), STATUS_DATA_LOSS, "chunk");
    kv_fixture_damage(&x, KV_CHUNKS, k, 20);
    q.payload_digest.b[0] ^= 1;
    assert_fault(queue_payload(x.txn, &q, &bytes, &n, THE_FAULT), STATUS_DATA_LOSS, "payload");
    kv_fixture_close(&x);
}
