#include "proto/seal/signers.h"

#include "daemon/base/invariant.h"

#include <string.h>

struct count {
    size_t good;
    int64_t newest_seconds;
};

/* Good lines of these keys; DATA_LOSS if one of their lines is false. */
static enum status count_good(const struct note *note,
                              const struct sign_vkey *keys,
                              size_t n,
                              struct count *ret_count,
                              struct fault *f)
{
    struct count c = {.newest_seconds = -1};
    for (size_t i = 0; i < n; i++) {
        int64_t seconds = -1;
        const enum note_verdict verdict = note_verify(note, &keys[i], &seconds);
        if (verdict == NOTE_FALSE)
            FAIL(f, STATUS_DATA_LOSS, "signature", "the checkpoint's signature by %s is false",
                 keys[i].name);
        if (verdict == NOTE_GOOD)
            c.good++;
        if (verdict == NOTE_GOOD && seconds > c.newest_seconds)
            c.newest_seconds = seconds;
    }
    *ret_count = c;
    return STATUS_OK;
}

static enum status
check_unknown(const struct signers *s, size_t unknown, size_t good, struct fault *f)
{
    if (s->ignore_unknown || unknown == 0)
        return STATUS_OK;
    if (good < s->n_logs + s->n_witnesses)
        FAIL(f, STATUS_DATA_LOSS, "signature",
             "signed by %zu keys that were not given, and not by %zu of those given", unknown,
             s->n_logs + s->n_witnesses - good);
    FAIL(f, STATUS_FAILED_PRECONDITION, "signature", "signed by %zu keys that were not given",
         unknown);
}

enum status signers_check(const struct signers *signers,
                          const struct note *note,
                          struct signers_seen *ret_seen,
                          struct fault *f)
{
    struct count logs, witnesses;
    INVARIANT(signers->n_logs > 0 && signers->need <= signers->n_witnesses);
    TRY(count_good(note, signers->logs, signers->n_logs, &logs, f));
    TRY(count_good(note, signers->witnesses, signers->n_witnesses, &witnesses, f));
    if (logs.good == 0)
        FAIL(f, STATUS_DATA_LOSS, "signature",
             "the checkpoint of %s is not signed by the log's key", note->checkpoint.origin);
    const size_t good = logs.good + witnesses.good;
    const size_t unknown = note->n_signatures - good;
    TRY(check_unknown(signers, unknown, good, f));
    if (witnesses.good < signers->need)
        FAIL(f, STATUS_FAILED_PRECONDITION, "witness", "signed by %zu witnesses, %zu are needed",
             witnesses.good, signers->need);
    *ret_seen = (struct signers_seen){witnesses.good, witnesses.newest_seconds, unknown};
    return STATUS_OK;
}
