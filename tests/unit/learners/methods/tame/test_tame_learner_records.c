/* Records from outside: cut at every length, with flipped bytes, of another stream. */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_model.h"

/* A stream with one expert and a held batch, all records small. */
static void small_world(struct world *x)
{
    static const struct learner_option options[] = {
        {"action", "open"},   {"batch", "12"},         {"n_run", "20"},      {"lr", "0.02"},
        {"rank", "1"},        {"reserve", "0.1"},      {"reserve_max", "4"}, {"experts_max", "3"},
        {"classes_max", "8"}, {"probe", "off"},        {"blocks", "1"},      {"selector", "linear"},
        {"buffer", "6"},      {"selector_epochs", "1"}};
    world_init(x, 1);
    world_must(x, &(struct world_wish){.options = options, .n_options = 14});
    world_push(x, 0, WORLD_RUN + 1);
    assert_int_equal(world_info(x).held, 1);
    assert_int_equal(x->n_parts, 2);
}

static int is_refusal(enum status st)
{
    return st == STATUS_BAD_FORMAT || st == STATUS_FAILED_PRECONDITION || st == STATUS_NO_MEMORY ||
           st == STATUS_RESOURCE_EXHAUSTED || st == STATUS_INVALID_ARGUMENT;
}

/* Imports the bytes and, if they pass, asks for answers and the fate of an erasure. */
static enum status try_import(struct world *x, const uint8_t *bytes, size_t size)
{
    static const char *const gone[] = {"b"};
    const struct learner_erasure e = {.classes = gone, .n_classes = 1};
    const struct learner_part part = {
        .kind = "expert", .name = "s.0", .bytes = bytes, .size = size};
    const size_t need = learner_tame.import_plan(&part, &x->trunk) + (1u << 16);
    void *memory = vit_fixture_alloc(need, 1);
    struct arena arena;
    struct learner_model *model;
    arena_init(&arena, memory, need);
    x->f = (struct fault){0};
    const enum status st = learner_tame.import(&part, &x->trunk, &arena, &model, &x->f);
    if (st == STATUS_OK) {
        struct learner_forward *forward;
        struct learner_source list[8];
        const struct learner_tools tools = {.pool = x->pool, .arena = &arena};
        (void)learner_tame.erase(model, &e);
        (void)learner_tame.lineage(model, list, 8);
        if (learner_tame.forward_plan(&model, 1, &x->trunk, 1, 1) < 1u << 15) {
            float logits[8], pixels[WORLD_PIXELS] = {0};
            const float *image = pixels;
            float *const to = logits;
            assert_int_equal(
                learner_tame.forward_new(&model, 1, &x->trunk, 1, &tools, &forward, &x->f),
                STATUS_OK);
            learner_tame.forward(forward, &(struct learner_stream){.n = 1, .images = &image}, &to);
        }
    } else {
        assert_int_equal(arena_mark(&arena).used, 0);
    }
    arena_fini(&arena);
    free(memory);
    return st;
}

void test_an_expert_cut_at_every_length_is_refused(void **state)
{
    (void)state;
    struct world x;
    small_world(&x);
    const struct world_part *p = world_the(&x, "s.0");
    for (size_t cut = 0; cut < p->size; cut++) {
        uint8_t *bytes = vit_fixture_alloc(cut, 1); /* so that a read behind it is seen */
        memcpy(bytes, p->bytes, cut);
        assert_int_equal(try_import(&x, bytes, cut), STATUS_BAD_FORMAT);
        assert_true(x.f.text[0] != '\0');
        free(bytes);
    }
    assert_int_equal(try_import(&x, p->bytes, p->size), STATUS_OK);
    world_fini(&x);
}

void test_an_expert_with_flipped_bytes_never_crashes(void **state)
{
    (void)state;
    struct world x;
    uint32_t refused = 0;
    struct rng r;
    small_world(&x);
    const struct world_part *p = world_the(&x, "s.0");
    uint8_t *bytes = vit_fixture_alloc(p->size, 1);
    rng_init(&r, &(struct rng_root){.seed = 4}, "flip", 0);
    for (size_t at = 0; at < p->size; at++) {
        memcpy(bytes, p->bytes, p->size);
        bytes[at] ^= (uint8_t)(1u + rng_below(&r, 255));
        const enum status st = try_import(&x, bytes, p->size);
        assert_true(st == STATUS_OK || is_refusal(st));
        refused += st != STATUS_OK;
    }
    assert_true(refused > 300);
    free(bytes);
    world_fini(&x);
}

/* A run on records of which one was replaced; the world's components stay as they were. */
static enum status try_run(struct world *x, const char *name, uint8_t *bytes, size_t size, int act)
{
    static const char *const gone[] = {"b"};
    static const struct learner_option erase = {"action", "erase"};
    const struct learner_erasure e = {.classes = gone, .n_classes = 1};
    const struct world_wish push = {.from = 0, .until = 2 * WORLD_BATCH};
    const struct world_wish forget = {.options = &erase, .n_options = 1, .erasure = &e};
    struct world_part *p = world_the(x, name);
    struct learner_part given[WORLD_PARTS], made[LEARNER_PARTS];
    const struct world_part good = *p;
    p->bytes = bytes;
    p->size = size;
    const struct learner_problem problem = world_problem(x, act ? &forget : &push, given);
    size_t need = learner_tame.plan(&problem, 1);
    struct learner_run *run;
    struct learner_outcome outcome;
    struct arena arena;
    uint32_t n;
    if (need > (size_t)4 << 20) /* a daemon would refuse it as well */
        need = 4096;
    void *memory = vit_fixture_alloc(need, 1);
    arena_init(&arena, memory, need);
    x->f = (struct fault){0};
    const struct learner_tools tools = {.pool = x->pool, .arena = &arena};
    enum status st = learner_tame.init(&problem, &tools, &run, &x->f);
    if (st == STATUS_OK)
        st = world_steps(x, run);
    if (st == STATUS_OK)
        st = learner_tame.export(run, made, &n, &outcome, &x->f);
    arena_fini(&arena);
    free(memory);
    *world_the(x, name) = good;
    return st;
}

void test_a_stream_cut_at_every_length_is_refused(void **state)
{
    (void)state;
    struct world x;
    small_world(&x);
    const struct world_part *p = world_the(&x, "s");
    for (size_t cut = 0; cut < p->size; cut += cut < 600 ? 1 : 7) {
        uint8_t *bytes = vit_fixture_alloc(cut, 1);
        struct tame_learner_info info;
        char name[LEARNER_NAME_SIZE], class[TAME_CLASS_NAME_SIZE];
        const struct learner_erasure none = {0};
        uint32_t held;
        memcpy(bytes, p->bytes, cut);
        assert_int_equal(try_run(&x, "s", bytes, cut, 0), STATUS_BAD_FORMAT);
        const enum status st = tame_learner_peek(bytes, cut, &info, &x.f);
        assert_true(st == STATUS_OK || st == STATUS_BAD_FORMAT);
        const enum status rows = tame_learner_class(bytes, cut, 0, class, name, &x.f);
        assert_true(rows == STATUS_OK || (rows == STATUS_BAD_FORMAT && st == rows));
        assert_int_equal(tame_learner_expert(bytes, cut, 0, name, &x.f), rows);
        const enum status other = tame_learner_held(bytes, cut, &none, &held, &x.f);
        assert_true(other == STATUS_OK || other == STATUS_BAD_FORMAT);
        free(bytes);
    }
    assert_int_equal(try_run(&x, "s", p->bytes, p->size, 0), STATUS_OK);
    world_fini(&x);
}

static void flip(struct world *x, const char *name, size_t every, uint32_t least)
{
    const struct world_part *p = world_the(x, name);
    const size_t size = p->size;
    uint32_t refused = 0;
    uint8_t *bytes = vit_fixture_alloc(size, 1), *original = p->bytes;
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 4}, name, 0);
    for (size_t at = 0; at < size; at += at < 300 ? 1 : 1 + rng_below(&r, every)) {
        memcpy(bytes, original, size);
        bytes[at] ^= (uint8_t)(1u << rng_below(&r, 8));
        const enum status st = try_run(x, name, bytes, size, (int)(at % 2));
        assert_true(st == STATUS_OK || is_refusal(st) || st == STATUS_OUT_OF_RANGE ||
                    st == STATUS_NOT_FOUND);
        refused += st != STATUS_OK;
    }
    assert_true(refused > least);
    free(bytes);
}

void test_a_stream_with_flipped_bytes_never_crashes(void **state)
{
    (void)state;
    struct world x;
    small_world(&x);
    flip(&x, "s", 16, 150);
    world_fini(&x);
}

void test_a_stream_whose_expert_has_flipped_bytes_never_crashes(void **state)
{
    (void)state;
    struct world x;
    small_world(&x);
    flip(&x, "s.0", 50, 150);
    world_fini(&x);
}

/* Components that do not belong together. */
void test_foreign_components_are_refused(void **state)
{
    (void)state;
    struct world x, y;
    small_world(&x);
    world_init(&y, 1);
    world_open(&y);
    world_push(&y, 0, 4);
    const struct world_part *other = world_the(&y, "s.0");
    assert_int_equal(try_run(&x, "s.0", other->bytes, other->size, 0), STATUS_FAILED_PRECONDITION);
    struct world_part *zero = world_the(&x, "s.0");
    zero->name[2] = '9'; /* the expert that the stream needs is not there */
    assert_int_equal(world_run(&x, &(struct world_wish){.until = 12}), STATUS_FAILED_PRECONDITION);
    assert_string_equal(x.f.field, "experts");
    zero->name[2] = '0';
    x.c.depth = x.trunk.config.depth = 2;
    assert_int_equal(try_import(&x, zero->bytes, zero->size), STATUS_OK); /* the last block only */
    x.trunk.config.width = 8;
    assert_int_equal(try_import(&x, zero->bytes, zero->size), STATUS_BAD_FORMAT);
    world_fini(&x);
    world_fini(&y);
}
