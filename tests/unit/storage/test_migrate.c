/* Schema versions: fresh, older with and without a way forward, newer, damaged. */
#include "tests/support/store_fixture.h"

#include "storage/kv/migrate.h"

static const char KEY[] = "schema";

static void set_schema(struct kv_fixture *x, const void *bytes, size_t n)
{
    assert_ok(kv_put(x->txn, KV_META, kv_bytes_of(KEY, 6), kv_bytes_of(bytes, n), THE_FAULT));
}

static uint32_t schema(struct kv_fixture *x)
{
    struct kv_bytes v = {0};
    assert_ok(kv_get(x->txn, KV_META, kv_bytes_of(KEY, 6), &v, THE_FAULT));
    struct byte_reader r = byte_reader_make(v.data, v.size);
    return get_u32(&r);
}

/* Each step notes that it ran, in order. */
static enum status note(struct kv_txn *txn, char c, struct fault *f)
{
    char text[8] = "";
    struct kv_bytes v = {0};
    const enum status st = kv_get(txn, KV_META, kv_bytes_of("steps", 5), &v, f);
    if (st == STATUS_OK)
        memcpy(text, v.data, v.size);
    text[strlen(text)] = c;
    return kv_put(txn, KV_META, kv_bytes_of("steps", 5), kv_bytes_of(text, strlen(text)), f);
}

static enum status step_1(struct kv_txn *txn, struct fault *f)
{
    return note(txn, '1', f);
}

static enum status step_2(struct kv_txn *txn, struct fault *f)
{
    return note(txn, '2', f);
}

static enum status step_bad(struct kv_txn *txn, struct fault *f)
{
    (void)txn;
    FAIL(f, STATUS_DATA_LOSS, "record", "cannot be converted");
}

static const struct migration TABLE[] = {{1, step_1}, {2, step_2}};

void test_migrate_fresh_store_has_the_current_schema(void **state)
{
    (void)state;
    struct kv_fixture x;
    kv_fixture_open(&x);
    assert_int_equal(schema(&x), SCHEMA_VERSION);
    kv_fixture_close(&x);
}

void test_migrate_runs_the_steps_in_order(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct kv_bytes v = {0};
    kv_fixture_open(&x);
    set_schema(&x, "\1\0\0\0", 4);
    assert_ok(migrate_store_to(x.txn, 3, TABLE, 2, THE_FAULT));
    assert_int_equal(schema(&x), 3);
    assert_ok(kv_get(x.txn, KV_META, kv_bytes_of("steps", 5), &v, THE_FAULT));
    assert_int_equal(v.size, 2);
    assert_memory_equal(v.data, "12", 2);
    assert_ok(migrate_store_to(x.txn, 3, TABLE, 2, THE_FAULT));
    assert_ok(kv_get(x.txn, KV_META, kv_bytes_of("steps", 5), &v, THE_FAULT));
    assert_int_equal(v.size, 2);
    kv_fixture_close(&x);
}

void test_migrate_without_a_way_forward(void **state)
{
    (void)state;
    struct kv_fixture x;
    kv_fixture_open(&x);
    set_schema(&x, "\1\0\0\0", 4);
    assert_fault(migrate_store_to(x.txn, 4, TABLE, 2, THE_FAULT), STATUS_FAILED_PRECONDITION,
                 "schema");
    kv_fixture_close(&x);
}

void test_migrate_failed_step_says_which(void **state)
{
    (void)state;
    struct kv_fixture x;
    static const struct migration BAD[] = {{1, step_bad}};
    kv_fixture_open(&x);
    set_schema(&x, "\1\0\0\0", 4);
    assert_fault(migrate_store_to(x.txn, 2, BAD, 1, THE_FAULT), STATUS_DATA_LOSS, "record");
    assert_non_null(strstr(the_fault.text, "schema 1"));
    kv_fixture_close(&x);
}

void test_migrate_refuses_newer_and_damaged(void **state)
{
    (void)state;
    struct kv_fixture x;
    kv_fixture_open(&x);
    set_schema(&x, "\x7f\0\0\0", 4);
    assert_fault(migrate_store(x.txn, THE_FAULT), STATUS_STORE_NEWER, "schema");
    set_schema(&x, "\0\0\0\0", 4);
    assert_fault(migrate_store(x.txn, THE_FAULT), STATUS_DATA_LOSS, "schema");
    set_schema(&x, "\1\0\0", 3);
    assert_fault(migrate_store(x.txn, THE_FAULT), STATUS_DATA_LOSS, "schema");
    kv_fixture_close(&x);
}

/* A whole store of a newer schema is refused when it is opened, and stays as it was. */
void test_migrate_newer_store_is_left_alone(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct kv *kv = NULL;
    char folder[300];
    kv_fixture_open(&x);
    set_schema(&x, "\7\0\0\0", 4);
    kv_fixture_commit(&x);
    kv_abort(x.txn);
    vault_close(x.vault);
    kv_close(x.kv);
    (void)snprintf(folder, sizeof folder, "%s/kv", x.root);
    const struct kv_options o = {.folder = folder};
    for (size_t i = 0; i < 2; i++)
        assert_fault(kv_open(&o, &kv, THE_FAULT), STATUS_STORE_NEWER, "schema");
    assert_non_null(strstr(the_fault.text, "7"));
    assert_null(kv);
    test_support_rmdir(x.root);
}
