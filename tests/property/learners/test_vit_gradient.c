/*
 * Gradients of the whole ViT against four-point central differences along directions that contain
 * the computed gradient: a linear functional of logits, embeddings and taps, summed in double.
 */
#include "tests/support/test.h"

#include "tests/property/learners/gradient_probe.h"
#include "tests/property/learners/vit_fixture.h"

#define N_IMAGES 19 /* more than one shard */

/* What is differentiated: <a, logits> + <b, embeddings> + <c, taps>; a member may be NULL. */
struct functional {
    float *logits_weights, *embeddings_weights, *taps_weights;
    float *logits, *embeddings, *taps;
    size_t n_logits, n_embeddings, n_taps;
    uint32_t first;
    const float *const *prefix;
    const uint16_t *kept;
    uint32_t n_kept;
};

static struct functional functional_make(const struct vit_config *c, uint32_t n)
{
    struct functional f = {.n_logits = (size_t)n * c->classes,
                           .n_embeddings = (size_t)n * c->width,
                           .n_taps = (size_t)n * c->depth * 2 * c->width};
    f.logits_weights = vit_fixture_normal(f.n_logits, "logits", 1.0f);
    f.embeddings_weights = vit_fixture_normal(f.n_embeddings, "embeddings", 0.3f);
    f.taps_weights = vit_fixture_normal(f.n_taps, "taps", 0.2f);
    f.logits = vit_fixture_alloc(f.n_logits, sizeof(float));
    f.embeddings = vit_fixture_alloc(f.n_embeddings, sizeof(float));
    f.taps = vit_fixture_alloc(f.n_taps, sizeof(float));
    return f;
}

static void functional_free(struct functional *f)
{
    free(f->logits_weights);
    free(f->embeddings_weights);
    free(f->taps_weights);
    free(f->logits);
    free(f->embeddings);
    free(f->taps);
}

static double functional_value(const struct functional *f, struct vit_fixture *x)
{
    const struct vit_input in = {.n = x->n,
                                 .first = f->first,
                                 .images = x->images,
                                 .prefix = f->prefix,
                                 .kept = f->kept,
                                 .n_kept = f->n_kept};
    vit_forward(
        x->batch, &x->w, &in,
        &(struct vit_output){.logits = f->logits, .embeddings = f->embeddings, .taps = f->taps});
    return vit_fixture_dot(f->logits, f->logits_weights, f->n_logits) +
           vit_fixture_dot(f->embeddings, f->embeddings_weights, f->n_embeddings) +
           vit_fixture_dot(f->taps, f->taps_weights, f->n_taps);
}

static struct vit_output_grad functional_gradient(const struct functional *f)
{
    return (struct vit_output_grad){.dlogits = f->logits_weights,
                                    .dembeddings = f->embeddings_weights,
                                    .dtaps = f->taps_weights};
}

/* ------------------------------------------------------------------ all weights */

struct full_context {
    struct vit_fixture *x;
    struct functional *f;
};

static double full_value(void *context)
{
    struct full_context *k = context;
    return functional_value(k->f, k->x);
}

static void check_full_of(const struct vit_config *c, const uint16_t *kept, uint32_t n_kept)
{
    struct vit_fixture x;
    vit_fixture_init(&x, c, VIT_TRAIN_FULL, N_IMAGES, 2);
    struct functional f = functional_make(c, N_IMAGES);
    f.kept = kept;
    f.n_kept = n_kept;
    functional_value(&f, &x);
    const struct vit_output_grad dout = functional_gradient(&f);
    vit_backward_full(x.batch, &x.w, &dout, &x.grad);
    struct vit_tensor t[64];
    const size_t n = vit_tensors(c, t, 64);
    assert_true(n <= 64);
    struct full_context k = {&x, &f};
    for (size_t i = 0; i < n; i++) {
        size_t skip = !c->class_position && !strcmp(t[i].kind, "pos") ? c->width : 0;
        const struct probe p = {full_value, &k, x.weight_block + t[i].offset + skip,
                                t[i].rows * t[i].cols - skip};
        probe_check(&p, x.grad_block + t[i].offset + skip, t[i].kind);
    }
    if (!c->class_position)
        assert_true(probe_dot(x.grad.pos, x.grad.pos, c->width) <= 0.0);
    functional_free(&f);
    vit_fixture_fini(&x);
}

static void check_full(const struct vit_config *c)
{
    check_full_of(c, NULL, 0);
}

void test_vit_gradient_full_with_patches_left_out(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    uint16_t kept[N_IMAGES * 2];
    for (uint32_t i = 0; i < N_IMAGES; i++) {
        kept[2 * i] = (uint16_t)(i % 3);
        kept[2 * i + 1] = 3;
    }
    check_full_of(&c, kept, 2);
}

/* A list of all patches is no list; a shorter one changes the answer of its image alone. */
void test_vit_kept_patches_of_one_image(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    vit_fixture_init(&x, &c, VIT_TRAIN_FULL, 2, 1);
    const uint16_t all[] = {0, 1, 2, 3, 0, 1, 2, 3}, turned[] = {3, 1, 0, 2, 0, 1, 2, 3};
    float plain[6], listed[6], other[6];
    struct vit_input in = {.n = 2, .images = x.images};
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = plain});
    in.kept = all;
    in.n_kept = 4;
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = listed});
    assert_memory_equal(plain, listed, sizeof plain);
    in.kept = turned; /* attention does not know the order of tokens */
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = other});
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(other[i] - plain[i]) < 1e-5f);
    const uint16_t fewer[] = {0, 1, 2, 0, 1, 2};
    in.kept = fewer;
    in.n_kept = 3;
    x.pixels[4 * 8 + 4] += 1; /* in patch 3 of image 0 */
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = listed});
    x.pixels[4 * 8 + 4] += 1;
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = other});
    assert_memory_equal(listed, other, sizeof listed);
    in.kept = NULL;
    vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = other});
    assert_memory_not_equal(other, plain, 3 * sizeof *plain);
    assert_memory_equal(other + 3, plain + 3, 3 * sizeof *plain);
    vit_fixture_fini(&x);
}

void test_vit_gradient_full_linear_head(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    check_full(&c);
}

void test_vit_gradient_full_cosine_head_without_biases(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    c.head = VIT_HEAD_COSINE;
    c.qkv_bias = 0;
    c.class_position = 0;
    c.channels = 3;
    c.patch_channels_last = 1;
    check_full(&c);
}

void test_vit_gradient_full_depth_one(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    c.depth = 1;
    check_full(&c);
}

/* ------------------------------------------------------------------ low-rank updates */

#define RANK 2

struct lora_fixture {
    struct vit_lora lora, grad;
    float *theta, *dtheta;
    size_t group;
    struct vit_weights base; /* the weights before folding */
    float *base_block;
};

struct lora_context {
    struct vit_fixture *x;
    struct functional *f;
    struct lora_fixture *k;
};

static void lora_map(struct vit_lora *l, const struct vit_config *c, float *memory)
{
    const size_t a = (size_t)RANK * c->width, b = (size_t)RANK * c->hidden;
    *l = (struct vit_lora){.rank = RANK, .scale = 0.5f};
    for (size_t i = 0; i < c->depth; i++, memory += 2 * (a + b))
        l->blocks[i] = (struct vit_lora_block){
            .a1 = memory, .b1 = memory + a, .a2 = memory + a + b, .b2 = memory + a + 2 * b};
}

static void lora_init(struct lora_fixture *k, const struct vit_fixture *x)
{
    const struct vit_config *c = &x->c;
    k->group = 2u * RANK * (c->width + c->hidden);
    k->theta = vit_fixture_normal(c->depth * k->group, "theta", 0.3f);
    k->dtheta = vit_fixture_alloc(c->depth * k->group, sizeof(float));
    lora_map(&k->lora, c, k->theta);
    lora_map(&k->grad, c, k->dtheta);
    k->base_block = vit_fixture_alloc(x->floats, sizeof(float));
    memcpy(k->base_block, x->weight_block, x->floats * sizeof(float));
    vit_weights_map(c, k->base_block, &k->base);
}

static void lora_fini(struct lora_fixture *k)
{
    free(k->theta);
    free(k->dtheta);
    free(k->base_block);
}

static void lora_fold(const struct lora_fixture *k, struct vit_fixture *x)
{
    const struct vit_config *c = &x->c;
    for (size_t l = 0; l < c->depth; l++) {
        const struct vit_lora_block *b = &k->lora.blocks[l];
        const struct vit_block *from = &k->base.blocks[l], *to = &x->w.blocks[l];
        const float s = b->awake ? k->lora.scale : 0.0f;
        vit_lora_fold(from->fc1_w, b->b1, b->a1, s, c->hidden, c->width, RANK, to->fc1_w);
        vit_lora_fold(from->fc2_w, b->b2, b->a2, s, c->width, c->hidden, RANK, to->fc2_w);
    }
}

static double lora_value(void *context)
{
    struct lora_context *k = context;
    lora_fold(k->k, k->x);
    return functional_value(k->f, k->x);
}

static void check_lora(const struct vit_config *c, uint32_t awake_from)
{
    struct vit_fixture x;
    vit_fixture_init(&x, c, VIT_TRAIN_LORA, N_IMAGES, 2);
    struct lora_fixture k;
    lora_init(&k, &x);
    for (size_t l = awake_from - 1; l < c->depth; l++)
        k.lora.blocks[l].awake = 1;
    struct functional f = functional_make(c, N_IMAGES);
    struct lora_context context = {&x, &f, &k};
    lora_value(&context);
    const struct vit_output_grad dout = functional_gradient(&f);
    vit_backward_lora(x.batch, &x.w, &k.lora, &dout, &k.grad);
    const size_t sizes[4] = {RANK * c->width, RANK * c->hidden, RANK * c->hidden, RANK * c->width};
    const char *names[4] = {"a1", "b1", "a2", "b2"};
    size_t at = 0;
    for (size_t l = 0; l < c->depth; l++)
        for (size_t j = 0; j < 4; at += sizes[j], j++) {
            const struct probe p = {lora_value, &context, k.theta + at, sizes[j]};
            if (l + 1 >= awake_from)
                probe_check(&p, k.dtheta + at, names[j]);
            else
                assert_true(vit_fixture_dot(k.dtheta + at, k.dtheta + at, sizes[j]) <= 0.0);
        }
    functional_free(&f);
    lora_fini(&k);
    vit_fixture_fini(&x);
}

void test_vit_gradient_lora_all_awake(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    check_lora(&c, 1);
}

void test_vit_gradient_lora_leading_blocks_asleep(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    check_lora(&c, 2);
    check_lora(&c, 3);
}

void test_vit_gradient_lora_cosine_head(void **state)
{
    (void)state;
    struct vit_config c = vit_fixture_tiny();
    c.head = VIT_HEAD_COSINE;
    c.qkv_bias = 0;
    check_lora(&c, 1);
}
