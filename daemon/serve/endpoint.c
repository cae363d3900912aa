#include "daemon/serve/endpoint.h"

#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCK_SUFFIX ".lock"

static int has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum status
parse(const char *address, const char *field, char path[ENDPOINT_PATH_SIZE], struct fault *f)
{
    if (!has_prefix(address, "ipc://"))
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.64s\" is neither ipc:///path nor tcp://",
             address);
    const char *p = address + strlen("ipc://");
    if (p[0] != '/')
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "\"%.64s\": the socket needs an absolute path",
             address);
    if (strlen(p) >= ENDPOINT_PATH_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, field, "a path of %zu bytes, at most %d for a socket",
             strlen(p), ENDPOINT_PATH_SIZE - 1);
    memcpy(path, p, strlen(p) + 1);
    return STATUS_OK;
}

static enum status take_lock(const char *path, const char *field, int *ret_fd, struct fault *f)
{
    char name[ENDPOINT_PATH_SIZE + sizeof LOCK_SUFFIX];
    (void)snprintf(name, sizeof name, "%s" LOCK_SUFFIX, path);
    const int fd = sysio_open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), field, "%s: %s", name, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return STATUS_OK;
    }
    const int errnum = errno;
    (void)close(fd);
    if (errnum == EWOULDBLOCK)
        FAIL(f, STATUS_ALREADY_EXISTS, field, "another daemon serves on %s", path);
    FAIL(f, status_from_errno(errnum), field, "%s: %s", name, strerror(errnum));
}

/* 1: somebody accepts connections there. */
static int somebody_listens(const char *path)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    const int errnum = errno;
    (void)close(fd);
    return result == 0 || errnum == EAGAIN || errnum == EINPROGRESS;
}

/* Under the lock: whatever is at the path, only a socket that nobody serves is removed. */
static enum status clear_path(const char *path, const char *field, struct fault *f)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        if (errno == ENOENT)
            return STATUS_OK;
        FAIL(f, status_from_errno(errno), field, "%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(info.st_mode))
        FAIL(f, STATUS_ALREADY_EXISTS, field, "%s is in the way: it is not a socket", path);
    if (somebody_listens(path))
        FAIL(f, STATUS_ALREADY_EXISTS, field, "another program serves on %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        FAIL(f, status_from_errno(errno), field, "%s: %s", path, strerror(errno));
    return STATUS_OK;
}

enum status endpoint_claim(const char *address,
                           const char *field,
                           struct endpoint *ret_endpoint,
                           struct fault *f)
{
    struct endpoint e = {.lock_fd = -1};
    TRY(parse(address, field, e.path, f));
    TRY(take_lock(e.path, field, &e.lock_fd, f));
    const enum status code = clear_path(e.path, field, f);
    if (code == STATUS_OK)
        *ret_endpoint = e;
    else
        (void)close(e.lock_fd);
    return code;
}

enum status endpoint_open_to_group(const struct endpoint *e, struct fault *f)
{
    if (chmod(e->path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0)
        FAIL(f, status_from_errno(errno), NULL, "%s: %s", e->path, strerror(errno));
    return STATUS_OK;
}

void endpoint_release(struct endpoint *e)
{
    if (e->lock_fd < 0)
        return;
    /* The lock file stays: removing it would let two daemons lock two files of one name. */
    (void)unlink(e->path);
    (void)close(e->lock_fd);
    e->lock_fd = -1;
}
