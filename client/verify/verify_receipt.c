#include "client/verify/verify_receipt.h"

#include "client/verify/verify_input.h"
#include "client/verify/verify_parts.h"
#include "daemon/base/sysio.h"
#include "proto/seal/receipt.h"
#include "proto/seal/subject.h"

#define GIVEN_MAX 3

/* Everything that was read. */
struct work {
    struct verify_file receipt;
    struct verify_file payload;
    struct verify_file report;
    struct digest subject;
    void *decoded;
    struct receipt_given given[GIVEN_MAX];
    size_t n_given;
};

static void work_free(struct work *w)
{
    verify_input_free(&w->receipt);
    verify_input_free(&w->payload);
    verify_input_free(&w->report);
    sysio_free(w->decoded);
}

static enum status give_file(
    struct work *w, const char *name, const char *path, struct verify_file *file, struct fault *f)
{
    if (!path)
        return STATUS_OK;
    TRY(verify_input_read(path, RECEIPT_MAX, file, f));
    w->given[w->n_given++] = (struct receipt_given){name, file->bytes, file->size};
    return STATUS_OK;
}

static enum status collect(const struct verify_args *a, struct work *w, struct fault *f)
{
    TRY(verify_input_read(a->files[0], RECEIPT_MAX, &w->receipt, f));
    TRY(give_file(w, "payload", a->payload, &w->payload, f));
    TRY(give_file(w, "report", a->report, &w->report, f));
    if (a->subject) {
        w->subject = subject_public(a->subject);
        w->given[w->n_given++] =
            (struct receipt_given){"subject", w->subject.b, sizeof w->subject.b};
    }
    w->decoded = sysio_alloc(w->receipt.size, 1);
    if (!w->decoded)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory for %zu bytes", w->receipt.size);
    return STATUS_OK;
}

static enum status
check(const struct verify_args *a, const struct work *w, struct verify_report *r, struct fault *f)
{
    struct receipt receipt;
    struct receipt_verdict v;
    const struct signers signers = verify_args_signers(a);
    TRY(receipt_parse((const char *)w->receipt.bytes, w->receipt.size, w->decoded, &receipt, f));
    TRY(receipt_verify(&receipt, &signers, w->given, w->n_given, &v, f));
    verify_parts_tell_checkpoint(r, &receipt.note, &v.signers);
    verify_parts_tell_entry(r, &receipt, &v.entry);
    return STATUS_OK;
}

enum status
verify_receipt_run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    struct work w = {0};
    enum status st = collect(a, &w, f);
    if (st == STATUS_OK)
        st = check(a, &w, r, f);
    work_free(&w);
    return st;
}
