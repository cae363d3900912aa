/* Data sets, uploads and replay memories. */
#include "tests/support/store_fixture.h"

#include "storage/datasets/datasets.h"
#include "storage/datasets/replay_memory.h"
#include "storage/datasets/uploads.h"

static const char *const NAMES[] = {"Sandal", "Bag", "Ankle boot"};

#define ROWS  200u
#define SIDE  28u
#define PIXEL (SIDE * SIDE)

/* Row i is filled with bytes that depend on i and the place; its class is i % 3. */
static void make_row(uint32_t i, uint8_t row[PIXEL])
{
    for (uint32_t k = 0; k < PIXEL; k++)
        row[k] = (uint8_t)(i * 7 + k * 3);
}

static struct dataset put_blobs(struct kv_fixture *x)
{
    struct dataset d = {.name = "fashion",
                        .role = DATASET_TRAIN,
                        .n = ROWS,
                        .height = SIDE,
                        .width = SIDE,
                        .channels = 1,
                        .label_kind = DATASET_LABELS_CLASS,
                        .class_names = NAMES,
                        .n_classes = 3,
                        .created_us = 4711};
    uint8_t *pixels = sysio_alloc(ROWS, PIXEL);
    uint8_t labels[ROWS * 4] = {0};
    for (uint32_t i = 0; i < ROWS; i++) {
        make_row(i, pixels + i * PIXEL);
        labels[4 * i] = (uint8_t)(i % 3);
    }
    assert_ok(blob_put(x->txn, BLOB_PIXELS, pixels, ROWS * PIXEL, &d.pixels, THE_FAULT));
    assert_ok(blob_put(x->txn, BLOB_LABELS, labels, sizeof labels, &d.labels, THE_FAULT));
    sysio_free(pixels);
    return d;
}

static struct dataset import(struct kv_fixture *x, enum dataset_role role)
{
    struct dataset d = put_blobs(x);
    d.role = role;
    assert_ok(dataset_put(x->txn, &d, &d.digest, THE_FAULT));
    return d;
}

void test_datasets_round_trip(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct dataset *d = NULL;
    kv_fixture_open(&x);
    const struct dataset put = import(&x, DATASET_TRAIN);
    kv_fixture_commit(&x);
    assert_ok(dataset_get(x.txn, "fashion", DATASET_TRAIN, &d, THE_FAULT));
    assert_string_equal(d->name, "fashion");
    assert_true(d->n == ROWS && d->height == SIDE && d->width == SIDE && d->channels == 1);
    assert_true(d->created_us == 4711 && d->n_classes == 3);
    assert_string_equal(d->class_names[2], "Ankle boot");
    assert_true(digest_equal(&d->digest, &put.digest));
    datasets_free(d);
    kv_fixture_close(&x);
}

void test_datasets_digest_is_of_the_content(void **state)
{
    (void)state;
    struct kv_fixture x;
    kv_fixture_open(&x);
    struct dataset a = import(&x, DATASET_TRAIN);
    struct dataset b = import(&x, DATASET_TEST);
    assert_true(digest_equal(&a.digest, &b.digest));
    (void)snprintf(b.name, sizeof b.name, "renamed");
    static const char *const OTHER[] = {"Sandal", "Bag", "Boot"};
    b.class_names = OTHER;
    assert_ok(dataset_put(x.txn, &b, &b.digest, THE_FAULT));
    assert_false(digest_equal(&a.digest, &b.digest));
    kv_fixture_close(&x);
}

void test_datasets_rows_in_any_order(void **state)
{
    (void)state;
    struct kv_fixture x;
    static const uint32_t ROWS_WANTED[] = {0, 1, 83, 84, 199, 3, 83};
    static const uint32_t OUTSIDE[] = {0, ROWS};
    uint8_t got[7 * PIXEL];
    uint8_t row[PIXEL];
    kv_fixture_open(&x);
    const struct dataset d = import(&x, DATASET_TRAIN);
    assert_ok(dataset_read_rows(x.txn, &d, ROWS_WANTED, 7, got, THE_FAULT));
    for (size_t i = 0; i < 7; i++) {
        make_row(ROWS_WANTED[i], row);
        assert_memory_equal(got + i * PIXEL, row, PIXEL);
    }
    assert_fault(dataset_read_rows(x.txn, &d, OUTSIDE, 2, got, THE_FAULT), STATUS_OUT_OF_RANGE,
                 "rows");
    kv_fixture_close(&x);
}

void test_datasets_labels_of_both_kinds(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint32_t classes[ROWS];
    uint8_t multi[ROWS * 3];
    uint8_t back[ROWS * 3];
    kv_fixture_open(&x);
    struct dataset d = import(&x, DATASET_TRAIN);
    assert_ok(dataset_read_classes(x.txn, &d, classes, THE_FAULT));
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(classes[i], i % 3);
    assert_fault(dataset_read_multi(x.txn, &d, back, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "labels");
    for (size_t i = 0; i < sizeof multi; i++)
        multi[i] = i % 5 == 0;
    d.label_kind = DATASET_LABELS_MULTI;
    d.role = DATASET_TEST;
    assert_ok(blob_put(x.txn, BLOB_LABELS, multi, sizeof multi, &d.labels, THE_FAULT));
    assert_ok(dataset_put(x.txn, &d, &d.digest, THE_FAULT));
    assert_ok(dataset_read_multi(x.txn, &d, back, THE_FAULT));
    assert_memory_equal(back, multi, sizeof multi);
    assert_fault(dataset_read_classes(x.txn, &d, classes, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "labels");
    kv_fixture_close(&x);
}

/* Whose rows are is no part of the content, and goes with the set. */
void test_datasets_say_whose_rows_are(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest people[ROWS], back[ROWS];
    struct dataset *found;
    memset(people, 0, sizeof people);
    for (uint32_t i = 0; i < ROWS; i++)
        people[i].b[3] = (uint8_t)(i % 4);
    kv_fixture_open(&x);
    const struct dataset plain = import(&x, DATASET_TRAIN);
    struct dataset d = plain;
    d.role = DATASET_TEST;
    assert_ok(blob_put(x.txn, BLOB_SUBJECTS, people, sizeof people, &d.subjects, THE_FAULT));
    assert_ok(dataset_put(x.txn, &d, &d.digest, THE_FAULT));
    assert_true(digest_equal(&d.digest, &plain.digest));
    assert_ok(dataset_get(x.txn, d.name, DATASET_TEST, &found, THE_FAULT));
    assert_int_equal(dataset_subject_bytes(found), sizeof people);
    assert_ok(dataset_read_subjects(x.txn, found, back, THE_FAULT));
    assert_memory_equal(back, people, sizeof people);
    datasets_free(found);
    assert_ok(dataset_get(x.txn, d.name, DATASET_TRAIN, &found, THE_FAULT));
    assert_int_equal(dataset_subject_bytes(found), 0);
    assert_ok(dataset_read_subjects(x.txn, found, back, THE_FAULT));
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(digest_is_zero(&back[i]));
    datasets_free(found);
    d.role = DATASET_PROBE;
    assert_ok(blob_put(x.txn, BLOB_SUBJECTS, people, sizeof people - 1, &d.subjects, THE_FAULT));
    assert_fault(dataset_put(x.txn, &d, &d.digest, THE_FAULT), STATUS_INVALID_ARGUMENT, "subjects");
    kv_fixture_close(&x);
}

/* Records from before sets could say whose their rows are. */
void test_datasets_read_records_of_the_first_format(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct dataset *d = NULL;
    static const uint8_t KEY[] = "fashion\0\1";
    uint8_t old[1000];
    struct kv_bytes value = {0};
    kv_fixture_open(&x);
    const struct dataset made = import(&x, DATASET_TRAIN);
    const struct kv_bytes key = kv_bytes_of(KEY, 9);
    assert_ok(kv_get(x.txn, KV_DATASETS, key, &value, THE_FAULT));
    const size_t front = 1 + 8 + DIGEST_SIZE, more = DIGEST_SIZE + SEAL_TAG_SIZE;
    assert_true(value.size < sizeof old);
    memcpy(old, value.data, front);
    memcpy(old + front, (const uint8_t *)value.data + front + more, value.size - front - more);
    old[0] = 1;
    assert_ok(kv_put(x.txn, KV_DATASETS, key, kv_bytes_of(old, value.size - more), THE_FAULT));
    assert_ok(dataset_get(x.txn, "fashion", DATASET_TRAIN, &d, THE_FAULT));
    assert_true(digest_equal(&d->digest, &made.digest));
    assert_int_equal(dataset_subject_bytes(d), 0);
    datasets_free(d);
    kv_fixture_close(&x);
}

#define REFUSED(status, field, change)                                                             \
    do {                                                                                           \
        struct dataset d = put_blobs(&x);                                                          \
        struct digest id;                                                                          \
        change;                                                                                    \
        assert_fault(dataset_put(x.txn, &d, &id, THE_FAULT), (status), (field));                   \
    } while (0)

void test_datasets_refuse_bad_records(void **state)
{
    (void)state;
    struct kv_fixture x;
    static const char *const EMPTY_NAME[] = {"a", "", "c"};
    uint8_t labels[ROWS * 4] = {0};
    struct digest bad_labels;
    struct digest bad_multi;
    kv_fixture_open(&x);
    labels[4 * 150] = 3;
    assert_ok(blob_put(x.txn, BLOB_LABELS, labels, sizeof labels, &bad_labels, THE_FAULT));
    labels[4 * 150] = 0;
    labels[ROWS * 3 - 1] = 2;
    assert_ok(blob_put(x.txn, BLOB_LABELS, labels, ROWS * 3, &bad_multi, THE_FAULT));
    REFUSED(STATUS_INVALID_ARGUMENT, "name", d.name[0] = '\0');
    REFUSED(STATUS_INVALID_ARGUMENT, "name", d.name[0] = '.');
    REFUSED(STATUS_INVALID_ARGUMENT, "name", d.name[1] = '/');
    REFUSED(STATUS_INVALID_ARGUMENT, "role", d.role = DATASET_ROLES);
    REFUSED(STATUS_INVALID_ARGUMENT, "n", d.n = 0);
    REFUSED(STATUS_INVALID_ARGUMENT, "n", d.n = DATASET_ROWS_MAX + 1);
    REFUSED(STATUS_INVALID_ARGUMENT, "height", d.height = 0);
    REFUSED(STATUS_INVALID_ARGUMENT, "width", d.width = DATASET_SIDE_MAX + 1);
    REFUSED(STATUS_INVALID_ARGUMENT, "channels", d.channels = 2);
    REFUSED(STATUS_INVALID_ARGUMENT, "label_kind", d.label_kind = (enum dataset_labels)9);
    REFUSED(STATUS_INVALID_ARGUMENT, "class_names", d.n_classes = 0);
    REFUSED(STATUS_INVALID_ARGUMENT, "class_names", d.n_classes = DATASET_CLASSES_MAX + 1);
    REFUSED(STATUS_INVALID_ARGUMENT, "class_names", d.class_names = EMPTY_NAME);
    REFUSED(STATUS_INVALID_ARGUMENT, "pixels", d.n = ROWS - 1);
    REFUSED(STATUS_INVALID_ARGUMENT, "labels", d.labels = d.pixels);
    REFUSED(STATUS_INVALID_ARGUMENT, "labels", d.labels = bad_labels);
    REFUSED(STATUS_INVALID_ARGUMENT, "labels", d.labels = bad_multi;
            d.label_kind = DATASET_LABELS_MULTI);
    REFUSED(STATUS_NOT_FOUND, "blob", d.pixels = fixture_digest(1));
    (void)import(&x, DATASET_TRAIN);
    REFUSED(STATUS_ALREADY_EXISTS, "name", (void)d);
    kv_fixture_close(&x);
}

static enum status join_names(const struct dataset *d, void *context, struct fault *f)
{
    char *to = context;
    (void)f;
    (void)snprintf(to + strlen(to), 128 - strlen(to), "%s/%s ", d->name,
                   dataset_role_name(d->role));
    return STATUS_OK;
}

void test_datasets_list_and_remove(void **state)
{
    (void)state;
    struct kv_fixture x;
    char names[128] = "";
    struct dataset *d = NULL;
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TEST);
    (void)import(&x, DATASET_TRAIN);
    struct dataset other = put_blobs(&x);
    (void)snprintf(other.name, sizeof other.name, "digits");
    assert_ok(dataset_put(x.txn, &other, &other.digest, THE_FAULT));
    assert_ok(dataset_list(x.txn, join_names, names, THE_FAULT));
    assert_string_equal(names, "digits/train fashion/train fashion/test ");
    assert_fault(dataset_remove(x.txn, "fashion", DATASET_TEST, 1, THE_FAULT),
                 STATUS_FAILED_PRECONDITION, "name");
    assert_ok(dataset_remove(x.txn, "fashion", DATASET_TEST, 0, THE_FAULT));
    assert_fault(dataset_get(x.txn, "fashion", DATASET_TEST, &d, THE_FAULT), STATUS_NOT_FOUND,
                 "name");
    assert_fault(dataset_remove(x.txn, "fashion", DATASET_TEST, 0, THE_FAULT), STATUS_NOT_FOUND,
                 "name");
    assert_fault(dataset_get(x.txn, "no such name", DATASET_TEST, &d, THE_FAULT),
                 STATUS_INVALID_ARGUMENT, "name");
    kv_fixture_close(&x);
}

void test_datasets_roles_have_names(void **state)
{
    (void)state;
    enum dataset_role role = DATASET_ROLES;
    for (unsigned i = DATASET_TRAIN; i < DATASET_ROLES; i++) {
        assert_int_equal(dataset_role_parse(dataset_role_name((enum dataset_role)i), &role), 0);
        assert_int_equal(role, i);
    }
    assert_int_equal(dataset_role_parse("training", &role), -1);
}

void test_datasets_damaged_record_is_data_loss(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct dataset *d = NULL;
    static const uint8_t KEY[] = "fashion\0\1";
    struct kv_bytes value = {0};
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TRAIN);
    const struct kv_bytes key = kv_bytes_of(KEY, 9);
    assert_ok(kv_get(x.txn, KV_DATASETS, key, &value, THE_FAULT));
    const size_t n = value.size;
    for (size_t at = 0; at < n; at++) {
        kv_fixture_falsify(&x, KV_DATASETS, key, at);
        /* The time stands outside the digest; everything else is covered. */
        if (at < 1 || at > 8)
            assert_fault(dataset_get(x.txn, "fashion", DATASET_TRAIN, &d, THE_FAULT),
                         STATUS_DATA_LOSS, "dataset");
        kv_fixture_falsify(&x, KV_DATASETS, key, at);
    }
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- uploads */

static struct upload_open upload_of(const char *content)
{
    return (struct upload_open){.id = fixture_id(77),
                                .principal = "mlops:carol",
                                .size = strlen(content),
                                .digest = seal_hash(content, strlen(content)),
                                .now_us = 1000,
                                .expires_us = 2000};
}

void test_uploads_resume_and_become_a_blob(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct upload u;
    struct digest d;
    const struct upload_open o = upload_of("the whole content");
    char back[17];
    kv_fixture_open(&x);
    assert_ok(upload_open(x.txn, &o, &u, THE_FAULT));
    assert_ok(upload_append(x.txn, &o.id, 0, "the ", 4, &u, THE_FAULT));
    assert_int_equal(u.extent.size, 4);
    kv_fixture_commit(&x);
    /* The client came back: opening again tells where to go on. */
    assert_ok(upload_open(x.txn, &o, &u, THE_FAULT));
    assert_int_equal(u.extent.size, 4);
    assert_fault(upload_close(x.txn, &o.id, BLOB_PIXELS, &d, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "upload");
    assert_fault(upload_append(x.txn, &o.id, 5, "x", 1, &u, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "offset");
    assert_ok(upload_append(x.txn, &o.id, 4, "whole content", 13, &u, THE_FAULT));
    /* A repeated piece is acknowledged and changes nothing. */
    assert_ok(upload_append(x.txn, &o.id, 4, "whole content", 13, &u, THE_FAULT));
    assert_int_equal(u.extent.size, 17);
    assert_fault(upload_append(x.txn, &o.id, 17, "x", 1, &u, THE_FAULT), STATUS_OUT_OF_RANGE,
                 "offset");
    assert_ok(upload_close(x.txn, &o.id, BLOB_PIXELS, &d, THE_FAULT));
    assert_true(digest_equal(&d, &o.digest));
    assert_ok(blob_read(x.txn, &d, back, sizeof back, THE_FAULT));
    assert_memory_equal(back, "the whole content", 17);
    assert_fault(upload_get(x.txn, &o.id, &u, THE_FAULT), STATUS_NOT_FOUND, "upload");
    kv_fixture_close(&x);
}

void test_uploads_wrong_content_is_refused(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct upload u;
    struct digest d;
    uint64_t chunks = 1;
    const struct upload_open o = upload_of("content");
    kv_fixture_open(&x);
    assert_ok(upload_open(x.txn, &o, &u, THE_FAULT));
    assert_ok(upload_append(x.txn, &o.id, 0, "kontent", 7, &u, THE_FAULT));
    assert_fault(upload_close(x.txn, &o.id, BLOB_PIXELS, &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "digest");
    assert_ok(upload_abort(x.txn, &o.id, THE_FAULT));
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 0);
    kv_fixture_close(&x);
}

void test_uploads_refuse_bad_openings(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct upload u;
    struct upload_open o = upload_of("content");
    kv_fixture_open(&x);
    memset(&o.id, 0, sizeof o.id);
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_INVALID_ARGUMENT, "upload");
    o = upload_of("content");
    o.size = 0;
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_INVALID_ARGUMENT, "size");
    o.size = EXTENT_SIZE_MAX + 1;
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_INVALID_ARGUMENT, "size");
    o = upload_of("content");
    o.principal = "";
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_INVALID_ARGUMENT, "principal");
    o = upload_of("content");
    o.expires_us = o.now_us;
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_INVALID_ARGUMENT, "expires");
    o = upload_of("content");
    assert_ok(upload_open(x.txn, &o, &u, THE_FAULT));
    o.size = 8;
    assert_fault(upload_open(x.txn, &o, &u, THE_FAULT), STATUS_ALREADY_EXISTS, "upload");
    assert_fault(upload_append(x.txn, &o.id, 0, "x", 0, &u, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "chunk");
    assert_fault(upload_append(x.txn, &o.id, 0, "x", UPLOAD_CHUNK_MAX + 1, &u, THE_FAULT),
                 STATUS_INVALID_ARGUMENT, "chunk");
    assert_fault(upload_append(x.txn, &o.id, UINT64_MAX, "x", 1, &u, THE_FAULT),
                 STATUS_OUT_OF_RANGE, "offset");
    kv_fixture_close(&x);
}

void test_uploads_expire_and_count_against_their_client(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct upload u;
    uint64_t bytes = 0;
    uint64_t chunks = 9;
    size_t removed = 9;
    struct upload_open o = upload_of("content");
    kv_fixture_open(&x);
    for (unsigned i = 1; i <= 3; i++) {
        o.id = fixture_id(i);
        o.expires_us = 1000 + 1000 * (int64_t)i;
        assert_ok(upload_open(x.txn, &o, &u, THE_FAULT));
        assert_ok(upload_append(x.txn, &o.id, 0, "con", 3, &u, THE_FAULT));
    }
    assert_ok(upload_pledged(x.txn, "mlops:carol", &bytes, THE_FAULT));
    assert_int_equal(bytes, 21);
    assert_ok(upload_pledged(x.txn, "mlops:dave", &bytes, THE_FAULT));
    assert_int_equal(bytes, 0);
    assert_ok(upload_expire(x.txn, 1999, &removed, THE_FAULT));
    assert_int_equal(removed, 0);
    assert_ok(upload_expire(x.txn, 3000, &removed, THE_FAULT));
    assert_int_equal(removed, 2);
    assert_ok(kv_count(x.txn, KV_CHUNKS, &chunks, THE_FAULT));
    assert_int_equal(chunks, 1);
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- replay memories */

static const uint32_t ROWS_A[] = {0, 3, 6};
static const uint32_t ROWS_B[] = {1, 199};
static const uint32_t ROWS_C[] = {0};

static void make_lists(struct replay_memory_list lists[3])
{
    lists[0] = (struct replay_memory_list){DATASET_TRAIN, 0, ROWS_A, 3};
    lists[1] = (struct replay_memory_list){DATASET_TRAIN, 1, ROWS_B, 2};
    lists[2] = (struct replay_memory_list){DATASET_TEST, 0, ROWS_C, 1};
}

void test_replay_memory_round_trip(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct replay_memory_list lists[3];
    struct replay_memory *m = NULL;
    struct digest d;
    make_lists(lists);
    const struct replay_memory in = {
        .name = "base", .dataset = "fashion", .lists = lists, .n_lists = 3};
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TRAIN);
    (void)import(&x, DATASET_TEST);
    assert_ok(replay_memory_put(x.txn, &in, &d, THE_FAULT));
    kv_fixture_commit(&x);
    assert_ok(replay_memory_get(x.txn, "base", &m, THE_FAULT));
    assert_true(digest_equal(&m->digest, &d));
    assert_string_equal(m->dataset, "fashion");
    assert_int_equal(m->n_lists, 3);
    const struct replay_memory_list *l = replay_memory_find(m, DATASET_TRAIN, 1);
    assert_non_null(l);
    assert_int_equal(l->n_rows, 2);
    assert_memory_equal(l->rows, ROWS_B, sizeof ROWS_B);
    assert_null(replay_memory_find(m, DATASET_TEST, 1));
    replay_memory_free(m);
    assert_fault(replay_memory_get(x.txn, "absent", &m, THE_FAULT), STATUS_NOT_FOUND, "memory");
    assert_fault(replay_memory_get(x.txn, "../x", &m, THE_FAULT), STATUS_NOT_FOUND, "memory");
    kv_fixture_close(&x);
}

void test_replay_memory_loses_an_erased_class(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct replay_memory_list lists[3];
    struct replay_memory *m = NULL;
    struct digest d;
    uint64_t rows = 0;
    make_lists(lists);
    const struct replay_memory in = {
        .name = "base", .dataset = "fashion", .lists = lists, .n_lists = 3};
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TRAIN);
    (void)import(&x, DATASET_TEST);
    assert_ok(replay_memory_put(x.txn, &in, &d, THE_FAULT));
    assert_ok(replay_memory_remove_class(x.txn, "base", 0, &rows, THE_FAULT));
    assert_int_equal(rows, 4);
    assert_ok(replay_memory_get(x.txn, "base", &m, THE_FAULT));
    assert_int_equal(m->n_lists, 1);
    assert_int_equal(m->lists[0].class_index, 1);
    assert_false(digest_equal(&m->digest, &d));
    replay_memory_free(m);
    assert_ok(replay_memory_remove_class(x.txn, "base", 2, &rows, THE_FAULT));
    assert_int_equal(rows, 0);
    kv_fixture_close(&x);
}

void test_replay_memory_refuses_what_does_not_exist(void **state)
{
    (void)state;
    struct kv_fixture x;
    static const uint32_t OUTSIDE[] = {5, ROWS};
    static const uint32_t FALLING[] = {5, 5};
    struct replay_memory_list lists[3];
    struct replay_memory m = {.name = "base", .dataset = "fashion", .lists = lists, .n_lists = 3};
    struct digest d;
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TRAIN);
    make_lists(lists);
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_NOT_FOUND, "name");
    m.n_lists = 2;
    assert_ok(replay_memory_put(x.txn, &m, &d, THE_FAULT));
    lists[1].rows = OUTSIDE;
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "lists.rows");
    lists[1].rows = FALLING;
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "lists.rows");
    make_lists(lists);
    lists[1].class_index = 3;
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "lists.class_index");
    lists[1].class_index = 0;
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT, "lists");
    make_lists(lists);
    lists[0].role = (enum dataset_role)0;
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "lists.role");
    m.name[0] = '-';
    assert_fault(replay_memory_put(x.txn, &m, &d, THE_FAULT), STATUS_INVALID_ARGUMENT, "name");
    kv_fixture_close(&x);
}

void test_replay_memory_keeps_its_data_set(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct replay_memory_list lists[3];
    const struct replay_memory m = {
        .name = "base", .dataset = "fashion", .lists = lists, .n_lists = 2};
    struct digest d;
    make_lists(lists);
    kv_fixture_open(&x);
    (void)import(&x, DATASET_TRAIN);
    (void)import(&x, DATASET_TEST);
    assert_ok(replay_memory_put(x.txn, &m, &d, THE_FAULT));
    assert_fault(dataset_remove(x.txn, "fashion", DATASET_TRAIN, 0, THE_FAULT),
                 STATUS_FAILED_PRECONDITION, "name");
    assert_ok(dataset_remove(x.txn, "fashion", DATASET_TEST, 0, THE_FAULT));
    assert_ok(replay_memory_remove(x.txn, "base", THE_FAULT));
    assert_fault(replay_memory_remove(x.txn, "base", THE_FAULT), STATUS_NOT_FOUND, "memory");
    assert_ok(dataset_remove(x.txn, "fashion", DATASET_TRAIN, 0, THE_FAULT));
    kv_fixture_close(&x);
}

/* Blanked rows are zero, the others as they were; name, digest and numbering stay. */
void test_datasets_blanked_rows(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct dataset *d = NULL;
    struct digest pixels;
    struct digest subjects;
    static const uint32_t ROW[] = {1};
    static const uint32_t ALL[] = {0, 1, 2};
    static const uint32_t BAD[] = {ROWS};
    uint8_t before[3 * PIXEL], after[3 * PIXEL];
    static const uint8_t zero[PIXEL];
    kv_fixture_open(&x);
    const struct dataset made = import(&x, DATASET_TRAIN);
    assert_ok(dataset_get(x.txn, "fashion", DATASET_TRAIN, &d, THE_FAULT));
    assert_ok(dataset_read_rows(x.txn, d, ALL, 3, before, THE_FAULT));
    datasets_free(d);
    for (unsigned again = 0; again < 2; again++) {
        assert_ok(dataset_blank_rows(x.txn, "fashion", DATASET_TRAIN, ROW, 1, &pixels, &subjects,
                                     THE_FAULT));
        assert_true(digest_is_zero(&subjects));
        assert_int_equal(digest_equal(&pixels, &made.pixels), again == 0);
        kv_fixture_commit(&x);
        assert_ok(dataset_get(x.txn, "fashion", DATASET_TRAIN, &d, THE_FAULT));
        assert_true(digest_equal(&d->digest, &made.digest));
        assert_false(digest_equal(&d->pixels, &made.pixels));
        assert_ok(dataset_read_rows(x.txn, d, ALL, 3, after, THE_FAULT));
        datasets_free(d);
        assert_memory_equal(after, before, PIXEL);
        assert_memory_equal(after + PIXEL, zero, PIXEL);
        assert_memory_equal(after + 2 * PIXEL, before + 2 * PIXEL, PIXEL);
    }
    assert_fault(
        dataset_blank_rows(x.txn, "fashion", DATASET_TRAIN, BAD, 1, &pixels, &subjects, THE_FAULT),
        STATUS_OUT_OF_RANGE, "rows");
    kv_fixture_close(&x);
}
