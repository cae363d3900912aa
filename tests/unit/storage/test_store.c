/* Changes as a whole: everything or nothing, entries of the log, recovery, repeats, removal,
 * collecting. */
#include "tests/support/store_fixture.h"

static struct queue_record request(struct store_fixture *x, unsigned n)
{
    struct queue_record q;
    const struct request_id id = fixture_id(n);
    assert_ok(store_read_request(x->store, &id, &q, THE_FAULT));
    return q;
}

/* Entry number n from the newest, which is 0, is of this kind. */
static struct logged_entry newest(struct store_fixture *x, uint64_t n, enum log_kind kind)
{
    struct logged_entry e;
    logged_entry(x->store, logged_size(x->store) - 1 - n, &e);
    assert_string_equal(log_kind_name(e.e.kind), log_kind_name(kind));
    return e;
}

static void expect_state(
    struct store_fixture *x, uint64_t n, const char *from, const char *event, const char *to)
{
    struct logged_entry e = newest(x, n, LOG_KIND_REQUEST_STATE);
    assert_string_equal(logged_word(&e, "from"), from);
    assert_string_equal(logged_word(&e, "event"), event);
    assert_string_equal(logged_word(&e, "to"), to);
}

static void expect_digest(const struct logged_entry *x, const char *name, struct digest wanted)
{
    struct digest found;
    assert_true(log_entry_digest(&x->e, name, &found));
    assert_true(digest_equal(&found, &wanted));
}

void test_store_identity_stays(void **state)
{
    (void)state;
    struct store_fixture x;
    struct store_fixture y;
    fixture_open(&x);
    fixture_open(&y);
    const struct request_id id = store_identity(x.store);
    const struct request_id other = store_identity(y.store);
    assert_false(request_id_is_zero(&id));
    assert_false(request_id_equal(&id, &other));
    fixture_reopen(&x);
    const struct request_id again = store_identity(x.store);
    assert_true(request_id_equal(&id, &again));
    fixture_close(&x);
    fixture_close(&y);
}

void test_store_accept_and_enqueue_in_one_change(void **state)
{
    (void)state;
    struct store_fixture x;
    void *payload = NULL;
    size_t n = 0;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    fixture_reopen(&x);
    assert_int_equal(request(&x, 1).state, REQUEST_QUEUED);
    const struct request_id id = fixture_id(1);
    assert_ok(store_read_payload(x.store, &id, &payload, &n, THE_FAULT));
    assert_int_equal(n, strlen("payload of request 1"));
    sysio_free(payload);
    assert_int_equal(logged_size(x.store), 3); /* the first begins the log */
    struct logged_entry accepted = newest(&x, 1, LOG_KIND_REQUEST_ACCEPTED);
    struct request_id told;
    assert_string_equal(logged_word(&accepted, "kind"), "forget");
    assert_true(log_entry_request(&accepted.e, "request", &told));
    assert_true(request_id_equal(&told, &id));
    expect_state(&x, 0, "received", "enqueue", "queued");
    (void)fixture_check(&x);
    fixture_close(&x);
}

void test_store_repeated_request_changes_nothing(void **state)
{
    (void)state;
    struct store_fixture x;
    struct store_result r;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_int_equal(fixture_move(&x, 1, REQUEST_EVENT_START), STATUS_OK);
    const uint64_t events = logged_size(x.store);
    static const char PAYLOAD[] = "payload of request 1";
    const struct queue_submission s = {.id = fixture_id(1),
                                       .principal = "privacy:alice",
                                       .kind = "forget",
                                       .payload = PAYLOAD,
                                       .payload_size = sizeof PAYLOAD - 1};
    const struct queue_move m = {.id = s.id, .event = REQUEST_EVENT_ENQUEUE};
    const struct store_change c = {.now_us = 1, .accept = &s, .moves = &m, .n_moves = 1};
    assert_ok(store_commit(x.store, &c, &r, THE_FAULT));
    assert_true(r.known);
    assert_int_equal(r.accepted.state, REQUEST_RUNNING);
    assert_int_equal(r.log_size, 0);
    assert_int_equal(logged_size(x.store), events);
    fixture_close(&x);
}

static enum status
accept_with_file(struct store_fixture *x, unsigned n, const char *file, struct fault *f)
{
    char payload[40];
    const struct digest digest = seal_hash(file, strlen(file));
    const struct store_blob blob = {BLOB_FILE, file, strlen(file)};
    const int length = snprintf(payload, sizeof payload, "import %u", n);
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = "mlops:bob",
                                       .kind = "import",
                                       .payload = payload,
                                       .payload_size = (size_t)length,
                                       .attachment = &digest};
    const struct queue_move m = {.id = s.id, .event = REQUEST_EVENT_ENQUEUE};
    const struct store_change c = {.now_us = ++x->now_us,
                                   .accept = &s,
                                   .blobs = &blob,
                                   .n_blobs = 1,
                                   .moves = &m,
                                   .n_moves = 1};
    return store_commit(x->store, &c, NULL, f);
}

/* A file that came with a request stays until the last request that brought it has ended. */
void test_store_a_request_keeps_its_file_while_it_is_open(void **state)
{
    (void)state;
    struct store_fixture x;
    void *bytes;
    size_t n;
    const struct digest digest = seal_hash("a file", 6);
    fixture_open(&x);
    assert_ok(accept_with_file(&x, 1, "a file", THE_FAULT));
    assert_ok(accept_with_file(&x, 2, "a file", THE_FAULT));
    const struct digest named = request(&x, 1).attachment;
    assert_true(digest_equal(&named, &digest));
    assert_ok(store_collect(x.store, &n, NULL, THE_FAULT));
    assert_int_equal(n, 0);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANCEL));
    (void)fixture_check(&x);
    fixture_reopen(&x);
    assert_ok(store_read_blob(x.store, &digest, 100, &bytes, &n, THE_FAULT));
    assert_int_equal(n, 6);
    sysio_free(bytes);
    assert_ok(fixture_move(&x, 2, REQUEST_EVENT_START));
    assert_ok(store_read_blob(x.store, &digest, 100, &bytes, &n, THE_FAULT));
    sysio_free(bytes);
    assert_ok(fixture_move(&x, 2, REQUEST_EVENT_GIVE_UP));
    assert_int_equal(store_read_blob(x.store, &digest, 100, &bytes, &n, NULL), STATUS_NOT_FOUND);
    const struct fsck_counts counts = fixture_check(&x);
    assert_int_equal(counts.orphan_blobs, 0);
    fixture_close(&x);
}

/* The commit of a finished request: blobs, manifest, report, state, answer, pointer together. */
void test_store_commit_of_a_version(void **state)
{
    (void)state;
    struct store_fixture x;
    struct store_result r;
    struct serving serving;
    fixture_open(&x);
    const struct digest first = fixture_version(&x, NULL, 0);
    fixture_enqueue(&x, 1);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANDIDATE));
    const struct request_id id = fixture_id(1);
    const struct store_blob blobs[] = {
        {BLOB_COMPONENT, "base bytes", 10}, {BLOB_COMPONENT, "delta", 5}, {BLOB_REPORT, "{}", 2}};
    const struct version_component parts[] = {
        {.kind = "base", .name = "b", .blob = seal_hash("base bytes", 10), .bytes = 10},
        {.kind = "erasure",
         .name = "e1",
         .blob = seal_hash("delta", 5),
         .bytes = 5,
         .request = id}};
    const struct digest report = seal_hash("{}", 2);
    const struct version v = {.number = 2,
                              .parent = first,
                              .request = id,
                              .created_us = x.now_us,
                              .report = report,
                              .kernel = "Test",
                              .components = parts,
                              .n_components = 2,
                              .erasures = &id,
                              .n_erasures = 1};
    struct serving_move swap = {.expected_generation = 1, .request = id, .now_us = ++x.now_us};
    assert_ok(version_id(&v, &swap.version, THE_FAULT));
    const struct queue_move move = {.id = id,
                                    .event = REQUEST_EVENT_COMMIT,
                                    .now_us = x.now_us,
                                    .version_before = &first,
                                    .version_after = &swap.version,
                                    .report = &report,
                                    .answer = "ok",
                                    .answer_size = 2};
    const struct store_change c = {.now_us = x.now_us,
                                   .blobs = blobs,
                                   .n_blobs = 3,
                                   .version = &v,
                                   .serve = &swap,
                                   .moves = &move,
                                   .n_moves = 1};
    assert_ok(store_commit(x.store, &c, &r, THE_FAULT));
    assert_true(digest_equal(&r.version, &swap.version));
    assert_int_equal(r.serving.generation, 2);
    assert_int_equal(r.moved.state, REQUEST_COMMITTED);
    assert_ok(store_read_serving(x.store, &serving, THE_FAULT));
    assert_true(digest_equal(&serving.version, &swap.version));
    assert_int_equal(r.log_size, logged_size(x.store));
    struct logged_entry done = newest(&x, 0, LOG_KIND_REQUEST_DONE);
    assert_string_equal(logged_word(&done, "outcome"), "committed");
    expect_digest(&done, "before", first);
    expect_digest(&done, "after", swap.version);
    expect_state(&x, 1, "evaluating", "commit", "committed");
    struct logged_entry measured = newest(&x, 2, LOG_KIND_EVALUATION);
    assert_string_equal(logged_word(&measured, "verdict"), "passed");
    const struct logged_entry moved = newest(&x, 3, LOG_KIND_SERVING_MOVED);
    uint64_t generation = 0;
    assert_true(log_entry_number(&moved.e, "generation", &generation));
    assert_int_equal(generation, 2);
    expect_digest(&moved, "from", first);
    expect_digest(&moved, "to", swap.version);
    assert_int_equal(serving.entry, r.log_size - 3);
    const struct logged_entry made = newest(&x, 4, LOG_KIND_VERSION_COMMITTED);
    expect_digest(&made, "version", swap.version);
    expect_digest(&made, "parent", first);
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* The last part of a big change fails: no part of it is there. */
void test_store_failed_change_leaves_nothing(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    int there = 1;
    fixture_open(&x);
    const struct digest first = fixture_version(&x, NULL, 0);
    fixture_enqueue(&x, 1);
    const uint64_t events = logged_size(x.store);
    const struct store_blob blob = {BLOB_COMPONENT, "new part", 8};
    const struct version_component part = {
        .kind = "base", .name = "b", .blob = seal_hash("new part", 8), .bytes = 8};
    const struct version v = {
        .number = 2, .parent = first, .kernel = "", .components = &part, .n_components = 1};
    const struct queue_move move = {.id = fixture_id(1), .event = REQUEST_EVENT_COMMIT};
    const struct store_change c = {
        .now_us = 1, .blobs = &blob, .n_blobs = 1, .version = &v, .moves = &move, .n_moves = 1};
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_FAILED_PRECONDITION, "state");
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(blob_exists(txn, &part.blob, &there, THE_FAULT));
    assert_false(there);
    uint64_t latest = 0;
    assert_ok(version_latest(txn, &latest, THE_FAULT));
    assert_int_equal(latest, 1);
    store_read_end(txn);
    assert_int_equal(logged_size(x.store), events);
    assert_int_equal(request(&x, 1).state, REQUEST_QUEUED);
    fixture_close(&x);
}

void test_store_move_needs_its_report_and_version(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    const struct digest absent = fixture_digest(1);
    struct queue_move move = {.id = fixture_id(1), .event = REQUEST_EVENT_START, .report = &absent};
    const struct store_change c = {.now_us = 1, .moves = &move, .n_moves = 1};
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_NOT_FOUND, "blob");
    move.report = NULL;
    move.version_after = &absent;
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_NOT_FOUND, "version");
    assert_int_equal(request(&x, 1).state, REQUEST_QUEUED);
    fixture_close(&x);
}

void test_store_rollback_past_an_erasure_is_refused(void **state)
{
    (void)state;
    struct store_fixture x;
    struct serving serving;
    const struct request_id erasures[] = {fixture_id(21), fixture_id(22)};
    fixture_open(&x);
    const struct digest first = fixture_version(&x, NULL, 0);
    (void)fixture_version(&x, erasures, 1);
    const struct digest last = fixture_version(&x, erasures, 2);
    const struct serving_move back = {
        .expected_generation = 3, .version = first, .now_us = ++x.now_us};
    const struct store_change c = {.now_us = x.now_us, .serve = &back};
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_FAILED_PRECONDITION, "version");
    assert_ok(store_read_serving(x.store, &serving, THE_FAULT));
    assert_true(digest_equal(&serving.version, &last));
    fixture_close(&x);
}

/* ---------------------------------------------------------------- recovery */

void test_store_recover_puts_open_jobs_back(void **state)
{
    (void)state;
    struct store_fixture x;
    uint64_t counts[REQUEST_STATES];
    size_t moved = 9;
    fixture_open(&x);
    for (unsigned n = 1; n <= 5; n++)
        fixture_enqueue(&x, n);
    for (unsigned n = 1; n <= 3; n++)
        assert_ok(fixture_move(&x, n, REQUEST_EVENT_START));
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_CANDIDATE));
    assert_ok(fixture_move(&x, 3, REQUEST_EVENT_GIVE_UP));
    assert_ok(fixture_move(&x, 5, REQUEST_EVENT_CANCEL));
    const uint64_t seed = request(&x, 1).seed;
    fixture_reopen(&x);
    assert_ok(store_recover(x.store, ++x.now_us, &moved, THE_FAULT));
    assert_int_equal(moved, 2);
    assert_ok(store_read_counts(x.store, counts, THE_FAULT));
    assert_int_equal(counts[REQUEST_QUEUED], 3);
    assert_int_equal(counts[REQUEST_RUNNING] + counts[REQUEST_EVALUATING], 0);
    assert_int_equal(counts[REQUEST_FAILED], 1);
    assert_int_equal(counts[REQUEST_CANCELLED], 1);
    assert_true(request(&x, 1).seed == seed);
    assert_int_equal(request(&x, 1).attempts, 1);
    expect_state(&x, 0, "evaluating", "restart", "queued");
    assert_ok(store_recover(x.store, ++x.now_us, &moved, THE_FAULT));
    assert_int_equal(moved, 0);
    struct queue_record q;
    assert_ok(store_read_oldest(x.store, REQUEST_QUEUED, &q, THE_FAULT));
    assert_int_equal(q.sequence, 1);
    (void)fixture_check(&x);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- entries */

void test_store_log_time_never_runs_back(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    const int64_t start = x.now_us;
    const struct log_value values[] = {log_value_word("reason", "rate"),
                                       log_value_number("count", 1)};
    const struct store_entry note = {LOG_KIND_DENIAL, values, 2};
    struct store_change c = {.now_us = start + 1000, .entries = &note, .n_entries = 1};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    c.now_us = start + 400;
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    c.now_us = start + 2000;
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    const struct logged_entry first = newest(&x, 2, LOG_KIND_DENIAL);
    const struct logged_entry held = newest(&x, 1, LOG_KIND_DENIAL);
    const struct logged_entry last = newest(&x, 0, LOG_KIND_DENIAL);
    assert_false(first.e.clock_held);
    assert_true(held.e.clock_held);
    assert_true(held.e.time_us == start + 1000);
    assert_false(last.e.clock_held);
    assert_true(last.e.time_us == start + 2000);
    (void)fixture_check(&x);
    fixture_close(&x);
}

void test_store_cancel_flag_has_an_entry(void **state)
{
    (void)state;
    struct store_fixture x;
    const struct request_id id = fixture_id(1);
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    assert_ok(fixture_move(&x, 1, REQUEST_EVENT_START));
    const struct store_change c = {.now_us = ++x.now_us, .cancel = &id};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    assert_true(request(&x, 1).cancel_requested);
    (void)newest(&x, 0, LOG_KIND_REQUEST_CANCEL);
    fixture_close(&x);
}

/* ---------------------------------------------------------------- data */

static const char *const CLASSES[] = {"a", "b"};
static const uint8_t PIXELS[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t LABELS[8] = {0, 0, 0, 0, 1, 0, 0, 0};

static struct upload_open upload_of(unsigned n, const void *bytes, size_t size)
{
    return (struct upload_open){.id = fixture_id(n),
                                .principal = "mlops:carol",
                                .size = size,
                                .digest = seal_hash(bytes, size),
                                .now_us = 1,
                                .expires_us = 1000};
}

/* Two rows of 2x2 pixels, through uploads, as a data set with this role. */
static void import(struct store_fixture *x, enum dataset_role role)
{
    struct upload u;
    const struct upload_open pixels = upload_of(90, PIXELS, sizeof PIXELS);
    const struct upload_open labels = upload_of(91, LABELS, sizeof LABELS);
    const struct store_upload_end ends[] = {{pixels.id, BLOB_PIXELS}, {labels.id, BLOB_LABELS}};
    const struct dataset d = {.name = "tiny",
                              .role = role,
                              .n = 2,
                              .height = 2,
                              .width = 2,
                              .channels = 1,
                              .label_kind = DATASET_LABELS_CLASS,
                              .class_names = CLASSES,
                              .n_classes = 2,
                              .pixels = pixels.digest,
                              .labels = labels.digest,
                              .created_us = x->now_us};
    assert_ok(store_upload_open(x->store, &pixels, &u, THE_FAULT));
    assert_ok(store_upload_append(x->store, &pixels.id, 0, PIXELS, 8, &u, THE_FAULT));
    assert_ok(store_upload_open(x->store, &labels, &u, THE_FAULT));
    assert_ok(store_upload_append(x->store, &labels.id, 0, LABELS, 8, &u, THE_FAULT));
    const struct store_change c = {
        .now_us = ++x->now_us, .uploads = ends, .n_uploads = 2, .datasets = &d, .n_datasets = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
}

static int blob_there(struct store_fixture *x, const void *bytes, size_t n)
{
    struct kv_txn *txn;
    int there = 0;
    const struct digest d = seal_hash(bytes, n);
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_ok(blob_exists(txn, &d, &there, THE_FAULT));
    store_read_end(txn);
    return there;
}

void test_store_data_set_through_uploads_and_away(void **state)
{
    (void)state;
    struct store_fixture x;
    struct dataset *d = NULL;
    fixture_open(&x);
    import(&x, DATASET_TRAIN);
    import(&x, DATASET_TEST);
    fixture_reopen(&x);
    assert_ok(store_read_dataset(x.store, "tiny", DATASET_TRAIN, &d, THE_FAULT));
    assert_int_equal(d->n, 2);
    datasets_free(d);
    const struct fsck_counts counts = fixture_check(&x);
    assert_int_equal(counts.datasets, 2);
    assert_int_equal(counts.orphan_blobs, 0);
    assert_int_equal(counts.orphan_chunks, 0);
    struct store_dataset_name gone = {"tiny", DATASET_TRAIN, 1};
    const struct store_change c = {
        .now_us = ++x.now_us, .datasets_removed = &gone, .n_datasets_removed = 1};
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_FAILED_PRECONDITION, "name");
    gone.in_use = 0;
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    assert_true(blob_there(&x, PIXELS, sizeof PIXELS)); /* the other split shares it */
    gone.role = DATASET_TEST;
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    assert_false(blob_there(&x, PIXELS, sizeof PIXELS));
    assert_false(blob_there(&x, LABELS, sizeof LABELS));
    (void)fixture_check(&x);
    fixture_close(&x);
}

void test_store_memory_loses_a_class_without_remains(void **state)
{
    (void)state;
    struct store_fixture x;
    struct store_result r;
    struct replay_memory *m = NULL;
    static const uint32_t ROW0[] = {0};
    static const uint32_t ROW1[] = {1};
    const struct replay_memory_list lists[] = {{DATASET_TRAIN, 0, ROW0, 1},
                                               {DATASET_TRAIN, 1, ROW1, 1}};
    const struct replay_memory in = {
        .name = "base", .dataset = "tiny", .lists = lists, .n_lists = 2};
    fixture_open(&x);
    import(&x, DATASET_TRAIN);
    struct store_change c = {.now_us = ++x.now_us, .memory = &in};
    assert_ok(store_commit(x.store, &c, &r, THE_FAULT));
    const struct digest before = r.memory;
    const struct store_memory_class erased = {"base", 1};
    c = (struct store_change){
        .now_us = ++x.now_us, .memory_classes = &erased, .n_memory_classes = 1};
    assert_ok(store_commit(x.store, &c, &r, THE_FAULT));
    assert_int_equal(r.memory_rows, 1);
    assert_ok(store_read_memory(x.store, "base", &m, THE_FAULT));
    assert_int_equal(m->n_lists, 1);
    assert_false(digest_equal(&m->digest, &before));
    replay_memory_free(m);
    struct kv_txn *txn;
    int there = 1;
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(blob_exists(txn, &before, &there, THE_FAULT));
    store_read_end(txn);
    assert_false(there);
    c = (struct store_change){.now_us = ++x.now_us, .memory_removed = "base"};
    assert_ok(store_commit(x.store, &c, &r, THE_FAULT));
    assert_fault(store_read_memory(x.store, "base", &m, THE_FAULT), STATUS_NOT_FOUND, "memory");
    assert_int_equal(fixture_check(&x).orphan_blobs, 0);
    fixture_close(&x);
}

void test_store_uploads_abort_and_expire(void **state)
{
    (void)state;
    struct store_fixture x;
    struct upload u;
    size_t removed = 0;
    struct upload_open o = upload_of(1, PIXELS, sizeof PIXELS);
    fixture_open(&x);
    assert_ok(store_upload_open(x.store, &o, &u, THE_FAULT));
    assert_ok(store_upload_append(x.store, &o.id, 0, PIXELS, 3, &u, THE_FAULT));
    assert_int_equal(fixture_check(&x).uploads, 1);
    assert_ok(store_upload_abort(x.store, &o.id, THE_FAULT));
    assert_fault(store_upload_abort(x.store, &o.id, THE_FAULT), STATUS_NOT_FOUND, "upload");
    assert_ok(store_upload_open(x.store, &o, &u, THE_FAULT));
    assert_ok(store_upload_append(x.store, &o.id, 0, PIXELS, 3, &u, THE_FAULT));
    assert_ok(store_upload_expire(x.store, 1000, &removed, THE_FAULT));
    assert_int_equal(removed, 1);
    const struct fsck_counts counts = fixture_check(&x);
    assert_int_equal(counts.uploads, 0);
    assert_int_equal(counts.orphan_chunks, 0);
    fixture_close(&x);
}

void test_store_collect_takes_only_what_nothing_names(void **state)
{
    (void)state;
    struct store_fixture x;
    size_t removed = 0;
    uint64_t bytes = 0;
    const struct store_blob blobs[] = {{BLOB_COMPONENT, "orphan", 6}, {BLOB_OTHER, "kept", 4}};
    fixture_open(&x);
    (void)fixture_version(&x, NULL, 0);
    import(&x, DATASET_TRAIN);
    const struct store_change c = {.now_us = ++x.now_us, .blobs = blobs, .n_blobs = 2};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    assert_int_equal(fixture_check(&x).orphan_blobs, 2);
    assert_ok(store_collect(x.store, &removed, &bytes, THE_FAULT));
    assert_int_equal(removed, 1);
    assert_int_equal(bytes, 6);
    assert_false(blob_there(&x, "orphan", 6));
    assert_true(blob_there(&x, "kept", 4));
    assert_ok(store_collect(x.store, &removed, NULL, THE_FAULT));
    assert_int_equal(removed, 0);
    (void)fixture_check(&x);
    fixture_close(&x);
}

void test_store_pins_have_entries(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    const struct digest v = fixture_version(&x, NULL, 0);
    const struct serving_pin pin = {.version = v, .since_us = x.now_us, .who = "mlops:carol"};
    struct store_change c = {.now_us = ++x.now_us, .pin = &pin};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    (void)newest(&x, 0, LOG_KIND_VERSION_PINNED);
    c = (struct store_change){.now_us = ++x.now_us, .unpin = &v};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    (void)newest(&x, 0, LOG_KIND_VERSION_UNPINNED);
    assert_fault(store_commit(x.store, &c, NULL, THE_FAULT), STATUS_NOT_FOUND, "version");
    fixture_close(&x);
}

void test_store_answer_is_kept(void **state)
{
    (void)state;
    struct store_fixture x;
    struct kv_txn *txn;
    void *bytes = NULL;
    size_t n = 0;
    fixture_open(&x);
    fixture_enqueue(&x, 1);
    const struct store_answer a = {fixture_id(1), "accepted", 8};
    const struct store_change c = {.now_us = ++x.now_us, .answer = &a};
    assert_ok(store_commit(x.store, &c, NULL, THE_FAULT));
    fixture_reopen(&x);
    const struct queue_record q = request(&x, 1);
    assert_ok(store_read_begin(x.store, &txn, THE_FAULT));
    assert_ok(queue_answer(txn, &q, &bytes, &n, THE_FAULT));
    store_read_end(txn);
    assert_int_equal(n, 8);
    assert_memory_equal(bytes, "accepted", 8);
    sysio_free(bytes);
    fixture_close(&x);
}
