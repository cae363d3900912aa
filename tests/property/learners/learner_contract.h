/*
 * What learners/learner.h promises, as checks of one learner on one small problem: the plan is
 * enough and less is refused cleanly, the same bytes for any number of threads, the component reads
 * back, damaged or foreign components are refused, answers do not depend on the batch, lineage is
 * complete.  test_learner_contract.c runs them on every learner of learners.def.
 */
#ifndef LETHE_TESTS_LEARNER_CONTRACT_H
#define LETHE_TESTS_LEARNER_CONTRACT_H

#include "tests/support/test.h"

#include "learners/learner.h"
#include "tests/property/learners/gslora_fixture.h"

/* Blocks of the trunk: the defaults of every learner fit. */
#define LEARNER_CONTRACT_DEPTH 6

static const char *const learner_contract_names[GSLORA_FIXTURE_CLASSES] = {"a", "b", "c", "d", "e"};

/* Keyed hashes of the fixture's images, as a daemon would give them. */
static inline const uint64_t *learner_contract_keys(void)
{
    static uint64_t keys[GSLORA_FIXTURE_IMAGES];
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 31}, "keys", 0);
    for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++)
        keys[i] = rng_u64(&r);
    return keys;
}

/* The fixture's world as a learner sees it: class 1 is to be forgotten, the others are kept. */
static inline struct learner_problem learner_contract_problem_of(struct gslora_fixture *x)
{
    const struct gslora_problem *g = &x->problem;
    struct learner_problem p = {.trunk = {.config = g->config,
                                          .weights = g->weights,
                                          .labels = learner_contract_names,
                                          .base = {.b = {1}},
                                          .state = {.b = {2}},
                                          .preprocessing = {.b = {3}}},
                                .request = {.b = {7}},
                                .seed = 5,
                                .name = "thing",
                                .images = g->images,
                                .keys = learner_contract_keys(),
                                .n_classes = GSLORA_FIXTURE_CLASSES,
                                .classes = learner_contract_names,
                                .prototypes = g->prototypes,
                                .prototype_counts = g->prototype_counts,
                                .memory = {.b = {4}}};
    p.lists[LEARNER_TRAIN] = (struct learner_rows){g->retain.train, g->retain.n_train};
    p.lists[LEARNER_VALID] = (struct learner_rows){g->retain.valid, g->retain.n_valid};
    p.lists[LEARNER_FORGET] = (struct learner_rows){g->forget.train, g->forget.n_train};
    p.lists[LEARNER_FORGET_VALID] = (struct learner_rows){g->forget.valid, g->forget.n_valid};
    return p;
}

/*
 * The same for one learner: who erases keeps some classes and loses another; who learns is taught
 * all of them.  The fixture draws its lists for the former, so the latter's are made of both.
 */
static inline struct learner_problem learner_contract_problem_for(const struct learner *l,
                                                                  struct gslora_fixture *x)
{
    struct learner_problem p = learner_contract_problem_of(x);
    const int erases = strcmp(l->kind, "erasure") == 0;
    for (int i = 0; i < 2 && !erases; i++) {
        const int keep = i ? LEARNER_VALID : LEARNER_TRAIN;
        const int lose = i ? LEARNER_FORGET_VALID : LEARNER_FORGET;
        uint32_t *rows = x->lists[2 + i];
        memcpy(rows + p.lists[keep].n, p.lists[lose].rows, p.lists[lose].n * sizeof *rows);
        p.lists[keep].n += p.lists[lose].n;
        p.lists[lose] = (struct learner_rows){NULL, 0};
    }
    return p;
}

/*
 * A finished run: in memory of its own the component that answers, which is the first of the
 * learner's kind.  A stream comes before its experts, others make one component.
 */
struct learner_made {
    uint8_t *bytes;
    size_t size;
    struct learner_outcome outcome;
    uint32_t steps;
};

static inline struct learner_made learner_contract_make(const struct learner *l, uint32_t threads)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, threads);
    gslora_fixture_prototypes(&x);
    const struct learner_problem p = learner_contract_problem_for(l, &x);
    struct learner_made m = {0};
    struct fault f = {0};
    const size_t size = l->plan(&p, threads);
    assert_true(size < SIZE_MAX);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x.pool, .arena = &arena};
    struct learner_run *run;
    struct learner_progress progress = {0};
    if (l->init(&p, &tools, &run, &f) != STATUS_OK)
        fail_msg("%s: %s: %s", l->name, f.field, f.text);
    while (!progress.done) {
        assert_int_equal(l->step(run, &progress, &f), STATUS_OK);
        m.steps++;
        assert_true(m.steps < 100000);
    }
    struct learner_part parts[LEARNER_PARTS];
    uint32_t n, at = 0;
    assert_int_equal(l->export(run, parts, &n, &m.outcome, &f), STATUS_OK);
    assert_string_equal(parts[0].name, "thing");
    assert_non_null(m.outcome.text);
    while (at < n && strcmp(parts[at].kind, l->kind) != 0)
        at++;
    assert_true(at < n);
    assert_true(strncmp(parts[at].name, "thing", 5) == 0);
    m.size = parts[at].size;
    m.bytes = vit_fixture_alloc(m.size, 1);
    memcpy(m.bytes, parts[at].bytes, m.size);
    arena_fini(&arena);
    free(memory);
    gslora_fixture_fini(&x);
    return m;
}

static inline void learner_contract_threads(const struct learner *l)
{
    struct learner_made one = learner_contract_make(l, 1), two = learner_contract_make(l, 2);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.bytes, two.bytes, one.size);
    assert_int_equal(one.steps, two.steps);
    free(one.bytes);
    free(two.bytes);
}

static inline void learner_contract_memory(const struct learner *l)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    gslora_fixture_prototypes(&x);
    const struct learner_problem p = learner_contract_problem_for(l, &x);
    const size_t size = l->plan(&p, 1);
    void *memory = vit_fixture_alloc(size, 1);
    for (size_t part = 1; part < 8; part++) {
        struct arena arena;
        struct learner_run *run;
        struct fault f = {0};
        arena_init(&arena, memory, size / 16 * part);
        const size_t used = arena_mark(&arena).used;
        const struct learner_tools tools = {.pool = x.pool, .arena = &arena};
        const enum status st = l->init(&p, &tools, &run, &f);
        if (st != STATUS_OK) {
            assert_int_equal(st, STATUS_NO_MEMORY);
            assert_int_equal(arena_mark(&arena).used, used);
        }
        arena_fini(&arena);
    }
    free(memory);
    gslora_fixture_fini(&x);
}

static inline void learner_contract_option(const struct learner *l)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    struct learner_problem p = learner_contract_problem_for(l, &x);
    const struct learner_option option = {"no_such_option", "1"};
    p.options = &option;
    p.n_options = 1;
    struct learner_run *run;
    struct fault f = {0};
    const struct learner_tools tools = {.pool = x.pool, .arena = &x.arena};
    assert_int_equal(l->plan(&p, 1), SIZE_MAX);
    assert_int_equal(l->init(&p, &tools, &run, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "no_such_option");
    gslora_fixture_fini(&x);
}

/* ------------------------------------------------------------------ stored components */

static inline enum status learner_contract_read_back(const struct learner *l,
                                                     const struct learner_trunk *trunk,
                                                     const void *bytes,
                                                     size_t size,
                                                     struct arena *arena,
                                                     struct learner_model **ret_model)
{
    struct fault f = {0};
    const struct learner_part part = {
        .kind = l->kind, .name = "thing", .bytes = bytes, .size = size};
    return l->import(&part, trunk, arena, ret_model, &f);
}

/* Memory of a joined model; empty for kinds whose components answer for themselves. */
struct learner_joined {
    void *memory;
    struct arena arena;
};

static inline void learner_contract_unjoin(struct learner_joined *j)
{
    if (j->memory)
        arena_fini(&j->arena);
    free(j->memory);
}

/* The model that answers: the component itself, or what the kind joins its components to. */
static inline struct learner_model *learner_contract_answering(const struct learner *l,
                                                               struct gslora_fixture *x,
                                                               const struct learner_trunk *trunk,
                                                               const struct learner_made *m,
                                                               struct learner_joined *j)
{
    const struct learner_part part = {
        .kind = l->kind, .name = "thing", .bytes = m->bytes, .size = m->size};
    struct learner_model *model;
    struct fault f = {0};
    size_t scratch_size = 0;
    j->memory = NULL;
    if (!l->join) {
        assert_int_equal(l->import(&part, trunk, &x->arena, &model, &f), STATUS_OK);
        return model;
    }
    const size_t size = l->join_plan(&part, 1, trunk, 2, &scratch_size);
    assert_true(size < SIZE_MAX && scratch_size < SIZE_MAX - size - 128);
    unsigned char *memory = vit_fixture_alloc(size + scratch_size + 128, 1);
    struct arena scratch;
    j->memory = memory;
    arena_init(&j->arena, memory, size);
    arena_init(&scratch, memory + (size + 63) / 64 * 64, scratch_size);
    const struct learner_tools tools = {.pool = x->pool, .arena = &j->arena};
    if (l->join(&part, 1, trunk, &tools, &scratch, &model, &f) != STATUS_OK)
        fail_msg("%s: %s: %s", l->name, f.field, f.text);
    arena_fini(&scratch);
    return model;
}

static inline void learner_contract_components(const struct learner *l)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 1);
    const struct learner_problem p = learner_contract_problem_for(l, &x);
    struct learner_made m = learner_contract_make(l, 1);
    struct learner_model *model;
    const struct arena_mark mark = arena_mark(&x.arena);
    for (size_t cut = 0; cut < m.size; cut += m.size / 40 + 1) {
        assert_int_not_equal(
            learner_contract_read_back(l, &p.trunk, m.bytes, cut, &x.arena, &model), STATUS_OK);
        assert_int_equal(arena_mark(&x.arena).used, mark.used);
    }
    m.bytes[0] ^= 1;
    assert_int_not_equal(learner_contract_read_back(l, &p.trunk, m.bytes, m.size, &x.arena, &model),
                         STATUS_OK);
    m.bytes[0] ^= 1;
    struct learner_trunk other = p.trunk;
    other.base.b[0] ^= 2; /* no digest is all zeros */
    assert_int_equal(learner_contract_read_back(l, &other, m.bytes, m.size, &x.arena, &model),
                     STATUS_FAILED_PRECONDITION);
    assert_int_equal(learner_contract_read_back(l, &p.trunk, m.bytes, m.size, &x.arena, &model),
                     STATUS_OK);
    struct learner_source sources[16];
    const uint32_t n = l->lineage(model, sources, 16);
    assert_true(n >= 1 && n <= 16);
    assert_int_equal(l->lineage(model, NULL, 0), n);
    const struct learner_erasure nothing = {0};
    assert_int_equal(l->erase(model, &nothing), LEARNER_UNAFFECTED);
    free(m.bytes);
    gslora_fixture_fini(&x);
}

/* ------------------------------------------------------------------ answers */

enum { ANSWER_IMAGES = 12, ANSWER_ROOM = 64 };

/* Logits [n, labels] of images first .. first + n - 1, in one batch. */
static inline void learner_contract_answer(const struct learner *l,
                                           struct gslora_fixture *x,
                                           const struct learner_trunk *trunk,
                                           struct learner_model *model,
                                           uint32_t first,
                                           uint32_t n,
                                           float *logits)
{
    const struct vit_config *c = &trunk->config;
    const struct arena_mark mark = arena_mark(&x->arena);
    const struct learner_tools tools = {.pool = x->pool, .arena = &x->arena};
    struct learner_forward *forward;
    struct vit_batch *batch;
    struct fault f = {0};
    const size_t pixels = images_floats(&x->problem.images);
    float *memory = vit_fixture_alloc(n * pixels, sizeof(float));
    float *base = vit_fixture_alloc((size_t)n * c->classes, sizeof(float));
    float *embeddings = vit_fixture_alloc((size_t)n * c->width, sizeof(float));
    float *taps = vit_fixture_alloc((size_t)n * c->depth * 2 * c->width, sizeof(float));
    const float *images[ANSWER_IMAGES];
    for (uint32_t i = 0; i < n; i++) {
        images_load(&x->problem.images, first + i, memory + i * pixels);
        images[i] = memory + i * pixels;
    }
    assert_int_equal(l->forward_new(&model, 1, trunk, n, &tools, &forward, &f), STATUS_OK);
    assert_int_equal(vit_batch_new(c, VIT_INFER, n, x->pool, &x->arena, &batch), STATUS_OK);
    const struct vit_input in = {.n = n, .images = images};
    const struct vit_output out = {.logits = base,
                                   .embeddings = embeddings,
                                   .taps = taps,
                                   .observer = l->watch(forward).observer,
                                   .observer_context = l->watch(forward).context};
    vit_forward(batch, trunk->weights, &in, &out);
    const struct learner_stream stream = {n, images, embeddings, taps, base};
    l->forward(forward, &stream, &logits);
    arena_rewind(&x->arena, mark);
    free(memory);
    free(base);
    free(embeddings);
    free(taps);
}

static inline void learner_contract_batch(const struct learner *l)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, 2);
    const struct learner_problem p = learner_contract_problem_for(l, &x);
    struct learner_made m = learner_contract_make(l, 1);
    struct learner_joined joined;
    struct learner_model *model = learner_contract_answering(l, &x, &p.trunk, &m, &joined);
    const char *const *labels;
    const uint32_t n_labels = l->labels(model, &labels);
    assert_true(n_labels >= 1 && n_labels <= ANSWER_ROOM);
    float together[ANSWER_IMAGES * ANSWER_ROOM], alone[ANSWER_ROOM];
    learner_contract_answer(l, &x, &p.trunk, model, 0, ANSWER_IMAGES, together);
    for (uint32_t j = 0; j < ANSWER_IMAGES; j++) {
        learner_contract_answer(l, &x, &p.trunk, model, j, 1, alone);
        assert_memory_equal(alone, together + j * n_labels, n_labels * sizeof *alone);
    }
    learner_contract_unjoin(&joined);
    free(m.bytes);
    gslora_fixture_fini(&x);
}

#endif
