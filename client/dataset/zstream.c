#include "client/dataset/zstream.h"

#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define ZFILE_CHUNK (1u << 20)

struct zfile {
    gzFile gz;
    uint64_t bytes_on_disk;
    char path[FAULT_FIELD_SIZE];
};

enum status zfile_open(const char *path, struct zfile **ret_file, struct fault *f)
{
    struct stat info;
    const int fd = sysio_open(path, O_RDONLY, 0);
    if (fd < 0)
        FAIL(f, errno == ENOENT ? STATUS_NOT_FOUND : status_from_errno(errno), "path",
             "cannot open %.100s: %s", path, strerror(errno));
    struct zfile *z = sysio_alloc(1, sizeof *z);
    if (!z || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        const int no_memory = !z;
        sysio_free(z);
        (void)close(fd);
        FAIL(f, no_memory ? STATUS_NO_MEMORY : STATUS_BAD_FORMAT, "path",
             no_memory ? "no memory to open %.100s" : "%.100s is not a regular file", path);
    }
    z->bytes_on_disk = (uint64_t)info.st_size;
    (void)snprintf(z->path, sizeof z->path, "%.60s", path);
    z->gz = gzdopen(fd, "rb");
    if (!z->gz) {
        sysio_free(z);
        (void)close(fd);
        FAIL(f, STATUS_NO_MEMORY, "path", "no memory to read %.100s", path);
    }
    *ret_file = z;
    return STATUS_OK;
}

void zfile_close(struct zfile *z)
{
    if (!z)
        return;
    (void)gzclose_r(z->gz);
    sysio_free(z);
}

static enum status zfile_damaged(struct zfile *z, struct fault *f)
{
    int code;
    const char *text = gzerror(z->gz, &code);
    if (code == Z_ERRNO)
        FAIL(f, STATUS_IO_ERROR, z->path, "read: %s", strerror(errno));
    FAIL(f, STATUS_BAD_FORMAT, z->path, "damaged gzip data: %.80s", text);
}

enum status zfile_read(struct zfile *z, void *to, size_t n, struct fault *f)
{
    uint8_t *at = to;
    while (n > 0) {
        const unsigned want = n < ZFILE_CHUNK ? (unsigned)n : ZFILE_CHUNK;
        const int got = gzread(z->gz, at, want);
        if (got < 0)
            return zfile_damaged(z, f);
        if (got == 0)
            FAIL(f, STATUS_BAD_FORMAT, z->path, "the file ends %zu bytes early", n);
        at += got;
        n -= (size_t)got;
    }
    return STATUS_OK;
}

enum status zfile_expect_end(struct zfile *z, struct fault *f)
{
    uint8_t extra;
    const int got = gzread(z->gz, &extra, 1);
    if (got < 0)
        return zfile_damaged(z, f);
    if (got > 0)
        FAIL(f, STATUS_BAD_FORMAT, z->path, "bytes behind the promised end");
    /* A truncated gzip file reads as a short one; only the state tells. */
    int code;
    (void)gzerror(z->gz, &code);
    if (code != Z_OK && code != Z_STREAM_END)
        return zfile_damaged(z, f);
    return STATUS_OK;
}

uint64_t zfile_bound(const struct zfile *z)
{
    return z->bytes_on_disk > UINT64_MAX / 1040 ? UINT64_MAX : z->bytes_on_disk * 1040;
}

enum status zstream_inflate(
    const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, const char *name, struct fault *f)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    if (n_in > UINT_MAX || n_out > UINT_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, name, "member of more than 4 GiB");
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        FAIL(f, STATUS_NO_MEMORY, name, "no memory to inflate");
    uint8_t *source;
    memcpy(&source, &in, sizeof source); /* zlib's interface lacks const */
    s.next_in = source;
    s.avail_in = (uInt)n_in;
    s.next_out = out;
    s.avail_out = (uInt)n_out;
    const int code = inflate(&s, Z_FINISH);
    const int whole = code == Z_STREAM_END && s.avail_out == 0 && s.avail_in == 0;
    (void)inflateEnd(&s);
    if (!whole)
        FAIL(f, STATUS_BAD_FORMAT, name, "damaged deflate data");
    return STATUS_OK;
}

uint32_t zstream_crc32(const uint8_t *bytes, size_t n)
{
    uLong crc = crc32(0, NULL, 0);
    while (n > 0) {
        const uInt part = n < ZFILE_CHUNK ? (uInt)n : ZFILE_CHUNK;
        crc = crc32(crc, bytes, part);
        bytes += part;
        n -= part;
    }
    return (uint32_t)crc;
}
