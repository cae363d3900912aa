#include "proto/seal/receipt.h"

#include "proto/seal/base64.h"
#include "proto/seal/lines.h"
#include "proto/seal/proof_lines.h"

#include <inttypes.h>
#include <string.h>

#define TLOG_PROOF "c2sp.org/tlog-proof@v1"

/* Place of a field in the entry; n_fields if it has none of this name. */
static size_t place_of(const struct log_entry *e, const char *name)
{
    size_t i = 0;
    while (i < e->n_fields && strcmp(e->fields[i].is->name, name) != 0)
        i++;
    return i;
}

/* ---------------------------------------------------------------- writing */

static enum status
check_part(const struct log_entry *e, const struct receipt_part *p, struct fault *f)
{
    struct sha256 commitment;
    const struct log_field *field = log_entry_field(e, p->name);
    if (!field || field->is->type != LOG_TYPE_COMMITMENT ||
        !log_entry_hash(e, p->name, &commitment))
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "no commitment of this %s entry",
             log_kind_name(e->kind));
    if (p->bytes && !commitment_opens(&commitment, &p->salt, p->name, p->bytes, p->size))
        FAIL(f, STATUS_INVALID_ARGUMENT, p->name, "these bytes and this salt do not open it");
    return STATUS_OK;
}

static enum status
check_draft(const struct receipt_draft *d, const struct log_entry *e, struct fault *f)
{
    for (size_t i = 0; i < d->n_parts; i++) {
        TRY(check_part(e, &d->parts[i], f));
        for (size_t j = 0; j < i; j++)
            if (strcmp(d->parts[i].name, d->parts[j].name) == 0)
                FAIL(f, STATUS_INVALID_ARGUMENT, d->parts[i].name, "given twice");
    }
    return STATUS_OK;
}

static void put_part(struct byte_writer *w, const struct receipt_part *p)
{
    lines_put(w, "open ");
    lines_put(w, p->name);
    lines_put(w, " ");
    lines_put_base64(w, p->salt.b, COMMITMENT_SALT_SIZE);
    if (!p->bytes)
        return;
    lines_put(w, "attach ");
    lines_put(w, p->name);
    lines_put(w, " ");
    lines_put_base64(w, p->bytes, p->size);
}

static void
put_parts(struct byte_writer *w, const struct receipt_draft *d, const struct log_entry *e)
{
    for (size_t field = 0; field < e->n_fields; field++)
        for (size_t i = 0; i < d->n_parts; i++)
            if (place_of(e, d->parts[i].name) == field)
                put_part(w, &d->parts[i]);
}

/* An entry or a note that does not parse is the caller's mistake, not a damaged file. */
static enum status as_argument(enum status st, struct fault *f)
{
    if (st != STATUS_OK && f)
        f->code = STATUS_INVALID_ARGUMENT;
    return st == STATUS_OK ? STATUS_OK : STATUS_INVALID_ARGUMENT;
}

enum status receipt_write(struct byte_writer *w, const struct receipt_draft *draft, struct fault *f)
{
    struct log_entry e;
    struct note note;
    const size_t from = w->used;
    TRY(as_argument(log_entry_parse(draft->entry, draft->entry_size, &e, f), f));
    TRY(as_argument(note_parse(draft->checkpoint, draft->checkpoint_size, &note, f), f));
    TRY(check_draft(draft, &e, f));
    if (draft->proof->n > PROOF_LINES_MAX)
        FAIL(f, STATUS_INVALID_ARGUMENT, "path", "%zu hashes, at most %d", draft->proof->n,
             PROOF_LINES_MAX);
    lines_put(w, RECEIPT_FAMILY "/v1\nentry ");
    lines_put_base64(w, draft->entry, draft->entry_size);
    put_parts(w, draft, &e);
    lines_put(w, "\n" TLOG_PROOF "\n");
    proof_lines_put_inclusion(w, draft->index, draft->proof);
    lines_put(w, "\n");
    put_bytes(w, draft->checkpoint, draft->checkpoint_size);
    if (w->failed || w->used - from > RECEIPT_MAX)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, NULL, "the receipt does not fit, or into %zu bytes",
             RECEIPT_MAX);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- reading */

/* The text, and where decoded bytes go: they take less room than their base64. */
struct parser {
    struct lines in;
    uint8_t *to;
    size_t room;
};

static int decode(struct parser *p, const char *text, size_t n, const uint8_t **ret, size_t *ret_n)
{
    size_t size = 0;
    if (base64_parse(text, n, p->to, p->room, &size) != 0)
        return -1;
    *ret = p->to;
    *ret_n = size;
    p->to += size;
    p->room -= size;
    return 0;
}

static enum status parse_entry(struct parser *p, struct receipt *r, struct fault *f)
{
    const char *text = NULL;
    size_t n = 0;
    const enum lines_version version = lines_version(&p->in, RECEIPT_FAMILY);
    if (version == LINES_NONE)
        FAIL(f, STATUS_BAD_FORMAT, "receipt", "line 1 is not the first of a receipt");
    if (version == LINES_NEWER)
        FAIL(f, STATUS_UNIMPLEMENTED, "receipt", "a version of receipts not known here");
    if (lines_value(&p->in, "entry", &text, &n) != 0 ||
        decode(p, text, n, &r->entry_bytes, &r->entry_size) != 0 || r->entry_size > LOG_ENTRY_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "entry", "line 2 is not an entry in base64");
    return STATUS_OK;
}

/* "NAME BASE64" behind `open` or `attach`; 0 or -1. */
static int split_part(
    const char *text, size_t n, char name[LOG_NAME_SIZE], const char **ret_base64, size_t *ret_n)
{
    const char *space = memchr(text, ' ', n);
    const size_t name_size = space ? (size_t)(space - text) : 0;
    if (name_size == 0 || name_size >= LOG_NAME_SIZE || memchr(text, '\0', name_size))
        return -1;
    memcpy(name, text, name_size);
    name[name_size] = '\0';
    *ret_base64 = space + 1;
    *ret_n = n - name_size - 1;
    return 0;
}

static int parse_attach(struct parser *p, struct receipt_part *part)
{
    char name[LOG_NAME_SIZE];
    const char *text = NULL, *base64 = NULL;
    const uint8_t *bytes = NULL;
    size_t n = 0, size = 0;
    if (lines_value(&p->in, "attach", &text, &n) != 0 ||
        split_part(text, n, name, &base64, &size) != 0 || strcmp(name, part->name) != 0 ||
        decode(p, base64, size, &bytes, &part->size) != 0)
        return -1;
    part->bytes = bytes;
    return 0;
}

static enum status parse_part(struct parser *p, struct receipt *r, struct fault *f)
{
    const char *text = NULL, *base64 = NULL;
    size_t n = 0, size = 0;
    struct receipt_part part = {0};
    if (r->n_parts == RECEIPT_PARTS_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "open", "more than %d of them", RECEIPT_PARTS_MAX);
    if (lines_value(&p->in, "open", &text, &n) != 0 ||
        split_part(text, n, part.name, &base64, &size) != 0 ||
        base64_parse_exact(base64, size, part.salt.b, COMMITMENT_SALT_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "open", "line %zu does not open a field", p->in.number);
    if (receipt_part_get(r, part.name))
        FAIL(f, STATUS_BAD_FORMAT, "open", "line %zu opens a field again", p->in.number);
    if (lines_begin(&p->in, "attach ") && parse_attach(p, &part) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "attach", "line %zu is not what line %zu opens", p->in.number,
             p->in.number - 1);
    r->parts[r->n_parts++] = part;
    return STATUS_OK;
}

static enum status parse_proof(struct parser *p, struct receipt *r, struct fault *f)
{
    if (lines_expect(&p->in, "") != 0)
        FAIL(f, STATUS_BAD_FORMAT, "receipt", "line %zu is neither open nor empty",
             p->in.number + 1);
    if (lines_expect(&p->in, TLOG_PROOF) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "proof", "line %zu does not begin the proof", p->in.number + 1);
    if (proof_lines_get_inclusion(&p->in, &r->index, &r->proof) != 0 ||
        lines_expect(&p->in, "") != 0)
        FAIL(f, STATUS_BAD_FORMAT, "proof", "line %zu or the next is no part of a proof",
             p->in.number);
    return STATUS_OK;
}

enum status receipt_parse(
    const char *text, size_t n, void *decoded, struct receipt *ret_receipt, struct fault *f)
{
    struct parser p = {.in = lines_of(text, n), .to = decoded, .room = n};
    struct receipt r = {0};
    if (n > RECEIPT_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "receipt", "%zu bytes, at most %zu", n, RECEIPT_MAX);
    TRY(parse_entry(&p, &r, f));
    while (lines_begin(&p.in, "open "))
        TRY(parse_part(&p, &r, f));
    TRY(parse_proof(&p, &r, f));
    TRY(note_parse(p.in.at, p.in.left, &r.note, f));
    *ret_receipt = r;
    return STATUS_OK;
}

const struct receipt_part *receipt_part_get(const struct receipt *receipt, const char *name)
{
    for (size_t i = 0; i < receipt->n_parts; i++)
        if (strcmp(receipt->parts[i].name, name) == 0)
            return &receipt->parts[i];
    return NULL;
}

/* ---------------------------------------------------------------- verifying */

static const struct receipt_given *
find_given(const struct receipt_given *given, size_t n_given, const char *name)
{
    for (size_t i = 0; i < n_given; i++)
        if (strcmp(given[i].name, name) == 0)
            return &given[i];
    return NULL;
}

static enum status verify_part(const struct log_entry *e,
                               const struct receipt_part *p,
                               const struct receipt_given *given,
                               struct fault *f)
{
    struct sha256 commitment;
    const struct log_field *field = log_entry_field(e, p->name);
    if (!field || field->is->type != LOG_TYPE_COMMITMENT ||
        !log_entry_hash(e, p->name, &commitment))
        FAIL(f, STATUS_DATA_LOSS, p->name, "the entry has no such commitment to open");
    if (!p->bytes && !given)
        FAIL(f, STATUS_FAILED_PRECONDITION, p->name,
             "the receipt opens it, but the bytes are not attached and were not given");
    if (p->bytes && !commitment_opens(&commitment, &p->salt, p->name, p->bytes, p->size))
        FAIL(f, STATUS_DATA_LOSS, p->name, "what is attached is not what was committed to");
    if (given && !commitment_opens(&commitment, &p->salt, p->name, given->bytes, given->size))
        FAIL(f, STATUS_DATA_LOSS, p->name, "what was given is not what was committed to");
    return STATUS_OK;
}

/* What was given must have an `open` line to be held against. */
static enum status check_given(const struct receipt *r,
                               const struct log_entry *e,
                               const struct receipt_given *given,
                               struct fault *f)
{
    if (receipt_part_get(r, given->name))
        return STATUS_OK;
    const struct log_field *field = log_entry_field(e, given->name);
    if (!field || field->absent)
        FAIL(f, STATUS_DATA_LOSS, given->name, "the entry has none");
    FAIL(f, STATUS_FAILED_PRECONDITION, given->name, "the receipt does not open it");
}

static enum status verify_parts(const struct receipt *r,
                                const struct log_entry *e,
                                const struct receipt_given *given,
                                size_t n_given,
                                struct fault *f)
{
    for (size_t i = 0; i < r->n_parts; i++) {
        const struct receipt_part *p = &r->parts[i];
        if (i > 0 && place_of(e, p->name) <= place_of(e, r->parts[i - 1].name))
            FAIL(f, STATUS_DATA_LOSS, p->name, "opened out of the order of the fields");
        TRY(verify_part(e, p, find_given(given, n_given, p->name), f));
    }
    for (size_t i = 0; i < n_given; i++)
        TRY(check_given(r, e, &given[i], f));
    return STATUS_OK;
}

/* An entry that is in the log, but is none, is false; one of a newer lethe is only unknown. */
static enum status parse_logged(const struct receipt *r, struct log_entry *ret, struct fault *f)
{
    const enum status st = log_entry_parse(r->entry_bytes, r->entry_size, ret, f);
    if (st == STATUS_OK || st == STATUS_UNIMPLEMENTED)
        return st;
    if (f)
        f->code = STATUS_DATA_LOSS;
    return STATUS_DATA_LOSS;
}

enum status receipt_verify(const struct receipt *receipt,
                           const struct signers *signers,
                           const struct receipt_given *given,
                           size_t n_given,
                           struct receipt_verdict *ret_verdict,
                           struct fault *f)
{
    struct receipt_verdict v = {0};
    const struct note_checkpoint *c = &receipt->note.checkpoint;
    TRY(signers_check(signers, &receipt->note, &v.signers, f));
    const struct sha256 leaf = merkle_leaf(receipt->entry_bytes, receipt->entry_size);
    if (!merkle_verify_inclusion(&leaf, receipt->index, c->size, &receipt->proof, &c->root))
        FAIL(f, STATUS_DATA_LOSS, "proof", "the entry is not number %" PRIu64 " of this log",
             receipt->index);
    TRY(parse_logged(receipt, &v.entry, f));
    TRY(verify_parts(receipt, &v.entry, given, n_given, f));
    *ret_verdict = v;
    return STATUS_OK;
}
