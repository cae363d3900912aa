/*
 * What the commands that hand in a request share: the method's options as NAME=VALUE, lists of
 * words, and what follows acceptance.
 */
#ifndef LETHE_CLI_SUBMIT_H
#define LETHE_CLI_SUBMIT_H

#include "client/cli/cli.h"
#include "client/cli/options.h"
#include "proto/limits.h"

/* Rows that every such command has in its table of options. */
#define SUBMIT_TICKET                                                                              \
    {                                                                                              \
        "ticket", 't', OPTION_VALUE, "TEXT", "your own reference, kept with the request"           \
    }
#define SUBMIT_SEED                                                                                \
    {                                                                                              \
        "seed", 0, OPTION_VALUE, "N", "seed of all random choices (default: from the request id)"  \
    }
#define SUBMIT_ID                                                                                  \
    {                                                                                              \
        "request-id", 0, OPTION_VALUE, "ID", "repeat an earlier submission: same id, one effect"   \
    }
#define SUBMIT_DRY_RUN                                                                             \
    {                                                                                              \
        "dry-run", 'n', OPTION_FLAG, NULL, "do everything on a fork, measure, commit nothing"      \
    }
#define SUBMIT_WAIT                                                                                \
    {                                                                                              \
        "wait", 'w', OPTION_FLAG, NULL, "wait for the end and show the report"                     \
    }

#define SUBMIT_RECEIPT                                                                             \
    {                                                                                              \
        "receipt", 0, OPTION_VALUE, "FILE", "write the signed receipt of the acceptance here"      \
    }

/* Options of a method; names are copied, values borrowed from the command line. */
struct submit_options {
    struct lethe_option items[LIMIT_OPTIONS];
    size_t n;
    char names[LIMIT_OPTIONS][LIMIT_NAME_BYTES];
};
/* Adds the values of the command's option `name`.  INVALID_ARGUMENT: no NAME=VALUE, or too many. */
enum status submit_read_options(const struct options *o,
                                const char *name,
                                struct submit_options *to,
                                struct fault *f) MUST_CHECK;

/* All values of an option, in memory of its own (sysio_free); NO_MEMORY. */
enum status submit_read_list(const struct options *o,
                             const char *name,
                             const char ***ret_list,
                             size_t *ret_n,
                             struct fault *f) MUST_CHECK;

/*
 * Writes the receipt if --receipt was given; prints an accepted request, or (`wait`) follows it to
 * its end and prints it then; the exit.
 */
enum cli_exit submit_accepted(struct cli *c,
                              const struct options *o,
                              const struct lethe_request *r,
                              bool wait) MUST_CHECK;

#endif
