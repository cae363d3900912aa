/*
 * An expert that was exported from another stream joins this one.  Its classes get the next numbers
 * in their old order, which keeps every list of its record sorted; its ledger then names the
 * request that brought it.  Window and threshold come with it: they were measured on this very
 * trunk.
 */
#include "learners/methods/tame/tame_learner_internal.h"

#include <string.h>

/* ------------------------------------------------------------------ does it fit */

struct candidate {
    struct tame_head stream;
    struct tame_options options;
    struct tame_expert_head expert;
    struct tame_survey survey;
};

static enum status read_both(const void *stream,
                             size_t stream_size,
                             const void *expert,
                             size_t expert_size,
                             struct candidate *x,
                             struct fault *f)
{
    TRY(tame_head_read(stream, stream_size, &x->stream, f));
    TRY(tame_stream_peek((const uint8_t *)stream + x->stream.inner, stream_size - x->stream.inner,
                         &x->options, f));
    TRY(tame_expert_head_read(expert, expert_size, &x->expert, f));
    return tame_survey_expert((const uint8_t *)expert + x->expert.inner,
                              expert_size - x->expert.inner, &x->expert.options, &x->survey, f);
}

static enum status check_state(const struct candidate *x, struct fault *f)
{
    const struct tame_origin *a = &x->stream.origin, *b = &x->expert.origin;
    if (x->stream.closed)
        FAIL(f, STATUS_FAILED_PRECONDITION, "stream", "'%.52s' is closed", x->stream.name);
    if (!digest_equal(&a->base, &b->base) || !digest_equal(&a->state, &b->state) ||
        !digest_equal(&a->preprocessing, &b->preprocessing) ||
        !digest_equal(&b->state, &x->survey.trunk))
        FAIL(f, STATUS_FAILED_PRECONDITION, "trunk",
             "the expert and stream '%.52s' were made on different models", x->stream.name);
    const char *setting = tame_options_difference(&x->options, &x->expert.options);
    if (setting)
        FAIL(f, STATUS_FAILED_PRECONDITION, "options",
             "the expert's stream has another %s than '%.52s'", setting, x->stream.name);
    if (x->survey.stale)
        FAIL(f, STATUS_FAILED_PRECONDITION, "expert", "it lost data and was not trained again yet");
    return STATUS_OK;
}

static enum status check_room(
    const struct candidate *x, const void *inner, size_t size, uint32_t *ret_id, struct fault *f)
{
    if (x->stream.n_experts >= x->options.experts_max)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts_max", "stream '%.52s' has its %u experts",
             x->stream.name, x->options.experts_max);
    if (x->expert.n_names > TAME_ROLL_MAX - x->stream.n_rows)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "classes", "a stream sees at most %d classes",
             TAME_ROLL_MAX);
    TRY(tame_survey_next(inner, size, ret_id, f));
    if (*ret_id == TAME_NONE)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "experts", "no expert number is left");
    return STATUS_OK;
}

/* Whether the stream has a class of this name, learned or waiting in held batches. */
static int stream_has(const struct candidate *x, const void *stream, size_t size, const char *name)
{
    struct byte_reader r = byte_reader_make(stream, size);
    char known[TAME_CLASS_NAME_SIZE];
    r.used = x->stream.rows;
    for (uint32_t i = 0; i < x->stream.n_rows; i++) {
        get_string(&r, known, sizeof known);
        (void)get_u32(&r);
        if (strcmp(known, name) == 0)
            return 1;
    }
    return 0;
}

static enum status check_classes(const struct candidate *x,
                                 const void *stream,
                                 size_t stream_size,
                                 const void *expert,
                                 size_t expert_size,
                                 struct fault *f)
{
    struct byte_reader r = byte_reader_make(expert, expert_size);
    r.used = x->expert.names;
    for (uint32_t i = 0; i < x->expert.n_names; i++) {
        char name[TAME_CLASS_NAME_SIZE];
        (void)tame_expert_head_name(&r, name);
        if (strlen(name) >= LEARNER_NAME_SIZE)
            FAIL(f, STATUS_INVALID_ARGUMENT, "labels", "a class's name is longer than %d bytes",
                 LEARNER_NAME_SIZE - 1);
        if (stream_has(x, stream, stream_size, name))
            FAIL(f, STATUS_ALREADY_EXISTS, "labels", "stream '%.52s' has a class '%s' already",
                 x->stream.name, name);
    }
    return STATUS_OK;
}

enum status tame_learner_joins(const void *stream,
                               size_t stream_size,
                               const void *expert,
                               size_t expert_size,
                               char ret_expert[LEARNER_NAME_SIZE],
                               struct fault *f)
{
    struct candidate x;
    uint32_t id;
    TRY(read_both(stream, stream_size, expert, expert_size, &x, f));
    TRY(check_state(&x, f));
    TRY(check_room(&x, (const uint8_t *)stream + x.stream.inner, stream_size - x.stream.inner, &id,
                   f));
    TRY(check_classes(&x, stream, stream_size, expert, expert_size, f));
    tame_expert_name(x.stream.name, id, ret_expert);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ it joins */

/* Old class numbers, ascending; the new ones follow each other from `first` on. */
struct numbers {
    uint32_t *old;
    uint32_t n, first;
};

static uint32_t place_of(const struct numbers *x, uint32_t old)
{
    uint32_t lo = 0, hi = x->n;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (x->old[mid] < old)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < x->n && x->old[lo] == old ? lo : TAME_NONE;
}

static uint32_t new_number(void *context, uint32_t old)
{
    const struct numbers *x = context;
    return x->first + place_of(x, old);
}

struct sample_check {
    const struct numbers *numbers;
    struct tame_cut forgotten;
    uint64_t nameless, hits;
};

static void check_sample(void *context, const struct tame_met *met)
{
    struct sample_check *x = context;
    x->nameless += place_of(x->numbers, met->label) == TAME_NONE;
    x->hits += tame_cut_hits(&x->forgotten, TAME_UNKNOWN, met->id) != 0;
}

/* Every number has a name, and nothing that was forgotten here comes back. */
static enum status check_samples(const struct learner_problem *p,
                                 const struct tame_survey *s,
                                 const struct numbers *numbers,
                                 struct fault *f)
{
    const struct learner_erasure *e = p->erasure;
    struct sample_check x = {.numbers = numbers};
    x.forgotten.ids = e ? e->keys : NULL;
    x.forgotten.n_ids = e ? e->n_keys : 0;
    tame_survey_samples(s, check_sample, &x);
    for (uint32_t i = 0; i < s->classes; i++)
        x.nameless += place_of(numbers, tame_survey_label(s, i)) == TAME_NONE;
    if (x.nameless > 0)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "a class of the expert has no name");
    if (x.hits > 0)
        FAIL(f, STATUS_FAILED_PRECONDITION, "samples",
             "the expert has %llu samples that were forgotten here", (unsigned long long)x.hits);
    return STATUS_OK;
}

static enum status name_classes(struct learner_run *run,
                                const struct tame_case_expert *x,
                                struct numbers *numbers,
                                struct fault *f)
{
    struct byte_reader r = byte_reader_make(x->part->bytes, x->part->size);
    r.used = x->head.names;
    numbers->first = run->roll.n;
    for (; numbers->n < x->head.n_names; numbers->n++) {
        char name[TAME_CLASS_NAME_SIZE];
        numbers->old[numbers->n] = tame_expert_head_name(&r, name);
        if (tame_roll_add(&run->roll, name) != numbers->first + numbers->n)
            FAIL(f, STATUS_BAD_FORMAT, "classes", "the expert has a class twice");
    }
    return STATUS_OK;
}

enum status tame_import_step(struct learner_run *run, struct fault *f)
{
    const struct learner_problem *p = &run->problem;
    struct tame_case_expert x;
    struct numbers numbers = {0};
    uint32_t id;
    TRY(tame_case_incoming(&run->c, &x, f));
    numbers.old = arena_alloc(run->arena, x.head.n_names, sizeof *numbers.old);
    uint8_t *record = arena_alloc(run->arena, x.survey.size, 1);
    if (!numbers.old || !record)
        FAIL(f, STATUS_NO_MEMORY, "memory", "the memory given is smaller than planned");
    TRY(name_classes(run, &x, &numbers, f));
    TRY(check_samples(p, &x.survey, &numbers, f));
    tame_roll_push(&run->roll, &(struct tame_push_row){p->request, p->memory});
    const struct tame_rewrite rewrite = {new_number, &numbers, p->request};
    tame_survey_rewrite(&x.survey, &rewrite, record);
    TRY(tame_stream_import(run->stream, record, x.survey.size, &id, f));
    run->step++;
    return tame_learner_settle(run, f);
}
