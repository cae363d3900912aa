/*
 * A version with two real lanes and the router's terms of all owners: the base's logits stay what
 * they are, lanes do not see each other, routed scores are the same for any batch and thread count.
 */
#include "tests/property/learners/learner_contract.h"

#include "learners/answer/answer.h"

#define IMAGES 6

struct made_part {
    struct learner_made made;
    struct learner_part part;
};

/* A component of its learner, trained on images of all classes of the fixture. */
static struct made_part make_part(const char *learner, const char *name, uint64_t seed)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    const struct learner *l = learner_find(learner);
    assert_non_null(l);
    gslora_fixture_init(&x, &c, 1);
    struct learner_problem p = learner_contract_problem_of(&x);
    const struct learner_option few = {"epochs", "2"};
    uint32_t rows[GSLORA_FIXTURE_IMAGES];
    for (uint32_t i = 0; i < GSLORA_FIXTURE_IMAGES; i++)
        rows[i] = i;
    const uint32_t n_train = 120;
    p.lists[LEARNER_TRAIN] = (struct learner_rows){rows, n_train};
    p.lists[LEARNER_VALID] = (struct learner_rows){rows + n_train, GSLORA_FIXTURE_IMAGES - n_train};
    p.lists[LEARNER_FORGET] = p.lists[LEARNER_FORGET_VALID] = (struct learner_rows){rows, 0};
    p.name = name;
    p.seed = seed;
    p.options = strcmp(learner, "multilane") == 0 ? &few : NULL;
    p.n_options = p.options ? 1 : 0;
    const size_t size = l->plan(&p, 1);
    assert_true(size < SIZE_MAX);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x.pool, .arena = &arena};
    struct learner_run *run;
    struct learner_progress progress = {0};
    struct fault f = {0};
    if (l->init(&p, &tools, &run, &f) != STATUS_OK)
        fail_msg("%s: %s: %s", learner, f.field, f.text);
    while (!progress.done)
        assert_int_equal(l->step(run, &progress, &f), STATUS_OK);
    struct learner_part parts[LEARNER_PARTS];
    struct made_part m = {0};
    uint32_t n;
    assert_int_equal(l->export(run, parts, &n, &m.made.outcome, &f), STATUS_OK);
    m.made.bytes = vit_fixture_alloc(parts[0].size, 1);
    memcpy(m.made.bytes, parts[0].bytes, parts[0].size);
    m.part = (struct learner_part){
        .kind = l->kind, .name = name, .bytes = m.made.bytes, .size = parts[0].size};
    arena_fini(&arena);
    free(memory);
    gslora_fixture_fini(&x);
    return m;
}

/* What a version answers on the first images of the fixture. */
struct answered {
    uint32_t width, n_owners;
    float *raw, *routed;
    enum answer_decision decision;
};

static struct answered
ask(const struct made_part *parts, uint32_t n, const char *scope, uint32_t batch, uint32_t threads)
{
    struct gslora_fixture x;
    const struct vit_config c = gslora_fixture_config(LEARNER_CONTRACT_DEPTH);
    gslora_fixture_init(&x, &c, threads);
    struct learner_part list[8];
    for (uint32_t i = 0; i < n; i++)
        list[i] = parts[i].part;
    const struct learner_problem p = learner_contract_problem_of(&x);
    const struct answer_parts version = {.trunk = p.trunk, .parts = list, .n_parts = n};
    size_t work;
    const size_t size = answer_plan(&version, threads, &work);
    assert_true(size < SIZE_MAX && work < SIZE_MAX);
    void *memory = vit_fixture_alloc(size, 1), *scratch_memory = vit_fixture_alloc(work, 1);
    struct arena arena, scratch, run_arena;
    struct answer *a;
    struct fault f = {0};
    arena_init(&arena, memory, size);
    arena_init(&scratch, scratch_memory, work);
    struct learner_tools tools = {.pool = x.pool, .arena = &arena};
    if (answer_new(&version, &tools, &scratch, &a, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    uint8_t wanted[8];
    assert_int_equal(answer_scope(a, scope, wanted, &f), STATUS_OK);
    const struct answer_wish wish = {.wanted = wanted, .n_max = batch};
    const size_t run_size = answer_forward_plan(a, &wish, threads);
    void *run_memory = vit_fixture_alloc(run_size, 1);
    arena_init(&run_arena, run_memory, run_size);
    tools.arena = &run_arena;
    struct answer_forward *w;
    if (answer_forward_new(a, &wish, &tools, &w, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    const struct answer_columns *columns = answer_forward_columns(w);
    struct answered r = {.width = columns->n, .n_owners = columns->n_owners};
    r.raw = vit_fixture_alloc((size_t)IMAGES * r.width, sizeof *r.raw);
    r.routed = vit_fixture_alloc((size_t)IMAGES * r.width, sizeof *r.routed);
    float pixels[IMAGES][64];
    const float *images[IMAGES];
    for (uint32_t i = 0; i < IMAGES; i++) {
        images_load(&p.images, i, pixels[i]);
        images[i] = pixels[i];
    }
    for (uint32_t from = 0; from < IMAGES; from += batch) {
        struct answer_scores s;
        const uint32_t m = IMAGES - from < batch ? IMAGES - from : batch;
        answer_run(w, m, images + from, &s);
        memcpy(r.raw + (size_t)from * r.width, s.raw, (size_t)m * r.width * sizeof(float));
        memcpy(r.routed + (size_t)from * r.width, s.routed, (size_t)m * r.width * sizeof(float));
        r.decision = s.decision;
    }
    arena_fini(&run_arena);
    arena_fini(&arena);
    arena_fini(&scratch);
    free(run_memory);
    free(memory);
    free(scratch_memory);
    gslora_fixture_fini(&x);
    return r;
}

static void answered_free(struct answered *r)
{
    free(r->raw);
    free(r->routed);
}

void test_answer_learners_lanes_do_not_see_each_other(void **state)
{
    (void)state;
    struct made_part lanes[2] = {make_part("multilane", "one", 1),
                                 make_part("multilane", "two", 2)};
    struct answered both = ask(lanes, 2, "all", 4, 1), alone = ask(lanes + 1, 1, "lanes", 1, 1),
                    base = ask(NULL, 0, "", IMAGES, 1);
    const uint32_t k = base.width, width = alone.width;
    assert_int_equal(both.width, k + 2 * width);
    assert_int_equal(both.decision, ANSWER_RAW); /* nobody routes */
    for (uint32_t i = 0; i < IMAGES; i++) {
        const float *row = both.raw + (size_t)i * both.width;
        assert_memory_equal(row, base.raw + (size_t)i * k, k * sizeof *row);
        assert_memory_equal(row + k + width, alone.raw + (size_t)i * width, width * sizeof *row);
        assert_memory_not_equal(row + k, row + k + width, width * sizeof *row);
    }
    answered_free(&both);
    answered_free(&alone);
    answered_free(&base);
    for (uint32_t i = 0; i < 2; i++)
        free(lanes[i].made.bytes);
}

void test_answer_learners_route_the_same_for_any_batch_and_threads(void **state)
{
    (void)state;
    struct made_part parts[4] = {make_part("multilane", "one", 1), make_part("ridge", "base", 1),
                                 make_part("multilane", "two", 2),
                                 make_part("ridge", "lane:two", 1)};
    struct answered partial = ask(parts, 4, "all", 2, 1);
    assert_int_equal(partial.decision, ANSWER_RAW); /* the router does not know lane one */
    answered_free(&partial);
    free(parts[0].made.bytes);
    parts[0] = make_part("ridge", "lane:gone", 1); /* terms of an owner that is not there */
    struct answered first = ask(parts, 4, "all", 1, 1);
    assert_int_equal(first.decision, ANSWER_ROUTED);
    for (uint32_t i = 0; i < IMAGES; i++) {
        double sum = 0.0;
        for (uint32_t k = 0; k < first.width; k++)
            sum += exp((double)first.routed[(size_t)i * first.width + k]);
        assert_near(sum, 1.0, 1e-5);
    }
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct answered again = ask(parts, 4, "all", 4, threads);
        const size_t bytes = IMAGES * (size_t)first.width * sizeof(float);
        assert_memory_equal(again.raw, first.raw, bytes);
        assert_memory_equal(again.routed, first.routed, bytes);
        answered_free(&again);
    }
    answered_free(&first);
    for (uint32_t i = 0; i < 4; i++)
        free(parts[i].made.bytes);
}
