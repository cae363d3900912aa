/*
 * Serving lanes: a lane's logits are the same to the bit alone, with others, in any order, batch
 * and number of threads, and whatever the other lanes hold; a state of the trunk is never mixed
 * with another; features from any form of the cache are the stream's.
 */
#include "tests/support/test.h"

#include "tests/property/learners/multilane_fixture.h"

#include "learners/methods/multilane/feature_cache.h"
#include "learners/methods/multilane/lane_server.h"

#define N_IMAGES 70 /* more than one shard of the stream */
#define N_LANES  5
#define MOST     6 /* classes of a lane */

/* Lanes of all sorts: sizes, modes and switches. */
struct lanes {
    struct lane lane[N_LANES];
    struct lane_ready *ready[N_LANES];
    void *memory;
    struct arena arena;
};

static const struct digest state_a = {{1}}, state_b = {{0xb0, 2}};

static void lanes_init(struct lanes *k, const struct vit_fixture *x)
{
    const struct lane_trunk trunk = {&x->c, &x->w};
    const size_t bytes = 1 << 20;
    k->memory = vit_fixture_alloc(1, bytes);
    arena_init(&k->arena, k->memory, bytes);
    for (uint32_t i = 0; i < N_LANES; i++) {
        struct lane *lane = &k->lane[i];
        *lane = (struct lane){.n_classes = 2 + i};
        lane->options = lane_fixture_options();
        lane->options.selectors = 1 + 2 * i;
        lane->options.prompts = i;
        lane->options.prompt_blocks = i < 4 ? i : 1;
        lane->options.replace_mode = i % 2;
        lane->options.cls_pos = i == 3;
        lane->options.select_cls = i != 2;
        const size_t n = lane_floats(&x->c, &lane->options, lane->n_classes);
        float *block = vit_fixture_normal(n, "lane", 0.5f + 0.1f * (float)i);
        lane->block = arena_alloc(&k->arena, n, sizeof *block);
        memcpy(lane->block, block, n * sizeof *block);
        free(block);
        const size_t used = k->arena.used;
        assert_int_equal(lane_ready_new(lane, &trunk, &state_a, &k->arena, &k->ready[i]),
                         STATUS_OK);
        assert_true(k->arena.used - used <= lane_ready_plan(&x->c, &lane->options));
    }
}

static void lanes_fini(struct lanes *k)
{
    arena_fini(&k->arena);
    free(k->memory);
}

/* Logits [n, classes] of the lanes list[0 .. n_lanes-1] into to[]. */
static void serve(struct vit_fixture *x,
                  const struct lanes *k,
                  const uint32_t *list,
                  uint32_t n_lanes,
                  uint32_t from,
                  uint32_t n,
                  float to[N_LANES][N_IMAGES * MOST])
{
    const struct lane_trunk trunk = {&x->c, &x->w};
    const uint32_t threads = pool_threads(x->pool);
    const struct lane_ready *ready[N_LANES];
    float *logits[N_LANES];
    struct lane_server_sizes sizes = {0};
    for (uint32_t i = 0; i < n_lanes; i++) {
        ready[i] = k->ready[list[i]];
        logits[i] = to[i];
        lane_server_count(&sizes, &ready[i]->view);
    }
    const size_t bytes = lane_server_plan(&x->c, &sizes, n, threads);
    void *memory = vit_fixture_alloc(1, bytes);
    struct arena arena;
    struct lane_server *server;
    arena_init(&arena, memory, bytes);
    assert_int_equal(
        lane_server_new(&trunk, &state_a, ready, n_lanes, n, threads, &arena, &server, NULL),
        STATUS_OK);
    const struct vit_input in = {.n = n, .images = x->images + from};
    vit_forward(x->batch, &x->w, &in,
                &(struct vit_output){.observer = lane_server_observe, .observer_context = server});
    lane_server_read(server, n, logits);
    arena_fini(&arena);
    free(memory);
}

static float reference[N_LANES][N_IMAGES * MOST], served[N_LANES][N_IMAGES * MOST];
static const uint32_t everyone[N_LANES] = {0, 1, 2, 3, 4};

static void assert_served(
    const struct lanes *k, const uint32_t *list, uint32_t n_lanes, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n_lanes; i++) {
        const uint32_t classes = k->lane[list[i]].n_classes;
        assert_memory_equal(served[i], reference[list[i]] + (size_t)from * classes,
                            (size_t)n * classes * sizeof(float));
    }
}

void test_multilane_serve_subset_order_batch_threads(void **state)
{
    (void)state;
    static const uint32_t lists[][N_LANES] = {{0}, {1},    {2},       {3},
                                              {4}, {4, 1}, {2, 0, 3}, {4, 3, 2, 1, 0}};
    static const uint32_t lengths[] = {1, 1, 1, 1, 1, 2, 3, 5};
    static const uint32_t batches[][2] = {{0, 1}, {69, 1}, {3, 9}, {0, 70}};
    const struct vit_config c = vit_fixture_tiny();
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct vit_fixture x;
        struct lanes k;
        vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, threads);
        lanes_init(&k, &x);
        if (threads == 1)
            serve(&x, &k, everyone, N_LANES, 0, N_IMAGES, reference);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
                serve(&x, &k, lists[i], lengths[i], batches[b][0], batches[b][1], served);
                assert_served(&k, lists[i], lengths[i], batches[b][0], batches[b][1]);
            }
        lanes_fini(&k);
        vit_fixture_fini(&x);
    }
}

/* Changing one lane leaves every other lane's logits as they were. */
void test_multilane_serve_isolation(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    struct lanes k;
    vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, 1);
    lanes_init(&k, &x);
    serve(&x, &k, everyone, N_LANES, 0, N_IMAGES, reference);
    const struct lane_trunk trunk = {&x.c, &x.w};
    for (uint32_t i = 0; i < 9; i++)
        k.lane[2].block[i] += 1.0f;
    assert_int_equal(lane_ready_new(&k.lane[2], &trunk, &state_a, &k.arena, &k.ready[2]),
                     STATUS_OK);
    serve(&x, &k, everyone, N_LANES, 0, N_IMAGES, served);
    assert_memory_not_equal(served[2], reference[2], 4 * sizeof(float));
    memcpy(served[2], reference[2], sizeof served[2]);
    assert_served(&k, everyone, N_LANES, 0, N_IMAGES);
    lanes_fini(&k);
    vit_fixture_fini(&x);
}

/* Served logits are the naive form's, and the same as in training. */
void test_multilane_serve_is_the_naive_form(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    struct lanes k;
    vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, 2);
    lanes_init(&k, &x);
    serve(&x, &k, everyone, N_LANES, 0, N_IMAGES, served);
    struct feature_store store = feature_store_make(&x);
    for (uint32_t i = 0; i < N_LANES; i++) {
        double block[1000], logits[MOST];
        const struct lane *lane = &k.lane[i];
        const size_t n = lane_floats(&c, &lane->options, lane->n_classes);
        for (size_t j = 0; j < n; j++)
            block[j] = (double)lane->block[j];
        const struct naive naive = {&c, &x.w, &lane->options, lane->n_classes, block};
        for (uint32_t j = 0; j < N_IMAGES; j += 23) {
            naive_logits(&naive, &store, j, logits);
            for (uint32_t m = 0; m < lane->n_classes; m++)
                assert_near(served[i][j * lane->n_classes + m], logits[m], 1e-5);
        }
    }
    feature_store_free(&store);
    lanes_fini(&k);
    vit_fixture_fini(&x);
}

/* Shat does not depend on images or on when it is computed; another state's is refused. */
void test_multilane_serve_states_of_the_trunk(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    struct lanes k, again;
    struct fault f = {0};
    unsigned char memory[64];
    struct arena arena;
    struct lane_server *server = NULL;
    vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, 1);
    const struct lane_trunk trunk = {&x.c, &x.w};
    lanes_init(&k, &x);
    serve(&x, &k, everyone, N_LANES, 0, N_IMAGES, served);
    lanes_init(&again, &x);
    for (uint32_t i = 0; i < N_LANES; i++)
        assert_memory_equal(k.ready[i]->view.shat, again.ready[i]->view.shat,
                            (size_t)c.depth * k.lane[i].options.selectors * c.width *
                                sizeof(float));
    arena_init(&arena, memory, sizeof memory);
    const struct lane_ready *ready[1] = {k.ready[1]};
    assert_int_equal(lane_server_new(&trunk, &state_b, ready, 1, 4, 1, &arena, &server, &f),
                     STATUS_FAILED_PRECONDITION);
    assert_null(server);
    assert_true(strstr(f.text, "0100000000000000") && strstr(f.text, "b002000000000000"));
    /* made again on changed weights Shat is another one */
    x.w.blocks[0].fc1_w[3] += 1.0f;
    struct lane_ready *fresh;
    assert_int_equal(lane_ready_new(&k.lane[0], &trunk, &state_b, &k.arena, &fresh), STATUS_OK);
    assert_memory_not_equal(fresh->view.shat, k.ready[0]->view.shat,
                            (size_t)c.depth * c.width * sizeof(float));
    assert_int_equal(lane_ready_check(fresh, &state_b, NULL), STATUS_OK);
    arena_fini(&arena);
    lanes_fini(&again);
    lanes_fini(&k);
    vit_fixture_fini(&x);
}

/* ------------------------------------------------------------------ the feature cache */

#define N_KEPT 20

struct cache_room {
    void *memory;
    struct arena arena;
    struct feature_cache *cache;
};

static struct cache_room
cache_make(const struct vit_fixture *x, const struct image_table *t, size_t budget)
{
    const struct feature_cache_sizes sizes = {t->n, N_KEPT, budget, 8};
    struct cache_room r;
    const size_t bytes = feature_cache_plan(&x->c, &sizes, pool_threads(x->pool));
    r.memory = vit_fixture_alloc(1, bytes);
    arena_init(&r.arena, r.memory, bytes);
    assert_int_equal(feature_cache_new(&x->c, &x->w, t, &sizes, x->pool, &r.arena, &r.cache),
                     STATUS_OK);
    return r;
}

/* Fetches all images in a turned order, twice, and compares with the stream's own features. */
static struct feature_cache_counts check_cache(const struct vit_fixture *x,
                                               const struct feature_store *store,
                                               const struct image_table *t,
                                               size_t budget)
{
    struct cache_room r = cache_make(x, t, budget);
    struct pathway_features got[3 * 8];
    const size_t floats = (size_t)vit_tokens(&x->c) * x->c.width;
    for (uint32_t at = 0; at < 2 * N_KEPT; at += 8) {
        uint32_t list[8];
        for (uint32_t i = 0; i < 8; i++)
            list[i] = (7 * (at + i)) % N_KEPT;
        feature_cache_fetch(r.cache, list, 8, NULL, got);
        for (uint32_t l = 0; l < 3; l++)
            for (uint32_t i = 0; i < 8; i++) {
                const struct pathway_features *a = &got[l * 8 + i],
                                              *b = &store->features[l * store->n + list[i]];
                assert_int_equal(a->ld, x->c.width);
                assert_memory_equal(a->xh, b->xh, floats * sizeof(float));
                assert_memory_equal(a->k, b->k, floats * sizeof(float));
                assert_memory_equal(a->v, b->v, floats * sizeof(float));
            }
    }
    const struct feature_cache_counts counts = feature_cache_counts(r.cache);
    arena_fini(&r.arena);
    free(r.memory);
    return counts;
}

void test_multilane_features_are_the_same_from_any_cache(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    static uint8_t pixels[N_KEPT * 64];
    static int32_t labels[N_KEPT];
    const struct image_table t = {pixels, labels, N_KEPT, 8, 1, {1 / 127.5f}, {-1}};
    struct rng r;
    rng_init(&r, &(struct rng_root){.seed = 4}, "pixels", 0);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)rng_below(&r, 256);
    vit_fixture_init(&x, &c, VIT_INFER, N_KEPT, 2);
    for (uint32_t i = 0; i < N_KEPT; i++)
        images_load(&t, i, x.pixels + i * 64);
    struct feature_store store = feature_store_make(&x);
    const size_t image = feature_cache_image_bytes(&c);
    struct feature_cache_counts n = check_cache(&x, &store, &t, N_KEPT * image);
    assert_true(n.whole && n.kept == N_KEPT && n.computed == N_KEPT);
    n = check_cache(&x, &store, &t, N_KEPT * image - 1); /* block inputs fit for all */
    assert_true(!n.whole && n.kept == N_KEPT && n.computed == N_KEPT);
    n = check_cache(&x, &store, &t, 2 * image + 1); /* and here for six of twenty */
    assert_true(!n.whole && n.kept == 6 && n.computed == 40 - 6);
    n = check_cache(&x, &store, &t, 0);
    assert_true(n.kept == 0 && n.computed == 40);
    feature_store_free(&store);
    vit_fixture_fini(&x);
}
