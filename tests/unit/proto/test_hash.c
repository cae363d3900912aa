/* BLAKE2b-256 against published values, the streaming form, tags and random bytes. */
#include "tests/support/test.h"

#include "proto/seal/hash.h"

#include <string.h>

static void assert_digest(struct digest d, const char *expected)
{
    char text[DIGEST_TEXT_SIZE];
    digest_format(&d, text);
    assert_string_equal(text, expected);
}

void test_hash_known_values(void **state)
{
    (void)state;
    assert_int_equal(seal_init(NULL), STATUS_OK);
    assert_digest(seal_hash(NULL, 0),
                  "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    assert_digest(seal_hash("abc", 3),
                  "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

void test_hash_streaming_is_the_same_for_any_cut(void **state)
{
    (void)state;
    uint8_t bytes[777];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + 7);
    const struct digest whole = seal_hash(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 37) {
        struct seal_hasher h;
        seal_hash_init(&h);
        seal_hash_update(&h, bytes, cut);
        seal_hash_update(&h, NULL, 0);
        seal_hash_update(&h, bytes + cut, sizeof bytes - cut);
        const struct digest d = seal_hash_final(&h);
        assert_true(digest_equal(&d, &whole));
    }
}

void test_hash_final_wipes_the_hasher(void **state)
{
    (void)state;
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, "secret", 6);
    (void)seal_hash_final(&h);
    for (size_t i = 0; i < sizeof h.opaque; i++)
        assert_int_equal(h.opaque[i], 0);
}

void test_hash_tag_depends_on_context_and_content(void **state)
{
    (void)state;
    uint8_t a[SEAL_TAG_SIZE];
    uint8_t b[SEAL_TAG_SIZE];
    seal_tag("here", 4, "content", 7, a);
    seal_tag("here", 4, "content", 7, b);
    assert_memory_equal(a, b, sizeof a);
    seal_tag("there", 5, "content", 7, b);
    assert_memory_not_equal(a, b, sizeof a);
    seal_tag("here", 4, "contend", 7, b);
    assert_memory_not_equal(a, b, sizeof a);
}

void test_hash_random_does_not_repeat(void **state)
{
    (void)state;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    seal_random(a, sizeof a);
    seal_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}
