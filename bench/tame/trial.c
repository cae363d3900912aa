#include "bench/tame/trial.h"

#include "daemon/base/clock.h"
#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"
#include "daemon/base/sysio.h"
#include "learners/methods/tame/tame_conv_net.h"

#include <string.h>

#define STAGES  2
#define SPARE   ((size_t)1 << 20)
#define REPEATS 5 /* batches of a speed measurement */
#define NOBODY  UINT32_MAX

/* A batch of the detector's ring, copied. */
struct slot {
    uint32_t n;
    uint8_t *pixels; /* [TRIAL_BATCH, picture] */
    uint32_t labels[TRIAL_BATCH];
};

struct trial {
    struct trial_config config;
    size_t picture; /* bytes */
    void *pool_memory, *memory;
    struct pool *pool;
    struct arena arena;
    struct tame_conv_net *net;
    struct tame_shape shape;
    struct tame_detector detector;
    uint32_t experts;
    /* dense experts train in place: weights, then momentum */
    float *weights[STAGES][TRIAL_EXPERTS], *momentum[TRIAL_EXPERTS];
    float *selector[STAGES];
    struct tame_buffer buffer, prune_buffers[TRIAL_EXPERTS];
    void *prune_memory[TRIAL_EXPERTS];
    uint8_t *seen; /* one bit a sample number */
    struct slot *slots;
    /* what the net holds: a slot, and the forward pass of an expert on it */
    uint32_t loaded, forwarded;
    double loss;
    float *logits, *dlogits, *losses; /* [TRIAL_BATCH, TRIAL_EXPERTS] */
};

/* ------------------------------------------------------------------ life */

static struct tame_options options_of(const struct trial_config *c)
{
    struct tame_options o;
    tame_options_parity(&o);
    o.kind = TAME_KIND_CONV;
    o.window = c->window;
    o.experts_max = TRIAL_EXPERTS;
    o.outputs = c->classes;
    o.batch_max = TRIAL_BATCH;
    tame_options_resolve(&o);
    return o;
}

static struct tame_conv_net_config net_config(const struct trial_config *c)
{
    const uint32_t most = c->classes > TRIAL_EXPERTS ? c->classes : TRIAL_EXPERTS;
    struct tame_conv_net_config n = tame_conv_net_parity(most);
    n.image_size = c->side;
    n.batch_max = TRIAL_BATCH;
    return n;
}

static struct tame_buffer_shape buffer_shape(const struct trial_config *c)
{
    return (struct tame_buffer_shape){.capacity = TRIAL_BUFFER,
                                      .groups_max = TRIAL_EXPERTS * c->classes};
}

static struct tame_buffer_shape prune_shape(void)
{
    return (struct tame_buffer_shape){
        .capacity = TRIAL_PRUNE_BUFFER, .groups_max = 1, .per_expert = TRIAL_PRUNE_BUFFER};
}

/* What is there from the start; experts and their buffers come with the stream. */
static size_t plan(const struct trial_config *c, const struct tame_options *o)
{
    struct arena_plan p = {0};
    const struct tame_conv_net_config n = net_config(c);
    const struct tame_buffer_shape shape = buffer_shape(c);
    tame_detector_plan(o, &p);
    tame_buffer_plan(&shape, &p);
    arena_plan_add(&p, 1, tame_conv_net_plan(&n));
    return arena_plan_bytes(&p) + SPARE;
}

static int take_slots(struct trial *t)
{
    const uint32_t n = tame_detector_slots(&t->detector.options);
    uint8_t *pixels = sysio_alloc((size_t)n * TRIAL_BATCH, t->picture);
    t->slots = sysio_alloc(n, sizeof *t->slots);
    if (!pixels || !t->slots) {
        sysio_free(pixels);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++)
        t->slots[i].pixels = pixels + (size_t)i * TRIAL_BATCH * t->picture;
    return 1;
}

static enum status fill(struct trial *t, struct fault *f)
{
    const struct trial_config *c = &t->config;
    const struct tame_options o = options_of(c);
    const struct tame_conv_net_config n = net_config(c);
    const struct tame_buffer_shape shape = buffer_shape(c);
    const size_t bytes = plan(c, &o), numbers = (size_t)TRIAL_BATCH * TRIAL_EXPERTS;
    TRY(tame_options_check(&o, f));
    t->pool_memory = sysio_alloc(pool_plan(c->threads), 1);
    t->memory = sysio_alloc(bytes, 1);
    t->seen = sysio_alloc((size_t)(c->numbers / 8 + 1), 1);
    t->logits = sysio_alloc(numbers, sizeof(float));
    t->dlogits = sysio_alloc(numbers, sizeof(float));
    t->losses = sysio_alloc(TRIAL_BATCH, sizeof(float));
    if (!t->pool_memory || !t->memory || !t->seen || !t->logits || !t->dlogits || !t->losses)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a trial takes %zu bytes", bytes);
    arena_init(&t->arena, t->memory, bytes);
    TRY(pool_init(t->pool_memory, c->threads, &t->pool));
    TRY(tame_conv_net_new(&n, t->pool, &t->arena, &t->net, f));
    tame_kind_conv.shape(t->net, &t->shape);
    if (!tame_detector_new(&o, &t->arena, &t->detector) ||
        !tame_buffer_new(&shape, &t->arena, &t->buffer) || !take_slots(t))
        FAIL(f, STATUS_NO_MEMORY, NULL, "a trial takes %zu bytes", bytes);
    return STATUS_OK;
}

enum status trial_new(const struct trial_config *c, struct trial **ret_trial, struct fault *f)
{
    struct trial *t = sysio_alloc(1, sizeof *t);
    if (!t)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a trial");
    t->config = *c;
    t->picture = (size_t)c->side * c->side;
    t->loaded = t->forwarded = NOBODY;
    const enum status s = fill(t, f);
    if (s != STATUS_OK) {
        trial_free(t);
        return s;
    }
    *ret_trial = t;
    return STATUS_OK;
}

void trial_free(struct trial *t)
{
    if (!t)
        return;
    pool_fini(t->pool);
    for (size_t e = 0; e < TRIAL_EXPERTS; e++) {
        sysio_free(t->weights[TRIAL_DENSE][e]);
        sysio_free(t->weights[TRIAL_PRUNED][e]);
        sysio_free(t->momentum[e]);
        sysio_free(t->prune_memory[e]);
    }
    sysio_free(t->selector[TRIAL_DENSE]);
    sysio_free(t->selector[TRIAL_PRUNED]);
    if (t->slots)
        sysio_free(t->slots[0].pixels);
    void *all[] = {t->slots, t->seen, t->logits, t->dlogits, t->losses, t->memory, t->pool_memory};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sysio_free(all[i]);
    sysio_free(t);
}

/* ------------------------------------------------------------------ what the detector asks for */

static uint64_t seed_of(const struct trial *t, const char *name, uint64_t index)
{
    const struct rng_root root = {.seed = t->config.seed};
    struct rng r;
    rng_init(&r, &root, name, index);
    return rng_u64(&r);
}

static void load_slot(struct trial *t, uint32_t slot)
{
    const uint8_t *pictures[TRIAL_BATCH];
    const struct slot *s = &t->slots[slot];
    if (t->loaded == slot)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        pictures[i] = s->pixels + (size_t)i * t->picture;
    tame_conv_net_load(t->net, s->n, pictures);
    t->loaded = slot;
    t->forwarded = NOBODY;
}

/* A forward pass is kept until the net is used for something else: the step needs it again. */
static double ask_loss(void *context, uint32_t e, uint32_t slot)
{
    struct trial *t = context;
    const struct slot *s = &t->slots[slot];
    load_slot(t, slot);
    if (t->forwarded != e) {
        tame_conv_net_forward(t->net, t->weights[TRIAL_DENSE][e], t->config.classes, t->logits);
        t->loss =
            tame_expert_loss(&t->shape, s->n, t->config.classes, t->logits, s->labels, t->losses);
        t->forwarded = e;
    }
    return t->loss;
}

static void ask_train(void *context, uint32_t e, uint32_t slot)
{
    struct trial *t = context;
    const struct slot *s = &t->slots[slot];
    const struct tame_conv_net_config c = net_config(&t->config);
    INVARIANT(t->loaded == slot && t->forwarded == e);
    tame_expert_gradient(&t->shape, s->n, t->config.classes, t->logits, s->labels, t->dlogits);
    tame_conv_net_step(t->net, &c.sgd, t->config.classes, t->dlogits, NULL,
                       t->weights[TRIAL_DENSE][e], t->momentum[e]);
    t->forwarded = NOBODY;
}

static int make_prune_buffer(struct trial *t, uint32_t e)
{
    const struct tame_buffer_shape shape = prune_shape();
    struct arena_plan p = {0};
    struct arena arena;
    tame_buffer_plan(&shape, &p);
    const size_t bytes = arena_plan_bytes(&p) + ARENA_ALIGN;
    t->prune_memory[e] = sysio_alloc(bytes, 1);
    if (!t->prune_memory[e])
        return 0;
    arena_init(&arena, t->prune_memory[e], bytes);
    return tame_buffer_new(&shape, &arena, &t->prune_buffers[e]);
}

static enum status ask_create(void *context,
                              uint32_t e,
                              uint32_t id,
                              uint32_t slot,
                              uint32_t n,
                              uint32_t *ret_classes,
                              struct fault *f)
{
    struct trial *t = context;
    const size_t floats = trial_floats(t);
    (void)slot;
    (void)n;
    t->weights[TRIAL_DENSE][e] = sysio_alloc(floats, sizeof(float));
    t->momentum[e] = sysio_alloc(floats, sizeof(float));
    if (!t->weights[TRIAL_DENSE][e] || !t->momentum[e] || !make_prune_buffer(t, e))
        FAIL(f, STATUS_NO_MEMORY, NULL, "expert %u", id);
    tame_conv_net_start(t->net, seed_of(t, "expert", id), t->config.classes,
                        t->weights[TRIAL_DENSE][e]);
    t->experts = e + 1;
    *ret_classes = t->config.classes;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ the stream */

static int first_sight(struct trial *t, uint64_t number)
{
    const uint8_t bit = (uint8_t)(1u << (number % 8));
    const int first = !(t->seen[number / 8] & bit);
    t->seen[number / 8] |= bit;
    return first;
}

/* Rule G, without pictures, which are found again by number: the expert that trained a sample first
 * keeps it, if its key is among the largest. */
static void keep_samples(struct trial *t, const struct trial_batch *b, uint32_t e)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (!first_sight(t, b->numbers[i]))
            continue;
        const uint64_t key = seed_of(t, "key", b->numbers[i]);
        (void)tame_buffer_offer(&t->buffer, e, b->labels[i], key, b->numbers[i]);
        (void)tame_buffer_offer(&t->prune_buffers[e], e, b->labels[i], key, b->numbers[i]);
    }
}

enum status trial_observe(struct trial *t,
                          const struct trial_batch *b,
                          struct tame_verdict *ret_verdict,
                          struct fault *f)
{
    const struct tame_ops ops = {
        .context = t, .loss = ask_loss, .train = ask_train, .create = ask_create};
    const uint32_t slot = tame_detector_slot(&t->detector);
    struct slot *s = &t->slots[slot];
    INVARIANT(b->n >= 1 && b->n <= TRIAL_BATCH);
    s->n = b->n;
    for (uint32_t i = 0; i < b->n; i++) {
        memcpy(s->pixels + (size_t)i * t->picture, b->pictures[i], t->picture);
        s->labels[i] = b->labels[i];
    }
    t->loaded = NOBODY;
    TRY(tame_detector_observe(&t->detector, &ops, ret_verdict, f));
    keep_samples(t, b, t->detector.current);
    return STATUS_OK;
}

uint32_t trial_experts(const struct trial *t)
{
    return t->experts;
}

size_t trial_floats(const struct trial *t)
{
    return tame_conv_net_floats(t->config.classes);
}

size_t trial_selector_floats(const struct trial *t)
{
    return tame_conv_net_floats(t->experts);
}

const struct tame_buffer *trial_buffer(const struct trial *t)
{
    return &t->buffer;
}

const struct tame_buffer *trial_prune_buffer(const struct trial *t, uint32_t e)
{
    return &t->prune_buffers[e];
}

/* ------------------------------------------------------------------ afterwards */

const float *trial_weights(const struct trial *t, enum trial_stage s, uint32_t e)
{
    return t->weights[s][e];
}

const float *trial_selector(const struct trial *t, enum trial_stage s)
{
    return t->selector[s];
}

/* A copy of `from` (NULL: zeros) in *to. */
static enum status copy_floats(const float *from, size_t n, float **to, struct fault *f)
{
    if (!*to)
        *to = sysio_alloc(n, sizeof(float));
    if (!*to)
        FAIL(f, STATUS_NO_MEMORY, NULL, "%zu weights", n);
    if (from)
        memcpy(*to, from, n * sizeof(float));
    return STATUS_OK;
}

void trial_adopt(struct trial *t, uint32_t experts)
{
    INVARIANT(t->experts == 0 && experts <= TRIAL_EXPERTS);
    t->experts = experts;
}

enum status
trial_set_weights(struct trial *t, enum trial_stage s, uint32_t e, const float *w, struct fault *f)
{
    return copy_floats(w, trial_floats(t), &t->weights[s][e], f);
}

enum status trial_set_selector(struct trial *t, enum trial_stage s, const float *w, struct fault *f)
{
    return copy_floats(w, trial_selector_floats(t), &t->selector[s], f);
}

/* Runs a fit to its end in memory of its own. */
static enum status run_fit(struct trial *t, const struct tame_fit_problem *p, struct fault *f)
{
    const size_t bytes = tame_fit_plan(p) + ARENA_ALIGN;
    void *memory = sysio_alloc(bytes, 1);
    struct arena arena;
    struct tame_fit *fit;
    if (!memory)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a fit takes %zu bytes", bytes);
    t->loaded = NOBODY;
    arena_init(&arena, memory, bytes);
    const enum status s = tame_fit_new(p, &arena, &fit, f);
    while (s == STATUS_OK && !tame_fit_done(fit))
        (void)tame_fit_step(fit);
    arena_fini(&arena);
    sysio_free(memory);
    return s;
}

static struct tame_fit_problem
problem_of(struct trial *t, const struct trial_samples *x, uint32_t classes, uint64_t seed)
{
    return (struct tame_fit_problem){.net = t->net,
                                     .pictures = x->pictures,
                                     .targets = x->targets,
                                     .n = x->n,
                                     .classes = classes,
                                     .root = {.seed = seed}};
}

/* Prunes weights w in place and trains the rest; p says on what, and how. */
static enum status
prune_and_fit(struct trial *t, struct tame_fit_problem *p, float *w, struct fault *f)
{
    float *momentum = sysio_alloc(tame_conv_net_floats(p->classes), sizeof(float));
    if (!momentum)
        FAIL(f, STATUS_NO_MEMORY, NULL, "momentum of a fit");
    p->weights = w;
    p->momentum = momentum;
    const enum status s = run_fit(t, p, f);
    sysio_free(momentum);
    return s;
}

enum status trial_prune_expert(struct trial *t,
                               uint32_t e,
                               const struct trial_samples *samples,
                               struct fault *f)
{
    struct tame_fit_problem p =
        problem_of(t, samples, t->config.classes, seed_of(t, "prune-expert", e));
    TRY(copy_floats(t->weights[TRIAL_DENSE][e], trial_floats(t), &t->weights[TRIAL_PRUNED][e], f));
    if (t->config.one_stroke)
        tame_fit_pruned(&p, TRIAL_PRUNE_EXPERT, 0.1f);
    else
        tame_fit_thinned(&p, TRIAL_PRUNE_EXPERT);
    tame_fit_shorten(&p, t->config.fit_epochs);
    return prune_and_fit(t, &p, t->weights[TRIAL_PRUNED][e], f);
}

/* Least share of an expert's samples that the selector gives to it. */
static double least_recall(struct trial *t, const struct trial_samples *x)
{
    uint32_t all[TRIAL_EXPERTS] = {0}, hits[TRIAL_EXPERTS] = {0};
    for (uint32_t at = 0; at < x->n; at += TRIAL_BATCH) {
        const uint32_t n = x->n - at < TRIAL_BATCH ? x->n - at : TRIAL_BATCH;
        trial_load(t, n, x->pictures + at);
        trial_selector_logits(t, TRIAL_DENSE, t->logits);
        for (uint32_t i = 0; i < n; i++) {
            const float *row = t->logits + (size_t)i * t->experts;
            uint32_t best = 0;
            for (uint32_t e = 1; e < t->experts; e++)
                best = row[e] > row[best] ? e : best;
            all[x->targets[at + i]]++;
            hits[x->targets[at + i]] += best == x->targets[at + i];
        }
    }
    double least = 1.0;
    for (uint32_t e = 0; e < t->experts; e++)
        least = all[e] && hits[e] < least * all[e] ? (double)hits[e] / all[e] : least;
    return least;
}

/* Trains the selector from the start that draw number `draw` gives. */
static enum status fit_selector_once(struct trial *t,
                                     const struct trial_samples *samples,
                                     uint32_t draw,
                                     struct fault *f)
{
    struct tame_fit_problem p =
        problem_of(t, samples, t->experts, seed_of(t, "fit-selector", draw));
    float *w = t->selector[TRIAL_DENSE];
    float *momentum = sysio_alloc(trial_selector_floats(t), sizeof(float));
    if (!momentum)
        FAIL(f, STATUS_NO_MEMORY, NULL, "selector");
    tame_conv_net_start(t->net, seed_of(t, "selector", draw), t->experts, w);
    tame_fit_selector(&p);
    tame_fit_shorten(&p, t->config.selector_epochs);
    p.weights = w;
    p.momentum = momentum;
    const enum status s = run_fit(t, &p, f);
    sysio_free(momentum);
    return s;
}

enum status trial_fit_selector(struct trial *t,
                               const struct trial_samples *samples,
                               uint32_t *ret_draws,
                               struct fault *f)
{
    TRY(copy_floats(NULL, trial_selector_floats(t), &t->selector[TRIAL_DENSE], f));
    *ret_draws = 0;
    do
        TRY(fit_selector_once(t, samples, (*ret_draws)++, f));
    while (*ret_draws < TRIAL_SELECTOR_DRAWS && least_recall(t, samples) < TRIAL_SELECTOR_RECALL);
    return STATUS_OK;
}

enum status
trial_prune_selector(struct trial *t, const struct trial_samples *samples, struct fault *f)
{
    struct tame_fit_problem p = problem_of(t, samples, t->experts, seed_of(t, "prune-selector", 0));
    TRY(copy_floats(t->selector[TRIAL_DENSE], trial_selector_floats(t), &t->selector[TRIAL_PRUNED],
                    f));
    tame_fit_pruned(&p, TRIAL_PRUNE_SELECTOR, 1e-3f);
    tame_fit_shorten(&p, t->config.fit_epochs);
    return prune_and_fit(t, &p, t->selector[TRIAL_PRUNED], f);
}

/* ------------------------------------------------------------------ answers and speed */

void trial_load(struct trial *t, uint32_t n, const uint8_t *const *pictures)
{
    INVARIANT(n >= 1 && n <= TRIAL_BATCH);
    t->loaded = NOBODY;
    tame_conv_net_load(t->net, n, pictures);
}

void trial_expert_logits(struct trial *t, enum trial_stage s, uint32_t e, float *logits)
{
    tame_conv_net_forward(t->net, t->weights[s][e], t->config.classes, logits);
}

void trial_selector_logits(struct trial *t, enum trial_stage s, float *logits)
{
    tame_conv_net_forward(t->net, t->selector[s], t->experts, logits);
}

/* Seconds a picture, over REPEATS batches; sgd NULL: forward passes only. */
static double time_batches(struct trial *t, const struct sgd_options *sgd, float *w, float *m)
{
    static const uint8_t blank[32 * 32];
    const uint8_t *pictures[TRIAL_BATCH];
    uint32_t labels[TRIAL_BATCH] = {0};
    const int64_t start = clock_mono_us();
    for (uint32_t i = 0; i < TRIAL_BATCH; i++)
        pictures[i] = blank;
    for (int i = 0; i < REPEATS; i++) {
        tame_conv_net_load(t->net, TRIAL_BATCH, pictures);
        tame_conv_net_forward(t->net, w, t->config.classes, t->logits);
        (void)tame_expert_loss(&t->shape, TRIAL_BATCH, t->config.classes, t->logits, labels,
                               t->losses);
        if (!sgd)
            continue;
        tame_expert_gradient(&t->shape, TRIAL_BATCH, t->config.classes, t->logits, labels,
                             t->dlogits);
        tame_conv_net_step(t->net, sgd, t->config.classes, t->dlogits, NULL, w, m);
    }
    return (double)(clock_mono_us() - start) * 1e-6 / (REPEATS * TRIAL_BATCH);
}

enum status trial_speed(struct trial *t, double *ret_step, double *ret_forward, struct fault *f)
{
    const struct tame_conv_net_config c = net_config(&t->config);
    const size_t floats = trial_floats(t);
    float *w = sysio_alloc(2 * floats, sizeof(float));
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, NULL, "a speed measurement");
    tame_conv_net_start(t->net, 1, t->config.classes, w);
    t->loaded = NOBODY;
    (void)time_batches(t, NULL, w, NULL);
    *ret_forward = time_batches(t, NULL, w, NULL);
    *ret_step = time_batches(t, &c.sgd, w, w + floats);
    sysio_free(w);
    return STATUS_OK;
}
