/*
 * Properties of the multi-label and continual figures under random inputs; the seed of a failing
 * case is printed with it.
 */
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learners/eval/continual.h"
#include "learners/eval/multilabel.h"

#define CASES 60u
#define MAX_N 40u
#define MAX_K 6u

static _Alignas(64) unsigned char memory[1 << 20];

#define CHECK(condition, seed)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s, seed %u", #condition, (unsigned)(seed));                                 \
    } while (0)

struct random_case {
    struct multilabel m;
    float scores[MAX_N * (MAX_K + 2)];
    uint8_t labels[MAX_N * (MAX_K + 2)];
    uint8_t seen[MAX_K + 2];
    struct rng rng;
};

/* Scores on a coarse grid, so that ties are common. */
static void case_make(struct random_case *x, uint32_t seed)
{
    const struct rng_root root = {.seed = seed};
    rng_init(&x->rng, &root, "figures", 0);
    x->m = (struct multilabel){.scores = x->scores,
                               .labels = x->labels,
                               .seen = x->seen,
                               .n = 1 + (uint32_t)rng_below(&x->rng, MAX_N),
                               .K = 1 + (uint32_t)rng_below(&x->rng, MAX_K),
                               .threshold = 0.55f,
                               .draws = 50};
    for (uint32_t i = 0; i < x->m.n * x->m.K; i++) {
        x->scores[i] = (float)rng_below(&x->rng, 11) / 10;
        x->labels[i] = rng_below(&x->rng, 3) == 0;
    }
    for (uint32_t c = 0; c < x->m.K; c++)
        x->seen[c] = rng_below(&x->rng, 4) != 0;
}

static struct multilabel_figures figures_of(const struct multilabel *m, double *ap)
{
    const struct rng_root root = {.seed = 9};
    struct multilabel_figures f;
    struct arena scratch;
    struct rng rng;
    rng_init(&rng, &root, "draws", 0);
    arena_init(&scratch, memory, multilabel_plan(m->n, m->K, m->draws));
    assert_int_equal(multilabel_run(m, &rng, &scratch, ap, &f), STATUS_OK);
    arena_fini(&scratch);
    return f;
}

static int same(struct eval_value a, struct eval_value b)
{
    return a.n == b.n && memcmp(&a.value, &b.value, sizeof a.value) == 0 &&
           memcmp(&a.lo, &b.lo, sizeof a.lo) == 0 && memcmp(&a.hi, &b.hi, sizeof a.hi) == 0;
}

static int same_figures(const struct multilabel_figures *a, const struct multilabel_figures *b)
{
    return same(a->map, b->map) && same(a->of1, b->of1) && same(a->cf1_mean_f1, b->cf1_mean_f1) &&
           same(a->cf1_literature, b->cf1_literature) && a->n_images == b->n_images;
}

static int has_seen(const struct multilabel *m, uint32_t i)
{
    for (uint32_t c = 0; c < m->K; c++)
        if (m->seen[c] && m->labels[i * m->K + c])
            return 1;
    return 0;
}

/* The definition, point by point: for every distinct score, precision of all at or above it. */
static double slow_ap(const struct multilabel *m, uint32_t c)
{
    double ap = 0, recall_before = 0, positives = 0;
    for (uint32_t i = 0; i < m->n; i++)
        positives += has_seen(m, i) && m->labels[i * m->K + c];
    for (int step = 10; step >= 0; step--) {
        double above = 0, hits = 0;
        for (uint32_t i = 0; i < m->n; i++) {
            if (!has_seen(m, i) || m->scores[i * m->K + c] < (float)step / 10)
                continue;
            above++;
            hits += m->labels[i * m->K + c];
        }
        if (above > 0)
            ap += (hits / positives - recall_before) * (hits / above);
        recall_before = hits / positives;
    }
    return ap;
}

void test_figures_property_ap_is_its_definition_and_map_the_mean(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct random_case x;
        double ap[MAX_K], sum = 0;
        uint32_t n = 0;
        case_make(&x, seed);
        const struct multilabel_figures f = figures_of(&x.m, ap);
        for (uint32_t c = 0; c < x.m.K; c++) {
            if (isnan(ap[c]))
                continue;
            CHECK(x.seen[c] && fabs(ap[c] - slow_ap(&x.m, c)) < 1e-12, seed);
            sum += ap[c];
            n++;
        }
        CHECK(n == f.n_positive_classes, seed);
        CHECK(n == 0 || fabs(f.map.value - sum / n) < 1e-12, seed);
        CHECK(n == 0 || (f.map.lo <= f.map.hi && f.cf1_literature.value <= 1), seed);
    }
}

/* Columns of classes that are not seen yet change nothing, whatever they hold. */
void test_figures_property_unseen_columns_change_nothing(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct random_case x, wide;
        case_make(&x, seed);
        case_make(&wide, seed);
        wide.m.K = x.m.K + 2;
        for (uint32_t i = 0; i < x.m.n; i++)
            for (uint32_t c = 0; c < wide.m.K; c++) {
                const int old = c < x.m.K;
                const uint32_t to = i * wide.m.K + c, from = i * x.m.K + c;
                wide.scores[to] = old ? x.scores[from] : rng_uniform(&wide.rng);
                wide.labels[to] = old ? x.labels[from] : (uint8_t)rng_below(&wide.rng, 2);
            }
        wide.seen[x.m.K] = wide.seen[x.m.K + 1] = 0;
        const struct multilabel_figures a = figures_of(&x.m, NULL), b = figures_of(&wide.m, NULL);
        CHECK(same_figures(&a, &b), seed);
    }
}

/* Only the order of the scores counts for the mAP, and the order of the images for nothing. */
void test_figures_property_map_is_invariant(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < CASES; seed++) {
        struct random_case x, y;
        uint32_t order[MAX_N];
        case_make(&x, seed);
        case_make(&y, seed);
        for (uint32_t i = 0; i < x.m.n; i++)
            order[i] = i;
        rng_shuffle(&x.rng, order, x.m.n);
        for (uint32_t i = 0; i < x.m.n; i++)
            for (uint32_t c = 0; c < x.m.K; c++) {
                const float s = x.scores[order[i] * x.m.K + c];
                y.scores[i * x.m.K + c] = s * s * s * 7 - 2;
                y.labels[i * x.m.K + c] = x.labels[order[i] * x.m.K + c];
            }
        y.m.threshold = x.m.threshold * x.m.threshold * x.m.threshold * 7 - 2;
        const struct multilabel_figures a = figures_of(&x.m, NULL), b = figures_of(&y.m, NULL);
        CHECK(a.n_images == b.n_images, seed);
        if (a.n_images == 0)
            continue;
        CHECK(fabs(a.map.value - b.map.value) < 1e-12, seed);
        CHECK(a.of1.value == b.of1.value, seed);
        CHECK(fabs(a.cf1_mean_f1.value - b.cf1_mean_f1.value) < 1e-12, seed);
    }
}

static struct continual_figures continual_of(const struct continual *c)
{
    const struct rng_root root = {.seed = 9};
    struct continual_figures f;
    struct arena scratch;
    struct rng rng;
    rng_init(&rng, &root, "draws", 0);
    arena_init(&scratch, memory, continual_plan(c->n, c->T, c->n_strata, c->draws));
    assert_int_equal(continual_run(c, &rng, &scratch, NULL, &f), STATUS_OK);
    arena_fini(&scratch);
    return f;
}

/* Forgetting is never below minus the backward transfer; the two are equal with two tasks; answers
 * before a task was learned are not read; the estimate lies in a sensible interval. */
void test_figures_property_continual(void **state)
{
    (void)state;
    enum { N = 60, T = 4 };
    for (uint32_t seed = 0; seed < CASES; seed++) {
        const struct rng_root root = {.seed = seed};
        uint8_t right[T * N], changed[T * N];
        uint32_t task[N];
        struct rng rng;
        rng_init(&rng, &root, "continual", 0);
        const uint32_t tasks = 2 + (uint32_t)rng_below(&rng, T - 1);
        for (uint32_t i = 0; i < N; i++)
            task[i] = i % tasks;
        for (uint32_t i = 0; i < N * T; i++) {
            right[i] = rng_below(&rng, 3) != 0;
            changed[i] = task[i % N] > i / N ? !right[i] : right[i];
        }
        const struct continual c = {.right = right, .task = task, .n = N, .T = tasks, .draws = 60};
        struct continual other = c;
        other.right = changed;
        const struct continual_figures f = continual_of(&c), g = continual_of(&other);
        CHECK(f.forgetting.value >= -f.backward.value - 1e-12, seed);
        CHECK(tasks > 2 || fabs(f.forgetting.value + f.backward.value) < 1e-12, seed);
        CHECK(same(f.last, g.last) && same(f.average, g.average), seed);
        CHECK(same(f.forgetting, g.forgetting) && same(f.backward, g.backward), seed);
        CHECK(f.last.lo <= f.last.value && f.last.value <= f.last.hi, seed);
        CHECK(f.last.lo >= 0 && f.last.hi <= 1 && f.last.lo < f.last.hi, seed);
    }
}
