/*
 * The system calls that can fail in ways we must survive, behind one table, so that tests can make
 * the n-th call of a kind fail with a chosen errno.  Process-wide.  Everything that touches files
 * or takes long-lived heap memory goes through here; LMDB's own calls are faulted in storage/kv.
 */
#ifndef LETHE_BASE_SYSIO_H
#define LETHE_BASE_SYSIO_H

#include "daemon/base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sysio_call {
    SYSIO_ALLOC,
    SYSIO_OPEN,
    SYSIO_READ,
    SYSIO_WRITE,
    SYSIO_FSYNC,
    SYSIO_RENAME,
    SYSIO_MMAP,
    SYSIO_SPAWN,
    SYSIO_KV, /* LMDB transaction begin, put and commit, counted by storage/kv */
    SYSIO_CALLS
};

/* Heap, zeroed, 64-byte aligned; free with sysio_free. NULL on failure or overflow. */
void *sysio_alloc(size_t count, size_t size);
void sysio_free(void *p);

int sysio_open(const char *path, int flags, mode_t mode);
ssize_t sysio_read(int fd, void *to, size_t n);
ssize_t sysio_write(int fd, const void *from, size_t n);
int sysio_fsync(int fd);
int sysio_rename(const char *from, const char *to);
void *sysio_mmap(size_t n, int prot, int flags, int fd, off_t offset);

/* True if this call is one that a test wants to fail; sets errno.  Wrappers call it first. */
int sysio_should_fail(enum sysio_call call);
/* From the n-th (1 is the next) call of this kind on, `count` calls fail with errnum; n = 0: off.
 */
void sysio_fail_at(enum sysio_call call, uint64_t n, uint64_t count, int errnum);
/* Calls of this kind so far. */
uint64_t sysio_count(enum sysio_call call);

/* Whole file into fresh memory (sysio_free) with a NUL behind it; refuses more than `max` bytes. */
enum status sysio_read_file(const char *path,
                            size_t max,
                            unsigned char **ret_bytes,
                            size_t *ret_size,
                            struct fault *f) MUST_CHECK;
/* Write to `path`.tmp, fsync, rename: the file is either whole or as it was. */
enum status
sysio_write_file(const char *path, const void *bytes, size_t size, struct fault *f) MUST_CHECK;

#endif
