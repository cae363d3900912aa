/* Versions in the store and the serving pointer: parents, numbers, swap, history, pins. */
#include "tests/support/store_fixture.h"

#include "storage/versions/serving.h"
#include "storage/versions/versions.h"

/* Stores version `number` with one base blob and the given erasures. */
static struct digest add_version(struct kv_fixture *x,
                                 uint64_t number,
                                 const struct digest *parent,
                                 const struct request_id *erasures,
                                 size_t n_erasures)
{
    struct digest blob;
    struct digest id = {0};
    assert_ok(blob_put(x->txn, BLOB_COMPONENT, "base", 4, &blob, THE_FAULT));
    const struct version_component c = {
        .kind = VERSION_KIND_BASE, .name = "base", .blob = blob, .bytes = 4};
    struct version v = {.number = number,
                        .kernel = "Test",
                        .components = &c,
                        .n_components = 1,
                        .erasures = erasures,
                        .n_erasures = n_erasures};
    if (parent)
        v.parent = *parent;
    assert_ok(version_put(x->txn, &v, &id, THE_FAULT));
    return id;
}

void test_versions_are_found_by_digest_and_number(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint64_t number = 0;
    uint64_t latest = 9;
    struct digest d;
    struct version *v = NULL;
    kv_fixture_open(&x);
    assert_ok(version_latest(x.txn, &latest, THE_FAULT));
    assert_int_equal(latest, 0);
    const struct digest first = add_version(&x, 1, NULL, NULL, 0);
    const struct digest second = add_version(&x, 2, &first, NULL, 0);
    kv_fixture_commit(&x);
    assert_ok(version_latest(x.txn, &latest, THE_FAULT));
    assert_int_equal(latest, 2);
    assert_ok(version_by_number(x.txn, 2, &d, THE_FAULT));
    assert_true(digest_equal(&d, &second));
    assert_ok(version_number(x.txn, &first, &number, THE_FAULT));
    assert_int_equal(number, 1);
    assert_ok(version_get(x.txn, &second, &v, THE_FAULT));
    assert_true(digest_equal(&v->parent, &first));
    version_free(v);
    assert_fault(version_by_number(x.txn, 3, &d, THE_FAULT), STATUS_NOT_FOUND, "version");
    d = fixture_digest(1);
    assert_fault(version_get(x.txn, &d, &v, THE_FAULT), STATUS_NOT_FOUND, "version");
    kv_fixture_close(&x);
}

void test_versions_need_parent_number_and_blobs(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest id;
    kv_fixture_open(&x);
    const struct digest first = add_version(&x, 1, NULL, NULL, 0);
    struct version_component c = {
        .kind = "base", .name = "base", .blob = seal_hash("base", 4), .bytes = 4};
    struct version v = {
        .number = 3, .parent = first, .kernel = "", .components = &c, .n_components = 1};
    assert_fault(version_put(x.txn, &v, &id, THE_FAULT), STATUS_FAILED_PRECONDITION, "number");
    v.number = 2;
    v.parent = fixture_digest(1);
    assert_fault(version_put(x.txn, &v, &id, THE_FAULT), STATUS_FAILED_PRECONDITION, "parent");
    v.parent = first;
    c.bytes = 5;
    assert_fault(version_put(x.txn, &v, &id, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "components.bytes");
    c.bytes = 4;
    c.blob = fixture_digest(2);
    assert_fault(version_put(x.txn, &v, &id, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "components.blob");
    c.blob = seal_hash("base", 4);
    v.report = fixture_digest(3);
    assert_fault(version_put(x.txn, &v, &id, THE_FAULT), STATUS_FAILED_PRECONDITION, "report");
    assert_ok(blob_put(x.txn, BLOB_REPORT, "report", 6, &v.report, THE_FAULT));
    assert_ok(version_put(x.txn, &v, &id, THE_FAULT));
    kv_fixture_close(&x);
}

void test_versions_resolve_what_people_type(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    char text[DIGEST_TEXT_SIZE];
    kv_fixture_open(&x);
    const struct digest first = add_version(&x, 1, NULL, NULL, 0);
    const struct digest second = add_version(&x, 2, &first, NULL, 0);
    digest_format(&second, text);
    assert_ok(version_resolve(x.txn, text, &d, THE_FAULT));
    assert_true(digest_equal(&d, &second));
    text[8] = '\0';
    for (size_t i = 0; text[i]; i++) {
        if (text[i] >= 'a')
            text[i] = (char)(text[i] - 'a' + 'A');
    }
    assert_ok(version_resolve(x.txn, text, &d, THE_FAULT));
    assert_true(digest_equal(&d, &second));
    assert_ok(version_resolve(x.txn, "#1", &d, THE_FAULT));
    assert_true(digest_equal(&d, &first));
    assert_fault(version_resolve(x.txn, "#3", &d, THE_FAULT), STATUS_NOT_FOUND, "version");
    static const char *const BAD[] = {
        "", "#", "#x", "#-1", "abc", "xyzw", "#99999999999999999999999"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_fault(version_resolve(x.txn, BAD[i], &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                     "version");
    assert_fault(version_resolve(x.txn, "ffffffffffffffff", &d, THE_FAULT), STATUS_NOT_FOUND,
                 "version");
    kv_fixture_close(&x);
}

/* Two digests with the same first digits, made by hand in the index. */
void test_versions_resolve_refuses_an_ambiguous_prefix(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct digest d;
    struct digest near = {{0xab, 0xcd, 0xef, 0x01}};
    static const uint8_t NUMBER[8] = {1};
    kv_fixture_open(&x);
    for (unsigned i = 0; i < 2; i++) {
        near.b[31] = (uint8_t)i;
        assert_ok(kv_put(x.txn, KV_VERSION_DIGEST, kv_bytes_of(near.b, DIGEST_SIZE),
                         kv_bytes_of(NUMBER, 8), THE_FAULT));
    }
    assert_fault(version_resolve(x.txn, "abcdef01", &d, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "version");
    assert_fault(version_resolve(x.txn, "abce", &d, THE_FAULT), STATUS_NOT_FOUND, "version");
    kv_fixture_close(&x);
}

void test_versions_damaged_manifest_is_data_loss(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint8_t key[KV_KEY_MAX];
    struct version *v = NULL;
    kv_fixture_open(&x);
    const struct digest id = add_version(&x, 1, NULL, NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct kv_bytes k = kv_bytes_of(key, kv_fixture_key(&x, KV_CHUNKS, i, key));
        kv_fixture_damage(&x, KV_CHUNKS, k, 20);
    }
    assert_fault(version_get(x.txn, &id, &v, THE_FAULT), STATUS_DATA_LOSS, "chunk");
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- serving */

static enum status
swap(struct kv_fixture *x, uint64_t expected, struct digest version, int64_t now_us)
{
    struct serving s;
    const struct serving_move m = {
        .expected_generation = expected, .version = version, .now_us = now_us};
    return serving_swap(x->txn, &m, &s, THE_FAULT);
}

void test_serving_swap_is_compare_and_swap(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct serving s;
    kv_fixture_open(&x);
    const struct digest a = add_version(&x, 1, NULL, NULL, 0);
    const struct digest b = add_version(&x, 2, &a, NULL, 0);
    assert_int_equal(serving_get(x.txn, &s, THE_FAULT), STATUS_NOT_FOUND);
    assert_fault(swap(&x, 1, a, 100), STATUS_ABORTED, "generation");
    assert_ok(swap(&x, 0, a, 100));
    assert_fault(swap(&x, 0, b, 200), STATUS_ABORTED, "generation");
    assert_fault(swap(&x, 1, fixture_digest(9), 200), STATUS_NOT_FOUND, "version");
    assert_ok(swap(&x, 1, b, 200));
    assert_ok(serving_get(x.txn, &s, THE_FAULT));
    assert_int_equal(s.generation, 2);
    assert_true(digest_equal(&s.version, &b));
    assert_int_equal(s.since_us, 200);
    assert_false(s.clock_held);
    kv_fixture_close(&x);
}

void test_serving_refuses_to_bring_erased_state_back(void **state)
{
    (void)state;
    struct kv_fixture x;
    const struct request_id erasures[] = {fixture_id(1), fixture_id(2)};
    char text[REQUEST_ID_TEXT_SIZE];
    kv_fixture_open(&x);
    const struct digest none = add_version(&x, 1, NULL, NULL, 0);
    const struct digest one = add_version(&x, 2, &none, erasures, 1);
    const struct digest both = add_version(&x, 3, &one, erasures, 2);
    assert_ok(swap(&x, 0, none, 1));
    assert_ok(swap(&x, 1, one, 2));
    assert_ok(swap(&x, 2, both, 3));
    assert_fault(swap(&x, 3, one, 4), STATUS_FAILED_PRECONDITION, "version");
    request_id_format(&erasures[1], text);
    assert_non_null(strstr(the_fault.text, text));
    assert_fault(swap(&x, 3, none, 4), STATUS_FAILED_PRECONDITION, "version");
    assert_non_null(strstr(the_fault.text, "2 erasures"));
    assert_ok(swap(&x, 3, both, 4));
    kv_fixture_close(&x);
}

void test_serving_at_finds_what_served_then(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct serving s;
    kv_fixture_open(&x);
    const struct digest a = add_version(&x, 1, NULL, NULL, 0);
    const struct digest b = add_version(&x, 2, &a, NULL, 0);
    assert_ok(swap(&x, 0, a, 100));
    assert_ok(swap(&x, 1, b, 200));
    assert_ok(swap(&x, 2, a, 150)); /* the clock went back: held at 200 */
    assert_fault(serving_at(x.txn, 99, &s, THE_FAULT), STATUS_NOT_FOUND, "time");
    assert_ok(serving_at(x.txn, 100, &s, THE_FAULT));
    assert_int_equal(s.generation, 1);
    assert_ok(serving_at(x.txn, 199, &s, THE_FAULT));
    assert_int_equal(s.generation, 1);
    assert_ok(serving_at(x.txn, 1000, &s, THE_FAULT));
    assert_int_equal(s.generation, 3);
    assert_int_equal(s.since_us, 200);
    assert_true(s.clock_held);
    assert_ok(serving_generation(x.txn, 2, &s, THE_FAULT));
    assert_true(digest_equal(&s.version, &b));
    assert_int_equal(serving_generation(x.txn, 4, &s, THE_FAULT), STATUS_NOT_FOUND);
    kv_fixture_close(&x);
}

static enum status add_generation(const struct serving *s, void *context, struct fault *f)
{
    uint64_t *digits = context;
    (void)f;
    *digits = *digits * 10 + s->generation;
    return STATUS_OK;
}

void test_serving_history_is_newest_first(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint64_t digits = 0;
    kv_fixture_open(&x);
    const struct digest a = add_version(&x, 1, NULL, NULL, 0);
    for (uint64_t g = 0; g < 4; g++)
        assert_ok(swap(&x, g, a, 100));
    assert_ok(serving_history(x.txn, 0, add_generation, &digits, THE_FAULT));
    assert_int_equal(digits, 4321);
    digits = 0;
    assert_ok(serving_history(x.txn, 2, add_generation, &digits, THE_FAULT));
    assert_int_equal(digits, 43);
    kv_fixture_close(&x);
}

void test_serving_pins(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct serving_pin pin;
    kv_fixture_open(&x);
    const struct digest a = add_version(&x, 1, NULL, NULL, 0);
    assert_int_equal(serving_pinned(x.txn, &a, &pin, THE_FAULT), STATUS_NOT_FOUND);
    pin = (struct serving_pin){.version = a, .since_us = 77, .who = "mlops:carol"};
    assert_ok(serving_pin(x.txn, &pin, THE_FAULT));
    pin.since_us = 88;
    assert_ok(serving_pin(x.txn, &pin, THE_FAULT));
    assert_ok(serving_pinned(x.txn, &a, &pin, THE_FAULT));
    assert_int_equal(pin.since_us, 77);
    assert_string_equal(pin.who, "mlops:carol");
    assert_ok(serving_unpin(x.txn, &a, THE_FAULT));
    assert_fault(serving_unpin(x.txn, &a, THE_FAULT), STATUS_NOT_FOUND, "version");
    pin.version = fixture_digest(1);
    assert_fault(serving_pin(x.txn, &pin, THE_FAULT), STATUS_NOT_FOUND, "version");
    kv_fixture_close(&x);
}
