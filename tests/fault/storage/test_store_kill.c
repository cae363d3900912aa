/*
 * kill -9 in the middle of commits.  The program starts itself again as a writer, which reports
 * each acknowledged change through a pipe, and rotates the epoch of its keys now and then; at a
 * random moment it is killed.  Then the store opens
 * without any repair, passes its check, holds everything that was acknowledged, and at most one
 * change more.
 */
#include "tests/support/store_fixture.h"

#include "daemon/base/rng.h"

#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS       20u
#define REPORT_FD    9
#define REQUESTS_MAX 4000u
#define CHILD_FOLDER "LETHE_TEST_STORE_WRITER"
#define CHILD_FIRST  "LETHE_TEST_STORE_FIRST"

/* ---------------------------------------------------------------- the writer */

/* Request n goes in with a blob and a version that serves, then n is reported. */
static void write_until_killed(struct store_fixture *x, unsigned n)
{
    for (;; n++) {
        const uint32_t done = n;
        fixture_enqueue(x, n);
        if (n % 4 == 0)
            (void)fixture_version(x, NULL, 0);
        if (n % 3 == 0)
            assert_ok(fixture_move(x, n, REQUEST_EVENT_START));
        if (n % 5 == 0) {
            struct store_shredding ignored;
            assert_ok(store_shred(x->store, ++x->now_us, &ignored, THE_FAULT));
        }
        if (write(REPORT_FD, &done, sizeof done) != sizeof done)
            _exit(3);
    }
}

/* Runs before the tests; in the writer it never returns. */
int group_setup(void **state)
{
    struct store_fixture x = {.now_us = 1700000000000000};
    const char *folder = getenv(CHILD_FOLDER);
    const char *first = getenv(CHILD_FIRST);
    (void)state;
    if (!folder || !first)
        return 0;
    (void)snprintf(x.folder, sizeof x.folder, "%s", folder);
    fixture_reopen(&x);
    write_until_killed(&x, (unsigned)strtoul(first, NULL, 10));
    return 1;
}

/* ---------------------------------------------------------------- the killer */

static pid_t start_writer(const struct store_fixture *x, unsigned first, int out)
{
    char number[16];
    char program[] = "/proc/self/exe";
    char *argv[] = {program, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    (void)snprintf(number, sizeof number, "%u", first);
    assert_int_equal(setenv(CHILD_FOLDER, x->folder, 1), 0);
    assert_int_equal(setenv(CHILD_FIRST, number, 1), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out, REPORT_FD), 0);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(unsetenv(CHILD_FOLDER), 0);
    return pid;
}

static void nap(uint64_t us)
{
    const struct timespec t = {.tv_sec = 0, .tv_nsec = (long)us * 1000};
    (void)nanosleep(&t, NULL);
}

/* Starts a writer, waits for its first report, kills it after a while; the last number it reported.
 */
static unsigned run_writer(const struct store_fixture *x, unsigned first, uint64_t delay_us)
{
    int ends[2];
    uint32_t n = 0;
    unsigned last = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = start_writer(x, first, ends[1]);
    assert_int_equal(close(ends[1]), 0);
    while (read(ends[0], &n, sizeof n) == sizeof n) {
        if (!last) {
            nap(delay_us);
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
        last = n;
    }
    assert_int_equal(close(ends[0]), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(last >= first && last < REQUESTS_MAX);
    return last;
}

/* Every number up to `acknowledged` is there; returns how many there are in all. */
static unsigned expect_all(struct store_fixture *x, unsigned acknowledged)
{
    const struct fsck_counts counts = fixture_check(x);
    assert_int_equal(counts.orphan_chunks, 0);
    assert_int_equal(counts.orphan_blobs, 0);
    assert_int_equal(counts.orphan_keys, 0);
    for (unsigned n = 1; n <= acknowledged; n++) {
        struct queue_record q;
        const struct request_id id = fixture_id(n);
        assert_ok(store_read_request(x->store, &id, &q, THE_FAULT));
        assert_int_equal(q.sequence, n);
        assert_true(q.state == REQUEST_QUEUED || q.state == REQUEST_RUNNING);
    }
    return (unsigned)counts.requests;
}

void test_store_kill_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct store_fixture x;
    struct rng rng;
    unsigned there = 0;
    const struct rng_root root = {.seed = 3};
    rng_init(&rng, &root, "kill", 0);
    fixture_open(&x);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t moved = 0;
        store_close(x.store);
        x.store = NULL;
        const unsigned last = run_writer(&x, there + 1, rng_below(&rng, 40000));
        fixture_reopen(&x);
        there = expect_all(&x, last);
        assert_true(there == last || there == last + 1);
        assert_ok(store_recover(x.store, x.now_us, &moved, THE_FAULT));
        uint64_t queued[REQUEST_STATES];
        assert_ok(store_read_counts(x.store, queued, THE_FAULT));
        assert_int_equal(queued[REQUEST_QUEUED], there);
    }
    print_message("%u requests over %u kills\n", there, ROUNDS);
    fixture_close(&x);
}
