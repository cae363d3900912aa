/*
 * lethe-verify: checks evidence of lethe offline.  Needs no daemon, no store, no network and no
 * configuration; links libsodium and the C library alone.  Exit status: 0 everything asked for was
 * verified, 1 the evidence is false, 2 no verdict.
 */
#include "client/verify/verify_args.h"
#include "client/verify/verify_certificate.h"
#include "client/verify/verify_consistency.h"
#include "client/verify/verify_receipt.h"
#include "client/verify/verify_report.h"
#include "client/verify/verify_served.h"
#include "client/verify/verify_witness.h"
#include "proto/seal/hash.h"

#include <stdio.h>

typedef enum status run_fn(const struct verify_args *a, struct verify_report *r, struct fault *f);

static run_fn *const the_runs[VERIFY_COMMANDS] = {
    [VERIFY_RECEIPT] = verify_receipt_run,         [VERIFY_CERTIFICATE] = verify_certificate_run,
    [VERIFY_CONSISTENCY] = verify_consistency_run, [VERIFY_SERVED] = verify_served_run,
    [VERIFY_WITNESS] = verify_witness_run,
};

static enum status run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    return the_runs[a->command](a, r, f);
}

int main(int argc, char **argv)
{
    static struct verify_args args;
    static struct verify_report report;
    struct fault f = {0};
    enum status st = seal_init(&f);
    if (st == STATUS_OK) {
        switch (verify_args_parse(argc, argv, &args, &f)) {
        case VERIFY_ARGS_HELP:
            return fputs(verify_args_help(), stdout) < 0 || fflush(stdout) != 0 ? (int)VERIFY_NONE
                                                                                : 0;
        case VERIFY_ARGS_BAD:
            st = STATUS_INVALID_ARGUMENT;
            break;
        case VERIFY_ARGS_RUN:
            st = run(&args, &report, &f);
            break;
        }
    }
    verify_report_conclude(&report, st, &f);
    if (verify_report_print(&report, args.json, stdout) != 0)
        return (int)VERIFY_NONE;
    return (int)report.verdict;
}
