#include "learners/methods/tame/tame_model.h"

#include "daemon/base/invariant.h"
#include "learners/methods/tame/tame_learner_internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ reading */

static enum status survey(const struct learner_part *part,
                          struct tame_expert_head *h,
                          struct tame_survey *s,
                          struct fault *f)
{
    TRY(tame_expert_head_read(part->bytes, part->size, h, f));
    TRY(tame_survey_expert((const uint8_t *)part->bytes + h->inner, part->size - h->inner,
                           &h->options, s, f));
    if (s->id != h->id)
        FAIL(f, STATUS_BAD_FORMAT, "component", "the expert has two numbers");
    return STATUS_OK;
}

static uint64_t samples_of(const struct tame_survey *s)
{
    return s->n_samples + s->n_buffer + s->n_reserve + s->n_prune;
}

static size_t floats_of(const struct tame_survey *s)
{
    return tame_expert_floats(&s->shape, s->classes);
}

size_t tame_model_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    struct tame_expert_head h;
    struct tame_survey s;
    struct arena_plan p = {0};
    (void)trunk;
    arena_plan_add(&p, 1, sizeof(struct learner_model));
    if (survey(part, &h, &s, NULL) != STATUS_OK) /* import will say why */
        return arena_plan_bytes(&p);
    arena_plan_add(&p, floats_of(&s), sizeof(float));
    arena_plan_add(&p, s.classes, sizeof(char *));
    arena_plan_add(&p, h.n_names, sizeof(char *));
    arena_plan_add(&p, h.n_names, sizeof(uint32_t));
    arena_plan_add(&p, h.names_bytes, 1);
    arena_plan_add(&p, samples_of(&s), sizeof(uint64_t));
    arena_plan_add(&p, samples_of(&s), sizeof(uint32_t));
    arena_plan_add(&p, h.n_pushes, sizeof(struct tame_push_row));
    return arena_plan_bytes(&p);
}

static int take_memory(struct learner_model *m,
                       const struct tame_expert_head *h,
                       const struct tame_survey *s,
                       struct arena *arena,
                       char **ret_text)
{
    m->weights = arena_alloc(arena, floats_of(s), sizeof *m->weights);
    m->labels = arena_alloc(arena, s->classes, sizeof *m->labels);
    m->names = arena_alloc(arena, h->n_names, sizeof *m->names);
    m->numbers = arena_alloc(arena, h->n_names, sizeof *m->numbers);
    *ret_text = arena_alloc(arena, h->names_bytes, 1);
    m->ids = arena_alloc(arena, samples_of(s), sizeof *m->ids);
    m->sample_names = arena_alloc(arena, samples_of(s), sizeof *m->sample_names);
    m->pushes = arena_alloc(arena, h->n_pushes, sizeof *m->pushes);
    return m->weights && m->labels && m->names && m->numbers && *ret_text && m->ids &&
           m->sample_names && m->pushes;
}

static void read_names(struct learner_model *m,
                       const struct learner_part *part,
                       const struct tame_expert_head *h,
                       char *text)
{
    struct byte_reader r = byte_reader_make(part->bytes, part->size);
    char name[TAME_CLASS_NAME_SIZE];
    r.used = h->names;
    for (m->n_names = 0; m->n_names < h->n_names; m->n_names++) {
        m->numbers[m->n_names] = tame_expert_head_name(&r, name);
        m->names[m->n_names] = text;
        memcpy(text, name, strlen(name) + 1);
        text += strlen(name) + 1;
    }
    r.used = h->pushes;
    for (m->n_pushes = 0; m->n_pushes < h->n_pushes; m->n_pushes++)
        m->pushes[m->n_pushes] = tame_push_get(&r);
}

/* Index of a class number among the names, TAME_NONE. */
static uint32_t name_of(const struct learner_model *m, uint32_t number)
{
    uint32_t lo = 0, hi = m->n_names;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (m->numbers[mid] < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->n_names && m->numbers[lo] == number ? lo : TAME_NONE;
}

struct collector {
    struct learner_model *m;
    uint64_t at;
    int failed;
};

static void collect(void *context, const struct tame_met *met)
{
    struct collector *x = context;
    const uint32_t name = name_of(x->m, met->label);
    x->failed |= name == TAME_NONE;
    x->m->ids[x->at] = met->id;
    x->m->sample_names[x->at++] = name;
}

static enum status
read_samples(struct learner_model *m, const struct tame_survey *s, struct fault *f)
{
    struct collector x = {.m = m};
    tame_survey_samples(s, collect, &x);
    INVARIANT(x.at == samples_of(s));
    m->n_trained = s->n_samples;
    m->n_kept = s->n_buffer + s->n_reserve + s->n_prune;
    for (m->classes = 0; m->classes < s->classes; m->classes++) {
        const uint32_t name = name_of(m, tame_survey_label(s, m->classes));
        x.failed |= name == TAME_NONE;
        m->labels[m->classes] = x.failed ? NULL : m->names[name];
        for (uint32_t k = 0; k < m->classes; k++)
            x.failed |= m->labels[k] == m->labels[m->classes];
    }
    if (x.failed)
        FAIL(f, STATUS_BAD_FORMAT, "classes", "a class has no name, or the table has it twice");
    return STATUS_OK;
}

static enum status
read_weights(struct learner_model *m, const struct tame_survey *s, struct fault *f)
{
    const size_t n = floats_of(s);
    m->body = s->shape.body;
    m->steps = s->steps;
    for (size_t i = 0; i < n; i++) {
        m->weights[i] = tame_survey_weight(s, i);
        if (!isfinite(m->weights[i]))
            FAIL(f, STATUS_BAD_FORMAT, "weights", "a number is not finite");
    }
    return STATUS_OK;
}

/* Whether the expert fits the trunk: its origin, and sizes that follow from it. */
static enum status check_fit(const struct tame_expert_head *h,
                             const struct tame_survey *s,
                             const struct learner_trunk *t,
                             struct fault *f)
{
    struct tame_shape want;
    TRY(tame_origin_check(&h->origin, t, 1, f));
    tame_adapter_shape(&t->config, &h->options, &want);
    if (h->options.kind != TAME_KIND_ADAPTER || h->options.blocks > t->config.depth ||
        !(h->options.scale > 0) || s->shape.body != want.body ||
        s->shape.head_width != want.head_width || s->shape.vectors != want.vectors ||
        s->shape.input_bytes != want.input_bytes || !digest_equal(&s->trunk, &h->origin.state))
        FAIL(f, STATUS_BAD_FORMAT, "component", "its sizes are not those of its own settings");
    if (s->stale)
        FAIL(f, STATUS_FAILED_PRECONDITION, "component",
             "it lost data and was not trained again yet");
    return STATUS_OK;
}

static enum status read_model(struct learner_model *m,
                              const struct learner_part *part,
                              const struct learner_trunk *trunk,
                              struct arena *arena,
                              struct fault *f)
{
    struct tame_expert_head h;
    struct tame_survey s;
    char *text;
    TRY(survey(part, &h, &s, f));
    TRY(check_fit(&h, &s, trunk, f));
    if (!part->name || strlen(part->name) >= LEARNER_NAME_SIZE)
        FAIL(f, STATUS_INVALID_ARGUMENT, "name", "the component has none, or one too long");
    if (!take_memory(m, &h, &s, arena, &text))
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for expert '%.63s'", part->name);
    m->learner = &learner_tame;
    memcpy(m->name, part->name, strlen(part->name));
    memcpy(m->stream, h.stream, sizeof m->stream);
    m->origin = h.origin;
    m->options = h.options;
    read_names(m, part, &h, text);
    TRY(read_samples(m, &s, f));
    return read_weights(m, &s, f);
}

enum status tame_model_read(const struct learner_part *part,
                            const struct learner_trunk *trunk,
                            struct arena *arena,
                            struct learner_model **ret_model,
                            struct fault *f)
{
    const struct arena_mark mark = arena_mark(arena);
    struct learner_model *m = arena_alloc_zero(arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room for an expert");
    const enum status st = read_model(m, part, trunk, arena, f);
    if (st != STATUS_OK) {
        arena_rewind(arena, mark);
        return st;
    }
    *ret_model = m;
    return STATUS_OK;
}

uint32_t tame_model_labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->labels;
    return model->classes;
}

/* ------------------------------------------------------------------ lineage and erasure */

uint32_t
tame_model_lineage(const struct learner_model *model, struct learner_source *ret_list, uint32_t max)
{
    uint32_t n = 0;
    if (max > 0)
        ret_list[0] = (struct learner_source){
            .kind = "component", .name = "base", .digest = model->origin.base};
    n++;
    for (uint32_t i = 0; i < model->n_pushes; i++) {
        const struct tame_push_row *x = &model->pushes[i];
        struct learner_source row = {.kind = "request"};
        request_id_format(&x->request, row.name);
        if (n < max)
            ret_list[n] = row;
        n++;
        if (digest_is_zero(&x->memory))
            continue;
        memcpy(row.kind, "memory", sizeof "memory");
        row.digest = x->memory;
        if (n < max)
            ret_list[n] = row;
        n++;
    }
    return n;
}

static int names_class(const struct learner_erasure *e, const char *name)
{
    for (uint32_t i = 0; i < e->n_classes; i++)
        if (strcmp(e->classes[i], name) == 0)
            return 1;
    return 0;
}

/* Samples from .. until of the model that the erasure means. */
static uint64_t count_hits(const struct learner_model *m,
                           const struct learner_erasure *e,
                           uint64_t from,
                           uint64_t n)
{
    const struct tame_cut keys = {.ids = e->keys, .n_ids = e->n_keys};
    uint64_t hits = 0;
    for (uint64_t i = from; i < from + n; i++)
        hits += names_class(e, m->names[m->sample_names[i]]) ||
                tame_cut_hits(&keys, TAME_UNKNOWN, m->ids[i]);
    return hits;
}

/* Pushes whose data disappear altogether. */
static uint32_t count_pushes(const struct learner_model *m, const struct learner_erasure *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_pushes; i++) {
        int hit = 0;
        for (uint32_t k = 0; k < e->n_sources; k++)
            hit |= !digest_is_zero(&e->sources[k]) &&
                   digest_equal(&e->sources[k], &m->pushes[i].memory);
        n += hit != 0;
    }
    return n;
}

enum learner_fate tame_model_erase(const struct learner_model *model,
                                   const struct learner_erasure *erasure)
{
    if (erasure->component && strcmp(erasure->component, model->name) == 0)
        return LEARNER_DESTROY;
    const uint32_t pushes = count_pushes(model, erasure);
    const uint64_t trained = count_hits(model, erasure, 0, model->n_trained);
    if ((pushes > 0 && pushes == model->n_pushes) || (trained > 0 && trained == model->n_trained))
        return LEARNER_DESTROY;
    const uint64_t kept = count_hits(model, erasure, model->n_trained, model->n_kept);
    return pushes || trained || kept ? LEARNER_RETRAIN : LEARNER_UNAFFECTED;
}

/* ------------------------------------------------------------------ held batches */

/* Held samples that an erasure means, with the names of the stream's record. */
struct held_count {
    const struct learner_erasure *erasure;
    const void *record;
    size_t size;
    const struct tame_head *head;
    uint32_t n;
};

/* Name of class `number` in the record's table; false if it is not there. */
static int row_name(const struct held_count *x, uint32_t number, char name[TAME_CLASS_NAME_SIZE])
{
    struct byte_reader r = byte_reader_make(x->record, x->size);
    r.used = x->head->rows;
    for (uint32_t i = 0; i <= number && i < x->head->n_rows; i++) {
        get_string(&r, name, TAME_CLASS_NAME_SIZE);
        (void)get_u32(&r);
    }
    return number < x->head->n_rows;
}

static void count_held(void *context, const struct tame_met *met)
{
    struct held_count *x = context;
    const struct tame_cut keys = {.ids = x->erasure->keys, .n_ids = x->erasure->n_keys};
    char name[TAME_CLASS_NAME_SIZE];
    const int named =
        x->erasure->n_classes > 0 && row_name(x, met->label, name) && names_class(x->erasure, name);
    x->n += named || tame_cut_hits(&keys, TAME_UNKNOWN, met->id);
}

enum status tame_learner_held(const void *record,
                              size_t size,
                              const struct learner_erasure *erasure,
                              uint32_t *ret_samples,
                              struct fault *f)
{
    struct tame_head h;
    uint32_t batches;
    TRY(tame_head_read(record, size, &h, f));
    struct held_count x = {.erasure = erasure, .record = record, .size = size, .head = &h};
    TRY(tame_survey_held((const uint8_t *)record + h.inner, size - h.inner, count_held, &x,
                         &batches, f));
    *ret_samples = x.n;
    return STATUS_OK;
}
