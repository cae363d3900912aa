/* Layout: PKWARE's APPNOTE 6.3, members first, then the directory, then its end record. */
#include "client/dataset/npz_file.h"

#include "client/dataset/zstream.h"
#include "daemon/base/arena.h"
#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <string.h>

#define NPZ_HEADER_SIZE 256u /* the .npy header with its padding never needs more */
#define NPZ_MEMBER_SIZE 30u
#define NPZ_ENTRY_SIZE  46u
#define NPZ_END_SIZE    22u
#define NPZ_VERSION     20u     /* needed to extract: 2.0 */
#define NPZ_DATE        0x0021u /* 1980-01-01, the earliest there is */

static const struct {
    const char *descr;
    size_t size;
} npz_types[] = {
    [NPY_BOOL] = {"|b1", 1}, [NPY_U8] = {"|u1", 1},  [NPY_I32] = {"<i4", 4},
    [NPY_I64] = {"<i8", 8},  [NPY_F32] = {"<f4", 4},
};

/* One member as it is laid out. */
struct npz_part {
    char name[NPZ_MAX_NAME + 5];
    uint8_t header[NPZ_HEADER_SIZE];
    size_t n_header;
    size_t n_data;
    size_t offset;
    uint32_t crc;
};

/* Bytes of an element; texts have the array's own size. */
static size_t npz_size(const struct npy_array *a)
{
    return a->type == NPY_BYTES || a->type == NPY_UNICODE ? a->item : npz_types[a->type].size;
}

static void npz_descr(const struct npy_array *a, char descr[24])
{
    if (a->type == NPY_BYTES)
        (void)snprintf(descr, 24, "|S%zu", a->item);
    else if (a->type == NPY_UNICODE)
        (void)snprintf(descr, 24, "<U%zu", a->item / 4);
    else
        (void)snprintf(descr, 24, "%s", npz_types[a->type].descr);
}

/* Magic, version, length, dictionary, blanks and a newline, a multiple of 64 bytes. */
static void npz_header(const struct npy_array *a, struct npz_part *p)
{
    char text[NPZ_HEADER_SIZE], descr[24];
    npz_descr(a, descr);
    int n =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (uint32_t i = 0; i < a->dims; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%llu%s", (unsigned long long)a->shape[i],
                      i == 0            ? ","
                      : i + 1 < a->dims ? ", "
                                        : "");
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    const size_t used = 10 + (size_t)n + 1;
    p->n_header = (used + 63) / 64 * 64;
    INVARIANT(p->n_header <= NPZ_HEADER_SIZE);
    memset(p->header, ' ', p->n_header);
    memcpy(p->header, "\x93NUMPY\x01\x00", 8);
    p->header[8] = (uint8_t)((p->n_header - 10) & 0xff);
    p->header[9] = (uint8_t)((p->n_header - 10) >> 8);
    memcpy(p->header + 10, text, (size_t)n);
    p->header[p->n_header - 1] = '\n';
}

static enum status npz_plan_part(const struct npz_member *m, struct npz_part *p, struct fault *f)
{
    const size_t n_name = strlen(m->name);
    if (n_name == 0 || n_name > NPZ_MAX_NAME)
        FAIL(f, STATUS_INVALID_ARGUMENT, "member", "a name of %zu bytes, allowed are 1 to %u",
             n_name, NPZ_MAX_NAME);
    if (m->array.dims == 0 || m->array.dims > NPY_MAX_DIMS)
        FAIL(f, STATUS_INVALID_ARGUMENT, m->name, "%u dimensions, allowed are 1 to %d",
             m->array.dims, NPY_MAX_DIMS);
    size_t count = 1;
    for (uint32_t i = 0; i < m->array.dims; i++)
        if (m->array.shape[i] > NPZ_MAX_FILE_SIZE ||
            !size_mul(count, (size_t)m->array.shape[i], &count))
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, m->name, "larger than %u bytes", NPZ_MAX_FILE_SIZE);
    if (count > NPZ_MAX_FILE_SIZE / npz_size(&m->array))
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, m->name, "larger than %u bytes", NPZ_MAX_FILE_SIZE);
    (void)snprintf(p->name, sizeof p->name, "%s.npy", m->name);
    p->n_data = count * npz_size(&m->array);
    npz_header(&m->array, p);
    return STATUS_OK;
}

static enum status npz_plan(const struct npz_member *members,
                            uint32_t n,
                            struct npz_part *parts,
                            size_t *ret_size,
                            struct fault *f)
{
    size_t size = NPZ_END_SIZE;
    for (uint32_t i = 0; i < n; i++) {
        struct npz_part *p = &parts[i];
        TRY(npz_plan_part(&members[i], p, f));
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(parts[j].name, p->name) == 0)
                FAIL(f, STATUS_INVALID_ARGUMENT, "member", "two members are named %s",
                     members[i].name);
        size += NPZ_MEMBER_SIZE + NPZ_ENTRY_SIZE + 2 * strlen(p->name) + p->n_header + p->n_data;
        if (size > NPZ_MAX_FILE_SIZE)
            FAIL(f, STATUS_RESOURCE_EXHAUSTED, "npz", "larger than %u bytes", NPZ_MAX_FILE_SIZE);
    }
    *ret_size = size;
    return STATUS_OK;
}

/* What a member's own header and its directory entry have in common. */
static void npz_put_common(struct byte_writer *w, const struct npz_part *p)
{
    const uint32_t size = (uint32_t)(p->n_header + p->n_data);
    put_u16(w, NPZ_VERSION);
    put_u16(w, 0); /* flags */
    put_u16(w, 0); /* stored */
    put_u16(w, 0); /* time */
    put_u16(w, NPZ_DATE);
    put_u32(w, p->crc);
    put_u32(w, size);
    put_u32(w, size);
    put_u16(w, (uint16_t)strlen(p->name));
    put_u16(w, 0); /* extra field */
}

static void npz_put_member(struct byte_writer *w, const struct npz_member *m, struct npz_part *p)
{
    p->offset = w->used;
    uint8_t *body = w->at + w->used + NPZ_MEMBER_SIZE + strlen(p->name);
    memcpy(body, p->header, p->n_header);
    if (p->n_data > 0)
        memcpy(body + p->n_header, m->array.data, p->n_data);
    p->crc = zstream_crc32(body, p->n_header + p->n_data);
    put_bytes(w, "PK\x03\x04", 4);
    npz_put_common(w, p);
    put_bytes(w, p->name, strlen(p->name));
    w->used += p->n_header + p->n_data;
}

static void npz_put_entry(struct byte_writer *w, const struct npz_part *p)
{
    put_bytes(w, "PK\x01\x02", 4);
    put_u16(w, NPZ_VERSION); /* made by */
    npz_put_common(w, p);
    put_u16(w, 0); /* comment */
    put_u16(w, 0); /* disk */
    put_u16(w, 0); /* internal attributes */
    put_u32(w, 0); /* external attributes */
    put_u32(w, (uint32_t)p->offset);
    put_bytes(w, p->name, strlen(p->name));
}

static void npz_put_end(struct byte_writer *w, uint32_t n, size_t directory)
{
    const size_t size = w->used - directory;
    put_bytes(w, "PK\x05\x06", 4);
    put_u32(w, 0); /* disks */
    put_u16(w, (uint16_t)n);
    put_u16(w, (uint16_t)n);
    put_u32(w, (uint32_t)size);
    put_u32(w, (uint32_t)directory);
    put_u16(w, 0); /* comment */
}

enum status
npz_file_write(const char *path, const struct npz_member *members, uint32_t n, struct fault *f)
{
    struct npz_part parts[NPZ_MAX_MEMBERS];
    size_t size = 0;
    memset(parts, 0, sizeof parts);
    if (n == 0 || n > NPZ_MAX_MEMBERS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "members", "%u members, allowed are 1 to %u", n,
             NPZ_MAX_MEMBERS);
    TRY(npz_plan(members, n, parts, &size, f));
    uint8_t *bytes = sysio_alloc(size, 1);
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "npz", "no memory for %zu bytes", size);
    struct byte_writer w = byte_writer_make(bytes, size);
    for (uint32_t i = 0; i < n; i++)
        npz_put_member(&w, &members[i], &parts[i]);
    const size_t directory = w.used;
    for (uint32_t i = 0; i < n; i++)
        npz_put_entry(&w, &parts[i]);
    npz_put_end(&w, n, directory);
    INVARIANT(!w.failed && w.used == size);
    const enum status st = sysio_write_file(path, bytes, size, f);
    sysio_free(bytes);
    return st;
}
