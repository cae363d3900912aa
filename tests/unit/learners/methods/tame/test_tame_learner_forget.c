/* Erasures and refits as runs: what is gone, what stays to the byte, what never saw the data. */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_model.h"

static const struct learner_option erase_option = {"action", "erase"};
static const struct learner_option refit_option = {"action", "refit"};

static enum status world_erase(struct world *x, const struct learner_erasure *e)
{
    return world_run(x,
                     &(struct world_wish){.options = &erase_option, .n_options = 1, .erasure = e});
}

/* A model in memory of its own; the trunk is that of the world. */
struct reading {
    void *memory;
    struct arena arena;
    struct learner_model *model;
};

static void reading_open(struct world *x, const char *name, struct reading *y)
{
    const struct world_part *from = world_the(x, name);
    const struct learner_part part = {
        .kind = "expert", .name = from->name, .bytes = from->bytes, .size = from->size};
    const size_t size = learner_tame.import_plan(&part, &x->trunk);
    y->memory = vit_fixture_alloc(size, 1);
    arena_init(&y->arena, y->memory, size);
    if (learner_tame.import(&part, &x->trunk, &y->arena, &y->model, &x->f) != STATUS_OK)
        fail_msg("%s: %s", x->f.field, x->f.text);
}

static void reading_close(struct reading *y)
{
    arena_fini(&y->arena);
    free(y->memory);
}

static enum learner_fate fate_of(struct world *x, const char *name, const struct learner_erasure *e)
{
    struct reading y;
    reading_open(x, name, &y);
    const enum learner_fate fate = learner_tame.erase(y.model, e);
    reading_close(&y);
    return fate;
}

/* Whether `text` is anywhere in the bytes of a component. */
static int says(const struct world_part *p, const void *text, size_t n)
{
    return memmem(p->bytes, p->size, text, n) != NULL;
}

static void pushed_world(struct world *x, const struct learner_erasure *tombstones)
{
    world_init(x, 1);
    world_open(x);
    world_must(x, &(struct world_wish){.until = WORLD_IMAGES, .erasure = tombstones});
    assert_int_equal(x->n_parts, 3);
}

/* Sorts keys for an erasure. */
static void sort_keys(uint64_t *keys, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k > 0 && keys[k] < keys[k - 1]; k--) {
            const uint64_t x = keys[k];
            keys[k] = keys[k - 1];
            keys[k - 1] = x;
        }
}

void test_fates(void **state)
{
    (void)state;
    struct world x;
    pushed_world(&x, NULL);
    static const char *const own[] = {"d", "e", "f"}, *const one[] = {"e"}, *const none[] = {"q"};
    const struct digest memory = {.b = {9}}, other = {.b = {8}};
    uint64_t keys[] = {x.keys[3], x.keys[WORLD_RUN * WORLD_BATCH + 40]};
    sort_keys(keys, 2);
    const struct {
        struct learner_erasure e;
        enum learner_fate zero, one;
    } rows[] = {
        {{.component = "s.1"}, LEARNER_UNAFFECTED, LEARNER_DESTROY},
        {{.component = "s"}, LEARNER_UNAFFECTED, LEARNER_UNAFFECTED},
        {{.classes = own, .n_classes = 3}, LEARNER_UNAFFECTED, LEARNER_DESTROY},
        {{.classes = one, .n_classes = 1}, LEARNER_UNAFFECTED, LEARNER_RETRAIN},
        {{.classes = none, .n_classes = 1}, LEARNER_UNAFFECTED, LEARNER_UNAFFECTED},
        {{.keys = keys, .n_keys = 2}, LEARNER_RETRAIN, LEARNER_RETRAIN},
        {{.sources = &memory, .n_sources = 1}, LEARNER_DESTROY, LEARNER_DESTROY},
        {{.sources = &other, .n_sources = 1}, LEARNER_UNAFFECTED, LEARNER_UNAFFECTED},
        {{0}, LEARNER_UNAFFECTED, LEARNER_UNAFFECTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fate_of(&x, "s.0", &rows[i].e), rows[i].zero);
        assert_int_equal(fate_of(&x, "s.1", &rows[i].e), rows[i].one);
    }
    world_fini(&x);
}

void test_lineage_names_base_request_and_data(void **state)
{
    (void)state;
    struct world x;
    struct reading y;
    struct learner_source list[4];
    pushed_world(&x, NULL);
    reading_open(&x, "s.1", &y);
    assert_int_equal(learner_tame.lineage(y.model, list, 4), 3);
    assert_string_equal(list[0].kind, "component");
    assert_true(digest_equal(&list[0].digest, &x.trunk.base));
    assert_string_equal(list[1].kind, "request");
    assert_string_equal(list[1].name, "07000000-0000-0000-0000-000000000000");
    assert_string_equal(list[2].kind, "memory");
    assert_int_equal(list[2].digest.b[0], 9);
    assert_int_equal(learner_tame.lineage(y.model, list, 1), 3);
    reading_close(&y);
    world_fini(&x);
}

void test_an_expert_is_destroyed_and_the_other_stays_to_the_byte(void **state)
{
    (void)state;
    struct world x;
    pushed_world(&x, NULL);
    const struct world_part zero = world_copy(&x, "s.0");
    assert_int_equal(world_erase(&x, &(struct learner_erasure){.component = "s.1"}), STATUS_OK);
    assert_int_equal(x.changed, 2); /* the stream, and s.1 that is no more */
    assert_null(world_part(&x, "s.1"));
    assert_same_part(&zero, world_the(&x, "s.0"));
    const struct tame_learner_info info = world_info(&x);
    assert_int_equal(info.n_experts, 1);
    assert_int_equal(info.n_classes, 3); /* its classes have no name any more */
    /* its task comes back: a new expert with a new number, and new class numbers */
    world_push(&x, WORLD_RUN, 2 * WORLD_RUN);
    assert_string_equal(world_info(&x).active, "s.2");
    assert_int_equal(world_info(&x).n_classes, WORLD_CLASSES);
    assert_int_equal(world_erase(&x, &(struct learner_erasure){.component = "s.1"}),
                     STATUS_NOT_FOUND);
    assert_string_equal(x.f.field, "component");
    free(zero.bytes);
    world_fini(&x);
}

/* The class "f" goes: both experts are what they are in a stream that never learned it. */
void test_a_class_goes_and_no_expert_ever_saw_it(void **state)
{
    (void)state;
    static const char *const gone[] = {"f"};
    const struct learner_erasure e = {.classes = gone, .n_classes = 1};
    struct world x, y;
    pushed_world(&x, NULL);
    pushed_world(&y, &e);
    const struct world_part zero = world_copy(&x, "s.0");
    assert_int_equal(world_erase(&x, &e), STATUS_OK);
    assert_int_equal(x.changed, 2);
    assert_near(x.first_loss, log(2), 1e-5); /* a fresh expert of two classes */
    assert_same_part(&zero, world_the(&x, "s.0"));
    assert_same_part(&zero, world_the(&y, "s.0"));
    /* the window of y's expert comes from its batches; both get theirs from the reserve */
    static const struct learner_option one[] = {{"action", "refit"}, {"experts", "s.1"}};
    world_must(&y, &(struct world_wish){.options = one, .n_options = 2});
    assert_same_part(world_the(&x, "s.1"), world_the(&y, "s.1"));
    assert_int_equal(world_info(&x).n_classes, WORLD_CLASSES - 1);
    assert_int_equal(fate_of(&x, "s.1", &e), LEARNER_UNAFFECTED);
    assert_int_equal(world_erase(&x, &e), STATUS_NOT_FOUND);
    world_push(&x, 4, 8); /* the stream goes on */
    free(zero.bytes);
    world_fini(&x);
    world_fini(&y);
}

/* Single samples of both experts go, reserve samples among them. */
void test_samples_go_and_no_expert_ever_saw_them(void **state)
{
    (void)state;
    enum { GONE = 12 };
    struct world x, y;
    uint64_t keys[GONE];
    pushed_world(&x, NULL);
    for (uint32_t i = 0; i < GONE; i++)
        keys[i] = x.keys[i % 2 ? 30 + 5 * i : (WORLD_RUN + 5) * WORLD_BATCH + 7 * i];
    sort_keys(keys, GONE);
    const struct learner_erasure e = {.keys = keys, .n_keys = GONE};
    pushed_world(&y, &e);
    assert_int_equal(y.events[y.n_events - 1].tombstoned, GONE);
    assert_int_equal(world_erase(&x, &e), STATUS_OK);
    assert_int_equal(x.changed, 3);
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    assert_same_part(world_the(&x, "s.0"), world_the(&y, "s.0"));
    assert_same_part(world_the(&x, "s.1"), world_the(&y, "s.1"));
    for (uint32_t i = 0; i < x.n_parts; i++)
        for (uint32_t k = 0; k < GONE; k++)
            assert_false(says(&x.parts[i], &keys[k], sizeof keys[k]));
    world_fini(&x);
    world_fini(&y);
}

/* Batches that wait for a decision are data too. */
void test_held_samples_are_counted_and_go(void **state)
{
    (void)state;
    static const char *const gone[] = {"e"};
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, WORLD_RUN + 1);
    const struct world_part zero = world_copy(&x, "s.0");
    const uint64_t key = x.keys[WORLD_RUN * WORLD_BATCH];
    const struct learner_erasure by_class = {.classes = gone, .n_classes = 1};
    const struct learner_erasure by_key = {.keys = &key, .n_keys = 1};
    uint32_t n;
    const struct world_part *s = world_the(&x, "s");
    assert_int_equal(tame_learner_held(s->bytes, s->size, &by_class, &n, &x.f), STATUS_OK);
    assert_int_equal(n, WORLD_BATCH / 3);
    assert_int_equal(tame_learner_held(s->bytes, s->size, &by_key, &n, &x.f), STATUS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(world_info(&x).n_classes, WORLD_CLASSES);
    assert_int_equal(world_erase(&x, &by_class), STATUS_OK);
    s = world_the(&x, "s");
    assert_int_equal(tame_learner_held(s->bytes, s->size, &by_class, &n, &x.f), STATUS_OK);
    assert_int_equal(n, 0);
    assert_int_equal(world_info(&x).n_classes, WORLD_CLASSES - 1);
    assert_int_equal(world_info(&x).held, 1); /* what is left of the batch */
    assert_false(says(s, x.pixels + (WORLD_RUN * WORLD_BATCH + 1) * WORLD_PIXELS, WORLD_PIXELS));
    /* the active expert had compared the batch with its average: nothing else of it moves */
    assert_int_equal(zero.size, world_the(&x, "s.0")->size);
    free(zero.bytes);
    world_fini(&x);
}

void test_missing_images_are_counted(void **state)
{
    (void)state;
    static const char *const gone[] = {"e"};
    const struct learner_erasure e = {.classes = gone, .n_classes = 1};
    struct world x;
    pushed_world(&x, NULL);
    const struct world_part one = world_copy(&x, "s.1");
    const struct world_wish wish = {.options = &erase_option,
                                    .n_options = 1,
                                    .erasure = &e,
                                    .images = (WORLD_RUN + 1) * WORLD_BATCH};
    assert_int_equal(world_run(&x, &wish), STATUS_FAILED_PRECONDITION);
    assert_string_equal(x.f.field, "images");
    assert_non_null(strstr(x.f.text, "samples to train with again are missing"));
    assert_true(atoi(x.f.text) > 50);
    assert_same_part(&one, world_the(&x, "s.1"));
    free(one.bytes);
    world_fini(&x);
}

void test_what_cannot_be_erased(void **state)
{
    (void)state;
    static const char *const unknown[] = {"q"};
    static const uint64_t never[] = {17}, wrong[] = {9, 3};
    struct world x;
    pushed_world(&x, NULL);
    const struct {
        struct learner_erasure e;
        enum status status;
        const char *field;
    } rows[] = {
        {{.classes = unknown, .n_classes = 1}, STATUS_NOT_FOUND, "subject"},
        {{.keys = never, .n_keys = 1}, STATUS_NOT_FOUND, "subject"},
        {{.keys = wrong, .n_keys = 2}, STATUS_INVALID_ARGUMENT, "keys"},
        {{0}, STATUS_INVALID_ARGUMENT, "erasure"},
        {{.component = "s.7"}, STATUS_NOT_FOUND, "component"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(world_erase(&x, &rows[i].e), rows[i].status);
        assert_string_equal(x.f.field, rows[i].field);
    }
    world_fini(&x);
}

/* ------------------------------------------------------------------ refit */

/* Weights of two experts of the same shape. */
static void assert_weights(struct world *x, struct world *y, const char *name, int same)
{
    struct reading a, b;
    reading_open(x, name, &a);
    reading_open(y, name, &b);
    const size_t n = a.model->body + a.model->classes * ((size_t)x->c.width + 1);
    assert_int_equal(a.model->classes, b.model->classes);
    assert_int_equal(memcmp(a.model->weights, b.model->weights, n * sizeof(float)) == 0, same);
    reading_close(&a);
    reading_close(&b);
}

void test_a_refit_on_the_same_trunk_gives_the_same_numbers(void **state)
{
    (void)state;
    struct world x, y;
    pushed_world(&x, NULL);
    pushed_world(&y, NULL);
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    assert_int_equal(y.changed, 3);
    assert_weights(&x, &y, "s.0", 1);
    assert_weights(&x, &y, "s.1", 1);
    const struct world_part one = world_copy(&y, "s.1");
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    assert_int_equal(y.changed, 1); /* again: nothing changes but the stream's record is given */
    assert_same_part(&one, world_the(&y, "s.1"));
    free(one.bytes);
    world_fini(&x);
    world_fini(&y);
}

/* After an erasure of the base the experts stand on nothing until they are brought up to date. */
void test_a_refit_after_the_trunk_moved(void **state)
{
    (void)state;
    static const struct learner_option one[] = {{"action", "refit"}, {"experts", "s.1"}};
    static const struct learner_option wrong[] = {{"action", "refit"}, {"experts", "s.1,s.5"}};
    struct world x, y;
    pushed_world(&x, NULL);
    pushed_world(&y, NULL);
    for (size_t i = 0; i < (size_t)x.c.hidden * x.c.width; i++) {
        x.w.blocks[1].fc1_w[i] *= 0.9f;
        y.w.blocks[1].fc1_w[i] *= 0.9f;
    }
    x.trunk.state.b[0] = y.trunk.state.b[0] = 77;
    const struct world_part *zero = world_the(&x, "s.0");
    const struct learner_part part = {
        .kind = "expert", .name = "s.0", .bytes = zero->bytes, .size = zero->size};
    unsigned char memory[1 << 16];
    struct arena arena;
    struct learner_model *model;
    arena_init(&arena, memory, sizeof memory);
    assert_int_equal(learner_tame.import(&part, &x.trunk, &arena, &model, &x.f),
                     STATUS_FAILED_PRECONDITION);
    arena_fini(&arena);
    assert_int_equal(world_run(&x, &(struct world_wish){.options = wrong, .n_options = 2}),
                     STATUS_NOT_FOUND);
    assert_string_equal(x.f.field, "experts");
    world_must(&x, &(struct world_wish){.options = one, .n_options = 2});
    assert_int_equal(x.changed, 3); /* the other one has a new window and stands on it, too */
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    assert_weights(&x, &y, "s.1", 1);
    assert_weights(&x, &y, "s.0", 0);
    world_push(&x, 0, 4); /* the stream goes on */
    world_fini(&x);
    world_fini(&y);
}

/* An erasure and a moved trunk in one run: as the one after the other. */
void test_a_refit_may_erase_as_well(void **state)
{
    (void)state;
    static const char *const gone[] = {"b"};
    const struct learner_erasure e = {.classes = gone, .n_classes = 1};
    struct world x, y;
    pushed_world(&x, NULL);
    pushed_world(&y, NULL);
    world_must(&x, &(struct world_wish){.options = &refit_option, .n_options = 1, .erasure = &e});
    assert_int_equal(world_erase(&y, &e), STATUS_OK);
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    for (uint32_t i = 0; i < x.n_parts; i++)
        assert_same_part(&x.parts[i], world_the(&y, x.parts[i].name));
    world_fini(&x);
    world_fini(&y);
}

/* Kept features belong to a trunk: after it moved they are those of the images on the new one. */
void test_kept_features_follow_the_trunk(void **state)
{
    (void)state;
    static const struct learner_option options[] = {
        {"action", "open"},     {"batch", "12"},          {"n_run", "20"},     {"lr", "0.02"},
        {"selector", "linear"}, {"selector_epochs", "3"}, {"buffer", "1000"},  {"store", "feature"},
        {"probe", "off"},       {"experts_max", "4"},     {"reserve_max", "0"}};
    struct world x, y;
    world_init(&x, 1);
    world_init(&y, 1);
    world_must(&x, &(struct world_wish){.options = options, .n_options = 11});
    world_push(&x, 0, 6);
    for (size_t i = 0; i < (size_t)x.c.hidden * x.c.width; i++) {
        x.w.blocks[1].fc1_w[i] *= 0.9f;
        y.w.blocks[1].fc1_w[i] *= 0.9f;
    }
    x.trunk.state.b[0] = y.trunk.state.b[0] = 77;
    world_must(&x, &(struct world_wish){.options = &refit_option, .n_options = 1});
    /* one who learned the same on the new trunk, with the same window afterwards */
    world_must(&y, &(struct world_wish){.options = options, .n_options = 11});
    world_push(&y, 0, 6);
    world_must(&y, &(struct world_wish){.options = &refit_option, .n_options = 1});
    assert_same_part(world_the(&x, "s.0"), world_the(&y, "s.0"));
    /* an image that is not at hand any more: its feature goes, though nothing is trained again */
    const struct world_part all = world_copy(&x, "s.0");
    static const struct learner_option none[] = {{"action", "refit"}, {"experts", ""}};
    x.trunk.state.b[0] = 78;
    const struct world_wish few = {.options = none, .n_options = 2, .images = 20};
    world_must(&x, &few);
    assert_true(world_the(&x, "s.0")->size < all.size);
    /* nothing is kept any more: the stream goes on without */
    x.keys[0] ^= 1;
    x.trunk.state.b[0] = 79;
    world_must(&x, &(struct world_wish){.options = none, .n_options = 2, .images = 1});
    x.trunk.state.b[0] = 80;
    world_must(&x, &(struct world_wish){.options = none, .n_options = 2, .images = 1});
    world_push(&x, 6, 9);
    free(all.bytes);
    world_fini(&x);
    world_fini(&y);
}
