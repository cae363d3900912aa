/*
 * The factorised pathway against the naive form in double precision: logits, and gradients against
 * central differences of the naive form; both replace modes, blocks with and without prompts, one
 * selector, and the switches.
 */
#include "tests/support/test.h"

#include "tests/property/learners/multilane_fixture.h"

#define N_IMAGES   3
#define N_CLASSES  4
#define MAX_FLOATS 400

/* Everything of one comparison. */
struct comparison {
    struct vit_fixture x;
    struct feature_store store;
    struct lane_fixture lane;
    struct pathway_room room;
    float logits[N_IMAGES * N_CLASSES];
    float weights[N_IMAGES * N_CLASSES]; /* the value is <weights, logits> */
    double block[MAX_FLOATS];
};

static void forward(struct comparison *t)
{
    const struct lane_trunk trunk = {&t->x.c, &t->x.w};
    const struct pathway_lane *lanes[N_IMAGES];
    float *logits[N_IMAGES];
    struct pathway_row rows[N_IMAGES];
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        lanes[i] = &t->lane.view;
        logits[i] = t->logits + i * N_CLASSES;
    }
    pathway_start(t->room.x, &trunk, N_IMAGES, lanes);
    for (uint32_t l = 0; l < t->x.c.depth; l++) {
        for (uint32_t i = 0; i < N_IMAGES; i++)
            rows[i] = (struct pathway_row){lanes[i], t->store.features[l * N_IMAGES + i]};
        pathway_step(t->room.x, &trunk, l, N_IMAGES, rows);
    }
    pathway_finish(t->room.x, &trunk, N_IMAGES, lanes, logits);
}

static void
comparison_init(struct comparison *t, const struct vit_config *c, const struct lane_options *o)
{
    vit_fixture_init(&t->x, c, VIT_INFER, N_IMAGES, 1);
    t->store = feature_store_make(&t->x);
    lane_fixture_init(&t->lane, &t->x, o, N_CLASSES, "lane");
    assert_true(t->lane.floats <= MAX_FLOATS);
    t->room = pathway_room_make(c, N_IMAGES, o->selectors, 1);
    float *w = vit_fixture_normal(N_IMAGES * N_CLASSES, "functional", 1.0f);
    memcpy(t->weights, w, sizeof t->weights);
    free(w);
    for (size_t i = 0; i < t->lane.floats; i++)
        t->block[i] = (double)t->lane.block[i];
}

static void comparison_fini(struct comparison *t)
{
    pathway_room_free(&t->room);
    lane_fixture_fini(&t->lane);
    feature_store_free(&t->store);
    vit_fixture_fini(&t->x);
}

static struct naive naive_of(const struct comparison *t)
{
    return (struct naive){&t->x.c, &t->x.w, &t->lane.o, N_CLASSES, t->block};
}

static double naive_value(const struct comparison *t)
{
    const struct naive k = naive_of(t);
    double value = 0.0, logits[N_CLASSES];
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        naive_logits(&k, &t->store, i, logits);
        for (size_t m = 0; m < N_CLASSES; m++)
            value += logits[m] * (double)t->weights[i * N_CLASSES + m];
    }
    return value;
}

/* Gradient of the value for all parameters, laid out as they are. */
static void gradient(struct comparison *t, float *grad)
{
    const struct vit_config *c = &t->x.c;
    const struct lane_trunk trunk = {c, &t->x.w};
    struct lane_parameters p;
    memset(grad, 0, t->lane.floats * sizeof *grad);
    lane_map(c, &t->lane.o, N_CLASSES, grad, &p);
    float *shat =
        vit_fixture_alloc((size_t)c->depth * t->lane.o.selectors * c->width, sizeof *shat);
    const struct pathway_gradient g = {shat, p.prompts, p.head_w, p.head_b};
    pathway_backward(t->room.x, &trunk, N_IMAGES, &t->lane.view, t->store.features, t->weights,
                     NULL, &g);
    selector_chain_backward(t->lane.chain, &trunk, shat, p.selectors);
    free(shat);
}

static void compare(const struct vit_config *c, const struct lane_options *o)
{
    struct comparison t;
    comparison_init(&t, c, o);
    forward(&t);
    const struct naive k = naive_of(&t);
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        double logits[N_CLASSES];
        naive_logits(&k, &t.store, i, logits);
        for (size_t m = 0; m < N_CLASSES; m++)
            assert_near(t.logits[i * N_CLASSES + m], logits[m], 1e-5);
    }
    float grad[MAX_FLOATS];
    gradient(&t, grad);
    const double h = 1e-4;
    double largest = 0.0;
    for (size_t i = 0; i < t.lane.floats; i++) {
        const double at = t.block[i];
        double value[4];
        for (int s = 0; s < 4; s++) {
            static const double steps[4] = {-2, -1, 1, 2};
            t.block[i] = at + steps[s] * h;
            value[s] = naive_value(&t);
        }
        t.block[i] = at;
        const double measured = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
        assert_near(grad[i], measured, 1e-5);
        largest = fabs(measured) > largest ? fabs(measured) : largest;
    }
    assert_true(largest > 0.1); /* the comparison compared something */
    comparison_fini(&t);
}

void test_multilane_pathway_is_the_naive_form_parity(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    const struct lane_options o = lane_fixture_options();
    compare(&c, &o);
}

void test_multilane_pathway_is_the_naive_form_pure(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct lane_options o = lane_fixture_options();
    o.replace_mode = LANE_REPLACE_PURE;
    compare(&c, &o);
}

void test_multilane_pathway_prompts_in_all_blocks_and_in_none(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct lane_options o = lane_fixture_options();
    o.prompt_blocks = c.depth;
    compare(&c, &o);
    o.prompt_blocks = 0;
    compare(&c, &o);
    o.prompt_blocks = 2;
    o.prompts = 0;
    compare(&c, &o);
}

void test_multilane_pathway_one_selector(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct lane_options o = lane_fixture_options();
    o.selectors = 1;
    compare(&c, &o);
    o.replace_mode = LANE_REPLACE_PURE;
    compare(&c, &o);
}

void test_multilane_pathway_switches(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    struct lane_options o = lane_fixture_options();
    o.normalise = 0;
    compare(&c, &o);
    o.normalise = 1;
    o.select_cls = 0;
    o.cls_pos = 1;
    compare(&c, &o);
    c.qkv_bias = 0;
    c.head = VIT_HEAD_COSINE;
    compare(&c, &o);
}

void test_multilane_pathway_depth_one(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    struct lane_options o = lane_fixture_options();
    c.depth = 1;
    o.prompt_blocks = 1;
    compare(&c, &o);
}
