/* Sealing: round trips, every damaged bit, other places and keys, wrapped and derived keys. */
#include "tests/support/test.h"
#include <string.h>

#include "proto/seal/aead.h"

#define N 100u

static const char PLACE[] = "extent 7, chunk 3";

void test_seal_opens_to_the_same_bytes(void **state)
{
    struct seal_key key;
    uint8_t content[N], sealed[N + SEAL_AEAD_SIZE], found[N];
    (void)state;
    seal_key_make(&key);
    for (size_t n = 0; n <= N; n++) {
        memset(content, (int)n + 1, sizeof content);
        memset(found, 0, sizeof found);
        seal_aead_seal(&key, PLACE, sizeof PLACE, content, n, sealed);
        assert_int_equal(
            seal_aead_open(&key, PLACE, sizeof PLACE, sealed, n + SEAL_AEAD_SIZE, found, NULL),
            STATUS_OK);
        assert_memory_equal(found, content, n);
    }
}

void test_every_flipped_bit_is_noticed(void **state)
{
    struct seal_key key;
    uint8_t content[N] = {5}, sealed[N + SEAL_AEAD_SIZE], found[N];
    (void)state;
    seal_key_make(&key);
    seal_aead_seal(&key, PLACE, sizeof PLACE, content, N, sealed);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(
            seal_aead_open(&key, PLACE, sizeof PLACE, sealed, sizeof sealed, found, NULL),
            STATUS_DATA_LOSS);
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t n = 0; n < sizeof sealed; n++)
        assert_int_equal(seal_aead_open(&key, PLACE, sizeof PLACE, sealed, n, found, NULL),
                         STATUS_DATA_LOSS);
}

void test_other_place_or_key_does_not_open(void **state)
{
    struct seal_key key, other;
    uint8_t content[N] = {5}, sealed[N + SEAL_AEAD_SIZE], found[N];
    (void)state;
    seal_key_make(&key);
    seal_key_make(&other);
    seal_aead_seal(&key, PLACE, sizeof PLACE, content, N, sealed);
    assert_int_equal(
        seal_aead_open(&key, PLACE, sizeof PLACE - 2, sealed, sizeof sealed, found, NULL),
        STATUS_DATA_LOSS);
    assert_int_equal(
        seal_aead_open(&other, PLACE, sizeof PLACE, sealed, sizeof sealed, found, NULL),
        STATUS_DATA_LOSS);
}

/* The same content twice must not look the same. */
void test_sealing_twice_differs(void **state)
{
    struct seal_key key;
    uint8_t content[N] = {5}, a[N + SEAL_AEAD_SIZE], b[N + SEAL_AEAD_SIZE];
    (void)state;
    seal_key_make(&key);
    seal_aead_seal(&key, PLACE, sizeof PLACE, content, N, a);
    seal_aead_seal(&key, PLACE, sizeof PLACE, content, N, b);
    assert_memory_not_equal(a, b, SEAL_NONCE_SIZE);
    assert_memory_not_equal(a + SEAL_NONCE_SIZE, b + SEAL_NONCE_SIZE, N);
}

void test_wrapped_key_comes_back(void **state)
{
    struct seal_key by, other, key, found = {{9}};
    const struct seal_key untouched = found;
    uint8_t wrapped[SEAL_WRAPPED_SIZE];
    (void)state;
    seal_key_make(&by);
    seal_key_make(&other);
    seal_key_make(&key);
    seal_key_wrap(&by, PLACE, sizeof PLACE, &key, wrapped);
    assert_int_equal(seal_key_unwrap(&other, PLACE, sizeof PLACE, wrapped, &found, NULL),
                     STATUS_DATA_LOSS);
    assert_memory_equal(&found, &untouched, sizeof found);
    assert_int_equal(seal_key_unwrap(&by, PLACE, sizeof PLACE, wrapped, &found, NULL), STATUS_OK);
    assert_memory_equal(&found, &key, sizeof key);
}

/* Purpose and context are told apart: no byte can move from one to the other. */
void test_derived_keys_differ_by_purpose_and_context(void **state)
{
    const struct seal_key from = {{1, 2, 3}};
    struct seal_key a, b, c, again;
    (void)state;
    seal_key_derive(&from, "lethe/a/v1", "bc", 2, &a);
    seal_key_derive(&from, "lethe/a/v1b", "c", 1, &b);
    seal_key_derive(&from, "lethe/a/v1", "", 0, &c);
    seal_key_derive(&from, "lethe/a/v1", "bc", 2, &again);
    assert_memory_equal(&a, &again, sizeof a);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
}

void test_secret_memory_holds_and_goes(void **state)
{
    (void)state;
    struct seal_key *key = seal_secret_alloc(sizeof *key);
    assert_non_null(key);
    seal_key_make(key);
    seal_secret_free(key);
    seal_secret_free(NULL);
}
