/*
 * KIND_IMPORT: a component from a file.  The way is that of a learn request (handlers_learn.c),
 * with a file in the raw frames: it is put together and checked here, kept as a blob with the
 * request, and read again when its turn has come (import_job.c).
 */
#include "daemon/jobs/handlers.h"

#include <string.h>

#include "daemon/base/sysio.h"
#include "daemon/jobs/admit_import.h"
#include "daemon/jobs/core_internal.h"
#include "daemon/jobs/import_job.h"
#include "daemon/jobs/submit.h"

/* The file: all raw frames, one after the other. */
static enum status
join_frames(const struct call *call, uint8_t **ret_bytes, size_t *ret_size, struct fault *f)
{
    size_t total = 0, size;
    for (size_t i = 0; i < call_frames_count(call); i++) {
        (void)call_frame(call, i, &size);
        if (size == 0)
            FAIL(f, STATUS_INVALID_ARGUMENT, "frames", "frame %zu of the file is empty", i);
        total += size;
    }
    if (total == 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "frames",
             "the file travels in raw frames; there are none");
    uint8_t *bytes = sysio_alloc(total, 1), *at = bytes;
    if (!bytes)
        FAIL(f, STATUS_NO_MEMORY, "frames", "no memory for a file of %zu bytes", total);
    for (size_t i = 0; i < call_frames_count(call); i++, at += size) {
        const uint8_t *from = call_frame(call, i, &size);
        memcpy(at, from, size);
    }
    *ret_bytes = bytes;
    *ret_size = total;
    return STATUS_OK;
}

static enum status admit(struct core *core,
                         const struct wire_import *m,
                         const struct store_blob *file,
                         struct fault *f)
{
    struct submit_view v;
    struct imported x = {0};
    struct admit_plan plan = {0};
    TRY(submit_view_begin(core, &v, f));
    enum status st =
        imported_read(file->bytes, file->size, m, core->base, &v.serving->trunk, &x, f);
    if (st == STATUS_OK)
        st = admit_import(v.txn, &v.context, &x, v.serving->manifest, &plan, f);
    imported_free(&x);
    plan.store_bytes += file->size;
    return submit_view_end(core, &v, st, &plan, f);
}

static enum status submit_file(struct core *core,
                               struct call *call,
                               const struct store_blob *file,
                               struct queue_record *ret_record,
                               struct fault *f)
{
    struct wire_envelope m = *call_message(call);
    struct component_file named;
    char principal[QUEUE_PRINCIPAL_SIZE];
    struct queue_submission s;
    int known;
    /* Kind and name follow from the file, so a repeat gives the same payload. */
    TRY(imported_named(file->bytes, file->size, &call_message(call)->body.import, &named,
                       &m.body.import, f));
    TRY(submit_make_of(core, call, &m, JOB_TEXT_KIND_IMPORT, principal, &s, f));
    s.attachment = &m.body.import.digest;
    TRY(submit_known(core, &s, &known, f));
    if (!known)
        TRY(admit(core, &m.body.import, file, f));
    return submit_record_file(core, &s, file, ret_record, f);
}

static enum status submit_import(struct core *core,
                                 struct call *call,
                                 struct queue_record *ret_record,
                                 struct fault *f)
{
    uint8_t *bytes = NULL;
    struct store_blob file = {.kind = BLOB_FILE};
    TRY(join_frames(call, &bytes, &file.size, f));
    file.bytes = bytes;
    const enum status st = submit_file(core, call, &file, ret_record, f);
    sysio_free(bytes);
    return st;
}

static void answer_import(struct core *core, struct call *call)
{
    submit_answer(core, call, submit_import);
}

void handle_import(struct core *core, struct call *call)
{
    core_post(core, answer_import, call);
}
