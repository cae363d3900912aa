/*
 * lethe-verify with arguments that have no spaces in them: as a function (thousands of calls a
 * second) and as the program.  Both work in the present folder.
 */
#ifndef LETHE_TESTS_SUPPORT_VERIFY_CALL_H
#define LETHE_TESTS_SUPPORT_VERIFY_CALL_H

#include "tests/support/test.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/verify/verify_run.h"

#define VERIFY_CALL_PROGRAM LETHE_BUILD "/bin/lethe-verify"
#define VERIFY_CALL_ROOM    16384
#define VERIFY_CALL_ARGS    32

struct verify_call {
    char words[2048];
    char *argv[VERIFY_CALL_ARGS + 1];
    int argc;
    char out[VERIFY_CALL_ROOM]; /* what it printed */
};

static inline void verify_call_set(struct verify_call *c, const char *command)
{
    char *save = NULL;
    assert_true(strlen(command) < sizeof c->words - sizeof VERIFY_CALL_PROGRAM);
    (void)snprintf(c->words, sizeof c->words, VERIFY_CALL_PROGRAM " %s", command);
    c->argc = 0;
    for (char *w = strtok_r(c->words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        assert_true(c->argc < VERIFY_CALL_ARGS);
        c->argv[c->argc++] = w;
    }
    c->argv[c->argc] = NULL;
}

/* The function; its exit status. */
static inline int verify_call_inside(struct verify_call *c)
{
    char *argv[VERIFY_CALL_ARGS + 1]; /* getopt_long changes the order */
    memcpy(argv, c->argv, sizeof argv);
    memset(c->out, 0, 64);
    FILE *to = fmemopen(c->out, sizeof c->out, "w");
    assert_non_null(to);
    const int status = verify_run(c->argc, argv, to);
    assert_int_equal(fclose(to), 0);
    return status;
}

/* The program; its exit status. */
static inline int verify_call_program(struct verify_call *c)
{
    int ends[2], status = 0;
    pid_t pid = 0;
    size_t n = 0;
    posix_spawn_file_actions_t actions;
    char *none[] = {NULL};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], 1), 0);
    assert_int_equal(posix_spawn(&pid, VERIFY_CALL_PROGRAM, &actions, NULL, c->argv, none), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    for (ssize_t got; n < sizeof c->out - 1; n += (size_t)got) {
        got = read(ends[0], c->out + n, sizeof c->out - 1 - n);
        if (got <= 0)
            break;
    }
    c->out[n] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Both must say the same: the exit status and the first line. */
static inline void verify_call_check(const struct verify_call *c, int exit_status, int wanted)
{
    static const char *const lines[] = {"VERIFIED\n", "NOT VERIFIED: ", "NO VERDICT: "};
    if (exit_status != wanted || strncmp(c->out, lines[wanted], strlen(lines[wanted])) != 0)
        fail_msg("exit %d, not %d: %s", exit_status, wanted, c->out);
}

#endif
