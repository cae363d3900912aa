/* Looking through open requests: duplicates, data sets in use, how many. */
#include "tests/support/jobs_fixture.h"

#include "daemon/jobs/open_requests.h"

static const char *const cross[] = {"Cross"};
static const char *const circle[] = {"Circle"};

void test_open_requests_find_the_same_scope_until_it_is_final(void **state)
{
    (void)state;
    struct jobs_fixture x;
    const struct wire_forget m = {
        .classes = cross, .n_classes = 1, .samples = "", .task = "", .subject = ""};
    const struct wire_forget other = {
        .classes = circle, .n_classes = 1, .samples = "", .task = "", .subject = ""};
    struct request_id id;
    uint64_t count;
    jobs_fixture_new(&x);
    const struct queue_record first = jobs_queue(&x, 1, &m);
    jobs_ok(open_requests_same(x.store, &m, &id, fx));
    assert_true(request_id_equal(&id, &first.id));
    jobs_ok(open_requests_same(x.store, &other, &id, fx));
    assert_true(request_id_is_zero(&id));
    (void)jobs_move(&x, &first.id, REQUEST_EVENT_START);
    jobs_ok(open_requests_same(x.store, &m, &id, fx));
    assert_true(request_id_equal(&id, &first.id));
    jobs_ok(open_requests_count(x.store, &count, fx));
    assert_int_equal(count, 1);
    (void)jobs_move(&x, &first.id, REQUEST_EVENT_CANCEL);
    jobs_ok(open_requests_same(x.store, &m, &id, fx));
    assert_true(request_id_is_zero(&id));
    jobs_ok(open_requests_count(x.store, &count, fx));
    assert_int_equal(count, 0);
    jobs_fixture_free(&x);
}

void test_open_requests_know_the_data_they_need(void **state)
{
    (void)state;
    struct jobs_fixture x;
    const struct wire_forget m = {.samples = "mine", .task = "", .subject = ""};
    int needed;
    jobs_fixture_new(&x);
    const struct queue_record first = jobs_queue(&x, 1, &m);
    jobs_ok(open_requests_need(x.store, "mine", &needed, fx));
    assert_true(needed);
    jobs_ok(open_requests_need(x.store, "yours", &needed, fx));
    assert_false(needed);
    (void)jobs_move(&x, &first.id, REQUEST_EVENT_CANCEL);
    jobs_ok(open_requests_need(x.store, "mine", &needed, fx));
    assert_false(needed);
    jobs_fixture_free(&x);
}
