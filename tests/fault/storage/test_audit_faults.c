/*
 * The n-th database call of a change that also appends to the log fails, for n = 1, 2, ...: the
 * change and its entry are both there or neither is, and the tree is sound.
 */
#include "tests/support/store_fixture.h"

#include "storage/audit/audit_log.h"

#include <errno.h>

#define ENTRIES    9u
#define FAULTS_MAX 200u

static enum status change(struct kv_txn *txn, void *context, struct fault *f)
{
    const unsigned *n = context;
    char text[40];
    uint64_t index = 0;
    const int size = snprintf(text, sizeof text, "change %u\n", *n);
    TRY(kv_put(txn, KV_META, kv_bytes_of("change", 6), kv_bytes_of(n, sizeof *n), f));
    return audit_append(txn, text, (size_t)size, &index, f);
}

static void no_finding(uint64_t index, const char *how, void *context)
{
    (void)context;
    fail_msg("entry %llu: %s", (unsigned long long)index, how);
}

/* Entries of a sound log whose last one is that of the last change. */
static uint64_t look(struct kv *kv)
{
    struct kv_txn *txn;
    struct kv_bytes value = {0};
    uint64_t entries = 0;
    unsigned n = 0;
    assert_ok(kv_begin(kv, KV_READ, &txn, THE_FAULT));
    assert_ok(audit_check(txn, no_finding, NULL, &entries, THE_FAULT));
    if (kv_get(txn, KV_META, kv_bytes_of("change", 6), &value, THE_FAULT) == STATUS_OK) {
        assert_int_equal(value.size, sizeof n);
        memcpy(&n, value.data, sizeof n);
    }
    kv_abort(txn);
    assert_int_equal(entries, n);
    return entries;
}

static void every_call_fails(enum sysio_call call, int errnum, uint64_t at_least)
{
    struct kv_fixture x;
    uint64_t failures = 0;
    kv_fixture_open(&x);
    kv_abort(x.txn);
    x.txn = NULL;
    for (unsigned n = 1; n <= ENTRIES; n++) {
        enum status st = STATUS_IO_ERROR;
        for (uint64_t at = 1; st != STATUS_OK; at++) {
            struct fault f = {0};
            assert_true(at < FAULTS_MAX);
            sysio_fail_at(call, at, 1, errnum);
            st = kv_update(x.kv, change, &n, &f);
            sysio_fail_at(call, 0, 0, 0);
            failures += st != STATUS_OK;
            assert_int_equal(look(x.kv), st == STATUS_OK ? n : n - 1);
        }
    }
    print_message("%llu calls failed in turn\n", (unsigned long long)failures);
    assert_true(failures >= at_least);
    kv_fixture_close(&x);
}

void test_audit_faults_database_calls_no_space(void **state)
{
    (void)state;
    every_call_fails(SYSIO_KV, ENOSPC, 5 * ENTRIES);
}

void test_audit_faults_database_calls_io_error(void **state)
{
    (void)state;
    every_call_fails(SYSIO_KV, EIO, 5 * ENTRIES);
}

void test_audit_faults_allocations(void **state)
{
    (void)state;
    every_call_fails(SYSIO_ALLOC, ENOMEM, ENTRIES);
}
