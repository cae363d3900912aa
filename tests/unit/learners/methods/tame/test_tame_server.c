/* Answers of stored experts: the folded network, alone and together, few and many images. */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_model.h"
#include "learners/nn/head.h"

#define IMAGES 10u
#define ROOM   8u /* logits of an expert, at most */

struct answers {
    struct world x;
    void *memory;
    struct arena arena;
    struct learner_model *models[2];
    float pixels[IMAGES][WORLD_PIXELS];
    const float *images[IMAGES];
};

/* Two experts, of streams whose adapters begin at different blocks where `blocks` is not 0. */
static void answers_open(struct answers *a, const char *blocks, uint32_t threads)
{
    struct world *x = &a->x;
    const struct learner_option options[] = {
        {"action", "open"}, {"batch", "12"},  {"n_run", "20"},      {"lr", "0.02"},
        {"rank", "2"},      {"probe", "off"}, {"experts_max", "8"}, {"blocks", blocks}};
    world_init(x, threads);
    world_must(x, &(struct world_wish){.options = options, .n_options = 8});
    world_push(x, 0, WORLD_RUN + 8);
    const size_t size = (size_t)1 << 20;
    a->memory = vit_fixture_alloc(size, 1);
    arena_init(&a->arena, a->memory, size);
    for (uint32_t i = 0; i < 2; i++) {
        const struct world_part *from = world_the(x, i ? "s.1" : "s.0");
        const struct learner_part part = {
            .kind = "expert", .name = from->name, .bytes = from->bytes, .size = from->size};
        if (learner_tame.import(&part, &x->trunk, &a->arena, &a->models[i], &x->f) != STATUS_OK)
            fail_msg("%s: %s", x->f.field, x->f.text);
    }
    const struct image_table t = {.pixels = x->pixels,
                                  .labels = x->labels,
                                  .n = WORLD_IMAGES,
                                  .size = 8,
                                  .channels = 1,
                                  .scale = {0.01f},
                                  .shift = {-1.0f}};
    for (uint32_t i = 0; i < IMAGES; i++) {
        images_load(&t, i * 37, a->pixels[i]);
        a->images[i] = a->pixels[i];
    }
}

static void answers_close(struct answers *a)
{
    arena_fini(&a->arena);
    free(a->memory);
    world_fini(&a->x);
}

/* Logits of the models on images first .. first + n - 1, in one call with exactly the plan. */
static void answer(struct answers *a,
                   struct learner_model *const *models,
                   uint32_t n_models,
                   uint32_t first,
                   uint32_t n,
                   float *const *logits)
{
    const size_t size = learner_tame.forward_plan(models, n_models, &a->x.trunk, n, a->x.threads);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    struct learner_forward *forward;
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = a->x.pool, .arena = &arena};
    assert_int_equal(
        learner_tame.forward_new(models, n_models, &a->x.trunk, n, &tools, &forward, &a->x.f),
        STATUS_OK);
    assert_null(learner_tame.watch(forward).observer);
    const struct learner_stream stream = {.n = n, .images = a->images + first};
    learner_tame.forward(forward, &stream, logits);
    arena_fini(&arena);
    free(memory);
}

/* The same by hand: W + s B A into a copy of all weights, then the whole network from pixels. */
static void by_hand(struct answers *a, const struct learner_model *m, float *logits)
{
    const struct vit_config *c = &a->x.c;
    const size_t w = c->width, h = c->hidden, r = m->options.rank, floats = vit_weights_floats(c);
    float *block = vit_fixture_alloc(floats, sizeof *block);
    float embeddings[IMAGES * 16];
    struct vit_weights folded;
    struct vit_batch *batch;
    memcpy(block, a->x.block, floats * sizeof *block);
    vit_weights_map(c, block, &folded);
    const uint32_t first = m->options.blocks ? c->depth - m->options.blocks : 0;
    for (uint32_t l = first; l < c->depth; l++) {
        const float *at = m->weights + (l - first) * 2 * r * (w + h);
        struct vit_block *b = &folded.blocks[l];
        vit_lora_fold(b->fc1_w, at + r * w, at, m->options.scale, h, w, (uint32_t)r, b->fc1_w);
        at += r * (w + h);
        vit_lora_fold(b->fc2_w, at + r * h, at, m->options.scale, w, h, (uint32_t)r, b->fc2_w);
    }
    const struct arena_mark mark = arena_mark(&a->arena);
    assert_int_equal(vit_batch_new(c, VIT_INFER, IMAGES, a->x.pool, &a->arena, &batch), STATUS_OK);
    vit_forward(batch, &folded, &(struct vit_input){.n = IMAGES, .images = a->images},
                &(struct vit_output){.embeddings = embeddings});
    const float *head = m->weights + m->body;
    const struct head_dims d = {.n = IMAGES, .width = w, .classes = m->classes};
    head_forward(&d, embeddings, head, head + m->classes * w, NULL, logits);
    arena_rewind(&a->arena, mark);
    free(block);
}

static void check_same_bits(const char *blocks, uint32_t threads)
{
    struct answers a;
    float want[2][IMAGES * ROOM], both[2][IMAGES * ROOM], alone[IMAGES * ROOM], single[ROOM];
    float *const two[] = {both[0], both[1]}, *const one[] = {alone}, *const tiny[] = {single};
    answers_open(&a, blocks, threads);
    for (uint32_t m = 0; m < 2; m++)
        by_hand(&a, a.models[m], want[m]);
    answer(&a, a.models, 2, 0, IMAGES, two);
    for (uint32_t m = 0; m < 2; m++) {
        const char *const *names;
        const size_t k = learner_tame.labels(a.models[m], &names);
        assert_int_equal(k, 3);
        assert_string_equal(names[0], m ? "d" : "a");
        assert_memory_equal(both[m], want[m], IMAGES * k * sizeof(float));
        answer(&a, &a.models[m], 1, 0, IMAGES, one);
        assert_memory_equal(alone, want[m], IMAGES * k * sizeof(float));
        for (uint32_t i = 0; i < IMAGES; i++) {
            answer(&a, &a.models[m], 1, i, 1, tiny);
            assert_memory_equal(single, want[m] + i * k, k * sizeof(float));
        }
    }
    answers_close(&a);
}

void test_answers_are_the_folded_networks(void **state)
{
    (void)state;
    check_same_bits("0", 1);
    check_same_bits("0", 2);
}

void test_answers_of_experts_in_the_last_blocks(void **state)
{
    (void)state;
    check_same_bits("1", 1);
    check_same_bits("2", 2);
}

/* Experts that begin at different blocks share a call. */
void test_experts_of_two_streams_answer_together(void **state)
{
    (void)state;
    struct answers a, b;
    float mixed[2][IMAGES * ROOM], want[2][IMAGES * ROOM];
    float *const two[] = {mixed[0], mixed[1]};
    answers_open(&a, "0", 1);
    answers_open(&b, "1", 1);
    struct learner_model *const models[] = {a.models[0], b.models[1]};
    by_hand(&a, a.models[0], want[0]);
    by_hand(&b, b.models[1], want[1]);
    answer(&a, models, 2, 0, IMAGES, two);
    assert_memory_equal(mixed[0], want[0], IMAGES * 3 * sizeof(float));
    assert_memory_equal(mixed[1], want[1], IMAGES * 3 * sizeof(float));
    answers_close(&a);
    answers_close(&b);
}

/* The experts have learned their tasks: their own classes are told apart. */
void test_experts_know_their_tasks(void **state)
{
    (void)state;
    struct answers a;
    float logits[IMAGES * ROOM];
    float *const to[] = {logits};
    uint32_t right = 0, asked = 0;
    answers_open(&a, "0", 1);
    answer(&a, a.models, 1, 0, IMAGES, to);
    for (uint32_t i = 0; i < IMAGES; i++) {
        uint32_t best = 0;
        const int32_t label = a.x.labels[i * 37];
        for (uint32_t k = 1; k < 3; k++)
            best = logits[i * 3 + k] > logits[i * 3 + best] ? k : best;
        asked += label < 3;
        right += label == (int32_t)best;
    }
    assert_true(asked >= 5);
    assert_true(right + 1 >= asked);
    answers_close(&a);
}

void test_less_memory_than_planned_is_refused(void **state)
{
    (void)state;
    struct answers a;
    answers_open(&a, "0", 1);
    const size_t size = learner_tame.forward_plan(a.models, 2, &a.x.trunk, 4, 1);
    void *memory = vit_fixture_alloc(size, 1);
    for (size_t part = 0; part < 8; part++) {
        struct arena arena;
        struct learner_forward *forward;
        arena_init(&arena, memory, size / 8 * part);
        const struct learner_tools tools = {.pool = a.x.pool, .arena = &arena};
        assert_int_equal(
            learner_tame.forward_new(a.models, 2, &a.x.trunk, 4, &tools, &forward, &a.x.f),
            STATUS_NO_MEMORY);
        assert_int_equal(arena_mark(&arena).used, 0);
        arena_fini(&arena);
    }
    free(memory);
    struct arena arena;
    struct learner_forward *forward;
    unsigned char little[64];
    arena_init(&arena, little, sizeof little);
    const struct learner_tools tools = {.pool = a.x.pool, .arena = &arena};
    a.x.trunk.state.b[3] ^= 1; /* the experts stand on another state */
    assert_int_equal(learner_tame.forward_new(a.models, 2, &a.x.trunk, 4, &tools, &forward, &a.x.f),
                     STATUS_FAILED_PRECONDITION);
    arena_fini(&arena);
    answers_close(&a);
}
