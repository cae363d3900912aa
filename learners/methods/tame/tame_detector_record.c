/* The detector as bytes: daemon/base/bytes.h, one way to write it, strict to read. */
#include "learners/methods/tame/tame_detector.h"

#include <math.h>
#include <string.h>

void tame_detector_put(const struct tame_detector *d, struct byte_writer *w)
{
    put_u32(w, d->next_id);
    put_u32(w, d->n_experts);
    for (uint32_t e = 0; e < d->n_experts; e++)
        put_u32(w, d->experts[e].id);
    put_u32(w, d->current == TAME_NONE ? TAME_NONE : d->experts[d->current].id);
    put_u32(w, d->n_held);
    put_u64(w, d->batches);
    put_u64(w, d->switches);
    put_u64(w, d->created);
    put_u64(w, d->quarantined);
    put_u64(w, d->dropped);
}

static enum status
get_roster(struct tame_detector *d, struct byte_reader *r, struct tame_roster *x, struct fault *f)
{
    int known = 0;
    d->next_id = get_u32(r);
    x->n = get_u32(r);
    if (r->failed || x->n > d->options.experts_max)
        FAIL(f, STATUS_BAD_FORMAT, "experts", "%u experts; at most %u are possible", x->n,
             d->options.experts_max);
    for (uint32_t i = 0; i < x->n; i++) {
        x->ids[i] = get_u32(r);
        if (r->failed || x->ids[i] >= d->next_id || (i > 0 && x->ids[i] <= x->ids[i - 1]))
            FAIL(f, STATUS_BAD_FORMAT, "experts", "numbers are not ascending and below %u",
                 d->next_id);
    }
    x->current = get_u32(r);
    for (uint32_t i = 0; i < x->n; i++)
        known |= x->ids[i] == x->current;
    if (r->failed || (x->current != TAME_NONE && !known))
        FAIL(f, STATUS_BAD_FORMAT, "current", "the active expert %u is not of the stream",
             x->current);
    return STATUS_OK;
}

enum status tame_detector_get(struct tame_detector *d,
                              struct byte_reader *r,
                              struct tame_roster *ret_roster,
                              struct fault *f)
{
    memset(ret_roster, 0, sizeof *ret_roster);
    TRY(get_roster(d, r, ret_roster, f));
    d->n_held = get_u32(r);
    d->batches = get_u64(r);
    d->switches = get_u64(r);
    d->created = get_u64(r);
    d->quarantined = get_u64(r);
    d->dropped = get_u64(r);
    const uint32_t most = d->options.mode == TAME_HARDENED ? d->options.patience : 1;
    if (r->failed || d->n_held >= most)
        FAIL(f, STATUS_BAD_FORMAT, "held", "%u batches held; below %u are possible", d->n_held,
             most);
    return STATUS_OK;
}

enum status
tame_detector_seal(struct tame_detector *d, const struct tame_roster *roster, struct fault *f)
{
    if (d->n_experts != roster->n)
        FAIL(f, STATUS_FAILED_PRECONDITION, "experts", "the stream has %u experts, %u were given",
             roster->n, d->n_experts);
    for (uint32_t i = 0; i < roster->n; i++)
        if (d->experts[i].id != roster->ids[i])
            FAIL(f, STATUS_FAILED_PRECONDITION, "experts", "expert %u is missing", roster->ids[i]);
    d->current = roster->current == TAME_NONE ? TAME_NONE : tame_detector_find(d, roster->current);
    return STATUS_OK;
}

void tame_detector_put_watch(const struct tame_watch *x, struct byte_writer *w)
{
    put_u32(w, x->id);
    put_u32(w, x->n);
    put_u64(w, x->pushed);
    for (uint32_t i = 0; i < x->n; i++)
        put_f64(w, x->q[i]);
    put_u8(w, (uint8_t)(x->has_sact | x->has_sall << 1 | x->has_first << 2 | x->drifted << 3));
    put_f64(w, x->sact);
    put_f64(w, x->sall);
    put_u64(w, x->sall_at);
    put_f64(w, x->tau);
    put_f64(w, x->first_mean);
    put_f64(w, x->first_std);
}

enum status tame_detector_get_watch(struct byte_reader *r,
                                    uint32_t window,
                                    struct tame_watch *ret_watch,
                                    struct fault *f)
{
    struct tame_watch x = {0};
    x.id = get_u32(r);
    x.n = get_u32(r);
    x.pushed = get_u64(r);
    if (r->failed || x.n == 0 || x.n > window)
        FAIL(f, STATUS_BAD_FORMAT, "window", "%u losses; 1 to %u are possible", x.n, window);
    int finite = 1;
    for (uint32_t i = 0; i < x.n; i++) {
        x.q[i] = get_f64(r);
        finite &= isfinite(x.q[i]) != 0;
    }
    const uint8_t flags = get_u8(r);
    x.has_sact = flags & 1;
    x.has_sall = flags >> 1 & 1;
    x.has_first = flags >> 2 & 1;
    x.drifted = flags >> 3 & 1;
    x.sact = get_f64(r);
    x.sall = get_f64(r);
    x.sall_at = get_u64(r);
    x.tau = get_f64(r);
    x.first_mean = get_f64(r);
    x.first_std = get_f64(r);
    finite &= isfinite(x.sact) && isfinite(x.sall) && isfinite(x.tau) && isfinite(x.first_mean) &&
              isfinite(x.first_std);
    if (r->failed || flags > 15 || !finite)
        FAIL(f, STATUS_BAD_FORMAT, "window", "the expert's window is malformed");
    *ret_watch = x;
    return STATUS_OK;
}
