/* Groups: layout, group step, falling asleep, waking, pressure, snapshots. */
#include "tests/support/test.h"

#include "learners/methods/gslora/active_set.h"
#include "learners/methods/gslora/delta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct rng_root root = {.seed = 12};

struct world {
    struct vit_config c;
    struct gslora_options o;
    void *memory;
    struct arena arena;
    struct active_set s;
};

static struct world make_world(uint32_t depth)
{
    struct world x = {.c = {.width = 8, .hidden = 12, .depth = depth, .classes = 3}};
    gslora_options_default(&x.o);
    x.o.rank = 2;
    x.o.start_blocks = 0;
    x.o.eta = 0.3f;
    gslora_options_resolve(&x.o, &(struct gslora_sizes){.classes = 3, .rank_inputs = 20});
    struct arena_plan plan = {0};
    active_set_plan(&x.c, 2, &plan);
    const size_t bytes = arena_plan_bytes(&plan);
    x.memory = malloc(bytes);
    assert_non_null(x.memory);
    arena_init(&x.arena, x.memory, bytes);
    assert_true(active_set_new(&x.c, &x.o, &root, &x.arena, &x.s));
    return x;
}

static void free_world(struct world *x)
{
    arena_fini(&x->arena);
    free(x->memory);
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

void test_active_set_has_one_group_a_block(void **state)
{
    (void)state;
    const uint32_t depths[3] = {2, 6, 12};
    for (int i = 0; i < 3; i++) {
        struct world x = make_world(depths[i]);
        assert_int_equal(active_set_awake(&x.s), depths[i]);
        assert_int_equal(active_set_first(&x.s), 1);
        assert_int_equal(x.s.group, delta_group_floats(8, 12, 2));
        for (uint32_t l = 0; l < depths[i]; l++) {
            const struct vit_lora_block *b = &x.s.lora.blocks[l];
            assert_near(norm_of(b->b1, 24) + norm_of(b->b2, 16), 0, 0);
            for (size_t j = 0; j < 16; j++)
                assert_true(fabsf(b->a1[j]) <= 1 / sqrtf(8) && b->a1[j] < 1);
            assert_true(norm_of(b->a1, 16) > 0.1 && norm_of(b->a2, 24) > 0.1);
            assert_ptr_equal(b->b2 + 16, x.s.theta + (l + 1) * x.s.group);
        }
        free_world(&x);
    }
}

/* Without gradient AdamW does not move, so that the update is the proximal step alone. */
void test_active_set_step_shrinks_the_norm_and_keeps_the_direction(void **state)
{
    (void)state;
    struct world x = make_world(2);
    float before[80];
    assert_int_equal(x.s.group, 80);
    memcpy(before, x.s.theta, sizeof before);
    const double norm = norm_of(before, 80), step = 0.05 * (double)x.o.alpha;
    assert_true(step < norm);
    active_set_clear_gradient(&x.s);
    assert_int_equal(active_set_update(&x.s, &x.o, 0.05f, 1), 0);
    assert_near(norm_of(x.s.theta, 80), norm - step, 1e-6);
    assert_near(x.s.norms[0], norm - step, 1e-6);
    for (size_t i = 0; i < 80; i++)
        assert_near(x.s.theta[i], (double)before[i] * (norm - step) / norm, 1e-7);
    active_set_update(&x.s, &x.o, 0.05f, 0);
    assert_near(norm_of(x.s.theta, 80), norm - step, 1e-6);
    free_world(&x);
}

void test_active_set_group_falls_asleep_at_its_first_draw(void **state)
{
    (void)state;
    struct world x = make_world(2);
    float first[80];
    memcpy(first, x.s.theta + 80, sizeof first);
    x.s.lora.blocks[1].b1[3] = 0.25f;
    active_set_clear_gradient(&x.s);
    x.s.grad.blocks[1].b1[0] = 1e-4f; /* AdamW moves B a little before the group is zeroed */
    x.o.alpha = 1000;
    assert_int_equal(active_set_update(&x.s, &x.o, 1e-2f, 1), 2);
    assert_int_equal(active_set_awake(&x.s), 0);
    assert_int_equal(active_set_first(&x.s), 3);
    assert_int_equal(x.s.sleeps, 2);
    assert_memory_equal(x.s.theta + 80, first, sizeof first);
    assert_near(x.s.norms[1], 0, 0);
    for (size_t i = 0; i < 160; i++)
        assert_true(isfinite(x.s.theta[i]) && x.s.m[i] == 0 && x.s.v[i] == 0);
    /* a sleeping group is left alone */
    active_set_update(&x.s, &x.o, 1e-2f, 1);
    assert_memory_equal(x.s.theta + 80, first, sizeof first);
    free_world(&x);
}

void test_active_set_pressure_uses_the_kept_moments_of_b(void **state)
{
    (void)state;
    struct world x = make_world(1);
    active_set_clear_gradient(&x.s);
    x.s.grad.blocks[0].b1[0] = 0.5f;
    x.s.grad.blocks[0].a1[0] = 9.0f; /* A does not count */
    x.o.alpha = 1000;
    assert_int_equal(active_set_update(&x.s, &x.o, 1e-2f, 1), 1);
    active_set_clear_gradient(&x.s);
    x.s.grad.blocks[0].b1[0] = 1.5f;
    x.s.grad.blocks[0].a1[0] = 9.0f;
    assert_near(active_set_pressure(&x.s, &x.o, 0), 3.0, 1e-4);
    x.o.prox_metric = GSLORA_METRIC_ADAPTIVE;
    assert_near(active_set_pressure(&x.s, &x.o, 0), 1.5, 1e-6);
    active_set_wake(&x.s, 0);
    assert_int_equal(active_set_first(&x.s), 1);
    assert_int_equal(x.s.wakes, 1);
    assert_int_equal(x.s.group_steps[0], 0);
    free_world(&x);
}

/* A group that never trained is judged by the scatter of its gradients over the parts. */
void test_active_set_pressure_of_an_untrained_group(void **state)
{
    (void)state;
    struct world x = make_world(2);
    x.o.start_blocks = 1;
    arena_rewind(&x.arena, (struct arena_mark){0});
    assert_true(active_set_new(&x.c, &x.o, &root, &x.arena, &x.s));
    assert_int_equal(active_set_first(&x.s), 2);
    assert_int_equal(active_set_awake(&x.s), 1);
    for (int noise = 0; noise < 2; noise++) {
        active_set_clear_gradient(&x.s);
        active_set_clear_moments(&x.s);
        for (int part = 0; part < 8; part++) {
            active_set_begin_part(&x.s);
            for (size_t i = 0; i < 24; i++)
                x.s.part_grad.blocks[0].b1[i] = noise && part % 2 ? -0.01f : 0.01f;
            active_set_end_part(&x.s, 8);
        }
        /* agreeing parts: every entry counts 1; opposed ones cancel */
        assert_near(active_set_pressure(&x.s, &x.o, 0), noise ? 0 : sqrt(24), 1e-4);
    }
    free_world(&x);
}

void test_active_set_adaptive_metric_is_in_gradient_units(void **state)
{
    (void)state;
    struct world x = make_world(1);
    x.o.prox_metric = GSLORA_METRIC_ADAPTIVE;
    x.o.alpha = 0.01f;
    for (size_t i = 0; i < x.s.group; i++)
        x.s.gradient[i] = i % 2 ? 0.02f : -0.02f; /* sqrt(mean v) = 0.02 */
    struct world y = make_world(1);
    memcpy(y.s.gradient, x.s.gradient, x.s.group * sizeof(float));
    active_set_update(&x.s, &x.o, 1e-2f, 1);
    active_set_update(&y.s, &x.o, 1e-2f, 0);
    assert_near(norm_of(y.s.theta, 80) - norm_of(x.s.theta, 80), 1e-2 * 0.01 / 0.02, 1e-5);
    free_world(&x);
    free_world(&y);
}

void test_active_set_subgradient_never_gives_zero_and_guards_the_origin(void **state)
{
    (void)state;
    struct world x = make_world(1);
    x.o.sparse = GSLORA_SPARSE_SUBGRADIENT;
    x.o.alpha = 5;
    active_set_clear_gradient(&x.s);
    assert_int_equal(active_set_update(&x.s, &x.o, 1e-2f, 1), 0);
    assert_true(x.s.norms[0] > 0);
    memset(x.s.theta, 0, x.s.group * sizeof(float));
    x.s.norms[0] = 0;
    memset(x.s.m, 0, x.s.group * sizeof(float));
    active_set_clear_gradient(&x.s);
    active_set_update(&x.s, &x.o, 1e-2f, 1);
    for (size_t i = 0; i < x.s.group; i++)
        assert_true(x.s.theta[i] == 0);
    free_world(&x);
}

void test_active_set_snapshot_restores_bytes_and_sleep(void **state)
{
    (void)state;
    struct world x = make_world(3);
    float theta[240];
    uint8_t awake[3];
    x.s.theta[7] = 4;
    active_set_save(&x.s, theta, awake);
    active_set_clear_gradient(&x.s);
    x.o.alpha = 1000;
    active_set_update(&x.s, &x.o, 1e-2f, 1);
    assert_int_equal(active_set_awake(&x.s), 0);
    active_set_restore(&x.s, theta, awake);
    assert_int_equal(active_set_awake(&x.s), 3);
    assert_memory_equal(x.s.theta, theta, sizeof theta);
    assert_near(x.s.norms[0], norm_of(theta, 80), 1e-5);
    free_world(&x);
}
