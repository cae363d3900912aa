/*
 * Dispatch: one row a kind of request, with the handler that takes it, who may ask and when.  The
 * server is given the table; it knows no handler by name.  A new kind is a row here, a handler in
 * daemon/jobs and a section in PROTOCOL.md.
 */
#ifndef LETHE_SERVE_DISPATCH_H
#define LETHE_SERVE_DISPATCH_H

#include "daemon/serve/call.h"

#include <stdbool.h>
#include <stddef.h>

/* Phases of the server, as bits. */
enum server_phase {
    PHASE_STARTING = 1u << 0, /* recovery and model loading: only what needs neither is answered */
    PHASE_SERVING = 1u << 1,
    PHASE_DRAINING = 1u << 2 /* shutting down: no new work */
};

/* "starting", "serving" or "draining". */
const char *server_phase_name(enum server_phase phase);

struct dispatch_row {
    enum wire_kind kind;
    call_handler *handler;
    unsigned roles;        /* who may ask, bits of call_role; one of them is enough */
    unsigned phases;       /* when, bits of server_phase */
    size_t max_frames;     /* raw frames that this kind takes */
    size_t max_bytes;      /* of its raw frames together */
    bool needs_request_id; /* changes state: must carry an id to be idempotent */
};

struct dispatch_table {
    const struct dispatch_row *rows;
    size_t n_rows;
};

/* lethed's own table; rows are constant. */
struct dispatch_table dispatch_table(void);
/* NULL: the table has no row for this kind. */
const struct dispatch_row *dispatch_find(struct dispatch_table table, enum wire_kind kind);
/*
 * Whether a peer with these roles may make this call now.  UNIMPLEMENTED: row is NULL;
 * PERMISSION_DENIED; UNAVAILABLE ("starting" or "draining"); INVALID_ARGUMENT: no request id;
 * RESOURCE_EXHAUSTED: more frames or bytes than the kind takes.
 */
struct dispatch_request {
    const struct wire_envelope *message;
    unsigned roles;
    enum server_phase phase;
    size_t raw_frames;
    size_t raw_bytes;
};
enum status dispatch_admit(const struct dispatch_row *row,
                           const struct dispatch_request *request,
                           struct fault *f) MUST_CHECK;

#endif
