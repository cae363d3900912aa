/* Multi-label figures: average precision with ties and empty classes, both CF1 forms, OF1. */
#include "tests/support/test.h"

#include <math.h>
#include <string.h>

#include "learners/eval/multilabel.h"

static _Alignas(64) unsigned char memory[1 << 20];

static struct multilabel_figures run(const struct multilabel *m, double *ap)
{
    const struct rng_root root = {.seed = 3};
    struct multilabel_figures f;
    struct arena scratch;
    struct rng rng;
    rng_init(&rng, &root, "multilabel", 0);
    const size_t plan = multilabel_plan(m->n, m->K, m->draws);
    assert_true(plan <= sizeof memory);
    arena_init(&scratch, memory, plan);
    assert_int_equal(multilabel_run(m, &rng, &scratch, ap, &f), STATUS_OK);
    assert_int_equal(scratch.used, 0);
    assert_true(arena_high_water(&scratch) <= plan);
    return f;
}

/* One class; a second column keeps every image in. */
static double one_ap(const float *scores, const uint8_t *labels, uint32_t n)
{
    float s[64];
    uint8_t y[64];
    double ap[2];
    for (uint32_t i = 0; i < n; i++) {
        s[2 * i] = scores[i];
        s[2 * i + 1] = 0.5f;
        y[2 * i] = labels[i];
        y[2 * i + 1] = 1;
    }
    const struct multilabel m = {s, y, NULL, NULL, n, 2, MULTILABEL_THRESHOLD, 10};
    (void)run(&m, ap);
    assert_near(ap[1], 1.0, 1e-15);
    return ap[0];
}

void test_multilabel_average_precision_by_hand(void **state)
{
    (void)state;
    /* Hits at ranks 1, 3 and 4 of 5: (1/1 + 2/3 + 3/4) / 3. */
    const float falling[] = {0.9f, 0.8f, 0.7f, 0.6f, 0.5f};
    const uint8_t y[] = {1, 0, 1, 1, 0};
    assert_near(one_ap(falling, y, 5), (1.0 + 2.0 / 3 + 3.0 / 4) / 3, 1e-15);
    const float rising[] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
    assert_near(one_ap(rising, y, 5), (1.0 / 2 + 2.0 / 3 + 3.0 / 5) / 3, 1e-15);
}

/* All of one score are one point, in whatever order they stand. */
void test_multilabel_ties_are_one_point(void **state)
{
    (void)state;
    const float x[] = {0.9f, 0.5f, 0.5f, 0.5f, 0.1f};
    const uint8_t y[] = {0, 1, 0, 1, 1}, z[] = {0, 0, 1, 1, 1};
    /* Scores 0.9: 0 of 1; 0.5: 2 of 4; 0.1: 3 of 5. */
    const double expected = 2.0 / 3 * (2.0 / 4) + 1.0 / 3 * (3.0 / 5);
    assert_near(one_ap(x, y, 5), expected, 1e-15);
    assert_near(one_ap(x, z, 5), expected, 1e-15);
    const float same[] = {0.3f, 0.3f, 0.3f, 0.3f};
    const uint8_t half[] = {1, 0, 1, 0};
    assert_near(one_ap(same, half, 4), 0.5, 1e-15);
}

void test_multilabel_one_positive_all_positive_none(void **state)
{
    (void)state;
    const float x[] = {0.9f, 0.8f, 0.7f, 0.6f};
    const uint8_t third[] = {0, 0, 1, 0}, all[] = {1, 1, 1, 1}, none[] = {0, 0, 0, 0};
    assert_near(one_ap(x, third, 4), 1.0 / 3, 1e-15);
    assert_near(one_ap(x, all, 4), 1.0, 1e-15);
    assert_true(isnan(one_ap(x, none, 4)));
}

/* A class without positives is left out of the mean, it does not count as 0. */
void test_multilabel_map_passes_over_classes_without_positives(void **state)
{
    (void)state;
    const float s[] = {0.9f, 0.1f, 0.4f, 0.2f, 0.9f, 0.5f, 0.8f, 0.7f, 0.6f};
    const uint8_t y[] = {1, 0, 0, 1, 1, 0, 0, 1, 0};
    double ap[3];
    const struct multilabel m = {s, y, NULL, NULL, 3, 3, MULTILABEL_THRESHOLD, 10};
    const struct multilabel_figures f = run(&m, ap);
    const double first = (1.0 + 2.0 / 3) / 2;
    assert_near(ap[0], first, 1e-15);
    assert_near(ap[1], 1.0, 1e-15);
    assert_true(isnan(ap[2]));
    assert_near(f.map.value, (first + 1.0) / 2, 1e-15);
    assert_int_equal(f.map.n, 3);
    assert_int_equal(f.n_classes, 3);
    assert_int_equal(f.n_positive_classes, 2);
    assert_true(isinf(f.map.lo) && isinf(f.map.hi)); /* three images have no interval */
}

/* Three classes: 2 of 3 answers right of 4 positives; 1 of 1 of 2; no answer, 1 positive. */
void test_multilabel_f1_in_both_forms(void **state)
{
    (void)state;
    const float s[] = {0.9f, 0.9f, 0.1f,  0.9f, 0.1f, 0.1f, 0.9f, 0.1f, 0.1f,
                       0.1f, 0.1f, 0.75f, 0.1f, 0.2f, 0.1f, 0.3f, 0.2f, 0.8f};
    const uint8_t y[] = {1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1};
    const struct multilabel m = {s, y, NULL, NULL, 6, 3, 0.8f, 10};
    const struct multilabel_figures f = run(&m, NULL);
    /* The last score is the threshold itself and is no answer. */
    assert_near(f.op, 3.0 / 4, 1e-15);
    assert_near(f.or_, 3.0 / 7, 1e-15);
    assert_near(f.of1.value, 2 * (3.0 / 4) * (3.0 / 7) / (3.0 / 4 + 3.0 / 7), 1e-15);
    const double f1_a = 2 * (2.0 / 3) * (2.0 / 4) / (2.0 / 3 + 2.0 / 4), f1_b = 2.0 / 3;
    assert_near(f.cf1_mean_f1.value, (f1_a + f1_b + 0) / 3, 1e-15);
    const double cp = (2.0 / 3 + 1 + 0) / 3, cr = (2.0 / 4 + 1.0 / 2 + 0) / 3;
    assert_near(f.cp, cp, 1e-15);
    assert_near(f.cr, cr, 1e-15);
    assert_near(f.cf1_literature.value, 2 * cp * cr / (cp + cr), 1e-15);
}

void test_multilabel_threshold_is_strict(void **state)
{
    (void)state;
    const float at = MULTILABEL_THRESHOLD, above = nextafterf(at, 1.0f);
    const float s[] = {at, above};
    const uint8_t y[] = {1, 1};
    const struct multilabel m = {s, y, NULL, NULL, 2, 1, MULTILABEL_THRESHOLD, 10};
    const struct multilabel_figures f = run(&m, NULL);
    assert_near(f.or_, 0.5, 0);
    assert_near(f.op, 1.0, 0);
    const struct multilabel lower = {s, y, NULL, NULL, 2, 1, 0.5f, 10};
    assert_near(run(&lower, NULL).or_, 1.0, 0);
}

void test_multilabel_without_answers_the_f1_is_zero(void **state)
{
    (void)state;
    const float s[] = {0.1f, 0.2f, 0.3f, 0.4f};
    const uint8_t y[] = {1, 0, 0, 1};
    const struct multilabel m = {s, y, NULL, NULL, 2, 2, MULTILABEL_THRESHOLD, 10};
    const struct multilabel_figures f = run(&m, NULL);
    assert_near(f.of1.value, 0, 0);
    assert_near(f.cf1_mean_f1.value, 0, 0);
    assert_near(f.cf1_literature.value, 0, 0);
    assert_true(f.map.value > 0.4);
}

/* Only images with a seen class are looked at, and unseen labels are not read as negatives. */
void test_multilabel_images_without_a_seen_class_do_not_count(void **state)
{
    (void)state;
    const float s[] = {0.9f, 0.1f, 0.95f, 0.9f, 0.2f, 0.3f};
    const uint8_t y[] = {1, 0, 0, 1, 1, 1}, seen[] = {1, 0}, none[] = {0, 0};
    double ap[2];
    const struct multilabel m = {s, y, seen, NULL, 3, 2, MULTILABEL_THRESHOLD, 10};
    const struct multilabel_figures f = run(&m, ap);
    assert_int_equal(f.n_images, 2); /* the second image's false answer is not seen */
    assert_near(ap[0], 1.0, 0);
    assert_true(isnan(ap[1]));
    assert_near(f.op, 1.0, 0);
    const struct multilabel blind = {s, y, none, NULL, 3, 2, MULTILABEL_THRESHOLD, 10};
    const struct multilabel_figures nothing = run(&blind, ap);
    assert_int_equal(nothing.map.n, 0);
    assert_true(isnan(nothing.map.value));
    assert_true(isnan(ap[0]));
}

void test_multilabel_too_little_scratch_is_an_error(void **state)
{
    (void)state;
    const float s[] = {0.9f, 0.1f};
    const uint8_t y[] = {1, 0};
    const struct multilabel m = {s, y, NULL, NULL, 2, 1, MULTILABEL_THRESHOLD, 10};
    const struct rng_root root = {.seed = 3};
    struct multilabel_figures f = {.n_images = 99};
    struct arena scratch;
    struct rng rng;
    rng_init(&rng, &root, "multilabel", 0);
    for (size_t size = 0; size < 512; size += 64) {
        arena_init(&scratch, memory, size);
        assert_int_equal(multilabel_run(&m, &rng, &scratch, NULL, &f), STATUS_NO_MEMORY);
        assert_int_equal(f.n_images, 99);
        arena_fini(&scratch);
    }
}

void test_multilabel_sigmoid(void **state)
{
    (void)state;
    const float x[] = {0, 1.3862944f, -1000, 1000, -INFINITY};
    float p[5];
    multilabel_sigmoid(x, 5, p);
    assert_near(p[0], 0.5, 0);
    assert_near(p[1], 0.8, 1e-7);
    assert_near(p[2], 0, 0);
    assert_near(p[3], 1, 0);
    assert_near(p[4], 0, 0);
}
