#include "learners/methods/tame/tame_conv_net.h"

#include "daemon/base/invariant.h"
#include "daemon/base/rng.h"
#include "learners/math/elementwise.h"
#include "learners/math/gemm.h"
#include "learners/math/vector.h"
#include "learners/nn/conv.h"
#include "learners/nn/maxpool.h"
#include "learners/nn/relu.h"

#include <math.h>
#include <string.h>

#define MAGIC  0x54434e4eu
#define SIDE   TAME_CONV_NET_SIDE
#define LANES  CONV_LANES
#define CHUNK  2048 /* weights of one work item of a reduction */
#define GREYS  256
#define HEAD   4 /* layer */
#define HIDDEN 3 /* widths of the linear layers before the head */

static const struct conv_dims conv1 = {1, SIDE, SIDE, 6, 5}, conv2 = {6, 14, 14, 16, 5};
static const struct maxpool_dims pool1 = {6, 28, 28}, pool2 = {16, 10, 10};
static const size_t widths[HIDDEN] = {400, 120, TAME_CONV_NET_WIDTH};

/*
 * Up to LANES pictures on their way through the net, image varying fastest.  The backward pass
 * overwrites c1 and c2 by their gradients.
 */
struct tame_conv_shard {
    uint32_t n;
    float *x, *c1, *p1, *c2; /* input, convolutions, pooled */
    float *a[HIDDEN];        /* inputs of the linear layers, a[0] the pooled conv2 */
    float *z;                /* [classes, LANES] */
    float *dp1, *da[HIDDEN], *dz;
    float *gradient;
};

struct tame_conv_net {
    uint32_t magic;
    struct tame_conv_net_config config;
    struct pool *pool;
    float grey[GREYS];      /* of a pixel */
    uint32_t n, n_shards;   /* current batch */
    const float *forwarded; /* weights of the last forward, NULL after a step */
    struct tame_conv_shard *shards;
};

struct tame_conv_net_config tame_conv_net_parity(uint32_t classes_max)
{
    return (struct tame_conv_net_config){
        .image_size = 28,
        .mean = 0.1307f,
        .std = 0.3081f,
        .classes_max = classes_max,
        .batch_max = 128,
        .sigmoid = 1,
        .sgd = {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f},
    };
}

/* ------------------------------------------------------------------ sizes */

size_t tame_conv_net_floats(uint32_t classes)
{
    return TAME_CONV_NET_BODY + (size_t)classes * (TAME_CONV_NET_WIDTH + 1);
}

void tame_conv_net_layers(uint32_t classes, struct tame_conv_net_layer ret_l[TAME_CONV_NET_LAYERS])
{
    const size_t shape[TAME_CONV_NET_LAYERS][2] = {
        {conv1.out, conv1.in * conv1.kernel * conv1.kernel},
        {conv2.out, conv2.in * conv2.kernel * conv2.kernel},
        {widths[1], widths[0]},
        {widths[2], widths[1]},
        {classes, widths[2]}};
    size_t at = 0;
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++) {
        const size_t out = shape[i][0], in = shape[i][1];
        ret_l[i] = (struct tame_conv_net_layer){at, out * in, out, in};
        at += out * (in + 1);
    }
    INVARIANT(at == tame_conv_net_floats(classes));
}

static uint32_t shards_of(uint32_t n)
{
    return (n + LANES - 1) / LANES;
}

/* The float arrays of a shard and their lengths, the only list of them. */
#define SHARD_ARRAYS(X, classes)                                                                   \
    X(x, conv_in_floats(&conv1))                                                                   \
    X(c1, conv_out_floats(&conv1))                                                                 \
    X(p1, maxpool_out_floats(&pool1))                                                              \
    X(c2, conv_out_floats(&conv2))                                                                 \
    X(a[0], widths[0] * LANES)                                                                     \
    X(a[1], widths[1] * LANES)                                                                     \
    X(a[2], widths[2] * LANES)                                                                     \
    X(z, (classes)*LANES)                                                                          \
    X(dp1, maxpool_out_floats(&pool1))                                                             \
    X(da[0], widths[0] * LANES)                                                                    \
    X(da[1], widths[1] * LANES)                                                                    \
    X(da[2], widths[2] * LANES)                                                                    \
    X(dz, (classes)*LANES)                                                                         \
    X(gradient, tame_conv_net_floats(classes))

size_t tame_conv_net_plan(const struct tame_conv_net_config *c)
{
    struct arena_plan p = {0};
    const uint32_t n_shards = shards_of(c->batch_max);
    arena_plan_add(&p, 1, sizeof(struct tame_conv_net));
    arena_plan_add(&p, n_shards, sizeof(struct tame_conv_shard));
    for (uint32_t i = 0; i < n_shards; i++) {
#define PLAN(name, count) arena_plan_add(&p, count, sizeof(float));
        SHARD_ARRAYS(PLAN, c->classes_max)
#undef PLAN
    }
    return arena_plan_bytes(&p);
}

static enum status check_config(const struct tame_conv_net_config *c, struct fault *f)
{
    if (c->image_size < 2 || c->image_size > SIDE || c->image_size % 2)
        FAIL(f, STATUS_INVALID_ARGUMENT, "image_size",
             "%u; an even number from 2 to %d is possible", c->image_size, SIDE);
    if (!(c->std > 0.0f) || !isfinite(c->mean) || !isfinite(c->std))
        FAIL(f, STATUS_INVALID_ARGUMENT, "std", "mean %g and std %g are not usable",
             (double)c->mean, (double)c->std);
    if (c->classes_max < 1 || c->classes_max > TAME_MAX_CLASSES)
        FAIL(f, STATUS_INVALID_ARGUMENT, "classes_max", "%u; 1 to %d are possible", c->classes_max,
             TAME_MAX_CLASSES);
    if (c->batch_max < 1 || c->batch_max > TAME_MAX_BATCH)
        FAIL(f, STATUS_INVALID_ARGUMENT, "batch_max", "%u; 1 to %d are possible", c->batch_max,
             TAME_MAX_BATCH);
    return STATUS_OK;
}

static int take_shard(struct tame_conv_shard *s, uint32_t classes, struct arena *arena)
{
    int ok = 1;
#define TAKE(name, count)                                                                          \
    s->name = arena_alloc(arena, count, sizeof(float));                                            \
    ok = ok && s->name;
    SHARD_ARRAYS(TAKE, classes)
#undef TAKE
    return ok;
}

static void fill_greys(struct tame_conv_net *net)
{
    for (int p = 0; p < GREYS; p++)
        net->grey[p] = ((float)p / 255.0f - net->config.mean) / net->config.std;
}

enum status tame_conv_net_new(const struct tame_conv_net_config *c,
                              struct pool *pool,
                              struct arena *arena,
                              struct tame_conv_net **ret_net,
                              struct fault *f)
{
    TRY(check_config(c, f));
    const struct arena_mark start = arena_mark(arena);
    const uint32_t n_shards = shards_of(c->batch_max);
    struct tame_conv_net *net = arena_alloc_zero(arena, 1, sizeof *net);
    struct tame_conv_shard *shards = arena_alloc_zero(arena, n_shards, sizeof *shards);
    int ok = net && shards;
    for (uint32_t i = 0; ok && i < n_shards; i++)
        ok = take_shard(&shards[i], c->classes_max, arena);
    if (!ok) {
        arena_rewind(arena, start);
        FAIL(f, STATUS_NO_MEMORY, "arena", "the net takes %zu bytes", tame_conv_net_plan(c));
    }
    *net = (struct tame_conv_net){.magic = MAGIC, .config = *c, .pool = pool, .shards = shards};
    fill_greys(net);
    *ret_net = net;
    return STATUS_OK;
}

void tame_conv_net_start(const struct tame_conv_net *net, uint64_t seed, uint32_t classes, float *w)
{
    struct tame_conv_net_layer layers[TAME_CONV_NET_LAYERS];
    const struct rng_root root = {.seed = seed};
    INVARIANT(net->magic == MAGIC);
    tame_conv_net_layers(classes, layers);
    for (size_t i = 0; i < TAME_CONV_NET_LAYERS; i++) {
        const size_t n = layers[i].weights + layers[i].biases;
        const float bound = 1.0f / sqrtf((float)layers[i].fan_in);
        struct rng r;
        rng_init(&r, &root, "tame-conv-net", i);
        for (size_t k = 0; k < n; k++)
            w[layers[i].first + k] = rng_range(&r, -bound, bound);
        if (i == HEAD && net->config.zero_last)
            memset(w + layers[i].first, 0, n * sizeof *w);
    }
}

/* ------------------------------------------------------------------ loading */

struct load_job {
    struct tame_conv_net *net;
    const uint8_t *const *pictures;
};

/* Zero pixels everywhere, which is what surrounds a picture and what empty places hold. */
static void clear_input(const struct tame_conv_net *net, float *x)
{
    for (size_t i = 0; i < (size_t)SIDE * SIDE * LANES; i++)
        x[i] = net->grey[0];
}

static void load_shard(void *context, uint32_t i, uint32_t thread)
{
    const struct load_job *job = context;
    struct tame_conv_net *net = job->net;
    struct tame_conv_shard *s = &net->shards[i];
    const uint8_t *const *pictures = job->pictures + (size_t)i * LANES;
    const size_t size = net->config.image_size, edge = (SIDE - size) / 2;
    (void)thread;
    s->n = net->n - i * LANES < LANES ? net->n - i * LANES : LANES;
    if (edge > 0 || s->n < LANES)
        clear_input(net, s->x);
    for (size_t r = 0; r < size; r++)
        for (size_t c = 0; c < size; c++) {
            float *to = s->x + ((r + edge) * SIDE + c + edge) * LANES;
            for (uint32_t k = 0; k < s->n; k++)
                to[k] = net->grey[pictures[k][r * size + c]];
        }
}

void tame_conv_net_load(struct tame_conv_net *net, uint32_t n, const uint8_t *const *pictures)
{
    struct load_job job = {net, pictures};
    INVARIANT(net->magic == MAGIC && n >= 1 && n <= net->config.batch_max);
    net->n = n;
    net->n_shards = shards_of(n);
    net->forwarded = NULL;
    pool_run(net->pool, load_shard, &job, net->n_shards);
}

/* ------------------------------------------------------------------ forward and backward */

/* One pass over the shards. */
struct pass {
    struct tame_conv_net *net;
    const float *w;
    uint32_t classes;
    const struct tame_conv_net_layer *layers;
    float *logits;
    const float *dlogits;
};

/* y [out, LANES] = W x + b of linear layer `at`. */
static void linear_stack(const struct pass *p, size_t at, size_t in, const float *x, float *y)
{
    const struct tame_conv_net_layer *l = &p->layers[at];
    const float *b = p->w + l->first + l->weights;
    for (size_t o = 0; o < l->biases; o++)
        for (size_t k = 0; k < LANES; k++)
            y[o * LANES + k] = b[o];
    gemm_nn(&(struct gemm_dims){l->biases, LANES, in, in, LANES, LANES}, 1.0f, p->w + l->first, x,
            1.0f, y);
}

static void forward_shard(void *context, uint32_t i, uint32_t thread)
{
    const struct pass *p = context;
    const struct tame_conv_shard *s = &p->net->shards[i];
    const struct tame_conv_net_layer *l = p->layers;
    const float *w = p->w;
    (void)thread;
    conv_forward(&conv1, s->x, w + l[0].first, w + l[0].first + l[0].weights, s->c1);
    maxpool_relu_forward(&pool1, s->c1, s->p1);
    conv_forward(&conv2, s->p1, w + l[1].first, w + l[1].first + l[1].weights, s->c2);
    maxpool_relu_forward(&pool2, s->c2, s->a[0]);
    for (size_t k = 1; k < HIDDEN; k++) {
        linear_stack(p, k + 1, widths[k - 1], s->a[k - 1], s->a[k]);
        relu_forward(s->a[k], widths[k] * LANES);
    }
    linear_stack(p, HEAD, widths[HIDDEN - 1], s->a[HIDDEN - 1], s->z);
    for (size_t k = 0; k < s->n; k++)
        for (size_t c = 0; c < p->classes; c++)
            p->logits[((size_t)i * LANES + k) * p->classes + c] = s->z[c * LANES + k];
}

void tame_conv_net_forward(struct tame_conv_net *net,
                           const float *w,
                           uint32_t classes,
                           float *logits)
{
    struct tame_conv_net_layer layers[TAME_CONV_NET_LAYERS];
    struct pass p = {.net = net, .w = w, .classes = classes, .layers = layers, .logits = logits};
    INVARIANT(net->magic == MAGIC && net->n > 0 && classes <= net->config.classes_max);
    tame_conv_net_layers(classes, layers);
    net->forwarded = w;
    pool_run(net->pool, forward_shard, &p, net->n_shards);
}

/*
 * Linear layer `at`: overwrites its gradients and dx [in, LANES] from dy [out, LANES] and x.
 */
static void linear_stack_backward(
    const struct pass *p, size_t at, const float *dy, const float *x, float *dx, float *gradient)
{
    const struct tame_conv_net_layer *l = &p->layers[at];
    float *db = gradient + l->first + l->weights;
    gemm_nt(&(struct gemm_dims){l->biases, l->fan_in, LANES, LANES, LANES, l->fan_in}, 1.0f, dy, x,
            0.0f, gradient + l->first);
    for (size_t o = 0; o < l->biases; o++)
        db[o] = vector_sum(dy + o * LANES, LANES);
    gemm_tn(&(struct gemm_dims){l->fan_in, LANES, l->biases, l->fan_in, LANES, LANES}, 1.0f,
            p->w + l->first, dy, 0.0f, dx);
}

/* Head's gradient in the order of the stack; places without a picture get none. */
static void load_dlogits(const struct pass *p, const struct tame_conv_shard *s, uint32_t i)
{
    memset(s->dz, 0, p->classes * LANES * sizeof *s->dz);
    for (size_t k = 0; k < s->n; k++)
        for (size_t c = 0; c < p->classes; c++)
            s->dz[c * LANES + k] = p->dlogits[((size_t)i * LANES + k) * p->classes + c];
}

static void backward_shard(void *context, uint32_t i, uint32_t thread)
{
    const struct pass *p = context;
    const struct tame_conv_shard *s = &p->net->shards[i];
    const struct tame_conv_net_layer *l = p->layers;
    float *g = s->gradient;
    (void)thread;
    load_dlogits(p, s, i);
    linear_stack_backward(p, HEAD, s->dz, s->a[HIDDEN - 1], s->da[HIDDEN - 1], g);
    for (size_t k = HIDDEN - 1; k > 0; k--) {
        relu_backward(s->a[k], s->da[k], widths[k] * LANES);
        linear_stack_backward(p, k + 1, s->da[k], s->a[k - 1], s->da[k - 1], g);
    }
    memset(g, 0, l[2].first * sizeof *g);
    maxpool_relu_backward(&pool2, s->da[0], s->c2);
    conv_backward_weights(&conv2, s->c2, s->p1, g + l[1].first, g + l[1].first + l[1].weights);
    conv_backward_input(&conv2, s->c2, p->w + l[1].first, s->dp1);
    maxpool_relu_backward(&pool1, s->dp1, s->c1);
    conv_backward_weights(&conv1, s->c1, s->x, g + l[0].first, g + l[0].first + l[0].weights);
}

static void
run_backward(struct tame_conv_net *net, const float *w, uint32_t classes, const float *dlogits)
{
    struct tame_conv_net_layer layers[TAME_CONV_NET_LAYERS];
    struct pass p = {.net = net, .w = w, .classes = classes, .layers = layers, .dlogits = dlogits};
    INVARIANT(net->magic == MAGIC && net->forwarded == w && classes <= net->config.classes_max);
    tame_conv_net_layers(classes, layers);
    net->forwarded = NULL; /* the activations are overwritten */
    pool_run(net->pool, backward_shard, &p, net->n_shards);
}

/* ------------------------------------------------------------------ reduction and step */

struct reduction {
    struct tame_conv_net *net;
    size_t floats;
    const struct sgd_options *sgd; /* NULL: the gradient is what is wanted */
    const uint8_t *mask;
    float *w, *m;
    float *gradient;
};

/* Adds the shards' gradients in their order, into that of the first shard. */
static void reduce_chunk(void *context, uint32_t i, uint32_t thread)
{
    const struct reduction *r = context;
    const size_t at = (size_t)i * CHUNK;
    const size_t n = r->floats - at < CHUNK ? r->floats - at : CHUNK;
    float *sum = r->net->shards[0].gradient + at;
    (void)thread;
    for (uint32_t s = 1; s < r->net->n_shards; s++)
        elementwise_add(sum, r->net->shards[s].gradient + at, n);
    for (size_t k = 0; r->mask && k < n; k++)
        sum[k] = r->mask[at + k] ? sum[k] : 0.0f;
    if (r->sgd)
        sgd_step(r->sgd, r->w + at, sum, r->m + at, n);
    else
        memcpy(r->gradient + at, sum, n * sizeof *sum);
}

static void run_reduction(struct reduction *r)
{
    pool_run(r->net->pool, reduce_chunk, r, (uint32_t)((r->floats + CHUNK - 1) / CHUNK));
}

void tame_conv_net_backward(struct tame_conv_net *net,
                            const float *w,
                            uint32_t classes,
                            const float *dlogits,
                            float *gradient)
{
    run_backward(net, w, classes, dlogits);
    run_reduction(&(struct reduction){
        .net = net, .floats = tame_conv_net_floats(classes), .gradient = gradient});
}

void tame_conv_net_step(struct tame_conv_net *net,
                        const struct sgd_options *sgd,
                        uint32_t classes,
                        const float *dlogits,
                        const uint8_t *mask,
                        float *w,
                        float *m)
{
    run_backward(net, w, classes, dlogits);
    run_reduction(&(struct reduction){.net = net,
                                      .floats = tame_conv_net_floats(classes),
                                      .sgd = sgd,
                                      .mask = mask,
                                      .w = w,
                                      .m = m});
}

/* ------------------------------------------------------------------ the table of kinds */

static void kind_shape(const void *engine, struct tame_shape *ret_shape)
{
    const struct tame_conv_net *net = engine;
    INVARIANT(net->magic == MAGIC);
    *ret_shape = (struct tame_shape){
        .input_bytes = (size_t)net->config.image_size * net->config.image_size,
        .body = TAME_CONV_NET_BODY,
        .head_width = TAME_CONV_NET_WIDTH,
        .vectors = 2,
        .batch_max = net->config.batch_max,
        .sigmoid = net->config.sigmoid,
    };
}

static void kind_reset(void *engine)
{
    struct tame_conv_net *net = engine;
    INVARIANT(net->magic == MAGIC);
    net->n = 0;
    net->forwarded = NULL;
}

static void kind_init(void *engine, struct tame_weights *w)
{
    tame_conv_net_start(engine, w->seed, w->classes, w->v[0]);
}

static void kind_load(void *engine, uint32_t n, const uint8_t *const *inputs)
{
    tame_conv_net_load(engine, n, inputs);
}

static void kind_forward(void *engine, const struct tame_weights *w, int train, float *logits)
{
    (void)train; /* the activations are kept in any case */
    tame_conv_net_forward(engine, w->v[0], w->classes, logits);
}

static void kind_step(void *engine, struct tame_weights *w, const float *dlogits)
{
    struct tame_conv_net *net = engine;
    tame_conv_net_step(net, &net->config.sgd, w->classes, dlogits, NULL, w->v[0], w->v[1]);
    w->revision++;
}

const struct tame_kind tame_kind_conv = {
    .name = "conv",
    .shape = kind_shape,
    .reset = kind_reset,
    .init = kind_init,
    .load = kind_load,
    .forward = kind_forward,
    .step = kind_step,
};
