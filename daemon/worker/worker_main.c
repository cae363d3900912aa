/*
 * lethe-worker: runs one job at a time on memory that lethed hands over.  It opens no file, no
 * store and no public socket; descriptor 3 is its only way out.  It may crash or be killed at any
 * moment: a job has no effect until lethed commits its result.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/jobs/job_wire.h"
#include "daemon/worker/worker_job.h"
#include "learners/math/gemm.h"

#define CONTROL_FD        3
#define PROGRESS_EVERY_US 50000
#define WORKER_NICE       10

struct teller {
    int64_t last_us;
    char phase[16];
};

/* At most 20 a second, but every change of phase and every last step. */
static void tell(void *context, const struct job_progress *p)
{
    struct teller *t = context;
    const int64_t now = clock_mono_us();
    const int changed = strcmp(t->phase, p->phase) != 0 || p->step == p->steps;
    if (!changed && now - t->last_us < PROGRESS_EVERY_US)
        return;
    uint8_t message[JOB_MESSAGE_MAX];
    message[0] = 'P';
    const size_t n = job_progress_encode(p, message + 1, sizeof message - 1);
    if (n == 0)
        return;
    if (job_send(CONTROL_FD, message, n + 1, NULL, 0) != STATUS_OK)
        exit(EXIT_FAILURE); /* lethed is gone: nobody wants the result */
    t->last_us = now;
    memcpy(t->phase, p->phase, sizeof t->phase);
}

static enum status
send_result(const struct job_result *result, const struct vit_config *config, struct fault *f)
{
    int fd;
    void *map;
    const size_t size = job_result_plan(result, config);
    TRY(job_memory_create("lethe-result", size, &fd, &map, f));
    job_result_encode(result, config, map, size);
    enum status st = job_memory_seal(fd, map, size, f);
    if (st == STATUS_OK)
        st = job_send(CONTROL_FD, "D", 1, &fd, 1);
    (void)close(fd);
    return st;
}

static enum status run_job(int base_fd, int bundle_fd, struct fault *f)
{
    const void *base, *bundle;
    size_t base_size, bundle_size;
    TRY(job_memory_map(base_fd, &base, &base_size, f));
    TRY(job_memory_map(bundle_fd, &bundle, &bundle_size, f));
    struct worker_job job;
    struct job_result result;
    struct teller teller = {0};
    worker_job_run(&job, base, base_size, bundle, bundle_size, tell, &teller, &result);
    const enum status st = send_result(&result, &job.spec.config, f);
    worker_job_fini(&job);
    (void)munmap((void *)(uintptr_t)base, base_size);
    (void)munmap((void *)(uintptr_t)bundle, bundle_size);
    return st;
}

static enum status serve_jobs(struct fault *f)
{
    for (;;) {
        char message[16];
        size_t n, n_fds;
        int fds[2] = {-1, -1};
        if (job_send(CONTROL_FD, "R", 1, NULL, 0) != STATUS_OK)
            return STATUS_OK;
        const enum status got = job_receive(CONTROL_FD, message, sizeof message, &n, fds, &n_fds);
        if (got == STATUS_UNAVAILABLE)
            return STATUS_OK; /* lethed closed its end */
        if (got != STATUS_OK || n != 1 || message[0] != 'J' || n_fds != 2)
            FAIL(f, STATUS_BAD_FORMAT, "message", "a message that is no job");
        const enum status st = run_job(fds[0], fds[1], f);
        (void)close(fds[0]);
        (void)close(fds[1]);
        TRY(st);
    }
}

/*
 * Jobs were planned to fit; one that takes more all the same fails here and not the machine.  Only
 * what the process takes for itself counts, not the memory files of lethed.
 */
static enum status limit_memory(const char *bytes, struct fault *f)
{
#ifdef LETHE_DEBUG
    const unsigned long long max = 0 * strlen(bytes); /* sanitizers take terabytes */
#else
    const unsigned long long max = strtoull(bytes, NULL, 10);
#endif
    const struct rlimit limit = {max, max};
    if (max > 0 && setrlimit(RLIMIT_DATA, &limit) != 0)
        FAIL(f, status_from_errno(errno), "worker_memory_max", "setrlimit: %s", strerror(errno));
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    log_open("lethe-worker", LOG_LEVEL_INFO);
    int type = 0;
    socklen_t size = sizeof type;
    if (argc != 3 || getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_SEQPACKET) {
        (void)fprintf(stderr, "lethe-worker is started by lethed, not by hand\n");
        return 2;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0); /* the job's memory holds data of people: no core dumps */
    /* Acknowledgements and predictions come first where training takes every processor; threads
     * that are made later inherit it.  Where a sandbox forbids it, all run alike. */
    (void)setpriority(PRIO_PROCESS, 0, WORKER_NICE);
    struct fault f = {0};
    enum status st = limit_memory(argv[2], &f);
    if (st == STATUS_OK)
        st = gemm_setup(&f);
    if (st == STATUS_OK)
        st = serve_jobs(&f);
    if (st != STATUS_OK)
        log_event(LOG_LEVEL_ERROR, "worker.failed", f.text, "status", status_name(st), NULL);
    return st == STATUS_OK ? 0 : 1;
}
