#include "daemon/jobs/records.h"

#include <string.h>

#include "daemon/base/sysio.h"

#define MAGIC_SIZE 8

static const char relapse_magic[MAGIC_SIZE + 1] = "LRELAPS1";
static const char prototypes_magic[MAGIC_SIZE + 1] = "LPROTOT1";

static int magic_matches(struct byte_reader *r, const char *magic)
{
    uint8_t found[MAGIC_SIZE];
    get_bytes(r, found, sizeof found);
    return !r->failed && memcmp(found, magic, sizeof found) == 0;
}

void record_relapse_encode(const struct record_relapse *r, uint8_t to[RECORD_RELAPSE_SIZE])
{
    struct byte_writer w = byte_writer_make(to, RECORD_RELAPSE_SIZE);
    put_bytes(&w, relapse_magic, MAGIC_SIZE);
    put_f64(&w, r->limit);
    put_f64(&w, r->ncm_then);
    put_u8(&w, r->recheckable != 0);
}

enum status
record_relapse_decode(const void *bytes, size_t size, struct record_relapse *ret_r, struct fault *f)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    struct record_relapse x;
    const int known = magic_matches(&r, relapse_magic);
    x.limit = get_f64(&r);
    x.ncm_then = get_f64(&r);
    x.recheckable = get_u8(&r);
    if (!known || !byte_reader_done(&r) || x.recheckable > 1)
        FAIL(f, STATUS_DATA_LOSS, "relapse", "the record of an erasure is damaged");
    *ret_r = x;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- prototypes */

uint8_t *record_prototypes_encode(const struct record_prototypes *p, size_t *ret_size)
{
    const size_t means = (size_t)p->classes * p->width;
    const size_t size = MAGIC_SIZE + 8 + (size_t)p->classes * 8 + means * 4;
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        return NULL;
    struct byte_writer w = byte_writer_make(bytes, size);
    put_bytes(&w, prototypes_magic, MAGIC_SIZE);
    put_u32(&w, p->classes);
    put_u32(&w, p->width);
    for (uint32_t k = 0; k < p->classes; k++)
        put_u64(&w, p->counts[k]);
    for (size_t i = 0; i < means; i++)
        put_f32(&w, p->means[i]);
    *ret_size = size;
    return bytes;
}

enum status record_prototypes_decode(const void *bytes,
                                     size_t size,
                                     struct record_prototypes *ret_p,
                                     void **ret_owned,
                                     struct fault *f)
{
    struct byte_reader r = byte_reader_make(bytes, size);
    const int known = magic_matches(&r, prototypes_magic);
    const uint32_t classes = get_u32(&r), width = get_u32(&r);
    const uint64_t means = (uint64_t)classes * width;
    if (!known || r.failed || means > size / 4 ||
        size != MAGIC_SIZE + 8 + (uint64_t)classes * 8 + means * 4)
        FAIL(f, STATUS_DATA_LOSS, "prototypes", "the stored prototypes are damaged");
    uint64_t *counts = sysio_alloc((size_t)classes * 8 + (size_t)means * 4 + 1, 1);
    if (!counts)
        FAIL(f, STATUS_NO_MEMORY, "prototypes", "no memory for the prototypes");
    float *values = (float *)(counts + classes);
    for (uint32_t k = 0; k < classes; k++)
        counts[k] = get_u64(&r);
    for (size_t i = 0; i < means; i++)
        values[i] = get_f32(&r);
    *ret_p = (struct record_prototypes){classes, width, counts, values};
    *ret_owned = counts;
    return STATUS_OK;
}
