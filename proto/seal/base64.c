#include "proto/seal/base64.h"

#include <sodium.h>

void base64_format(const void *bytes, size_t n, char *text)
{
    (void)sodium_bin2base64(text, BASE64_TEXT_SIZE(n), bytes, n, sodium_base64_VARIANT_ORIGINAL);
}

/* libsodium 1.0.18 takes '+' and '/' with their highest bit set for themselves. */
static int is_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] > 0x7f)
            return 0;
    return 1;
}

int base64_parse(const char *text, size_t n_chars, void *to, size_t max, size_t *ret_size)
{
    size_t size = 0;
    if (!is_ascii(text, n_chars) || sodium_base642bin(to, max, text, n_chars, NULL, &size, NULL,
                                                      sodium_base64_VARIANT_ORIGINAL) != 0)
        return -1;
    *ret_size = size;
    return 0;
}

int base64_parse_exact(const char *text, size_t n_chars, void *to, size_t size)
{
    size_t got = 0;
    if (n_chars != BASE64_CHARS(size) || base64_parse(text, n_chars, to, size, &got) != 0)
        return -1;
    return got == size ? 0 : -1;
}
