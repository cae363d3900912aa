/*
 * Images of streams: in the order in which they were pushed, each with the keyed hash of its
 * content; a fifth held out unless there is a test set; erased ones away, except from the push
 * itself, whose learner counts them.
 */
#include "tests/support/jobs_fixture.h"

#include <stdlib.h>

#include "daemon/jobs/stream_data.h"

#define CLASSES 3u
#define IMAGES  90u

static const char *const names[CLASSES] = {"ash", "birch", "cedar"};
static const struct job_owner the_owners[] = {
    {"base", "base", 0}, {"expert", "cam.0", 0}, {"stream", "cam", 0}, {"expert", "tv.0", 0}};
static struct job_class the_classes[1 + CLASSES];
static uint32_t the_tested[1 + CLASSES];

/* Images of the three classes in turn. */
static void import(struct jobs_fixture *x, const char *name, enum dataset_role role, uint64_t seed)
{
    static uint8_t pixels[IMAGES * TINY_PIXELS];
    static uint32_t labels[IMAGES];
    for (uint32_t i = 0; i < IMAGES; i++) {
        labels[i] = i % CLASSES;
        tiny_image(labels[i], seed, i, pixels + i * TINY_PIXELS);
    }
    const struct store_blob blobs[] = {{BLOB_PIXELS, pixels, sizeof pixels},
                                       {BLOB_LABELS, labels, sizeof labels}};
    struct dataset d = {.role = role,
                        .n = IMAGES,
                        .height = TINY_SIZE,
                        .width = TINY_SIZE,
                        .channels = 1,
                        .label_kind = DATASET_LABELS_CLASS,
                        .class_names = names,
                        .n_classes = CLASSES,
                        .pixels = seal_hash(blobs[0].bytes, blobs[0].size),
                        .labels = seal_hash(blobs[1].bytes, blobs[1].size),
                        .created_us = JOBS_NOW};
    (void)snprintf(d.name, sizeof d.name, "%s", name);
    const struct store_change change = {
        .now_us = JOBS_NOW, .blobs = blobs, .n_blobs = 2, .datasets = &d, .n_datasets = 1};
    jobs_ok(store_commit(x->store, &change, NULL, fx));
}

static struct stream_rows rows_of(const char *stream)
{
    memset(the_classes, 0, sizeof the_classes);
    memset(the_tested, 0, sizeof the_tested);
    strcpy(the_classes[0].name, "Circle");
    for (uint32_t c = 0; c < CLASSES; c++) {
        strcpy(the_classes[1 + c].name, names[c]);
        the_classes[1 + c].owner = c == 2 ? 2 : 1; /* one has no expert yet */
    }
    return (struct stream_rows){.stream = stream,
                                .seed = 5,
                                .classes = the_classes,
                                .n_classes = 1 + CLASSES,
                                .owners = the_owners,
                                .test_per_class = 1000,
                                .tested = the_tested};
}

struct span {
    uint32_t first, n;
};

static struct span append(struct jobs_fixture *x,
                          const char *dataset,
                          enum stream_use use,
                          const struct stream_rows *rows,
                          struct base_sets *sets)
{
    struct kv_txn *txn;
    struct span s;
    jobs_ok(store_read_begin(x->store, &txn, fx));
    jobs_ok(stream_data_append(txn, x->base, dataset, use, rows, sets, &s.first, &s.n, fx));
    store_read_end(txn);
    return s;
}

void test_stream_data_keeps_the_order_and_holds_a_fifth_out(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    jobs_fixture_new(&x);
    import(&x, "monday", DATASET_TRAIN, 1);
    const struct stream_rows rows = rows_of("cam");
    const struct span s = append(&x, "monday", STREAM_PUSH, &rows, &sets);
    const struct job_set *train = &sets.set[JOB_SET_TASK_TRAIN], *test = &sets.set[JOB_SET_TEST];
    assert_int_equal(s.first, 0);
    assert_int_equal(s.n, train->n);
    assert_int_equal(train->n + test->n, IMAGES);
    assert_true(test->n > IMAGES / 10 && test->n < IMAGES / 3);
    assert_int_equal(sets.n_task_keys, train->n);
    uint32_t at = 0;
    for (uint32_t i = 0; i < IMAGES && at < train->n; i++) {
        uint8_t pixels[TINY_PIXELS];
        tiny_image(i % CLASSES, 1, i, pixels);
        if (memcmp(pixels, train->pixels + at * TINY_PIXELS, TINY_PIXELS) != 0)
            continue;
        assert_int_equal(train->labels[at], 1 + i % CLASSES);
        assert_true(sets.task_keys[at] != 0);
        at++;
    }
    assert_int_equal(at, train->n);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

void test_stream_data_test_set_and_cap(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    jobs_fixture_new(&x);
    import(&x, "monday", DATASET_TRAIN, 1);
    import(&x, "monday", DATASET_TEST, 2);
    struct stream_rows rows = rows_of("cam");
    rows.test_per_class = 7;
    assert_int_equal(append(&x, "monday", STREAM_PUSH, &rows, &sets).n, IMAGES);
    assert_int_equal(sets.set[JOB_SET_TEST].n, 7 * CLASSES);
    (void)append(&x, "monday", STREAM_TEST, &rows, &sets);
    assert_int_equal(sets.set[JOB_SET_TEST].n, 7 * CLASSES);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

/* The second push comes behind the first; keys tell streams and seeds apart. */
void test_stream_data_keys(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    const struct digest a = seal_hash("a", 1), b = seal_hash("b", 1);
    jobs_fixture_new(&x);
    import(&x, "monday", DATASET_TRAIN, 1);
    import(&x, "tuesday", DATASET_TRAIN, 3);
    const struct stream_rows rows = rows_of("cam");
    const struct span one = append(&x, "monday", STREAM_TRAIN, &rows, &sets);
    const uint64_t key = sets.task_keys[0];
    const struct span two = append(&x, "tuesday", STREAM_PUSH, &rows, &sets);
    assert_int_equal(two.first, one.n);
    assert_true(sets.task_keys[0] == key);
    assert_int_equal(sets.n_task_keys, one.n + two.n);
    assert_true(stream_data_key("cam", 5, &a) == stream_data_key("cam", 5, &a));
    assert_true(stream_data_key("cam", 5, &a) != stream_data_key("cam", 5, &b));
    assert_true(stream_data_key("cam", 5, &a) != stream_data_key("cam", 6, &a));
    assert_true(stream_data_key("cam", 5, &a) != stream_data_key("tv", 5, &a));
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}

void test_stream_data_leaves_out_what_is_erased(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets all = {0}, left = {0}, pushed = {0};
    struct kv_txn *txn;
    struct dataset *d;
    struct digest *keys;
    jobs_fixture_new(&x);
    import(&x, "monday", DATASET_TRAIN, 1);
    struct stream_rows rows = rows_of("cam");
    jobs_ok(store_read_begin(x.store, &txn, fx));
    jobs_ok(dataset_get(txn, "monday", DATASET_TRAIN, &d, fx));
    jobs_ok(task_data_keys(NULL, txn, d, &keys, fx));
    store_read_end(txn);
    const uint32_t n = append(&x, "monday", STREAM_TRAIN, &rows, &all).n;
    rows = rows_of("cam");
    rows.tombstones = (struct task_tombstones){keys, IMAGES / 2};
    const uint32_t fewer = append(&x, "monday", STREAM_TRAIN, &rows, &left).n;
    assert_true(fewer < n && fewer > 0);
    rows = rows_of("cam");
    rows.tombstones = (struct task_tombstones){keys, IMAGES / 2};
    assert_int_equal(append(&x, "monday", STREAM_PUSH, &rows, &pushed).n, n);
    base_sets_free(&pushed);
    rows = rows_of("cam");
    the_classes[1].status = JOB_CLASS_FORGET_NOW;
    (void)append(&x, "monday", STREAM_TRAIN, &rows, &pushed);
    for (uint32_t i = 0; i < pushed.set[JOB_SET_TASK_TRAIN].n; i++)
        assert_int_not_equal(pushed.set[JOB_SET_TASK_TRAIN].labels[i], 1);
    uint32_t tested = 0;
    for (uint32_t i = 0; i < pushed.set[JOB_SET_TEST].n; i++)
        tested += pushed.set[JOB_SET_TEST].labels[i] == 1;
    assert_true(tested > 0); /* what is forgotten now is tested */
    sysio_free(keys);
    datasets_free(d);
    base_sets_free(&all);
    base_sets_free(&left);
    base_sets_free(&pushed);
    jobs_fixture_free(&x);
}

void test_stream_data_gone(void **state)
{
    (void)state;
    struct jobs_fixture x;
    struct base_sets sets = {0};
    struct kv_txn *txn;
    struct fault f = {0};
    jobs_fixture_new(&x);
    import(&x, "monday", DATASET_TEST, 1);
    const struct stream_rows rows = rows_of("cam");
    assert_int_equal(append(&x, "monday", STREAM_TRAIN, &rows, &sets).n, 0);
    assert_int_equal(sets.set[JOB_SET_TEST].n, IMAGES); /* its test images are there */
    assert_int_equal(append(&x, "never", STREAM_TEST, &rows, &sets).n, 0);
    jobs_ok(store_read_begin(x.store, &txn, fx));
    assert_int_equal(
        stream_data_append(txn, x.base, "never", STREAM_PUSH, &rows, &sets, NULL, NULL, &f),
        STATUS_NOT_FOUND);
    store_read_end(txn);
    const struct stream_rows strange = rows_of("tv"); /* the classes are another stream's */
    struct base_sets none = {0};
    import(&x, "friday", DATASET_TRAIN, 4);
    assert_int_equal(append(&x, "friday", STREAM_TRAIN, &strange, &none).n, 0);
    base_sets_free(&none);
    base_sets_free(&sets);
    jobs_fixture_free(&x);
}
