/*
 * A stream that a test can afford (tame.md 6): 64-dimensional Gaussian clusters, five classes a
 * task, and experts that are a rank-8 residual map with a zero linear head:
 *   z = W (x + B A x) / 8 + b,  A ~ 0.05 N, B = 0, W = 0; SGD 0.1, momentum 0.9, decay 5e-4.
 * Behind the same table as the real experts, so the whole stream is driven.
 */
#ifndef LETHE_TESTS_TAME_SIM_H
#define LETHE_TESTS_TAME_SIM_H

#include "daemon/base/rng.h"
#include "learners/math/gemm.h"
#include "learners/math/reduce.h"
#include "learners/methods/tame/tame_stream.h"
#include "learners/optim/sgd.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_DIM     64u
#define SIM_RANK    8u
#define SIM_CLASSES 5u
#define SIM_BATCH   64u
#define SIM_BODY    (2u * SIM_RANK * SIM_DIM)
#define SIM_SCALE   0.125f

struct sim_engine {
    uint32_t n;
    int sigmoid;
    int head_from_seed;
    float lr;
    float x[SIM_BATCH * SIM_DIM], h[SIM_BATCH * SIM_RANK], y[SIM_BATCH * SIM_DIM];
    float dy[SIM_BATCH * SIM_DIM], dh[SIM_BATCH * SIM_RANK], dz[SIM_BATCH * 64];
    float gradient[SIM_BODY + 64 * (SIM_DIM + 1)];
    uint64_t loads, forwards, steps;
};

static inline void sim_shape(const void *engine, struct tame_shape *ret_shape)
{
    const struct sim_engine *s = engine;
    *ret_shape = (struct tame_shape){.input_bytes = SIM_DIM * sizeof(float),
                                     .body = SIM_BODY,
                                     .head_width = SIM_DIM,
                                     .vectors = 2,
                                     .batch_max = SIM_BATCH,
                                     .feature_width = SIM_DIM,
                                     .sigmoid = s->sigmoid};
}

static inline void sim_reset(void *engine)
{
    ((struct sim_engine *)engine)->n = 0;
}

static inline void sim_init(void *engine, struct tame_weights *w)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = w->seed}, "sim", 0);
    for (uint32_t i = 0; i < SIM_RANK * SIM_DIM; i++)
        w->v[0][i] = 0.05f * rng_normal(&r);
    if (((struct sim_engine *)engine)->head_from_seed)
        for (uint32_t i = 0; i < w->classes * SIM_DIM; i++)
            w->v[0][SIM_BODY + i] = rng_range(&r, -1.0f, 1.0f);
}

static inline void sim_load(void *engine, uint32_t n, const uint8_t *const *inputs)
{
    struct sim_engine *s = engine;
    s->n = n;
    s->loads++;
    for (uint32_t i = 0; i < n; i++)
        memcpy(s->x + i * SIM_DIM, inputs[i], SIM_DIM * sizeof(float));
}

static inline void sim_forward(void *engine, const struct tame_weights *w, int train, float *logits)
{
    struct sim_engine *s = engine;
    const float *a = w->v[0], *b = a + SIM_RANK * SIM_DIM, *head = w->v[0] + SIM_BODY;
    const size_t n = s->n, c = w->classes, d = SIM_DIM, r = SIM_RANK;
    (void)train;
    s->forwards++;
    gemm_nt(&(struct gemm_dims){n, r, d, d, d, r}, 1.0f, s->x, a, 0.0f, s->h);
    memcpy(s->y, s->x, n * d * sizeof(float));
    gemm_nt(&(struct gemm_dims){n, d, r, r, r, d}, 1.0f, s->h, b, 1.0f, s->y);
    gemm_nt(&(struct gemm_dims){n, c, d, d, d, c}, SIM_SCALE, s->y, head, 0.0f, logits);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++)
            logits[i * c + j] += head[c * d + j];
}

static inline void sim_step(void *engine, struct tame_weights *w, const float *dlogits)
{
    struct sim_engine *s = engine;
    const size_t n = s->n, c = w->classes, d = SIM_DIM, r = SIM_RANK;
    const float *b = w->v[0] + r * d, *head = w->v[0] + SIM_BODY;
    float *ga = s->gradient, *gb = ga + r * d, *gw = s->gradient + SIM_BODY;
    memset(s->gradient, 0, sizeof s->gradient);
    s->steps++;
    gemm_nn(&(struct gemm_dims){n, d, c, c, d, d}, SIM_SCALE, dlogits, head, 0.0f, s->dy);
    gemm_tn(&(struct gemm_dims){c, d, n, c, d, d}, SIM_SCALE, dlogits, s->y, 0.0f, gw);
    reduce_columns_add(gw + c * d, dlogits, c, n, c);
    gemm_tn(&(struct gemm_dims){d, r, n, d, r, r}, 1.0f, s->dy, s->h, 0.0f, gb);
    gemm_nn(&(struct gemm_dims){n, r, d, d, r, r}, 1.0f, s->dy, b, 0.0f, s->dh);
    gemm_tn(&(struct gemm_dims){r, d, n, r, d, d}, 1.0f, s->dh, s->x, 0.0f, ga);
    const struct sgd_options o = {.lr = s->lr, .momentum = 0.9f, .weight_decay = 5e-4f};
    sgd_step(&o, w->v[0], s->gradient, w->v[1], SIM_BODY + c * (d + 1));
}

static inline void sim_features(void *engine, float *features)
{
    const struct sim_engine *s = engine;
    memcpy(features, s->x, (size_t)s->n * SIM_DIM * sizeof(float));
}

static const struct tame_kind sim_kind = {.name = "simulated",
                                          .shape = sim_shape,
                                          .reset = sim_reset,
                                          .init = sim_init,
                                          .load = sim_load,
                                          .forward = sim_forward,
                                          .step = sim_step,
                                          .features = sim_features};

/* ------------------------------------------------------------------ data */

/* Samples of a task: sample number i, the same whenever it is asked for. */
struct sim_task {
    float means[SIM_CLASSES][SIM_DIM];
};

static inline void sim_task_draw(uint64_t seed, uint32_t task, struct sim_task *ret_task)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "task", task);
    for (uint32_t c = 0; c < SIM_CLASSES; c++)
        for (uint32_t j = 0; j < SIM_DIM; j++)
            ret_task->means[c][j] = 0.5f * rng_normal(&r);
}

struct sim_batch {
    float x[SIM_BATCH][SIM_DIM];
    const uint8_t *inputs[SIM_BATCH];
    uint32_t labels[SIM_BATCH];
    uint64_t ids[SIM_BATCH], keys[SIM_BATCH];
    struct tame_samples samples;
};

/* Batch number `b` of the stream; labels are shifted by `offset`; `mislabel`: they are random. */
static inline void sim_batch_draw(const struct sim_task *task,
                                  uint64_t seed,
                                  uint64_t b,
                                  float noise,
                                  uint32_t offset,
                                  int mislabel,
                                  struct sim_batch *x)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "batch", b);
    for (uint32_t i = 0; i < SIM_BATCH; i++) {
        const uint32_t c = (uint32_t)rng_below(&r, SIM_CLASSES);
        for (uint32_t j = 0; j < SIM_DIM; j++)
            x->x[i][j] = task->means[c][j] + noise * rng_normal(&r);
        x->labels[i] = offset + (mislabel ? (uint32_t)rng_below(&r, SIM_CLASSES) : c);
        x->ids[i] = b * SIM_BATCH + i;
        x->keys[i] = rng_u64(&r);
        memcpy(&x->inputs[i], &(const uint8_t *){(const uint8_t *)x->x[i]}, sizeof x->inputs[i]);
    }
    x->samples = (struct tame_samples){
        .n = SIM_BATCH, .inputs = x->inputs, .labels = x->labels, .ids = x->ids, .keys = x->keys};
}

/* ------------------------------------------------------------------ a stream in its own memory */

struct sim_stream {
    struct sim_engine *engine;
    struct tame_setup setup;
    struct arena arena;
    void *memory;
    struct tame_stream *s;
};

static inline struct tame_options sim_options(enum tame_mode mode)
{
    struct tame_options o;
    if (mode == TAME_PARITY)
        tame_options_parity(&o);
    else
        tame_options_default(&o);
    o.batch_max = SIM_BATCH;
    o.classes_max = 16;
    o.experts_max = 24;
    o.outputs = SIM_CLASSES;
    o.buffer = o.prune_buffer = o.reserve_max = 0;
    o.reserve = 0;
    o.selector = TAME_SELECTOR_NONE;
    return o;
}

static inline void sim_memory(struct sim_stream *x, const struct tame_options *o, uint64_t seed)
{
    struct fault f = {0};
    memset(x, 0, sizeof *x);
    assert_int_equal(gemm_setup(&f), STATUS_OK);
    x->engine = calloc(1, sizeof *x->engine);
    assert_non_null(x->engine);
    x->engine->lr = 0.1f;
    x->setup = (struct tame_setup){.kind = &sim_kind,
                                   .engine = x->engine,
                                   .options = *o,
                                   .seed = seed,
                                   .ledger_steps = 4096,
                                   .ledger_samples = 4096 * SIM_BATCH};
    tame_options_resolve(&x->setup.options);
    const size_t bytes = tame_stream_plan(&x->setup);
    assert_true(bytes < SIZE_MAX);
    x->memory = malloc(bytes);
    assert_non_null(x->memory);
    arena_init(&x->arena, x->memory, bytes);
}

static inline void sim_open(struct sim_stream *x, const struct tame_options *o, uint64_t seed)
{
    struct fault f = {0};
    sim_memory(x, o, seed);
    if (tame_stream_open(&x->setup, NULL, 0, &x->arena, &x->s, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
}

static inline void sim_free(struct sim_stream *x)
{
    arena_fini(&x->arena);
    free(x->memory);
    free(x->engine);
}

/* ------------------------------------------------------------------ experiment */

/* One row of the table. */
struct sim_row {
    const char *name;
    enum tame_mode mode;
    float noise;
    uint32_t n_run;        /* batches of a run */
    uint32_t window;       /* 0: by the rule, n_run declared */
    const uint32_t *order; /* tasks of the runs */
    uint32_t runs;
    uint32_t mislabel; /* one batch in so many has random labels; 0: none */
    uint32_t patience; /* 0: default */
    int no_guard;      /* outlier guard off */
    uint32_t right;    /* experts */
};

struct sim_score {
    uint32_t seeds, exact;
    uint32_t experts, switches, missed, spurious;
    uint32_t delay; /* of the detected changes, batches */
    uint32_t detected;
};

static const uint32_t sim_recurring[] = {0, 1, 2, 1, 3};
static const uint32_t sim_twice[] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4};
static const uint32_t sim_single[] = {0};

static inline struct tame_options sim_row_options(const struct sim_row *row)
{
    struct tame_options o = sim_options(row->mode);
    o.window = row->window;
    if (!row->window)
        o.n_run = row->n_run;
    if (row->patience)
        o.patience = row->patience;
    if (row->no_guard)
        o.outlier_guard = 0;
    o.probe = TAME_PROBE_OFF;
    return o;
}

/* One batch in so many, at random places: one at a fixed place might always meet a change. */
static inline int sim_mislabelled(const struct sim_row *row, uint64_t seed, uint64_t number)
{
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = seed}, "mislabelled", number);
    return row->mislabel && rng_below(&r, row->mislabel) == 0;
}

static inline void sim_run_seed(const struct sim_row *row, uint64_t seed, struct sim_score *score)
{
    struct sim_stream x;
    struct sim_task task;
    struct sim_batch *b = calloc(1, sizeof *b);
    const struct tame_options o = sim_row_options(row);
    uint32_t missed = 0, spurious = 0, switches = 0;
    assert_non_null(b);
    sim_open(&x, &o, seed);
    for (uint32_t run = 0; run < row->runs; run++) {
        int found = run == 0;
        sim_task_draw(seed, row->order[run], &task);
        for (uint32_t i = 0; i < row->n_run; i++) {
            const uint64_t number = (uint64_t)run * row->n_run + i;
            const int bad = sim_mislabelled(row, seed, number);
            struct tame_event v;
            struct fault f = {0};
            sim_batch_draw(&task, seed, number, row->noise, 0, bad, b);
            if (tame_stream_observe(x.s, &b->samples, &v, &f) != STATUS_OK)
                fail_msg("%s: %s", f.field, f.text);
            if (number == 0 || v.verdict.old_id == v.verdict.id)
                continue;
            switches++;
            if (found) {
                spurious++;
            } else {
                score->detected++;
                score->delay += i;
            }
            found = 1;
        }
        missed += !found;
    }
    const uint32_t experts = tame_stream_detector(x.s)->n_experts;
    score->seeds++;
    score->exact += experts == row->right && !missed && !spurious;
    score->experts += experts;
    score->switches += switches;
    score->missed += missed;
    score->spurious += spurious;
    sim_free(&x);
    free(b);
}

static inline struct sim_score sim_run(const struct sim_row *row, uint32_t seeds)
{
    struct sim_score score = {0};
    for (uint32_t k = 0; k < seeds; k++)
        sim_run_seed(row, 1000 + k, &score);
    const double n = score.seeds;
    print_message("%-42s exact %u/%u  experts %.2f  switches %.2f  missed %.2f  false %.2f  delay "
                  "%.1f\n",
                  row->name, score.exact, score.seeds, score.experts / n, score.switches / n,
                  score.missed / n, score.spurious / n,
                  score.detected ? (double)score.delay / score.detected : 0.0);
    return score;
}

#endif
