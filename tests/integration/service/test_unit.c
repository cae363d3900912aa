/*
 * The unit and the installation: the score that systemd-analyze gives, directives that must not get
 * lost, and a tree that make install lays out, from which the daemon starts.
 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT      "systemd/lethed.service"
#define SCORE_MAX 1.5

static char output[1 << 18];
static char root[256];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(root);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(root);
    return 0;
}

/* Exit status of a shell command; what it says is in `output`. */
__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(command, sizeof command - 6, format, arguments);
    va_end(arguments);
    assert_true(n > 0 && (size_t)n < sizeof command - 6);
    (void)strcat(command, " 2>&1");
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int have_analyze(void)
{
    return run("command -v systemd-analyze") == 0;
}

/* "Overall exposure level for x.service: 1.2 OK". */
static double score_of(const char *unit)
{
    if (run("systemd-analyze security --offline=true %s", unit) != 0)
        fail_msg("systemd-analyze: %s", output);
    const char *at = strstr(output, "exposure level for ");
    assert_non_null(at);
    double score = -1;
    assert_int_equal(sscanf(strchr(at, ':') + 1, "%lf", &score), 1);
    return score;
}

void test_unit_exposure(void **state)
{
    (void)state;
    char bare[300];
    if (!have_analyze()) {
        print_message("  systemd-analyze is missing (package systemd)\n");
        skip();
    }
    const double score = score_of(UNIT);
    print_message("  exposure %.1f of 10\n", score);
    assert_true(score >= 0 && score <= SCORE_MAX);
    /* the same program without protection is told apart */
    (void)snprintf(bare, sizeof bare, "%s/bare.service", root);
    FILE *file = fopen(bare, "w");
    assert_non_null(file);
    (void)fputs("[Service]\nExecStart=/usr/sbin/lethed\n", file);
    assert_int_equal(fclose(file), 0);
    assert_true(score_of(bare) > 9.0);
}

/* What the analysis does not look at, and the daemon relies on. */
void test_unit_directives(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Type=notify",
        "WatchdogSec=60",
        "Restart=on-failure",
        "KillMode=mixed",
        "User=lethe",
        "StateDirectoryMode=0700",
        "MemorySwapMax=0",
        "LimitCORE=0",
        "LimitNOFILE=65536",
        "RestrictRealtime=yes",
        "SystemCallErrorNumber=EPERM",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "SystemCallFilter=sched_setscheduler setpriority", /* libzmq aborts without the first */
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (run("grep -qxF '%s' " UNIT, lines[i]) != 0)
            fail_msg("the unit lacks %s", lines[i]);
    assert_int_not_equal(run("grep -qx 'SystemCallFilter=@everything' " UNIT), 0);
}

/* Neither flags nor goals of the make that runs the tests. */
#define MAKE                                                                                       \
    "env -u MAKEFLAGS -u MAKELEVEL -u MAKEOVERRIDES make --no-print-directory BUILD=" LETHE_BUILD

static void exists(const char *path, mode_t mode)
{
    char full[600];
    struct stat info;
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    if (stat(full, &info) != 0)
        fail_msg("%s is not installed", path);
    if ((info.st_mode & 07777) != mode)
        fail_msg("%s has mode %o, not %o", path, info.st_mode & 07777, mode);
}

static void install(void)
{
    if (run(MAKE " DESTDIR=%s PREFIX=/opt/lethe install", root) != 0)
        fail_msg("make install: %s", output);
}

void test_unit_installation(void **state)
{
    (void)state;
    install();
    exists("/opt/lethe/bin/lethe", 0755);
    exists("/opt/lethe/bin/lethe-keygen", 0755);
    exists("/opt/lethe/bin/lethe-restore", 0755);
    exists("/opt/lethe/bin/lethe-pretrain", 0755);
    exists("/opt/lethe/sbin/lethed", 0755);
    exists("/opt/lethe/libexec/lethe/lethe-worker", 0755);
    exists("/opt/lethe/lib/systemd/system/lethed.service", 0644);
    exists("/opt/lethe/lib/sysusers.d/lethe.conf", 0644);
    exists("/opt/lethe/lib/tmpfiles.d/lethe.conf", 0644);
    exists("/opt/lethe/share/man/man1/lethe.1", 0644);
    exists("/opt/lethe/share/man/man1/lethe-keygen.1", 0644);
    exists("/opt/lethe/share/man/man1/lethe-restore.1", 0644);
    exists("/opt/lethe/share/man/man8/lethed.8", 0644);
    exists("/opt/lethe/share/man/man5/lethed.conf.5", 0644);
    exists("/etc/lethe/lethed.conf", 0644);
    exists("/etc/lethe/clients.d", 0755);
    /* paths follow PREFIX, and the manual has the keys */
    assert_int_equal(run("grep -qx 'ExecStart=/opt/lethe/sbin/lethed --config "
                         "/etc/lethe/lethed.conf' %s/opt/lethe/lib/systemd/system/lethed.service",
                         root),
                     0);
    assert_int_equal(run("grep -q '^base = /opt/lethe/share/' %s/etc/lethe/lethed.conf", root), 0);
    assert_int_equal(
        run("grep -q '^.It Li worker_stall_s = ' %s/opt/lethe/share/man/man5/lethed.conf.5", root),
        0);
    assert_int_not_equal(run("grep -rl '/usr/' %s/opt/lethe/lib/systemd %s/etc", root, root), 0);
    /* the daemon finds its worker and its model, and judges its configuration */
    if (run("sed 's|/opt/|%s/opt/|' %s/etc/lethe/lethed.conf > %s/try.conf && "
            "%s/opt/lethe/sbin/lethed --config %s/try.conf --check-config",
            root, root, root, root, root) != 0)
        fail_msg("%s", output);
    assert_non_null(strstr(output, "the configuration is good"));
    /* what an operator wrote stays */
    assert_int_equal(run("echo '# ours' > %s/etc/lethe/lethed.conf", root), 0);
    install();
    assert_int_equal(run("cat %s/etc/lethe/lethed.conf", root), 0);
    assert_string_equal(output, "# ours\n");
    assert_int_equal(run(MAKE " DESTDIR=%s PREFIX=/opt/lethe uninstall", root), 0);
    assert_int_equal(run("find %s/opt -type f", root), 0);
    assert_string_equal(output, "");
    exists("/etc/lethe/lethed.conf", 0644);
}

void test_unit_is_understood(void **state)
{
    (void)state;
    const char *verify = "systemd-analyze verify --man=no";
    const char *at = "opt/lethe/lib/systemd/system";
    if (!have_analyze()) {
        print_message("  systemd-analyze is missing (package systemd)\n");
        skip();
    }
    if (run(MAKE " PREFIX=%s/opt/lethe SYSCONFDIR=%s/etc install", root, root) != 0)
        fail_msg("make install: %s", output);
    if (run("%s %s/%s/lethed.service", verify, root, at) != 0 || output[0] != '\0')
        fail_msg("systemd-analyze verify: %s", output);
    /* a directive that nobody knows would be told */
    assert_int_equal(
        run("cd %s/%s && sed 's/^NoNewPrivileges/&s/' lethed.service > other.service", root, at),
        0);
    (void)run("%s %s/%s/other.service", verify, root, at);
    assert_non_null(strstr(output, "NoNewPrivilegess"));
}
