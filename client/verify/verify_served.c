#include "client/verify/verify_served.h"

#include "client/verify/verify_input.h"
#include "client/verify/verify_parts.h"
#include "daemon/base/sysio.h"
#include "proto/seal/served_proof.h"

#include <inttypes.h>

static void tell(struct verify_report *r, const struct note *note, const struct served_verdict *v)
{
    char version[DIGEST_TEXT_SIZE], from[VERIFY_TIME_SIZE], until[VERIFY_TIME_SIZE];
    digest_format(&v->version, version);
    verify_parts_time(v->from_us, from);
    verify_parts_time(v->until_us, until);
    verify_parts_tell_checkpoint(r, note, &v->signers);
    verify_report_fact(r, "version", "%s", version);
    verify_report_fact(r, "generation", "%" PRIu64, v->generation);
    verify_report_fact(r, "from", "%s", from);
    verify_report_fact(r, v->is_open ? "at least until" : "until", "%s", until);
    if (v->is_open)
        verify_report_note(r, "times after %s: the version was still serving then", until);
    if (v->from_held || v->until_held)
        verify_report_note(r, "the times: the daemon's clock was set back and held at a move");
    else
        verify_report_note(r, "the times against any clock but the daemon's");
    verify_report_note(r, "that answers came from the version that the log says was serving");
}

/* The file may be true and speak of another time. */
static enum status check_time(const struct served_verdict *v, int64_t at_us, struct fault *f)
{
    char from[VERIFY_TIME_SIZE], until[VERIFY_TIME_SIZE];
    if (served_proof_covers(v, at_us))
        return STATUS_OK;
    verify_parts_time(v->from_us, from);
    verify_parts_time(v->until_us, until);
    FAIL(f, STATUS_OUT_OF_RANGE, "--at", "the file speaks of the time from %s to %s%s", from, until,
         v->is_open ? ", when nothing had moved yet" : "");
}

static enum status check(const struct verify_args *a,
                         const struct verify_file *file,
                         struct served_proof *p,
                         struct verify_report *r,
                         struct fault *f)
{
    struct served_verdict v;
    const struct signers signers = verify_args_signers(a);
    TRY(served_proof_parse((const char *)file->bytes, file->size, p, f));
    TRY(served_proof_verify(p, &signers, &v, f));
    TRY(check_time(&v, a->at_us, f));
    tell(r, &p->note, &v);
    return STATUS_OK;
}

enum status verify_served_run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    struct verify_file file = {0};
    TRY(verify_input_read(a->files[0], SERVED_PROOF_MAX, &file, f));
    struct served_proof *p = sysio_alloc(1, sizeof *p);
    const enum status st =
        p ? check(a, &file, p, r, f)
          : fault_set(f, STATUS_NO_MEMORY, __FILE__, __LINE__, NULL, "no memory");
    sysio_free(p);
    verify_input_free(&file);
    return st;
}
