#include "proto/seal/certificate.h"

#include "proto/seal/base64.h"
#include "proto/seal/lines.h"

#include <string.h>

#define FAMILY_SIZE (sizeof CERTIFICATE_FAMILY - 1)
#define BEGIN_SIZE  (sizeof CERTIFICATE_BEGIN - 1)
#define END_SIZE    (sizeof CERTIFICATE_END - 1)

/* ---------------------------------------------------------------- the slot */

/* Where the base64 stands in a file. */
struct slot {
    size_t at;
    size_t size;
};

static const char *find(const char *from, const char *end, const char *what)
{
    return memmem(from, (size_t)(end - from), what, strlen(what));
}

/* The digits behind FAMILY up to the colon. */
static enum status check_version(const char *digits, const char *end, struct fault *f)
{
    size_t n = 0;
    while (digits + n < end && digits[n] >= '0' && digits[n] <= '9')
        n++;
    const int whole = digits + n < end && digits[n] == ':';
    switch (whole ? lines_version_of(digits, n) : LINES_NONE) {
    case LINES_V1:
        return STATUS_OK;
    case LINES_NEWER:
        FAIL(f, STATUS_UNIMPLEMENTED, "certificate", "a version of certificates not known here");
    case LINES_NONE:
        break;
    }
    FAIL(f, STATUS_BAD_FORMAT, "certificate", "the mark before the proof is damaged");
}

static enum status find_slot(const void *file, size_t n, struct slot *ret_slot, struct fault *f)
{
    const char *text = file;
    const char *end = text + n;
    if (n > CERTIFICATE_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "certificate", "%zu bytes, at most %zu", n, CERTIFICATE_MAX);
    const char *begin = find(text, end, CERTIFICATE_FAMILY);
    if (!begin)
        FAIL(f, STATUS_BAD_FORMAT, "certificate", "the file has no place for a proof");
    if (find(begin + 1, end, CERTIFICATE_FAMILY))
        FAIL(f, STATUS_BAD_FORMAT, "certificate", "the file has more than one place for a proof");
    TRY(check_version(begin + FAMILY_SIZE, end, f));
    const char *base64 = begin + BEGIN_SIZE;
    const char *close = memchr(base64, ':', (size_t)(end - base64));
    if (!close || (size_t)(end - close) < END_SIZE || memcmp(close, CERTIFICATE_END, END_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "certificate", "the mark behind the proof is damaged");
    *ret_slot = (struct slot){(size_t)(base64 - text), (size_t)(close - base64)};
    return STATUS_OK;
}

/* ---------------------------------------------------------------- making */

static enum status find_empty(const void *carrier, size_t n, struct slot *ret_slot, struct fault *f)
{
    if (find_slot(carrier, n, ret_slot, f) != STATUS_OK || ret_slot->size != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "carrier", "has not exactly one empty slot for a proof");
    return STATUS_OK;
}

enum status certificate_commit(const struct commitment_salt *salt,
                               const char *field,
                               const void *carrier,
                               size_t n,
                               struct sha256 *ret_commitment,
                               struct fault *f)
{
    struct slot slot;
    TRY(find_empty(carrier, n, &slot, f));
    *ret_commitment = commitment_make(salt, field, carrier, n);
    return STATUS_OK;
}

enum status certificate_embed(struct byte_writer *w,
                              const void *carrier,
                              size_t n,
                              const char *receipt,
                              size_t receipt_size,
                              struct fault *f)
{
    struct slot slot;
    const size_t from = w->used;
    TRY(find_empty(carrier, n, &slot, f));
    put_bytes(w, carrier, slot.at);
    lines_put_base64_text(w, receipt, receipt_size);
    put_bytes(w, (const char *)carrier + slot.at, n - slot.at);
    if (w->failed || w->used - from > CERTIFICATE_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the certificate does not fit, or into %zu bytes",
             CERTIFICATE_MAX);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- checking */

/* The buffer: carrier | decoded receipt (together no longer than the file) | room for its parts. */
enum status certificate_parse(
    const void *file, size_t n, void *buffer, struct certificate *ret_certificate, struct fault *f)
{
    struct slot slot;
    struct certificate c = {0};
    uint8_t *to = buffer;
    const char *text = file;
    TRY(find_slot(file, n, &slot, f));
    c.carrier = to;
    c.carrier_size = n - slot.size;
    memcpy(to, text, slot.at);
    memcpy(to + slot.at, text + slot.at + slot.size, n - slot.at - slot.size);
    to += c.carrier_size;
    if (base64_parse(text + slot.at, slot.size, to, slot.size, &c.receipt_size) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "certificate", "the proof is not base64");
    c.receipt_text = (const char *)to;
    to += c.receipt_size;
    TRY(receipt_parse(c.receipt_text, c.receipt_size, to, &c.receipt, f));
    *ret_certificate = c;
    return STATUS_OK;
}

/* The field that the receipt opens without attached bytes; NULL if it is neither or both. */
static const char *committed_field(const struct receipt *r)
{
    const struct receipt_part *json = receipt_part_get(r, CERTIFICATE_JSON);
    const struct receipt_part *html = receipt_part_get(r, CERTIFICATE_HTML);
    if (!json == !html || (json ? json : html)->bytes)
        return NULL;
    return json ? CERTIFICATE_JSON : CERTIFICATE_HTML;
}

enum status certificate_verify(const struct certificate *certificate,
                               const struct signers *signers,
                               struct certificate_verdict *ret_verdict,
                               struct fault *f)
{
    struct certificate_verdict v = {.field = committed_field(&certificate->receipt)};
    if (!v.field)
        FAIL(f, STATUS_DATA_LOSS, "certificate", "the proof does not open this text");
    const struct receipt_given given = {v.field, certificate->carrier, certificate->carrier_size};
    TRY(receipt_verify(&certificate->receipt, signers, &given, 1, &v.receipt, f));
    if (v.receipt.entry.kind != LOG_KIND_CERTIFICATE_ISSUED)
        FAIL(f, STATUS_DATA_LOSS, "certificate", "the proof is of a %s entry",
             log_kind_name(v.receipt.entry.kind));
    *ret_verdict = v;
    return STATUS_OK;
}
