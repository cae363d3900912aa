/* Connections may not take the last descriptors: they are closed, and the caller goes on. */
#include "tests/support/test.h"

#include "daemon/serve/accept_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ALLOWED 64 /* of which a quarter is kept back */
#define CEILING 48

static char folder[256];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener;
static struct rlimit before;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/s", folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 64) != 0 || getrlimit(RLIMIT_NOFILE, &before) != 0)
        return -1;
    struct rlimit low = before;
    low.rlim_cur = ALLOWED;
    return setrlimit(RLIMIT_NOFILE, &low);
}

int group_teardown(void **state)
{
    (void)state;
    (void)setrlimit(RLIMIT_NOFILE, &before);
    (void)close(listener);
    test_support_rmdir(folder);
    return 0;
}

static int dial(void)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Takes every descriptor below `end`; the first one taken. */
static int fill(int end)
{
    int first = -1, fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < end)
        first = first < 0 ? fd : first;
    if (fd >= 0)
        (void)close(fd);
    return first;
}

static void empty(int first, int end)
{
    for (int fd = first; first >= 0 && fd < end; fd++)
        if (fd != listener)
            (void)close(fd);
}

void test_accept_guard_is_in_front(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_int_equal(accept_guard_check(&f), STATUS_OK);
}

void test_accept_guard_ceiling(void **state)
{
    (void)state;
    assert_int_equal(accept_guard_ceiling(ALLOWED), CEILING);
    assert_int_equal(accept_guard_ceiling(255), 192);
    assert_int_equal(accept_guard_ceiling(256), 192);
    assert_int_equal(accept_guard_ceiling(65536), 65536 - ACCEPT_RESERVE);
}

void test_accept_guard_lets_the_first_ones_in(void **state)
{
    (void)state;
    char byte;
    const int peer = dial();
    const int taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(taken >= 0);
    assert_true((fcntl(taken, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(peer, "x", 1), 1);
    assert_int_equal(read(taken, &byte, 1), 1);
    assert_true(accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0);
    assert_int_equal(errno, EAGAIN); /* other errors are as they were */
    (void)close(taken);
    (void)close(peer);
}

void test_accept_guard_closes_what_would_reach_the_reserve(void **state)
{
    (void)state;
    char byte;
    const int peer = dial();
    const int first = fill(CEILING);
    assert_true(accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0);
    assert_int_equal(errno, ECONNABORTED);
    assert_int_equal(read(peer, &byte, 1), 0); /* the peer sees the end */
    const int own = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(own >= 0); /* the reserve is there for us */
    (void)close(own);
    (void)close(peer);
    empty(first, CEILING);
}

void test_accept_guard_without_any_descriptor(void **state)
{
    (void)state;
    const int peer = dial();
    const int first = fill(ALLOWED);
    assert_true(accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0);
    assert_int_equal(errno, ECONNABORTED); /* libzmq aborts at EMFILE */
    empty(first, ALLOWED);
    const int taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(taken >= 0); /* it waited in the queue */
    (void)close(taken);
    (void)close(peer);
}
