/*
 * The command line of lethe-verify.  One table says which options and how many files each command
 * takes; anything else is a usage error.
 */
#ifndef LETHE_VERIFY_ARGS_H
#define LETHE_VERIFY_ARGS_H

#include "daemon/base/status.h"
#include "proto/seal/note.h"
#include "proto/seal/sign.h"
#include "proto/seal/signers.h"

#include <stddef.h>
#include <stdint.h>

#define VERIFY_LOGS_MAX 8

enum verify_command {
    VERIFY_RECEIPT,
    VERIFY_CERTIFICATE,
    VERIFY_CONSISTENCY,
    VERIFY_SERVED,
    VERIFY_WITNESS,
    VERIFY_COMMANDS
};

/* Texts are borrowed from argv. */
struct verify_args {
    enum verify_command command;
    const char *files[3];
    size_t n_files;
    struct sign_vkey logs[VERIFY_LOGS_MAX];
    size_t n_logs;
    struct sign_vkey witnesses[NOTE_SIGNATURES_MAX];
    size_t n_witnesses;
    size_t need; /* of the witnesses: all of them unless --need-witnesses says less */
    int ignore_unknown;
    int json;
    const char *payload; /* files; NULL: not given */
    const char *report;
    const char *subject; /* an id */
    const char *newer;
    const char *proof;
    const char *sign;
    const char *out;
    int first;
    int64_t at_us; /* with served */
};

enum verify_args_result { VERIFY_ARGS_RUN, VERIFY_ARGS_HELP, VERIFY_ARGS_BAD };

/* BAD fills *f; a.json is set as far as it was seen. */
enum verify_args_result
verify_args_parse(int argc, char **argv, struct verify_args *ret_args, struct fault *f);
/* Borrows from the arguments. */
struct signers verify_args_signers(const struct verify_args *a);
/* For --help. */
const char *verify_args_help(void);

#endif
