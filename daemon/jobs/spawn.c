#include "daemon/jobs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"

#define WORKER_MAGIC   0x4b524f57u
#define CONTROL_FD     3
#define START_LIMIT_US (30 * 1000000)

struct worker {
    uint32_t magic;
    char path[4096];
    uint32_t threads;
    int64_t stall_us;
    uint64_t memory_max; /* 0: no limit */
    pid_t pid;           /* 0: none */
    int socket;
    int ready;
    int busy;
    int64_t last_heard_us;
    uint64_t heard; /* messages */
    uint32_t starts;
    const void *result; /* mapped result bundle, NULL: none */
    size_t result_size;
};

enum status worker_new(const char *path,
                       uint32_t threads,
                       int64_t stall_ms,
                       struct worker **ret_worker,
                       struct fault *f)
{
    if (strlen(path) >= sizeof((struct worker *)0)->path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "worker", "path is too long");
    if (access(path, X_OK) != 0)
        FAIL(f, STATUS_NOT_FOUND, "worker", "cannot execute %.120s: %s", path, strerror(errno));
    struct worker *w = sysio_alloc(1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, "worker", "no memory");
    w->magic = WORKER_MAGIC;
    memcpy(w->path, path, strlen(path) + 1);
    w->threads = threads;
    w->stall_us = stall_ms * 1000;
    w->socket = -1;
    *ret_worker = w;
    return STATUS_OK;
}

void worker_limit_memory(struct worker *w, uint64_t bytes)
{
    w->memory_max = bytes;
}

static void worker_drop_result(struct worker *w)
{
    if (w->result)
        (void)munmap((void *)(uintptr_t)w->result, w->result_size);
    w->result = NULL;
    w->result_size = 0;
}

void worker_kill(struct worker *w)
{
    INVARIANT(w->magic == WORKER_MAGIC);
    if (w->pid > 0) {
        (void)kill(w->pid, SIGKILL);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (w->socket >= 0)
        (void)close(w->socket);
    w->pid = 0;
    w->socket = -1;
    w->ready = 0;
    w->busy = 0;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    worker_kill(w);
    worker_drop_result(w);
    w->magic = 0;
    sysio_free(w);
}

/* The child gets standard input from /dev/null, our output and errors, and the control socket. */
static int spawn_child(struct worker *w, int child_socket, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char threads[16];
    (void)snprintf(threads, sizeof threads, "%u", w->threads);
    char memory[24];
    (void)snprintf(memory, sizeof memory, "%llu", (unsigned long long)w->memory_max);
    char *arguments[] = {w->path, threads, memory, NULL};
    char kernel[64];
    const char *core = getenv("OPENBLAS_CORETYPE");
    (void)snprintf(kernel, sizeof kernel, "OPENBLAS_CORETYPE=%s", core ? core : "");
    char one_thread[] = "OPENBLAS_NUM_THREADS=1";
    char *environment[] = {one_thread, core ? kernel : NULL, NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, child_socket, CONTROL_FD);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, CONTROL_FD + 1);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const int error = posix_spawn(ret_pid, w->path, &actions, &attributes, arguments, environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

enum status worker_start(struct worker *w, struct fault *f)
{
    INVARIANT(w->magic == WORKER_MAGIC);
    if (w->pid > 0)
        return STATUS_OK;
    int pair[2];
    if (sysio_should_fail(SYSIO_SPAWN))
        FAIL(f, STATUS_UNAVAILABLE, "worker", "cannot start: %s", strerror(errno));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        FAIL(f, STATUS_UNAVAILABLE, "worker", "socketpair: %s", strerror(errno));
    /* A descriptor that already has the wanted number would keep its close-on-exec flag. */
    if (pair[1] == CONTROL_FD)
        (void)fcntl(pair[1], F_SETFD, 0);
    const int error = spawn_child(w, pair[1], &w->pid);
    (void)close(pair[1]);
    if (error != 0) {
        (void)close(pair[0]);
        w->pid = 0;
        FAIL(f, STATUS_UNAVAILABLE, "worker", "cannot start %.100s: %s", w->path, strerror(error));
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    w->socket = pair[0];
    w->ready = 0;
    w->busy = 0;
    w->starts++;
    w->last_heard_us = clock_mono_us();
    return STATUS_OK;
}

int worker_running(const struct worker *w)
{
    return w->pid > 0;
}

int worker_busy(const struct worker *w)
{
    return w->busy;
}

int worker_pid(const struct worker *w)
{
    return (int)w->pid;
}

uint32_t worker_restarts(const struct worker *w)
{
    return w->starts > 0 ? w->starts - 1 : 0;
}

uint64_t worker_heard(const struct worker *w)
{
    return w->heard;
}

int worker_poll_fd(const struct worker *w)
{
    return w->socket;
}

static enum status bundle_make(const struct job_spec *spec, int *ret_fd, struct fault *f)
{
    void *map;
    int fd;
    const size_t size = job_spec_plan(spec);
    TRY(job_memory_create("lethe-job", size, &fd, &map, f));
    job_spec_encode(spec, map, size);
    const enum status st = job_memory_seal(fd, map, size, f);
    if (st != STATUS_OK) {
        (void)close(fd);
        return st;
    }
    *ret_fd = fd;
    return STATUS_OK;
}

enum status worker_give(struct worker *w, int base_fd, const struct job_spec *spec, struct fault *f)
{
    INVARIANT(w->magic == WORKER_MAGIC && !w->busy);
    if (w->pid <= 0)
        FAIL(f, STATUS_UNAVAILABLE, "worker", "no worker process runs");
    worker_drop_result(w);
    int bundle;
    TRY(bundle_make(spec, &bundle, f));
    const int fds[2] = {base_fd, bundle};
    const enum status st = job_send(w->socket, "J", 1, fds, 2);
    (void)close(bundle);
    if (st != STATUS_OK)
        FAIL(f, STATUS_UNAVAILABLE, "worker", "the worker process does not listen");
    w->busy = 1;
    w->last_heard_us = clock_mono_us();
    return STATUS_OK;
}

static enum worker_event worker_died(struct worker *w)
{
    worker_kill(w);
    return WORKER_DIED;
}

static enum worker_event worker_accept_result(struct worker *w, int fd)
{
    worker_drop_result(w);
    const enum status st = job_memory_map(fd, &w->result, &w->result_size, NULL);
    if (st != STATUS_OK) {
        w->result = NULL;
        return worker_died(w);
    }
    w->busy = 0;
    return WORKER_DONE;
}

static enum worker_event
worker_hear(struct worker *w, const uint8_t *m, size_t n, int fd, struct job_progress *ret_progress)
{
    w->last_heard_us = clock_mono_us();
    w->heard++;
    /* A job may have been queued on the socket before the worker said that it is ready. */
    if (m[0] == 'R' && n == 1 && fd < 0) {
        w->ready = 1;
        return WORKER_READY;
    }
    if (m[0] == 'P' && w->busy && fd < 0 &&
        job_progress_decode(m + 1, n - 1, ret_progress) == STATUS_OK)
        return WORKER_PROGRESS;
    if (m[0] == 'D' && w->busy && fd >= 0)
        return worker_accept_result(w, fd);
    return worker_died(w);
}

/* A busy worker that is silent for too long, or one that never became ready, counts as dead. */
static int worker_stalled(const struct worker *w)
{
    const int64_t silence = clock_mono_us() - w->last_heard_us;
    if (w->busy)
        return silence > w->stall_us;
    return !w->ready && silence > START_LIMIT_US;
}

enum worker_event worker_next(struct worker *w, struct job_progress *ret_progress)
{
    INVARIANT(w->magic == WORKER_MAGIC);
    if (w->pid <= 0)
        return WORKER_NOTHING;
    uint8_t message[JOB_MESSAGE_MAX];
    size_t n = 0, n_fds = 0;
    int fds[2] = {-1, -1};
    const enum status st = job_receive(w->socket, message, sizeof message, &n, fds, &n_fds);
    if (st == STATUS_RESOURCE_EXHAUSTED)
        return worker_stalled(w) ? worker_died(w) : WORKER_NOTHING;
    enum worker_event event;
    if (st != STATUS_OK || n_fds > 1)
        event = worker_died(w);
    else
        event = worker_hear(w, message, n, fds[0], ret_progress);
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    return event;
}

enum status worker_take_result(struct worker *w,
                               const struct vit_config *config,
                               struct job_result *ret_result,
                               struct fault *f)
{
    INVARIANT(w->magic == WORKER_MAGIC);
    if (!w->result)
        FAIL(f, STATUS_FAILED_PRECONDITION, "worker", "no result is there");
    return job_result_decode(w->result, w->result_size, config, ret_result, f);
}
