/*
 * What a request costs does not grow with the history behind it.  Counted in operations of the
 * store (kv_stats) and not in time, so that a busy machine changes nothing.
 */
#include "tests/support/store_fixture.h"

#define SHORT  24u
#define LONG   240u
#define WINDOW 16u /* requests over which a cost is the mean: the log's tree grows in steps */
#define SLACK  16u /* operations: what grows with the logarithm (the log's tree, served-at) */

static uint64_t operations(struct store_fixture *x)
{
    struct kv_stats s;
    assert_ok(store_stats(x->store, &s, THE_FAULT));
    return s.operations;
}

/* Accepts request n with a file of its own, and starts it. */
static void accept_and_run(struct store_fixture *x, unsigned n)
{
    char file[40];
    (void)snprintf(file, sizeof file, "file of request %u", n);
    const struct digest attachment = seal_hash(file, strlen(file));
    const struct store_blob blob = {BLOB_FILE, file, strlen(file)};
    const struct queue_submission s = {.id = fixture_id(n),
                                       .principal = "privacy/alice",
                                       .kind = "forget",
                                       .payload = file,
                                       .payload_size = strlen(file),
                                       .attachment = &attachment,
                                       .submitted_us = ++x->now_us};
    const struct queue_move move = {
        .id = s.id, .event = REQUEST_EVENT_ENQUEUE, .now_us = x->now_us};
    const struct store_change c = {.now_us = x->now_us,
                                   .accept = &s,
                                   .blobs = &blob,
                                   .n_blobs = 1,
                                   .moves = &move,
                                   .n_moves = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
    assert_ok(fixture_move(x, n, REQUEST_EVENT_START));
    assert_ok(fixture_move(x, n, REQUEST_EVENT_CANDIDATE));
}

/* Commits request n with a version that replaces one component, and a report. */
static void commit_request(struct store_fixture *x, unsigned n)
{
    char lane[32], report[32];
    struct serving serving = {0};
    (void)snprintf(lane, sizeof lane, "lane made by %u", n);
    (void)snprintf(report, sizeof report, "report of %u", n);
    const struct store_blob blobs[] = {{BLOB_COMPONENT, "base", 4},
                                       {BLOB_COMPONENT, lane, strlen(lane)},
                                       {BLOB_REPORT, report, strlen(report)}};
    const struct version_component parts[] = {
        {.kind = VERSION_KIND_BASE, .name = "b", .blob = seal_hash("base", 4), .bytes = 4},
        {.kind = "lane", .name = "l", .blob = seal_hash(lane, strlen(lane)), .bytes = strlen(lane)},
    };
    const enum status st = store_read_serving(x->store, &serving, THE_FAULT);
    assert_true(st == STATUS_OK || st == STATUS_NOT_FOUND);
    const struct version v = {.number = n,
                              .parent = serving.version,
                              .request = fixture_id(n),
                              .created_us = ++x->now_us,
                              .report = seal_hash(report, strlen(report)),
                              .kernel = "Test",
                              .threads = 2,
                              .components = parts,
                              .n_components = 2};
    struct serving_move serve = {.expected_generation = serving.generation, .now_us = x->now_us};
    assert_ok(version_id(&v, &serve.version, THE_FAULT));
    const struct queue_move move = {.id = fixture_id(n),
                                    .event = REQUEST_EVENT_COMMIT,
                                    .now_us = x->now_us,
                                    .version_after = &serve.version,
                                    .report = &v.report};
    const struct store_change c = {.now_us = x->now_us,
                                   .blobs = blobs,
                                   .n_blobs = 3,
                                   .version = &v,
                                   .serve = &serve,
                                   .moves = &move,
                                   .n_moves = 1};
    assert_ok(store_commit(x->store, &c, NULL, THE_FAULT));
}

/* What status, show and served-at read. */
static void ask(struct store_fixture *x, unsigned newest)
{
    uint64_t counts[REQUEST_STATES];
    struct serving s = {0};
    struct version *v = NULL;
    struct kv_txn *txn;
    assert_ok(store_read_counts(x->store, counts, THE_FAULT));
    assert_int_equal(counts[REQUEST_COMMITTED], newest);
    assert_ok(store_read_begin(x->store, &txn, THE_FAULT));
    assert_fault(serving_at(txn, 1, &s, THE_FAULT), STATUS_NOT_FOUND, "time");
    assert_ok(serving_at(txn, x->now_us, &s, THE_FAULT));
    assert_int_equal(s.generation, newest);
    assert_ok(serving_generation(txn, newest / 2, &s, THE_FAULT));
    const uint64_t wanted = s.generation;
    assert_ok(serving_at(txn, s.since_us, &s, THE_FAULT));
    assert_int_equal(s.generation, wanted);
    assert_ok(version_get(txn, &s.version, &v, THE_FAULT));
    store_read_end(txn);
    version_free(v);
}

/* Mean cost of the requests `from` to from + WINDOW - 1, and of the questions behind them. */
static uint64_t
run_to(struct store_fixture *x, unsigned from, unsigned to, uint64_t *ret_questions)
{
    uint64_t before = operations(x);
    for (unsigned n = from; n <= to; n++) {
        if (n == to - WINDOW + 1)
            before = operations(x);
        accept_and_run(x, n);
        commit_request(x, n);
    }
    const uint64_t after = operations(x);
    ask(x, to);
    *ret_questions = operations(x) - after;
    return (after - before) / WINDOW;
}

void test_scale_request_does_not_grow_with_versions(void **state)
{
    struct store_fixture x;
    uint64_t asked_short = 0, asked_long = 0;
    (void)state;
    fixture_open(&x);
    const uint64_t cost_short = run_to(&x, 1, SHORT, &asked_short);
    const uint64_t cost_long = run_to(&x, SHORT + 1, LONG, &asked_long);
    print_message("a request: %llu operations after %u versions, %llu after %u; questions: %llu, "
                  "%llu\n",
                  (unsigned long long)cost_short, SHORT, (unsigned long long)cost_long, LONG,
                  (unsigned long long)asked_short, (unsigned long long)asked_long);
    assert_true(cost_long <= cost_short + SLACK);
    assert_true(asked_long <= asked_short + SLACK);
    (void)fixture_check(&x);
    fixture_close(&x);
}
