/*
 * Losses of GS-LoRA++: every term's gradient against central differences with respect to logits,
 * embeddings and taps, the hinges sample by sample, and what a divergence must obey.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "learners/methods/gslora/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NR = 6, NF = 4, N = NR + NF, K = 5, C = 7, L = 3 };

static const struct rng_root root = {.seed = 3};

struct world {
    struct vit_config c;
    struct gslora_options o;
    void *memory;
    struct arena arena;
    struct loss_terms terms;
    struct depth depth;
    uint32_t labels[N];
    float prototypes[K * C];
    float logits[N * K], embeddings[N * C], taps[N * L * 2 * C];
    float anchors[NR * C];
    float dlogits[N * K], dembeddings[N * C], dtaps[N * L * 2 * C];
    double beta;
    uint32_t first_tap;
};

static void fill_normal(float *x, size_t n, const char *name, float deviation)
{
    struct rng r;
    rng_init(&r, &root, name, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * rng_normal(&r);
}

/* Everything off but the retained cross-entropy. */
static struct world *new_world(void)
{
    struct world *x = calloc(1, sizeof *x);
    assert_non_null(x);
    x->c = (struct vit_config){.width = C, .depth = L, .classes = K, .head = VIT_HEAD_LINEAR};
    gslora_options_default(&x->o);
    x->o.pull = x->o.push = x->o.keep = 0;
    x->o.depth = GSLORA_DEPTH_OFF;
    x->o.depth_directions = 9;
    x->o.hinge_bound = 3;
    x->beta = 0;
    x->first_tap = 2;
    for (uint32_t i = 0; i < N; i++)
        x->labels[i] = i < NR ? i % 3 : 3 + i % 2;
    fill_normal(x->prototypes, K * C, "prototypes", 1);
    fill_normal(x->logits, N * K, "logits", 2);
    fill_normal(x->embeddings, N * C, "embeddings", 1);
    fill_normal(x->taps, N * L * 2 * C, "taps", 1.5f);
    fill_normal(x->anchors, NR * C, "anchors", 1);
    return x;
}

static void prepare(struct world *x)
{
    struct arena_plan plan = {0};
    loss_plan(&x->c, &x->o, N, &plan);
    depth_plan(x->o.depth_directions, C, NR, &plan);
    const size_t bytes = arena_plan_bytes(&plan);
    x->memory = malloc(bytes);
    assert_non_null(x->memory);
    arena_init(&x->arena, x->memory, bytes);
    assert_true(loss_new(&x->c, &x->o, x->prototypes, N, &x->arena, &x->terms));
    assert_true(depth_new(x->o.depth_directions, C, NR, &x->arena, &x->depth));
    assert_true(arena_high_water(&x->arena) <= bytes);
    depth_draw(&x->depth, &root, "depth", 0, NF, NR);
}

static void free_world(struct world *x)
{
    arena_fini(&x->arena);
    free(x->memory);
    free(x);
}

static struct loss_values compute(struct world *x, int gradient)
{
    struct loss_batch b = {.n_retain = NR,
                           .n_forget = NF,
                           .labels = x->labels,
                           .logits = x->logits,
                           .embeddings = x->embeddings,
                           .anchors = x->anchors,
                           .taps = x->taps,
                           .first_tap = x->first_tap};
    if (gradient) {
        memset(x->dlogits, 0, sizeof x->dlogits);
        memset(x->dembeddings, 0, sizeof x->dembeddings);
        memset(x->dtaps, 0, sizeof x->dtaps);
        b.dlogits = x->dlogits;
        b.dembeddings = x->dembeddings;
        b.dtaps = x->dtaps;
    }
    struct loss_values v;
    loss_compute(&x->terms, &b, x->beta, &x->depth, &v);
    return v;
}

/* The depth term takes the retained rows as constants. */
static double value_at(struct world *x, int retained_row)
{
    const struct loss_values v = compute(x, 0);
    return retained_row ? v.total - v.depth : v.total;
}

static void
check_array(struct world *x, float *at, const float *gradient, size_t row, const char *name)
{
    const float h = 4e-3f;
    for (size_t i = 0; i < row * N; i++) {
        const int retained = i / row < NR;
        const float origin = at[i];
        at[i] = origin + h;
        const double up = value_at(x, retained);
        at[i] = origin - h;
        const double down = value_at(x, retained);
        at[i] = origin;
        const double slope = (up - down) / (2.0 * (double)h);
        if (fabs(slope - (double)gradient[i]) > 1e-3 * (0.05 + fabs(slope)))
            print_error("%s[%zu]: computed %g, measured %g\n", name, i, (double)gradient[i], slope);
        assert_near(gradient[i], slope, 1e-3 * (0.05 + fabs(slope)));
    }
}

static void check(struct world *x)
{
    prepare(x);
    compute(x, 1);
    check_array(x, x->logits, x->dlogits, K, "logits");
    check_array(x, x->embeddings, x->dembeddings, C, "embeddings");
    check_array(x, x->taps, x->dtaps, (size_t)L * 2 * C, "taps");
    free_world(x);
}

/* w_k / (B_r C) |e - e0|^2 of the retained rows; nothing of the forget rows. */
void test_gslora_loss_keep_gradient(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->o.keep = 3;
    check(x);
}

void test_gslora_loss_keep_is_the_mean_square_of_the_way(void **state)
{
    (void)state;
    struct world *x = new_world();
    double sum = 0;
    x->o.keep = 5;
    prepare(x);
    for (size_t i = 0; i < NR * C; i++)
        sum += pow((double)x->embeddings[i] - (double)x->anchors[i], 2);
    assert_near(compute(x, 0).keep, 5 * sum / (NR * C), 1e-6);
    memcpy(x->anchors, x->embeddings, sizeof x->anchors);
    assert_true(compute(x, 1).keep == 0);
    for (size_t i = NR * C; i < N * C; i++)
        assert_true(x->dembeddings[i] == 0);
    free_world(x);
}

void test_gslora_loss_gradient_retain(void **state)
{
    (void)state;
    check(new_world());
    struct world *x = new_world();
    x->c.head = VIT_HEAD_COSINE;
    x->c.head_scale = 4;
    x->c.head_margin = 0.35f;
    check(x);
}

void test_gslora_loss_gradient_hinge_per_sample(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->beta = 0.7;
    check(x);
    x = new_world();
    x->beta = 0.7;
    x->o.hinge_margin = 1;
    x->c.head = VIT_HEAD_COSINE;
    x->c.head_scale = 4;
    x->c.head_margin = 0.35f;
    check(x);
}

void test_gslora_loss_gradient_hinge_on_the_mean(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->beta = 0.7;
    x->o.hinge = GSLORA_HINGE_BATCH;
    x->o.hinge_bound = 20;
    check(x);
}

void test_gslora_loss_gradient_prototypes(void **state)
{
    (void)state;
    for (uint32_t space = 0; space < 2; space++) {
        struct world *x = new_world();
        x->o.proto_space = space;
        x->o.temperature = 1.7f;
        x->o.pull = 0.4f;
        x->o.push = 0.6f;
        x->o.push_bound = 0.5f;
        check(x);
    }
}

void test_gslora_loss_gradient_depth(void **state)
{
    (void)state;
    for (uint32_t depth = GSLORA_DEPTH_MATCH; depth <= GSLORA_DEPTH_LAYERS; depth++) {
        struct world *x = new_world();
        x->o.depth = depth;
        x->o.depth_weight = 0.8f;
        check(x);
    }
}

void test_gslora_loss_hinge_stops_at_the_bound_sample_by_sample(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->beta = 1;
    /* forget row 0 far past the bound, row 1 far before it */
    float *past = x->logits + NR * K, *before = past + K;
    memset(past, 0, 2 * K * sizeof *past);
    past[x->labels[NR]] = -10;
    before[x->labels[NR + 1]] = 5;
    prepare(x);
    const struct loss_values v = compute(x, 1);
    assert_true(v.forget > 0);
    for (size_t j = 0; j < K; j++)
        assert_near(x->dlogits[NR * K + j], 0, 0);
    assert_true(x->dlogits[(NR + 1) * K + x->labels[NR + 1]] > 0);
    free_world(x);
}

/* On the mean, a few images past the bound take the gradient from those before it. */
void test_gslora_loss_batch_mean_lets_one_image_absorb_the_bound(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->beta = 1;
    x->o.hinge = GSLORA_HINGE_BATCH;
    float *past = x->logits + NR * K, *before = past + K;
    memset(past, 0, 2 * K * sizeof *past);
    past[x->labels[NR]] = -60;
    before[x->labels[NR + 1]] = 5;
    prepare(x);
    const struct loss_values v = compute(x, 1);
    assert_near(v.forget, 0, 0);
    for (size_t j = 0; j < NF * K; j++)
        assert_near(x->dlogits[NR * K + j], 0, 0);
    free_world(x);
}

void test_gslora_loss_divergence_is_zero_at_the_prototype_only(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->o.pull = 1;
    prepare(x);
    assert_true(compute(x, 0).pull > 0.01);
    for (size_t i = 0; i < NR; i++)
        memcpy(x->embeddings + i * C, x->prototypes + x->labels[i] * C, C * sizeof(float));
    const struct loss_values v = compute(x, 1);
    assert_near(v.pull, 0, 1e-6);
    for (size_t i = 0; i < NR * C; i++)
        assert_near(x->dembeddings[i], 0, 1e-7);
    free_world(x);
}

void test_gslora_loss_depth_is_zero_between_equal_sets(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->o.depth = GSLORA_DEPTH_MATCH;
    x->o.depth_weight = 1;
    prepare(x);
    assert_true(compute(x, 0).depth > 0.01);
    depth_draw(&x->depth, &root, "depth", 1, NF, NF);
    for (size_t i = 0; i < NF; i++) /* the same rows in another order */
        memcpy(x->embeddings + (NR + i) * C, x->embeddings + (NF - 1 - i) * C, C * sizeof(float));
    const struct loss_values v = compute(x, 1);
    assert_near(v.depth, 0, 1e-12);
    for (size_t i = 0; i < NF * C; i++)
        assert_near(x->dembeddings[NR * C + i], 0, 1e-7);
    free_world(x);
}

void test_gslora_loss_depth_of_a_shift_is_its_mean_square_projection(void **state)
{
    (void)state;
    struct world *x = new_world();
    x->o.depth = GSLORA_DEPTH_MATCH;
    x->o.depth_weight = 1;
    prepare(x);
    depth_draw(&x->depth, &root, "depth", 2, NF, NF);
    double expected = 0;
    for (uint32_t k = 0; k < x->depth.directions; k++) {
        double norm = 0, dot = 0;
        for (size_t c = 0; c < C; c++) {
            const double t = (double)x->depth.theta[k * C + c];
            norm += t * t;
            dot += t * 0.5;
        }
        assert_near(norm, 1, 1e-6);
        expected += dot * dot / x->depth.directions;
    }
    for (size_t i = 0; i < NF * C; i++)
        x->embeddings[NR * C + i] = x->embeddings[i] + 0.5f;
    assert_near(compute(x, 0).depth, expected, 1e-5);
    free_world(x);
}

/* ------------------------------------------------------------------ seeking directions */

enum { SEEK_WIDTH = 6, SEEK_CLASSES = 3, SEEK_R = 14, SEEK_F = 10, SEEK_N = SEEK_R + SEEK_F };

struct seek_world {
    unsigned char memory[1 << 16];
    struct arena arena;
    struct depth_seek seek;
    float x[SEEK_N * SEEK_WIDTH];
    uint32_t labels[SEEK_N];
    struct depth_seek_batch batch;
};

/* Retained rows of class 0 around the origin; classes 1 and 2 shifted along one axis each. */
static void seek_world_make(struct seek_world *k, float shift)
{
    struct rng r;
    memset(k, 0, sizeof *k);
    arena_init(&k->arena, k->memory, sizeof k->memory);
    assert_true(depth_seek_new(SEEK_WIDTH, SEEK_CLASSES, SEEK_N, &k->arena, &k->seek));
    rng_init(&r, &(struct rng_root){.seed = 3}, "seek", 0);
    for (uint32_t i = 0; i < SEEK_N; i++) {
        k->labels[i] = i < SEEK_R ? 0 : 1 + i % 2;
        for (uint32_t c = 0; c < SEEK_WIDTH; c++) {
            const int shifted = k->labels[i] && c == k->labels[i];
            k->x[i * SEEK_WIDTH + c] = rng_normal(&r) + (shifted ? shift : 0.0f);
        }
    }
    k->batch = (struct depth_seek_batch){k->x, k->labels, SEEK_R, SEEK_F};
}

void test_depth_seek_gradient_with_fixed_directions(void **state)
{
    (void)state;
    static struct seek_world k;
    seek_world_make(&k, 3.0f);
    float dx[SEEK_N * SEEK_WIDTH] = {0};
    const double loss = depth_seek_loss(&k.seek, &k.batch, 0.7, dx);
    assert_true(loss > 0);
    assert_near(depth_seek_loss(&k.seek, &k.batch, 0.7, NULL), loss, 1e-12);
    for (uint32_t i = 0; i < SEEK_R * SEEK_WIDTH; i++)
        assert_near((double)dx[i], 0, 0); /* retained rows are constants */
    for (uint32_t i = SEEK_R * SEEK_WIDTH; i < SEEK_N * SEEK_WIDTH; i++) {
        const float kept = k.x[i], h = 1e-3f;
        k.x[i] = kept + h;
        const double up = depth_seek_loss(&k.seek, &k.batch, 0.7, NULL);
        k.x[i] = kept - h;
        const double down = depth_seek_loss(&k.seek, &k.batch, 0.7, NULL);
        k.x[i] = kept;
        assert_near((double)dx[i], (up - down) / (2 * (double)h), 2e-3);
    }
}

/* The direction is where the class differs: following the gradient brings the classes back. */
void test_depth_seek_finds_the_shift_and_undoes_it(void **state)
{
    (void)state;
    static struct seek_world k;
    seek_world_make(&k, 3.0f);
    float dx[SEEK_N * SEEK_WIDTH] = {0};
    const double first = depth_seek_loss(&k.seek, &k.batch, 1, dx);
    double along = 0, across = 0;
    for (uint32_t i = SEEK_R; i < SEEK_N; i++)
        for (uint32_t c = 0; c < SEEK_WIDTH; c++) {
            const double g = (double)dx[i * SEEK_WIDTH + c];
            *(c == k.labels[i] ? &along : &across) += g * g;
        }
    assert_true(along > across);
    for (int step = 0; step < 60; step++) {
        memset(dx, 0, sizeof dx);
        (void)depth_seek_loss(&k.seek, &k.batch, 1, dx);
        for (uint32_t i = 0; i < SEEK_N * SEEK_WIDTH; i++)
            k.x[i] -= 0.5f * dx[i];
    }
    assert_true(depth_seek_loss(&k.seek, &k.batch, 1, NULL) < 0.05 * first);
}

void test_depth_seek_without_rows_or_variance_is_nothing(void **state)
{
    (void)state;
    static struct seek_world k;
    seek_world_make(&k, 3.0f);
    struct depth_seek_batch none = k.batch;
    float dx[SEEK_N * SEEK_WIDTH] = {0};
    none.n_f = 0;
    assert_near(depth_seek_loss(&k.seek, &none, 1, dx), 0, 0);
    memset(k.x, 0, sizeof k.x);
    assert_near(depth_seek_loss(&k.seek, &k.batch, 1, dx), 0, 0);
}
