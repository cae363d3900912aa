/*
 * Learners that learn nothing, for tests of what goes through struct learner: lanes, experts and
 * routers whose logits are a fixed function of the frozen stream and of the record's seed, with
 * labels as the record says.  Header only.
 */
#ifndef LETHE_TESTS_SUPPORT_FAKE_LEARNER_H
#define LETHE_TESTS_SUPPORT_FAKE_LEARNER_H

#include "learners/learner.h"

#include <stdio.h>
#include <string.h>

#define FAKE_MAGIC      0x454b4146u
#define FAKE_LABELS_MAX 12

/* A component's bytes. */
struct fake_record {
    uint32_t magic;
    uint32_t n_labels;
    uint64_t seed;
    float scale;     /* of its logits */
    float threshold; /* negative: one label an image */
    uint32_t watches;
    char labels[FAKE_LABELS_MAX][48];
};

struct learner_model {
    struct fake_record record;
    const char *labels[FAKE_LABELS_MAX];
    const struct learner_trunk *trunk;
};

struct learner_forward {
    uint32_t n_models;
    struct learner_model **models;
    uint32_t width, depth;
    int watches;
    float *seen; /* [n_max] what was watched of each image */
};

/* labels: names with a comma between them. */
__attribute__((unused)) static struct fake_record
fake_record(uint64_t seed, float threshold, const char *labels)
{
    struct fake_record r = {
        .magic = FAKE_MAGIC, .seed = seed, .scale = 1.0f, .threshold = threshold, .watches = 1};
    while (*labels) {
        const size_t n = strcspn(labels, ",");
        (void)snprintf(r.labels[r.n_labels++], sizeof r.labels[0], "%.*s", (int)n, labels);
        labels += n + (labels[n] == ',');
    }
    return r;
}

__attribute__((unused)) static struct learner_part
fake_part(const char *kind, const char *name, const struct fake_record *record)
{
    return (struct learner_part){
        .kind = kind, .name = name, .bytes = record, .size = sizeof *record};
}

static size_t fake_import_plan(const struct learner_part *part, const struct learner_trunk *trunk)
{
    (void)part, (void)trunk;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_model));
    return arena_plan_bytes(&p);
}

static enum status fake_import(const struct learner_part *part,
                               const struct learner_trunk *trunk,
                               struct arena *arena,
                               struct learner_model **ret_model,
                               struct fault *f)
{
    struct learner_model *m = arena_alloc(arena, 1, sizeof *m);
    if (!m)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room");
    if (part->size != sizeof m->record)
        FAIL(f, STATUS_BAD_FORMAT, "record", "no record of a fake");
    memcpy(&m->record, part->bytes, sizeof m->record);
    if (m->record.magic != FAKE_MAGIC)
        FAIL(f, STATUS_BAD_FORMAT, "record", "no record of a fake");
    m->trunk = trunk;
    for (uint32_t k = 0; k < m->record.n_labels; k++)
        m->labels[k] = m->record.labels[k];
    *ret_model = m;
    return STATUS_OK;
}

static size_t fake_forward_plan(struct learner_model *const *models,
                                uint32_t n_models,
                                const struct learner_trunk *trunk,
                                uint32_t n_max,
                                uint32_t threads)
{
    (void)models, (void)trunk, (void)threads;
    struct arena_plan p = {0};
    arena_plan_add(&p, 1, sizeof(struct learner_forward));
    arena_plan_add(&p, n_models, sizeof(struct learner_model *));
    arena_plan_add(&p, n_max, sizeof(float));
    return arena_plan_bytes(&p);
}

static enum status fake_forward_new(struct learner_model *const *models,
                                    uint32_t n_models,
                                    const struct learner_trunk *trunk,
                                    uint32_t n_max,
                                    const struct learner_tools *tools,
                                    struct learner_forward **ret_forward,
                                    struct fault *f)
{
    struct learner_forward *w = arena_alloc_zero(tools->arena, 1, sizeof *w);
    struct learner_model **list = arena_alloc(tools->arena, n_models, sizeof *list);
    float *seen = arena_alloc_zero(tools->arena, n_max, sizeof *seen);
    if (!w || !list || !seen)
        FAIL(f, STATUS_NO_MEMORY, "memory", "no room");
    *w = (struct learner_forward){.n_models = n_models,
                                  .models = list,
                                  .width = trunk->config.width,
                                  .depth = trunk->config.depth,
                                  .seen = seen};
    for (uint32_t m = 0; m < n_models; m++) {
        list[m] = models[m];
        w->watches |= models[m]->record.watches != 0;
    }
    *ret_forward = w;
    return STATUS_OK;
}

static void fake_see(void *context, const struct vit_observed *o)
{
    struct learner_forward *w = context;
    if (o->block == 0)
        w->seen[o->image] = 0.0f;
    for (uint32_t j = 0; j < w->width; j++)
        w->seen[o->image] += o->xh[j] * o->v[j];
}

static struct learner_watch fake_watch(struct learner_forward *w)
{
    return (struct learner_watch){w->watches ? fake_see : NULL, w};
}

/* A number in [-1, 1] for every (seed, label, feature). */
static float fake_weight(uint64_t seed, uint32_t label, uint32_t j)
{
    const uint64_t x = (seed * 2654435761u + label * 40503u + j * 2246822519u) >> 3;
    return (float)(x % 2001) / 1000.0f - 1.0f;
}

static void
fake_forward(struct learner_forward *w, const struct learner_stream *stream, float *const *logits)
{
    for (uint32_t m = 0; m < w->n_models; m++) {
        const struct fake_record *r = &w->models[m]->record;
        for (uint32_t i = 0; i < stream->n; i++) {
            const float *e = stream->embeddings + (size_t)i * w->width;
            const float *tap = stream->taps + (size_t)i * w->depth * 2 * w->width;
            for (uint32_t k = 0; k < r->n_labels; k++) {
                float z = r->watches ? 0.1f * w->seen[i] * fake_weight(r->seed, k, 999) : 0.0f;
                for (uint32_t j = 0; j < w->width; j++)
                    z += fake_weight(r->seed, k, j) * (e[j] + tap[w->width + j]);
                logits[m][(size_t)i * r->n_labels + k] = r->scale * z;
            }
        }
    }
}

static uint32_t fake_labels(const struct learner_model *model, const char *const **ret_names)
{
    *ret_names = model->labels;
    return model->record.n_labels;
}

static float fake_threshold(const struct learner_model *model, uint32_t label)
{
    (void)label;
    return model->record.threshold;
}

/* Routers join: the labels of all, the seed of the sum of theirs. */
__attribute__((unused)) static size_t fake_join_plan(const struct learner_part *parts,
                                                     uint32_t n_parts,
                                                     const struct learner_trunk *trunk,
                                                     uint32_t threads,
                                                     size_t *ret_scratch)
{
    (void)n_parts, (void)threads;
    *ret_scratch = fake_import_plan(parts, trunk);
    return fake_import_plan(parts, trunk);
}

__attribute__((unused)) static enum status fake_join(const struct learner_part *parts,
                                                     uint32_t n_parts,
                                                     const struct learner_trunk *trunk,
                                                     const struct learner_tools *tools,
                                                     struct arena *scratch,
                                                     struct learner_model **ret_model,
                                                     struct fault *f)
{
    struct learner_model *all = NULL;
    for (uint32_t i = 0; i < n_parts; i++) {
        struct learner_model *m;
        if (strcmp(parts[i].kind, "router") != 0)
            continue;
        if (!all) {
            TRY(fake_import(&parts[i], trunk, tools->arena, &all, f));
            continue;
        }
        const struct arena_mark start = arena_mark(scratch);
        TRY(fake_import(&parts[i], trunk, scratch, &m, f));
        all->record.seed += m->record.seed;
        for (uint32_t k = 0; k < m->record.n_labels; k++) {
            const uint32_t to = all->record.n_labels++;
            memcpy(all->record.labels[to], m->labels[k], sizeof all->record.labels[0]);
            all->labels[to] = all->record.labels[to];
        }
        arena_rewind(scratch, start);
    }
    *ret_model = all;
    return STATUS_OK;
}

#define FAKE_TABLE(what)                                                                           \
    {                                                                                              \
        .name = "fake_" what, .kind = what, .text = "a fake for tests",                            \
        .import_plan = fake_import_plan, .import = fake_import, .forward_plan = fake_forward_plan, \
        .forward_new = fake_forward_new, .watch = fake_watch, .forward = fake_forward,             \
        .labels = fake_labels, .threshold = fake_threshold                                         \
    }

static const struct learner fake_learners[] = {FAKE_TABLE("lane"), FAKE_TABLE("expert"),
                                               FAKE_TABLE("router")};

__attribute__((unused)) static const struct learner *fake_lookup(const char *kind)
{
    for (size_t i = 0; i < sizeof fake_learners / sizeof *fake_learners; i++)
        if (strcmp(fake_learners[i].kind, kind) == 0)
            return &fake_learners[i];
    return NULL;
}

/* The same, but a router's parts answer together only. */
__attribute__((unused)) static const struct learner *fake_lookup_joining(const char *kind)
{
    static const struct learner joining = {.name = "fake_joining",
                                           .kind = "router",
                                           .text = "a fake for tests",
                                           .import_plan = fake_import_plan,
                                           .import = fake_import,
                                           .join_plan = fake_join_plan,
                                           .join = fake_join,
                                           .forward_plan = fake_forward_plan,
                                           .forward_new = fake_forward_new,
                                           .watch = fake_watch,
                                           .forward = fake_forward,
                                           .labels = fake_labels};
    return strcmp(kind, "router") == 0 ? &joining : fake_lookup(kind);
}

#endif
