/*
 * Records of a stream and of its experts (little-endian, daemon/base/bytes.h; one way to write
 * them, strict to read).
 *
 * Stream: "LTAMES1\n", u32 version, settings, kind and sizes, trunk (32), u64 seed, u8 closed,
 *   detector, six u64 totals, u32 n and n kept batches (u32 slot, u64 number, request (16), u32 n,
 *   u32 n_reserve, then of each sample u32 label, u64 id, u64 key, input), u8 1 and the selector,
 * or u8 0. Expert: "LTAMEX1\n", u32 version, kind and sizes, trunk (32), watch, u8 stale, u8
 * has_best, f32 best, weights with moments, label table, ledger, selector samples, reserve, pruning
 * samples.
 */
#include "learners/methods/tame/tame_stream_internal.h"

#include "daemon/base/invariant.h"

#include <math.h>
#include <string.h>

#define MAGIC_SIZE 8
#define NAME_SIZE  16

static const char stream_magic[MAGIC_SIZE] = {'L', 'T', 'A', 'M', 'E', 'S', '1', '\n'};
static const char expert_magic[MAGIC_SIZE] = {'L', 'T', 'A', 'M', 'E', 'X', '1', '\n'};

/* ------------------------------------------------------------------ headers */

static void put_magic(struct byte_writer *w, const char magic[MAGIC_SIZE])
{
    put_bytes(w, magic, MAGIC_SIZE);
    put_u32(w, TAME_RECORD_VERSION);
}

enum status tame_record_begin(struct byte_reader *r, enum tame_record which, struct fault *f)
{
    char found[MAGIC_SIZE];
    const char *magic = which == TAME_RECORD_STREAM ? stream_magic : expert_magic;
    get_bytes(r, found, MAGIC_SIZE);
    const uint32_t version = get_u32(r);
    if (r->failed || memcmp(found, magic, MAGIC_SIZE) != 0)
        FAIL(f, STATUS_BAD_FORMAT, "record", "not a record of a TAME %s",
             which == TAME_RECORD_STREAM ? "stream" : "expert");
    if (version != TAME_RECORD_VERSION)
        FAIL(f, STATUS_BAD_FORMAT, "record", "version %u is unknown", version);
    return STATUS_OK;
}

static void put_kind(const struct tame_stream *s, struct byte_writer *w)
{
    put_string(w, s->kind->name);
    put_u64(w, s->shape.input_bytes);
    put_u64(w, s->shape.body);
    put_u64(w, s->shape.head_width);
    put_u32(w, s->shape.vectors);
    put_u32(w, s->shape.feature_width);
    put_u8(w, (uint8_t)(s->shape.sigmoid != 0));
    put_u64(w, tame_stream_payload_bytes(&s->shape, tame_stream_options(s)));
    put_bytes(w, s->trunk.b, DIGEST_SIZE);
}

static enum status get_kind(const struct tame_stream *s, struct byte_reader *r, struct fault *f)
{
    char name[NAME_SIZE];
    struct digest trunk;
    get_string(r, name, sizeof name);
    if (r->failed || strcmp(name, s->kind->name) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "kind", "made with other experts than %s",
             s->kind->name);
    int same = get_u64(r) == s->shape.input_bytes;
    same &= get_u64(r) == s->shape.body;
    same &= get_u64(r) == s->shape.head_width;
    same &= get_u32(r) == s->shape.vectors;
    same &= get_u32(r) == s->shape.feature_width;
    same &= get_u8(r) == (s->shape.sigmoid != 0);
    same &= get_u64(r) == tame_stream_payload_bytes(&s->shape, tame_stream_options(s));
    if (r->failed || !same)
        FAIL(f, STATUS_FAILED_PRECONDITION, "kind", "made for networks or samples of other sizes");
    get_bytes(r, trunk.b, DIGEST_SIZE);
    if (r->failed || !digest_equal(&trunk, &s->trunk))
        FAIL(f, STATUS_FAILED_PRECONDITION, "trunk", "made on another frozen model");
    return STATUS_OK;
}

/* ------------------------------------------------------------------ kept batches */

static void put_slot(const struct tame_stream *s, uint32_t slot, struct byte_writer *w)
{
    const struct tame_slot *x = &s->slots[slot];
    put_u32(w, slot);
    put_u64(w, x->batch);
    put_bytes(w, x->request.b, REQUEST_ID_SIZE);
    put_u32(w, x->n);
    put_u32(w, x->n_reserve);
    for (uint32_t i = 0; i < x->n + x->n_reserve; i++) {
        put_u32(w, x->labels[i]);
        put_u64(w, x->ids[i]);
        put_u64(w, x->keys[i]);
        put_bytes(w, x->inputs[i], s->shape.input_bytes);
    }
}

static void put_slots(const struct tame_stream *s, struct byte_writer *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_slots; i++)
        n += tame_detector_keeps(&s->detector, i) != 0;
    put_u32(w, n);
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (tame_detector_keeps(&s->detector, i))
            put_slot(s, i, w);
}

static enum status get_sample(
    struct tame_stream *s, struct tame_slot *x, uint32_t i, struct byte_reader *r, struct fault *f)
{
    const struct tame_options *o = tame_stream_options(s);
    x->labels[i] = get_u32(r);
    x->ids[i] = get_u64(r);
    x->keys[i] = get_u64(r);
    get_bytes(r, x->bytes + i * s->shape.input_bytes, s->shape.input_bytes);
    if (r->failed || x->labels[i] == TAME_UNKNOWN || (o->outputs && x->labels[i] >= o->outputs))
        FAIL(f, STATUS_BAD_FORMAT, "held", "a sample of a kept batch is malformed");
    return STATUS_OK;
}

static enum status
get_slot(struct tame_stream *s, uint32_t slot, struct byte_reader *r, struct fault *f)
{
    struct tame_slot *x = &s->slots[slot];
    const uint32_t number = get_u32(r), most = tame_stream_options(s)->batch_max;
    x->batch = get_u64(r);
    get_bytes(r, x->request.b, REQUEST_ID_SIZE);
    x->n = get_u32(r);
    x->n_reserve = get_u32(r);
    if (r->failed || number != slot || x->n == 0 || x->n > most || x->n_reserve > most - x->n)
        FAIL(f, STATUS_BAD_FORMAT, "held", "kept batch %u is malformed", slot);
    for (uint32_t i = 0; i < x->n + x->n_reserve; i++)
        TRY(get_sample(s, x, i, r, f));
    return STATUS_OK;
}

static enum status get_slots(struct tame_stream *s, struct byte_reader *r, struct fault *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_slots; i++)
        n += tame_detector_keeps(&s->detector, i) != 0;
    if (get_u32(r) != n || r->failed)
        FAIL(f, STATUS_BAD_FORMAT, "held", "the detector has %u batches, the record another number",
             n);
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (tame_detector_keeps(&s->detector, i))
            TRY(get_slot(s, i, r, f));
    return STATUS_OK;
}

/* ------------------------------------------------------------------ selector */

static void put_selector(const struct tame_stream *s, struct byte_writer *w)
{
    const struct tame_selector *x = &s->selector;
    put_u8(w, (uint8_t)(x->ready != 0));
    if (!x->ready)
        return;
    put_u32(w, x->n_experts);
    for (uint32_t i = 0; i < x->n_experts; i++)
        put_u32(w, x->ids[i]);
    if (tame_stream_options(s)->selector == TAME_SELECTOR_NET) {
        tame_expert_put(&s->shape, &x->net, w);
        return;
    }
    for (size_t i = 0; i < (size_t)x->n_experts * (x->width + 1); i++)
        put_f32(w, x->w[i]);
}

static enum status get_selector(struct tame_stream *s, struct byte_reader *r, struct fault *f)
{
    struct tame_selector *x = &s->selector;
    const struct tame_options *o = tame_stream_options(s);
    const uint8_t ready = get_u8(r);
    if (r->failed || ready > 1 || (ready && o->selector == TAME_SELECTOR_NONE))
        FAIL(f, STATUS_BAD_FORMAT, "selector", "a selector that the settings do not have");
    if (!ready)
        return STATUS_OK;
    x->n_experts = get_u32(r);
    if (r->failed || x->n_experts == 0 || x->n_experts > s->roster.n)
        FAIL(f, STATUS_BAD_FORMAT, "selector", "%u outputs for %u experts", x->n_experts,
             s->roster.n);
    for (uint32_t i = 0; i < x->n_experts; i++) {
        x->ids[i] = get_u32(r);
        if (r->failed || (i > 0 && x->ids[i] <= x->ids[i - 1]))
            FAIL(f, STATUS_BAD_FORMAT, "selector", "its experts are not ascending");
    }
    x->ready = 1;
    if (o->selector == TAME_SELECTOR_NET) {
        TRY(tame_expert_get(&s->shape, r, &x->net, f));
        return STATUS_OK;
    }
    for (size_t i = 0; i < (size_t)x->n_experts * (x->width + 1); i++) {
        x->w[i] = get_f32(r);
        if (r->failed || !isfinite(x->w[i]))
            FAIL(f, STATUS_BAD_FORMAT, "selector", "a number is missing or not finite");
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ stream */

static void put_stream(const struct tame_stream *s, struct byte_writer *w)
{
    const struct tame_totals *t = &s->totals;
    put_magic(w, stream_magic);
    tame_options_put(tame_stream_options(s), w);
    put_kind(s, w);
    put_u64(w, s->seed);
    put_u8(w, (uint8_t)(s->closed != 0));
    tame_detector_put(&s->detector, w);
    put_u64(w, t->offered);
    put_u64(w, t->tombstoned);
    put_u64(w, t->reserved);
    put_u64(w, t->idle);
    put_u64(w, t->trained);
    put_u64(w, t->quarantined);
    put_slots(s, w);
    put_selector(s, w);
}

size_t tame_stream_encode(const struct tame_stream *s, void *to, size_t size)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && s->sealed && !s->failed && !s->refit.active);
    struct byte_writer w = byte_writer_make(to, size);
    put_stream(s, &w);
    INVARIANT(!to || (!w.failed && w.used == size));
    return w.used;
}

enum status
tame_stream_peek(const void *record, size_t size, struct tame_options *ret_options, struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    TRY(tame_record_begin(&r, TAME_RECORD_STREAM, f));
    return tame_options_get(&r, ret_options, f);
}

static enum status get_stream(struct tame_stream *s, struct byte_reader *r, struct fault *f)
{
    struct tame_options o;
    struct tame_totals *t = &s->totals;
    TRY(tame_record_begin(r, TAME_RECORD_STREAM, f));
    TRY(tame_options_get(r, &o, f));
    if (memcmp(&o, tame_stream_options(s), sizeof o) != 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "options", "the settings given are not the record's");
    TRY(get_kind(s, r, f));
    s->seed = get_u64(r);
    const uint8_t closed = get_u8(r);
    if (r->failed || closed > 1)
        FAIL(f, STATUS_BAD_FORMAT, "closed", "not a flag");
    s->closed = closed;
    TRY(tame_detector_get(&s->detector, r, &s->roster, f));
    t->offered = get_u64(r);
    t->tombstoned = get_u64(r);
    t->reserved = get_u64(r);
    t->idle = get_u64(r);
    t->trained = get_u64(r);
    t->quarantined = get_u64(r);
    TRY(get_slots(s, r, f));
    TRY(get_selector(s, r, f));
    if (!byte_reader_done(r))
        FAIL(f, STATUS_BAD_FORMAT, "record", "bytes are left after the record");
    return STATUS_OK;
}

enum status
tame_stream_read(struct tame_stream *s, const void *record, size_t size, struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    return get_stream(s, &r, f);
}

/* ------------------------------------------------------------------ experts */

static void put_expert(const struct tame_stream *s, uint32_t e, struct byte_writer *w)
{
    const struct tame_member *m = &s->members[e];
    const struct tame_weights *x = tame_member_weights(s, e);
    const uint32_t id = s->detector.experts[e].id;
    put_magic(w, expert_magic);
    put_kind(s, w);
    tame_detector_put_watch(&s->detector.experts[e], w);
    put_u8(w, (uint8_t)(m->stale != 0));
    put_u8(w, (uint8_t)(m->has_best != 0));
    put_f32(w, m->best);
    tame_expert_put(&s->shape, x, w);
    for (uint32_t i = 0; i < x->classes; i++)
        put_u32(w, tame_member_labels(s, e)[i]);
    tame_ledger_put(&s->ledger, id, w);
    tame_buffer_put(&s->buffer, id, w);
    tame_buffer_put(&s->reserve, id, w);
    tame_buffer_put(&s->prune, id, w);
}

size_t tame_stream_encode_expert(const struct tame_stream *s, uint32_t e, void *to, size_t size)
{
    INVARIANT(s->magic == TAME_STREAM_MAGIC && e < s->detector.n_experts && !s->failed);
    struct byte_writer w = byte_writer_make(to, size);
    put_expert(s, e, &w);
    INVARIANT(!to || (!w.failed && w.used == size));
    return w.used;
}

static enum status get_labels(
    struct tame_stream *s, uint32_t place, uint32_t n, struct byte_reader *r, struct fault *f)
{
    uint32_t *to = s->labels + (size_t)place * tame_stream_options(s)->classes_max;
    for (uint32_t i = 0; i < n; i++) {
        to[i] = get_u32(r);
        int again = to[i] == TAME_UNKNOWN;
        for (uint32_t k = 0; k < i; k++)
            again |= to[k] == to[i];
        if (r->failed || again)
            FAIL(f, STATUS_BAD_FORMAT, "labels", "the label table is malformed");
    }
    return STATUS_OK;
}

/* Ledger and buffers of one expert. */
static enum status
get_kept(struct tame_stream *s, uint32_t id, struct byte_reader *r, int commit, struct fault *f)
{
    TRY(tame_ledger_get(&s->ledger, id, r, commit, f));
    TRY(tame_buffer_get(&s->buffer, id, r, commit, f));
    TRY(tame_buffer_get(&s->reserve, id, r, commit, f));
    TRY(tame_buffer_get(&s->prune, id, r, commit, f));
    if (!byte_reader_done(r))
        FAIL(f, STATUS_BAD_FORMAT, "record", "bytes are left after the record");
    return STATUS_OK;
}

/* What is read before it is known that the whole record is sound. */
struct draft {
    struct tame_watch watch;
    struct tame_member member;
    struct byte_reader kept; /* where ledger and buffers begin */
};

static enum status
get_draft(struct tame_stream *s, struct byte_reader *r, struct draft *d, struct fault *f)
{
    TRY(tame_record_begin(r, TAME_RECORD_EXPERT, f));
    TRY(get_kind(s, r, f));
    TRY(tame_detector_get_watch(r, tame_stream_options(s)->window, &d->watch, f));
    const uint8_t stale = get_u8(r), has_best = get_u8(r);
    d->member.best = get_f32(r);
    if (r->failed || stale > 1 || has_best > 1 || !(d->member.best >= 0 && d->member.best <= 1))
        FAIL(f, STATUS_BAD_FORMAT, "expert", "its flags are malformed");
    d->member.stale = stale;
    d->member.has_best = has_best;
    TRY(tame_expert_get(&s->shape, r, &s->weights[d->member.place], f));
    TRY(get_labels(s, d->member.place, s->weights[d->member.place].classes, r, f));
    d->kept = *r;
    return get_kept(s, d->watch.id, r, 0, f);
}

/* Everything fits: the expert joins under the id of its watch. */
static enum status join(struct tame_stream *s, const struct draft *d, struct fault *f)
{
    const uint32_t n = s->detector.n_experts;
    struct byte_reader r = d->kept;
    TRY(get_kept(s, d->watch.id, &r, 1, f));
    const uint32_t e = tame_detector_add(&s->detector, &d->watch);
    memmove(s->members + e + 1, s->members + e, (n - e) * sizeof *s->members);
    s->members[e] = d->member;
    s->taken[d->member.place] = 1;
    return STATUS_OK;
}

static enum status
read_draft(struct tame_stream *s, const void *record, size_t size, struct draft *d, struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    *d = (struct draft){.member.place = tame_member_place(s)};
    if (d->member.place == TAME_NONE ||
        s->detector.n_experts == tame_stream_options(s)->experts_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts_max", "the stream has its %u experts",
             s->places);
    return get_draft(s, &r, d, f);
}

enum status
tame_stream_attach(struct tame_stream *s, const void *record, size_t size, struct fault *f)
{
    struct draft d;
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (s->sealed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "all its experts are there");
    TRY(read_draft(s, record, size, &d, f));
    int known = 0;
    for (uint32_t i = 0; i < s->roster.n; i++)
        known |= s->roster.ids[i] == d.watch.id;
    if (!known || tame_detector_find(&s->detector, d.watch.id) != TAME_NONE)
        FAIL(f, STATUS_FAILED_PRECONDITION, "expert", "number %u is not wanted", d.watch.id);
    return join(s, &d, f);
}

enum status tame_stream_import(
    struct tame_stream *s, const void *record, size_t size, uint32_t *ret_id, struct fault *f)
{
    struct draft d;
    INVARIANT(s->magic == TAME_STREAM_MAGIC);
    if (!s->sealed || s->failed || s->refit.active)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "it is not ready");
    TRY(read_draft(s, record, size, &d, f));
    if (s->detector.next_id == TAME_NONE)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts", "no expert number is left");
    d.watch.id = s->detector.next_id++;
    d.watch.has_sact = 0; /* it may have been the active one where it comes from */
    d.watch.sact = 0.0;
    TRY(join(s, &d, f));
    s->selector.ready = 0;
    *ret_id = d.watch.id;
    return STATUS_OK;
}
