/* Stored records as messages: requests in every state, versions, differences. */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/jobs/wire_view.h"

static unsigned char memory[1 << 20];
static struct arena arena;

static const char *const cross[] = {"Cross"};

static struct wire_request view(struct jobs_fixture *x, const struct request_id *id)
{
    struct kv_txn *txn;
    struct queue_record record;
    struct wire_request r = {0};
    arena_init(&arena, memory, sizeof memory);
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(queue_get(txn, id, &record, fx));
    jobs_ok(wire_view_request(txn, &record, WIRE_VIEW_FULL, &arena, &r, fx));
    store_read_end(txn);
    return r;
}

static struct wire_forget forget_of(void)
{
    return (struct wire_forget){.classes = cross,
                                .n_classes = 1,
                                .samples = "",
                                .task = "",
                                .subject = "",
                                .ticket = "DSR-17",
                                .probe = WIRE_PROBE_NONE,
                                .dry_run = true};
}

void test_wire_view_request_shows_what_was_asked(void **state)
{
    (void)state;
    struct jobs_fixture x;
    jobs_fixture_new(&x);
    const struct wire_forget m = forget_of();
    const struct queue_record record = jobs_queue(&x, 1, &m);
    const struct wire_request r = view(&x, &record.id);
    assert_string_equal(r.kind, "forget");
    assert_string_equal(r.state, "queued");
    assert_string_equal(r.role, "local");
    assert_string_equal(r.ticket, "DSR-17");
    assert_string_equal(r.probe, "none");
    assert_true(r.dry_run);
    assert_int_equal(r.n_classes, 1);
    assert_string_equal(r.classes[0], "Cross");
    assert_null(r.error);
    assert_string_equal(r.reason, "");
    assert_int_equal(r.evaluation.size, 0);
    arena_fini(&arena);
    jobs_fixture_free(&x);
}

static void end_with(struct jobs_fixture *x,
                     const struct request_id *id,
                     enum request_event event,
                     const char *text)
{
    struct queue_error error = {.code = STATUS_FAILED_PRECONDITION, .field = "gate"};
    (void)snprintf(error.text, sizeof error.text, "%s", text);
    const struct queue_move move = {.id = *id, .event = event, .now_us = JOBS_NOW, .error = &error};
    const struct store_change change = {.now_us = JOBS_NOW, .moves = &move, .n_moves = 1};
    jobs_ok(store_commit(x->store, &change, NULL, fx));
}

void test_wire_view_request_errors_and_reasons(void **state)
{
    (void)state;
    struct jobs_fixture x;
    jobs_fixture_new(&x);
    const struct wire_forget m = forget_of();
    const struct queue_record cancelled = jobs_queue(&x, 1, &m);
    end_with(&x, &cancelled.id, REQUEST_EVENT_CANCEL, "by mistake");
    struct wire_request r = view(&x, &cancelled.id);
    assert_string_equal(r.state, "cancelled");
    assert_string_equal(r.reason, "by mistake");
    assert_null(r.error);
    const struct queue_record rejected = jobs_queue(&x, 2, &m);
    (void)jobs_move(&x, &rejected.id, REQUEST_EVENT_START);
    (void)jobs_move(&x, &rejected.id, REQUEST_EVENT_CANDIDATE);
    end_with(&x, &rejected.id, REQUEST_EVENT_REJECT, "acc_forget FAIL");
    r = view(&x, &rejected.id);
    assert_string_equal(r.state, "rejected");
    assert_non_null(r.error);
    assert_string_equal(r.error->code, "FAILED_PRECONDITION");
    assert_string_equal(r.error->field, "gate");
    assert_string_equal(r.error->text, "acc_forget FAIL");
    arena_fini(&arena);
    jobs_fixture_free(&x);
}

void test_wire_view_version_and_diff_with_itself(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct kv_txn *txn;
    struct serving s;
    struct wire_version v;
    struct wire_diff_info d;
    jobs_fixture_new(&x);
    arena_init(&arena, memory, sizeof memory);
    jobs_ok(store_read_begin(x.store, &txn, fx));
    jobs_ok(serving_get(txn, &s, fx));
    jobs_ok(wire_view_version(txn, &s.version, WIRE_VIEW_FULL, &arena, &v, fx));
    assert_true(v.serving);
    assert_false(v.pinned);
    assert_int_equal(v.number, 1);
    assert_int_equal(v.n_labels, TINY_CLASSES);
    assert_string_equal(v.labels[0].status, "active");
    assert_int_equal(v.n_components, 3);
    assert_true(v.bytes > 0);
    jobs_ok(wire_view_diff(txn, &s.version, &s.version, &arena, &d, fx));
    assert_int_equal(d.n_added + d.n_removed + d.n_labels_a + d.n_labels_b, 0);
    /* An arena that is too small is an error, not a crash. */
    struct arena little;
    static unsigned char few[256];
    struct fault f = {0};
    arena_init(&little, few, sizeof few);
    assert_int_equal(wire_view_version(txn, &s.version, WIRE_VIEW_FULL, &little, &v, &f),
                     STATUS_RESOURCE_EXHAUSTED);
    arena_fini(&little);
    store_read_end(txn);
    arena_fini(&arena);
    jobs_fixture_free(&x);
}
