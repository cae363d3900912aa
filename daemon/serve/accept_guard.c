#include "daemon/serve/accept_guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 10000000 /* while there is no descriptor at all: the caller comes back at once */

unsigned long accept_guard_ceiling(unsigned long allowed)
{
    return allowed < 4ul * ACCEPT_RESERVE ? allowed - allowed / 4 : allowed - ACCEPT_RESERVE;
}

enum status accept_guard_check(struct fault *f)
{
    /* As the dynamic linker would find it for a library. */
    if (dlsym(RTLD_DEFAULT, "accept4") != (void *)(uintptr_t)accept4)
        FAIL(f, STATUS_INTERNAL, NULL, "connections are not guarded: accept4 is another one");
    return STATUS_OK;
}

static int refuse(void)
{
    errno = ECONNABORTED;
    return -1;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags)
{
    struct rlimit files;
    const long got = syscall(SYS_accept4, fd, address.__sockaddr__, size, flags);
    if (got < 0) {
        const struct timespec pause = {.tv_nsec = PAUSE_NS};
        if (errno != EMFILE && errno != ENFILE)
            return -1;
        (void)nanosleep(&pause, NULL);
        return refuse();
    }
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 ||
        (unsigned long)got < accept_guard_ceiling(files.rlim_cur))
        return (int)got;
    (void)close((int)got);
    return refuse();
}
