/* Signing keys: RFC 8032 and C2SP vectors, text forms, what they refuse. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/bytes.h"
#include "proto/seal/base64.h"
#include "proto/seal/sign.h"

#define NAME "example.org/lethe/7f3a9c01"

static struct sign_key *key_of(const char *seed_hex, enum sign_type type)
{
    uint8_t seed[SIGN_SEED_SIZE];
    struct sign_key *key = NULL;
    assert_int_equal(hex_parse(seed_hex, seed, sizeof seed), 0);
    assert_int_equal(sign_key_from_seed(NAME, type, seed, &key, NULL), STATUS_OK);
    return key;
}

/* RFC 8032, 7.1: seed, public key, message, signature. */
static const struct {
    const char *seed, *public, *message, *signature;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
};

void test_sign_rfc8032(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rfc8032 / sizeof *rfc8032; i++) {
        uint8_t public[SIGN_PUBLIC_SIZE], message[4], wanted[SIGN_SIGNATURE_SIZE],
            signature[SIGN_SIGNATURE_SIZE];
        const size_t n = strlen(rfc8032[i].message) / 2;
        struct sign_key *key = key_of(rfc8032[i].seed, SIGN_LOG);
        assert_int_equal(hex_parse(rfc8032[i].public, public, sizeof public), 0);
        assert_int_equal(hex_parse(rfc8032[i].message, message, n), 0);
        assert_int_equal(hex_parse(rfc8032[i].signature, wanted, sizeof wanted), 0);
        assert_memory_equal(sign_key_public(key)->public, public, sizeof public);
        sign_bytes(key, message, n, signature);
        assert_memory_equal(signature, wanted, sizeof wanted);
        assert_true(sign_verify(public, message, n, signature));
        for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
            signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(sign_verify(public, message, n, signature));
            signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        sign_key_free(key);
    }
}

/* The key and the note that document the format of signed notes elsewhere. */
void test_sign_key_of_another_implementation(void **state)
{
    static const char vkey[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    static const char text[] = "If you think cryptography is the answer to your problem,\n"
                               "then you don't know what your problem is.\n";
    static const char line[] =
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
        "qdngotpRZb6KE6RyyBwJnAM=";
    struct sign_vkey v;
    char again[SIGN_VKEY_SIZE];
    uint8_t bytes[SIGN_KEY_ID_SIZE + SIGN_SIGNATURE_SIZE];
    (void)state;
    assert_int_equal(sign_vkey_parse(vkey, strlen(vkey), &v, NULL), STATUS_OK);
    assert_string_equal(v.name, "PeterNeumann");
    sign_vkey_format(&v, again);
    assert_string_equal(again, vkey);
    assert_int_equal(base64_parse_exact(line, strlen(line), bytes, sizeof bytes), 0);
    assert_memory_equal(bytes, v.id, SIGN_KEY_ID_SIZE);
    assert_true(sign_verify(v.public, text, strlen(text), bytes + SIGN_KEY_ID_SIZE));
}

void test_sign_text_forms_come_back(void **state)
{
    static const enum sign_type types[] = {SIGN_LOG, SIGN_WITNESS};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sign_key *key = NULL, *back = NULL;
        struct sign_vkey v;
        char text[SIGN_SECRET_SIZE], again[SIGN_SECRET_SIZE], public[SIGN_VKEY_SIZE];
        assert_int_equal(sign_key_generate(NAME, types[i], &key, NULL), STATUS_OK);
        const size_t n = sign_key_format(key, text);
        assert_int_equal(strlen(text), n);
        assert_int_equal(text[n - 1], '\n');
        assert_int_equal(sign_key_parse(text, n, &back, NULL), STATUS_OK);
        assert_int_equal(sign_key_format(back, again), n);
        assert_string_equal(text, again);
        sign_vkey_format(sign_key_public(key), public);
        assert_int_equal(sign_vkey_parse(public, strlen(public), &v, NULL), STATUS_OK);
        assert_int_equal(v.type, types[i]);
        assert_memory_equal(v.id, sign_key_public(back)->id, SIGN_KEY_ID_SIZE);
        sign_key_free(key);
        sign_key_free(back);
    }
}

/* One key signs as one type only: the id depends on it. */
void test_sign_types_have_ids_of_their_own(void **state)
{
    (void)state;
    struct sign_key *log = key_of(rfc8032[0].seed, SIGN_LOG);
    struct sign_key *witness = key_of(rfc8032[0].seed, SIGN_WITNESS);
    assert_memory_not_equal(sign_key_public(log)->id, sign_key_public(witness)->id,
                            SIGN_KEY_ID_SIZE);
    sign_key_free(log);
    sign_key_free(witness);
}

/* Every flipped bit of a key's text leaves a text that is refused, or another name's key. */
void test_sign_damaged_keys_are_refused(void **state)
{
    (void)state;
    char text[SIGN_SECRET_SIZE], public[SIGN_VKEY_SIZE];
    struct sign_key *key = key_of(rfc8032[1].seed, SIGN_LOG), *back = NULL;
    const size_t n = sign_key_format(key, text);
    sign_vkey_format(sign_key_public(key), public);
    for (size_t bit = 0; bit < 8 * (n - 1); bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(sign_key_parse(text, n, &back, NULL), STATUS_INVALID_ARGUMENT);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t bit = 0; bit < 8 * strlen(public); bit++) {
        struct sign_vkey v;
        public[bit / 8] = (char)(public[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(sign_vkey_parse(public, strlen(public), &v, NULL),
                         STATUS_INVALID_ARGUMENT);
        public[bit / 8] = (char)(public[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut + 1 < n; cut++)
        assert_int_equal(sign_key_parse(text, cut, &back, NULL), STATUS_INVALID_ARGUMENT);
    sign_key_free(key);
}

/* Under the neutral point every message would verify. */
void test_sign_weak_public_key_is_refused(void **state)
{
    (void)state;
    const uint8_t neutral[SIGN_PUBLIC_SIZE] = {1};
    const struct sign_vkey weak = sign_vkey_make(NAME, SIGN_LOG, neutral);
    struct sign_vkey v;
    char text[SIGN_VKEY_SIZE];
    sign_vkey_format(&weak, text);
    assert_int_equal(sign_vkey_parse(text, strlen(text), &v, NULL), STATUS_INVALID_ARGUMENT);
}

void test_sign_names(void **state)
{
    (void)state;
    struct sign_key *key = NULL;
    struct fault f = {0};
    char longest[SIGN_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[SIGN_NAME_MAX + 1] = '\0';
    assert_true(sign_name_is_valid(longest, SIGN_NAME_MAX));
    assert_false(sign_name_is_valid(longest, SIGN_NAME_MAX + 1));
    assert_false(sign_name_is_valid("", 0));
    assert_false(sign_name_is_valid("a b", 3));
    assert_false(sign_name_is_valid("a+b", 3));
    assert_false(sign_name_is_valid("a\0b", 3));
    assert_int_equal(sign_key_generate("two words", SIGN_LOG, &key, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "name");
}
