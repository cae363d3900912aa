/* lethe-verify certificate FILE: a certificate that carries its own proof. */
#ifndef LETHE_VERIFY_CERTIFICATE_H
#define LETHE_VERIFY_CERTIFICATE_H

#include "client/verify/verify_args.h"
#include "client/verify/verify_report.h"

enum status verify_certificate_run(const struct verify_args *a,
                                   struct verify_report *r,
                                   struct fault *f) MUST_CHECK;

#endif
