#include "client/verify/verify_consistency.h"

#include "client/verify/verify_parts.h"

#include <inttypes.h>

/*
 * Either checkpoint may be signed by any of the log's keys, so that one from before a change of the
 * key can be held against one from after it.
 */
static enum status check(const struct verify_args *a,
                         struct verify_checkpoint *older,
                         struct verify_checkpoint *newer,
                         struct verify_report *r,
                         struct fault *f)
{
    const struct signers signers = verify_args_signers(a);
    TRY(verify_parts_checkpoint(a->files[0], &signers, older, f));
    TRY(verify_parts_checkpoint(a->files[1], &signers, newer, f));
    TRY(verify_parts_consistent(a->files[2], &older->note.checkpoint, &newer->note.checkpoint, f));
    verify_parts_tell_checkpoint(r, &newer->note, &newer->seen);
    verify_report_fact(r, "begins with", "%" PRIu64 " entries of the older checkpoint",
                       older->note.checkpoint.size);
    verify_report_note(r, "what the entries say");
    return STATUS_OK;
}

enum status
verify_consistency_run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    struct verify_checkpoint older = {0}, newer = {0};
    const enum status st = check(a, &older, &newer, r, f);
    verify_parts_free(&older);
    verify_parts_free(&newer);
    return st;
}
