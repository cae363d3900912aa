#include "proto/seal/consistency.h"

#include "daemon/base/invariant.h"
#include "proto/seal/lines.h"

#include <inttypes.h>
#include <string.h>

void consistency_write(struct byte_writer *w, const struct consistency *c)
{
    INVARIANT(sign_name_is_valid(c->origin, strlen(c->origin)) && c->old_size <= c->new_size);
    lines_put(w, CONSISTENCY_FAMILY "/v1\norigin ");
    lines_put(w, c->origin);
    lines_put(w, "\nold ");
    lines_put_decimal(w, c->old_size);
    lines_put(w, "\nnew ");
    lines_put_decimal(w, c->new_size);
    lines_put(w, "\n");
    proof_lines_put_path(w, &c->proof);
}

static enum status parse_size(struct lines *in, const char *name, uint64_t *ret, struct fault *f)
{
    const char *text = NULL;
    size_t n = 0;
    if (lines_value(in, name, &text, &n) != 0 || lines_decimal(text, n, ret) != 0)
        FAIL(f, STATUS_BAD_FORMAT, name, "line %zu is not a number of entries", in->number);
    return STATUS_OK;
}

static enum status parse_origin(struct lines *in, struct consistency *c, struct fault *f)
{
    const char *text = NULL;
    size_t n = 0;
    if (lines_value(in, "origin", &text, &n) != 0 || !sign_name_is_valid(text, n))
        FAIL(f, STATUS_BAD_FORMAT, "origin", "line 2 does not name a log");
    memcpy(c->origin, text, n);
    return STATUS_OK;
}

static enum status check_version(struct lines *in, struct fault *f)
{
    const enum lines_version version = lines_version(in, CONSISTENCY_FAMILY);
    if (version == LINES_NONE)
        FAIL(f, STATUS_BAD_FORMAT, "proof", "line 1 is not the first of a consistency proof");
    if (version == LINES_NEWER)
        FAIL(f, STATUS_UNIMPLEMENTED, "proof", "a version of consistency proofs not known here");
    return STATUS_OK;
}

enum status consistency_parse(const char *text, size_t n, struct consistency *ret, struct fault *f)
{
    struct lines in = lines_of(text, n);
    struct consistency c = {0};
    if (n > CONSISTENCY_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "proof", "%zu bytes, at most %zu", n, CONSISTENCY_MAX);
    TRY(check_version(&in, f));
    TRY(parse_origin(&in, &c, f));
    TRY(parse_size(&in, "old", &c.old_size, f));
    TRY(parse_size(&in, "new", &c.new_size, f));
    if (c.old_size > c.new_size)
        FAIL(f, STATUS_BAD_FORMAT, "new", "fewer entries than before");
    if (proof_lines_get_path(&in, &c.proof) != 0 || in.left)
        FAIL(f, STATUS_BAD_FORMAT, "path", "line %zu or the next is not a hash", in.number);
    *ret = c;
    return STATUS_OK;
}

/* A log of no entries is the beginning of every other: there is nothing to show but its root. */
static int is_consistent(const struct consistency *c,
                         const struct note_checkpoint *older,
                         const struct note_checkpoint *newer)
{
    const struct sha256 empty = merkle_empty();
    if (c->old_size == 0)
        return c->proof.n == 0 && sha256_equal(&older->root, &empty) &&
               (c->new_size > 0 || sha256_equal(&newer->root, &empty));
    return merkle_verify_consistency(c->old_size, c->new_size, &older->root, &newer->root,
                                     &c->proof);
}

enum status consistency_verify(const struct consistency *c,
                               const struct note_checkpoint *older,
                               const struct note_checkpoint *newer,
                               struct fault *f)
{
    if (strcmp(older->origin, newer->origin) != 0 || strcmp(older->origin, c->origin) != 0)
        FAIL(f, STATUS_DATA_LOSS, "origin", "checkpoints and proof are not of one log");
    if (newer->size < older->size)
        FAIL(f, STATUS_DATA_LOSS, "size", "the log has %" PRIu64 " entries, fewer than %" PRIu64,
             newer->size, older->size);
    if (c->old_size != older->size || c->new_size != newer->size)
        FAIL(f, STATUS_DATA_LOSS, "size", "the proof is for %" PRIu64 " and %" PRIu64 " entries",
             c->old_size, c->new_size);
    if (!is_consistent(c, older, newer))
        FAIL(f, STATUS_DATA_LOSS, "path", "the later log does not begin with the earlier one");
    return STATUS_OK;
}
