#include "proto/seal/curve_key.h"

#include "daemon/base/invariant.h"
#include "proto/seal/hash.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

_Static_assert(CURVE_KEY_SIZE == crypto_box_SECRETKEYBYTES &&
                   CURVE_KEY_SIZE == crypto_box_PUBLICKEYBYTES,
               "CURVE's keys are those of crypto_box");

#define GROUP_CHARS 5 /* of Z85 say 4 bytes */
#define GROUP_BYTES 4
#define BASE        85u

static const char Z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          ".-:+=^!/*?&<>()[]{}@%$#";

void curve_key_make(struct curve_key *ret_secret, struct curve_key *ret_public)
{
    INVARIANT(seal_init(NULL) == STATUS_OK);
    INVARIANT(crypto_box_keypair(ret_public->b, ret_secret->b) == 0);
}

struct curve_key curve_key_public(const struct curve_key *secret)
{
    struct curve_key key;
    INVARIANT(seal_init(NULL) == STATUS_OK);
    INVARIANT(crypto_scalarmult_base(key.b, secret->b) == 0);
    return key;
}

int curve_key_equal(const struct curve_key *a, const struct curve_key *b)
{
    return sodium_memcmp(a->b, b->b, CURVE_KEY_SIZE) == 0;
}

void curve_key_wipe(struct curve_key *key)
{
    sodium_memzero(key, sizeof *key);
}

void curve_key_text(const struct curve_key *key, char ret_text[CURVE_TEXT_SIZE])
{
    char *to = ret_text;
    for (size_t i = 0; i < CURVE_KEY_SIZE; i += GROUP_BYTES) {
        uint32_t x = (uint32_t)key->b[i] << 24 | (uint32_t)key->b[i + 1] << 16 |
                     (uint32_t)key->b[i + 2] << 8 | key->b[i + 3];
        for (size_t k = GROUP_CHARS; k > 0; k--) {
            to[k - 1] = Z85[x % BASE];
            x /= BASE;
        }
        to += GROUP_CHARS;
    }
    *to = '\0';
}

/* Four bytes from five characters; -1: another character, or more than 32 bits. */
static int parse_group(const char *text, uint8_t ret_bytes[GROUP_BYTES])
{
    uint64_t x = 0;
    for (size_t k = 0; k < GROUP_CHARS; k++) {
        const char *at = text[k] != '\0' ? strchr(Z85, text[k]) : NULL;
        if (!at)
            return -1;
        x = x * BASE + (uint64_t)(at - Z85);
    }
    if (x > UINT32_MAX)
        return -1;
    for (size_t k = 0; k < GROUP_BYTES; k++)
        ret_bytes[k] = (uint8_t)(x >> (24 - 8 * k));
    return 0;
}

int curve_key_parse(const char *text, size_t n, struct curve_key *ret_key)
{
    struct curve_key key;
    if (n != CURVE_TEXT_SIZE - 1)
        return -1;
    for (size_t i = 0; i < CURVE_KEY_SIZE / GROUP_BYTES; i++)
        if (parse_group(text + i * GROUP_CHARS, key.b + i * GROUP_BYTES) != 0) {
            curve_key_wipe(&key);
            return -1;
        }
    *ret_key = key;
    curve_key_wipe(&key);
    return 0;
}

void curve_key_print(const struct curve_key *key, char ret_text[CURVE_PRINT_SIZE])
{
    const struct digest d = seal_hash(key->b, CURVE_KEY_SIZE);
    (void)snprintf(ret_text, CURVE_PRINT_SIZE, "k:%02x%02x%02x%02x%02x%02x%02x%02x", d.b[0], d.b[1],
                   d.b[2], d.b[3], d.b[4], d.b[5], d.b[6], d.b[7]);
}
