/*
 * Log entries: exact ASCII text that needs no library to be read.
 *
 *   lethe-log/v1 KIND\n
 *   time 2026-03-01T10:00:00.000000Z\n      never before the time of the entry before
 *   clock ok\n                              or "held": the clock was set back, time stands still
 *   NAME VALUE\n                            the fields of the kind, all of them, in their order
 *   ...
 *
 * At most LOG_ENTRY_MAX bytes, one space between name and value, no other line, the last byte a
 * newline.  proto/seal/log_kinds.def has the kinds with their fields, proto/seal/log_value.h the
 * types of values.  Values have one text each, so an entry that parses is written again to the same
 * bytes, and no changed bit leaves kind, time and values as they were.
 *
 * The leaf of the tree is the hash of these bytes (proto/seal/merkle.h).  Nothing here allocates or
 * keeps state; a parsed entry borrows from the bytes.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_LOG_ENTRY_H
#define LETHE_PROTO_SEAL_LOG_ENTRY_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/log_value.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_ENTRY_MAX  4096u
#define LOG_FIELDS_MAX 10 /* of one kind, beside time and clock */
#define LOG_NAME_SIZE  16 /* a field's name and a NUL */
#define LOG_KIND_SIZE  32 /* a kind's name and a NUL */

enum log_kind {
#define KIND(id, name, fields) LOG_KIND_##id,
#include "proto/seal/log_kinds.def"
#undef KIND
    LOG_KINDS
};

struct log_field_type {
    const char *name;
    enum log_type type;
    int optional;
};

/* "request.accepted", ... */
const char *log_kind_name(enum log_kind kind);
/* LOG_KINDS if no kind has this name. */
enum log_kind log_kind_parse(const char *name, size_t n);
/* The fields of a kind in their order; *ret_n of them. */
const struct log_field_type *log_kind_fields(enum log_kind kind, size_t *ret_n);

/* ---------------------------------------------------------------- writing */

/*
 * Writes an entry; returns its size through *ret_size.  Values in any order; a field without one is
 * absent.  INVALID_ARGUMENT names the field: required but absent, given twice, not one of this
 * kind, of another type, not of its form, or a time before 1970 or after 9999.
 * RESOURCE_EXHAUSTED: longer than LOG_ENTRY_MAX (no kind is, with values in their limits).
 */
enum status log_entry_write(enum log_kind kind,
                            int64_t time_us,
                            int clock_held,
                            const struct log_value *values,
                            size_t n_values,
                            char ret_bytes[LOG_ENTRY_MAX],
                            size_t *ret_size,
                            struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- reading */

struct log_field {
    const struct log_field_type *is;
    const char *text; /* borrowed, no NUL; "-" if absent */
    size_t size;
    int absent;
};

struct log_entry {
    enum log_kind kind;
    int64_t time_us;
    int clock_held;
    size_t n_fields;
    struct log_field fields[LOG_FIELDS_MAX];
};

/*
 * Strict: exactly the text above.  BAD_FORMAT names line or field; UNIMPLEMENTED: a later version
 * of the format, or a kind that this program does not know.
 */
enum status log_entry_parse(const void *bytes,
                            size_t n,
                            struct log_entry *ret_entry,
                            struct fault *f) MUST_CHECK;

/* The field of this name; NULL if the kind has none. */
const struct log_field *log_entry_field(const struct log_entry *e, const char *name);

/*
 * Values by name.  1: the kind has the field, it is of this type and not absent; 0: not, and the
 * output is untouched.
 */
int log_entry_request(const struct log_entry *e, const char *name, struct request_id *ret_id);
int log_entry_number(const struct log_entry *e, const char *name, uint64_t *ret_number);
int log_entry_time(const struct log_entry *e, const char *name, int64_t *ret_wall_us); /* or date */
int log_entry_digest(const struct log_entry *e, const char *name, struct digest *ret_digest);
/* sha256 or commitment */
int log_entry_hash(const struct log_entry *e, const char *name, struct sha256 *ret_hash);
/* word or actor, with a NUL */
int log_entry_word(const struct log_entry *e, const char *name, char ret_word[LOG_WORD_SIZE]);
int log_entry_vkey(const struct log_entry *e, const char *name, struct sign_vkey *ret_vkey);
/* Up to `max` ids of a list into ret_ids; how many the list has, 0 if there is none. */
size_t log_entry_requests(const struct log_entry *e,
                          const char *name,
                          struct request_id *ret_ids,
                          size_t max);

#endif
