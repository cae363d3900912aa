/* Layout: PKWARE's APPNOTE 6.3; records are found by their four-byte signatures. */
#include "client/dataset/zip.h"

#include "client/dataset/zstream.h"
#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <string.h>

#define ZIP_END_SIGNATURE    0x06054b50u
#define ZIP_END_SIZE         22u
#define ZIP_ENTRY_SIGNATURE  0x02014b50u
#define ZIP_ENTRY_SIZE       46u
#define ZIP_MEMBER_SIGNATURE 0x04034b50u
#define ZIP_MEMBER_SIZE      30u
#define ZIP_MAX_COMMENT      65535u
#define ZIP_STORED           0
#define ZIP_DEFLATED         8
#define ZIP_ENCRYPTED        1u
#define ZIP_IN_EXTRA         0xffffffffu /* the real value stands in the ZIP64 extra field */
#define ZIP64_EXTRA          1

struct zip_entry {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, size, offset;
};

struct zip_directory {
    const uint8_t *at;
    size_t size;
    uint16_t entries;
};

static enum status
zip_find_directory(const uint8_t *bytes, size_t n, struct zip_directory *ret_dir, struct fault *f)
{
    for (size_t back = ZIP_END_SIZE; back <= n && back <= ZIP_END_SIZE + ZIP_MAX_COMMENT; back++) {
        struct byte_reader r = byte_reader_make(bytes + n - back, back);
        if (get_u32(&r) != ZIP_END_SIGNATURE)
            continue;
        const uint32_t disks = get_u32(&r);
        const uint16_t here = get_u16(&r), all = get_u16(&r);
        const uint32_t size = get_u32(&r), offset = get_u32(&r);
        const uint16_t comment = get_u16(&r);
        if (disks != 0 || here != all || comment != back - ZIP_END_SIZE)
            continue;
        if (offset > n - back || size > n - back - offset)
            FAIL(f, STATUS_BAD_FORMAT, "npz", "the ZIP directory leaves the file");
        *ret_dir = (struct zip_directory){bytes + offset, size, all};
        return STATUS_OK;
    }
    FAIL(f, STATUS_BAD_FORMAT, "npz", "no ZIP directory found");
}

/* Replaces 0xffffffff values, in their order in the record, by those of the extra field. */
static enum status
zip_read_zip64(const uint8_t *extra, size_t n, struct zip_entry *e, struct fault *f)
{
    struct byte_reader r = byte_reader_make(extra, n);
    if (e->size != ZIP_IN_EXTRA && e->packed != ZIP_IN_EXTRA && e->offset != ZIP_IN_EXTRA)
        return STATUS_OK;
    while (!r.failed && r.used < n) {
        const uint16_t id = get_u16(&r), size = get_u16(&r);
        if (id == ZIP64_EXTRA) {
            struct byte_reader v = byte_reader_make(extra + r.used, r.failed ? 0 : n - r.used);
            v.size = size < v.size ? size : v.size;
            e->size = e->size == ZIP_IN_EXTRA ? get_u64(&v) : e->size;
            e->packed = e->packed == ZIP_IN_EXTRA ? get_u64(&v) : e->packed;
            e->offset = e->offset == ZIP_IN_EXTRA ? get_u64(&v) : e->offset;
            if (!v.failed)
                return STATUS_OK;
        }
        if (r.failed || size > n - r.used)
            break;
        r.used += size;
    }
    FAIL(f, STATUS_BAD_FORMAT, "npz", "a ZIP64 entry without its sizes");
}

/* Reads one directory entry; *ret_same tells whether it has this name. */
static enum status zip_read_entry(
    struct byte_reader *r, const char *name, struct zip_entry *e, int *ret_same, struct fault *f)
{
    if (r->size - r->used < ZIP_ENTRY_SIZE)
        FAIL(f, STATUS_BAD_FORMAT, "npz", "the ZIP directory ends early");
    const uint32_t signature = get_u32(r);
    (void)get_u32(r); /* versions */
    e->flags = get_u16(r);
    e->method = get_u16(r);
    (void)get_u32(r); /* time */
    e->crc = get_u32(r);
    e->packed = get_u32(r);
    e->size = get_u32(r);
    const uint16_t n_name = get_u16(r), n_extra = get_u16(r), n_comment = get_u16(r);
    (void)get_u64(r); /* disk, attributes */
    e->offset = get_u32(r);
    if (signature != ZIP_ENTRY_SIGNATURE ||
        (size_t)n_name + n_extra + n_comment > r->size - r->used)
        FAIL(f, STATUS_BAD_FORMAT, "npz", "damaged ZIP directory");
    const uint8_t *at = r->at + r->used;
    *ret_same = n_name == strlen(name) && memcmp(at, name, n_name) == 0;
    r->used += (size_t)n_name + n_extra + n_comment;
    return zip_read_zip64(at + n_name, n_extra, e, f);
}

static enum status zip_find(const struct zip_directory *d,
                            const char *name,
                            struct zip_entry *ret_entry,
                            struct fault *f)
{
    struct byte_reader r = byte_reader_make(d->at, d->size);
    int found = 0;
    for (uint16_t i = 0; i < d->entries; i++) {
        struct zip_entry e = {0};
        int same = 0;
        TRY(zip_read_entry(&r, name, &e, &same, f));
        if (!same)
            continue;
        if (found++)
            FAIL(f, STATUS_BAD_FORMAT, "npz", "two members are named %.80s", name);
        *ret_entry = e;
    }
    if (!found)
        FAIL(f, STATUS_NOT_FOUND, "npz", "no member %.80s", name);
    return STATUS_OK;
}

/* Packed bytes of a member, behind its own header. */
static enum status zip_locate(const uint8_t *bytes,
                              size_t n,
                              const struct zip_entry *e,
                              const uint8_t **ret_data,
                              struct fault *f)
{
    if (e->offset > n || n - e->offset < ZIP_MEMBER_SIZE)
        FAIL(f, STATUS_BAD_FORMAT, "npz", "a member's header leaves the file");
    struct byte_reader r = byte_reader_make(bytes + e->offset, ZIP_MEMBER_SIZE);
    const uint32_t signature = get_u32(&r);
    r.used = ZIP_MEMBER_SIZE - 4;
    const size_t behind = ZIP_MEMBER_SIZE + (size_t)get_u16(&r) + get_u16(&r);
    if (signature != ZIP_MEMBER_SIGNATURE || behind > n - e->offset ||
        e->packed > n - e->offset - behind)
        FAIL(f, STATUS_BAD_FORMAT, "npz", "a member leaves the file");
    *ret_data = bytes + e->offset + behind;
    return STATUS_OK;
}

static enum status zip_unpack(const struct zip_entry *e,
                              const uint8_t *packed,
                              const char *name,
                              uint8_t *out,
                              struct fault *f)
{
    if (e->method == ZIP_DEFLATED)
        TRY(zstream_inflate(packed, (size_t)e->packed, out, (size_t)e->size, name, f));
    else
        memcpy(out, packed, (size_t)e->size);
    if (zstream_crc32(out, (size_t)e->size) != e->crc)
        FAIL(f, STATUS_BAD_FORMAT, name, "its checksum is wrong");
    return STATUS_OK;
}

enum status zip_extract(const uint8_t *bytes,
                        size_t n,
                        const char *name,
                        size_t max_bytes,
                        uint8_t **ret_member,
                        size_t *ret_size,
                        struct fault *f)
{
    struct zip_directory d = {0};
    struct zip_entry e = {0};
    const uint8_t *packed = NULL;
    TRY(zip_find_directory(bytes, n, &d, f));
    TRY(zip_find(&d, name, &e, f));
    TRY(zip_locate(bytes, n, &e, &packed, f));
    if ((e.method != ZIP_STORED && e.method != ZIP_DEFLATED) || (e.flags & ZIP_ENCRYPTED))
        FAIL(f, STATUS_BAD_FORMAT, name, "packed by method %u, only stored and deflated", e.method);
    if (e.method == ZIP_STORED && e.size != e.packed)
        FAIL(f, STATUS_BAD_FORMAT, name, "stored, but its two sizes differ");
    if (e.size > max_bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, name, "%llu bytes, limit %zu",
             (unsigned long long)e.size, max_bytes);
    uint8_t *out = sysio_alloc((size_t)e.size + 1, 1);
    if (!out)
        FAIL(f, STATUS_NO_MEMORY, name, "no memory for %llu bytes", (unsigned long long)e.size);
    const enum status st = zip_unpack(&e, packed, name, out, f);
    if (st != STATUS_OK) {
        sysio_free(out);
        return st;
    }
    *ret_member = out;
    *ret_size = (size_t)e.size;
    return STATUS_OK;
}

bool zip_has(const uint8_t *bytes, size_t n, const char *name)
{
    struct zip_directory d = {0};
    struct zip_entry e = {0};
    return zip_find_directory(bytes, n, &d, NULL) == STATUS_OK &&
           zip_find(&d, name, &e, NULL) == STATUS_OK;
}
