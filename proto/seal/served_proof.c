#include "proto/seal/served_proof.h"

#include "proto/seal/base64.h"
#include "proto/seal/proof_lines.h"

#include <inttypes.h>
#include <string.h>

#define US_PER_S 1000000

/* ---------------------------------------------------------------- writing */

void served_proof_begin(struct byte_writer *w)
{
    lines_put(w, SERVED_PROOF_FAMILY "/v1\n");
}

void served_proof_put_move(struct byte_writer *w,
                           const void *entry,
                           size_t size,
                           uint64_t index,
                           const struct merkle_proof *proof)
{
    lines_put(w, "moved ");
    lines_put_base64(w, entry, size);
    proof_lines_put_inclusion(w, index, proof);
    lines_put(w, "\n");
}

void served_proof_put_later(struct byte_writer *w, const void *entry, size_t size)
{
    lines_put(w, "later ");
    lines_put_base64(w, entry, size);
}

void served_proof_end_later(struct byte_writer *w)
{
    lines_put(w, "\n");
}

void served_proof_end(struct byte_writer *w, const char *checkpoint, size_t size)
{
    put_bytes(w, checkpoint, size);
}

/* ---------------------------------------------------------------- reading */

/* "NAME BASE64" with the bytes of an entry; 0 or -1. */
static int
get_entry(struct lines *in, const char *name, uint8_t to[LOG_ENTRY_MAX], size_t *ret_size)
{
    const char *text = NULL;
    size_t n = 0;
    return lines_value(in, name, &text, &n) == 0 &&
                   base64_parse(text, n, to, LOG_ENTRY_MAX, ret_size) == 0
               ? 0
               : -1;
}

static enum status parse_move(struct lines *in, struct served_move *m, struct fault *f)
{
    if (get_entry(in, "moved", m->entry, &m->size) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "moved", "line %zu is not an entry in base64", in->number);
    if (proof_lines_get_inclusion(in, &m->index, &m->proof) != 0 || lines_expect(in, "") != 0)
        FAIL(f, STATUS_BAD_FORMAT, "proof", "line %zu or the next is no part of a proof",
             in->number);
    return STATUS_OK;
}

static enum status parse_later(struct lines *in, struct served_proof *p, struct fault *f)
{
    uint8_t entry[LOG_ENTRY_MAX];
    size_t size = 0;
    p->later = *in;
    for (; lines_begin(in, "later "); p->n_later++)
        if (get_entry(in, "later", entry, &size) != 0)
            FAIL(f, STATUS_BAD_FORMAT, "later", "line %zu is not an entry in base64", in->number);
    if (p->n_later > 0 && lines_expect(in, "") != 0)
        FAIL(f, STATUS_BAD_FORMAT, "later", "line %zu is not empty", in->number + 1);
    return STATUS_OK;
}

enum status
served_proof_parse(const char *text, size_t n, struct served_proof *ret_proof, struct fault *f)
{
    struct lines in = lines_of(text, n);
    if (n > SERVED_PROOF_MAX)
        FAIL(f, STATUS_BAD_FORMAT, "file", "%zu bytes, at most %zu", n, SERVED_PROOF_MAX);
    const enum lines_version version = lines_version(&in, SERVED_PROOF_FAMILY);
    if (version == LINES_NONE)
        FAIL(f, STATUS_BAD_FORMAT, "file", "line 1 does not begin a proof of what served");
    if (version == LINES_NEWER)
        FAIL(f, STATUS_UNIMPLEMENTED, "file", "a version of this proof not known here");
    ret_proof->n_moves = 1;
    ret_proof->n_later = 0;
    TRY(parse_move(&in, &ret_proof->moves[0], f));
    if (lines_begin(&in, "moved ")) {
        ret_proof->n_moves = 2;
        TRY(parse_move(&in, &ret_proof->moves[1], f));
    } else {
        TRY(parse_later(&in, ret_proof, f));
    }
    return note_parse(in.at, in.left, &ret_proof->note, f);
}

/* ---------------------------------------------------------------- verifying */

/* What a serving.moved entry says. */
struct move {
    uint64_t generation;
    struct digest to;
    struct digest from; /* zero: nothing served before */
    int64_t time_us;
    int held;
};

/* Not being an entry, once it is in the log, is false evidence; being a newer one is not. */
static enum status
parse_logged(const void *bytes, size_t n, struct log_entry *ret_entry, struct fault *f)
{
    const enum status st = log_entry_parse(bytes, n, ret_entry, f);
    if (st == STATUS_OK || st == STATUS_UNIMPLEMENTED)
        return st;
    if (f)
        f->code = STATUS_DATA_LOSS;
    return STATUS_DATA_LOSS;
}

static enum status verify_move(const struct served_move *m,
                               const struct note_checkpoint *c,
                               struct move *ret_move,
                               struct fault *f)
{
    struct log_entry e;
    struct move move = {0};
    const struct sha256 leaf = merkle_leaf(m->entry, m->size);
    if (!merkle_verify_inclusion(&leaf, m->index, c->size, &m->proof, &c->root))
        FAIL(f, STATUS_DATA_LOSS, "proof", "the move is not number %" PRIu64 " of this log",
             m->index);
    TRY(parse_logged(m->entry, m->size, &e, f));
    if (e.kind != LOG_KIND_SERVING_MOVED || !log_entry_number(&e, "generation", &move.generation) ||
        !log_entry_digest(&e, "to", &move.to))
        FAIL(f, STATUS_DATA_LOSS, "moved", "the entry is of kind %s", log_kind_name(e.kind));
    (void)log_entry_digest(&e, "from", &move.from);
    move.time_us = e.time_us;
    move.held = e.clock_held;
    *ret_move = move;
    return STATUS_OK;
}

static enum status verify_neighbours(const struct served_proof *p,
                                     const struct move *first,
                                     struct served_verdict *v,
                                     struct fault *f)
{
    struct move second;
    TRY(verify_move(&p->moves[1], &p->note.checkpoint, &second, f));
    if (first->generation == UINT64_MAX || second.generation != first->generation + 1 ||
        p->moves[1].index <= p->moves[0].index || !digest_equal(&second.from, &first->to) ||
        second.time_us < first->time_us)
        FAIL(f, STATUS_DATA_LOSS, "moved", "the two moves do not follow one another");
    v->until_us = second.time_us;
    v->until_held = second.held;
    return STATUS_OK;
}

/*
 * The compact range of all leaves before `index`: its roots are the left siblings on the path of
 * that leaf, smallest first (RFC 9162, 2.1.3.2, whose walk this repeats).
 */
static void range_before(const struct served_move *m, uint64_t size, struct merkle_range *r)
{
    uint64_t fn = m->index, sn = size - 1;
    size_t n = 0;
    merkle_range_init(r);
    r->size = m->index;
    for (uint64_t x = m->index; x; x &= x - 1)
        n++;
    for (size_t i = 0; i < m->proof.n; i++, fn >>= 1, sn >>= 1) {
        if (!(fn & 1) && fn != sn)
            continue;
        if (n > 0)
            r->stack[--n] = m->proof.path[i];
        for (; !(fn & 1) && fn != 0; fn >>= 1)
            sn >>= 1;
    }
}

static enum status
check_later(const uint8_t *bytes, size_t n, int64_t *ret_time_us, struct fault *f)
{
    struct log_entry e;
    TRY(parse_logged(bytes, n, &e, f));
    if (e.kind == LOG_KIND_SERVING_MOVED)
        FAIL(f, STATUS_DATA_LOSS, "later", "a later entry moves what serves");
    *ret_time_us = e.time_us;
    return STATUS_OK;
}

/* All that follows the move up to the checkpoint; v->until_us becomes the time of the last. */
static enum status
verify_rest(const struct served_proof *p, struct served_verdict *v, struct fault *f)
{
    struct merkle_range range;
    struct merkle_full full[MERKLE_DEPTH];
    uint8_t entry[LOG_ENTRY_MAX];
    struct lines in = p->later;
    const struct note_checkpoint *c = &p->note.checkpoint;
    const struct served_move *m = &p->moves[0];
    range_before(m, c->size, &range);
    struct sha256 leaf = merkle_leaf(m->entry, m->size);
    (void)merkle_append(&range, &leaf, full);
    for (uint64_t i = 0; i < p->n_later; i++) {
        size_t n = 0;
        if (get_entry(&in, "later", entry, &n) != 0)
            FAIL(f, STATUS_BAD_FORMAT, "later", "line %zu is not an entry", in.number);
        leaf = merkle_leaf(entry, n);
        (void)merkle_append(&range, &leaf, full);
    }
    const struct sha256 root = merkle_root(&range);
    if (!sha256_equal(&root, &c->root))
        FAIL(f, STATUS_DATA_LOSS, "later", "these are not the entries behind the move");
    in = p->later;
    for (uint64_t i = 0; i < p->n_later; i++) {
        size_t n = 0;
        (void)get_entry(&in, "later", entry, &n);
        TRY(check_later(entry, n, &v->until_us, f));
    }
    return STATUS_OK;
}

static enum status verify_open(const struct served_proof *p,
                               const struct move *first,
                               struct served_verdict *v,
                               struct fault *f)
{
    const uint64_t size = p->note.checkpoint.size;
    const uint64_t behind = size - 1 - p->moves[0].index;
    v->is_open = 1;
    v->until_us = first->time_us;
    if (size > MERKLE_SIZE_MAX)
        FAIL(f, STATUS_DATA_LOSS, "size", "no log has so many entries");
    if (behind > 0 && p->n_later == 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "later",
             "nothing shows when it ended: %" PRIu64 " entries of the log follow", behind);
    if (p->n_later != behind)
        FAIL(f, STATUS_DATA_LOSS, "later", "%" PRIu64 " entries, %" PRIu64 " follow the move",
             p->n_later, behind);
    TRY(verify_rest(p, v, f));
    const int64_t seconds = v->signers.newest_seconds;
    if (seconds > v->until_us / US_PER_S && seconds < INT64_MAX / US_PER_S)
        v->until_us = seconds * US_PER_S;
    return STATUS_OK;
}

enum status served_proof_verify(const struct served_proof *proof,
                                const struct signers *signers,
                                struct served_verdict *ret_verdict,
                                struct fault *f)
{
    struct served_verdict v = {0};
    struct move first;
    TRY(signers_check(signers, &proof->note, &v.signers, f));
    TRY(verify_move(&proof->moves[0], &proof->note.checkpoint, &first, f));
    v.generation = first.generation;
    v.version = first.to;
    v.from_us = first.time_us;
    v.from_held = first.held;
    if (proof->n_moves == 2)
        TRY(verify_neighbours(proof, &first, &v, f));
    else
        TRY(verify_open(proof, &first, &v, f));
    *ret_verdict = v;
    return STATUS_OK;
}

int served_proof_covers(const struct served_verdict *v, int64_t wall_us)
{
    return wall_us >= v->from_us && (v->is_open ? wall_us <= v->until_us : wall_us < v->until_us);
}
