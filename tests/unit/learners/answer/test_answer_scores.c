/* Runs: bits of the logits, the routed formula, several labels an image, probabilities. */
#include "tests/unit/learners/answer/answer_fixture.h"

#define EVERYTHING                                                                                 \
    "base\x1fred,base\x1fgreen,base\x1f"                                                           \
    "blue,lane:digits\x1fone,lane:digits\x1ftwo,"                                                  \
    "expert:shop.1\x1fshoe,expert:shop.1\x1fhat,expert:shop.2\x1f"                                 \
    "coat"

/* Owners base, digits, shop.1, shop.2; 3 + 2 + 2 + 1 labels. */
static void world_usual(struct world *x, uint32_t threads, int router)
{
    world_init(x, threads);
    world_add(x, "lane", "digits", -1.0f, "one,two");
    world_add(x, "expert", "shop.1", -1.0f, "shoe,hat");
    world_add(x, "expert", "shop.2", -1.0f, "coat")->watches = 0;
    if (router)
        world_add(x, "router", "router", -1.0f, EVERYTHING);
}

/* ------------------------------------------------------------------ bits */

void test_answer_scores_of_the_base_alone_are_its_logits(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_build(&x);
    float logits[WORLD_IMAGES * 3];
    const struct vit_input in = {.n = WORLD_IMAGES, .images = x.vit.images};
    const struct vit_output out = {.logits = logits};
    vit_forward(x.vit.batch, &x.vit.w, &in, &out);
    struct world_answers a = world_ask(&x, "", WORLD_IMAGES);
    assert_int_equal(a.width, 3);
    assert_int_equal(a.decision, ANSWER_ROUTED);
    assert_memory_equal(a.raw, logits, sizeof logits);
    assert_memory_equal(a.routed, logits, sizeof logits);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        assert_int_equal(a.chosen[i], 0);
        assert_true(a.owners[i] == 0.0f);
    }
    world_answers_free(&a);
    world_fini(&x);
}

/* Columns of a scope among those of all. */
static void same_columns(struct world *x, const char *scope, uint32_t first, uint32_t n)
{
    struct world_answers all = world_ask(x, "all", WORLD_IMAGES), some = world_ask(x, scope, 2);
    assert_int_equal(some.width, n);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++)
        assert_memory_equal(some.raw + (size_t)i * n, all.raw + (size_t)i * all.width + first,
                            n * sizeof(float));
    world_answers_free(&all);
    world_answers_free(&some);
}

void test_answer_scores_of_a_subset_have_the_same_bits(void **state)
{
    (void)state;
    for (int router = 0; router < 2; router++) {
        struct world x;
        world_usual(&x, 1, router);
        world_build(&x);
        same_columns(&x, "base", 0, 3);
        same_columns(&x, "lanes", 3, 2);
        same_columns(&x, "stream:shop", 5, 3);
        same_columns(&x, "stream:shop.2", 7, 1);
        world_fini(&x);
    }
}

/* A lane's logits do not depend on which other components the version has. */
void test_answer_scores_do_not_depend_on_other_components(void **state)
{
    (void)state;
    struct world x, y;
    world_usual(&x, 1, 1);
    world_build(&x);
    world_init(&y, 1);
    y.records[1] = x.records[1];
    y.parts[0] = fake_part("expert", "shop.1", &y.records[1]);
    y.list.n_parts = 1;
    world_build(&y);
    struct world_answers a = world_ask(&x, "all", 3), b = world_ask(&y, "stream:shop", 3);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++)
        assert_memory_equal(a.raw + (size_t)i * a.width + 5, b.raw + (size_t)i * 2,
                            2 * sizeof(float));
    world_answers_free(&a);
    world_answers_free(&b);
    world_fini(&x);
    world_fini(&y);
}

void test_answer_scores_same_bits_for_any_batch_and_threads(void **state)
{
    (void)state;
    struct world_answers first = {0};
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct world x;
        world_usual(&x, threads, 1);
        world_build(&x);
        for (uint32_t batch = 1; batch <= WORLD_IMAGES; batch += 3) {
            struct world_answers a = world_ask(&x, "all", batch);
            const size_t scores = WORLD_IMAGES * a.width * sizeof(float);
            if (!first.raw) {
                first = a;
                continue;
            }
            assert_memory_equal(a.raw, first.raw, scores);
            assert_memory_equal(a.routed, first.routed, scores);
            assert_memory_equal(a.owners, first.owners, WORLD_IMAGES * a.n_owners * sizeof(float));
            assert_memory_equal(a.chosen, first.chosen, sizeof a.chosen);
            world_answers_free(&a);
        }
        world_fini(&x);
    }
    world_answers_free(&first);
}

/* ------------------------------------------------------------------ routing */

static double softmax_part(const float *z, uint32_t n, uint32_t k)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)z[i] - (double)z[k]);
    return 1.0 / sum;
}

/* P(o) and P(o) P(k | o) in plain formulas, from the logits of the run.  The router's labels are in
 * the order of the columns; it has no say in the base's. */
void test_answer_scores_routed_is_owner_times_label(void **state)
{
    (void)state;
    static const uint32_t first[] = {0, 3, 5, 7, 8};
    struct world x;
    struct world_run r;
    world_usual(&x, 1, 1);
    world_build(&x);
    world_run_init(&x, "all", WORLD_IMAGES, &r);
    answer_run(r.forward, WORLD_IMAGES, x.vit.images, &r.scores);
    assert_int_equal(r.scores.decision, ANSWER_ROUTED);
    assert_int_equal(r.columns->n, 8);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        const float *router = r.scores.router + i * 8, *raw = r.scores.raw + i * 8;
        const float *routed = r.scores.routed + i * 8;
        double total = 0.0;
        uint32_t best = 0;
        for (uint32_t o = 0; o < 4; o++) {
            double p = 0.0;
            for (uint32_t k = first[o]; k < first[o + 1]; k++)
                p += softmax_part(router, 8, k);
            assert_near(exp((double)r.scores.owners[i * 4 + o]), p, 1e-6);
            for (uint32_t k = first[o]; k < first[o + 1]; k++) {
                const uint32_t n = first[o + 1] - first[o];
                float z[8];
                for (uint32_t j = 0; j < n; j++)
                    z[j] = raw[first[o] + j] + (o == 0 ? 0.0f : router[first[o] + j]);
                const double q = p * softmax_part(z, n, k - first[o]);
                assert_near(exp((double)routed[k]), q, 1e-6);
                total += exp((double)routed[k]);
                best = routed[k] > routed[best] ? k : best;
            }
        }
        assert_near(total, 1.0, 1e-6);
        assert_true(best >= first[r.scores.chosen[i]] && best < first[r.scores.chosen[i] + 1]);
    }
    world_run_fini(&r);
    world_fini(&x);
}

/* A router in two parts gives what one with their seeds and labels gives. */
void test_answer_scores_of_a_joined_router(void **state)
{
    (void)state;
    struct world one, two;
    world_usual(&one, 1, 1);
    one.records[3].seed = 30;
    world_build(&one);
    world_usual(&two, 1, 0);
    two.list.lookup = fake_lookup_joining;
    world_add(&two, "router", "a", -1.0f,
              "base\x1fred,base\x1fgreen,base\x1f"
              "blue,lane:digits\x1fone,lane:digits\x1ftwo")
        ->seed = 10;
    world_add(&two, "router", "b", -1.0f,
              "expert:shop.1\x1fshoe,expert:shop.1\x1fhat,expert:shop.2\x1f"
              "coat")
        ->seed = 20;
    world_build(&two);
    struct world_answers a = world_ask(&one, "all", 3), b = world_ask(&two, "all", 3);
    assert_int_equal(b.decision, ANSWER_ROUTED);
    assert_memory_equal(a.routed, b.routed, WORLD_IMAGES * a.width * sizeof(float));
    world_answers_free(&a);
    world_answers_free(&b);
    world_fini(&one);
    world_fini(&two);
}

/* Two owners asked for: what the router says of the others does not count. */
void test_answer_scores_route_among_those_asked_for(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x, 1, 1);
    world_build(&x);
    struct world_answers all = world_ask(&x, "all", 4), shop = world_ask(&x, "stream:shop", 4);
    assert_int_equal(shop.n_owners, 2);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        const double a = exp((double)all.owners[i * 4 + 2]), b = exp((double)all.owners[i * 4 + 3]);
        assert_near(exp((double)shop.owners[i * 2]), a / (a + b), 1e-5);
        assert_near(exp((double)shop.owners[i * 2 + 1]), b / (a + b), 1e-5);
    }
    world_answers_free(&all);
    world_answers_free(&shop);
    world_fini(&x);
}

void test_answer_scores_are_finite_for_extreme_logits(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x, 1, 1);
    for (uint32_t i = 0; i < x.list.n_parts; i++)
        x.records[i].scale = 1e6f;
    world_build(&x);
    struct world_answers a = world_ask(&x, "all", 3);
    float largest = 0.0f;
    for (uint32_t i = 0; i < WORLD_IMAGES * a.width; i++) {
        assert_true(isfinite(a.routed[i]) && a.routed[i] <= 0.0f);
        largest = fmaxf(largest, fabsf(a.routed[i]));
    }
    assert_true(largest > 1e4f); /* it was extreme indeed */
    world_answers_free(&a);
    world_fini(&x);
}

/* Without a router, or with one that does not know everybody asked for, the published rule. */
void test_answer_scores_fall_back_to_raw(void **state)
{
    (void)state;
    for (int partial = 0; partial < 2; partial++) {
        struct world x;
        world_usual(&x, 1, 0);
        if (partial)
            world_add(&x, "router", "router", -1.0f,
                      "base\x1fred,expert:shop.1\x1fhat,expert:shop.2\x1f"
                      "coat");
        world_build(&x);
        struct world_answers a = world_ask(&x, "all", 3), shop = world_ask(&x, "stream:shop", 3);
        assert_int_equal(a.decision, ANSWER_RAW);
        assert_memory_equal(a.raw, a.routed, WORLD_IMAGES * a.width * sizeof(float));
        for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
            uint32_t best = 0;
            for (uint32_t k = 0; k < 8; k++)
                best = a.raw[i * 8 + k] > a.raw[i * 8 + best] ? k : best;
            assert_int_equal(a.chosen[i], best < 3 ? 0 : best < 5 ? 1 : best < 7 ? 2 : 3);
        }
        assert_int_equal(shop.decision, partial ? ANSWER_ROUTED : ANSWER_RAW);
        world_answers_free(&a);
        world_answers_free(&shop);
        world_fini(&x);
    }
}

/* ------------------------------------------------------------------ several labels an image */

/* Owners base, sea and land (several labels each), all known to the router. */
static void world_several(struct world *x)
{
    world_init(x, 1);
    world_add(x, "lane", "sea", 0.6f, "fish,ship");
    world_add(x, "lane", "land", 0.6f, "tree,house");
    world_add(x, "router", "router", -1.0f,
              "base\x1fred,lane:sea\x1f"
              "fish,lane:sea\x1fship,lane:land\x1ftree");
    world_build(x);
}

void test_answer_scores_several_labels_share_a_group(void **state)
{
    (void)state;
    struct world x;
    struct world_run r;
    world_several(&x);
    world_run_init(&x, "all", WORLD_IMAGES, &r);
    answer_run(r.forward, WORLD_IMAGES, x.vit.images, &r.scores);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        const float *z = r.scores.router + i * 4, *raw = r.scores.raw + i * 7;
        const double base = softmax_part(z, 4, 0), land = softmax_part(z, 4, 3);
        const double sea = 1.0 - base - land, best = sea > land ? sea : land;
        const double belief[] = {base, (sea + land) * sea / best, (sea + land) * land / best};
        for (uint32_t o = 0; o < 3; o++)
            assert_near(exp((double)r.scores.owners[i * 3 + o]), belief[o], 1e-6);
        /* the router does not know "house": the average of its owner's labels, here that of "tree"
         */
        const float opinions[4] = {z[1], z[2], z[3], z[3]};
        for (uint32_t k = 3; k < 7; k++)
            assert_near(exp((double)r.scores.routed[i * 7 + k]),
                        (sea + land) / (1.0 + exp(-(double)raw[k] - (double)opinions[k - 3])),
                        1e-6);
    }
    world_run_fini(&r);
    world_fini(&x);
}

/* Of the labels that the router does not know it says the average of the owner's others. */
void test_answer_scores_unknown_labels_get_the_average(void **state)
{
    (void)state;
    struct world x;
    struct world_run r;
    world_init(&x, 1);
    world_add(&x, "lane", "digits", -1.0f, "one,two,three");
    world_add(&x, "router", "router", -1.0f, "base\x1fred,lane:digits\x1fone,lane:digits\x1fthree");
    world_build(&x);
    world_run_init(&x, "all", WORLD_IMAGES, &r);
    answer_run(r.forward, WORLD_IMAGES, x.vit.images, &r.scores);
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        const float *l = r.scores.router + i * 3, *raw = r.scores.raw + i * 6 + 3;
        const double s = exp((double)l[1]) + exp((double)l[2]);
        const float z[3] = {raw[0] + l[1], raw[1] + (float)log(s / 2.0), raw[2] + l[2]};
        const double p = s / (s + exp((double)l[0]));
        for (uint32_t k = 0; k < 3; k++)
            assert_near(exp((double)r.scores.routed[i * 6 + 3 + k]), p * softmax_part(z, 3, k),
                        1e-6);
    }
    world_run_fini(&r);
    world_fini(&x);
}

void test_answer_scores_of_one_lane_with_several_labels(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_add(&x, "lane", "sea", 0.6f, "fish,ship");
    world_build(&x);
    struct world_answers a = world_ask(&x, "lanes", 3);
    assert_int_equal(a.decision, ANSWER_ROUTED);
    for (uint32_t i = 0; i < WORLD_IMAGES * 2; i++)
        assert_near(a.routed[i], -log1p(exp(-(double)a.raw[i])), 1e-6);
    world_answers_free(&a);
    world_fini(&x);
}

/* ------------------------------------------------------------------ probabilities */

void test_answer_scores_probabilities_mask_and_renormalise(void **state)
{
    (void)state;
    struct world x;
    struct world_run r;
    world_usual(&x, 1, 1);
    world_build(&x);
    world_run_init(&x, "all", 1, &r);
    const float row[8] = {1.0f, 3.0f, 3.0f, -2.0f, 2.0f, 9.0f, 0.0f, 3.0f};
    const uint8_t live[8] = {1, 1, 1, 1, 1, 0, 1, 1};
    for (enum answer_decision d = ANSWER_ROUTED; d <= ANSWER_RAW; d++) {
        double p[8], sum = 0.0;
        uint8_t present[8];
        answer_probabilities(r.forward, d, row, live, p, present);
        for (uint32_t k = 0; k < 8; k++) {
            assert_int_equal(present[k], k == 1); /* the first of equals */
            sum += p[k];
        }
        assert_true(p[5] == 0.0);
        assert_near(sum, 1.0, 1e-12);
        assert_near(p[0] / p[1], exp(-2.0), 1e-12);
        answer_probabilities(r.forward, d, row, NULL, p, present);
        assert_int_equal(present[5], 1);
    }
    world_run_fini(&r);
    world_fini(&x);
}

/* Columns: red green blue | fish ship | tree house. */
void test_answer_scores_probabilities_with_several_labels(void **state)
{
    (void)state;
    struct world x;
    struct world_run r;
    double p[7];
    uint8_t present[7];
    world_several(&x);
    world_run_init(&x, "all", 1, &r);
    /* the base has 0.2 of it all, half of that forgotten; the group 0.8 */
    const double q[7] = {0.1, 0.06, 0.04, 0.8 * 0.7, 0.8 * 0.5, 0.8 * 0.65, 0.8 * 0.1};
    const uint8_t live[7] = {0, 1, 1, 1, 1, 1, 1};
    float row[7];
    for (uint32_t k = 0; k < 7; k++)
        row[k] = (float)log(q[k]);
    answer_probabilities(r.forward, ANSWER_ROUTED, row, live, p, present);
    assert_near(p[1], 0.2 * 0.6, 1e-6);
    assert_near(p[2], 0.2 * 0.4, 1e-6);
    const uint8_t right[7] = {0, 0, 0, 1, 0, 1, 0};
    for (uint32_t k = 0; k < 7; k++) {
        assert_int_equal(present[k], right[k]);
        if (k >= 3)
            assert_near(p[k], q[k], 1e-6);
    }
    /* raw: a softmax over the base's logits, a sigmoid for the others */
    const float raw[7] = {0.0f, 0.0f, 0.0f, 0.5f, 0.3f, -1.0f, 2.0f};
    answer_probabilities(r.forward, ANSWER_RAW, raw, NULL, p, present);
    assert_near(p[0], 1.0 / 3.0, 1e-9);
    assert_near(p[6], 1.0 / (1.0 + exp(-2.0)), 1e-9);
    const uint8_t above[7] = {0, 0, 0, 1, 0, 0, 1};
    assert_memory_equal(present, above, 7);
    world_run_fini(&r);
    world_fini(&x);
}

/* The best label may be below its threshold: then nothing is present. */
void test_answer_scores_nothing_may_be_present(void **state)
{
    (void)state;
    struct world x;
    struct world_run r;
    double p[2];
    uint8_t present[2];
    world_init(&x, 1);
    world_add(&x, "lane", "sea", 0.6f, "fish,ship");
    world_build(&x);
    world_run_init(&x, "lanes", 1, &r);
    const float row[2] = {logf(0.59f), logf(0.1f)};
    answer_probabilities(r.forward, ANSWER_ROUTED, row, NULL, p, present);
    assert_near(p[0], 0.59, 1e-6);
    assert_int_equal(present[0] + present[1], 0);
    world_run_fini(&r);
    world_fini(&x);
}

/* ------------------------------------------------------------------ memory */

void test_answer_scores_less_memory_is_refused_and_given_back(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x, 2, 1);
    world_build(&x);
    const struct answer_wish wish = {.n_max = 4, .features = 1};
    const size_t size = answer_forward_plan(x.answer, &wish, 2);
    void *memory = vit_fixture_alloc(size, 1);
    for (size_t part = 0; part < 32; part++) {
        struct arena arena;
        struct answer_forward *w;
        struct fault f = {0};
        arena_init(&arena, memory, size / 64 * part);
        const size_t used = arena_mark(&arena).used;
        const struct learner_tools tools = {.pool = x.vit.pool, .arena = &arena};
        const enum status st = answer_forward_new(x.answer, &wish, &tools, &w, &f);
        assert_int_equal(st, STATUS_NO_MEMORY);
        assert_int_equal(arena_mark(&arena).used, used);
        arena_fini(&arena);
    }
    free(memory);
    world_fini(&x);
}
