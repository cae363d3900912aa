/*
 * What must not change a bit: the number of threads, the rest of the batch, an image's place in it,
 * and entering from a cached prefix instead of from pixels.
 */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#define RANK 3

/* Real token count (50), so that the products take the same kernels as the shipped model's. */
static struct vit_config small28(void)
{
    struct vit_config c = vit_fixture_tiny();
    c.image_size = 28;
    c.width = 32;
    c.hidden = 96;
    c.classes = 10;
    c.attention_scale = 0.25f;
    return c;
}

struct result {
    float *logits, *embeddings, *taps, *gradient;
    size_t n_logits, n_embeddings, n_taps, n_gradient;
};

static struct result result_make(const struct vit_config *c, size_t n, size_t n_gradient)
{
    struct result r = {.n_logits = n * c->classes,
                       .n_embeddings = n * c->width,
                       .n_taps = n * c->depth * 2 * c->width,
                       .n_gradient = n_gradient};
    r.logits = vit_fixture_alloc(r.n_logits, sizeof(float));
    r.embeddings = vit_fixture_alloc(r.n_embeddings, sizeof(float));
    r.taps = vit_fixture_alloc(r.n_taps, sizeof(float));
    r.gradient = vit_fixture_alloc(r.n_gradient, sizeof(float));
    return r;
}

static void result_free(struct result *r)
{
    free(r->logits);
    free(r->embeddings);
    free(r->taps);
    free(r->gradient);
}

static void assert_same(const float *a, const float *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof *a);
}

static void forward(struct vit_fixture *x, const struct vit_input *in, struct result *r)
{
    vit_forward(
        x->batch, &x->w, in,
        &(struct vit_output){.logits = r->logits, .embeddings = r->embeddings, .taps = r->taps});
}

/* Gradients that flow in, the same for every run. */
struct incoming {
    float *dlogits, *dembeddings, *dtaps;
    struct vit_output_grad grad;
};

static struct incoming incoming_make(const struct vit_config *c, size_t n)
{
    struct incoming k = {.dlogits = vit_fixture_normal(n * c->classes, "dlogits", 1),
                         .dembeddings = vit_fixture_normal(n * c->width, "dembeddings", 1),
                         .dtaps = vit_fixture_normal(n * c->depth * 2 * c->width, "dtaps", 1)};
    k.grad = (struct vit_output_grad){k.dlogits, k.dembeddings, k.dtaps};
    return k;
}

static void incoming_free(struct incoming *k)
{
    free(k->dlogits);
    free(k->dembeddings);
    free(k->dtaps);
}

static void lora_map(struct vit_lora *l, const struct vit_config *c, float *memory, uint32_t from)
{
    const size_t a = (size_t)RANK * c->width, b = (size_t)RANK * c->hidden;
    *l = (struct vit_lora){.rank = RANK, .scale = 0.5f};
    for (size_t i = 0; i < c->depth; i++, memory += 2 * (a + b))
        l->blocks[i] = (struct vit_lora_block){memory, memory + a, memory + a + b,
                                               memory + a + 2 * b, i + 1 >= from};
}

static size_t lora_floats(const struct vit_config *c)
{
    return (size_t)c->depth * RANK * 2 * (c->width + c->hidden);
}

/* LoRA gradients with the blocks from `from` (1..L) awake. */
static void backward_lora(struct vit_fixture *x, uint32_t from, struct result *r)
{
    struct incoming k = incoming_make(&x->c, x->n);
    float *theta = vit_fixture_normal(lora_floats(&x->c), "theta", 0.2f);
    struct vit_lora lora, grad;
    lora_map(&lora, &x->c, theta, from);
    lora_map(&grad, &x->c, r->gradient, from);
    vit_backward_lora(x->batch, &x->w, &lora, &k.grad, &grad);
    free(theta);
    incoming_free(&k);
}

/* ------------------------------------------------------------------ threads */

static struct result full_run(const struct vit_config *c, uint32_t n, uint32_t threads)
{
    struct vit_fixture x;
    vit_fixture_init(&x, c, VIT_TRAIN_FULL, n, threads);
    struct result r = result_make(c, n, x.floats);
    struct incoming k = incoming_make(c, n);
    forward(&x, &(struct vit_input){.n = n, .images = x.images}, &r);
    vit_backward_full(x.batch, &x.w, &k.grad, &x.grad);
    memcpy(r.gradient, x.grad_block, x.floats * sizeof(float));
    incoming_free(&k);
    vit_fixture_fini(&x);
    return r;
}

static struct result lora_run(const struct vit_config *c, uint32_t n, uint32_t threads)
{
    struct vit_fixture x;
    vit_fixture_init(&x, c, VIT_TRAIN_LORA, n, threads);
    struct result r = result_make(c, n, lora_floats(c));
    forward(&x, &(struct vit_input){.n = n, .images = x.images}, &r);
    backward_lora(&x, 1, &r);
    vit_fixture_fini(&x);
    return r;
}

static void assert_same_results(struct result *a, struct result *b)
{
    assert_same(a->logits, b->logits, a->n_logits);
    assert_same(a->embeddings, b->embeddings, a->n_embeddings);
    assert_same(a->taps, b->taps, a->n_taps);
    assert_same(a->gradient, b->gradient, a->n_gradient);
    result_free(a);
    result_free(b);
}

void test_vit_invariance_full_bytes_for_1_2_and_3_threads(void **state)
{
    (void)state;
    const struct vit_config c = small28();
    for (uint32_t threads = 2; threads <= 3; threads++) {
        struct result one = full_run(&c, 53, 1), more = full_run(&c, 53, threads);
        assert_same_results(&one, &more);
    }
}

void test_vit_invariance_lora_bytes_for_1_and_2_threads(void **state)
{
    (void)state;
    struct vit_config c = small28();
    c.head = VIT_HEAD_COSINE;
    struct result one = lora_run(&c, 53, 1), two = lora_run(&c, 53, 2);
    assert_same_results(&one, &two);
}

/* ------------------------------------------------------------------ neighbours */

static void check_alone(enum vit_mode mode)
{
    enum { N = 21 };
    const struct vit_config c = small28();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, mode, N, 2);
    struct result all = result_make(&c, N, 0), one = result_make(&c, 1, 0);
    forward(&x, &(struct vit_input){.n = N, .images = x.images}, &all);
    for (size_t i = 0; i < N; i++) {
        forward(&x, &(struct vit_input){.n = 1, .images = x.images + i}, &one);
        assert_same(one.logits, all.logits + i * one.n_logits, one.n_logits);
        assert_same(one.embeddings, all.embeddings + i * one.n_embeddings, one.n_embeddings);
        assert_same(one.taps, all.taps + i * one.n_taps, one.n_taps);
    }
    result_free(&all);
    result_free(&one);
    vit_fixture_fini(&x);
}

void test_vit_invariance_an_image_alone_or_among_others(void **state)
{
    (void)state;
    check_alone(VIT_INFER);
    check_alone(VIT_TRAIN_LORA);
}

void test_vit_invariance_inference_and_lora_training_agree(void **state)
{
    (void)state;
    enum { N = 9 };
    const struct vit_config c = small28();
    struct vit_fixture x, y;
    vit_fixture_init(&x, &c, VIT_INFER, N, 1);
    vit_fixture_init(&y, &c, VIT_TRAIN_LORA, N, 2);
    struct result a = result_make(&c, N, 0), b = result_make(&c, N, 0);
    forward(&x, &(struct vit_input){.n = N, .images = x.images}, &a);
    forward(&y, &(struct vit_input){.n = N, .images = x.images}, &b);
    assert_same_results(&a, &b);
    vit_fixture_fini(&x);
    vit_fixture_fini(&y);
}

/* ------------------------------------------------------------------ prefixes */

/* U of block l for all images: alone, or beside the other outputs; from pixels or a prefix. */
static float *make_prefix(struct vit_fixture *x, const struct vit_input *in, uint32_t l, int beside)
{
    const size_t rows = l == x->c.depth ? 1 : vit_tokens(&x->c);
    float *prefix = vit_fixture_alloc(x->n * rows * x->c.width, sizeof(float));
    float *logits = vit_fixture_alloc(x->n * x->c.classes, sizeof(float));
    vit_forward(x->batch, &x->w, in,
                &(struct vit_output){
                    .prefix = prefix, .prefix_block = l, .logits = beside ? logits : NULL});
    free(logits);
    return prefix;
}

static size_t prefix_floats(const struct vit_fixture *x, uint32_t l)
{
    return (l == x->c.depth ? 1 : vit_tokens(&x->c)) * (size_t)x->c.width;
}

/* Taps of blocks after `first` equal, those before are zero. */
static void assert_taps(const struct vit_fixture *x,
                        const struct result *cached,
                        const struct result *whole,
                        uint32_t first)
{
    const size_t c = 2 * (size_t)x->c.width;
    float *zero = vit_fixture_alloc(c, sizeof *zero);
    for (size_t i = 0; i < x->n; i++)
        for (size_t l = 0; l < x->c.depth; l++) {
            const size_t at = (i * x->c.depth + l) * c;
            assert_same(cached->taps + at, l < first ? zero : whole->taps + at, c);
        }
    free(zero);
}

static void check_cached(struct vit_fixture *x, uint32_t first)
{
    const struct vit_input pixels = {.n = x->n, .images = x->images};
    float *prefix = make_prefix(x, &pixels, first, 0);
    float *beside = make_prefix(x, &pixels, first, 1);
    const size_t each = prefix_floats(x, first);
    assert_same(prefix, beside, x->n * each);
    const float **rows = vit_fixture_alloc(x->n, sizeof *rows);
    for (size_t i = 0; i < x->n; i++)
        rows[i] = prefix + i * each;
    struct result whole = result_make(&x->c, x->n, lora_floats(&x->c));
    struct result cached = result_make(&x->c, x->n, lora_floats(&x->c));
    forward(x, &pixels, &whole);
    backward_lora(x, first, &whole);
    const struct vit_input from_prefix = {.n = x->n, .first = first, .prefix = rows};
    forward(x, &from_prefix, &cached);
    backward_lora(x, first, &cached);
    assert_taps(x, &cached, &whole, first);
    memcpy(cached.taps, whole.taps, whole.n_taps * sizeof(float));
    assert_same_results(&cached, &whole);
    /* a later prefix from a cached one */
    for (uint32_t l = first; l <= x->c.depth; l++) {
        float *a = make_prefix(x, &pixels, l, 0), *b = make_prefix(x, &from_prefix, l, 0);
        assert_same(a, b, x->n * prefix_floats(x, l));
        free(a);
        free(b);
    }
    free(prefix);
    free(beside);
    free(rows);
}

void test_vit_invariance_cached_prefix_changes_no_bit(void **state)
{
    (void)state;
    const struct vit_config c = small28();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, VIT_TRAIN_LORA, 19, 2);
    for (uint32_t first = 1; first <= c.depth; first++)
        check_cached(&x, first);
    vit_fixture_fini(&x);
}

/* ------------------------------------------------------------------ symmetry */

void test_vit_invariance_batch_order_permutes_results_only(void **state)
{
    (void)state;
    enum { N = 17 };
    const struct vit_config c = small28();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, VIT_INFER, N, 2);
    const float *reversed[N];
    for (size_t i = 0; i < N; i++)
        reversed[i] = x.images[N - 1 - i];
    struct result a = result_make(&c, N, 0), b = result_make(&c, N, 0);
    forward(&x, &(struct vit_input){.n = N, .images = x.images}, &a);
    forward(&x, &(struct vit_input){.n = N, .images = reversed}, &b);
    for (size_t i = 0; i < N; i++)
        assert_same(a.logits + i * c.classes, b.logits + (N - 1 - i) * c.classes, c.classes);
    result_free(&a);
    result_free(&b);
    vit_fixture_fini(&x);
}

/* ------------------------------------------------------------------ sums */

/* Adds the gradient of images from .. from+n-1 with respect to their own logits. */
static void add_part(struct vit_fixture *x, uint32_t from, uint32_t n, const float *dlogits)
{
    struct result r = result_make(&x->c, n, 0);
    forward(x, &(struct vit_input){.n = n, .images = x->images + from}, &r);
    const struct vit_output_grad dout = {.dlogits = dlogits + from * x->c.classes};
    vit_backward_full(x->batch, &x->w, &dout, &x->grad);
    result_free(&r);
}

/* More shards than gradient lanes: a lane then adds several shards. */
void test_vit_invariance_batch_gradient_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    enum { N = 16 * 40 + 3, PART = 29 };
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, VIT_TRAIN_FULL, N, 2);
    float *dlogits = vit_fixture_normal(N * c.classes, "dlogits", 1);
    add_part(&x, 0, N, dlogits);
    float *whole = vit_fixture_alloc(x.floats, sizeof *whole);
    memcpy(whole, x.grad_block, x.floats * sizeof *whole);
    memset(x.grad_block, 0, x.floats * sizeof *whole);
    for (uint32_t from = 0; from < N; from += PART)
        add_part(&x, from, from + PART < N ? PART : N - from, dlogits);
    const double norm = sqrt(vit_fixture_dot(whole, whole, x.floats));
    for (size_t i = 0; i < x.floats; i++)
        assert_near(x.grad_block[i], whole[i], 1e-5 * norm);
    free(dlogits);
    free(whole);
    vit_fixture_fini(&x);
}

static void add_lora_part(struct vit_fixture *x,
                          uint32_t from,
                          uint32_t n,
                          const float *dlogits,
                          const struct vit_lora *lora,
                          struct vit_lora *grad)
{
    struct result r = result_make(&x->c, n, 0);
    forward(x, &(struct vit_input){.n = n, .images = x->images + from}, &r);
    const struct vit_output_grad dout = {.dlogits = dlogits + from * x->c.classes};
    vit_backward_lora(x->batch, &x->w, lora, &dout, grad);
    result_free(&r);
}

void test_vit_invariance_lora_gradient_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    enum { PART = 13, N = 25 * PART };
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, VIT_TRAIN_LORA, N, 2);
    const size_t floats = lora_floats(&c);
    float *theta = vit_fixture_normal(floats, "theta", 0.2f);
    float *dlogits = vit_fixture_normal(N * c.classes, "dlogits", 1);
    float *whole = vit_fixture_alloc(floats, sizeof *whole);
    float *parts = vit_fixture_alloc(floats, sizeof *parts);
    struct vit_lora lora, grad;
    lora_map(&lora, &c, theta, 1);
    lora_map(&grad, &c, whole, 1);
    add_lora_part(&x, 0, N, dlogits, &lora, &grad);
    lora_map(&grad, &c, parts, 1);
    for (uint32_t from = 0; from < N; from += PART)
        add_lora_part(&x, from, PART, dlogits, &lora, &grad);
    const double norm = sqrt(vit_fixture_dot(whole, whole, floats));
    assert_true(norm > 0.0);
    for (size_t i = 0; i < floats; i++)
        assert_near(parts[i], whole[i], 1e-5 * norm);
    free(theta);
    free(dlogits);
    free(whole);
    free(parts);
    vit_fixture_fini(&x);
}
