/*
 * The checks of a dispatch row.  In a file of its own so that they can be used with any table,
 * without the handlers of daemon/jobs.
 */
#include "daemon/serve/dispatch.h"

#include "daemon/base/bytes.h"

const struct dispatch_row *dispatch_find(struct dispatch_table table, enum wire_kind kind)
{
    for (size_t i = 0; i < table.n_rows; i++)
        if (table.rows[i].kind == kind)
            return &table.rows[i];
    return NULL;
}

const char *server_phase_name(enum server_phase phase)
{
    switch (phase) {
    case PHASE_STARTING:
        return "starting";
    case PHASE_SERVING:
        return "serving";
    case PHASE_DRAINING:
        return "draining";
    }
    return "unknown";
}

enum status dispatch_admit(const struct dispatch_row *row,
                           const struct dispatch_request *request,
                           struct fault *f)
{
    const char *name = wire_kind_name(request->message->kind);
    if (!row)
        FAIL(f, STATUS_UNIMPLEMENTED, "kind", "this daemon does not answer %s", name);
    if (!(row->roles & request->roles))
        FAIL(f, STATUS_PERMISSION_DENIED, "kind", "your role may not call %s", name);
    if (!(row->phases & (unsigned)request->phase))
        FAIL(f, STATUS_UNAVAILABLE, NULL, "%s", server_phase_name(request->phase));
    if (request->raw_frames > row->max_frames)
        FAIL(f, STATUS_INVALID_ARGUMENT, "frames", "%zu raw frames, %s takes at most %zu",
             request->raw_frames, name, row->max_frames);
    if (request->raw_bytes > row->max_bytes)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "frame_bytes",
             "%zu bytes in raw frames, %s takes at most %zu", request->raw_bytes, name,
             row->max_bytes);
    if (row->needs_request_id && request_id_is_zero(&request->message->request_id))
        FAIL(f, STATUS_INVALID_ARGUMENT, "request_id", "%s needs a request id of 16 bytes", name);
    return STATUS_OK;
}
