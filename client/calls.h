/*
 * What the files of calls share: one exchange whose answer becomes a result.
 */
#ifndef LETHE_CLIENT_CALLS_H
#define LETHE_CLIENT_CALLS_H

#include "client/client.h"
#include "proto/limits.h"

/* Sends c and converts the answer that c->expects; *ret_root is the caller's (lethe_free), NULL on
 * failure.  WIRE_ANSWER_NONE gives no root. */
enum lethe_code calls_run(struct lethe *l,
                          struct client_call *c,
                          void **ret_root,
                          struct lethe_error *e) LETHE_CALL;

/* Text of a request id; LETHE_INVALID_ARGUMENT naming `field` if it is none. */
enum lethe_code calls_parse_id(const char *text,
                               const char *field,
                               struct request_id *ret_id,
                               struct lethe_error *e) LETHE_CALL;

/* The method options of a request as the wire has them; LETHE_INVALID_ARGUMENT: too many. */
enum lethe_code calls_options(const struct lethe_option *from,
                              size_t n,
                              struct wire_option to[LIMIT_OPTIONS],
                              struct lethe_error *e) LETHE_CALL;

/* Sends c, under this request id if there is one (text), and gives the request that it became. */
enum lethe_code calls_submit(struct lethe *l,
                             struct client_call *c,
                             const char *request_id,
                             struct lethe_request **ret_request,
                             struct lethe_error *e) LETHE_CALL;

#endif
