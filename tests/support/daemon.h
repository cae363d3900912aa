/*
 * The real daemon in a temporary folder: start it, wait until it is ready, stop it, kill it, start
 * it again on the same store.  The programs are those of the same build.  READY is heard on a
 * notification socket, as the service manager would.  One thread.
 */
#ifndef LETHE_TESTS_SUPPORT_DAEMON_H
#define LETHE_TESTS_SUPPORT_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

#define TEST_DAEMON_PATH 512

struct test_daemon {
    char folder[256];                /* store, sockets, configuration, journal */
    char endpoint[TEST_DAEMON_PATH]; /* ipc://FOLDER/l.sock, or as given */
    char config[TEST_DAEMON_PATH];   /* FOLDER/lethed.conf */
    char journal[TEST_DAEMON_PATH];  /* FOLDER/lethed.log, of all starts */
    char store[TEST_DAEMON_PATH];    /* FOLDER/store */
    int notify;                      /* notification socket, -1 once READY was heard */
    pid_t pid;                       /* 0: not running */
};

/*
 * Makes a folder and a configuration: base model `model`, one thread and one second of draining
 * unless `more` says otherwise (further lines, may be "").
 * Starts nothing.
 */
void test_daemon_new(struct test_daemon *d, const char *model, const char *more);
/* The same with another endpoint, which is not a file of the folder; keys are in `more`. */
void test_daemon_new_at(struct test_daemon *d,
                        const char *model,
                        const char *endpoint,
                        const char *more);
/* Starts and waits for READY; fails the test with the journal if it does not come within 30 s. */
void test_daemon_start(struct test_daemon *d);
/* Starts, expecting that it ends by itself: returns its exit status; its stderr is in the journal.
 */
int test_daemon_start_refused(struct test_daemon *d);
/* SIGTERM, then waits; fails the test unless it exits with 0 within 30 s. */
void test_daemon_stop(struct test_daemon *d);
/* SIGKILL, then waits. */
void test_daemon_kill(struct test_daemon *d);
/* Process id of its worker, or 0. */
pid_t test_daemon_worker(const struct test_daemon *d);
/* Whether the journal contains a text. */
int test_daemon_said(const struct test_daemon *d, const char *text);
/* Kills it if it runs and removes the folder. */
void test_daemon_free(struct test_daemon *d);

/*
 * Runs the lethe command with these arguments (ended by NULL) against the daemon.  Returns its exit
 * status; output (stdout, then stderr) goes into `out` (size bytes, NUL-terminated, cut to fit).
 */
int test_daemon_cli(const struct test_daemon *d, char *out, size_t size, ...)
    __attribute__((sentinel));

#endif
