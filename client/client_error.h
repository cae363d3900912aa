/*
 * Filling a caller's struct lethe_error, from an argument at fault, from a fault of base or proto,
 * or from an error that the daemon sent.  NULL for the error is allowed everywhere; each function
 * returns the code, so that a caller can write `return client_error_set(...)`.
 */
#ifndef LETHE_CLIENT_ERROR_H
#define LETHE_CLIENT_ERROR_H

#include "client/lethe.h"
#include "daemon/base/status.h"
#include "proto/wire.h"

void client_error_clear(struct lethe_error *e);

/* `field` may be NULL. */
enum lethe_code client_error_set(struct lethe_error *e,
                                 enum lethe_code code,
                                 enum lethe_origin origin,
                                 const char *field,
                                 const char *format,
                                 ...) __attribute__((format(printf, 5, 6)));

/* What base or proto found at fault; `origin` says whose bytes they were. */
enum lethe_code
client_error_fault(struct lethe_error *e, enum lethe_origin origin, const struct fault *f);

/* The daemon's own words.  Its numbers of finer grain become the code of the same wire name. */
enum lethe_code client_error_wire(struct lethe_error *e, const struct wire_error *w);

#endif
