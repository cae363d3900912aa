/* The log in LMDB: appending, proofs for every size up to 300, the check against every damage. */
#include "tests/support/store_fixture.h"

#include "storage/audit/audit_log.h"

#define SIZES 300u

static void append(struct kv_fixture *x, unsigned n)
{
    char entry[40];
    uint64_t index = UINT64_MAX;
    const int size = snprintf(entry, sizeof entry, "entry %u\n", n);
    assert_ok(audit_append(x->txn, entry, (size_t)size, &index, THE_FAULT));
    assert_int_equal(index, n);
}

static struct sha256 leaf_of(struct kv_fixture *x, uint64_t index)
{
    struct kv_bytes entry = {0};
    assert_ok(audit_entry(x->txn, index, &entry, THE_FAULT));
    return merkle_leaf(entry.data, entry.size);
}

/* RFC 9162, 2.1.1, word for word: slow, and shares nothing with the stored nodes. */
static struct sha256 naive_root(struct kv_fixture *x, uint64_t from, uint64_t n)
{
    uint64_t k = 1;
    if (n == 0)
        return merkle_empty();
    if (n == 1)
        return leaf_of(x, from);
    while (2 * k < n)
        k *= 2;
    const struct sha256 left = naive_root(x, from, k);
    const struct sha256 right = naive_root(x, from + k, n - k);
    return merkle_node(&left, &right);
}

void test_audit_log_roots_of_all_sizes(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct audit_head h;
    kv_fixture_open(&x);
    for (unsigned n = 0; n <= SIZES; n++) {
        const struct sha256 want = naive_root(&x, 0, n);
        assert_ok(audit_head_get(x.txn, &h, THE_FAULT));
        assert_int_equal(h.range.size, n);
        assert_true(sha256_equal(&h.root, &want));
        append(&x, n);
    }
    for (unsigned n = 0; n <= SIZES; n++) {
        struct sha256 root;
        const struct sha256 want = naive_root(&x, 0, n);
        assert_ok(audit_root_at(x.txn, n, &root, THE_FAULT));
        assert_true(sha256_equal(&root, &want));
    }
    kv_fixture_close(&x);
}

void test_audit_log_inclusion_of_every_entry(void **state)
{
    (void)state;
    struct kv_fixture x;
    struct merkle_proof proof;
    kv_fixture_open(&x);
    for (unsigned n = 1; n <= SIZES; n++) {
        append(&x, n - 1);
        if (n % 64 == 0)
            kv_fixture_commit(&x);
    }
    for (uint64_t size = 1; size <= SIZES; size += size < 70 ? 1 : 23) {
        struct sha256 root;
        assert_ok(audit_root_at(x.txn, size, &root, THE_FAULT));
        for (uint64_t i = 0; i < size; i++) {
            struct sha256 leaf = leaf_of(&x, i);
            assert_ok(audit_prove_inclusion(x.txn, i, size, &proof, THE_FAULT));
            assert_true(merkle_verify_inclusion(&leaf, i, size, &proof, &root));
            leaf.b[0] ^= 1;
            assert_false(merkle_verify_inclusion(&leaf, i, size, &proof, &root));
        }
    }
    assert_fault(audit_prove_inclusion(x.txn, 0, SIZES + 1, &proof, THE_FAULT), STATUS_OUT_OF_RANGE,
                 "size");
    assert_int_equal(audit_prove_inclusion(x.txn, SIZES, SIZES, &proof, THE_FAULT),
                     STATUS_OUT_OF_RANGE);
    kv_fixture_close(&x);
}

void test_audit_log_consistency_of_all_pairs(void **state)
{
    (void)state;
    static struct sha256 roots[SIZES + 1];
    struct kv_fixture x;
    struct merkle_proof proof;
    kv_fixture_open(&x);
    for (unsigned n = 0; n < SIZES; n++)
        append(&x, n);
    for (unsigned n = 0; n <= SIZES; n++)
        assert_ok(audit_root_at(x.txn, n, &roots[n], THE_FAULT));
    for (uint64_t new = 1; new <= SIZES; new += new < 40 ? 1 : 13) {
        for (uint64_t old = 1; old <= new; old++) {
            assert_ok(audit_prove_consistency(x.txn, old, new, &proof, THE_FAULT));
            assert_true(merkle_verify_consistency(old, new, &roots[old], &roots[new], &proof));
            assert_true(old == new ||
                        !merkle_verify_consistency(old, new, &roots[old - 1], &roots[new], &proof));
        }
    }
    assert_fault(audit_prove_consistency(x.txn, 1, SIZES + 1, &proof, THE_FAULT),
                 STATUS_OUT_OF_RANGE, "size");
    kv_fixture_close(&x);
}

void test_audit_log_sizes_of_entries(void **state)
{
    (void)state;
    static const char BYTES[AUDIT_ENTRY_MAX + 1];
    struct kv_fixture x;
    struct audit_head h;
    struct kv_bytes entry = {0};
    uint64_t index = 7;
    kv_fixture_open(&x);
    assert_fault(audit_append(x.txn, BYTES, 0, &index, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "entry");
    assert_fault(audit_append(x.txn, BYTES, sizeof BYTES, &index, THE_FAULT),
                 STATUS_INVALID_ARGUMENT, "entry");
    assert_int_equal(index, 7);
    assert_ok(audit_append(x.txn, BYTES, AUDIT_ENTRY_MAX, &index, THE_FAULT));
    assert_ok(audit_head_get(x.txn, &h, THE_FAULT));
    assert_int_equal(h.range.size, 1);
    assert_fault(audit_entry(x.txn, 1, &entry, THE_FAULT), STATUS_NOT_FOUND, "index");
    kv_fixture_close(&x);
}

void test_audit_log_keeps_the_checkpoint(void **state)
{
    (void)state;
    static const char TOO_LONG[AUDIT_CHECKPOINT_MAX + 1];
    struct kv_fixture x;
    struct audit_head h;
    kv_fixture_open(&x);
    append(&x, 0);
    assert_ok(audit_set_checkpoint(x.txn, "signed", 6, THE_FAULT));
    kv_fixture_commit(&x);
    append(&x, 1);
    assert_ok(audit_head_get(x.txn, &h, THE_FAULT));
    assert_int_equal(h.range.size, 2);
    assert_int_equal(h.checkpoint_size, 6);
    assert_memory_equal(h.checkpoint, "signed", 6);
    assert_fault(audit_set_checkpoint(x.txn, "", 0, THE_FAULT), STATUS_INVALID_ARGUMENT,
                 "checkpoint");
    assert_fault(audit_set_checkpoint(x.txn, TOO_LONG, sizeof TOO_LONG, THE_FAULT),
                 STATUS_INVALID_ARGUMENT, "checkpoint");
    kv_fixture_close(&x);
}

/* ---------------------------------------------------------------- check */

static void count_finding(uint64_t index, const char *how, void *context)
{
    unsigned *n = context;
    assert_true(index <= SIZES && how[0] != '\0');
    (*n)++;
}

static unsigned findings(struct kv_fixture *x)
{
    unsigned n = 0;
    uint64_t entries = 0;
    assert_ok(audit_check(x->txn, count_finding, &n, &entries, THE_FAULT));
    return n;
}

void test_audit_check_of_sound_logs(void **state)
{
    (void)state;
    struct kv_fixture x;
    kv_fixture_open(&x);
    for (unsigned n = 0; n < 70; n++) {
        unsigned found = 0;
        uint64_t entries = UINT64_MAX;
        assert_ok(audit_check(x.txn, count_finding, &found, &entries, THE_FAULT));
        assert_int_equal(found, 0);
        assert_int_equal(entries, n);
        append(&x, n);
    }
    kv_fixture_close(&x);
}

/* Every byte that can be damaged, and every record that can be missing, one at a time. */
void test_audit_check_finds_every_damage(void **state)
{
    (void)state;
    static const enum kv_db DBS[] = {KV_LOG_ENTRIES, KV_LOG_NODES, KV_LOG_HEAD};
    struct kv_fixture x;
    unsigned damages = 0;
    kv_fixture_open(&x);
    for (unsigned n = 0; n < 13; n++)
        append(&x, n);
    for (size_t d = 0; d < 3; d++) {
        uint64_t records = 0;
        assert_ok(kv_count(x.txn, DBS[d], &records, THE_FAULT));
        for (size_t i = 0; i < records; i++) {
            uint8_t bytes[KV_KEY_MAX], copy[600];
            const struct kv_bytes key = kv_bytes_of(bytes, kv_fixture_key(&x, DBS[d], i, bytes));
            struct kv_bytes value = {0};
            assert_ok(kv_get(x.txn, DBS[d], key, &value, THE_FAULT));
            const size_t size = value.size;
            assert_true(size <= sizeof copy);
            memcpy(copy, value.data, size);
            for (size_t at = 0; at < size; at++) {
                kv_fixture_damage(&x, DBS[d], key, at);
                assert_true(findings(&x) > 0);
                kv_fixture_damage(&x, DBS[d], key, at);
                damages++;
            }
            assert_ok(kv_del(x.txn, DBS[d], key, THE_FAULT));
            assert_true(findings(&x) > 0);
            assert_ok(kv_put(x.txn, DBS[d], key, kv_bytes_of(copy, size), THE_FAULT));
            assert_int_equal(findings(&x), 0);
        }
    }
    assert_true(damages > 13 * 8 + 23 * 32);
    const uint8_t stray[9] = {9}, nothing[32] = {0};
    assert_ok(kv_put(x.txn, KV_LOG_NODES, kv_bytes_of(stray, sizeof stray),
                     kv_bytes_of(nothing, sizeof nothing), THE_FAULT));
    assert_int_equal(findings(&x), 1);
    kv_fixture_close(&x);
}

/* Nothing is appended to a head that was damaged. */
void test_audit_append_refuses_a_damaged_head(void **state)
{
    (void)state;
    struct kv_fixture x;
    uint64_t index = 0;
    kv_fixture_open(&x);
    append(&x, 0);
    append(&x, 1);
    kv_fixture_damage(&x, KV_LOG_HEAD, kv_bytes_of("head", 4), 20);
    assert_fault(audit_append(x.txn, "x", 1, &index, THE_FAULT), STATUS_DATA_LOSS, "log");
    kv_fixture_close(&x);
}
