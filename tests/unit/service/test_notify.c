/* What the service manager hears, message by message, on a socket of our own. */
#include "tests/support/test.h"

#include "daemon/service/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[256];
static int manager = -1;

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    test_support_mkdir(folder);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", folder);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (manager < 0 || bind(manager, (const struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    return setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

int group_teardown(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)close(manager);
    test_support_rmdir(folder);
    return 0;
}

static void heard(const char *text)
{
    char message[512];
    const ssize_t n = recv(manager, message, sizeof message - 1, 0);
    assert_true(n > 0);
    message[n] = '\0';
    assert_string_equal(message, text);
}

void test_notify_start(void **state)
{
    (void)state;
    notify_stage("opening the store");
    heard("STATUS=opening the store\nEXTEND_TIMEOUT_USEC=120000000");
    notify_ready("serving");
    heard("READY=1\nSTATUS=serving");
}

void test_notify_pulse_feeds_only_when_told(void **state)
{
    (void)state;
    notify_pulse("queued 2, running none", true);
    heard("STATUS=queued 2, running none\nWATCHDOG=1");
    notify_pulse("queued 2, running none", false);
    heard("STATUS=queued 2, running none");
}

void test_notify_reload(void **state)
{
    (void)state;
    char message[512];
    notify_reloading();
    const ssize_t n = recv(manager, message, sizeof message - 1, 0);
    assert_true(n > 0);
    message[n] = '\0';
    long long when;
    assert_int_equal(sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%lld", &when), 1);
    assert_true(when > 0);
    notify_reloaded("reloaded");
    heard("READY=1\nSTATUS=reloaded");
}

void test_notify_stop(void **state)
{
    (void)state;
    notify_stopping(140);
    heard("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=140000000");
}

void test_notify_without_a_manager(void **state)
{
    (void)state;
    char path[256], message[16];
    (void)snprintf(path, sizeof path, "%s", getenv("NOTIFY_SOCKET"));
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_ready("serving");
    notify_pulse("serving", true);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    assert_true(recv(manager, message, sizeof message, 0) < 0);
}

void test_notify_watchdog_limit(void **state)
{
    (void)state;
    char pid[32];
    assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    assert_int_equal(notify_watchdog_us(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "60000000", 1), 0);
    assert_int_equal(notify_watchdog_us(), 60000000);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid() + 1);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0); /* meant for another process */
    assert_int_equal(notify_watchdog_us(), 0);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}
