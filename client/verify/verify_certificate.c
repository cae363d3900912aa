#include "client/verify/verify_certificate.h"

#include "client/verify/verify_input.h"
#include "client/verify/verify_parts.h"
#include "daemon/base/sysio.h"
#include "proto/seal/certificate.h"

/* That a newer checkpoint of the log still holds all that the certificate's one does. */
static enum status check_newer(const struct verify_args *a,
                               const struct note *note,
                               struct verify_report *r,
                               struct fault *f)
{
    struct verify_checkpoint newer;
    const struct signers signers = verify_args_signers(a);
    if (!a->newer) {
        verify_report_note(r, "that the log still holds the entry: no newer checkpoint was given");
        return STATUS_OK;
    }
    enum status st = verify_parts_checkpoint(a->newer, &signers, &newer, f);
    if (st == STATUS_OK)
        st = verify_parts_consistent(a->proof, &note->checkpoint, &newer.note.checkpoint, f);
    if (st == STATUS_OK)
        verify_report_fact(r, "still held at", "%llu",
                           (unsigned long long)newer.note.checkpoint.size);
    verify_parts_free(&newer);
    return st;
}

static enum status check(const struct verify_args *a,
                         const struct verify_file *file,
                         void *buffer,
                         struct verify_report *r,
                         struct fault *f)
{
    struct certificate c;
    struct certificate_verdict v;
    const struct signers signers = verify_args_signers(a);
    TRY(certificate_parse(file->bytes, file->size, buffer, &c, f));
    TRY(certificate_verify(&c, &signers, &v, f));
    verify_parts_tell_checkpoint(r, &c.receipt.note, &v.receipt.signers);
    verify_report_fact(r, "text", "%s", v.field);
    verify_parts_tell_entry(r, &c.receipt, &v.receipt.entry);
    verify_report_note(r, "whether what the certificate says is so: only that this log issued it");
    return check_newer(a, &c.receipt.note, r, f);
}

enum status
verify_certificate_run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    struct verify_file file = {0};
    TRY(verify_input_read(a->files[0], CERTIFICATE_MAX, &file, f));
    void *buffer = sysio_alloc(CERTIFICATE_BUFFER(file.size), 1);
    const enum status st =
        buffer ? check(a, &file, buffer, r, f)
               : fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, NULL, "no memory for %zu bytes",
                           CERTIFICATE_BUFFER(file.size));
    sysio_free(buffer);
    verify_input_free(&file);
    return st;
}
