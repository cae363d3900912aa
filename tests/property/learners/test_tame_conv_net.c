/*
 * The convolution expert of TAME: its gradient against difference quotients, its step against the
 * optimiser's definition, the same bytes for any number of threads, and that it learns.
 */
#include "tests/support/test.h"

#include "learners/methods/tame/tame_conv_net.h"
#include "learners/methods/tame/tame_fit.h"
#include "learners/methods/tame/tame_prune.h"
#include "tests/property/learners/gradient_probe.h"

#define PIXELS (28 * 28)
#define MOST   70 /* pictures of a fixture */

struct fixture {
    void *pool_memory, *memory;
    struct pool *pool;
    struct arena arena;
    struct tame_conv_net *net;
    struct tame_shape shape;
    uint8_t *pixels;
    const uint8_t *pictures[MOST];
    uint32_t labels[MOST];
    uint32_t n, classes;
    float *w, *m, *g, *logits, *dlogits, *losses;
};

/* A bright square whose place tells the class, with noise. */
static void draw(uint8_t *to, uint32_t label, struct rng *r)
{
    for (uint32_t p = 0; p < PIXELS; p++) {
        const uint32_t row = p / 28, col = p % 28, left = 2 + 5 * label;
        const int inside = row >= 6 && row < 16 && col >= left && col < left + 5;
        to[p] = (uint8_t)((inside ? 150u : 0u) + (uint32_t)rng_below(r, 80));
    }
}

static void fixture_open(struct fixture *x, uint32_t threads, uint32_t n, uint32_t classes)
{
    struct fault f = {0};
    const uint32_t most = classes + 1; /* room for a class that comes later */
    const size_t floats = tame_conv_net_floats(most);
    struct tame_conv_net_config c = tame_conv_net_parity(most);
    const size_t bytes = tame_conv_net_plan(&c);
    struct rng r;
    *x = (struct fixture){.n = n, .classes = classes};
    x->pool_memory = probe_alloc(pool_plan(threads), 1);
    assert_int_equal(pool_init(x->pool_memory, threads, &x->pool), STATUS_OK);
    x->memory = probe_alloc(bytes, 1);
    arena_init(&x->arena, x->memory, bytes);
    assert_int_equal(tame_conv_net_new(&c, x->pool, &x->arena, &x->net, &f), STATUS_OK);
    tame_kind_conv.shape(x->net, &x->shape);
    rng_init(&r, &(struct rng_root){.seed = 5}, "pictures", 0);
    x->pixels = probe_alloc(MOST, PIXELS);
    for (uint32_t i = 0; i < MOST; i++) {
        x->labels[i] = (i * 7 + i / 3) % classes;
        x->pictures[i] = x->pixels + (size_t)i * PIXELS;
        draw(x->pixels + (size_t)i * PIXELS, x->labels[i], &r);
    }
    x->w = probe_alloc(floats, sizeof(float));
    x->m = probe_alloc(floats, sizeof(float));
    x->g = probe_alloc(floats, sizeof(float));
    x->logits = probe_alloc((size_t)MOST * most, sizeof(float));
    x->dlogits = probe_alloc((size_t)MOST * most, sizeof(float));
    x->losses = probe_alloc(MOST, sizeof(float));
    tame_conv_net_start(x->net, 9, classes, x->w);
}

static void fixture_close(struct fixture *x)
{
    void *all[] = {x->pool_memory, x->memory, x->pixels,  x->w,     x->m,
                   x->g,           x->logits, x->dlogits, x->losses};
    pool_fini(x->pool);
    arena_fini(&x->arena);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Mean loss of the first n pictures. */
static double value(void *context)
{
    struct fixture *x = context;
    tame_conv_net_load(x->net, x->n, x->pictures);
    tame_conv_net_forward(x->net, x->w, x->classes, x->logits);
    return tame_expert_loss(&x->shape, x->n, x->classes, x->logits, x->labels, x->losses);
}

static double gradient(struct fixture *x)
{
    const double loss = value(x);
    tame_expert_gradient(&x->shape, x->n, x->classes, x->logits, x->labels, x->dlogits);
    tame_conv_net_backward(x->net, x->w, x->classes, x->dlogits, x->g);
    return loss;
}

static double step(struct fixture *x, const struct sgd_options *sgd, const uint8_t *mask)
{
    const double loss = value(x);
    tame_expert_gradient(&x->shape, x->n, x->classes, x->logits, x->labels, x->dlogits);
    tame_conv_net_step(x->net, sgd, x->classes, x->dlogits, mask, x->w, x->m);
    return loss;
}

static const struct sgd_options published = {0.1f, 0.9f, 5e-4f, 0};

void test_tame_conv_net_sizes(void **state)
{
    (void)state;
    struct tame_conv_net_layer l[TAME_CONV_NET_LAYERS];
    assert_int_equal(tame_conv_net_floats(10), 61706);
    assert_int_equal(tame_conv_net_floats(2), 61026);
    tame_conv_net_layers(10, l);
    const size_t fan_in[TAME_CONV_NET_LAYERS] = {25, 150, 400, 120, 84};
    size_t at = 0;
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++) {
        assert_int_equal(l[i].first, at);
        assert_int_equal(l[i].fan_in, fan_in[i]);
        assert_int_equal(l[i].weights, l[i].fan_in * l[i].biases);
        at += l[i].weights + l[i].biases;
    }
    assert_int_equal(l[TAME_CONV_NET_LAYERS - 1].first, TAME_CONV_NET_BODY);
}

void test_tame_conv_net_start_is_within_its_bounds(void **state)
{
    (void)state;
    struct fixture x;
    struct tame_conv_net_layer l[TAME_CONV_NET_LAYERS];
    fixture_open(&x, 1, 1, 10);
    tame_conv_net_layers(10, l);
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++) {
        const double bound = 1.0 / sqrt((double)l[i].fan_in);
        double most = 0.0;
        for (size_t k = 0; k < l[i].weights + l[i].biases; k++)
            most = fmax(most, fabs((double)x.w[l[i].first + k]));
        assert_true(most <= bound + 1e-7);
        assert_true(most > 0.9 * bound);
    }
    fixture_close(&x);
}

/*
 * Derivative along the gradient of one layer.  The step is tiny because maxima and ReLU have kinks,
 * which is why the tolerance is wider than for single operations.
 */
static void check_layer(struct fixture *x, const struct tame_conv_net_layer *l)
{
    const size_t n = l->weights + l->biases;
    const float *g = x->g + l->first;
    const double norm = sqrt(probe_dot(g, g, n));
    float *d = probe_alloc(n, sizeof *d);
    assert_true(norm > 0.0);
    for (size_t i = 0; i < n; i++)
        d[i] = (float)((double)g[i] / norm);
    const struct probe p = {value, x, x->w + l->first, n};
    assert_near(probe_derivative(&p, d, 0.0005f) / norm, 1.0, 2e-3);
    free(d);
}

/* A short shard, and a full one with a second; a few steps away from the flat start. */
void test_tame_conv_net_gradient(void **state)
{
    (void)state;
    const uint32_t sizes[] = {3, 37};
    struct tame_conv_net_layer l[TAME_CONV_NET_LAYERS];
    for (size_t i = 0; i < 2; i++) {
        struct fixture x;
        fixture_open(&x, 1, sizes[i], 4);
        x.shape.sigmoid = 0; /* steeper: less of it is lost in rounding */
        for (int k = 0; k < 4; k++)
            (void)step(&x, &published, NULL);
        (void)gradient(&x);
        tame_conv_net_layers(x.classes, l);
        for (size_t k = 0; k < TAME_CONV_NET_LAYERS; k++)
            check_layer(&x, &l[k]);
        fixture_close(&x);
    }
}

/* Only the head knows of the sigmoid, and has no kinks. */
void test_tame_conv_net_gradient_with_sigmoid(void **state)
{
    (void)state;
    struct fixture x;
    fixture_open(&x, 1, 33, 4);
    for (int k = 0; k < 4; k++)
        (void)step(&x, &published, NULL);
    (void)gradient(&x);
    const size_t n = (size_t)x.classes * (TAME_CONV_NET_WIDTH + 1);
    probe_check(&(struct probe){value, &x, x.w + TAME_CONV_NET_BODY, n}, x.g + TAME_CONV_NET_BODY,
                "head");
    fixture_close(&x);
}

void test_tame_conv_net_step_is_sgd(void **state)
{
    (void)state;
    struct fixture x;
    fixture_open(&x, 1, 40, 3);
    const size_t floats = tame_conv_net_floats(3);
    float *w = probe_alloc(floats, sizeof *w), *m = probe_alloc(floats, sizeof *m);
    const struct sgd_options nesterov = {0.05f, 0.8f, 1e-2f, 1};
    (void)step(&x, &nesterov, NULL);
    memcpy(w, x.w, floats * sizeof *w);
    memcpy(m, x.m, floats * sizeof *m);
    const double before = gradient(&x);
    sgd_step(&nesterov, w, x.g, m, floats);
    assert_near(step(&x, &nesterov, NULL), before, 0);
    assert_memory_equal(w, x.w, floats * sizeof *w);
    assert_memory_equal(m, x.m, floats * sizeof *m);
    free(w);
    free(m);
    fixture_close(&x);
}

void test_tame_conv_net_threads_give_the_same_bytes(void **state)
{
    (void)state;
    struct fixture one, three;
    fixture_open(&one, 1, MOST, 5);
    fixture_open(&three, 3, MOST, 5);
    const size_t floats = tame_conv_net_floats(5);
    for (int i = 0; i < 3; i++)
        assert_near(step(&one, &published, NULL), step(&three, &published, NULL), 0);
    assert_memory_equal(one.w, three.w, floats * sizeof(float));
    assert_memory_equal(one.m, three.m, floats * sizeof(float));
    assert_memory_equal(one.logits, three.logits, (size_t)MOST * 5 * sizeof(float));
    fixture_close(&one);
    fixture_close(&three);
}

/* What a longer batch left behind is not seen by a shorter one. */
void test_tame_conv_net_batches_leave_nothing(void **state)
{
    (void)state;
    struct fixture x;
    fixture_open(&x, 1, 5, 3);
    const size_t floats = tame_conv_net_floats(3);
    const double loss = gradient(&x);
    float *g = probe_alloc(floats, sizeof *g);
    memcpy(g, x.g, floats * sizeof *g);
    x.n = MOST;
    assert_true(gradient(&x) != loss);
    x.n = 5;
    assert_near(gradient(&x), loss, 0);
    assert_memory_equal(g, x.g, floats * sizeof *g);
    free(g);
    fixture_close(&x);
}

/* Zero pixels round a picture, given or added, are the same. */
void test_tame_conv_net_pads_with_zero_pixels(void **state)
{
    (void)state;
    struct fixture x;
    struct fault f = {0};
    fixture_open(&x, 1, 4, 3);
    struct tame_conv_net_config c = tame_conv_net_parity(3);
    c.image_size = 32;
    const size_t bytes = tame_conv_net_plan(&c);
    void *memory = probe_alloc(bytes, 1);
    struct arena arena;
    struct tame_conv_net *net;
    arena_init(&arena, memory, bytes);
    assert_int_equal(tame_conv_net_new(&c, x.pool, &arena, &net, &f), STATUS_OK);
    uint8_t padded[4][32 * 32] = {{0}};
    const uint8_t *pictures[4];
    for (size_t i = 0; i < 4; i++) {
        pictures[i] = padded[i];
        for (size_t p = 0; p < PIXELS; p++)
            padded[i][(p / 28 + 2) * 32 + p % 28 + 2] = x.pictures[i][p];
    }
    float logits[12];
    tame_conv_net_load(net, 4, pictures);
    tame_conv_net_forward(net, x.w, 3, logits);
    (void)value(&x);
    assert_memory_equal(logits, x.logits, sizeof logits);
    arena_fini(&arena);
    free(memory);
    fixture_close(&x);
}

void test_tame_conv_net_refuses_bad_settings(void **state)
{
    (void)state;
    struct fault f = {0};
    struct arena arena;
    struct tame_conv_net *net;
    unsigned char memory[256];
    arena_init(&arena, memory, sizeof memory);
    const struct tame_conv_net_config good = tame_conv_net_parity(10);
    struct tame_conv_net_config c = good;
    c.image_size = 33;
    assert_int_equal(tame_conv_net_new(&c, NULL, &arena, &net, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "image_size");
    c = good;
    c.std = 0.0f;
    assert_int_equal(tame_conv_net_new(&c, NULL, &arena, &net, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "std");
    c = good;
    c.classes_max = 0;
    assert_int_equal(tame_conv_net_new(&c, NULL, &arena, &net, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "classes_max");
    c = good;
    c.batch_max = 0;
    assert_int_equal(tame_conv_net_new(&c, NULL, &arena, &net, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "batch_max");
    assert_int_equal(tame_conv_net_new(&good, NULL, &arena, &net, &f), STATUS_NO_MEMORY);
    arena_fini(&arena);
}

/* ------------------------------------------------------------------ behind the table of kinds */

void test_tame_conv_net_as_a_kind(void **state)
{
    (void)state;
    struct fixture x;
    fixture_open(&x, 1, 33, 3);
    struct tame_weights w;
    float *memory = probe_alloc(tame_expert_memory(&x.shape, 4), sizeof *memory);
    tame_expert_map(&x.shape, 4, memory, &w);
    tame_expert_start(&tame_kind_conv, x.net, &x.shape, 9, 3, &w);
    assert_memory_equal(w.v[0], x.w, tame_conv_net_floats(3) * sizeof(float));
    /* a step through the table is the published step */
    tame_kind_conv.load(x.net, x.n, x.pictures);
    tame_kind_conv.forward(x.net, &w, 1, x.logits);
    tame_expert_gradient(&x.shape, x.n, 3, x.logits, x.labels, x.dlogits);
    tame_kind_conv.step(x.net, &w, x.dlogits);
    (void)step(&x, &published, NULL);
    assert_memory_equal(w.v[0], x.w, tame_conv_net_floats(3) * sizeof(float));
    /* a class more between forward and step: its row learns, the others move as before */
    tame_kind_conv.load(x.net, x.n, x.pictures);
    tame_kind_conv.forward(x.net, &w, 1, x.logits);
    tame_expert_widen(x.n, 3, 4, x.logits);
    tame_expert_grow(&x.shape, 4, &w);
    x.labels[0] = 3;
    tame_expert_gradient(&x.shape, x.n, 4, x.logits, x.labels, x.dlogits);
    tame_kind_conv.step(x.net, &w, x.dlogits);
    const float *row = w.v[0] + TAME_CONV_NET_BODY + 3 * TAME_CONV_NET_WIDTH;
    assert_true(probe_dot(row, row, TAME_CONV_NET_WIDTH) > 0.0);
    free(memory);
    fixture_close(&x);
}

/* A zero head gives ln C exactly, whatever the body. */
void test_tame_conv_net_zero_head(void **state)
{
    (void)state;
    struct fixture x;
    struct fault f = {0};
    fixture_open(&x, 1, 9, 6);
    struct tame_conv_net_config c = tame_conv_net_parity(6);
    c.zero_last = 1;
    const size_t bytes = tame_conv_net_plan(&c);
    void *memory = probe_alloc(bytes, 1);
    struct arena arena;
    struct tame_conv_net *net;
    arena_init(&arena, memory, bytes);
    assert_int_equal(tame_conv_net_new(&c, x.pool, &arena, &net, &f), STATUS_OK);
    tame_conv_net_start(net, 9, 6, x.w);
    for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
        x.shape.sigmoid = sigmoid;
        assert_near(value(&x), log(6.0), 1e-6);
    }
    arena_fini(&arena);
    free(memory);
    fixture_close(&x);
}

/* ------------------------------------------------------------------ fits, whole and pruned */

static struct tame_fit_problem fit_problem(struct fixture *x)
{
    struct tame_fit_problem p = {.net = x->net,
                                 .pictures = x->pictures,
                                 .targets = x->labels,
                                 .n = MOST,
                                 .classes = x->classes,
                                 .root = {.seed = 4},
                                 .weights = x->w,
                                 .momentum = x->m};
    tame_fit_selector(&p);
    p.batch = 32;
    return p;
}

/* Runs up to an epoch; returns the last loss. */
static double fit_until(const struct tame_fit_problem *p, uint32_t from, uint32_t until)
{
    struct fault f = {0};
    const size_t bytes = tame_fit_plan(p);
    void *memory = probe_alloc(bytes, 1);
    struct arena arena;
    struct tame_fit *fit;
    double loss = 0.0;
    uint64_t steps = 0;
    arena_init(&arena, memory, bytes);
    assert_int_equal(tame_fit_new(p, &arena, &fit, &f), STATUS_OK);
    tame_fit_resume(fit, from);
    for (; tame_fit_epoch(fit) < until; steps++)
        loss = tame_fit_step(fit);
    assert_int_equal(steps, tame_fit_steps(p) / p->epochs * (until - from));
    assert_int_equal(tame_fit_done(fit), until == p->epochs);
    arena_fini(&arena);
    free(memory);
    return loss;
}

void test_tame_fit_learns_and_resumes(void **state)
{
    (void)state;
    struct fixture whole, parts;
    fixture_open(&whole, 1, MOST, 3);
    fixture_open(&parts, 1, MOST, 3);
    const double chance = value(&whole);
    struct tame_fit_problem p = fit_problem(&whole), q = fit_problem(&parts);
    tame_fit_shorten(&p, 12);
    tame_fit_shorten(&q, 12);
    const double loss = fit_until(&p, 0, 12);
    assert_near(chance, log(3.0), 0.05);
    assert_true(loss < 0.7); /* the least possible is ln(1 + 2/e) = 0.551 */
    (void)fit_until(&q, 0, 5);
    assert_near(fit_until(&q, 5, 12), loss, 0);
    assert_memory_equal(whole.w, parts.w, tame_conv_net_floats(3) * sizeof(float));
    fixture_close(&whole);
    fixture_close(&parts);
}

static size_t pruned_weights(double share)
{
    struct tame_conv_net_layer l[TAME_CONV_NET_LAYERS];
    size_t weights = 0;
    tame_conv_net_layers(3, l);
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++)
        weights += l[i].weights;
    return (size_t)llround(share * (double)weights);
}

/* Pruned numbers stay exactly 0 through training; the others learn to do the work. */
void test_tame_fit_pruned_at_one_stroke(void **state)
{
    (void)state;
    struct fixture x;
    fixture_open(&x, 1, MOST, 3);
    const size_t floats = tame_conv_net_floats(3), pruned = pruned_weights(0.9);
    struct tame_fit_problem p = fit_problem(&x);
    tame_fit_shorten(&p, 8);
    (void)fit_until(&p, 0, 8);
    memset(x.m, 0, floats * sizeof *x.m);
    tame_fit_pruned(&p, 0.9, 0.1f);
    p.batch = 32;
    tame_fit_shorten(&p, 8);
    (void)fit_until(&p, 0, 0); /* pruned, no step */
    const double before = value(&x);
    assert_int_equal(tame_prune_nonzero(x.w, floats), floats - pruned);
    float *cut = probe_alloc(floats, sizeof *cut);
    memcpy(cut, x.w, floats * sizeof *cut);
    (void)fit_until(&p, 0, 8);
    assert_true(value(&x) < before);
    assert_int_equal(tame_prune_nonzero(x.w, floats), floats - pruned);
    for (size_t i = 0; i < floats; i++)
        if (cut[i] == 0.0f)
            assert_true(x.w[i] == 0.0f && x.m[i] == 0.0f);
    free(cut);
    fixture_close(&x);
}

/* Gradually: more zeros every epoch, the share in the end, and the same after going on. */
void test_tame_fit_thinned_narrows_and_resumes(void **state)
{
    (void)state;
    struct fixture whole, parts;
    fixture_open(&whole, 1, MOST, 3);
    fixture_open(&parts, 1, MOST, 3);
    const size_t floats = tame_conv_net_floats(3), pruned = pruned_weights(0.9);
    struct tame_fit_problem p = fit_problem(&whole), q = fit_problem(&parts);
    tame_fit_thinned(&p, 0.9);
    tame_fit_thinned(&q, 0.9);
    p.batch = q.batch = 32;
    tame_fit_shorten(&p, 8);
    tame_fit_shorten(&q, 8);
    assert_int_equal(p.rising, 4);
    size_t left = floats + 1;
    for (uint32_t epoch = 1; epoch <= 4; epoch++) {
        (void)fit_until(&q, epoch - 1, epoch);
        assert_true(tame_prune_nonzero(parts.w, floats) < left);
        left = tame_prune_nonzero(parts.w, floats);
        assert_true(epoch == 4 || left > floats - pruned);
    }
    assert_int_equal(left, floats - pruned);
    (void)fit_until(&q, 4, 6);
    (void)fit_until(&q, 6, 8);
    assert_int_equal(tame_prune_nonzero(parts.w, floats), floats - pruned);
    (void)fit_until(&p, 0, 8);
    assert_memory_equal(whole.w, parts.w, floats * sizeof(float));
    fixture_close(&whole);
    fixture_close(&parts);
}

void test_tame_fit_refuses_impossible_pruning(void **state)
{
    (void)state;
    struct fixture x;
    struct tame_fit *fit;
    struct arena arena;
    struct fault f = {0};
    fixture_open(&x, 1, MOST, 3);
    struct tame_fit_problem p = fit_problem(&x);
    void *memory = probe_alloc(tame_fit_plan(&p), 1);
    arena_init(&arena, memory, tame_fit_plan(&p));
    p.share = 1.0;
    assert_int_equal(tame_fit_new(&p, &arena, &fit, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "share");
    p.share = 0.5;
    p.rising = p.epochs;
    assert_int_equal(tame_fit_new(&p, &arena, &fit, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "rising");
    arena_fini(&arena);
    free(memory);
    fixture_close(&x);
}
