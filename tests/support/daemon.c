#include "tests/support/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/test.h"

#define START_LIMIT_MS 30000
#define ARGUMENTS_MAX  64

static void program_path(const char *name, char path[TEST_DAEMON_PATH])
{
    (void)snprintf(path, TEST_DAEMON_PATH, "%s/bin/%s", LETHE_BUILD, name);
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* ---------------------------------------------------------------- folder */

/*
 * The socket exists only while somebody listens: a daemon whose manager does not read would wait
 * for ever with its eleventh message (net.unix.max_dgram_qlen), while one without a socket goes on.
 */
static void close_notify(struct test_daemon *d)
{
    char path[TEST_DAEMON_PATH];
    if (d->notify < 0)
        return;
    (void)snprintf(path, sizeof path, "%.250s/notify", d->folder);
    (void)close(d->notify);
    (void)unlink(path);
    d->notify = -1;
}

static void open_notify(struct test_daemon *d)
{
    close_notify(d);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", d->folder);
    d->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(d->notify >= 0);
    assert_int_equal(bind(d->notify, (const struct sockaddr *)&address, sizeof address), 0);
}

void test_daemon_new(struct test_daemon *d, const char *model, const char *more)
{
    test_daemon_new_at(d, model, NULL, more);
}

void test_daemon_new_at(struct test_daemon *d,
                        const char *model,
                        const char *endpoint,
                        const char *more)
{
    memset(d, 0, sizeof *d);
    test_support_mkdir(d->folder);
    if (endpoint)
        (void)snprintf(d->endpoint, sizeof d->endpoint, "%s", endpoint);
    else
        (void)snprintf(d->endpoint, sizeof d->endpoint, "ipc://%.250s/l.sock", d->folder);
    (void)snprintf(d->config, sizeof d->config, "%.250s/lethed.conf", d->folder);
    (void)snprintf(d->journal, sizeof d->journal, "%.250s/lethed.log", d->folder);
    (void)snprintf(d->store, sizeof d->store, "%.250s/store", d->folder);
    d->notify = -1;
    FILE *file = fopen(d->config, "w");
    assert_non_null(file);
    (void)fprintf(file, "base = %s\nstore = %s\nendpoint = %s\n%s%s%s", model, d->store,
                  d->endpoint, strstr(more, "threads =") ? "" : "threads = 1\n",
                  strstr(more, "drain_s =") ? "" : "drain_s = 1\n", more);
    assert_int_equal(fclose(file), 0);
}

void test_daemon_free(struct test_daemon *d)
{
    test_daemon_kill(d);
    close_notify(d);
    test_support_rmdir(d->folder);
}

int test_daemon_said(const struct test_daemon *d, const char *text)
{
    char line[4096];
    int found = 0;
    FILE *file = fopen(d->journal, "r");
    while (file && !found && fgets(line, sizeof line, file))
        found = strstr(line, text) != NULL;
    if (file)
        (void)fclose(file);
    return found;
}

static void show_journal(const struct test_daemon *d)
{
    char line[4096];
    FILE *file = fopen(d->journal, "r");
    while (file && fgets(line, sizeof line, file))
        print_error("  %s", line);
    if (file)
        (void)fclose(file);
}

/* ---------------------------------------------------------------- processes */

/* Our environment and the notification socket; the last one wins. */
static char **environment_with(char *variable)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **list = calloc(n + 2, sizeof *list);
    assert_non_null(list);
    memcpy(list, environ, n * sizeof *list);
    list[n] = variable;
    return list;
}

static pid_t spawn(char *const argv[], char **environment, const char *output)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND,
                                           0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int error = posix_spawn(&pid, argv[0], &actions, NULL, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        fail_msg("cannot start %s: %s", argv[0], strerror(error));
    return pid;
}

/* Exit status, or 128 and the signal; -1 when the time is over. */
static int wait_for(pid_t pid, int64_t limit_ms)
{
    const int64_t end = now_ms() + limit_ms;
    int status;
    do {
        const pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        pause_ms(5);
    } while (now_ms() < end);
    return -1;
}

static void launch(struct test_daemon *d)
{
    char program[TEST_DAEMON_PATH], notify[TEST_DAEMON_PATH];
    program_path("lethed", program);
    (void)snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%.250s/notify", d->folder);
    char option[] = "--config", unit[] = "systemd/lethed.service";
    /* Under the protections of the unit, if a sandbox is named (make check-sandbox). */
    char *sandbox = getenv("LETHE_SANDBOX");
    char *argv[] = {sandbox, unit, program, option, d->config, NULL};
    char **environment = environment_with(notify);
    d->pid = spawn(argv + (sandbox ? 0 : 2), environment, d->journal);
    free(environment);
}

/* True when READY=1 was heard before the process ended or the time was over. */
static int heard_ready(struct test_daemon *d)
{
    const int64_t end = now_ms() + START_LIMIT_MS;
    while (now_ms() < end) {
        struct pollfd p = {.fd = d->notify, .events = POLLIN};
        char message[512];
        if (poll(&p, 1, 20) > 0) {
            const ssize_t n = recv(d->notify, message, sizeof message - 1, 0);
            message[n > 0 ? n : 0] = '\0';
            if (strstr(message, "READY=1"))
                return 1;
        } else if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            d->pid = 0;
            return 0;
        }
    }
    return 0;
}

void test_daemon_start(struct test_daemon *d)
{
    assert_int_equal(d->pid, 0);
    open_notify(d);
    launch(d);
    const int ready = heard_ready(d);
    close_notify(d);
    if (ready)
        return;
    show_journal(d);
    test_daemon_kill(d);
    fail_msg("lethed did not become ready");
}

int test_daemon_start_refused(struct test_daemon *d)
{
    assert_int_equal(d->pid, 0);
    launch(d);
    const int code = wait_for(d->pid, START_LIMIT_MS);
    if (code < 0)
        test_daemon_kill(d);
    d->pid = 0;
    return code;
}

void test_daemon_stop(struct test_daemon *d)
{
    assert_true(d->pid > 0);
    assert_int_equal(kill(d->pid, SIGTERM), 0);
    const int code = wait_for(d->pid, START_LIMIT_MS);
    if (code != 0)
        show_journal(d);
    if (code < 0)
        test_daemon_kill(d);
    d->pid = 0;
    assert_int_equal(code, 0);
}

void test_daemon_kill(struct test_daemon *d)
{
    if (d->pid <= 0)
        return;
    (void)kill(d->pid, SIGKILL);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    d->pid = 0;
}

/* Parent of a process, from /proc/PID/stat; 0 if it is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    int parent = 0;
    char state;
    if (!end || sscanf(end + 1, " %c %d", &state, &parent) != 2 || state == 'Z')
        return 0;
    return parent;
}

pid_t test_daemon_worker(const struct test_daemon *d)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;
    struct dirent *entry;
    while (proc && d->pid > 0 && !found && (entry = readdir(proc))) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid) == d->pid)
            found = pid;
    }
    if (proc)
        (void)closedir(proc);
    return found;
}

/* ---------------------------------------------------------------- command line */

static void read_output(const char *path, char *out, size_t size)
{
    size_t n = 0;
    FILE *file = fopen(path, "r");
    if (file) {
        n = fread(out, 1, size - 1, file);
        (void)fclose(file);
    }
    out[n] = '\0';
    (void)unlink(path);
}

int test_daemon_cli(const struct test_daemon *d, char *out, size_t size, ...)
{
    char program[TEST_DAEMON_PATH], output[TEST_DAEMON_PATH], endpoint[TEST_DAEMON_PATH];
    char option[] = "--endpoint";
    char *argv[ARGUMENTS_MAX] = {program, option, endpoint};
    program_path("lethe", program);
    (void)snprintf(output, sizeof output, "%.250s/cli.out", d->folder);
    (void)snprintf(endpoint, sizeof endpoint, "%s", d->endpoint);
    va_list arguments;
    va_start(arguments, size);
    size_t n = 3;
    char *argument;
    while ((argument = va_arg(arguments, char *)) != NULL) {
        assert_true(n + 1 < ARGUMENTS_MAX);
        argv[n++] = argument;
    }
    va_end(arguments);
    const pid_t pid = spawn(argv, environ, output);
    const int code = wait_for(pid, 120000);
    if (code < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    read_output(output, out, size);
    return code;
}
