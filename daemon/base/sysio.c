#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sysio_plan {
    atomic_uint_fast64_t calls;
    atomic_uint_fast64_t first; /* 0: off; otherwise the absolute number of the first bad call */
    atomic_uint_fast64_t count;
    atomic_int errnum;
};

static struct sysio_plan the_plans[SYSIO_CALLS];

int sysio_should_fail(enum sysio_call call)
{
    struct sysio_plan *p = &the_plans[call];
    const uint64_t n = atomic_fetch_add(&p->calls, 1) + 1;
    const uint64_t first = atomic_load(&p->first);
    if (first == 0 || n < first || n - first >= atomic_load(&p->count))
        return 0;
    errno = atomic_load(&p->errnum);
    return 1;
}

void sysio_fail_at(enum sysio_call call, uint64_t n, uint64_t count, int errnum)
{
    struct sysio_plan *p = &the_plans[call];
    atomic_store(&p->errnum, errnum);
    atomic_store(&p->count, count);
    atomic_store(&p->first, n ? atomic_load(&p->calls) + n : 0);
}

uint64_t sysio_count(enum sysio_call call)
{
    return atomic_load(&the_plans[call].calls);
}

void *sysio_alloc(size_t count, size_t size)
{
    size_t n;
    if (sysio_should_fail(SYSIO_ALLOC) || __builtin_mul_overflow(count, size, &n) ||
        n > SIZE_MAX - 64)
        return NULL;
    n = (n + 63) / 64 * 64;
    void *p = aligned_alloc(64, n ? n : 64);
    if (p)
        memset(p, 0, n ? n : 64);
    return p;
}

void sysio_free(void *p)
{
    free(p);
}

int sysio_open(const char *path, int flags, mode_t mode)
{
    return sysio_should_fail(SYSIO_OPEN) ? -1 : open(path, flags | O_CLOEXEC, mode);
}

ssize_t sysio_read(int fd, void *to, size_t n)
{
    return sysio_should_fail(SYSIO_READ) ? -1 : read(fd, to, n);
}

ssize_t sysio_write(int fd, const void *from, size_t n)
{
    return sysio_should_fail(SYSIO_WRITE) ? -1 : write(fd, from, n);
}

int sysio_fsync(int fd)
{
    return sysio_should_fail(SYSIO_FSYNC) ? -1 : fsync(fd);
}

int sysio_rename(const char *from, const char *to)
{
    return sysio_should_fail(SYSIO_RENAME) ? -1 : rename(from, to);
}

void *sysio_mmap(size_t n, int prot, int flags, int fd, off_t offset)
{
    return sysio_should_fail(SYSIO_MMAP) ? MAP_FAILED : mmap(NULL, n, prot, flags, fd, offset);
}

static enum status sysio_read_all(int fd, unsigned char *to, size_t size, struct fault *f)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t n = sysio_read(fd, to + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            FAIL(f, status_from_errno(errno), NULL, "read: %s", strerror(errno));
        if (n == 0)
            FAIL(f, STATUS_IO_ERROR, NULL, "the file became shorter while it was read");
        done += (size_t)n;
    }
    return STATUS_OK;
}

enum status sysio_read_file(
    const char *path, size_t max, unsigned char **ret_bytes, size_t *ret_size, struct fault *f)
{
    enum status st;
    unsigned char *bytes = NULL;
    struct stat info;
    const int fd = sysio_open(path, O_RDONLY, 0);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), path, "cannot open %.100s: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        st = fault_set(f, STATUS_BAD_FORMAT, __FILE__, __LINE__, path, "not a regular file");
        goto out;
    }
    if ((uint64_t)info.st_size > max) {
        st = fault_set(f, STATUS_RESOURCE_EXHAUSTED, __FILE__, __LINE__, path,
                       "file of %lld bytes, limit %zu", (long long)info.st_size, max);
        goto out;
    }
    bytes = sysio_alloc((size_t)info.st_size + 1, 1);
    if (!bytes) {
        st = fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, path, "no memory for the file");
        goto out;
    }
    st = sysio_read_all(fd, bytes, (size_t)info.st_size, f);
    if (st == STATUS_OK) {
        *ret_bytes = bytes;
        *ret_size = (size_t)info.st_size;
        bytes = NULL;
    }
out:
    sysio_free(bytes);
    (void)close(fd);
    return st;
}

static enum status sysio_write_all(int fd, const unsigned char *from, size_t size, struct fault *f)
{
    while (size > 0) {
        const ssize_t n = sysio_write(fd, from, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            FAIL(f, status_from_errno(errno), NULL, "write: %s", strerror(errno));
        from += n;
        size -= (size_t)n;
    }
    if (sysio_fsync(fd) != 0)
        FAIL(f, status_from_errno(errno), NULL, "fsync: %s", strerror(errno));
    return STATUS_OK;
}

enum status sysio_write_file(const char *path, const void *bytes, size_t size, struct fault *f)
{
    char tmp[4096];
    const int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof tmp)
        FAIL(f, STATUS_INVALID_ARGUMENT, path, "path is longer than %zu bytes", sizeof tmp - 5);
    const int fd = sysio_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), path, "cannot create %.100s: %s", tmp, strerror(errno));
    enum status st = sysio_write_all(fd, bytes, size, f);
    if (close(fd) != 0 && st == STATUS_OK)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, path, "close failed");
    if (st == STATUS_OK && sysio_rename(tmp, path) != 0)
        st = fault_set(f, status_from_errno(errno), __FILE__, __LINE__, path, "rename: %s",
                       strerror(errno));
    if (st != STATUS_OK)
        (void)unlink(tmp);
    return st;
}
