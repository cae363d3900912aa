/* Prototype recovery, ridge probe and the Cholesky solver on small feature spaces. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "daemon/base/rng.h"
#include "learners/eval/cholesky.h"
#include "learners/eval/representation.h"
#include "learners/eval/ridge_probe.h"

static _Alignas(64) unsigned char memory[8 << 20];

static struct arena arena_make(void)
{
    struct arena a;
    arena_init(&a, memory, sizeof memory);
    return a;
}

void test_cholesky_solves_a_known_system(void **state)
{
    (void)state;
    /* [4 2; 2 5] x = [8; 11] has x = (9/8, 7/4). */
    double A[] = {4, 2, -99, 5}, B[] = {8, 11};
    assert_int_equal(cholesky_factor(A, 2), 0);
    assert_near(A[0], 2.0, 0.0);
    assert_near(A[1], 1.0, 0.0);
    assert_near(A[3], 2.0, 0.0);
    cholesky_solve(A, 2, B, 1);
    assert_near(B[0], 9.0 / 8.0, 1e-15);
    assert_near(B[1], 7.0 / 4.0, 1e-15);
}

void test_cholesky_refuses_what_is_not_positive(void **state)
{
    (void)state;
    double singular[] = {1, 1, 1, 1}, negative[] = {-1}, nan[] = {(double)NAN};
    assert_int_equal(cholesky_factor(singular, 2), -1);
    assert_int_equal(cholesky_factor(negative, 1), -1);
    assert_int_equal(cholesky_factor(nan, 1), -1);
}

void test_cholesky_residual_of_a_random_system(void **state)
{
    (void)state;
    enum { N = 30, M = 4 };
    static double X[N * N], A[N * N], S[N * N], B[N * M], R[N * M];
    const struct rng_root root = {.seed = 3};
    struct rng rng;
    rng_init(&rng, &root, "test", 0);
    for (int i = 0; i < N * N; i++)
        X[i] = (double)rng_normal(&rng);
    for (int i = 0; i < N * M; i++)
        R[i] = B[i] = (double)rng_normal(&rng);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            for (int k = 0; k < N; k++)
                A[i * N + j] += X[k * N + i] * X[k * N + j];
            A[i * N + j] += i == j;
        }
    }
    memcpy(S, A, sizeof A);
    assert_int_equal(cholesky_factor(S, N), 0);
    cholesky_solve(S, N, B, M);
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < M; c++) {
            double sum = 0;
            for (int j = 0; j < N; j++)
                sum += A[i * N + j] * B[j * M + c];
            assert_near(sum, R[i * M + c], 1e-10);
        }
    }
}

/* ------------------------------------------------------------------ feature spaces */

#define LIVE_CLASSES 4u
#define LIVE_N       160u
#define QUESTION_N   60u
#define MAX_WIDTH    96u

struct space {
    uint32_t width;
    float live[LIVE_N * MAX_WIDTH];
    uint32_t live_labels[LIVE_N];
    float question[QUESTION_N * MAX_WIDTH];
    uint32_t question_labels[QUESTION_N];
};

static struct space space;

/* Live classes at `spread` times unit vectors 0..3, the class in question at `apart` times unit
 * vector 4, all with unit noise; question labels are 0 and 1, from the same cluster. */
static void space_make(uint32_t width, float spread, float apart, uint64_t seed)
{
    const struct rng_root root = {.seed = seed};
    struct rng rng;
    rng_init(&rng, &root, "space", 0);
    space.width = width;
    for (uint32_t i = 0; i < LIVE_N; i++) {
        space.live_labels[i] = 10 + i % LIVE_CLASSES;
        for (uint32_t j = 0; j < width; j++)
            space.live[i * width + j] =
                0.3f * rng_normal(&rng) + (j == i % LIVE_CLASSES ? spread : 0.0f);
    }
    for (uint32_t i = 0; i < QUESTION_N; i++) {
        space.question_labels[i] = i % 2;
        for (uint32_t j = 0; j < width; j++)
            space.question[i * width + j] =
                0.3f * rng_normal(&rng) + (j == LIVE_CLASSES ? apart : 0.0f);
    }
}

static struct representation_rows live_rows(void)
{
    return (struct representation_rows){space.live, space.live_labels, LIVE_N, 20};
}

static struct representation_rows question_rows(void)
{
    return (struct representation_rows){space.question, space.question_labels, QUESTION_N, 2};
}

static const struct representation_options OPTIONS = {
    .support = 5, .draws = 20, .root = {.seed = 1}};

static struct representation_ncm ncm_of(struct representation_rows q)
{
    struct arena a = arena_make();
    struct representation *live;
    struct representation_ncm r;
    const struct representation_rows rows = live_rows();
    assert_int_equal(representation_prepare(&rows, space.width, &a, &live), STATUS_OK);
    assert_int_equal(representation_ncm_run(live, &q, &OPTIONS, &a, &r), STATUS_OK);
    return r;
}

static struct ridge_probe ridge_of(struct representation_rows q, uint32_t n_live)
{
    struct arena a = arena_make();
    struct representation *live;
    struct ridge_probe r;
    struct representation_rows rows = live_rows();
    rows.n = n_live;
    assert_int_equal(representation_prepare(&rows, space.width, &a, &live), STATUS_OK);
    assert_int_equal(ridge_probe_run(live, &q, &OPTIONS, &a, &r), STATUS_OK);
    return r;
}

void test_representation_recovers_a_separate_class(void **state)
{
    (void)state;
    space_make(16, 3, 3, 1);
    const struct representation_ncm ncm = ncm_of(question_rows());
    assert_int_equal(ncm.n_classes, 2);
    assert_true(ncm.accuracy.value > 0.99);
    assert_true(ncm.min <= ncm.accuracy.value && ncm.accuracy.value <= ncm.max);
    assert_int_equal(ncm.accuracy.n, 2 * (30 - 5));
    assert_true(ridge_of(question_rows(), LIVE_N).accuracy.value > 0.95);
}

/* The class in question is drawn from a live class: nothing of its own is left to recover. */
void test_representation_does_not_recover_a_class_inside_a_live_one(void **state)
{
    (void)state;
    space_make(16, 3, 0, 2);
    for (uint32_t i = 0; i < QUESTION_N; i++)
        space.question[i * 16 + i % LIVE_CLASSES] += 3;
    assert_true(ncm_of(question_rows()).accuracy.value < 0.2);
    assert_true(ridge_of(question_rows(), LIVE_N).accuracy.value < 0.2);
}

void test_representation_needs_twice_the_support(void **state)
{
    (void)state;
    space_make(8, 3, 3, 3);
    struct representation_rows q = question_rows();
    q.n = 19; /* 10 rows of label 0, 9 of label 1 */
    assert_int_equal(ncm_of(q).n_classes, 1);
    assert_int_equal(ridge_of(q, LIVE_N).n_classes, 1);
    q.n = 0;
    const struct representation_ncm none = ncm_of(q);
    assert_int_equal(none.accuracy.n, 0);
    assert_true(isnan(none.min));
    assert_int_equal(ridge_of(q, LIVE_N).accuracy.n, 0);
}

void test_representation_common_is_the_smallest_usable_class(void **state)
{
    (void)state;
    const uint32_t a[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2};
    const uint32_t b[] = {0, 0, 0, 0, 3};
    const struct representation_rows left = {NULL, a, 14, 4}, right = {NULL, b, 5, 4};
    assert_int_equal(representation_common(&left, NULL, 2), 5);
    assert_int_equal(representation_common(&left, &right, 2), 4);
    assert_int_equal(representation_common(&left, &right, 3), 7); /* 5 and 4 are below 6 */
    assert_int_equal(representation_common(&left, &right, 50), 0);
}

/* Every block of rows twice, so that each class' fit half and test half are doubled. */
static void double_rows(float *x, uint32_t *labels, uint32_t n, uint32_t block, uint32_t width)
{
    static float copy[LIVE_N * MAX_WIDTH];
    memcpy(copy, x, (size_t)n * width * sizeof *x);
    for (uint32_t i = 0; i < 2 * n; i++) {
        const uint32_t from = i / (2 * block) * block + i % block;
        memcpy(x + (size_t)i * width, copy + (size_t)from * width, width * sizeof *x);
        labels[i] = labels[i % block];
    }
}

/* Doubling every row doubles X'X, X'Y and lambda, so W stays: 40 fit rows of 64 features are solved
 * in the dual form, 80 in the primal form, and must answer alike. */
void test_ridge_probe_primal_and_dual_agree(void **state)
{
    (void)state;
    const uint32_t width = 64;
    uint32_t partly = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        space_make(width, 0.8f, 0.6f, 40 + seed);
        struct representation_rows q = question_rows();
        q.n = 28;
        const struct ridge_probe dual = ridge_of(q, 80);
        double_rows(space.live, space.live_labels, 80, 2 * LIVE_CLASSES, width);
        double_rows(space.question, space.question_labels, 28, 4, width);
        q.n = 56;
        const struct ridge_probe primal = ridge_of(q, 160);
        assert_near(dual.lambda, 0.01 * (40 + 7), 1e-12); /* tr(X'X)/d is n */
        assert_near(primal.lambda, 2 * dual.lambda, 1e-12);
        assert_near(primal.accuracy.value, dual.accuracy.value, 1e-15);
        assert_int_equal(primal.accuracy.n, 2 * dual.accuracy.n);
        partly += dual.accuracy.value > 0.1 && dual.accuracy.value < 0.9;
    }
    assert_true(partly > 4); /* otherwise the agreement would be cheap */
}

void test_ridge_probe_of_constant_features_recognises_nothing(void **state)
{
    (void)state;
    space_make(4, 0, 0, 5);
    for (uint32_t i = 0; i < LIVE_N * 4; i++)
        space.live[i] = 1.5f;
    for (uint32_t i = 0; i < QUESTION_N * 4; i++)
        space.question[i] = 1.5f;
    const struct ridge_probe r = ridge_of(question_rows(), LIVE_N);
    assert_near(r.accuracy.value, 0.0, 0.0);
    assert_int_equal(r.accuracy.n, 30);
    assert_near(r.lambda, 0.0, 0.0);
    assert_near(ncm_of(question_rows()).accuracy.value, 0.0, 0.0); /* a tie is no recovery */
}

void test_ridge_probe_does_not_depend_on_scale_or_shift(void **state)
{
    (void)state;
    space_make(12, 0.7f, 0.7f, 6);
    const struct ridge_probe before = ridge_of(question_rows(), LIVE_N);
    for (uint32_t i = 0; i < LIVE_N * 12; i++)
        space.live[i] = space.live[i] * (float)(1 << i % 12) + 4;
    for (uint32_t i = 0; i < QUESTION_N * 12; i++)
        space.question[i] = space.question[i] * (float)(1 << i % 12) + 4;
    const struct ridge_probe after = ridge_of(question_rows(), LIVE_N);
    assert_near(after.accuracy.value, before.accuracy.value, 1e-12);
    assert_true(before.accuracy.value > 0.2);
}

void test_representation_plans_suffice(void **state)
{
    (void)state;
    const uint32_t widths[] = {1, 7, 60, 79, 80, 81, 96};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        space_make(widths[w], 1, widths[w] > LIVE_CLASSES ? 1 : 0, 7);
        const size_t prepare = representation_prepare_plan(LIVE_N, 20, widths[w]);
        const size_t ncm = representation_ncm_plan(QUESTION_N, widths[w], 20);
        const size_t ridge = ridge_probe_plan(LIVE_N, 20, QUESTION_N, widths[w]);
        struct arena a, b;
        arena_init(&a, memory, prepare);
        arena_init(&b, memory + (6 << 20), ncm > ridge ? ncm : ridge);
        struct representation *live;
        struct representation_ncm n;
        struct ridge_probe r;
        const struct representation_rows rows = live_rows(), q = question_rows();
        assert_int_equal(representation_prepare(&rows, widths[w], &a, &live), STATUS_OK);
        assert_int_equal(representation_ncm_run(live, &q, &OPTIONS, &b, &n), STATUS_OK);
        assert_int_equal(ridge_probe_run(live, &q, &OPTIONS, &b, &r), STATUS_OK);
        assert_int_equal(b.used, 0);
        struct arena small;
        arena_init(&small, memory + (6 << 20), 64);
        assert_int_equal(representation_ncm_run(live, &q, &OPTIONS, &small, &n), STATUS_NO_MEMORY);
        assert_int_equal(ridge_probe_run(live, &q, &OPTIONS, &small, &r), STATUS_NO_MEMORY);
        arena_fini(&a);
        arena_fini(&b);
        arena_fini(&small);
    }
}
