/* lethe-verify served FILE --at TIME: which version was serving at a time. */
#ifndef LETHE_VERIFY_SERVED_H
#define LETHE_VERIFY_SERVED_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_report.h"

enum status
verify_served_run(const struct verify_args *a, struct verify_report *r, struct fault *f) MUST_CHECK;

#endif
