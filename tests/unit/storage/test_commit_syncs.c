/*
 * How often accepting a request waits for the disk.  The functions below stand in front of the C
 * library's, for LMDB as well: data pages are synced by fdatasync, its meta page is written through
 * a descriptor that is opened with O_DSYNC.
 */
#include "tests/support/store_fixture.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SYNCS_MAX 3u
#define REQUESTS  20u

static unsigned syncs;
static unsigned calls; /* of the functions here: 0 would mean that nobody passes through them */

static int waits(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    calls++;
    return flags >= 0 && (flags & (O_DSYNC | O_SYNC)) != 0;
}

int fdatasync(int fd)
{
    syncs++;
    calls++;
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    syncs++;
    calls++;
    return (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t offset)
{
    syncs += waits(fd) != 0;
    return syscall(SYS_pwrite64, fd, from, n, offset);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off_t offset)
{
    return pwrite(fd, from, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
    syncs += waits(fd) != 0;
    return syscall(SYS_pwritev, fd, parts, n, offset, 0L);
}

void test_commit_syncs_of_an_acceptance(void **state)
{
    (void)state;
    struct store_fixture x;
    fixture_open(&x);
    (void)fixture_version(&x, NULL, 0);
    for (unsigned n = 1; n <= REQUESTS; n++) {
        calls = 0;
        syncs = 0;
        fixture_enqueue(&x, n);
        assert_true(calls >= 2); /* data and meta page at least */
        assert_in_range(syncs, 1, SYNCS_MAX);
    }
    print_message("%u syncs an acceptance, allowed %u\n", syncs, SYNCS_MAX);
    fixture_close(&x);
}
