#include "client/verify/verify_run.h"

#include "client/verify/verify_args.h"
#include "client/verify/verify_certificate.h"
#include "client/verify/verify_consistency.h"
#include "client/verify/verify_receipt.h"
#include "client/verify/verify_report.h"
#include "client/verify/verify_served.h"
#include "client/verify/verify_witness.h"
#include "proto/seal/hash.h"

typedef enum status run_fn(const struct verify_args *a, struct verify_report *r, struct fault *f);

static run_fn *const the_runs[VERIFY_COMMANDS] = {
    [VERIFY_RECEIPT] = verify_receipt_run,         [VERIFY_CERTIFICATE] = verify_certificate_run,
    [VERIFY_CONSISTENCY] = verify_consistency_run, [VERIFY_SERVED] = verify_served_run,
    [VERIFY_WITNESS] = verify_witness_run,
};

static int print_help(FILE *to)
{
    return fputs(verify_args_help(), to) < 0 || fflush(to) != 0 ? (int)VERIFY_NONE : 0;
}

int verify_run(int argc, char **argv, FILE *to)
{
    struct verify_args args = {0};
    struct verify_report report = {0};
    struct fault f = {0};
    enum status st = seal_init(&f);
    if (st == STATUS_OK) {
        switch (verify_args_parse(argc, argv, &args, &f)) {
        case VERIFY_ARGS_HELP:
            return print_help(to);
        case VERIFY_ARGS_BAD:
            st = STATUS_INVALID_ARGUMENT;
            break;
        case VERIFY_ARGS_RUN:
            st = the_runs[args.command](&args, &report, &f);
            break;
        }
    }
    verify_report_conclude(&report, st, &f);
    if (verify_report_print(&report, args.json, to) != 0)
        return (int)VERIFY_NONE;
    return (int)report.verdict;
}
