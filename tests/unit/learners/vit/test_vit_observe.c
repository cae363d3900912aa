/* What an observer of the forward pass sees, and that the pass does not notice it. */
#include "tests/support/test.h"

#include "tests/property/learners/vit_fixture.h"

#include "learners/nn/layernorm.h"

#define N_IMAGES 130 /* several shards of the tiny model */

struct seen {
    const struct vit_config *c;
    const struct vit_weights *w;
    uint32_t next[N_IMAGES]; /* block that image i must show next */
    uint32_t threads;
    int wrong;
    float *x;  /* [n, L, N, C] */
    float *kv; /* [n, L, 2] a number of the last token's key and value */
};

static void observe(void *context, const struct vit_observed *o)
{
    struct seen *s = context;
    const size_t n = vit_tokens(s->c), c = s->c->width, block = n * c;
    const struct vit_block *b = &s->w->blocks[o->block];
    float xh[64 * 8], qkv[64 * 24], stats[128];
    if (o->image >= N_IMAGES || o->thread >= s->threads || s->next[o->image]++ != o->block ||
        o->ld != 3 * c)
        s->wrong = 1;
    layernorm_forward(&(struct layernorm_dims){n, c, s->c->ln_eps}, o->x, b->ln1_w, b->ln1_b, xh,
                      stats, stats + n);
    if (memcmp(xh, o->xh, block * sizeof *xh) != 0)
        s->wrong = 2;
    vit_observe_again(s->c, s->w, o->block, o->x, xh, qkv, stats);
    if (memcmp(xh, o->xh, block * sizeof *xh) != 0)
        s->wrong = 3;
    const size_t queries = o->block + 1 == s->c->depth ? 1 : n;
    for (size_t r = 0; r < n; r++) {
        if (r < queries && memcmp(qkv + r * 3 * c, o->q + r * o->ld, c * sizeof *qkv) != 0)
            s->wrong = 4;
        if (memcmp(qkv + r * 3 * c + c, o->k + r * o->ld, c * sizeof *qkv) != 0 ||
            memcmp(qkv + r * 3 * c + 2 * c, o->v + r * o->ld, c * sizeof *qkv) != 0)
            s->wrong = 5;
    }
    const size_t at = (size_t)o->image * s->c->depth + o->block;
    memcpy(s->x + at * block, o->x, block * sizeof *xh);
    s->kv[2 * at] = o->k[(n - 1) * o->ld + 1];
    s->kv[2 * at + 1] = o->v[(n - 1) * o->ld + 1];
}

static struct seen seen_make(const struct vit_fixture *x, uint32_t threads)
{
    struct seen s = {.c = &x->c, .w = &x->w, .threads = threads};
    const size_t blocks = (size_t)N_IMAGES * x->c.depth;
    s.x = vit_fixture_alloc(blocks * vit_tokens(&x->c) * x->c.width, sizeof(float));
    s.kv = vit_fixture_alloc(2 * blocks, sizeof(float));
    return s;
}

static void seen_check(const struct seen *s)
{
    assert_int_equal(s->wrong, 0);
    for (uint32_t i = 0; i < N_IMAGES; i++)
        assert_int_equal(s->next[i], s->c->depth);
}

static void seen_free(struct seen *s)
{
    free(s->x);
    free(s->kv);
}

void test_vit_observer_sees_every_block_and_changes_nothing(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    for (uint32_t threads = 1; threads <= 2; threads++) {
        struct vit_fixture x;
        float plain[N_IMAGES * 3], watched[N_IMAGES * 3];
        vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, threads);
        const struct vit_input in = {.n = N_IMAGES, .images = x.images};
        vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = plain});
        struct seen s = seen_make(&x, threads);
        const struct vit_output out = {
            .logits = watched, .observer = observe, .observer_context = &s};
        vit_forward(x.batch, &x.w, &in, &out);
        seen_check(&s);
        assert_memory_equal(plain, watched, sizeof plain);
        seen_free(&s);
        vit_fixture_fini(&x);
    }
}

/* Nothing but an observer is asked for: the pass ends early, and shows the same. */
void test_vit_observer_alone_stops_the_stream(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    struct vit_fixture x;
    float logits[N_IMAGES * 3], taps[N_IMAGES * 3 * 2 * 8], again[N_IMAGES * 3 * 2 * 8];
    vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, 2);
    const struct vit_input in = {.n = N_IMAGES, .images = x.images};
    struct seen whole = seen_make(&x, 2), alone = seen_make(&x, 2);
    struct vit_output out = {
        .logits = logits, .taps = taps, .observer = observe, .observer_context = &whole};
    vit_forward(x.batch, &x.w, &in, &out);
    /* what is after the last keys and values must not be computed: its weights are poison now */
    x.w.norm_w[0] = NAN;
    x.w.blocks[c.depth - 1].fc1_w[0] = NAN;
    x.w.blocks[c.depth - 1].proj_w[0] = NAN;
    out = (struct vit_output){.taps = again, .observer = observe, .observer_context = &alone};
    vit_forward(x.batch, &x.w, &in, &out);
    seen_check(&alone);
    assert_memory_equal(taps, again, sizeof taps);
    const size_t blocks = (size_t)N_IMAGES * c.depth;
    assert_memory_equal(whole.x, alone.x, blocks * vit_tokens(&c) * c.width * sizeof(float));
    assert_memory_equal(whole.kv, alone.kv, 2 * blocks * sizeof(float));
    seen_free(&whole);
    seen_free(&alone);
    vit_fixture_fini(&x);
}

/* One image, a thread to spare: the observer works beside the stream and sees the same. */
void test_vit_observer_beside_the_stream(void **state)
{
    (void)state;
    const struct vit_config c = vit_fixture_tiny();
    const size_t floats = (size_t)c.depth * vit_tokens(&c) * c.width;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct vit_fixture x;
        float plain[3], watched[3];
        vit_fixture_init(&x, &c, VIT_INFER, N_IMAGES, threads);
        struct seen direct = seen_make(&x, threads), beside = seen_make(&x, threads);
        const struct vit_input in = {.n = 1, .images = x.images};
        struct vit_output out = {.logits = plain, .observer = observe, .observer_context = &direct};
        vit_forward(x.batch, &x.w, &in, &out);
        const size_t bytes = vit_batch_watch_plan(&c, threads);
        assert_int_equal(bytes > 0, threads > 1);
        void *memory = vit_fixture_alloc(1, bytes);
        struct arena arena;
        arena_init(&arena, memory, bytes);
        assert_int_equal(vit_batch_watch(x.batch, &arena), STATUS_OK);
        out = (struct vit_output){
            .logits = watched, .observer = observe, .observer_context = &beside};
        for (uint32_t round = 1; round <= 50; round++) {
            beside.next[0] = 0;
            memset(watched, 0, sizeof watched);
            vit_forward(x.batch, &x.w, &in, &out);
            assert_int_equal(beside.wrong, 0);
            assert_int_equal(beside.next[0], c.depth);
            assert_memory_equal(plain, watched, sizeof plain);
            assert_memory_equal(direct.x, beside.x, floats * sizeof(float));
            assert_memory_equal(direct.kv, beside.kv, 2 * c.depth * sizeof(float));
        }
        /* a batch of several goes the ordinary way, and so does a pass without an observer */
        beside.next[0] = 0;
        const struct vit_input all = {.n = N_IMAGES, .images = x.images};
        out.logits = NULL;
        vit_forward(x.batch, &x.w, &all, &out);
        seen_check(&beside);
        vit_forward(x.batch, &x.w, &in, &(struct vit_output){.logits = watched});
        assert_memory_equal(plain, watched, sizeof plain);
        arena_fini(&arena);
        free(memory);
        seen_free(&direct);
        seen_free(&beside);
        vit_fixture_fini(&x);
    }
}
