/* Evidence as an outsider checks it: receipts, checkpoints and proofs against a verifier key. */
#ifndef LETHE_TESTS_SUPPORT_EVIDENCE_CHECK_H
#define LETHE_TESTS_SUPPORT_EVIDENCE_CHECK_H

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "proto/seal/consistency.h"
#include "proto/seal/receipt.h"
#include "proto/seal/served_proof.h"

/* Verifies a receipt; fails the test with the verifier's words if it is none or false. */
static inline void evidence_receipt(const struct sign_vkey *vkey,
                                    const char *text,
                                    size_t n,
                                    const struct receipt_given *given,
                                    size_t n_given,
                                    enum log_kind kind,
                                    const struct request_id *id)
{
    struct fault f = {0};
    struct receipt r;
    struct receipt_verdict v;
    struct request_id told;
    const struct signers signers = {.logs = vkey, .n_logs = 1};
    uint8_t *decoded = malloc(n + 1);
    assert_non_null(decoded);
    enum status st = receipt_parse(text, n, decoded, &r, &f);
    if (st == STATUS_OK)
        st = receipt_verify(&r, &signers, given, n_given, &v, &f);
    if (st != STATUS_OK)
        fail_msg("receipt: %s: %s", status_name(st), f.text);
    assert_string_equal(log_kind_name(v.entry.kind), log_kind_name(kind));
    assert_true(log_entry_request(&v.entry, "request", &told));
    assert_memory_equal(told.b, id->b, sizeof told.b);
    free(decoded);
}

/* A checkpoint that is good under the key. */
static inline struct note_checkpoint
evidence_checkpoint(const struct sign_vkey *vkey, const char *text, size_t n)
{
    struct fault f = {0};
    struct note note;
    const enum status st = note_parse(text, n, &note, &f);
    if (st != STATUS_OK)
        fail_msg("checkpoint: %s", f.text);
    assert_int_equal(note_verify(&note, vkey, NULL), NOTE_GOOD);
    return note.checkpoint;
}

static inline enum status evidence_continues(const struct note_checkpoint *older,
                                             const struct note_checkpoint *newer,
                                             const char *proof,
                                             size_t n,
                                             struct fault *f)
{
    struct consistency c;
    TRY(consistency_parse(proof, n, &c, f));
    return consistency_verify(&c, older, newer, f);
}

/* What a served proof says; fails the test if it is false. */
static inline struct served_verdict
evidence_served_verdict(const struct sign_vkey *vkey, const char *text, size_t n)
{
    struct fault f = {0};
    struct served_proof p;
    struct served_verdict v;
    const struct signers signers = {.logs = vkey, .n_logs = 1};
    enum status st = served_proof_parse(text, n, &p, &f);
    if (st == STATUS_OK)
        st = served_proof_verify(&p, &signers, &v, &f);
    if (st != STATUS_OK)
        fail_msg("served proof: %s: %s", status_name(st), f.text);
    return v;
}

#endif
