/*
 * Standard base64 with padding (RFC 4648, section 4), canonical only: the one text that stands for
 * these bytes is accepted, no other.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_BASE64_H
#define LETHE_PROTO_SEAL_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters for n bytes, without a NUL. */
#define BASE64_CHARS(n)     (((size_t)(n) + 2) / 3 * 4)
#define BASE64_TEXT_SIZE(n) (BASE64_CHARS(n) + 1)
#define BASE64_HASH_CHARS   44 /* a 32-byte hash */

/* BASE64_CHARS(n) characters and a NUL into text. */
void base64_format(const void *bytes, size_t n, char *text);
/* 0, or -1 if the text is not canonical or stands for more than max bytes (then `to` is undefined).
 */
int base64_parse(const char *text, size_t n_chars, void *to, size_t max, size_t *ret_size);
/* The same for exactly `size` bytes. */
int base64_parse_exact(const char *text, size_t n_chars, void *to, size_t size);

#endif
