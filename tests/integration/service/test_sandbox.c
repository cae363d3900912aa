/*
 * The sandbox that check-sandbox puts around every daemon of the tests: what the shipped unit
 * forbids is refused in it, and done without it.
 */
#include "tests/support/daemon.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SANDBOX LETHE_BUILD "/support/sandbox"
#define UNIT    "systemd/lethed.service"

static char output[4096];

static int run(const char *command)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void said(const char *line)
{
    if (!strstr(output, line))
        fail_msg("not told: %s in\n%s", line, output);
}

void test_sandbox_refuses(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "mmap EPERM\n",          "ptrace EPERM\n", "netlink EAFNOSUPPORT\n",
        "packet EAFNOSUPPORT\n", "mount EPERM\n",  "unshare EPERM\n",
        "personality EPERM\n",   "tmp done\n",     "suid EPERM\n",
        "chown EPERM\n",         "unix done\n",    "inet done\n"};
    assert_int_equal(run(SANDBOX " " UNIT " 2>&1"), 0);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        said(lines[i]);
    if (strstr(output, "etc "))
        said("etc EROFS\n");
    else
        print_message("  no mount namespace here: ProtectSystem is not tried\n");
}

void test_sandbox_without_it_done(void **state)
{
    (void)state;
    assert_int_equal(run(SANDBOX " 2>&1"), 0);
    said("mmap done\n");
    said("netlink done\n");
    said("unshare done\n");
    said("suid done\n");
    said("chown done\n");
}

/* The filter is the unit's: a unit that allows less is felt, one that allows more too. */
void test_sandbox_follows_the_unit(void **state)
{
    (void)state;
    char folder[256], command[1024];
    test_support_mkdir(folder);
    (void)snprintf(command, sizeof command,
                   "sed 's/^SystemCallFilter=sched.*/& @chown/; s/^MemoryDeny.*//' " UNIT
                   " > %s/u && " SANDBOX " %s/u 2>&1",
                   folder, folder);
    assert_int_equal(run(command), 0);
    said("chown done\n");
    said("mmap done\n");
    said("ptrace EPERM\n");
    test_support_rmdir(folder);
}

/* The wrapper is not lost on the way to the daemon: the kernel says how it runs. */
void test_sandbox_holds_the_daemon(void **state)
{
    (void)state;
    struct test_daemon d;
    char command[64];
    test_daemon_new(&d, "models/vit-fashion", "");
    assert_int_equal(setenv("LETHE_SANDBOX", SANDBOX, 1), 0);
    test_daemon_start(&d);
    assert_int_equal(unsetenv("LETHE_SANDBOX"), 0);
    (void)snprintf(command, sizeof command, "cat /proc/%d/status", (int)d.pid);
    assert_int_equal(run(command), 0);
    said("Seccomp:\t2\n");
    said("NoNewPrivs:\t1\n");
    said("CapEff:\t0000000000000000\n");
    said("CapBnd:\t0000000000000000\n");
    test_daemon_stop(&d);
    test_daemon_free(&d);
}
