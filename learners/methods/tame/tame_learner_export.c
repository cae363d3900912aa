/* What a run leaves: the stream's record, every expert whose bytes changed, and its events. */
#include "learners/methods/tame/tame_learner_internal.h"

#include "daemon/base/invariant.h"

#include <string.h>

/* ------------------------------------------------------------------ who has which class */

static void mark_kept(const struct tame_buffer *b, uint32_t id, uint8_t *used)
{
    uint32_t n;
    const uint32_t first = tame_buffer_of(b, id, &n);
    for (uint32_t i = first; i < first + n; i++)
        used[b->entries[i].label] = 1;
}

/* Classes of which expert e has a row or a sample, and the pushes that trained it. */
static void mark_expert(struct learner_run *run, uint32_t e)
{
    const struct tame_stream *s = run->stream;
    const struct tame_ledger *l = tame_stream_ledger(s);
    const uint32_t id = tame_stream_detector(s)->experts[e].id;
    const uint32_t classes = tame_stream_weights(run->stream, e)->classes;
    memset(run->used, 0, run->roll.n);
    memset(run->pushed, 0, run->roll.n_pushes);
    for (uint32_t i = 0; i < classes; i++)
        run->used[tame_stream_labels(s, e)[i]] = 1;
    for (uint64_t i = tame_ledger_next(l, id, 0); i < l->n_steps;
         i = tame_ledger_next(l, id, i + 1)) {
        const struct tame_step *x = &l->steps[i];
        for (uint64_t k = x->at; k < x->at + x->n; k++)
            run->used[l->labels[k]] = 1;
        for (uint32_t k = 0; k < run->roll.n_pushes; k++)
            run->pushed[k] |= request_id_equal(&run->roll.pushes[k].request, &x->request) != 0;
    }
    mark_kept(tame_stream_buffer(s), id, run->used);
    mark_kept(tame_stream_reserve(s), id, run->used);
    mark_kept(tame_stream_prune_buffer(s), id, run->used);
}

/* The owner of a class is the oldest expert with a row for it. */
static void own_classes(struct learner_run *run)
{
    const struct tame_detector *d = tame_stream_detector(run->stream);
    for (uint32_t i = 0; i < run->roll.n; i++)
        run->roll.rows[i].owner = TAME_NONE;
    for (uint32_t e = d->n_experts; e-- > 0;) {
        const uint32_t classes = tame_stream_weights(run->stream, e)->classes;
        for (uint32_t i = 0; i < classes; i++)
            run->roll.rows[tame_stream_labels(run->stream, e)[i]].owner = d->experts[e].id;
    }
}

static void mark_met(void *context, const struct tame_met *met)
{
    struct learner_run *run = context;
    run->anywhere[met->label] = 1;
}

/*
 * Names of classes that nothing is left of go with them; their numbers stay used up.  Only where
 * something was erased: elsewhere a class may wait for its first expert.
 */
static enum status
forget_names(struct learner_run *run, const void *inner, size_t size, struct fault *f)
{
    const struct tame_detector *d = tame_stream_detector(run->stream);
    uint32_t batches;
    memset(run->anywhere, 0, run->roll.n);
    for (uint32_t e = 0; e < d->n_experts; e++) {
        mark_expert(run, e);
        for (uint32_t i = 0; i < run->roll.n; i++)
            run->anywhere[i] |= run->used[i];
    }
    TRY(tame_survey_held(inner, size, mark_met, run, &batches, f));
    for (uint32_t i = 0; i < run->roll.n; i++)
        if (!run->anywhere[i])
            memset(run->roll.rows[i].name, 0, TAME_CLASS_NAME_SIZE);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ records */

static struct tame_head head_of(const struct learner_run *run)
{
    const struct tame_detector *d = tame_stream_detector(run->stream);
    struct tame_head h = {.origin = run->origin,
                          .batch = run->c.stream ? run->c.head.batch : run->c.batch,
                          .closed = run->c.head.closed || run->c.action == TAME_CLOSE,
                          .batches = d->batches,
                          .offered = tame_stream_totals(run->stream)->offered,
                          .held = d->n_held,
                          .active = TAME_NONE,
                          .n_experts = d->n_experts};
    memcpy(h.name, run->problem.name, strlen(run->problem.name));
    if (d->current != TAME_NONE)
        h.active = d->experts[d->current].id;
    for (uint32_t e = 0; e < d->n_experts; e++)
        h.experts[e] = d->experts[e].id;
    return h;
}

static enum status no_room(size_t size, struct fault *f)
{
    FAIL(f, STATUS_NO_MEMORY, "memory", "no room for a record of %zu bytes", size);
}

/* The stream's own bytes are made first, for its held batches decide which names stay. */
static enum status
export_stream(struct learner_run *run, struct learner_part *ret_part, struct fault *f)
{
    const struct tame_head h = head_of(run);
    const size_t inner = tame_stream_encode(run->stream, NULL, 0);
    const struct arena_mark mark = arena_mark(run->arena);
    void *scratch = arena_alloc(run->arena, inner, 1);
    if (!scratch)
        return no_room(inner, f);
    (void)tame_stream_encode(run->stream, scratch, inner);
    own_classes(run);
    if (run->problem.erasure && run->c.action != TAME_PUSH)
        TRY(forget_names(run, scratch, inner, f));
    arena_rewind(run->arena, mark);
    struct byte_writer count = byte_writer_make(NULL, 0);
    tame_head_write(&h, &run->roll, &count);
    const size_t size = count.used + inner;
    uint8_t *bytes = arena_alloc(run->arena, size, 1);
    if (!bytes)
        return no_room(size, f);
    struct byte_writer w = byte_writer_make(bytes, size);
    tame_head_write(&h, &run->roll, &w);
    (void)tame_stream_encode(run->stream, bytes + w.used, inner);
    *ret_part = (struct learner_part){
        .kind = TAME_STREAM_KIND, .name = run->problem.name, .bytes = bytes, .size = size};
    return STATUS_OK;
}

static const struct learner_part *old_part(const struct learner_run *run, const char *name)
{
    const struct learner_problem *p = &run->problem;
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (strcmp(p->parts[i].kind, TAME_EXPERT_KIND) == 0 && strcmp(p->parts[i].name, name) == 0)
            return &p->parts[i];
    return NULL;
}

/* "NAME.K" in memory that lives as long as the export. */
static const char *keep_name(struct learner_run *run, uint32_t id)
{
    char *name = arena_alloc(run->arena, LEARNER_NAME_SIZE, 1);
    if (name)
        tame_expert_name(run->problem.name, id, name);
    return name;
}

static enum status export_expert(struct learner_run *run,
                                 uint32_t e,
                                 struct learner_part *ret_part,
                                 int *ret_changed,
                                 struct fault *f)
{
    const struct arena_mark mark = arena_mark(run->arena);
    struct tame_expert_head h = {.id = tame_stream_detector(run->stream)->experts[e].id,
                                 .origin = run->origin,
                                 .options = run->c.options};
    memcpy(h.stream, run->problem.name, strlen(run->problem.name));
    mark_expert(run, e);
    struct byte_writer count = byte_writer_make(NULL, 0);
    tame_expert_head_write(&h, &run->roll, run->used, run->pushed, &count);
    const size_t inner = tame_stream_encode_expert(run->stream, e, NULL, 0);
    const size_t size = count.used + inner;
    const char *name = keep_name(run, h.id);
    uint8_t *bytes = arena_alloc(run->arena, size, 1);
    if (!name || !bytes)
        return no_room(size, f);
    struct byte_writer w = byte_writer_make(bytes, size);
    tame_expert_head_write(&h, &run->roll, run->used, run->pushed, &w);
    (void)tame_stream_encode_expert(run->stream, e, bytes + w.used, inner);
    const struct learner_part *old = old_part(run, name);
    *ret_changed = !old || old->size != size || memcmp(old->bytes, bytes, size) != 0;
    *ret_part =
        (struct learner_part){.kind = TAME_EXPERT_KIND, .name = name, .bytes = bytes, .size = size};
    if (!*ret_changed)
        arena_rewind(run->arena, mark);
    return STATUS_OK;
}

/* Experts that the run began with and that are no more: parts without bytes. */
static enum status
export_gone(struct learner_run *run, struct learner_part *parts, uint32_t *n, struct fault *f)
{
    for (uint32_t i = 0; i < run->c.n_experts; i++) {
        const uint32_t id = run->c.head.experts[i];
        if (tame_detector_find(tame_stream_detector(run->stream), id) != TAME_NONE)
            continue;
        const char *name = keep_name(run, id);
        if (!name)
            return no_room(LEARNER_NAME_SIZE, f);
        INVARIANT(*n < LEARNER_PARTS);
        parts[(*n)++] = (struct learner_part){.kind = TAME_EXPERT_KIND, .name = name};
    }
    return STATUS_OK;
}

static const char *text_of(enum tame_action action)
{
    switch (action) {
    case TAME_OPEN:
        return "stream opened";
    case TAME_PUSH:
        return "batches learned";
    case TAME_CLOSE:
        return "stream closed";
    case TAME_ERASE:
        return "erased, and trained again without";
    case TAME_REFIT:
        return "trained again on the model as it is";
    case TAME_IMPORT:
        return "an expert joined the stream";
    }
    return "";
}

enum status tame_learner_export(struct learner_run *run,
                                struct learner_part ret_parts[LEARNER_PARTS],
                                uint32_t *ret_n,
                                struct learner_outcome *ret_outcome,
                                struct fault *f)
{
    const uint32_t experts = tame_stream_detector(run->stream)->n_experts;
    uint32_t n = 1;
    TRY(export_stream(run, &ret_parts[0], f));
    for (uint32_t e = 0; e < experts; e++) {
        int changed;
        INVARIANT(n < LEARNER_PARTS);
        TRY(export_expert(run, e, &ret_parts[n], &changed, f));
        n += changed != 0;
    }
    TRY(export_gone(run, ret_parts, &n, f));
    *ret_n = n;
    *ret_outcome = (struct learner_outcome){.text = text_of(run->c.action), .target_met = -1};
    ret_outcome->events = tame_journal_read(run, &ret_outcome->n_events);
    return STATUS_OK;
}
