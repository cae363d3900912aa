#include "daemon/serve/dispatch.h"

#include "daemon/jobs/handlers.h"
#include "proto/limits.h"

#define SERVING    PHASE_SERVING
#define ALWAYS     (PHASE_STARTING | PHASE_SERVING | PHASE_DRAINING)
#define PRIVACY    ROLE_PRIVACY
#define MLOPS      ROLE_MLOPS
#define PREDICT    ROLE_PREDICT
#define AUDITOR    ROLE_AUDITOR
#define ADMIN      ROLE_ADMIN
#define ANY        ROLE_ANY
#define PICTURES   LIMIT_PREDICT_IMAGES
#define PIXELS     LIMIT_MESSAGE_BYTES
#define CHUNK      LIMIT_CHUNK_BYTES
#define FILE_BYTES LIMIT_IMPORT_BYTES

/*
 * Roles follow operations.md, section 3.  Where a role may see or cancel only its own requests, the
 * row lets it in and the handler looks at the owner.
 */
/* clang-format off */
static const struct dispatch_row rows[] = {
    /* kind                   handler             roles                       phases   frames   bytes  id */
    {WIRE_KIND_STATUS,      handle_status,      ANY,                        ALWAYS,  0,       0,      false},
    {WIRE_KIND_FORGET,      handle_forget,      PRIVACY,                    SERVING, 0,       0,      true},
    {WIRE_KIND_LEARN,       handle_learn,       MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_IMPORT,      handle_import,      MLOPS,                      SERVING, LIMIT_FRAMES, FILE_BYTES, true},
    {WIRE_KIND_STREAM_OPEN, handle_stream_open, MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_STREAM_PUSH, handle_stream_push, MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_STREAM_CLOSE, handle_stream_close, MLOPS,                    SERVING, 0,       0,      true},
    {WIRE_KIND_PREDICT,     handle_predict,     MLOPS | PREDICT,            SERVING, PICTURES, PIXELS, false},
    {WIRE_KIND_REQUESTS,    handle_requests,    ANY,                        SERVING, 0,       0,      false},
    {WIRE_KIND_REQUEST,     handle_request,     ANY,                        SERVING, 0,       0,      false},
    {WIRE_KIND_WAIT,        handle_wait,        ANY,                        SERVING, 0,       0,      false},
    {WIRE_KIND_CANCEL,      handle_cancel,      PRIVACY | MLOPS | ADMIN,    SERVING, 0,       0,      true},
    {WIRE_KIND_HISTORY,     handle_history,     PRIVACY | MLOPS | AUDITOR,  SERVING, 0,       0,      false},
    {WIRE_KIND_SHOW,        handle_show,        PRIVACY | MLOPS | AUDITOR,  SERVING, 0,       0,      false},
    {WIRE_KIND_DIFF,        handle_diff,        PRIVACY | MLOPS | AUDITOR,  SERVING, 0,       0,      false},
    {WIRE_KIND_SERVED_AT,   handle_served_at,   PRIVACY | MLOPS | AUDITOR,  SERVING, 0,       0,      false},
    {WIRE_KIND_EVALUATE,    handle_evaluate,    MLOPS | AUDITOR,            SERVING, 0,       0,      true},
    {WIRE_KIND_ROLLBACK,    handle_rollback,    MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_PIN,         handle_pin,         MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_EXPORT,      handle_export,      MLOPS,                      SERVING, 0,       0,      false},
    {WIRE_KIND_BLOB,        handle_blob,        MLOPS,                      SERVING, 0,       0,      false},
    {WIRE_KIND_DATA_OPEN,   handle_data_open,   MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_DATA_CHUNK,  handle_data_chunk,  MLOPS,                      SERVING, 1,       CHUNK,  false},
    {WIRE_KIND_DATA_CLOSE,  handle_data_close,  MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_DATA_LIST,   handle_data_list,   PRIVACY | MLOPS,            SERVING, 0,       0,      false},
    {WIRE_KIND_DATA_REMOVE, handle_data_remove, MLOPS,                      SERVING, 0,       0,      true},
    {WIRE_KIND_MODEL,       handle_model,       ANY,                        SERVING, 0,       0,      false},
    {WIRE_KIND_APPROVE,     handle_approve,     PRIVACY,                    SERVING, 0,       0,      true},
    {WIRE_KIND_DENY,        handle_deny,        PRIVACY,                    SERVING, 0,       0,      true},
    {WIRE_KIND_KEYS,        handle_keys,        ADMIN,                      SERVING, 0,       0,      true},
    {WIRE_KIND_LOG,         handle_log,         PRIVACY | AUDITOR,          SERVING, 0,       0,      false},
    {WIRE_KIND_CHECKPOINT,  handle_checkpoint,  PRIVACY | AUDITOR,          SERVING, 0,       0,      false},
    {WIRE_KIND_PROVE,       handle_prove,       PRIVACY | AUDITOR,          SERVING, 0,       0,      false},
    {WIRE_KIND_CONSISTENCY, handle_consistency, PRIVACY | AUDITOR,          SERVING, 0,       0,      false},
    {WIRE_KIND_CERTIFICATE, handle_certificate, PRIVACY | AUDITOR,          SERVING, 0,       0,      false},
    {WIRE_KIND_FSCK,        handle_fsck,        ADMIN,                      SERVING, 0,       0,      false},
    {WIRE_KIND_SEAL,        handle_seal,        ADMIN,                      SERVING, 0,       0,      true},
    {WIRE_KIND_ROTATE,      handle_rotate,      ADMIN,                      SERVING, 0,       0,      true},
    {WIRE_KIND_BACKUP,      handle_backup,      ADMIN,                      SERVING, 0,       0,      true},
    {WIRE_KIND_COMPACT,     handle_compact,     ADMIN,                      SERVING, 0,       0,      true},
};
/* clang-format on */

struct dispatch_table dispatch_table(void)
{
    return (struct dispatch_table){rows, sizeof rows / sizeof rows[0]};
}
