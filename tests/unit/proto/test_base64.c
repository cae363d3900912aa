/* Base64 (RFC 4648, section 10) and its refusal of every other spelling of the same bytes. */
#include "tests/support/test.h"

#include <stdint.h>
#include <string.h>

#include "proto/seal/base64.h"

static const struct {
    const char *bytes, *text;
} rfc4648[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

void test_base64_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rfc4648 / sizeof *rfc4648; i++) {
        const size_t n = strlen(rfc4648[i].bytes);
        char text[BASE64_TEXT_SIZE(6)], back[6];
        size_t size = 99;
        base64_format(rfc4648[i].bytes, n, text);
        assert_string_equal(text, rfc4648[i].text);
        assert_int_equal(strlen(text), BASE64_CHARS(n));
        assert_int_equal(base64_parse(text, strlen(text), back, sizeof back, &size), 0);
        assert_int_equal(size, n);
        assert_memory_equal(back, rfc4648[i].bytes, n);
    }
}

/* One text only stands for given bytes: every flipped bit gives other bytes or is refused. */
void test_base64_is_canonical(void **state)
{
    uint8_t bytes[64], back[64];
    char text[BASE64_TEXT_SIZE(64)];
    (void)state;
    for (size_t n = 1; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(251u * (i + n) ^ 0xffu << i % 8); /* with many '+' and '/' */
        base64_format(bytes, n, text);
        for (size_t bit = 0; bit < 8 * strlen(text); bit++) {
            size_t size = 0;
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
            if (base64_parse(text, BASE64_CHARS(n), back, sizeof back, &size) == 0)
                assert_false(size == n && memcmp(back, bytes, n) == 0);
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        }
    }
}

void test_base64_bad_text(void **state)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm-v", "Zg==Zg=="};
    uint8_t back[16];
    size_t size = 0;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(base64_parse(bad[i], strlen(bad[i]), back, sizeof back, &size), -1);
    assert_int_equal(base64_parse("Zm9v", 4, back, 2, &size), -1);
    assert_int_equal(base64_parse_exact("Zm9v", 4, back, 2), -1);
    assert_int_equal(base64_parse_exact("Zm9v", 4, back, 3), 0);
}
