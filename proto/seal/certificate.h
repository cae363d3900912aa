/*
 * Certificates carry their own proof.  A certificate is a text (JSON, or a page in HTML) with one
 * slot, into which the receipt of its own log entry is put:
 *
 *   ... lethe-embedded-receipt/v1:BASE64:lethe-embedded-receipt-end ...
 *
 * BASE64 is a receipt (proto/seal/receipt.h) of a certificate.issued entry.  The entry holds the
 * commitment of the *carrier*: the file without BASE64, its slot empty.  So every byte of the file
 * is bound: what stands outside of the slot by the commitment, what stands in it by the receipt's
 * own proof, the marks by being found exactly once.  Nothing has to be rendered or interpreted.
 *
 *   1. write the carrier with CERTIFICATE_SLOT in it (inside a JSON string, or an element of HTML:
 *      the slot has letters, digits and + / = : - only, so it needs no escape in either);
 *   2. certificate_commit: the value of the entry's field `json` or `html`; log it;
 *   3. make the receipt of that entry, with the field's salt and without attached bytes;
 *   4. certificate_embed.
 *
 * One entry commits to both texts under a salt each; the receipt in either opens its own field.
 * It may open others as well (`report`), with their bytes attached.  Any thread.
 */
#ifndef LETHE_PROTO_SEAL_CERTIFICATE_H
#define LETHE_PROTO_SEAL_CERTIFICATE_H

#include "daemon/base/bytes.h"
#include "daemon/base/status.h"
#include "proto/seal/commitment.h"
#include "proto/seal/receipt.h"
#include "proto/seal/signers.h"

#include <stddef.h>

#define CERTIFICATE_FAMILY "lethe-embedded-receipt/v"
#define CERTIFICATE_BEGIN  CERTIFICATE_FAMILY "1:"
#define CERTIFICATE_END    ":lethe-embedded-receipt-end"
#define CERTIFICATE_SLOT   CERTIFICATE_BEGIN CERTIFICATE_END
#define CERTIFICATE_MAX    ((size_t)16 << 20)

/* The two fields of certificate.issued that texts are committed in. */
#define CERTIFICATE_JSON "json"
#define CERTIFICATE_HTML "html"

/* ---------------------------------------------------------------- making */

/* INVALID_ARGUMENT: the carrier has no slot, more than one, or one that is not empty. */
enum status certificate_commit(const struct commitment_salt *salt,
                               const char *field,
                               const void *carrier,
                               size_t n,
                               struct sha256 *ret_commitment,
                               struct fault *f) MUST_CHECK;
/*
 * The file (w->at = NULL: only counts).  INVALID_ARGUMENT as certificate_commit;
 * RESOURCE_EXHAUSTED: beyond CERTIFICATE_MAX, or it does not fit.
 */
enum status certificate_embed(struct byte_writer *w,
                              const void *carrier,
                              size_t n,
                              const char *receipt,
                              size_t receipt_size,
                              struct fault *f) MUST_CHECK;

/* ---------------------------------------------------------------- checking */

/* Bytes of the buffer that certificate_parse needs for a file of n bytes. */
#define CERTIFICATE_BUFFER(n) (2 * (n))

struct certificate {
    const uint8_t *carrier; /* the file without the receipt; in the buffer */
    size_t carrier_size;
    const char *receipt_text; /* in the buffer */
    size_t receipt_size;
    struct receipt receipt; /* borrows from the buffer */
};

/* Copies out of the file.  BAD_FORMAT: no certificate, or no receipt in it; UNIMPLEMENTED: a later
 * version of either. */
enum status certificate_parse(const void *file,
                              size_t n,
                              void *buffer,
                              struct certificate *ret_certificate,
                              struct fault *f) MUST_CHECK;

struct certificate_verdict {
    struct receipt_verdict receipt;
    const char *field; /* CERTIFICATE_JSON or CERTIFICATE_HTML: which of the texts this is */
};

/*
 * Errors as receipt_verify.  DATA_LOSS also: the entry is no certificate.issued, the receipt opens
 * neither or both texts, or the text is not the one committed to.
 */
enum status certificate_verify(const struct certificate *certificate,
                               const struct signers *signers,
                               struct certificate_verdict *ret_verdict,
                               struct fault *f) MUST_CHECK;

#endif
