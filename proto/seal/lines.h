/*
 * Text in lines, as entries, receipts and proofs are written: reading without a copy, and the few
 * forms that stand in them.  A line ends with a newline; text behind the last newline is no line.
 *
 * Versions: a text begins with FAMILY/vN.  We read v1 only.  A version beyond it is not evidence
 * that something is false, so it is told apart from a text that is none of ours.  v0, v3, v5 and v9
 * are never issued: they are one flipped bit away from v1, and a flipped bit is damage.
 *
 * Nothing allocates or keeps state; what is given out is borrowed from the text.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_LINES_H
#define LETHE_PROTO_SEAL_LINES_H

#include "daemon/base/bytes.h"

#include <stddef.h>
#include <stdint.h>

struct lines {
    const char *at;
    size_t left;
    size_t number; /* of the line read last, from 1 */
};

struct lines lines_of(const void *text, size_t n);
/* The next line without its newline; -1 if there is no whole one. */
int lines_next(struct lines *in, const char **ret_line, size_t *ret_n);
/* The next line must be this, and is passed over; -1 if it is not (then nothing is passed over). */
int lines_expect(struct lines *in, const char *line);
/* The next line must be "NAME VALUE" with a value of a byte or more; -1 if not. */
int lines_value(struct lines *in, const char *name, const char **ret_value, size_t *ret_n);
/* Whether the next bytes are this, without passing over them. */
int lines_begin(const struct lines *in, const char *text);

enum lines_version { LINES_NONE, LINES_V1, LINES_NEWER };
/* The next line must be FAMILY/vN and nothing else; passed over if it is v1. */
enum lines_version lines_version(struct lines *in, const char *family);
/* The same for the digits behind the v alone. */
enum lines_version lines_version_of(const char *digits, size_t n);

/* The n characters are exactly this. */
int lines_same(const char *text, size_t n, const char *wanted);
/* Decimal without leading zeros, at most 2^64 - 1; 0 or -1. */
int lines_decimal(const char *text, size_t n, uint64_t *ret);

/* ---------------------------------------------------------------- writing */

void lines_put(struct byte_writer *w, const char *text);
void lines_put_decimal(struct byte_writer *w, uint64_t x);
/* Base64 of n bytes; one more byte must be to follow, as its NUL goes there meanwhile. */
void lines_put_base64_text(struct byte_writer *w, const void *bytes, size_t n);
/* The same and a newline. */
void lines_put_base64(struct byte_writer *w, const void *bytes, size_t n);

#endif
