/*
 * Bytes: identifiers, hexadecimal text, and a bounded little-endian writer and reader for records
 * that are stored or passed between our processes.  A writer or reader that runs over its bound
 * keeps a sticky `failed` flag instead of touching memory; check it once at the end.
 */
#ifndef LETHE_BASE_BYTES_H
#define LETHE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE          32 /* BLAKE2b-256 */
#define REQUEST_ID_SIZE      16 /* UUIDv7 */
#define DIGEST_TEXT_SIZE     (2 * DIGEST_SIZE + 1)
#define REQUEST_ID_TEXT_SIZE 37

struct digest {
    uint8_t b[DIGEST_SIZE];
};

struct request_id {
    uint8_t b[REQUEST_ID_SIZE];
};

int digest_equal(const struct digest *a, const struct digest *b);
int digest_is_zero(const struct digest *d);
void digest_format(const struct digest *d, char text[DIGEST_TEXT_SIZE]);
/* 0 on success, -1 unless `text` is exactly 64 hexadecimal digits. */
int digest_parse(const char *text, struct digest *ret_digest);

int request_id_equal(const struct request_id *a, const struct request_id *b);
int request_id_is_zero(const struct request_id *id);
/* 8-4-4-4-12 lower-case text. */
void request_id_format(const struct request_id *id, char text[REQUEST_ID_TEXT_SIZE]);
int request_id_parse(const char *text, struct request_id *ret_id);
/* UUIDv7 (RFC 9562) from a wall time and 10 random bytes. */
struct request_id request_id_make(int64_t wall_us, const uint8_t random[10]);

/* 2n lower-case digits and a NUL into text. */
void hex_format(const uint8_t *bytes, size_t n, char *text);
/* Exactly 2n digits; 0 on success, -1 otherwise (bytes untouched). */
int hex_parse(const char *text, uint8_t *bytes, size_t n);

struct byte_writer {
    uint8_t *at; /* NULL: only counts */
    size_t size;
    size_t used;
    int failed;
};

struct byte_reader {
    const uint8_t *at;
    size_t size;
    size_t used;
    int failed;
};

struct byte_writer byte_writer_make(void *buffer, size_t size);
void put_u8(struct byte_writer *w, uint8_t x);
void put_u16(struct byte_writer *w, uint16_t x);
void put_u32(struct byte_writer *w, uint32_t x);
void put_u64(struct byte_writer *w, uint64_t x);
void put_i64(struct byte_writer *w, int64_t x);
void put_f32(struct byte_writer *w, float x);
void put_f64(struct byte_writer *w, double x);
void put_bytes(struct byte_writer *w, const void *bytes, size_t n);
/* u32 length, then the bytes. */
void put_blob(struct byte_writer *w, const void *bytes, size_t n);
void put_string(struct byte_writer *w, const char *s);

struct byte_reader byte_reader_make(const void *bytes, size_t size);
uint8_t get_u8(struct byte_reader *r);
uint16_t get_u16(struct byte_reader *r);
uint32_t get_u32(struct byte_reader *r);
uint64_t get_u64(struct byte_reader *r);
int64_t get_i64(struct byte_reader *r);
float get_f32(struct byte_reader *r);
double get_f64(struct byte_reader *r);
/* Copies n bytes; on failure the target is cleared. */
void get_bytes(struct byte_reader *r, void *to, size_t n);
/* Borrowed view of a u32-length blob; NULL on failure. */
const uint8_t *get_blob(struct byte_reader *r, size_t *ret_n);
/* Copies a string with its NUL; fails if it is longer than size - 1 or holds a NUL. */
void get_string(struct byte_reader *r, char *to, size_t size);
/* True if nothing failed and every byte was read. */
int byte_reader_done(const struct byte_reader *r);

#endif
