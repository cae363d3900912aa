/* Admission of stream requests on a version without streams, and the names that belong together. */
#include "tests/support/jobs_fixture.h"

#include "daemon/jobs/admit_stream.h"
#include "daemon/jobs/version_data.h"

static struct jobs_fixture fixture;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    jobs_fixture_new(&fixture);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    jobs_fixture_free(&fixture);
    return 0;
}

static enum status try_admit(const struct wire_envelope *m, int opening, struct fault *f)
{
    struct kv_txn *txn;
    struct serving s;
    struct version *serving;
    struct admit_plan plan = {0};
    jobs_ok(store_read_begin(fixture.store, &txn, fx));
    jobs_ok(serving_get(txn, &s, fx));
    jobs_ok(version_get(txn, &s.version, &serving, fx));
    const enum status st = admit_stream(txn, &fixture.context, m, serving, opening, &plan, f);
    store_read_end(txn);
    version_free(serving);
    if (st == STATUS_OK)
        assert_true(plan.store_bytes > 0);
    return st;
}

static void refused(const struct wire_envelope *m, int opening, enum status code, const char *field)
{
    struct fault f = {0};
    assert_string_equal(status_name(try_admit(m, opening, &f)), status_name(code));
    assert_string_equal(f.field, field);
    assert_true(f.text[0] != '\0');
}

static struct wire_envelope open_of(const char *name)
{
    return (struct wire_envelope){.kind = WIRE_KIND_STREAM_OPEN,
                                  .body.stream_open = {.name = name, .expert = "", .ticket = ""}};
}

static struct wire_envelope push_of(const char *data)
{
    return (struct wire_envelope){.kind = WIRE_KIND_STREAM_PUSH,
                                  .body.stream_push = {.name = "cam", .data = data, .ticket = ""}};
}

/* First in the alphabet: no data set is there. */
void test_admit_stream_a_without_data(void **state)
{
    (void)state;
    const struct wire_envelope m = open_of("cam");
    refused(&m, 0, STATUS_FAILED_PRECONDITION, "data");
}

void test_admit_stream_b_names_and_settings(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", ".x", "a b", "cam.1", "cam.007", "a-name-that-is-much-too-long-to-be-that-of-a-stream"};
    static const struct wire_option conv = {"kind", "conv"}, none = {"none", "1"};
    jobs_fixture_import_usual(&fixture);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct wire_envelope m = open_of(bad[i]);
        refused(&m, 0, STATUS_INVALID_ARGUMENT, "name");
    }
    struct wire_envelope m = open_of("cam");
    assert_int_equal(try_admit(&m, 0, NULL), STATUS_OK);
    m.body.stream_open.expert = "conv";
    refused(&m, 0, STATUS_INVALID_ARGUMENT, "expert");
    m = open_of("cam");
    m.body.stream_open.options = &conv;
    m.body.stream_open.n_options = 1;
    refused(&m, 0, STATUS_INVALID_ARGUMENT, "kind");
    m.body.stream_open.options = &none;
    refused(&m, 0, STATUS_NOT_FOUND, "none");
}

/* A push may come as soon as the opening is accepted; its data are looked at all the same. */
void test_admit_stream_c_pushes(void **state)
{
    (void)state;
    static const char *const new_names[] = {"ash", "birch", "cedar", "date"};
    struct wire_envelope m = push_of("trees");
    refused(&m, 0, STATUS_NOT_FOUND, "name");
    refused(&m, 1, STATUS_NOT_FOUND, "data");
    jobs_fixture_import(&fixture, "trees", DATASET_TRAIN, 3, new_names);
    assert_int_equal(try_admit(&m, 1, NULL), STATUS_OK);
    m = push_of("tiny");
    refused(&m, 1, STATUS_ALREADY_EXISTS, "data");
    m = push_of("trees");
    m.body.stream_push.batch = 65537;
    refused(&m, 1, STATUS_INVALID_ARGUMENT, "batch");
    const struct wire_envelope end = {.kind = WIRE_KIND_STREAM_CLOSE, .body.by_name.name = "cam"};
    refused(&end, 0, STATUS_NOT_FOUND, "name");
}

void test_admit_stream_names_that_belong_together(void **state)
{
    (void)state;
    assert_int_equal(learner_stream_length("cam.12"), 3);
    assert_int_equal(learner_stream_length("a.b.0"), 3);
    assert_int_equal(learner_stream_length("cam"), 0);
    assert_int_equal(learner_stream_length("cam."), 0);
    assert_int_equal(learner_stream_length("cam.1x"), 0);
    assert_true(version_data_of_stream("expert:cam.1", "cam"));
    assert_false(version_data_of_stream("expert:cam.1", "ca"));
    assert_false(version_data_of_stream("lane:cam.1", "cam"));
    assert_false(version_data_of_stream("base", "cam"));
    assert_true(version_data_same_stream("expert:cam.1", "expert:cam.22"));
    assert_false(version_data_same_stream("expert:cam.1", "expert:tv.1"));
    assert_false(version_data_same_stream("expert:cam", "expert:cam"));
    const struct job_owner expert = {"expert", "cam.3", 0}, stream = {"stream", "cam", 0};
    assert_true(job_owner_of_stream(&expert, "cam"));
    assert_true(job_owner_of_stream(&stream, "cam"));
    assert_false(job_owner_of_stream(&expert, "cam.3"));
}
