/* What an expert's record says without being imported: what trained it; and its twin elsewhere. */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_model.h"

/* The keys are those of the model's own list, and counting needs no room. */
void test_tame_trained_names_what_trained_it(void **state)
{
    (void)state;
    struct world x;
    uint64_t n = 0, again = 0, keys[WORLD_IMAGES];
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, 6);
    const struct world_part *part = world_the(&x, "s.0");
    assert_int_equal(tame_learner_trained(part->bytes, part->size, NULL, 0, &n, &x.f), STATUS_OK);
    assert_true(n > 4 * WORLD_BATCH && n <= 6 * WORLD_BATCH);
    assert_int_equal(
        tame_learner_trained(part->bytes, part->size, keys, WORLD_IMAGES, &again, &x.f), STATUS_OK);
    assert_true(again == n);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t row = 0;
        while (row < WORLD_IMAGES && x.keys[row] != keys[i])
            row++;
        assert_true(row < 6 * WORLD_BATCH); /* pushed, and not of a later batch */
    }
    keys[1] = 77;
    assert_int_equal(tame_learner_trained(part->bytes, part->size, keys, 1, &again, &x.f),
                     STATUS_OK);
    assert_true(again == n && keys[1] == 77);
    assert_int_equal(tame_learner_trained(part->bytes, part->size - 1, NULL, 0, &n, &x.f),
                     STATUS_BAD_FORMAT);
    world_fini(&x);
}

/* The twin is read on the trunk that it names, and answers with the same weights. */
void test_tame_moved_is_read_on_another_trunk(void **state)
{
    (void)state;
    struct world x;
    struct arena arena;
    struct learner_model *here, *there;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, 6);
    const struct world_part *part = world_the(&x, "s.0");
    const size_t size = (size_t)1 << 20;
    void *memory = vit_fixture_alloc(size, 1), *twin = vit_fixture_alloc(part->size, 1);
    struct learner_trunk elsewhere = x.trunk;
    elsewhere.state.b[3] ^= 0x40;
    arena_init(&arena, memory, size);
    struct learner_part p = {
        .kind = "expert", .name = "s.0", .bytes = part->bytes, .size = part->size};
    assert_int_equal(learner_tame.import(&p, &elsewhere, &arena, &there, &x.f),
                     STATUS_FAILED_PRECONDITION);
    assert_int_equal(learner_tame.import(&p, &x.trunk, &arena, &here, &x.f), STATUS_OK);
    assert_int_equal(tame_learner_moved(part->bytes, part->size, &elsewhere.state, twin, &x.f),
                     STATUS_OK);
    p.bytes = twin;
    assert_int_equal(learner_tame.import(&p, &elsewhere, &arena, &there, &x.f), STATUS_OK);
    assert_int_equal(here->classes, there->classes);
    assert_memory_equal(here->weights, there->weights, here->body * sizeof(float));
    assert_int_equal(tame_learner_moved(part->bytes, 9, &elsewhere.state, twin, &x.f),
                     STATUS_BAD_FORMAT);
    arena_fini(&arena);
    free(memory);
    free(twin);
    world_fini(&x);
}
