/* lethe-verify receipt FILE: one entry of the log and what it commits to. */
#ifndef LETHE_VERIFY_RECEIPT_H
#define LETHE_VERIFY_RECEIPT_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_report.h"

enum status verify_receipt_run(const struct verify_args *a,
                               struct verify_report *r,
                               struct fault *f) MUST_CHECK;

#endif
