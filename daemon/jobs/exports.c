#include "daemon/jobs/exports.h"

#include "daemon/base/sysio.h"
#include "proto/seal/hash.h"

struct export_file {
    struct digest digest;
    uint8_t *bytes;
    size_t size;
    int64_t expires_us;
};

struct exports {
    size_t n;
    size_t bytes;
    struct export_file files[EXPORTS_FILES_MAX]; /* oldest first */
};

enum status exports_new(struct exports **ret_exports, struct fault *f)
{
    struct exports *e = sysio_alloc(1, sizeof *e);
    if (!e)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for the list of exports");
    *ret_exports = e;
    return STATUS_OK;
}

static void remove_at(struct exports *e, size_t i)
{
    e->bytes -= e->files[i].size;
    sysio_free(e->files[i].bytes);
    e->n--;
    for (; i < e->n; i++)
        e->files[i] = e->files[i + 1];
}

void exports_free(struct exports *e)
{
    if (!e)
        return;
    while (e->n > 0)
        remove_at(e, e->n - 1);
    sysio_free(e);
}

static void remove_expired(struct exports *e, int64_t now_us)
{
    for (size_t i = e->n; i > 0; i--)
        if (e->files[i - 1].expires_us <= now_us)
            remove_at(e, i - 1);
}

static struct export_file *find(struct exports *e, const struct digest *digest)
{
    for (size_t i = 0; i < e->n; i++)
        if (digest_equal(&e->files[i].digest, digest))
            return &e->files[i];
    return NULL;
}

enum status exports_add(struct exports *e,
                        void *bytes,
                        size_t size,
                        int64_t now_us,
                        struct digest *ret_digest,
                        struct fault *f)
{
    remove_expired(e, now_us);
    if (size > EXPORTS_BYTES_MAX) {
        sysio_free(bytes);
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "format",
             "the export has %zu bytes, at most %zu are kept", size, EXPORTS_BYTES_MAX);
    }
    const struct digest digest = seal_hash(bytes, size);
    struct export_file *same = find(e, &digest);
    if (same) {
        sysio_free(bytes);
        same->expires_us = now_us + EXPORTS_KEEP_US;
    } else {
        while (e->n == EXPORTS_FILES_MAX || e->bytes + size > EXPORTS_BYTES_MAX)
            remove_at(e, 0);
        e->files[e->n++] = (struct export_file){digest, bytes, size, now_us + EXPORTS_KEEP_US};
        e->bytes += size;
    }
    *ret_digest = digest;
    return STATUS_OK;
}

enum status exports_read(struct exports *e,
                         const struct digest *digest,
                         uint64_t offset,
                         uint32_t length,
                         int64_t now_us,
                         const uint8_t **ret_bytes,
                         struct fault *f)
{
    remove_expired(e, now_us);
    const struct export_file *file = find(e, digest);
    if (!file)
        FAIL(f, STATUS_NOT_FOUND, "digest", "no export of that digest is kept: export again");
    if (offset > file->size || length > file->size - offset)
        FAIL(f, STATUS_OUT_OF_RANGE, "offset", "the file has %zu bytes", file->size);
    *ret_bytes = file->bytes + offset;
    return STATUS_OK;
}
