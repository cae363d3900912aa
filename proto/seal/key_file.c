#include "proto/seal/key_file.h"

#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status read_open(int fd, char text[KEY_FILE_MAX], size_t *ret_n)
{
    size_t n = 0;
    for (;;) {
        const ssize_t got = sysio_read(fd, text + n, KEY_FILE_MAX - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_from_errno(errno);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n == KEY_FILE_MAX)
            return STATUS_RESOURCE_EXHAUSTED;
    }
    *ret_n = n;
    return STATUS_OK;
}

static int in_credentials(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    const size_t n = folder ? strlen(folder) : 0;
    return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Looked at through the open descriptor, so that it is the file that is read. */
static enum status check_secret(int fd, const char *path, struct fault *f)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        FAIL(f, status_from_errno(errno), NULL, "%.96s: %s", path, strerror(errno));
    mode_t others = S_IRWXG | S_IRWXO;
    if (in_credentials(path))
        others = S_IWGRP | S_IXGRP | S_IRWXO;
    if (info.st_mode & others)
        FAIL(f, STATUS_PERMISSION_DENIED, NULL,
             "%.50s holds a secret key and others can read it; chmod 600 %.50s", path, path);
    return STATUS_OK;
}

enum status
key_file_read(const char *path, int secret, char text[KEY_FILE_MAX], size_t *ret_n, struct fault *f)
{
    const int fd = sysio_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0) {
        const int errnum = errno;
        const enum status st = errnum == ENOENT || errnum == ENOTDIR ? STATUS_NOT_FOUND
                               : errnum == EACCES                    ? STATUS_PERMISSION_DENIED
                                                                     : status_from_errno(errnum);
        FAIL(f, st, NULL, "%.110s: %s", path, strerror(errnum));
    }
    enum status st = secret ? check_secret(fd, path, f) : STATUS_OK;
    if (st == STATUS_OK) {
        st = read_open(fd, text, ret_n);
        if (st != STATUS_OK)
            st = fault_set(f, st, __FILE__, __LINE__, NULL, "%.110s: %s", path,
                           st == STATUS_RESOURCE_EXHAUSTED ? "too long for a key file"
                                                           : "cannot be read");
    }
    (void)close(fd);
    return st;
}

static enum status sync_folder(const char *path)
{
    char folder[1024];
    const int n = snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (n < 0 || (size_t)n >= sizeof folder)
        return STATUS_OK; /* the file itself is durable */
    if (slash)
        slash[slash == folder] = '\0';
    const int fd = sysio_open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return status_from_errno(errno);
    const int bad = sysio_fsync(fd);
    const int errnum = errno;
    (void)close(fd);
    return bad ? status_from_errno(errnum) : STATUS_OK;
}

static int write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t wrote = sysio_write(fd, text, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        text += wrote;
        n -= (size_t)wrote;
    }
    return sysio_fsync(fd);
}

enum status key_file_write_new(const char *path, mode_t mode, const char *text, struct fault *f)
{
    const int fd = sysio_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        const int errnum = errno;
        FAIL(f, errnum == EEXIST ? STATUS_ALREADY_EXISTS : status_from_errno(errnum), NULL,
             "%.110s: %s", path, strerror(errnum));
    }
    int bad = fchmod(fd, mode) != 0 || write_all(fd, text, strlen(text)) != 0;
    int errnum = errno;
    if (close(fd) != 0 && !bad) {
        bad = 1;
        errnum = errno;
    }
    if (bad) {
        (void)unlink(path);
        FAIL(f, status_from_errno(errnum), NULL, "%.110s: %s", path, strerror(errnum));
    }
    const enum status st = sync_folder(path);
    if (st != STATUS_OK) {
        (void)unlink(path);
        FAIL(f, st, NULL, "the folder of %.100s cannot be written", path);
    }
    return STATUS_OK;
}
