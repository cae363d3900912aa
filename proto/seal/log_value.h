/*
 * What a line of a log entry can say: the types of values and the one text that each value has.
 *
 *   time        2026-03-01T10:00:00.000000Z    UTC, always six digits of a second; 1970 to 9999
 *   date        2026-04-01                     a day in UTC
 *   request     0195515f-9d00-7a3c-8f21-5b6c7d8e9f00      lower case
 *   requests    1 to LOG_REQUESTS_MAX of these, one space between
 *   word        1 to LOG_WORD_MAX of a-z A-Z 0-9 . _ - and a letter or digit first; words of our
 *               programs (states, roles, methods), never of a person
 *   number      decimal, no leading zero, at most 2^64 - 1
 *   digest      BLAKE2b-256, 64 hexadecimal digits in lower case
 *   sha256      SHA-256, 44 characters of base64
 *   commitment  the same of a salted commitment (proto/seal/commitment.h), or of a MAC under a key
 *               of the installation where entries about one thing have to be recognised
 *   actor       k: and 16 hexadecimal digits, the fingerprint of a client's key; or local (somebody
 *               at the socket of the machine), or lethed (the daemon itself)
 *   vkey        NAME+HEXID+BASE64, a verifier key of the log (proto/seal/sign.h)
 *
 * A value that is absent is the text "-", where the kind of entry allows it; no type has that text.
 * Two different texts never stand for one value, so a changed bit is another value or none.
 */
#ifndef LETHE_PROTO_SEAL_LOG_VALUE_H
#define LETHE_PROTO_SEAL_LOG_VALUE_H

#include "daemon/base/bytes.h"
#include "proto/seal/sha256.h"
#include "proto/seal/sign.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_WORD_MAX     64
#define LOG_WORD_SIZE    (LOG_WORD_MAX + 1)
#define LOG_REQUESTS_MAX 64 /* in one list */
#define LOG_ACTOR_LOCAL  "local"
#define LOG_ACTOR_DAEMON "lethed"

enum log_type {
    LOG_TYPE_TIME,
    LOG_TYPE_DATE,
    LOG_TYPE_REQUEST,
    LOG_TYPE_REQUESTS,
    LOG_TYPE_WORD,
    LOG_TYPE_NUMBER,
    LOG_TYPE_DIGEST,
    LOG_TYPE_SHA256,
    LOG_TYPE_COMMITMENT,
    LOG_TYPE_ACTOR,
    LOG_TYPE_VKEY,
    LOG_TYPES
};

/* "time", "date", ... */
const char *log_type_name(enum log_type type);

/* ---------------------------------------------------------------- to write */

/* A value under the name of its field.  Made by the functions below; borrows what it is made of. */
struct log_value {
    const char *name;
    enum log_type type;
    int absent;
    const void *at;
    size_t n;
    uint64_t number;
};

/* Absent: NULL, a zero id or digest, an empty text or list, a time of 0. */
struct log_value log_value_time(const char *name, int64_t wall_us);
struct log_value log_value_date(const char *name, int64_t wall_us);
struct log_value log_value_request(const char *name, const struct request_id *id);
/* Only the first LOG_REQUESTS_MAX are written; the kinds that have a list also have the number. */
struct log_value log_value_requests(const char *name, const struct request_id *ids, size_t n);
struct log_value log_value_word(const char *name, const char *word);
struct log_value log_value_number(const char *name, uint64_t number); /* never absent */
struct log_value log_value_digest(const char *name, const struct digest *digest);
struct log_value log_value_sha256(const char *name, const struct sha256 *hash);
struct log_value log_value_commitment(const char *name, const struct sha256 *commitment);
struct log_value log_value_actor(const char *name, const char *actor);
struct log_value log_value_vkey(const char *name, const struct sign_vkey *vkey);

/* The text without a newline ("-" if absent); w->failed if it does not fit. */
void log_value_write(struct byte_writer *w, const struct log_value *value);

/* ---------------------------------------------------------------- to read */

/* 1 if these n characters are the text of a value of this type ("-" is none). */
int log_text_is(enum log_type type, const char *text, size_t n);

/* Each takes a text of which log_text_is said 1 for its type; INVARIANT. */
int64_t log_text_time(const char *text, size_t n);
uint64_t log_text_number(const char *text, size_t n);
struct request_id log_text_request(const char *text, size_t n);
/* Number of ids; the first `max` of them into ret_ids. */
size_t log_text_requests(const char *text, size_t n, struct request_id *ret_ids, size_t max);
struct digest log_text_digest(const char *text, size_t n);
struct sha256 log_text_hash(const char *text, size_t n);

/* The canonical text of a time: 27 characters and a NUL.  INVARIANT: log_time_is_valid. */
#define LOG_TIME_CHARS 27
/* From 1970-01-01 to 9999-12-31. */
int log_time_is_valid(int64_t wall_us);
void log_time_format(int64_t wall_us, char text[LOG_TIME_CHARS + 1]);
/* 0, or -1: not that text. */
int log_time_parse(const char *text, size_t n, int64_t *ret_wall_us);

#endif
