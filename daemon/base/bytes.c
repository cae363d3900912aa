#include "daemon/base/bytes.h"

#include <string.h>

int digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_SIZE) == 0;
}

int digest_is_zero(const struct digest *d)
{
    static const struct digest ZERO;
    return digest_equal(d, &ZERO);
}

void hex_format(const uint8_t *bytes, size_t n, char *text)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = DIGITS[bytes[i] >> 4];
        text[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    text[2 * n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int hex_valid(const char *text, size_t n)
{
    for (size_t i = 0; i < 2 * n; i++) {
        if (hex_digit(text[i]) < 0)
            return 0;
    }
    return 1;
}

int hex_parse(const char *text, uint8_t *bytes, size_t n)
{
    if (strlen(text) != 2 * n || !hex_valid(text, n))
        return -1;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
    return 0;
}

void digest_format(const struct digest *d, char text[DIGEST_TEXT_SIZE])
{
    hex_format(d->b, DIGEST_SIZE, text);
}

int digest_parse(const char *text, struct digest *ret_digest)
{
    return hex_parse(text, ret_digest->b, DIGEST_SIZE);
}

int request_id_equal(const struct request_id *a, const struct request_id *b)
{
    return memcmp(a->b, b->b, REQUEST_ID_SIZE) == 0;
}

int request_id_is_zero(const struct request_id *id)
{
    static const struct request_id ZERO;
    return request_id_equal(id, &ZERO);
}

void request_id_format(const struct request_id *id, char text[REQUEST_ID_TEXT_SIZE])
{
    char hex[2 * REQUEST_ID_SIZE + 1];
    hex_format(id->b, REQUEST_ID_SIZE, hex);
    size_t at = 0;
    for (size_t i = 0; i < 2 * REQUEST_ID_SIZE; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            text[at++] = '-';
        text[at++] = hex[i];
    }
    text[at] = '\0';
}

int request_id_parse(const char *text, struct request_id *ret_id)
{
    char hex[2 * REQUEST_ID_SIZE + 1];
    if (strlen(text) != REQUEST_ID_TEXT_SIZE - 1)
        return -1;
    size_t at = 0;
    for (size_t i = 0; i < REQUEST_ID_TEXT_SIZE - 1; i++) {
        const int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash && text[i] != '-')
            return -1;
        if (!dash)
            hex[at++] = text[i];
    }
    hex[at] = '\0';
    return hex_parse(hex, ret_id->b, REQUEST_ID_SIZE);
}

struct request_id request_id_make(int64_t wall_us, const uint8_t random[10])
{
    struct request_id id;
    const uint64_t ms = (uint64_t)(wall_us / 1000);
    for (size_t i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    memcpy(id.b + 6, random, 10);
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

struct byte_writer byte_writer_make(void *buffer, size_t size)
{
    return (struct byte_writer){.at = buffer, .size = size};
}

void put_bytes(struct byte_writer *w, const void *bytes, size_t n)
{
    if (w->failed || n > SIZE_MAX - w->used || (w->at && n > w->size - w->used)) {
        w->failed = 1;
        return;
    }
    if (w->at && n)
        memcpy(w->at + w->used, bytes, n);
    w->used += n;
}

static void put_le(struct byte_writer *w, uint64_t x, size_t n)
{
    uint8_t b[8];
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(x >> (8 * i));
    put_bytes(w, b, n);
}

void put_u8(struct byte_writer *w, uint8_t x)
{
    put_le(w, x, 1);
}

void put_u16(struct byte_writer *w, uint16_t x)
{
    put_le(w, x, 2);
}

void put_u32(struct byte_writer *w, uint32_t x)
{
    put_le(w, x, 4);
}

void put_u64(struct byte_writer *w, uint64_t x)
{
    put_le(w, x, 8);
}

void put_i64(struct byte_writer *w, int64_t x)
{
    put_le(w, (uint64_t)x, 8);
}

void put_f32(struct byte_writer *w, float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    put_u32(w, u);
}

void put_f64(struct byte_writer *w, double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    put_u64(w, u);
}

void put_blob(struct byte_writer *w, const void *bytes, size_t n)
{
    if (n > UINT32_MAX) {
        w->failed = 1;
        return;
    }
    put_u32(w, (uint32_t)n);
    put_bytes(w, bytes, n);
}

void put_string(struct byte_writer *w, const char *s)
{
    put_blob(w, s, strlen(s));
}

struct byte_reader byte_reader_make(const void *bytes, size_t size)
{
    return (struct byte_reader){.at = bytes, .size = size};
}

static const uint8_t *get_view(struct byte_reader *r, size_t n)
{
    if (r->failed || n > r->size - r->used) {
        r->failed = 1;
        return NULL;
    }
    const uint8_t *p = r->at + r->used;
    r->used += n;
    return p;
}

static uint64_t get_le(struct byte_reader *r, size_t n)
{
    const uint8_t *p = get_view(r, n);
    uint64_t x = 0;
    for (size_t i = 0; p && i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

uint8_t get_u8(struct byte_reader *r)
{
    return (uint8_t)get_le(r, 1);
}

uint16_t get_u16(struct byte_reader *r)
{
    return (uint16_t)get_le(r, 2);
}

uint32_t get_u32(struct byte_reader *r)
{
    return (uint32_t)get_le(r, 4);
}

uint64_t get_u64(struct byte_reader *r)
{
    return get_le(r, 8);
}

int64_t get_i64(struct byte_reader *r)
{
    return (int64_t)get_le(r, 8);
}

float get_f32(struct byte_reader *r)
{
    const uint32_t u = get_u32(r);
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

double get_f64(struct byte_reader *r)
{
    const uint64_t u = get_u64(r);
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

void get_bytes(struct byte_reader *r, void *to, size_t n)
{
    const uint8_t *p = get_view(r, n);
    if (n == 0)
        return;
    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

const uint8_t *get_blob(struct byte_reader *r, size_t *ret_n)
{
    const uint32_t n = get_u32(r);
    const uint8_t *p = get_view(r, n);
    *ret_n = p ? n : 0;
    return p;
}

void get_string(struct byte_reader *r, char *to, size_t size)
{
    size_t n;
    const uint8_t *p = get_blob(r, &n);
    if (!p || n >= size || memchr(p, 0, n)) {
        r->failed = 1;
        to[0] = '\0';
        return;
    }
    memcpy(to, p, n);
    to[n] = '\0';
}

int byte_reader_done(const struct byte_reader *r)
{
    return !r->failed && r->used == r->size;
}
