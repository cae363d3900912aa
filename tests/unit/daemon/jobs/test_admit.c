/* Admission of forget requests: every refusal with its code and field, and what passes. */
#include "tests/support/jobs_fixture.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/jobs/admit.h"

static struct jobs_fixture fixture;
static struct version *serving;

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

static void import_once(void)
{
    static int done;
    if (!done)
        jobs_fixture_import_usual(&fixture);
    done = 1;
}

static struct wire_forget forget_of(const char *const *classes, size_t n)
{
    return (struct wire_forget){
        .classes = classes, .n_classes = n, .samples = "", .task = "", .subject = "", .ticket = ""};
}

static enum status try_admit(const struct wire_forget *m, struct fault *f)
{
    struct kv_txn *txn;
    struct serving s;
    struct admit_plan plan = {0};
    jobs_ok(store_read_begin(fixture.store, &txn, fx));
    jobs_ok(serving_get(txn, &s, fx));
    jobs_ok(version_get(txn, &s.version, &serving, fx));
    const enum status st = admit_forget(txn, &fixture.context, m, serving, &plan, f);
    store_read_end(txn);
    version_free(serving);
    if (st == STATUS_OK) {
        assert_true(plan.memory_bytes > 0);
        assert_true(plan.store_bytes > 0);
    }
    return st;
}

static void
refused(const struct wire_forget *m, enum status code, const char *field, const char *text)
{
    struct fault f = {0};
    assert_string_equal(status_name(try_admit(m, &f)), status_name(code));
    assert_string_equal(f.field, field);
    if (!strstr(f.text, text))
        fail_msg("\"%s\" does not say \"%s\"", f.text, text);
}

static const char *const cross[] = {"Cross"};

/* First in the alphabet of this file's tests, before any data set is there. */
void test_admit_a_without_training_data(void **state)
{
    (void)state;
    const struct wire_forget m = forget_of(cross, 1);
    refused(&m, STATUS_FAILED_PRECONDITION, "data", "--role train");
}

void test_admit_accepts_a_class(void **state)
{
    (void)state;
    import_once();
    const struct wire_forget m = forget_of(cross, 1);
    struct fault f = {0};
    assert_int_equal(try_admit(&m, &f), STATUS_OK);
}

void test_admit_class_errors(void **state)
{
    (void)state;
    import_once();
    const char *const unknown[] = {"Cross", "Nope"};
    const char *const twice[] = {"Cross", "Circle", "Cross"};
    struct wire_forget m = forget_of(unknown, 2);
    refused(&m, STATUS_NOT_FOUND, "classes", "Nope");
    m = forget_of(twice, 3);
    refused(&m, STATUS_INVALID_ARGUMENT, "classes", "twice");
    m = forget_of(tiny_labels, TINY_CLASSES);
    refused(&m, STATUS_INVALID_ARGUMENT, "classes", "all 4");
    m = forget_of(NULL, 0);
    refused(&m, STATUS_INVALID_ARGUMENT, "classes", "nothing to forget");
}

void test_admit_scope_errors(void **state)
{
    (void)state;
    import_once();
    struct wire_forget m = forget_of(cross, 1);
    m.samples = "tiny";
    refused(&m, STATUS_INVALID_ARGUMENT, "samples", "either");
    m = forget_of(NULL, 0);
    m.task = "digits";
    refused(&m, STATUS_NOT_FOUND, "task", "learned no task");
    m = forget_of(NULL, 0);
    m.subject = "person-17"; /* nobody's hash */
    refused(&m, STATUS_INVALID_ARGUMENT, "subject", "subject");
    m.subject = "subject:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    refused(&m, STATUS_NOT_FOUND, "subject", "subject");
    m = forget_of(cross, 1);
    m.mode = WIRE_MODE_EXACT;
    refused(&m, STATUS_FAILED_PRECONDITION, "mode", "isolated");
    m = forget_of(cross, 1);
    m.due_at = clock_wall_us() - 1000000;
    refused(&m, STATUS_INVALID_ARGUMENT, "due_at", "passed");
}

void test_admit_option_errors(void **state)
{
    (void)state;
    import_once();
    struct wire_option option = {"no_such_option", "1"};
    struct wire_forget m = forget_of(cross, 1);
    m.options = &option;
    m.n_options = 1;
    refused(&m, STATUS_NOT_FOUND, "no_such_option", "");
    option = (struct wire_option){"lr", "fast"};
    refused(&m, STATUS_INVALID_ARGUMENT, "lr", "");
    option = (struct wire_option){"lr", "2"};
    refused(&m, STATUS_INVALID_ARGUMENT, "lr", "");
    option = (struct wire_option){"depth", "off"};
    struct fault f = {0};
    assert_int_equal(try_admit(&m, &f), STATUS_OK);
}

void test_admit_memory_limit(void **state)
{
    (void)state;
    import_once();
    const int64_t before = fixture.config.worker_memory_max;
    const struct wire_forget m = forget_of(cross, 1);
    fixture.config.worker_memory_max = 1024;
    refused(&m, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max", "limit");
    fixture.config.worker_memory_max = before;
}

void test_admit_samples(void **state)
{
    (void)state;
    import_once();
    struct wire_forget m = forget_of(NULL, 0);
    m.samples = "nowhere";
    refused(&m, STATUS_NOT_FOUND, "samples", "nowhere");
    m.samples = "tiny"; /* train and test */
    refused(&m, STATUS_INVALID_ARGUMENT, "samples", "several roles");
    static const char *const foreign[] = {"Dog", "Cat", "Circle", "Cow"};
    jobs_fixture_import(&fixture, "animals", DATASET_PROBE, 2, foreign);
    m.samples = "animals";
    refused(&m, STATUS_INVALID_ARGUMENT, "samples", "Dog");
    jobs_fixture_import(&fixture, "mine", DATASET_PROBE, 2, tiny_labels);
    m.samples = "mine";
    struct fault f = {0};
    assert_int_equal(try_admit(&m, &f), STATUS_OK);
}

void test_admit_resolve_names(void **state)
{
    (void)state;
    struct kv_txn *txn;
    struct digest first, d;
    char text[DIGEST_TEXT_SIZE];
    jobs_ok(store_read_begin(fixture.store, &txn, fx));
    jobs_ok(admit_resolve(txn, "serving", &first, fx));
    digest_format(&first, text);
    const char *const names[] = {"", "1", text};
    for (size_t i = 0; i < 3; i++) {
        jobs_ok(admit_resolve(txn, names[i], &d, fx));
        assert_true(digest_equal(&d, &first));
    }
    text[8] = '\0';
    jobs_ok(admit_resolve(txn, text, &d, fx));
    assert_true(digest_equal(&d, &first));
    struct fault f = {0};
    text[7] = '\0';
    assert_int_equal(admit_resolve(txn, "abcdef", &d, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "version");
    assert_int_equal(admit_resolve(txn, "77", &d, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "version");
    store_read_end(txn);
}

void test_admit_same_scope(void **state)
{
    (void)state;
    const char *const ab[] = {"Circle", "Cross"};
    const char *const ba[] = {"Cross", "Circle"};
    struct wire_forget x = forget_of(ab, 2), y = forget_of(ba, 2);
    assert_true(admit_same_scope(&x, &y));
    y.dry_run = true;
    assert_false(admit_same_scope(&x, &y));
    y = forget_of(ba, 1);
    assert_false(admit_same_scope(&x, &y));
    y = forget_of(NULL, 0);
    y.samples = "mine";
    assert_false(admit_same_scope(&x, &y));
}
