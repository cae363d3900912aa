#include "learners/methods/tame/tame_survey.h"

#include "daemon/base/invariant.h"
#include "learners/methods/tame/tame_stream_internal.h"

#include <string.h>

#define KIND_NAME_SIZE 16
#define STEP_BYTES     29 /* an entry of the ledger before its samples */
#define TRAINED_BYTES  12 /* a sample of the ledger */
#define GROUP_BYTES    25 /* a group of kept samples before them */
#define KEPT_BYTES     20 /* a kept sample before its payload */
#define HELD_BYTES     20 /* a sample of a held batch before its picture */

static size_t left(const struct byte_reader *r)
{
    return r->failed ? 0 : r->size - r->used;
}

static void skip(struct byte_reader *r, size_t n)
{
    if (n > left(r))
        r->failed = 1;
    else
        r->used += n;
}

/* Kind, sizes and trunk, as tame_stream_record.c writes them. */
static enum status read_kind(struct byte_reader *r, struct tame_survey *s, struct fault *f)
{
    char name[KIND_NAME_SIZE];
    get_string(r, name, sizeof name);
    s->shape.input_bytes = get_u64(r);
    s->shape.body = get_u64(r);
    s->shape.head_width = get_u64(r);
    s->shape.vectors = get_u32(r);
    s->shape.feature_width = get_u32(r);
    s->shape.sigmoid = get_u8(r);
    s->payload_bytes = get_u64(r);
    s->trunk_at = r->used;
    get_bytes(r, s->trunk.b, DIGEST_SIZE);
    const size_t most = SIZE_MAX / 1024; /* nothing below overflows */
    if (r->failed || s->shape.vectors < 1 || s->shape.vectors > TAME_VECTORS_MAX ||
        s->shape.body > most / sizeof(float) || s->shape.head_width > most / TAME_MAX_CLASSES ||
        s->shape.input_bytes > most || s->payload_bytes > most)
        FAIL(f, STATUS_BAD_FORMAT, "record", "sizes of the network are missing or impossible");
    return STATUS_OK;
}

/* ------------------------------------------------------------------ an expert */

static enum status read_weights(struct byte_reader *r,
                                const struct tame_options *o,
                                struct tame_survey *s,
                                struct fault *f)
{
    s->classes = get_u32(r);
    (void)get_u64(r); /* seed */
    s->steps = get_u64(r);
    if (r->failed || s->classes == 0 || s->classes > o->classes_max)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "%u classes; 1 to %u are possible", s->classes,
             o->classes_max);
    const size_t floats = tame_expert_floats(&s->shape, s->classes);
    s->weights = r->used;
    if (floats > left(r) / sizeof(float) / s->shape.vectors)
        FAIL(f, STATUS_BAD_FORMAT, "weights", "the record ends within the weights");
    skip(r, floats * s->shape.vectors * sizeof(float));
    s->labels = r->used;
    skip(r, s->classes * sizeof(uint32_t));
    if (r->failed)
        FAIL(f, STATUS_BAD_FORMAT, "labels", "the record ends within the label table");
    return STATUS_OK;
}

/* Where a group of steps stands: they were held together, so there are only so many. */
struct group_check {
    uint32_t length; /* 0: outside a group */
};

static int group_fits(struct group_check *g, uint8_t group, uint32_t slots)
{
    if (group == TAME_STEP_FIRST)
        g->length = 1;
    else if (group == TAME_STEP_SINGLE)
        g->length = 0;
    else if (g->length == 0 || ++g->length > slots)
        return 0;
    return 1;
}

static enum status read_ledger(struct byte_reader *r,
                               const struct tame_options *o,
                               struct tame_survey *s,
                               struct fault *f)
{
    const uint32_t slots = tame_detector_slots(o);
    struct group_check group = {0};
    s->ledger = r->used;
    s->n_steps = get_u64(r);
    if (r->failed || s->n_steps > left(r) / (STEP_BYTES + TRAINED_BYTES))
        FAIL(f, STATUS_BAD_FORMAT, "ledger", "more steps than the record holds");
    for (uint64_t i = 0; i < s->n_steps; i++) {
        skip(r, sizeof(uint64_t) + REQUEST_ID_SIZE);
        const uint8_t kind = get_u8(r);
        const uint32_t n = get_u32(r);
        if (r->failed || n == 0 || n > o->batch_max || n > left(r) / TRAINED_BYTES ||
            kind > TAME_STEP_REST || !group_fits(&group, kind, slots))
            FAIL(f, STATUS_BAD_FORMAT, "ledger", "step %llu is malformed", (unsigned long long)i);
        skip(r, (size_t)n * TRAINED_BYTES);
        s->n_samples += n;
    }
    return STATUS_OK;
}

static enum status
read_kept(struct byte_reader *r, size_t payload, uint32_t *ret_n, struct fault *f)
{
    const uint32_t groups = get_u32(r);
    uint64_t n = 0;
    if (r->failed || groups > left(r) / GROUP_BYTES)
        FAIL(f, STATUS_BAD_FORMAT, "buffer", "more groups than the record holds");
    for (uint32_t i = 0; i < groups; i++) {
        skip(r, sizeof(uint32_t));
        const uint32_t samples = get_u32(r);
        skip(r, 1 + 2 * sizeof(uint64_t));
        if (r->failed || samples > left(r) / (KEPT_BYTES + payload))
            FAIL(f, STATUS_BAD_FORMAT, "buffer", "a group does not fit the record");
        skip(r, samples * (KEPT_BYTES + payload));
        n += samples;
    }
    *ret_n = (uint32_t)n;
    return n > UINT32_MAX ? STATUS_BAD_FORMAT : STATUS_OK;
}

enum status tame_survey_expert(const void *record,
                               size_t size,
                               const struct tame_options *o,
                               struct tame_survey *ret_survey,
                               struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    struct tame_survey s = {.record = record, .size = size};
    struct tame_watch watch;
    TRY(tame_record_begin(&r, TAME_RECORD_EXPERT, f));
    TRY(read_kind(&r, &s, f));
    TRY(tame_detector_get_watch(&r, o->window, &watch, f));
    s.id = watch.id;
    s.stale = get_u8(&r) != 0;
    skip(&r, 1 + sizeof(float));
    TRY(read_weights(&r, o, &s, f));
    TRY(read_ledger(&r, o, &s, f));
    TRY(read_kept(&r, s.payload_bytes, &s.n_buffer, f));
    TRY(read_kept(&r, s.shape.input_bytes, &s.n_reserve, f));
    TRY(read_kept(&r, s.shape.input_bytes, &s.n_prune, f));
    if (!byte_reader_done(&r))
        FAIL(f, STATUS_BAD_FORMAT, "record", "bytes are left after the record");
    *ret_survey = s;
    return STATUS_OK;
}

static void
visit_kept(struct byte_reader *r, size_t payload, tame_survey_visit *visit, void *context)
{
    const uint32_t groups = get_u32(r);
    for (uint32_t i = 0; i < groups; i++) {
        skip(r, sizeof(uint32_t));
        const uint32_t n = get_u32(r);
        skip(r, 1 + 2 * sizeof(uint64_t));
        for (uint32_t k = 0; k < n; k++) {
            struct tame_met met = {.use = TAME_SAMPLE_KEPT};
            met.label = get_u32(r);
            skip(r, sizeof(uint64_t));
            met.id = get_u64(r);
            skip(r, payload);
            visit(context, &met);
        }
    }
}

void tame_survey_samples(const struct tame_survey *s, tame_survey_visit *visit, void *context)
{
    struct byte_reader r = byte_reader_make(s->record, s->size);
    r.used = s->ledger + sizeof(uint64_t);
    for (uint64_t i = 0; i < s->n_steps; i++) {
        struct request_id request;
        skip(&r, sizeof(uint64_t));
        get_bytes(&r, request.b, REQUEST_ID_SIZE);
        skip(&r, 1);
        const uint32_t n = get_u32(&r);
        for (uint32_t k = 0; k < n; k++) {
            struct tame_met met = {.use = TAME_SAMPLE_TRAINED, .request = &request};
            met.id = get_u64(&r);
            met.label = get_u32(&r);
            visit(context, &met);
        }
    }
    visit_kept(&r, s->payload_bytes, visit, context);
    visit_kept(&r, s->shape.input_bytes, visit, context);
    visit_kept(&r, s->shape.input_bytes, visit, context);
    INVARIANT(byte_reader_done(&r));
}

uint32_t tame_survey_label(const struct tame_survey *s, uint32_t i)
{
    struct byte_reader r = byte_reader_make(s->record, s->size);
    r.used = s->labels + i * sizeof(uint32_t);
    return get_u32(&r);
}

float tame_survey_weight(const struct tame_survey *s, size_t i)
{
    struct byte_reader r = byte_reader_make(s->record, s->size);
    r.used = s->weights + i * sizeof(float);
    return get_f32(&r);
}

/* ------------------------------------------------------------------ another stream */

/* The number at the reader, and the new one in its place of the copy. */
static void
renumber(struct byte_reader *r, const struct tame_survey *s, const struct tame_rewrite *x, void *to)
{
    struct byte_writer w = byte_writer_make(to, s->size);
    w.used = r->used;
    put_u32(&w, x->number(x->context, get_u32(r)));
}

static void rewrite_ledger(struct byte_reader *r,
                           const struct tame_survey *s,
                           const struct tame_rewrite *x,
                           uint8_t *to)
{
    for (uint64_t i = 0; i < s->n_steps; i++) {
        skip(r, sizeof(uint64_t));
        memcpy(to + r->used, x->request.b, REQUEST_ID_SIZE);
        skip(r, REQUEST_ID_SIZE + 1);
        const uint32_t n = get_u32(r);
        for (uint32_t k = 0; k < n; k++) {
            skip(r, sizeof(uint64_t));
            renumber(r, s, x, to);
        }
    }
}

/* Groups of the selector's samples are of a class, those of the others of the expert. */
static void rewrite_kept(struct byte_reader *r,
                         const struct tame_survey *s,
                         const struct tame_rewrite *x,
                         size_t payload,
                         int of_class,
                         uint8_t *to)
{
    const uint32_t groups = get_u32(r);
    for (uint32_t i = 0; i < groups; i++) {
        if (of_class)
            renumber(r, s, x, to);
        else
            skip(r, sizeof(uint32_t));
        const uint32_t n = get_u32(r);
        skip(r, 1 + 2 * sizeof(uint64_t));
        for (uint32_t k = 0; k < n; k++) {
            renumber(r, s, x, to);
            skip(r, 2 * sizeof(uint64_t) + payload);
        }
    }
}

void tame_survey_rewrite(const struct tame_survey *s, const struct tame_rewrite *x, void *to)
{
    struct byte_reader r = byte_reader_make(s->record, s->size);
    memcpy(to, s->record, s->size);
    r.used = s->labels;
    for (uint32_t i = 0; i < s->classes; i++)
        renumber(&r, s, x, to);
    r.used = s->ledger + sizeof(uint64_t);
    rewrite_ledger(&r, s, x, to);
    rewrite_kept(&r, s, x, s->payload_bytes, 1, to);
    rewrite_kept(&r, s, x, s->shape.input_bytes, 0, to);
    rewrite_kept(&r, s, x, s->shape.input_bytes, 0, to);
    INVARIANT(byte_reader_done(&r));
}

/* ------------------------------------------------------------------ a stream */

/* What precedes the totals of a stream's record. */
static enum status
read_stream(struct byte_reader *r, struct tame_survey *s, struct tame_detector *d, struct fault *f)
{
    struct tame_roster roster;
    TRY(tame_record_begin(r, TAME_RECORD_STREAM, f));
    TRY(tame_options_get(r, &d->options, f));
    TRY(read_kind(r, s, f));
    skip(r, sizeof(uint64_t) + 1); /* seed, closed */
    return tame_detector_get(d, r, &roster, f);
}

enum status tame_survey_next(const void *record, size_t size, uint32_t *ret_id, struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    struct tame_survey s = {.record = record, .size = size};
    struct tame_detector d = {0};
    TRY(read_stream(&r, &s, &d, f));
    *ret_id = d.next_id;
    return STATUS_OK;
}

static enum status visit_batch(struct byte_reader *r,
                               size_t input_bytes,
                               tame_survey_visit *visit,
                               void *context,
                               struct fault *f)
{
    struct request_id request;
    skip(r, sizeof(uint32_t) + sizeof(uint64_t));
    get_bytes(r, request.b, REQUEST_ID_SIZE);
    const uint64_t n = (uint64_t)get_u32(r) + get_u32(r);
    if (r->failed || n > left(r) / (HELD_BYTES + input_bytes))
        FAIL(f, STATUS_BAD_FORMAT, "held", "a kept batch does not fit the record");
    for (uint64_t i = 0; i < n; i++) {
        struct tame_met met = {.use = TAME_SAMPLE_KEPT, .request = &request};
        met.label = get_u32(r);
        met.id = get_u64(r);
        skip(r, sizeof(uint64_t) + input_bytes);
        visit(context, &met);
    }
    return STATUS_OK;
}

enum status tame_survey_held(const void *record,
                             size_t size,
                             tame_survey_visit *visit,
                             void *context,
                             uint32_t *ret_batches,
                             struct fault *f)
{
    struct byte_reader r = byte_reader_make(record, size);
    struct tame_survey s = {.record = record, .size = size};
    struct tame_detector d = {0};
    TRY(read_stream(&r, &s, &d, f));
    skip(&r, 6 * sizeof(uint64_t)); /* totals */
    const uint32_t n = get_u32(&r);
    if (r.failed || n != d.n_held)
        FAIL(f, STATUS_BAD_FORMAT, "held", "%u batches are kept, %u should be", n, d.n_held);
    for (uint32_t i = 0; i < n; i++)
        TRY(visit_batch(&r, s.shape.input_bytes, visit, context, f));
    *ret_batches = n;
    return STATUS_OK;
}
