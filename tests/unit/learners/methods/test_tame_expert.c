/* Weight vectors that grow, and the two forms of the loss. */
#include "tests/support/test.h"

#include "learners/methods/tame/tame_expert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct tame_shape shape = {
    .input_bytes = 1, .body = 5, .head_width = 3, .vectors = 2, .batch_max = 8};

static void fill(struct tame_weights *w, float *memory)
{
    tame_expert_map(&shape, 4, memory, w);
    w->classes = 2;
    for (uint32_t v = 0; v < 2; v++)
        for (size_t i = 0; i < tame_expert_floats(&shape, 2); i++)
            w->v[v][i] = (float)(100 * (v + 1) + i);
}

void test_growing_adds_zero_rows_and_moves_the_biases(void **state)
{
    (void)state;
    float memory[2 * 21];
    struct tame_weights w;
    assert_int_equal(tame_expert_floats(&shape, 4), 21);
    assert_int_equal(tame_expert_memory(&shape, 4), 42);
    fill(&w, memory);
    const uint64_t before = w.revision;
    tame_expert_grow(&shape, 4, &w);
    assert_true(w.revision != before);
    for (uint32_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < 11; i++) /* body and the two old rows */
            assert_near(w.v[v][i], 100 * (v + 1) + i, 0);
        for (size_t i = 11; i < 17; i++) /* two new rows */
            assert_near(w.v[v][i], 0, 0);
        assert_near(w.v[v][17], 100 * (v + 1) + 11, 0); /* old biases */
        assert_near(w.v[v][18], 100 * (v + 1) + 12, 0);
        assert_near(w.v[v][19], 0, 0);
        assert_near(w.v[v][20], 0, 0);
    }
}

void test_record_is_strict(void **state)
{
    (void)state;
    float memory[42], other[42] = {0};
    struct tame_weights w, x;
    uint8_t bytes[256];
    fill(&w, memory);
    w.seed = 7;
    w.steps = 9;
    struct byte_writer to = byte_writer_make(bytes, sizeof bytes);
    tame_expert_put(&shape, &w, &to);
    tame_expert_map(&shape, 4, other, &x);
    for (size_t n = 0; n < to.used; n++) {
        struct byte_reader r = byte_reader_make(bytes, n);
        assert_int_equal(tame_expert_get(&shape, &r, &x, NULL), STATUS_BAD_FORMAT);
    }
    struct byte_reader r = byte_reader_make(bytes, to.used);
    assert_int_equal(tame_expert_get(&shape, &r, &x, NULL), STATUS_OK);
    assert_true(byte_reader_done(&r));
    assert_int_equal(x.seed, 7);
    assert_int_equal(x.steps, 9);
    assert_memory_equal(x.v[0], w.v[0], 13 * sizeof(float));
    assert_memory_equal(x.v[1], w.v[1], 13 * sizeof(float));
    bytes[0] = 5; /* classes above the room */
    r = byte_reader_make(bytes, to.used);
    assert_int_equal(tame_expert_get(&shape, &r, &x, NULL), STATUS_BAD_FORMAT);
    bytes[0] = 2;
    memset(bytes + 20, 0xff, 4); /* NaN */
    r = byte_reader_make(bytes, to.used);
    assert_int_equal(tame_expert_get(&shape, &r, &x, NULL), STATUS_BAD_FORMAT);
}

/* Bounds of tame.md 3.1: the loss on sigmoids lies between ln(1+(C-1)/e) and ln(1+(C-1)e). */
void test_bounded_loss_has_the_stated_range(void **state)
{
    (void)state;
    static const struct {
        uint32_t classes;
        double least, chance, most;
    } rows[] = {{2, 0.313, 0.693, 1.313}, {5, 0.905, 1.609, 2.474}, {10, 1.461, 2.303, 3.237}};
    struct tame_shape s = shape;
    s.sigmoid = 1;
    for (size_t i = 0; i < 3; i++) {
        float z[10], loss;
        const uint32_t target = 1;
        for (uint32_t j = 0; j < 10; j++)
            z[j] = j == target ? 60.0f : -60.0f;
        assert_near(tame_expert_loss(&s, 1, rows[i].classes, z, &target, &loss), rows[i].least,
                    1e-3);
        for (uint32_t j = 0; j < 10; j++)
            z[j] = -z[j];
        assert_near(tame_expert_loss(&s, 1, rows[i].classes, z, &target, &loss), rows[i].most,
                    1e-3);
        memset(z, 0, sizeof z);
        assert_near(tame_expert_loss(&s, 1, rows[i].classes, z, &target, &loss), rows[i].chance,
                    1e-3);
    }
}

void test_unknown_classes_cost_a_constant(void **state)
{
    (void)state;
    const float z[] = {3, 1, 2, 0, 9, 9};
    const uint32_t targets[] = {0, TAME_UNKNOWN};
    float losses[2];
    const double mean = tame_expert_loss(&shape, 2, 3, z, targets, losses);
    assert_near(losses[1], 2 * log(3), 1e-6);
    assert_near(losses[0], log(1 + exp(-2) + exp(-1)), 1e-6);
    assert_near(mean, ((double)losses[0] + (double)losses[1]) / 2, 1e-12);
    assert_near(tame_expert_unknown_loss(1), 2 * log(2), 0);
    assert_near(tame_expert_unknown_loss(0), 2 * log(2), 0);
}

static void check_gradient(int sigmoid)
{
    struct tame_shape s = shape;
    s.sigmoid = sigmoid;
    float z[] = {0.3f, -1.2f, 0.8f, 1.5f, 0.1f, -0.4f}, dz[6], losses[2];
    const uint32_t targets[] = {2, 0};
    tame_expert_gradient(&s, 2, 3, z, targets, dz);
    for (int i = 0; i < 6; i++) {
        const float was = z[i], h = 1e-2f;
        z[i] = was + h;
        const double up = tame_expert_loss(&s, 2, 3, z, targets, losses);
        z[i] = was - h;
        const double down = tame_expert_loss(&s, 2, 3, z, targets, losses);
        z[i] = was;
        assert_near((up - down) / (2 * (double)h), dz[i], 2e-4);
    }
}

void test_gradients_of_both_losses(void **state)
{
    (void)state;
    check_gradient(0);
    check_gradient(1);
}

void test_widening_keeps_rows_apart(void **state)
{
    (void)state;
    float z[8] = {1, 2, 3, 4};
    tame_expert_widen(2, 2, 4, z);
    const float want[8] = {1, 2, 0, 0, 3, 4, 0, 0};
    assert_memory_equal(z, want, sizeof want);
}
