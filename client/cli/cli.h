/*
 * What every command is given: where the daemon is, how to print, and the exits of interface.md.
 * Streams are members, so that tests can read what was printed.
 */
#ifndef LETHE_CLI_CLI_H
#define LETHE_CLI_CLI_H

#include "client/lethe.h"
#include "daemon/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cli_exit {
    CLI_DONE = 0,
    CLI_ENDED_BADLY = 1, /* the request ended rejected, failed, denied (or cancelled) */
    CLI_USAGE = 2,       /* the command line, or a file that it names, is at fault */
    CLI_REFUSED = 3,     /* the daemon refused */
    CLI_UNREACHABLE = 4  /* no daemon, or the deadline passed */
};

struct cli {
    const char *endpoint; /* NULL: the default */
    const char *key;
    const char *server_key;
    uint32_t timeout_ms; /* 0: the library's; a wait: for ever */
    bool json;
    bool quiet;
    bool progress; /* bars are wanted: err is a terminal, and neither quiet nor json forbid it */
    bool unicode;
    FILE *out;
    FILE *err;
    struct lethe *lethe; /* NULL until cli_connect */
};

/* Opens the connection, once.  CLI_DONE, or the exit after printing why. */
enum cli_exit cli_connect(struct cli *c) MUST_CHECK;
/* Closes it. */
void cli_fini(struct cli *c);

/* Prints what went wrong, with what helps, and gives the exit. */
enum cli_exit cli_fail(struct cli *c, const struct lethe_error *e);
/* The same for a fault on this side: command line or files. */
enum cli_exit cli_fail_fault(struct cli *c, const struct fault *f);
enum cli_exit cli_usage(struct cli *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One line for people on stderr, unless quiet. */
void cli_note(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* After printing a result: CLI_DONE, or CLI_USAGE if the output could not be written. */
enum cli_exit cli_printed(struct cli *c, bool good);

/* Exit of a request in a final state; a dry run that ends is cancelled on purpose. */
enum cli_exit cli_state_exit(const struct lethe_request *r);
/* Exit of an error. */
enum cli_exit cli_error_exit(const struct lethe_error *e);

#endif
